/*
 * The order of renames. The property: on a model of the replica every target is free when its
 * rename comes, all names end as wanted, and there are at most two renames a mailbox.
 */
#include "build.h"
#include "fansync/buf.h"

#include <stdio.h>
#include <stdlib.h>

static struct rename_op op(const char *from, const char *to)
{
    struct rename_op o;
    memset(&o, 0, sizeof o);
    o.from = slice_str(from);
    o.to = slice_str(to);
    o.uniqueid = slice_str(from);
    return o;
}

static void assert_order(const struct rename_op *ops, size_t n, const char *want)
{
    struct arena a = ARENA_INIT;
    struct buf b = BUF_INIT;
    size_t nout;
    struct rename_op *out = diff_order_renames(&a, ops, n, &nout);
    for (size_t i = 0; i < nout; i++)
        buf_printf(&b, SLICE_FMT ">" SLICE_FMT " ", SLICE_ARG(out[i].from), SLICE_ARG(out[i].to));
    assert_string_equal(buf_cstr(&b), want);
    buf_free(&b);
    arena_free(&a);
}

static void a_chain_is_worked_from_its_free_end(void **state)
{
    (void)state;
    struct rename_op chain[] = { op("d", "a"), op("a", "b"), op("b", "c") };
    assert_order(chain, 3, "b>c a>b d>a ");
}

static void two_swapped_names_go_through_a_third(void **state)
{
    (void)state;
    struct rename_op swap[] = { op("a", "b"), op("b", "a") };
    assert_order(swap, 2, "a>a-swap-a b>a a-swap-a>b ");
}

static void a_move_to_another_partition_blocks_nobody(void **state)
{
    (void)state;
    struct rename_op move[] = { op("a", "a"), op("b", "c") };
    assert_order(move, 2, "a>a b>c ");
}

enum { NAMES = 9 };

static void check_permutation(const int *from, const int *to, size_t n)
{
    static const char *const names[NAMES] = { "n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8" };
    struct arena a = ARENA_INIT;
    struct rename_op ops[NAMES];
    struct slice at[NAMES]; /* where each mailbox is now */
    size_t nout;
    memset(ops, 0, sizeof ops);
    for (size_t i = 0; i < n; i++) {
        ops[i] = op(names[from[i]], names[to[i]]);
        at[i] = ops[i].from;
    }
    struct rename_op *out = diff_order_renames(&a, ops, n, &nout);
    assert_true(nout <= 2 * n);
    for (size_t k = 0; k < nout; k++) {
        size_t who = n;
        for (size_t i = 0; i < n; i++) {
            if (slice_eq(at[i], out[k].from))
                who = i;
            if (slice_eq(at[i], out[k].to) && !slice_eq(out[k].to, out[k].from))
                fail_msg("rename %zu to a name that is taken", k);
        }
        assert_true(who < n);
        at[who] = out[k].to;
    }
    for (size_t i = 0; i < n; i++)
        assert_true(slice_eq(at[i], ops[i].to));
    arena_free(&a);
}

static void shuffle(int *v)
{
    for (int i = 0; i < NAMES; i++)
        v[i] = i;
    for (int i = NAMES - 1; i > 0; i--) {
        int j = rand() % (i + 1), t = v[i];
        v[i] = v[j];
        v[j] = t;
    }
}

static void any_set_of_renames_is_put_into_an_order_that_works(void **state)
{
    (void)state;
    srand(3);
    for (int round = 0; round < 20000; round++) {
        int from[NAMES], to[NAMES];
        shuffle(from);
        shuffle(to);
        check_permutation(from, to, 1 + (size_t)(rand() % NAMES));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chain_is_worked_from_its_free_end),
        cmocka_unit_test(two_swapped_names_go_through_a_third),
        cmocka_unit_test(a_move_to_another_partition_blocks_nobody),
        cmocka_unit_test(any_set_of_renames_is_put_into_an_order_that_works),
    };
    return cmocka_run_group_tests_name("diff: renames", tests, NULL, NULL);
}
