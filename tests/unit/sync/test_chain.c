/* Chains of names: union-find over byte strings (sync/chain.h). */
#include "../test.h"

#include "sync/chain.h"

static struct slice s(const char *text)
{
    return slice_str(text);
}

static void names_that_renames_join_have_one_head(void **state)
{
    struct arena a = ARENA_INIT;
    struct chains c = { &a, MAP_INIT };
    (void)state;
    chain_join(&c, s("a"), s("b"));
    chain_join(&c, s("c"), s("d"));
    assert_ptr_not_equal(chain_of(&c, s("a")), chain_of(&c, s("c")));
    chain_join(&c, s("b"), s("c"));
    for (const char *name = "abcd"; *name; name++)
        assert_ptr_equal(chain_of(&c, slice_of(name, 1)), chain_of(&c, s("a")));
    assert_ptr_not_equal(chain_of(&c, s("e")), chain_of(&c, s("a")));
    chains_free(&c);
    arena_free(&a);
}

static void what_is_joined_twice_or_to_itself_stays_one(void **state)
{
    struct arena a = ARENA_INIT;
    struct chains c = { &a, MAP_INIT };
    (void)state;
    chain_join(&c, s("a"), s("a"));
    chain_join(&c, s("a"), s("b"));
    chain_join(&c, s("b"), s("a"));
    assert_int_equal(chain_of(&c, s("b"))->members, 2);
    chains_free(&c);
    arena_free(&a);
}

static void a_chain_of_thousands_has_one_head(void **state)
{
    enum { N = 5000 };
    struct arena a = ARENA_INIT;
    struct chains c = { &a, MAP_INIT };
    (void)state;
    for (int i = 0; i < N; i++)
        chain_join(&c, arena_printf(&a, "n%d", i), arena_printf(&a, "n%d", i + 1));
    struct chain *head = chain_of(&c, s("n0"));
    assert_int_equal(head->members, N + 1);
    for (int i = 0; i <= N; i++)
        assert_ptr_equal(chain_of(&c, arena_printf(&a, "n%d", i)), head);
    chains_free(&c);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_renames_join_have_one_head),
        cmocka_unit_test(what_is_joined_twice_or_to_itself_stays_one),
        cmocka_unit_test(a_chain_of_thousands_has_one_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
