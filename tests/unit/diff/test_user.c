/* Names, quotas and seen states (spec/algorithm.md §8). */
#include "build.h"

static void names_are_a_set_difference_in_the_first_lists_order(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct slice x[] = { slice_str("c"), slice_str("a"), slice_str("b") };
    struct slice y[] = { slice_str("a"), slice_str("z") };
    struct subscription_list left = { x, 3 }, right = { y, 2 };
    struct subscription_list d = diff_names(&a, &left, &right);
    assert_int_equal(d.n, 2);
    assert_slice(d.name[0], "c");
    assert_slice(d.name[1], "b");
    assert_int_equal(diff_names(&a, &left, &left).n, 0);
    arena_free(&a);
}

static void quotas_differ_by_any_limit_but_not_by_modseq(void **state)
{
    (void)state;
    struct quota a = { slice_str("user.fred"), { 10, QUOTA_UNLIMITED, QUOTA_UNLIMITED, QUOTA_UNLIMITED }, 4 };
    struct quota b = a;
    b.modseq = 9;
    assert_true(diff_quota_equal(&a, &b));
    for (int i = 0; i < QUOTA_RESOURCES; i++) {
        b = a;
        b.limit[i] = 11;
        assert_false(diff_quota_equal(&a, &b));
    }
}

static void seen_states_differ_by_every_field(void **state)
{
    (void)state;
    struct seen_row a = { slice_str("id"), 1, 2, 3, slice_str("1:2") }, b = a;
    assert_true(diff_seen_equal(&a, &b));
    b.lastread = 9;
    assert_false(diff_seen_equal(&a, &b));
    b = a, b.lastuid = 9;
    assert_false(diff_seen_equal(&a, &b));
    b = a, b.lastchange = 9;
    assert_false(diff_seen_equal(&a, &b));
    b = a, b.uids = slice_str("1:3");
    assert_false(diff_seen_equal(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_a_set_difference_in_the_first_lists_order),
        cmocka_unit_test(quotas_differ_by_any_limit_but_not_by_modseq),
        cmocka_unit_test(seen_states_differ_by_every_field),
    };
    return cmocka_run_group_tests_name("diff: user", tests, NULL, NULL);
}
