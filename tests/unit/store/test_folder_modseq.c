/* Folders' thread modseqs, looked up and kept (store/folder_modseq.h). */
#include "scratch.h"

#include <pthread.h>

#include "fansync/buf.h"
#include "store/folder_modseq.h"

static struct folder_modseq_cache cache;

static int setup(void **state)
{
    folder_modseq_init(&cache);
    return scratch_setup(state);
}

static int teardown(void **state)
{
    folder_modseq_destroy(&cache);
    return scratch_teardown(state);
}

static const struct mbentry *folder(unsigned n)
{
    static _Thread_local char id[16];
    static _Thread_local struct mbentry e;
    snprintf(id, sizeof id, "id%u", n);
    e.uniqueid = slice_str(id);
    return &e;
}

static uint64_t modseq(const char *path, unsigned n)
{
    uint64_t v = 99;
    assert_ok(folder_modseq_get(&cache, path, DB_TEXT_FLAT, folder(n), &v));
    return v;
}

/* Folder i of n has modseq first + i. */
static const char *write_folders(const char *name, unsigned n, unsigned first)
{
    struct buf b = BUF_INIT;
    buf_adds(&b, "$FOLDER_IDS\t()\nB0123456789abcdef\tx\n");
    for (unsigned i = 0; i < n; i++)
        buf_printf(&b, "Fid%u\t0 (%u 1 1 1 1)\n", i, first + i);
    const char *path = scratch_write(name, buf_ptr(&b), buf_len(&b));
    buf_free(&b);
    return path;
}

static void a_missing_database_has_no_folders(void **state)
{
    (void)state;
    assert_int_equal(modseq(scratch_path("none.db"), 1), 0);
}

static void a_changed_database_is_read_again(void **state)
{
    (void)state;
    for (unsigned version = 0; version < 5; version++) {
        const char *path = write_folders("c.db", 20, 100 * (version + 1));
        for (unsigned n = 0; n < 20; n++)
            assert_int_equal(modseq(path, n), 100 * (version + 1) + n);
        assert_int_equal(modseq(path, 20), 0);
    }
    unlink(scratch_path("c.db"));
    assert_int_equal(modseq(scratch_path("c.db"), 1), 0);
}

static void more_folders_than_are_kept_are_found_all_the_same(void **state)
{
    (void)state;
    const char *path = write_folders("many.db", 3000, 5);
    for (unsigned n = 0; n < 3000; n += 100)
        assert_int_equal(modseq(path, n), 5 + n);
    path = write_folders("many.db", 3000, 6);
    assert_int_equal(modseq(path, 2999), 6 + 2999);
}

static void a_malformed_row_fails_its_folder_only(void **state)
{
    uint64_t v;
    (void)state;
    const char *path = scratch_write_text("bad.db", "Fid1\t0 (x)\nFid2\t0 (7 1)\n");
    for (int i = 0; i < 2; i++) {
        assert_err(folder_modseq_get(&cache, path, DB_TEXT_FLAT, folder(1), &v), ERR_CORRUPT, "bad.db");
        assert_int_equal(modseq(path, 2), 7);
    }
}

static void *look_often(void *path)
{
    for (unsigned i = 0; i < 500; i++)
        assert_int_equal(modseq(path, i % 10) % 100, i % 10);
    return NULL;
}

static void threads_look_while_the_database_is_replaced(void **state)
{
    pthread_t t[4];
    char path[200];
    (void)state;
    snprintf(path, sizeof path, "%s", write_folders("c.db", 10, 100));
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, look_often, path), 0);
    for (unsigned i = 0; i < 50; i++)
        write_folders("c.db", 10, 100 * i);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
}

#define WITH_CACHE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_CACHE(a_missing_database_has_no_folders),
        WITH_CACHE(a_changed_database_is_read_again),
        WITH_CACHE(more_folders_than_are_kept_are_found_all_the_same),
        WITH_CACHE(a_malformed_row_fails_its_folder_only),
        WITH_CACHE(threads_look_while_the_database_is_replaced),
    };
    return cmocka_run_group_tests_name("store: folder modseqs", tests, NULL, NULL);
}
