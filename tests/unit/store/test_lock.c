/* Tests of the locks (src/store/lock.h, store_user_lock): who excludes whom, for how long. */
#include "scratch.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>
#include "store/store_internal.h"

static struct config *config;
static struct store *store;

static int setup(void **state)
{
    char text[512];
    if (scratch_setup(state))
        return -1;
    snprintf(text, sizeof text, "configdirectory: %s\nvirtdomains: userid\nmboxlist_db: flat\nservername: here\n",
             scratch);
    scratch_write_text("mailboxes.db", "user.a\t%(I id V 1 C 1 F 1 M 1)\n");
    assert_ok(config_load(scratch_write_text("imapd.conf", text), "sync_client", &config));
    assert_ok(store_open(config, &store));
    return 0;
}

static int teardown(void **state)
{
    store_free(store);
    config_free(config);
    return scratch_teardown(state);
}

/* As Cyrus locks: another kind of lock, of a process. */
static int posix_try(int fd, short type)
{
    struct flock fl = { .l_type = type, .l_whence = SEEK_SET };
    return fcntl(fd, F_SETLK, &fl);
}

static void a_shared_lock_keeps_posix_writers_out_and_lets_readers_in(void **state)
{
    int ours, theirs;
    (void)state;
    const char *path = scratch_write_text("x", "data");
    assert_ok(lock_open(path, O_RDONLY, LOCK_SHARED, 0, &ours));
    theirs = open(path, O_RDWR);
    assert_int_equal(posix_try(theirs, F_RDLCK), 0);
    posix_try(theirs, F_UNLCK);
    assert_int_equal(posix_try(theirs, F_WRLCK), -1);
    close(open(path, O_RDONLY)); /* would drop a POSIX lock */
    assert_int_equal(posix_try(theirs, F_WRLCK), -1);
    lock_drop(ours);
    assert_int_equal(posix_try(theirs, F_WRLCK), 0);
    assert_err(lock_fd(ours, LOCK_SHARED, 30, path), ERR_BUSY, path);
    close(theirs);
    assert_ok(lock_fd(ours, LOCK_SHARED, 0, path));
    close(ours);
}

static void two_holders_in_one_process_exclude_each_other(void **state)
{
    int a, b;
    (void)state;
    const char *path = scratch_path("locks/one/two.lock");
    assert_ok(lock_file(&store->paths, path, LOCK_EXCLUSIVE, 0, &a));
    assert_err(lock_file(&store->paths, path, LOCK_SHARED, 0, &b), ERR_BUSY, "two.lock");
    assert_int_equal(b, -1);
    close(a);
    assert_ok(lock_file(&store->paths, path, LOCK_SHARED, 0, &b));
    close(b);
}

static void lock_files_are_made_with_cyruss_modes(void **state)
{
    struct stat st;
    int fd;
    (void)state;
    assert_ok(lock_file(&store->paths, scratch_path("made/x.lock"), LOCK_SHARED, 0, &fd));
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, 0);
    assert_int_equal(stat(scratch_path("made"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    close(fd);
}

struct holder {
    int fd;
    const char *path;
};

/* Replaces the file while it is locked, then lets go. */
static void *replace_then_unlock(void *arg)
{
    struct holder *h = arg;
    struct timespec t = { 0, 30000000 };
    nanosleep(&t, NULL);
    scratch_write_text("x", "new");
    close(h->fd);
    return NULL;
}

static void a_file_replaced_while_waiting_is_opened_again(void **state)
{
    struct holder h;
    pthread_t thread;
    char text[8] = "";
    int fd;
    (void)state;
    h.path = scratch_write_text("x", "old");
    assert_ok(lock_open(h.path, O_RDWR, LOCK_EXCLUSIVE, 0, &h.fd));
    pthread_create(&thread, NULL, replace_then_unlock, &h);
    assert_ok(lock_open(h.path, O_RDONLY, LOCK_SHARED, 5000, &fd));
    pthread_join(thread, NULL);
    assert_int_equal(read(fd, text, sizeof text - 1), 3);
    assert_string_equal(text, "new");
    close(fd);
}

static void assert_locked(const char *name, bool locked)
{
    int fd = open(scratch_path(name), O_RDWR);
    if (fd < 0)
        fail_msg("%s: %s", name, strerror(errno));
    if ((posix_try(fd, F_WRLCK) == -1) != locked)
        fail_msg("%s: %s", name, locked ? "is not locked" : "is locked");
    close(fd);
}

static void the_namespace_is_locked_under_both_names(void **state)
{
    struct arena a = ARENA_INIT;
    struct namespace_lock l;
    (void)state;
    struct mbname m = names_from_internal(&a, store_names(store), slice_str("dom!user.f^x.Work"));
    assert_ok(lock_namespace(&store->paths, &m, &l));
    assert_locked("lock/*U*f^x@dom.lock", true);
    assert_locked("lock/domain/*U*dom/user/f^x.lock", true);
    lock_namespace_drop(&l);
    lock_namespace_drop(&l);
    assert_locked("lock/*U*f^x@dom.lock", false);
    assert_locked("lock/domain/*U*dom/user/f^x.lock", false);
    m = names_from_internal(&a, store_names(store), slice_str("shared.x"));
    assert_ok(lock_namespace(&store->paths, &m, &l));
    assert_locked("lock/*U*.lock", true);
    lock_namespace_drop(&l);
    arena_free(&a);
}

static void a_user_locked_by_a_parent_has_another_name(void **state)
{
    struct arena a = ARENA_INIT;
    struct namespace_lock l;
    (void)state;
    struct mbname m = names_from_internal(&a, store_names(store), slice_str("user.held"));
    setenv("CYRUS_HAVELOCK_USER", "held", 1);
    assert_ok(lock_namespace(&store->paths, &m, &l));
    unsetenv("CYRUS_HAVELOCK_USER");
    assert_locked("lock/*U*held~.lock", true);
    lock_namespace_drop(&l);
    arena_free(&a);
}

static void a_mailbox_is_locked_by_its_id_or_its_name(void **state)
{
    struct mbentry e = { .name = slice_str("user.a.b"), .uniqueid = slice_str("id-1") };
    int fd;
    (void)state;
    assert_ok(lock_mailbox_name(&store->paths, &e, &fd));
    assert_locked("lock/id-1.lock", true);
    close(fd);
    e.flags = MB_LEGACY;
    assert_ok(lock_mailbox_name(&store->paths, &e, &fd));
    assert_locked("lock/user/a/b.lock", true);
    close(fd);
    e.name = slice_str("user.a/b");
    assert_err(lock_mailbox_name(&store->paths, &e, &fd), ERR_CORRUPT, "user.a/b");
}

static void one_client_at_a_time_has_a_user_of_a_replica(void **state)
{
    struct user_lock *a, *b;
    struct slice host = slice_str("127.0.0.1"), user = slice_str("f.x@dom");
    (void)state;
    assert_ok(store_user_lock(store, host, user, true, &a));
    assert_locked("lock/*S*127^0^0^1*f^x@dom.lock", true);
    assert_locked("lock/$GLOBAL.lock", true);
    assert_err(store_user_lock(store, host, user, false, &b), ERR_LOCKED, "f^x@dom");
    assert_null(b);
    assert_ok(store_user_lock(store, slice_str("other"), user, false, &b));
    store_user_unlock(b);
    assert_ok(store_user_lock(store, host, slice_str(""), false, &b));
    assert_locked("lock/*S*127^0^0^1*.lock", true);
    store_user_unlock(b);
    store_user_unlock(a);
    assert_locked("lock/*S*127^0^0^1*f^x@dom.lock", false);
    assert_locked("lock/$GLOBAL.lock", false);
    assert_ok(store_user_lock(store, host, user, false, &a));
    store_user_unlock(a);
}

static void *look_up_and_list(void *arg)
{
    struct arena a = ARENA_INIT;
    (void)arg;
    for (int i = 0; i < 300; i++) {
        struct mbentry_list list = { NULL, 0, 0 };
        struct err *damaged = NULL;
        struct err *e = store_user_mailboxes(store, &a, slice_str("a"), &list, &damaged);
        assert_null(damaged);
        if (e || list.n != 1 || !slice_eqs(list.e[0].name, "user.a"))
            return "wrong";
        arena_reset(&a);
    }
    arena_free(&a);
    return NULL;
}

static void threads_may_look_while_the_list_is_replaced(void **state)
{
    pthread_t threads[4];
    char text[256];
    (void)state;
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, look_up_and_list, NULL);
    for (int i = 1; i <= 100; i++) {
        snprintf(text, sizeof text, "user.a\t%%(I id V %d C 1 F 1 M 1)\n", i);
        scratch_write_text("mailboxes.db", text);
    }
    for (int i = 0; i < 4; i++) {
        void *result;
        pthread_join(threads[i], &result);
        assert_null(result);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shared_lock_keeps_posix_writers_out_and_lets_readers_in),
        cmocka_unit_test(two_holders_in_one_process_exclude_each_other),
        cmocka_unit_test(lock_files_are_made_with_cyruss_modes),
        cmocka_unit_test(a_file_replaced_while_waiting_is_opened_again),
        cmocka_unit_test(the_namespace_is_locked_under_both_names),
        cmocka_unit_test(a_user_locked_by_a_parent_has_another_name),
        cmocka_unit_test(a_mailbox_is_locked_by_its_id_or_its_name),
        cmocka_unit_test(one_client_at_a_time_has_a_user_of_a_replica),
        cmocka_unit_test(threads_may_look_while_the_list_is_replaced),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
