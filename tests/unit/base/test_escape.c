/* What a terminal or a log is given of somebody else's bytes (fansync/escape.h). */
#include "../test.h"

#include "fansync/escape.h"

#define LIT(s) slice_of(s, sizeof(s) - 1)

static void assert_escaped(struct slice in, enum escape_what what, const char *out)
{
    struct buf b = BUF_INIT;
    escape_text(&b, in, what);
    assert_string_equal(buf_cstr(&b), out);
    buf_free(&b);
}

static void ascii_and_utf8_pass(void **state)
{
    (void)state;
    assert_escaped(LIT("user.fred \\ \"x\" ~"), ESCAPE_ALL, "user.fred \\ \"x\" ~");
    assert_escaped(LIT("Entw\xc3\xbcrfe \xe2\x82\xac \xf0\x9f\x93\xac \xc2\xa0"), ESCAPE_ALL,
                   "Entw\xc3\xbcrfe \xe2\x82\xac \xf0\x9f\x93\xac \xc2\xa0");
}

static void what_commands_a_terminal_is_escaped(void **state)
{
    (void)state;
    assert_escaped(LIT("\x1b[2J\x07\x7f"), ESCAPE_ALL, "\\x1b[2J\\x07\\x7f");
    assert_escaped(LIT("\xc2\x9b" "31m"), ESCAPE_ALL, "\\xc2\\x9b31m"); /* CSI as C1 */
    assert_escaped(LIT("\x9b" "31m"), ESCAPE_ALL, "\\x9b31m");
    assert_escaped(LIT("a\0b"), ESCAPE_ALL, "a\\x00b");
}

static void lines_are_forged_by_nobody(void **state)
{
    (void)state;
    assert_escaped(LIT("a\r\nNov 25 sshd: x"), ESCAPE_ALL, "a\\x0d\\x0aNov 25 sshd: x");
    assert_escaped(LIT("a\r\n\tb\x1b"), ESCAPE_LINES, "a\r\n\tb\\x1b");
}

static void what_is_no_utf8_is_escaped_byte_by_byte(void **state)
{
    (void)state;
    assert_escaped(LIT("\xc3"), ESCAPE_ALL, "\\xc3");
    assert_escaped(LIT("\xc3("), ESCAPE_ALL, "\\xc3(");
    assert_escaped(LIT("\xc0\x9b"), ESCAPE_ALL, "\\xc0\\x9b"); /* an overlong ESC */
    assert_escaped(LIT("\xe0\x80\x9b"), ESCAPE_ALL, "\\xe0\\x80\\x9b");
    assert_escaped(LIT("\xed\xa0\x80"), ESCAPE_ALL, "\\xed\\xa0\\x80");
    assert_escaped(LIT("\xf4\x90\x80\x80"), ESCAPE_ALL, "\\xf4\\x90\\x80\\x80");
    assert_escaped(LIT("\xf0\x9f\x93"), ESCAPE_ALL, "\\xf0\\x9f\\x93");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ascii_and_utf8_pass),
        cmocka_unit_test(what_commands_a_terminal_is_escaped),
        cmocka_unit_test(lines_are_forged_by_nobody),
        cmocka_unit_test(what_is_no_utf8_is_escaped_byte_by_byte),
    };
    return cmocka_run_group_tests_name("base: escape", tests, NULL, NULL);
}
