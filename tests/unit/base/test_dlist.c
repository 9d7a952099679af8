/* Tests of the dlist tree, reader and writer (fansync/dlist.h). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "fansync/dlist.h"

/* ---- helpers ---- */

#define LIT(s) slice_of(s, sizeof(s) - 1)

/* A tree as text that shows everything, so that two trees can be compared. */
static void dump(struct buf *b, const struct dlist *d)
{
    static const char types[] = "nslkf";
    buf_printf(b, "%c[%zu:", types[d->type], d->key.n);
    buf_add(b, d->key.p, d->key.n);
    buf_printf(b, "][%zu:", d->str.n);
    buf_add(b, d->str.p, d->str.n);
    buf_printf(b, "]");
    if (d->type == DLIST_FILE) {
        char hex[GUID_HEX + 1];
        guid_format(&d->guid, hex);
        buf_printf(b, "<" SLICE_FMT " %s %llu>", SLICE_ARG(d->partition), hex,
                   (unsigned long long)d->size);
    }
    for (const struct dlist *c = d->first; c; c = c->next)
        dump(b, c);
    buf_addc(b, ';');
}

struct outcome {
    struct buf text; /* dump, or kind and message of the error */
    size_t used;
    bool done;
};

static void outcome_free(struct outcome *o)
{
    buf_free(&o->text);
}

/* Feeds in pieces whose sizes next() gives. */
static struct outcome read_pieces(struct dlist_reader *r, struct slice in, bool with_key, size_t max,
                                  size_t (*next)(void *), void *ctx)
{
    struct arena arena = ARENA_INIT;
    struct outcome o = { .text = BUF_INIT };
    dlist_reader_begin(r, &arena, NULL, with_key, max);
    struct err *e = NULL;
    enum dlist_status status = DLIST_MORE;
    while (!e && status == DLIST_MORE && o.used < in.n) {
        size_t n = next(ctx), used = 0;
        if (n > in.n - o.used)
            n = in.n - o.used;
        char *copy = malloc(n ? n : 1); /* so that reading beyond the piece is seen */
        memcpy(copy, in.p + o.used, n);
        e = dlist_reader_feed(r, copy, n, &used, &status);
        free(copy);
        o.used += used;
        assert_true(e || status == DLIST_DONE || used == n);
    }
    if (e) {
        buf_printf(&o.text, "error %s: %s", err_kind_name(e->kind), e->msg);
        o.used = 0;
        err_free(e);
    } else if (status == DLIST_DONE) {
        o.done = true;
        dump(&o.text, dlist_reader_result(r));
    } else {
        assert_null(dlist_reader_result(r));
    }
    arena_free(&arena);
    return o;
}

static size_t next_fixed(void *ctx)
{
    return *(size_t *)ctx;
}

static struct outcome read_whole(struct slice in, bool with_key)
{
    size_t all = in.n;
    struct dlist_reader *r = dlist_reader_new();
    struct outcome o = read_pieces(r, in, with_key, 1 << 20, next_fixed, &all);
    dlist_reader_free(r);
    return o;
}

static void assert_reads(struct slice in, const char *dumped, size_t used)
{
    struct outcome o = read_whole(in, false);
    assert_string_equal(buf_cstr(&o.text), dumped);
    assert_int_equal(o.used, used);
    outcome_free(&o);
}

static void assert_refused(struct slice in, const char *msg)
{
    struct outcome o = read_whole(in, false);
    assert_string_equal(buf_cstr(&o.text), msg);
    outcome_free(&o);
}

/* ---- reading ---- */

static void every_form_of_a_string_is_the_same_value(void **state)
{
    (void)state;
    assert_reads(LIT("abc "), "s[0:][3:abc];", 3);
    assert_reads(LIT("\"abc\"\r\n"), "s[0:][3:abc];", 5);
    assert_reads(LIT("\"a\\bc\""), "s[0:][3:abc];", 6);
    assert_reads(LIT("{3}\r\nabc"), "s[0:][3:abc];", 8);
    assert_reads(LIT("{3+}\r\nabc"), "s[0:][3:abc];", 9);
    assert_reads(LIT("\\Seen)"), "s[0:][5:\\Seen];", 5);
}

static void nil_is_absent_only_without_quotes(void **state)
{
    (void)state;
    assert_reads(LIT("NIL "), "n[0:][0:];", 3);
    assert_reads(LIT("\"NIL\""), "s[0:][3:NIL];", 5);
    assert_reads(LIT("{3}\r\nNIL"), "s[0:][3:NIL];", 8);
    assert_reads(LIT("nil "), "s[0:][3:nil];", 3);
}

static void empty_strings_lists_and_files_are_complete_at_once(void **state)
{
    (void)state;
    assert_reads(LIT("\"\""), "s[0:][0:];", 2);
    assert_reads(LIT("{0}\r\n"), "s[0:][0:];", 5);
    assert_reads(LIT("()"), "l[0:][0:];", 2);
    assert_reads(LIT("%()"), "k[0:][0:];", 3);
    assert_reads(LIT("%{default 0000000000000000000000000000000000000000 0}\r\n"),
                 "f[0:][0:]<default 0000000000000000000000000000000000000000 0>;", 55);
}

static void blanks_and_line_ends_between_items_are_skipped(void **state)
{
    (void)state;
    assert_reads(LIT("( a  b\r\n\tc )"), "l[0:][0:]s[0:][1:a];s[0:][1:b];s[0:][1:c];;", 12);
    assert_reads(LIT("%( K  v\r\n L\r\n() )"), "k[0:][0:]s[1:K][1:v];l[1:L][0:];;", 17);
}

static void a_line_has_a_key_and_leaves_its_end_unread(void **state)
{
    (void)state;
    struct outcome o = read_whole(LIT("MAILBOX %(A 1 \"B b\" (x %(C {2+}\r\n\0))) D NIL)\r\n* X"), true);
    struct buf want = BUF_INIT;
    buf_adds(&want, "k[7:MAILBOX][0:]s[1:A][1:1];l[3:B b][0:]s[0:][1:x];k[0:][0:]s[1:C][2:");
    buf_add(&want, "\0)", 2);
    buf_adds(&want, "];;;n[1:D][0:];;");
    assert_true(slice_eq(buf_slice(&want), buf_slice(&o.text)));
    assert_int_equal(o.used, 44);
    buf_free(&want);
    outcome_free(&o);
}

static void malformed_items_are_refused_with_their_place(void **state)
{
    (void)state;
    assert_refused(LIT(")"), "error protocol: closing bracket without an opening one at offset 0");
    assert_refused(LIT("\r\n"), "error protocol: a string is missing at offset 0");
    assert_refused(LIT("%x"), "error protocol: '%' without bracket at offset 1");
    assert_refused(LIT("(%x"), "error protocol: '%' without bracket at offset 2");
    assert_refused(LIT("%(A)"), "error protocol: a blank is missing at offset 3");
    assert_refused(LIT("%(A )"), "error protocol: a key without a value at offset 4");
    assert_refused(LIT("%((a) b)"), "error protocol: a string is missing at offset 2");
    assert_refused(LIT("(\"a\"b)"), "error protocol: items without a blank between them at offset 4");
    assert_refused(LIT("(a\0b)"), "error protocol: items without a blank between them at offset 2");
    assert_refused(LIT("\"a\nb\""), "error protocol: a quoted string that does not end in its line at offset 2");
    assert_refused(LIT("\"a\0b\""), "error protocol: a quoted string that does not end in its line at offset 2");
    assert_refused(LIT("{}\r\n"), "error protocol: a malformed size at offset 1");
    assert_refused(LIT("{-1}\r\n"), "error protocol: a malformed size at offset 1");
    assert_refused(LIT("{1}\nx"), "error protocol: a malformed header of a literal or file at offset 3");
    assert_refused(LIT("{1+ }\r\nx"), "error protocol: a malformed header of a literal or file at offset 3");
    assert_refused(LIT("{99999999999999999999999}\r\n"), "error protocol: a size beyond the limit at offset 7");
    assert_refused(LIT("%{p 00 1}"), "error protocol: a guid that is not 40 hex digits at offset 6");
    assert_refused(LIT("%{p 0000000000000000000000000000000000000000 4294967296}\r\n"),
                   "error protocol: a size beyond the limit at offset 54");
    assert_refused(LIT("%{p 0000000000000000000000000000000000000000 1+}\r\n"),
                   "error protocol: a malformed size at offset 46");
}

static void nesting_is_limited_to_64_brackets(void **state)
{
    (void)state;
    char text[200];
    memset(text, '(', 65);
    memset(text, '(', 64);
    memset(text + 64, ')', 64);
    struct outcome o = read_whole(slice_of(text, 128), false);
    assert_true(o.done);
    outcome_free(&o);
    memset(text, '(', 65);
    assert_refused(slice_of(text, 65), "error protocol: brackets nested too deeply at offset 64");
}

static void an_element_beyond_the_limit_is_refused_in_every_form(void **state)
{
    (void)state;
    static const char *const over[] = { "aaaaaaaaaaaa ", "\"aaaaaaaaaaaa\"", "{12}\r\n", "{11+}\r\n" };
    struct dlist_reader *r = dlist_reader_new();
    for (size_t i = 0; i < 4; i++)
        for (size_t piece = 1; piece < 8; piece++) {
            struct outcome o = read_pieces(r, slice_str(over[i]), false, 10, next_fixed, &piece);
            assert_true(slice_starts(buf_slice(&o.text), "error protocol: "));
            outcome_free(&o);
        }
    size_t one = 1;
    struct outcome ok = read_pieces(r, LIT("{10}\r\n0123456789"), false, 10, next_fixed, &one);
    assert_true(ok.done);
    outcome_free(&ok);
    dlist_reader_free(r);
}

struct seen {
    struct buf text;
    size_t n;
    size_t fail_at;
    uint64_t file_bytes;
};

static struct err *see_item(void *ctx, const struct dlist *item)
{
    struct seen *s = ctx;
    if (++s->n == s->fail_at)
        return err_new(ERR_CHECKSUM, "enough");
    if (s->n <= 3)
        dump(&s->text, item);
    return NULL;
}

static struct err *see_file(void *ctx, const struct dlist *file, const void *p, size_t n)
{
    struct seen *s = ctx;
    assert_int_equal(file->size, 5);
    buf_add(&s->text, p, n);
    s->file_bytes += n;
    return NULL;
}

static struct err *feed_all(struct dlist_reader *r, struct slice in, enum dlist_status *status)
{
    size_t used;
    TRY(dlist_reader_feed(r, in.p, in.n, &used, status));
    assert_int_equal(used, in.n);
    return NULL;
}

static void watched_items_go_to_the_hook_and_only_at_depth_two(void **state)
{
    (void)state;
    struct seen s = { .text = BUF_INIT };
    struct dlist_hooks hooks = { &s, "RECORD", see_item, NULL };
    struct arena arena = ARENA_INIT;
    struct dlist_reader *r = dlist_reader_new();
    enum dlist_status status;
    dlist_reader_begin(r, &arena, &hooks, true, 1000);
    assert_null(feed_all(r, LIT("MAILBOX %(A (x y) RECORD (%(UID 1 RECORD (z)) b (c d)) L (%(RECORD (w))))"), &status));
    assert_int_equal(status, DLIST_DONE);
    assert_string_equal(buf_cstr(&s.text), "k[0:][0:]s[3:UID][1:1];l[6:RECORD][0:]s[0:][1:z];;;"
                                           "s[0:][1:b];l[0:][0:]s[0:][1:c];s[0:][1:d];;");
    assert_int_equal(s.n, 3);
    struct buf rest = BUF_INIT;
    dump(&rest, dlist_reader_result(r));
    assert_string_equal(buf_cstr(&rest), "k[7:MAILBOX][0:]l[1:A][0:]s[0:][1:x];s[0:][1:y];;l[6:RECORD][0:];"
                                         "l[1:L][0:]k[0:][0:]l[6:RECORD][0:]s[0:][1:w];;;;;");
    buf_free(&rest);
    buf_free(&s.text);
    dlist_reader_free(r);
    arena_free(&arena);
}

static void a_hundred_thousand_watched_records_need_the_memory_of_one(void **state)
{
    (void)state;
    struct seen s = { .text = BUF_INIT };
    struct dlist_hooks hooks = { &s, "RECORD", see_item, NULL };
    struct arena arena = ARENA_INIT;
    struct dlist_reader *r = dlist_reader_new();
    enum dlist_status status;
    dlist_reader_begin(r, &arena, &hooks, true, 1000);
    assert_null(feed_all(r, LIT("MAILBOX %(UNIQUEID abc RECORD ("), &status));
    for (int i = 0; i < 100000; i++)
        assert_null(feed_all(r, LIT("%(UID 1 FLAGS (\\Seen \\Answered) GUID 0123456789012345678901234567890123456789) "), &status));
    assert_null(feed_all(r, LIT("))"), &status));
    assert_int_equal(status, DLIST_DONE);
    assert_int_equal(s.n, 100000);
    assert_true(arena_used(&arena) < 4096);
    buf_free(&s.text);
    dlist_reader_free(r);
    arena_free(&arena);
}

static void an_error_of_a_hook_ends_the_reading_with_it(void **state)
{
    (void)state;
    struct seen s = { .text = BUF_INIT, .fail_at = 2 };
    struct dlist_hooks hooks = { &s, "R", see_item, NULL };
    struct arena arena = ARENA_INIT;
    struct dlist_reader *r = dlist_reader_new();
    enum dlist_status status;
    size_t used;
    dlist_reader_begin(r, &arena, &hooks, false, 1000);
    struct err *e = dlist_reader_feed(r, "%(R (a b c))", 12, &used, &status);
    assert_non_null(e);
    assert_int_equal(e->kind, ERR_CHECKSUM);
    err_free(e);
    assert_int_equal(s.n, 2);
    buf_free(&s.text);
    dlist_reader_free(r);
    arena_free(&arena);
}

static void a_file_is_stored_or_goes_to_the_sink_piece_by_piece(void **state)
{
    (void)state;
    struct slice in = LIT("(%{{4+}\r\npart 0123456789abcdef0123456789ABCDEF01234567 5}\r\nab)\r\n x)");
    assert_reads(in, "l[0:][0:]f[0:][5:ab)\r\n]<part 0123456789abcdef0123456789abcdef01234567 5>;s[0:][1:x];;", 67);
    struct seen s = { .text = BUF_INIT };
    struct dlist_hooks hooks = { &s, NULL, NULL, see_file };
    struct arena arena = ARENA_INIT;
    struct dlist_reader *r = dlist_reader_new();
    enum dlist_status status;
    dlist_reader_begin(r, &arena, &hooks, false, 1000);
    for (size_t i = 0; i < in.n; i++)
        assert_null(feed_all(r, slice_of(in.p + i, 1), &status));
    assert_int_equal(status, DLIST_DONE);
    assert_string_equal(buf_cstr(&s.text), "ab)\r\n");
    assert_int_equal(dlist_reader_result(r)->first->str.n, 0);
    buf_free(&s.text);
    dlist_reader_free(r);
    arena_free(&arena);
}

/* ---- dlist_parse and the accessors ---- */

static const struct dlist *parse(struct arena *a, const char *text)
{
    struct dlist *d = NULL;
    struct err *e = dlist_parse(a, slice_str(text), &d);
    if (e)
        fail_msg("%s", e->msg);
    return d;
}

static void database_values_are_parsed_with_any_byte_in_atoms(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    const struct dlist *d = parse(&a, "%(T f N user\x1f\x61lice\x1f#sieve A %(alice lrswipkxtecdan \"group:my team\" lrs) H () V 17)");
    struct slice s;
    uint32_t v;
    assert_true(dlist_str(d, "N", &s) && slice_eqs(s, "user\x1f\x61lice\x1f#sieve"));
    assert_true(dlist_str(dlist_get(d, "A"), "group:my team", &s) && slice_eqs(s, "lrs"));
    assert_true(dlist_u32(d, "V", &v) && v == 17);
    assert_int_equal(dlist_get(d, "H")->type, DLIST_LIST);
    assert_int_equal(dlist_count(dlist_get(d, "H")), 0);
    assert_null(dlist_get(d, "t"));
    d = parse(&a, "(na\xc3\xafve{x} a(b *%\"c)");
    assert_true(slice_eqs(d->first->str, "na\xc3\xafve{x}"));
    assert_true(slice_eqs(d->first->next->str, "a(b"));
    assert_true(slice_eqs(d->first->next->next->str, "*%\"c"));
    assert_true(slice_eqs(parse(&a, "12")->str, "12"));
    assert_int_equal(parse(&a, "NIL")->type, DLIST_NIL);
    arena_free(&a);
}

static void a_database_value_that_ends_early_or_late_is_corrupt(void **state)
{
    (void)state;
    static const char *const bad[] = { "", "(", "%(A 1", "\"abc", "{5}\r\nabc", "{5", "(a))", "a b", "\"a\" ", "%(A 1)\n", "%(A", ")" };
    struct arena a = ARENA_INIT;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct dlist *d;
        struct err *e = dlist_parse(&a, slice_str(bad[i]), &d);
        if (!e)
            fail_msg("accepted: %s", bad[i]);
        assert_int_equal(e->kind, ERR_CORRUPT);
        err_free(e);
    }
    struct dlist *d;
    struct err *e = dlist_parse(&a, LIT("%(A 1) "), &d);
    assert_string_equal(e->msg, "bytes behind the end of the value at offset 6");
    err_free(e);
    arena_free(&a);
}

static void numbers_are_digits_that_fit(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    const struct dlist *d = parse(&a, "%(max 4294967295 over 4294967296 big 18446744073709551615 bigger 18446744073709551616 "
                                      "neg -5 minus - plus +1 empty \"\" hex 1a nil NIL list (1) lead 007 imax 9223372036854775807 "
                                      "iover 9223372036854775808 q \"42\" max 1)");
    uint32_t v32;
    uint64_t v64;
    int64_t i64;
    assert_true(dlist_u32(d, "max", &v32) && v32 == UINT32_MAX);
    assert_false(dlist_u32(d, "over", &v32));
    assert_true(dlist_u64(d, "over", &v64) && v64 == 4294967296u);
    assert_true(dlist_u64(d, "big", &v64) && v64 == UINT64_MAX);
    assert_true(dlist_u32(d, "lead", &v32) && v32 == 7);
    assert_true(dlist_u32(d, "q", &v32) && v32 == 42);
    static const char *const bad[] = { "bigger", "neg", "minus", "plus", "empty", "hex", "nil", "list", "none" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(dlist_u64(d, bad[i], &v64));
    assert_true(dlist_i64(d, "neg", &i64) && i64 == -5);
    assert_true(dlist_i64(d, "imax", &i64) && i64 == INT64_MAX);
    assert_false(dlist_i64(d, "iover", &i64));
    assert_false(dlist_i64(d, "minus", &i64));
    assert_false(dlist_u32(d->first, "max", &v32));
    assert_false(dlist_u32(NULL, "max", &v32));
    arena_free(&a);
}

/* ---- writing ---- */

static void assert_written(struct slice s, struct slice want)
{
    struct buf b = BUF_INIT;
    dlist_write_str(&b, s);
    assert_int_equal(buf_len(&b), want.n);
    assert_memory_equal(buf_ptr(&b), want.p, want.n);
    buf_free(&b);
}

static void the_form_of_a_string_is_chosen_by_its_bytes(void **state)
{
    (void)state;
    assert_written(LIT(""), LIT("\"\""));
    assert_written(LIT("user.fred"), LIT("user.fred"));
    assert_written(LIT("[]}<>~^&=/+,:;@#$!?'|.-"), LIT("[]}<>~^&=/+,:;@#$!?'|.-"));
    assert_written(LIT("NIL"), LIT("\"NIL\""));
    assert_written(LIT("a b"), LIT("\"a b\""));
    assert_written(LIT("fred\tlrs\t"), LIT("\"fred\tlrs\t\""));
    assert_written(LIT("a\x1f"), LIT("\"a\x1f\""));
    assert_written(LIT("a\x7f"), LIT("\"a\x7f\""));
    assert_written(LIT("(*){"), LIT("\"(*){\""));
    assert_written(LIT("50%"), LIT("{3+}\r\n50%"));
    assert_written(LIT("a\"b"), LIT("{3+}\r\na\"b"));
    assert_written(LIT("a\\b"), LIT("{3+}\r\na\\b"));
    assert_written(LIT("a\0b"), LIT("{3+}\r\na\0b"));
    assert_written(LIT("a\r\nb"), LIT("{4+}\r\na\r\nb"));
    assert_written(LIT("\xc3\xa9"), LIT("{2+}\r\n\xc3\xa9"));
}

static void strings_of_more_than_1023_bytes_are_literals(void **state)
{
    (void)state;
    char text[1024];
    memset(text, 'a', sizeof text);
    struct buf b = BUF_INIT;
    dlist_write_str(&b, slice_of(text, 1023));
    assert_int_equal(buf_len(&b), 1023);
    dlist_write_str(&b, slice_of(text, 1024));
    assert_memory_equal(buf_ptr(&b) + 1023, "{1024+}\r\na", 10);
    buf_free(&b);
}

static void lists_under_construction_have_one_blank_between_items(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    struct guid g = { { 0xab } };
    buf_adds(&b, "%(");
    dlist_put_str(&b, "NAME", LIT("x y"));
    dlist_put_u64(&b, "N", UINT64_MAX);
    dlist_put_i64(&b, "D", INT64_MIN);
    dlist_put_guid(&b, "G", &g);
    dlist_put_list(&b, "L");
    dlist_item_str(&b, LIT("a"));
    dlist_item_guid(&b, &g);
    dlist_item_flag(&b, LIT("\\Seen"));
    dlist_item_flag(&b, LIT("$Label1"));
    dlist_item_flag(&b, LIT("NIL"));
    buf_adds(&b, "))");
    assert_string_equal(buf_cstr(&b), "%(NAME \"x y\" N 18446744073709551615 D -9223372036854775808 "
                                      "G ab00000000000000000000000000000000000000 "
                                      "L (a ab00000000000000000000000000000000000000 \\Seen $Label1 \"NIL\"))");
    buf_free(&b);
}

static void a_literal_that_ends_in_a_bracket_does_not_swallow_the_next_blank(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    struct arena a = ARENA_INIT;
    buf_adds(&b, "%(");
    dlist_put_str(&b, "A", LIT("\xc3\xa9("));
    dlist_put_str(&b, "B", LIT("%("));
    buf_adds(&b, ")");
    const struct dlist *d = parse(&a, buf_cstr(&b));
    struct slice s;
    assert_true(dlist_str(d, "A", &s) && slice_eqs(s, "\xc3\xa9("));
    assert_true(dlist_str(d, "B", &s) && slice_eqs(s, "%("));
    buf_free(&b);
    arena_free(&a);
}

/* ---- random input ---- */

struct rnd {
    uint64_t x;
};

static uint32_t rnd(struct rnd *r)
{
    r->x = r->x * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(r->x >> 33);
}

static size_t next_random(void *ctx)
{
    return rnd(ctx) % 9; /* also 0 */
}

static const char *const seeds[] = {
    "MAILBOX %(UNIQUEID abc ACL \"fred\tlrs\t\" RECORD (%(UID 1 FLAGS (\\Seen x) GUID 0123456789abcdef0123456789abcdef01234567)) N NIL)\r\n",
    "LSUB (user.fred {3}\r\na\"b {4+}\r\n(()) \"q\\\"q\")\r\n",
    "MESSAGE (%{default 0123456789abcdef0123456789abcdef01234567 12}\r\nFrom: a\r\n\r\nb %{\"p q\" 0123456789abcdef0123456789abcdef01234567 0}\r\n)\r\n",
    "X %(A () B %(C {0}\r\n D (NIL \"\" ()) {1}\r\nE {1+}\r\n\xff))\r\n",
    "ENABLED atom\r\n",
};

static void mutate(struct rnd *r, struct buf *b)
{
    static const char alphabet[] = "(){}%\"\\ \r\n+0129NILa\0\xff";
    for (uint32_t changes = rnd(r) % 4; changes > 0; changes--) {
        size_t at = b->start + rnd(r) % buf_len(b);
        switch (rnd(r) % 3) {
        case 0: b->data[at] = alphabet[rnd(r) % (sizeof alphabet - 1)]; break;
        case 1: b->data[at] = (char)rnd(r); break;
        case 2: /* cut a piece out */
            if (buf_len(b) > 12) {
                size_t n = 1 + rnd(r) % 4;
                if (at + n < b->end) {
                    memmove(b->data + at, b->data + at + n, b->end - at - n);
                    b->end -= n;
                }
            }
            break;
        }
    }
}

static void mutated_items_give_the_same_tree_at_every_split(void **state)
{
    (void)state;
    struct rnd r = { 20240817 };
    struct dlist_reader *reader = dlist_reader_new();
    size_t done = 0;
    for (int i = 0; i < 100000; i++) {
        struct buf b = BUF_INIT;
        buf_adds(&b, seeds[rnd(&r) % (sizeof seeds / sizeof *seeds)]);
        mutate(&r, &b);
        size_t all = buf_len(&b), max = rnd(&r) % 4 ? 1000 : 8;
        struct outcome whole = read_pieces(reader, buf_slice(&b), true, max, next_fixed, &all);
        struct outcome split = read_pieces(reader, buf_slice(&b), true, max, next_random, &r);
        assert_int_equal(whole.done, split.done);
        assert_int_equal(whole.used, split.used);
        if (whole.done) /* the place named in an error may depend on the split */
            assert_true(slice_eq(buf_slice(&whole.text), buf_slice(&split.text)));
        else
            assert_int_equal(buf_len(&whole.text) > 0, buf_len(&split.text) > 0);
        done += whole.done;
        outcome_free(&whole);
        outcome_free(&split);
        buf_free(&b);
    }
    dlist_reader_free(reader);
    assert_true(done > 20000 && done < 90000);
}

static void what_the_writer_writes_the_reader_reads(void **state)
{
    (void)state;
    struct rnd r = { 4711 };
    for (int i = 0; i < 20000; i++) {
        struct buf b = BUF_INIT, text = BUF_INIT;
        struct arena a = ARENA_INIT;
        struct slice s;
        for (uint32_t n = rnd(&r) % 8; n > 0; n--)
            buf_addc(&text, rnd(&r) % 3 ? "NIL( )%{}\"\\\r\n"[rnd(&r) % 13] : (char)rnd(&r));
        buf_adds(&b, "%(");
        dlist_put_str(&b, "A", buf_slice(&text));
        dlist_put_str(&b, "B", buf_slice(&text));
        buf_addc(&b, ')');
        struct dlist *d;
        assert_null(dlist_parse(&a, buf_slice(&b), &d));
        assert_int_equal(dlist_count(d), 2);
        assert_true(dlist_str(d, "A", &s) && slice_eq(s, buf_slice(&text)));
        assert_true(dlist_str(d, "B", &s) && slice_eq(s, buf_slice(&text)));
        buf_free(&b);
        buf_free(&text);
        arena_free(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_of_a_string_is_the_same_value),
        cmocka_unit_test(nil_is_absent_only_without_quotes),
        cmocka_unit_test(empty_strings_lists_and_files_are_complete_at_once),
        cmocka_unit_test(blanks_and_line_ends_between_items_are_skipped),
        cmocka_unit_test(a_line_has_a_key_and_leaves_its_end_unread),
        cmocka_unit_test(malformed_items_are_refused_with_their_place),
        cmocka_unit_test(nesting_is_limited_to_64_brackets),
        cmocka_unit_test(an_element_beyond_the_limit_is_refused_in_every_form),
        cmocka_unit_test(watched_items_go_to_the_hook_and_only_at_depth_two),
        cmocka_unit_test(a_hundred_thousand_watched_records_need_the_memory_of_one),
        cmocka_unit_test(an_error_of_a_hook_ends_the_reading_with_it),
        cmocka_unit_test(a_file_is_stored_or_goes_to_the_sink_piece_by_piece),
        cmocka_unit_test(database_values_are_parsed_with_any_byte_in_atoms),
        cmocka_unit_test(a_database_value_that_ends_early_or_late_is_corrupt),
        cmocka_unit_test(numbers_are_digits_that_fit),
        cmocka_unit_test(the_form_of_a_string_is_chosen_by_its_bytes),
        cmocka_unit_test(strings_of_more_than_1023_bytes_are_literals),
        cmocka_unit_test(lists_under_construction_have_one_blank_between_items),
        cmocka_unit_test(a_literal_that_ends_in_a_bracket_does_not_swallow_the_next_blank),
        cmocka_unit_test(mutated_items_give_the_same_tree_at_every_split),
        cmocka_unit_test(what_the_writer_writes_the_reader_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
