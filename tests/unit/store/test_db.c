/* Tests of the database readers (src/store/db.h), against bytes built as Cyrus does. */
#include "scratch.h"
#include "store/db_internal.h"
#include "twoskip_build.h"

/* ---- what a database holds, as one text ---- */

static struct err *add_text(void *ctx, struct slice key, struct slice value)
{
    struct buf *b = ctx;
    buf_add(b, key.p, key.n);
    buf_addc(b, '=');
    buf_add(b, value.p, value.n);
    buf_addc(b, ';');
    return NULL;
}

static struct err *contents(const char *path, enum db_text_backend text, unsigned flags, const char *prefix,
                            struct buf *out)
{
    struct db *d = NULL;
    buf_clear(out);
    TRY(db_read(path, text, flags, &d));
    struct err *e = db_foreach(d, slice_str(prefix), add_text, out);
    db_free(d);
    return e;
}

#define assert_contents(path, text, flags, prefix, want)           \
    do {                                                           \
        struct buf assert_b_ = BUF_INIT;                           \
        assert_ok(contents(path, text, flags, prefix, &assert_b_)); \
        assert_string_equal(buf_cstr(&assert_b_), want);           \
        buf_free(&assert_b_);                                      \
    } while (0)

#define assert_damaged(path, text, flags, words)                                  \
    do {                                                                          \
        struct buf assert_b_ = BUF_INIT;                                          \
        assert_err(contents(path, text, flags, "", &assert_b_), ERR_CORRUPT, words); \
        buf_free(&assert_b_);                                                     \
    } while (0)

static void assert_get(const char *path, unsigned flags, const char *key, const char *want)
{
    struct db *d = NULL;
    struct slice value;
    bool found;
    assert_ok(db_read(path, DB_TEXT_REFUSED, flags, &d));
    assert_ok(db_get(d, slice_str(key), &value, &found));
    assert_int_equal(found, want != NULL);
    if (found)
        assert_slice(value, want);
    db_free(d);
}

/* ---- twoskip ---- */

static const char *write_ts(struct twoskip *t)
{
    return scratch_write("t.db", t->file.data, buf_len(&t->file));
}

static size_t from_hex(const char *hex, char *out)
{
    size_t n = 0;
    for (; *hex; hex++) {
        unsigned v;
        if (*hex == ' ')
            continue;
        assert_int_equal(sscanf(hex, "%2x", &v), 1);
        out[n++] = (char)v;
        hex++;
    }
    return n;
}

static void the_builder_makes_the_bytes_that_cyrus_wrote(void **state)
{
    static const char head[] = "a1028b0d 74776f73 6b697020 66696c65 00000000 00000001 00000000 00000001"
                               "00000000 00000001 00000000 00000150 00000000 00000218 00000000 d359da38"
                               "3d1f0000 00000000 00000000 000001e8 00000000 00000150"
                               "00000000 00000198 00000000 00000198 00000000 00000000";
    static const char rest[] = "314712de 00000000 2b020001 00000001"
                               "00000000 00000000 00000000 00000198 00000000 00000198"
                               "abb08d33 7777d1aa 61310000 00000000"
                               "24000000 00000000 00000000 00000150 5dc51c1a 00000000"
                               "2b030002 00000002 00000000 00000000 00000000 00000000"
                               "00000000 00000000 00000000 00000000 ef731819 79966823 62623232 00000000"
                               "24000000 00000000 00000000 00000198 c87a5698 00000000"
                               "2d000000 00000000 00000000 00000198 15015846 00000000"
                               "24000000 00000000 00000000 000001e8 987f27a4 00000000";
    struct twoskip t;
    char bytes[1024];
    (void)state;
    ts_init(&t);
    ts_add(&t, "a", "1", 2);
    ts_add(&t, "bb", "22", 3);
    ts_delete(&t, "a");
    assert_int_equal(buf_len(&t.file), 0x218);
    assert_memory_equal(t.file.data, bytes, from_hex(head, bytes));
    assert_memory_equal(ts_at(&t, 0x148), bytes, from_hex(rest, bytes));
    assert_contents(write_ts(&t), DB_TEXT_REFUSED, 0, "", "bb=22;");
    buf_free(&t.file);
}

static void build_sample(struct twoskip *t)
{
    static const char *const keys[] = { "m", "c", "x", "a", "q", "b", "y", "n", "aa", "zz" };
    char value[8];
    ts_init(t);
    for (unsigned i = 0; i < 10; i++) {
        snprintf(value, sizeof value, "%u", i);
        ts_add(t, keys[i], value, 1 + i % 5);
    }
    ts_delete(t, "c");
    ts_delete(t, "b");
    ts_add(t, "c", "again", 2);
}
#define SAMPLE "a=3;aa=8;c=again;m=0;n=7;q=4;x=2;y=6;zz=9;"

static void a_twoskip_gives_its_live_records_in_order(void **state)
{
    struct twoskip t;
    (void)state;
    build_sample(&t);
    const char *path = write_ts(&t);
    assert_contents(path, DB_TEXT_REFUSED, 0, "", SAMPLE);
    assert_contents(path, DB_TEXT_REFUSED, DB_ON_DISK, "", SAMPLE);
    assert_contents(path, DB_TEXT_REFUSED, 0, "a", "a=3;aa=8;");
    assert_contents(path, DB_TEXT_REFUSED, DB_ON_DISK, "a", "a=3;aa=8;");
    assert_contents(path, DB_TEXT_REFUSED, DB_ON_DISK, "d", "");
    for (unsigned flags = 0; flags <= DB_ON_DISK; flags += DB_ON_DISK) {
        assert_get(path, flags, "a", "3");
        assert_get(path, flags, "zz", "9");
        assert_get(path, flags, "c", "again");
        assert_get(path, flags, "b", NULL);
        assert_get(path, flags, "", NULL);
        assert_get(path, flags, "zzz", NULL);
    }
    buf_free(&t.file);
}

static void a_twoskip_without_records_is_empty(void **state)
{
    struct twoskip t;
    (void)state;
    ts_init(&t);
    assert_contents(write_ts(&t), DB_TEXT_REFUSED, DB_MUST_EXIST, "", "");
    assert_contents(write_ts(&t), DB_TEXT_REFUSED, DB_ON_DISK, "", "");
    buf_free(&t.file);
}

/* Adds, replaces or deletes, without commit. */
static void operate(struct twoskip *t, int op)
{
    if (op == 0)
        ts_add_open(t, "d", "new", 4);
    else if (op == 1)
        ts_delete_open(t, "m");
    else {
        ts_delete_open(t, "m");
        ts_add_open(t, "m", "replaced", 5);
    }
}

static void an_unclean_twoskip_gives_the_last_committed_state(void **state)
{
    (void)state;
    for (int op = 0; op < 3; op++) {
        struct twoskip t;
        build_sample(&t);
        size_t committed = buf_len(&t.file);
        uint64_t old_count = t.count;
        char *before = malloc(committed);
        memcpy(before, t.file.data, committed);
        operate(&t, op);
        uint64_t new_count = t.count;
        for (size_t cut = committed; cut <= buf_len(&t.file); cut += 8) {
            t.count = new_count; /* Cyrus can leave a count that was not committed */
            ts_header(&t, committed, 1); /* pointers overwritten */
            assert_contents(scratch_write("t.db", t.file.data, cut), DB_TEXT_REFUSED, 0, "", SAMPLE);
            assert_contents(scratch_path("t.db"), DB_TEXT_REFUSED, DB_ON_DISK, "", SAMPLE);
            t.count = old_count;
            ts_header(&t, committed, 0); /* longer than it says, but not marked */
            assert_contents(scratch_write("t.db", t.file.data, cut), DB_TEXT_REFUSED, 0, "", SAMPLE);
        }
        memcpy(t.file.data, before, committed); /* and not overwritten */
        ts_header(&t, committed, 1);
        assert_contents(write_ts(&t), DB_TEXT_REFUSED, 0, "", SAMPLE);
        free(before);
        buf_free(&t.file);
    }
}

static void an_unclean_twoskip_with_damage_says_who_repairs_it(void **state)
{
    struct twoskip t;
    (void)state;
    build_sample(&t);
    ts_header(&t, buf_len(&t.file), 1);
    *ts_at(&t, 0x150) ^= 1;
    assert_damaged(write_ts(&t), DB_TEXT_REFUSED, 0, "Cyrus will repair it");
    buf_free(&t.file);
}

/* Reads in both ways; each must fail with ERR_CORRUPT or give want. */
static void assert_error_or_sample(size_t where, bool empty_allowed)
{
    static const char *const keys[] = { "a", "c", "m", "n", "zz" };
    static const char *const values[] = { "3", "again", "0", "7", "9" };
    const char *path = scratch_path("t.db");
    struct buf b = BUF_INIT;
    for (unsigned flags = 0; flags <= DB_ON_DISK; flags += DB_ON_DISK) {
        struct err *e = contents(path, DB_TEXT_REFUSED, flags, "", &b);
        if (e ? e->kind != ERR_CORRUPT && e->kind != ERR_NOTSUPPORTED
              : strcmp(buf_cstr(&b), SAMPLE) != 0 && !(empty_allowed && buf_len(&b) == 0))
            fail_msg("at %zu: %s", where, e ? e->msg : buf_cstr(&b));
        err_free(e);
        struct db *d = NULL;
        e = db_read(path, DB_TEXT_REFUSED, flags | DB_MUST_EXIST, &d);
        for (size_t i = 0; !e && i < 5; i++) {
            struct slice value;
            bool found = false;
            e = db_get(d, slice_str(keys[i]), &value, &found);
            if (!e && (!found || !slice_eqs(value, values[i])))
                fail_msg("at %zu: the value of %s is wrong", where, keys[i]);
        }
        err_free(e);
        db_free(d);
    }
    buf_free(&b);
}

static void a_flipped_byte_anywhere_is_an_error_or_changes_nothing(void **state)
{
    static const char flips[] = { 0x01, (char)0x80, (char)0xff };
    struct twoskip t;
    (void)state;
    build_sample(&t);
    for (size_t at = 0; at < buf_len(&t.file); at++)
        for (size_t f = 0; f < sizeof flips; f++) {
            t.file.data[at] = (char)(t.file.data[at] ^ flips[f]);
            write_ts(&t);
            assert_error_or_sample(at, false);
            t.file.data[at] = (char)(t.file.data[at] ^ flips[f]);
        }
    buf_free(&t.file);
}

static void a_twoskip_cut_anywhere_is_an_error_or_changes_nothing(void **state)
{
    struct twoskip t;
    (void)state;
    build_sample(&t);
    for (size_t n = 0; n < buf_len(&t.file); n++) {
        scratch_write("t.db", t.file.data, n);
        assert_error_or_sample(n, n == 0);
    }
    buf_free(&t.file);
}

static void hostile_lengths_with_right_checksums_are_damage(void **state)
{
    struct twoskip t;
    (void)state;
    ts_init(&t);
    uint64_t off = ts_add_open(&t, "key", "value", 1);
    ts_put(ts_at(&t, off + 4), 0xfffffff0, 4); /* a value of 4 GB */
    ts_set_ptr(&t, off, 1, 0);
    ts_commit(&t, off);
    assert_damaged(write_ts(&t), DB_TEXT_REFUSED, 0, "offset 336");
    buf_free(&t.file);

    ts_init(&t);
    ts_add(&t, "key", "value", 1);
    ts_set_ptr(&t, 336, 0, 336); /* its own successor */
    assert_damaged(write_ts(&t), DB_TEXT_REFUSED, 0, "more records");
    assert_damaged(write_ts(&t), DB_TEXT_REFUSED, DB_ON_DISK, "not in order");
    t.count = UINT64_MAX / 2; /* and a count that would let it go on for ever */
    ts_header(&t, buf_len(&t.file), 0);
    assert_damaged(write_ts(&t), DB_TEXT_REFUSED, 0, "more records than the file has room for");
    t.count = 1;
    ts_header(&t, UINT64_MAX / 2, 1); /* or such a size */
    assert_damaged(write_ts(&t), DB_TEXT_REFUSED, 0, "ends before what was committed");
    assert_damaged(write_ts(&t), DB_TEXT_REFUSED, DB_ON_DISK, "ends before what was committed");
    buf_free(&t.file);
}

static void long_values_are_read_in_both_ways(void **state)
{
    struct twoskip t;
    char *value = malloc(5001);
    (void)state;
    memset(value, 'v', 5000);
    value[5000] = '\0';
    ts_init(&t);
    ts_add(&t, "k1", value, 3);
    ts_add(&t, "k2", "short", 2);
    assert_get(write_ts(&t), 0, "k1", value);
    assert_get(write_ts(&t), DB_ON_DISK, "k1", value);
    assert_get(write_ts(&t), DB_ON_DISK, "k2", "short");
    buf_free(&t.file);
    free(value);
}

static void a_twoskip_in_mailbox_order_needs_the_flag(void **state)
{
    struct twoskip t;
    (void)state;
    ts_init(&t);
    t.cmp = mbox_cmp;
    ts_add(&t, "user.a.b", "1", 2);
    ts_add(&t, "user.a b", "2", 3);
    ts_add(&t, "user.a-b", "3", 1);
    const char *path = write_ts(&t);
    assert_contents(path, DB_TEXT_REFUSED, DB_MBOX_ORDER, "", "user.a.b=1;user.a b=2;user.a-b=3;");
    assert_contents(path, DB_TEXT_REFUSED, DB_MBOX_ORDER, "user.a.", "user.a.b=1;");
    assert_get(path, DB_MBOX_ORDER, "user.a b", "2");
    assert_get(path, DB_MBOX_ORDER | DB_ON_DISK, "user.a-b", "3");
    assert_damaged(path, DB_TEXT_REFUSED, 0, "not in order");
    buf_free(&t.file);
}

/* ---- skiplist ---- */

static size_t skiplist_sample(char *out)
{
    size_t n = from_hex("a1028b0d 736b6970 6c697374 2066696c 65000000 00000001 00000002 00000014"
                        "00000003 00000000 00000090 6b043ff9 00000101 00000000 00000000 000000b8",
                        out);
    memset(out + n, 0, 19 * 4);
    n += 19 * 4;
    return n + from_hex("ffffffff 00000002 00000001 61000000 00000001 31000000 000000b8 00000000 00000000"
                        "ffffffff 000000ff 00000002 00000002 62620000 00000002 32320000 00000000"
                        "ffffffff 000000ff 00000004 00000090 000000ff",
                        out + n);
}

static void a_skiplist_is_replayed_to_its_last_commit(void **state)
{
    static const struct {
        size_t from;
        const char *want;
    } STATES[] = { { 0x90, "" }, { 0xb8, "a=1;" }, { 0xd8, "a=1;bb=22;" }, { 0xe4, "bb=22;" } };
    char bytes[512];
    size_t n = skiplist_sample(bytes);
    (void)state;
    assert_int_equal(n, 0xe4);
    assert_contents(scratch_write("s.db", bytes, n), DB_TEXT_REFUSED, 0, "", "bb=22;");
    for (size_t cut = 0x90; cut <= n; cut++) {
        const char *want = NULL;
        for (size_t i = 0; i < 4; i++)
            if (cut >= STATES[i].from)
                want = STATES[i].want;
        assert_contents(scratch_write("s.db", bytes, cut), DB_TEXT_REFUSED, 0, "", want);
    }
    for (size_t cut = 1; cut < 0x90; cut++)
        assert_damaged(scratch_write("s.db", bytes, cut), DB_TEXT_REFUSED, 0, "offset");
}

/* As Cyrus leaves one that it has compacted. */
static void the_sorted_part_of_a_skiplist_is_replayed_too(void **state)
{
    char bytes[512];
    size_t n = skiplist_sample(bytes);
    (void)state;
    bytes[0x2b] = (char)0xb4; /* where the log begins */
    bytes[0x93] = 1;          /* "a" stands in order */
    for (size_t cut = 0xb4; cut <= n; cut++)
        assert_contents(scratch_write("s.db", bytes, cut), DB_TEXT_REFUSED, 0, "",
                        cut < 0xd8 ? "a=1;" : cut < 0xe4 ? "a=1;bb=22;" : "bb=22;");
    for (size_t cut = 0x90; cut < 0xb4; cut++)
        assert_damaged(scratch_write("s.db", bytes, cut), DB_TEXT_REFUSED, 0, "offset");
}

static void a_clean_skiplist_is_searched_in_the_file(void **state)
{
    char bytes[512];
    size_t n = skiplist_sample(bytes);
    (void)state;
    const char *path = scratch_write("s.db", bytes, n);
    assert_get(path, DB_ON_DISK, "bb", "22");
    assert_get(path, DB_ON_DISK, "a", NULL);
    assert_get(path, DB_ON_DISK, "c", NULL);
    assert_contents(path, DB_TEXT_REFUSED, DB_ON_DISK, "b", "bb=22;");
}

static void a_damaged_skiplist_never_crashes_the_reader(void **state)
{
    static const char flips[] = { 0x01, 0x10, (char)0x80, (char)0xff };
    char bytes[512];
    size_t n = skiplist_sample(bytes);
    struct buf b = BUF_INIT;
    (void)state;
    for (size_t at = 0; at < n; at++)
        for (size_t f = 0; f < sizeof flips; f++) {
            bytes[at] = (char)(bytes[at] ^ flips[f]);
            scratch_write("s.db", bytes, n);
            err_free(contents(scratch_path("s.db"), DB_TEXT_REFUSED, 0, "", &b));
            err_free(contents(scratch_path("s.db"), DB_TEXT_REFUSED, DB_ON_DISK, "", &b));
            bytes[at] = (char)(bytes[at] ^ flips[f]);
        }
    buf_free(&b);
}

static void a_skiplist_node_of_unknown_type_is_damage_even_after_a_crash(void **state)
{
    char bytes[512];
    size_t n = skiplist_sample(bytes);
    (void)state;
    bytes[n - 9] = 7; /* the DELETE */
    assert_damaged(scratch_write("s.db", bytes, n - 1), DB_TEXT_REFUSED, 0, "offset 216: a node of unknown type");
}

/* ---- flat, and what is none of them ---- */

static void flat_escapes_are_undone(void **state)
{
    static const char text[] = "a\xff\x89"
                               "b\tv\xff\x8a\xff\xff\xff\x8d\xff\x80.\nplain\nuser.x\t\n";
    struct db *d = NULL;
    struct slice v;
    bool found;
    (void)state;
    const char *path = scratch_write("f", text, sizeof text - 1);
    assert_ok(db_read(path, DB_TEXT_FLAT, 0, &d));
    assert_ok(db_get(d, slice_str("a\tb"), &v, &found));
    assert_true(found);
    assert_true(slice_eq(v, slice_of("v\n\xff\r\0.", 6)));
    assert_ok(db_get(d, slice_str("plain"), &v, &found));
    assert_true(found && v.n == 0);
    db_free(d);
    assert_contents(path, DB_TEXT_FLAT, 0, "user.", "user.x=;");
}

static void a_flat_file_in_mailbox_order_is_searched_in_it(void **state)
{
    struct db *d = NULL;
    struct slice v;
    bool found;
    (void)state;
    const char *path = scratch_write_text("f", "user.a.b\t1\nuser.a b\t2\nuser.a-b\t3\n");
    assert_ok(db_read(path, DB_TEXT_FLAT, 0, &d));
    assert_ok(db_get(d, slice_str("user.a b"), &v, &found));
    assert_true(found);
    assert_slice(v, "2");
    db_free(d);
}

/* Which of two values a search meets is chance: neither is right. The same line twice is no harm. */
static void a_key_with_two_values_is_damage(void **state)
{
    (void)state;
    assert_contents(scratch_write_text("f", "b\t2\na\t1\nb\t2\n"), DB_TEXT_FLAT, 0, "", "a=1;b=2;");
    assert_damaged(scratch_write_text("f", "b\t2\na\t1\nb\t3\n"), DB_TEXT_FLAT, 0, "the key b is there twice");
}

static void a_flat_file_whose_last_line_is_cut_is_damage(void **state)
{
    (void)state;
    assert_damaged(scratch_write_text("f", "a\t1\nb\t2"), DB_TEXT_FLAT, 0, "offset 4");
}

static void a_missing_file_is_empty_unless_it_must_exist(void **state)
{
    struct db *d = NULL;
    (void)state;
    assert_contents(scratch_path("none"), DB_TEXT_REFUSED, 0, "", "");
    assert_err(db_read(scratch_path("none"), DB_TEXT_REFUSED, DB_MUST_EXIST, &d), ERR_NONEXISTENT, "none");
    assert_err(db_read(scratch_write_text("empty", ""), DB_TEXT_REFUSED, DB_MUST_EXIST, &d), ERR_CORRUPT,
               "is empty");
}

static void unknown_kinds_are_refused(void **state)
{
    struct db *d = NULL;
    enum db_text_backend text;
    (void)state;
    assert_err(db_read(scratch_write_text("f", "some\ttext\n"), DB_TEXT_REFUSED, 0, &d), ERR_CORRUPT,
               "no database of a known kind");
    assert_err(db_read(scratch_write("w", "\xa1\x02\x8b\x0dtwomfile\0\0\0\0....", 20), DB_TEXT_FLAT, 0, &d),
               ERR_NOTSUPPORTED, "twom");
    assert_err(db_text_backend("seenstate_db", "sql", &text), ERR_CONFIG, "seenstate_db");
}

static void mailbox_order_puts_the_dot_first(void **state)
{
    (void)state;
    assert_true(mbox_cmp(slice_str("user.alice.a.b"), slice_str("user.alice.a b")) < 0);
    assert_true(mbox_cmp(slice_str("user.alice.a b"), slice_str("user.alice.a-b")) < 0);
    assert_true(mbox_cmp(slice_str("user.alice"), slice_str("user.alice.a")) < 0);
    assert_true(mbox_cmp(slice_str("a\tb"), slice_str("a.b")) < 0);
    assert_true(mbox_cmp(slice_of("a\x01", 2), slice_str("a.")) > 0);
    assert_true(mbox_cmp(slice_of("a\0", 2), slice_str("a\t")) < 0);
    assert_true(mbox_cmp(slice_str("a\xff"), slice_str("az")) > 0);
    for (int x = 0; x < 256; x++)
        for (int y = 0; y < x; y++) {
            char a = (char)x, b = (char)y;
            bool ends = x == '\n' && y == '\t'; /* no name has either */
            assert_int_equal(mbox_cmp(slice_of(&a, 1), slice_of(&b, 1)) == 0, ends);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_builder_makes_the_bytes_that_cyrus_wrote),
        cmocka_unit_test(a_twoskip_gives_its_live_records_in_order),
        cmocka_unit_test(a_twoskip_without_records_is_empty),
        cmocka_unit_test(an_unclean_twoskip_gives_the_last_committed_state),
        cmocka_unit_test(an_unclean_twoskip_with_damage_says_who_repairs_it),
        cmocka_unit_test(a_flipped_byte_anywhere_is_an_error_or_changes_nothing),
        cmocka_unit_test(a_twoskip_cut_anywhere_is_an_error_or_changes_nothing),
        cmocka_unit_test(hostile_lengths_with_right_checksums_are_damage),
        cmocka_unit_test(long_values_are_read_in_both_ways),
        cmocka_unit_test(a_twoskip_in_mailbox_order_needs_the_flag),
        cmocka_unit_test(a_skiplist_is_replayed_to_its_last_commit),
        cmocka_unit_test(the_sorted_part_of_a_skiplist_is_replayed_too),
        cmocka_unit_test(a_clean_skiplist_is_searched_in_the_file),
        cmocka_unit_test(a_damaged_skiplist_never_crashes_the_reader),
        cmocka_unit_test(a_skiplist_node_of_unknown_type_is_damage_even_after_a_crash),
        cmocka_unit_test(flat_escapes_are_undone),
        cmocka_unit_test(a_flat_file_in_mailbox_order_is_searched_in_it),
        cmocka_unit_test(a_key_with_two_values_is_damage),
        cmocka_unit_test(a_flat_file_whose_last_line_is_cut_is_damage),
        cmocka_unit_test(a_missing_file_is_empty_unless_it_must_exist),
        cmocka_unit_test(unknown_kinds_are_refused),
        cmocka_unit_test(mailbox_order_puts_the_dot_first),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
