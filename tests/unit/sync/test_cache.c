/* The replica state cache (fansync/cache.h). */
#include "../test.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
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
    char lock[128];
    cache_close(s->c);
    cache_changes_free(&s->l);
    arena_free(&s->a);
    snprintf(lock, sizeof lock, "%s-lock", s->path);
    unlink(s->path);
    unlink(lock);
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
    reopen(s, "east");
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

static void a_name_too_long_for_a_key_is_not_kept(void **state)
{
    struct scene *s = *state;
    char name[2000];
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = '\0';
    reopen(s, "east");
    put(s, name);
    put(s, "user.a");
    cache_commit(s->c, &s->l);
    assert_false(has(s, name, NULL));
    assert_true(has(s, "user.a", NULL));
}

/* A writer is killed over and over; what can be read is always whole. */
static void a_killed_process_leaves_a_usable_cache(void **state)
{
    struct scene *s = *state;
    for (int round = 0; round < 20; round++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            struct cache *c;
            if (cache_open(s->path, "east", &c))
                _exit(1);
            for (;;) {
                for (int i = 0; i < 20; i++) {
                    char name[32];
                    snprintf(name, sizeof name, "user.u%d", i);
                    put(s, name);
                }
                cache_commit(c, &s->l);
            }
        }
        usleep(3000 + (useconds_t)(rand() % 5000));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    reopen(s, "east");
    assert_true(has(s, "user.u7", NULL));
    put(s, "user.after");
    cache_commit(s->c, &s->l);
    assert_true(has(s, "user.after", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_put_comes_back_whole_also_after_a_reopening, set_up, tear_down),
        cmocka_unit_test_setup_teardown(dropping_takes_one_name_or_a_whole_tree, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_replica_begins_with_an_empty_cache, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_is_no_database_is_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_folder_that_is_not_there_is_an_error_that_names_the_path, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_name_too_long_for_a_key_is_not_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_killed_process_leaves_a_usable_cache, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("sync: cache", tests, NULL, NULL);
}
