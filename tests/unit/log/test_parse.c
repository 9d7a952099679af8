/*
 * Tests of one line of a sync log: parsing, writing, and that one undoes the other. With
 * "--show FILE" it prints what it reads in a file of records, for tests/integration.
 */
#include "../test.h"

#include <stdio.h>
#include <stdlib.h>
#include "fansync/synclog.h"

static struct arena arena;

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static struct action parsed(const char *line)
{
    struct action a = { .kind = ACTION_KINDS };
    bool any = false;
    assert_ok(synclog_parse(&arena, slice_str(line), &a, &any));
    assert_true(any);
    return a;
}

static void check(const char *line, enum action_kind kind, const char *a, const char *b)
{
    struct action got = parsed(line);
    assert_int_equal(got.kind, kind);
    assert_slice(got.a, a);
    assert_slice(got.b, b);
}

static void check_nothing(const char *line)
{
    struct action a;
    bool any = true;
    assert_ok(synclog_parse(&arena, slice_str(line), &a, &any));
    assert_false(any);
}

static void check_bad(const char *line, const char *message)
{
    struct action a;
    bool any;
    struct err *e = synclog_parse(&arena, slice_str(line), &a, &any);
    assert_non_null(e);
    assert_int_equal(e->kind, ERR_CORRUPT);
    assert_string_equal(e->msg, message);
    err_free(e);
}

static void every_type_gives_its_action(void **state)
{
    (void)state;
    check("MAILBOX user.a", ACTION_MAILBOX, "user.a", "");
    check("APPEND user.a", ACTION_MAILBOX, "user.a", "");
    check("DOUBLEMAILBOX user.a user.b", ACTION_MAILBOX, "user.a", "user.b");
    check("RENAME user.a user.b", ACTION_RENAME, "user.a", "user.b");
    check("UNMAILBOX user.a", ACTION_UNMAILBOX, "user.a", "");
    check("USER a", ACTION_USER, "a", "");
    check("UNUSER a", ACTION_UNUSER, "a", "");
    check("META a", ACTION_META, "a", "");
    check("SIEVE a", ACTION_META, "a", "");
    check("QUOTA user.a", ACTION_QUOTA, "user.a", "");
    check("ANNOTATION \"\"", ACTION_ANNOTATION, "", "");
    check("ANNOTATION user.a", ACTION_ANNOTATION, "user.a", "");
    check("SEEN a 5ab3", ACTION_SEEN, "a", "5ab3");
    check("SUB a user.b", ACTION_SUB, "a", "user.b");
    check("UNSUB a user.b", ACTION_SUB, "a", "user.b");
}

static void case_of_the_type_and_a_cr_at_the_end_do_not_matter(void **state)
{
    (void)state;
    check("mailbox user.A", ACTION_MAILBOX, "user.A", "");
    check("MailBox user.a\r", ACTION_MAILBOX, "user.a", "");
    check("seen a \"b\"\r", ACTION_SEEN, "a", "b");
}

static void empty_lines_and_types_alone_ask_for_nothing(void **state)
{
    (void)state;
    check_nothing("");
    check_nothing("\r");
    check_nothing("MAILBOX");
    check_nothing("NOARG\r");
}

static void quoted_arguments_lose_quotes_and_backslashes(void **state)
{
    (void)state;
    check("MAILBOX \"user.a b\\\"c\\\\d\\{e\\}\t(f)\"", ACTION_MAILBOX, "user.a b\"c\\d{e}\t(f)", "");
    check("SUB \"a b\" \"c d\"", ACTION_SUB, "a b", "c d");
    check("MAILBOX a{b\\c}%*'\xc3\xa9", ACTION_MAILBOX, "a{b\\c}%*'\xc3\xa9", "");
}

static void a_second_argument_counts_for_mailboxes_and_is_ignored_elsewhere(void **state)
{
    (void)state;
    check("MAILBOX a b", ACTION_MAILBOX, "a", "b");
    check("APPEND a b", ACTION_MAILBOX, "a", "b");
    check("USER a b", ACTION_USER, "a", "");
    check("QUOTA a b", ACTION_QUOTA, "a", "");
}

static void a_rename_with_one_name_is_about_that_mailbox(void **state)
{
    (void)state;
    check("RENAME a", ACTION_MAILBOX, "a", "");
}

static void bad_lines_say_what_is_wrong(void **state)
{
    (void)state;
    check_bad("ACL user.a", "Unknown action type: ACL");
    check_bad("f\x1b[1moo x", "Unknown action type: f\\x1b[1moo");
    check_bad("MAILBOX\tuser.a", "Invalid input");
    check_bad("MAILBOX(x", "Invalid input");
    check_bad(" MAILBOX x", "Invalid input");
    check_bad("MAILBOX us\rer", "Invalid input");
    check_bad("MAILBOX a b c", "Garbage at end of input line");
    check_bad("MAILBOX a b ", "Garbage at end of input line");
    check_bad("MAILBOX a ", "Garbage at end of input line");
    check_bad("MAILBOX a(b", "Garbage at end of input line");
    check_bad("MAILBOX \"a\"b", "Garbage at end of input line");
    check_bad("MAILBOX ", "Missing mailbox name: MAILBOX ");
    check_bad("MAILBOX  a", "Missing mailbox name: MAILBOX  a");
    check_bad("MAILBOX (foo", "Missing mailbox name: MAILBOX (foo");
    check_bad("MAILBOX \"\"", "Missing mailbox name: MAILBOX \"\"");
    check_bad("USER \t", "Missing user name: USER \\x09");
    check_bad("SEEN a", "Missing mailbox uniqueid: SEEN a");
    check_bad("SUB a", "Missing mailbox name: SUB a");
    check_bad("MAILBOX \"a", "Missing closing quote: \"a");
    check_bad("MAILBOX \"a\\\"", "Missing closing quote: \"a\\\"");
    check_bad("MAILBOX {3}", "Literals are not accepted: {3}");
}

static void a_nul_makes_a_line_bad(void **state)
{
    struct action a;
    bool any;
    (void)state;
    assert_err(synclog_parse(&arena, slice_of("MAILBOX a\0b", 11), &a, &any), ERR_CORRUPT, "Invalid input");
}

static void messages_are_cut(void **state)
{
    struct action a;
    bool any;
    char *line = calloc(1, 100001);
    (void)state;
    memset(line, 'x', 100000);
    line[90000] = ' ';
    struct err *e = synclog_parse(&arena, slice_str(line), &a, &any);
    assert_non_null(e);
    assert_true(strlen(e->msg) < 500);
    assert_non_null(strstr(e->msg, "xxx..."));
    err_free(e);
    free(line);
}

static void check_format(struct action a, const char *want)
{
    struct buf b = BUF_INIT;
    assert_int_equal(synclog_format(&b, &a), want != NULL);
    assert_slice(buf_slice(&b), want ? want : "");
    buf_free(&b);
}

static struct action action_of(enum action_kind kind, const char *a, const char *b)
{
    struct action x = { kind, slice_str(a), slice_str(b) };
    return x;
}

static void lines_are_written_as_cyrus_writes_them(void **state)
{
    (void)state;
    check_format(action_of(ACTION_MAILBOX, "user.a", ""), "MAILBOX user.a\n");
    check_format(action_of(ACTION_MAILBOX, "user.a", "user.b"), "DOUBLEMAILBOX user.a user.b\n");
    check_format(action_of(ACTION_RENAME, "a", "b c"), "RENAME a \"b c\"\n");
    check_format(action_of(ACTION_ANNOTATION, "", ""), "ANNOTATION \"\"\n");
    check_format(action_of(ACTION_META, "j.doe@x", ""), "META j.doe@x\n");
    check_format(action_of(ACTION_SEEN, "a", "b"), "SEEN a b\n");
    check_format(action_of(ACTION_SUB, "(a)", "\"\\{}"), "SUB \"(a)\" \"\\\"\\\\\\{\\}\"\n");
    check_format(action_of(ACTION_UNUSER, "a\tb", "ignored"), "UNUSER \"a\tb\"\n");
}

static void what_no_line_can_carry_is_refused(void **state)
{
    (void)state;
    check_format(action_of(ACTION_MAILBOX, "a\nMAILBOX b", ""), NULL);
    check_format(action_of(ACTION_SUB, "a", "b\r"), NULL);
    check_format(action_of(ACTION_SEEN, "a", ""), NULL);
    check_format(action_of(ACTION_MAILBOX, "", ""), NULL);
    check_format((struct action){ ACTION_USER, slice_of("a\0", 2), slice_str("") }, NULL);
}

/* A generator of its own, so that a failure can be repeated. */
static uint64_t seed = 1;
static unsigned rnd(unsigned below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % below;
}

static size_t random_name(char *p, size_t least)
{
    static const char special[] = " \t\v\f()\\\"{}%*'\x01\x7f\xc3\xff";
    size_t n = least + rnd(12);
    for (size_t i = 0; i < n; i++) {
        do
            p[i] = rnd(2) ? special[rnd(sizeof special - 1)] : (char)rnd(256);
        while (memchr("\0\r\n", p[i], 3));
    }
    return n;
}

static bool is_of_user(enum action_kind kind)
{
    return kind == ACTION_USER || kind == ACTION_UNUSER || kind == ACTION_META || kind == ACTION_SEEN ||
           kind == ACTION_SUB;
}

/* Nothing has a slash in its name, and users are called by what prints. */
static void make_possible(char *p, size_t n, bool user)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] == '/' || (user && ((unsigned char)p[i] < ' ' || memchr("!^\x7f", p[i], 3))))
            p[i] = '_';
}

static void names_that_nothing_can_have_are_refused(void **state)
{
    static const char *const lines[] = {
        "USER ../../etc", "USER a/b", "META a/b", "UNUSER /", "SUB a/b user.a", "SEEN a/b id", "USER a!b", "USER \"a\x01\"",
        "QUOTA ../..", "MAILBOX user.a/b", "APPEND a/b", "RENAME a/b c", "RENAME c a/b", "UNMAILBOX ../x",
    };
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct action a;
        bool any;
        assert_err(synclog_parse(&arena, slice_str(lines[i]), &a, &any), ERR_CORRUPT, " can be: ");
        assert_false(any);
    }
    check("SUB a b/c", ACTION_SUB, "a", "b/c"); /* a subscription may be to anything */
}

static void a_user_spelled_as_in_a_mailbox_name_is_the_user(void **state)
{
    (void)state;
    check("USER j^doe", ACTION_USER, "j.doe", "");
    check("SUB j^doe user.j^doe", ACTION_SUB, "j.doe", "user.j^doe");
}

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    for (int i = 0; i < 200000; i++) {
        char one[32], two[32];
        struct action got, a = { (enum action_kind)rnd(ACTION_KINDS), slice_of(one, 0), slice_of(two, 0) };
        struct buf line = BUF_INIT;
        bool any;
        a.a.n = random_name(one, a.kind != ACTION_ANNOTATION);
        if (a.kind == ACTION_RENAME || a.kind == ACTION_SEEN || a.kind == ACTION_SUB)
            a.b.n = random_name(two, 1);
        else if (a.kind == ACTION_MAILBOX)
            a.b.n = random_name(two, 0);
        make_possible(one, a.a.n, is_of_user(a.kind));
        make_possible(two, a.b.n, false);
        assert_true(synclog_format(&line, &a));
        assert_int_equal(buf_ptr(&line)[buf_len(&line) - 1], '\n');
        assert_ok(synclog_parse(&arena, slice_of(buf_ptr(&line), buf_len(&line) - 1), &got, &any));
        assert_true(any && got.kind == a.kind && slice_eq(got.a, a.a) && slice_eq(got.b, a.b));
        buf_free(&line);
        arena_reset(&arena);
    }
}

/* Half of the bytes are such as grammar is made of; the line is exactly as long as its
 * memory, so that a sanitizer sees a byte too far. */
static void random_bytes_are_an_action_or_nothing_or_an_error(void **state)
{
    static const char *const starts[] = { "", "MAILBOX ", "SUB a ", "RENAME \"", "SEEN " };
    size_t outcomes[3] = { 0, 0, 0 };
    (void)state;
    for (int i = 0; i < 300000; i++) {
        const char *start = starts[rnd(5)];
        size_t head = strlen(start), n = head + rnd(16);
        char *line = malloc(n ? n : 1);
        memcpy(line, start, head);
        for (size_t k = head; k < n; k++)
            line[k] = rnd(2) ? " \"\\(){}\r\n\t"[rnd(10)] : (char)rnd(256);
        struct action a = { .kind = ACTION_KINDS };
        bool any;
        struct err *e = synclog_parse(&arena, slice_of(line, n), &a, &any);
        if (e)
            for (const char *p = e->msg; *p; p++)
                assert_true(*p >= 0x20 && *p < 0x7f);
        else if (any)
            assert_true(a.kind < ACTION_KINDS && (a.a.n || a.kind == ACTION_ANNOTATION));
        outcomes[e ? 0 : any ? 1 : 2]++;
        err_free(e);
        free(line);
        arena_reset(&arena);
    }
    assert_true(outcomes[0] > 1000 && outcomes[1] > 1000 && outcomes[2] > 1000);
}

static void print_hex(struct slice s, char end)
{
    for (size_t i = 0; i < s.n; i++)
        printf("%02x", (unsigned char)s.p[i]);
    putchar(end);
}

/* "kind a b", the kind as a number, the names in hexadecimal. */
static void show(void *ctx, const struct action *a)
{
    (void)ctx;
    printf("%d ", (int)a->kind);
    print_hex(a->a, ' ');
    print_hex(a->b, '\n');
}

static int show_file(const char *path)
{
    size_t bad;
    struct err *e = synclog_read_file(path, show, NULL, &bad, NULL);
    int failed = e != NULL;
    if (e)
        fprintf(stderr, "%s\n", e->msg);
    err_free(e);
    return failed || bad;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--show") == 0)
        return show_file(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_gives_its_action),
        cmocka_unit_test(case_of_the_type_and_a_cr_at_the_end_do_not_matter),
        cmocka_unit_test(empty_lines_and_types_alone_ask_for_nothing),
        cmocka_unit_test(quoted_arguments_lose_quotes_and_backslashes),
        cmocka_unit_test(a_second_argument_counts_for_mailboxes_and_is_ignored_elsewhere),
        cmocka_unit_test(a_rename_with_one_name_is_about_that_mailbox),
        cmocka_unit_test(bad_lines_say_what_is_wrong),
        cmocka_unit_test(a_nul_makes_a_line_bad),
        cmocka_unit_test(messages_are_cut),
        cmocka_unit_test(lines_are_written_as_cyrus_writes_them),
        cmocka_unit_test(what_no_line_can_carry_is_refused),
        cmocka_unit_test(names_that_nothing_can_have_are_refused),
        cmocka_unit_test(a_user_spelled_as_in_a_mailbox_name_is_the_user),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(random_bytes_are_an_action_or_nothing_or_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
