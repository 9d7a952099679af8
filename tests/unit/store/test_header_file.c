/* cyrus.header in its new and old form, whole and damaged (spec/store.md §5.1). */
#include "../test.h"

#include "fansync/buf.h"
#include "store/header_file.h"

#define MAGIC                                                                        \
    "\xa1\x02\x8b\x0d"                                                               \
    "Cyrus mailbox header\n"                                                         \
    "\"The best thing about this system was that it had lots of goals.\"\n"          \
    "\t--Jim Morris on Andrew\n"

static const char new_form[] = MAGIC "%(T e N user.alice I wsj8iqr2kl95a2mtaq2dlaxs Q user.alice "
                                     "A %(alice lrswipkxtecdan) U (MyFlag NIL $Label1))\n";
static const char old_form[] = MAGIC "user.alice\twsj8iqr2kl95a2mt\tmore\nMyFlag  $Label1 \nalice\tlrs\t\n";

static void assert_flags(const struct header_file *f)
{
    assert_slice(f->quotaroot, "user.alice");
    assert_int_equal(f->nflags, 3);
    assert_slice(f->flag[0], "MyFlag");
    assert_int_equal(f->flag[1].n, 0);
    assert_slice(f->flag[2], "$Label1");
}

static void both_forms_give_quota_root_and_flags_by_bit(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct header_file f;
    assert_ok(header_file_parse(&a, "f", slice_str(new_form), &f));
    assert_flags(&f);
    assert_ok(header_file_parse(&a, "f", slice_str(old_form), &f));
    assert_flags(&f);
    arena_free(&a);
}

static void no_quota_root_and_no_flags(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct header_file f;
    assert_ok(header_file_parse(&a, "f", slice_str(MAGIC "%(T e N user.x I abc A %())\n"), &f));
    assert_true(f.quotaroot.n == 0 && f.nflags == 0);
    assert_ok(header_file_parse(&a, "f", slice_str(MAGIC "\tabc\n\nx\tlrs\t\n"), &f));
    assert_true(f.quotaroot.n == 0 && f.nflags == 0);
    arena_free(&a);
}

static void what_follows_the_lines_is_ignored(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct header_file f;
    assert_ok(header_file_parse(&a, "f", slice_str(MAGIC "%(T e N user.x I abc A %())\nmore\n"), &f));
    arena_free(&a);
}

static void a_header_cut_inside_its_lines_is_an_error_that_names_the_file(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct header_file f;
    for (size_t n = 0; n < sizeof new_form - 1; n++)
        assert_err(header_file_parse(&a, "the/file", slice_of(new_form, n), &f), ERR_CORRUPT, "the/file");
    size_t acl = (size_t)(strstr(old_form, "alice\tlrs") - old_form);
    for (size_t n = 0; n < acl; n++)
        assert_err(header_file_parse(&a, "the/file", slice_of(old_form, n), &f), ERR_CORRUPT, "the/file");
    arena_free(&a);
}

static void more_flags_than_a_record_has_bits_are_an_error(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct header_file f;
    struct buf b = BUF_INIT;
    buf_adds(&b, MAGIC "\tabc\n");
    for (int i = 0; i < 129; i++)
        buf_adds(&b, "f ");
    buf_adds(&b, "\nx\tlrs\t\n");
    assert_err(header_file_parse(&a, "f", buf_slice(&b), &f), ERR_CORRUPT, "128");
    buf_free(&b);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_forms_give_quota_root_and_flags_by_bit),
        cmocka_unit_test(no_quota_root_and_no_flags),
        cmocka_unit_test(what_follows_the_lines_is_ignored),
        cmocka_unit_test(a_header_cut_inside_its_lines_is_an_error_that_names_the_file),
        cmocka_unit_test(more_flags_than_a_record_has_bits_are_an_error),
    };
    return cmocka_run_group_tests_name("store: header file", tests, NULL, NULL);
}
