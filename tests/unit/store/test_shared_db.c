/* A database shared by threads: what is kept in memory is never older than the file. */
#include "scratch.h"

#include <pthread.h>

#include "store/shared_db.h"
#include "twoskip_build.h"

static struct shared_db shared;

static int setup(void **state)
{
    shared_db_init(&shared);
    return scratch_setup(state);
}

static int teardown(void **state)
{
    shared_db_destroy(&shared);
    return scratch_teardown(state);
}

static struct shared_db_look look(const char *path)
{
    struct shared_db_look l;
    assert_ok(shared_db_get(&shared, path, DB_TEXT_FLAT, &l));
    return l;
}

static void assert_has(struct shared_db_look *l, const char *want)
{
    struct slice v;
    bool found;
    assert_ok(db_get(l->db, slice_str("key"), &v, &found));
    assert_int_equal(found, want != NULL);
    if (want)
        assert_slice(v, want);
}

static void a_missing_file_is_empty_and_may_come_and_go(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct shared_db_look l = look(scratch_path("d"));
        assert_has(&l, NULL);
        shared_db_put(&shared, &l);
        scratch_write_text("d", "key\tv\n");
        l = look(scratch_path("d"));
        assert_has(&l, "v");
        shared_db_put(&shared, &l);
        unlink(scratch_path("d"));
    }
}

static void an_unchanged_file_is_read_once(void **state)
{
    (void)state;
    const char *path = scratch_write_text("d", "key\tv\n");
    struct shared_db_look a = look(path), b = look(path);
    assert_non_null(a.kept);
    assert_ptr_equal(a.db, b.db);
    shared_db_put(&shared, &a);
    assert_has(&b, "v");
    shared_db_put(&shared, &b);
}

static void a_look_that_is_held_stays_what_it_was_when_the_file_changes(void **state)
{
    (void)state;
    const char *path = scratch_write_text("d", "key\told\n");
    struct shared_db_look old = look(path);
    path = scratch_write_text("d", "key\tnew\n");
    struct shared_db_look new = look(path);
    assert_has(&old, "old");
    assert_has(&new, "new");
    shared_db_put(&shared, &old);
    shared_db_put(&shared, &new);
}

/* Twoskip, because a flat file is always read whole. */
static void a_large_file_is_searched_until_reading_it_pays(void **state)
{
    static char value[40000];
    struct twoskip t;
    int searches = 0;
    (void)state;
    memset(value, 'v', sizeof value - 1);
    ts_init(&t);
    ts_add(&t, "key", value, 1);
    const char *path = scratch_write("d", t.file.data, t.file.end);
    buf_free(&t.file);
    for (;;) {
        struct shared_db_look l = look(path);
        bool kept = l.kept != NULL;
        assert_has(&l, value);
        shared_db_put(&shared, &l);
        if (kept)
            break;
        searches++;
    }
    assert_int_equal(searches, 9); /* 40 kB at 4 kB a search */
}

static void damage_is_told_at_every_look(void **state)
{
    struct shared_db_look l;
    (void)state;
    const char *path = scratch_write_text("d", "key without end");
    for (int i = 0; i < 3; i++)
        assert_err(shared_db_get(&shared, path, DB_TEXT_FLAT, &l), ERR_CORRUPT, path);
    scratch_write_text("d", "key\tv\n");
    l = look(path);
    assert_has(&l, "v");
    shared_db_put(&shared, &l);
}

static void *look_often(void *path)
{
    for (int i = 0; i < 500; i++) {
        struct shared_db_look l = look(path);
        struct slice v;
        bool found;
        assert_ok(db_get(l.db, slice_str("key"), &v, &found));
        assert_true(found && v.n > 0);
        shared_db_put(&shared, &l);
    }
    return NULL;
}

static void threads_look_while_the_file_is_replaced(void **state)
{
    pthread_t t[4];
    char path[200];
    (void)state;
    snprintf(path, sizeof path, "%s", scratch_write_text("d", "key\tv\n"));
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, look_often, path), 0);
    for (int i = 0; i < 100; i++)
        scratch_write_text("d", i % 2 ? "key\todd\n" : "key\teven\n");
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
}

#define WITH_SHARED(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SHARED(a_missing_file_is_empty_and_may_come_and_go),
        WITH_SHARED(an_unchanged_file_is_read_once),
        WITH_SHARED(a_look_that_is_held_stays_what_it_was_when_the_file_changes),
        WITH_SHARED(a_large_file_is_searched_until_reading_it_pays),
        WITH_SHARED(damage_is_told_at_every_look),
        WITH_SHARED(threads_look_while_the_file_is_replaced),
    };
    return cmocka_run_group_tests_name("store: shared databases", tests, NULL, NULL);
}
