/* Asserts on how the unit of a test ended. The including file has "static struct unit unit" before. */
#ifndef FANSYNC_TESTS_UNIT_END_H
#define FANSYNC_TESTS_UNIT_END_H

static inline void no_error(void)
{
    if (unit.err)
        fail_msg("%s", unit.err->msg);
}

static inline void fails_with(enum err_kind kind, const char *text)
{
    assert_non_null(unit.err);
    assert_int_equal(unit.err->kind, kind);
    if (!strstr(unit.err->msg, text))
        fail_msg("%s", unit.err->msg);
}

#endif
