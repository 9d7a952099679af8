/* The replica state cache (fansync/cache.h). */
#include "../test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fansync/cache.h"

struct scene {
    char folder[64];
    char path[96];
    struct cache *c;
    struct cache_changes l;
    struct arena a;
};

static int set_up(void **state)
{
    struct scene *s = calloc(1, sizeof *s);
    strcpy(s->folder, "/dev/shm/fansync-cache.XXXXXX");
    if (!mkdtemp(s->folder))
        return -1;
    snprintf(s->path, sizeof s->path, "%s/cache", s->folder);
    cache_changes_init(&s->l);
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;
    char other[128];
    cache_close(s->c);
    cache_changes_free(&s->l);
    arena_free(&s->a);
    snprintf(other, sizeof other, "%s-wal", s->path);
    unlink(s->path);
    unlink(other);
    rmdir(s->folder);
    free(s);
    return 0;
}

static void reopen(struct scene *s, const char *replica)
{
    cache_close(s->c);
    assert_ok(cache_open(s->path, replica, &s->c));
}

static const struct replica_mailbox *example(void)
{
    static struct annotation an = { { "/comment", 8 }, { "", 0 }, { "a\r\n{3}\0\"b", 9 }, 12 };
    static struct replica_mailbox r;
    r = (struct replica_mailbox){
        .name = slice_str("user.fred"), .uniqueid = slice_str("id1"), .acl = slice_str("fred\tlrs\t"),
        .options = slice_str("PS"), .partition = slice_str("default"), .type = slice_str("c"), .last_uid = 7,
        .highestmodseq = 1ull << 40, .uidvalidity = 9, .recentuid = 3, .recenttime = 50, .sync_crc = 0xfffffffe,
        .sync_crc_annot = 4, .foldermodseq = 5, .xconvmodseq = 6, .raclmodseq = 8, .pop3_last_login = 2,
        .pop3_show_after = 1, .annotations = { &an, 1 },
    };
    return &r;
}

static bool has(struct scene *s, const char *name, struct replica_mailbox *out)
{
    struct replica_mailbox ignored;
    return cache_get(s->c, &s->a, slice_str(name), out ? out : &ignored);
}

static void put(struct scene *s, const char *name)
{
    struct replica_mailbox r = *example();
    r.name = slice_str(name);
    cache_put(&s->l, r.name, &r);
}

static void what_is_put_comes_back_whole_also_after_a_reopening(void **state)
{
    struct scene *s = *state;
    struct replica_mailbox r;
    struct stat st;
    reopen(s, "east");
    assert_true(stat(s->path, &st) == 0 && (st.st_mode & 0777) == 0600);
    put(s, "user.fred");
    assert_false(has(s, "user.fred", NULL));
    cache_commit(s->c, &s->l);
    reopen(s, "east");
    assert_true(has(s, "user.fred", &r));
    const struct replica_mailbox *e = example();
    assert_true(slice_eq(r.name, e->name) && slice_eq(r.uniqueid, e->uniqueid) && slice_eq(r.acl, e->acl));
    assert_true(slice_eq(r.options, e->options) && slice_eq(r.partition, e->partition) && slice_eq(r.type, e->type));
    assert_true(r.last_uid == 7 && r.highestmodseq == 1ull << 40 && r.uidvalidity == 9 && r.recentuid == 3);
    assert_true(r.recenttime == 50 && r.sync_crc == 0xfffffffe && r.sync_crc_annot == 4 && r.foldermodseq == 5);
    assert_true(r.xconvmodseq == 6 && r.raclmodseq == 8 && r.pop3_last_login == 2 && r.pop3_show_after == 1);
    assert_int_equal(r.annotations.n, 1);
    assert_true(slice_eq(r.annotations.a[0].value, e->annotations.a[0].value));
    assert_int_equal(r.annotations.a[0].modseq, 12);
}

static void dropping_takes_one_name_or_a_whole_tree(void **state)
{
    struct scene *s = *state;
    reopen(s, "east");
    put(s, "user.a");
    put(s, "user.a.sub");
    put(s, "user.ab");
    put(s, "user.b");
    cache_commit(s->c, &s->l);
    cache_drop(&s->l, slice_str("user.b"));
    cache_drop(&s->l, slice_str("user.never"));
    cache_drop_tree(&s->l, slice_str("user.a"));
    cache_commit(s->c, &s->l);
    assert_false(has(s, "user.b", NULL));
    assert_false(has(s, "user.a", NULL));
    assert_false(has(s, "user.a.sub", NULL));
    assert_true(has(s, "user.ab", NULL));
}

static void another_replica_begins_with_an_empty_cache(void **state)
{
    struct scene *s = *state;
    reopen(s, "east");
    put(s, "user.a");
    cache_commit(s->c, &s->l);
    reopen(s, "west");
    assert_false(has(s, "user.a", NULL));
}

static void a_file_that_is_no_database_is_replaced(void **state)
{
    struct scene *s = *state;
    int fd = open(s->path, O_CREAT | O_WRONLY, 0600);
    for (int i = 0; i < 2000; i++)
        assert_int_equal(write(fd, "rubbish ", 8), 8);
    close(fd);
    reopen(s, "east");
    put(s, "user.a");
    cache_commit(s->c, &s->l);
    assert_true(has(s, "user.a", NULL));
}

static void a_folder_that_is_not_there_is_an_error_that_names_the_path(void **state)
{
    struct scene *s = *state;
    assert_err(cache_open("/nonexistent/cache", "east", &s->c), ERR_IO, "/nonexistent/cache");
    s->c = NULL;
}

static void a_long_name_is_kept(void **state)
{
    struct scene *s = *state;
    char name[2000];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    reopen(s, "east");
    put(s, name);
    cache_commit(s->c, &s->l);
    assert_true(has(s, name, NULL));
}

static void put_many(struct scene *s, int n)
{
    for (int i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof name, "user.u%d", i);
        put(s, name);
    }
}

/* Writes until it is killed; says when the first commit is done. */
static void write_for_ever(struct scene *s, int told)
{
    struct cache *c;
    if (cache_open(s->path, "east", &c))
        _exit(1);
    for (bool first = true;; first = false) {
        put_many(s, 20);
        cache_commit(c, &s->l);
        if (first && write(told, "x", 1) != 1)
            _exit(1);
    }
}

/* A process that writes for ever, and has committed once. */
static pid_t start_writer(struct scene *s)
{
    int ends[2];
    char byte;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        write_for_ever(s, ends[1]);
    close(ends[1]);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    close(ends[0]);
    return pid;
}

static void end_writer(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* A writer is killed over and over; what can be read is always whole. */
static void a_killed_process_leaves_a_usable_cache(void **state)
{
    struct scene *s = *state;
    for (int round = 0; round < 20; round++) {
        end_writer(start_writer(s));
    }
    reopen(s, "east");
    assert_true(has(s, "user.u7", NULL));
    put(s, "user.after");
    cache_commit(s->c, &s->l);
    assert_true(has(s, "user.after", NULL));
}

static void a_file_that_another_process_uses_is_left_alone(void **state)
{
    struct scene *s = *state;
    struct cache *other;
    pid_t pid = start_writer(s);
    assert_err(cache_open(s->path, "east", &other), ERR_IO, "locked");
    end_writer(pid);
    reopen(s, "east");
    assert_true(has(s, "user.u7", NULL));
}

static void a_folder_that_is_removed_and_made_again_gets_a_new_file(void **state)
{
    struct scene *s = *state;
    reopen(s, "east");
    put(s, "user.a");
    cache_commit(s->c, &s->l);
    unlink(s->path);
    put(s, "user.b");
    cache_commit(s->c, &s->l); /* notices, and begins anew */
    put(s, "user.c");
    cache_commit(s->c, &s->l);
    assert_int_equal(access(s->path, F_OK), 0);
    assert_false(has(s, "user.a", NULL));
    assert_true(has(s, "user.c", NULL));
}

/* A site's configuration directory often is a link. */
static void a_folder_may_be_a_link(void **state)
{
    struct scene *s = *state;
    char link[80], path[96];
    snprintf(link, sizeof link, "%s-link", s->folder);
    snprintf(path, sizeof path, "%s/cache", link);
    assert_int_equal(symlink(s->folder, link), 0);
    struct err *err = cache_open(path, "east", &s->c);
    unlink(link);
    assert_ok(err);
}

/* ---- damage: each in a process of its own, which must end by itself ---- */

enum { FILE_MOST = 1 << 20, DAMAGES = 64, PAGE = 4096 };

static size_t read_all(const char *path, char *out)
{
    int fd = open(path, O_RDONLY);
    ssize_t n = read(fd, out, FILE_MOST);
    close(fd);
    return n > 0 ? (size_t)n : 0;
}

static void write_all(const char *path, const char *bytes, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, bytes, n), (ssize_t)n);
    close(fd);
}

static void exchange_pages(char *b, size_t n)
{
    char kept[PAGE];
    char *x = b + (size_t)rand() % (n / PAGE) * PAGE, *y = b + (size_t)rand() % (n / PAGE) * PAGE;
    memcpy(kept, x, PAGE);
    memcpy(x, y, PAGE);
    memcpy(y, kept, PAGE);
}

/* Of every kind that lost writes, bad disks and administrators make. */
static size_t damage(char *b, size_t n, int kind)
{
    switch (kind % 6) {
    case 0: /* bits */
        for (int i = 0; i < 8; i++)
            b[(size_t)rand() % n] ^= (char)(1 << (rand() % 8));
        return n;
    case 1: /* shortened */
        return (size_t)rand() % n;
    case 2: /* a page of zeros */
        memset(b + (size_t)rand() % (n / PAGE) * PAGE, 0, PAGE);
        return n;
    case 3: /* stale and exchanged pages */
        exchange_pages(b, n);
        exchange_pages(b, n);
        return n;
    case 4: /* rubbish behind the header */
        for (size_t i = 100; i < n; i++)
            b[i] = (char)rand();
        return n;
    default: /* a run of rubbish anywhere */
        for (size_t i = 0, at = (size_t)rand() % (n - 200); i < 200; i++)
            b[at + i] = (char)rand();
        return n;
    }
}

/* Reads all, changes all. A wrong value must never come out: the CRC tells. */
static void use(struct scene *s)
{
    struct replica_mailbox r;
    struct cache *c;
    struct err *err = cache_open(s->path, "east", &c);
    if (err)
        _exit(2);
    for (int i = 0; i < 300; i++) {
        char name[32];
        snprintf(name, sizeof name, "user.u%d", i);
        if (cache_get(c, &s->a, slice_str(name), &r) && !slice_eqs(r.name, name))
            _exit(3);
    }
    put_many(s, 300);
    cache_drop_tree(&s->l, slice_str("user"));
    put_many(s, 300);
    cache_commit(c, &s->l);
    bool there = cache_get(c, &s->a, slice_str("user.u9"), &r);
    cache_close(c);
    _exit(there ? 0 : 4); /* it was made anew, if need be */
}

static void in_a_process(struct scene *s, void (*fn)(struct scene *s), const char *what, int k)
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        fn(s);
    waitpid(pid, &status, 0);
    if (status)
        fail_msg("%s %d: status %x", what, k, (unsigned)status);
}

static void no_damage_of_the_file_ends_the_process(void **state)
{
    struct scene *s = *state;
    static char whole[FILE_MOST], bytes[FILE_MOST];
    reopen(s, "east");
    put_many(s, 300);
    cache_commit(s->c, &s->l);
    reopen(s, "east"); /* the log has become part of the file */
    cache_close(s->c);
    s->c = NULL;
    size_t n = read_all(s->path, whole);
    assert_true(n > 10 * PAGE);
    srand(5);
    for (int k = 0; k < DAMAGES; k++) {
        memcpy(bytes, whole, n);
        write_all(s->path, bytes, damage(bytes, n, k));
        for (int start = 0; start < 2; start++)
            in_a_process(s, use, "damage", k);
    }
}

/* No byte more than the file has may be written: as on a full disk. */
static void use_a_full_disk(struct scene *s)
{
    struct rlimit none = { 0, 0 };
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &none);
    struct cache *c = NULL;
    struct err *err = cache_open(s->path, "east", &c);
    if (!err) {
        put_many(s, 100);
        cache_commit(c, &s->l);
        cache_close(c);
    }
    err_free(err);
    _exit(0);
}

static void a_full_disk_is_no_fault(void **state)
{
    struct scene *s = *state;
    for (int start = 0; start < 2; start++)
        in_a_process(s, use_a_full_disk, "full from the first start on", start);
    in_a_process(s, use, "with room again", 0);
    for (int start = 0; start < 2; start++)
        in_a_process(s, use_a_full_disk, "full later", start);
    in_a_process(s, use, "with room again", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_put_comes_back_whole_also_after_a_reopening, set_up, tear_down),
        cmocka_unit_test_setup_teardown(dropping_takes_one_name_or_a_whole_tree, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_replica_begins_with_an_empty_cache, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_is_no_database_is_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_folder_that_is_not_there_is_an_error_that_names_the_path, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_long_name_is_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_another_process_uses_is_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_folder_that_is_removed_and_made_again_gets_a_new_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_folder_may_be_a_link, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_damage_of_the_file_ends_the_process, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_disk_is_no_fault, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_killed_process_leaves_a_usable_cache, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("sync: cache", tests, NULL, NULL);
}
