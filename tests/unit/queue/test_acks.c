/* Acknowledgement of log segments: a slot falls to zero once, when the last one lets go. */
#include "../test.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "fansync/acks.h"

static struct acks *fresh(void)
{
    struct acks *a = NULL;
    assert_ok(acks_new(&a));
    return a;
}

static bool signalled(struct acks *a)
{
    struct pollfd p = { acks_fd(a), POLLIN, 0 };
    return poll(&p, 1, 0) == 1;
}

static void there_are_32_slots_and_a_closed_one_is_used_again(void **state)
{
    (void)state;
    struct acks *a = fresh();
    uint32_t seen = 0;
    for (int i = 0; i < ACKS_SLOTS; i++) {
        int slot = acks_open(a);
        assert_in_range(slot, 0, 31);
        seen |= 1u << slot;
    }
    assert_int_equal(seen, UINT32_MAX);
    assert_int_equal(acks_open(a), -1);
    acks_close(a, 7);
    assert_int_equal(acks_open(a), 7);
    assert_int_equal(acks_open(a), -1);
    acks_free(a);
}

static void a_segment_does_not_settle_before_its_opener_has_sealed_it(void **state)
{
    (void)state;
    struct acks *a = fresh();
    unsigned slot = (unsigned)acks_open(a);
    acks_take(a, slot);
    assert_int_equal(acks_unsettled(a, slot), 1);
    acks_release(a, slot);
    assert_int_equal(acks_unsettled(a, slot), 0);
    assert_false(acks_settled(a, slot));
    assert_false(signalled(a));
    acks_seal(a, slot);
    assert_true(acks_settled(a, slot));
    assert_true(signalled(a));
    acks_close(a, slot);
    acks_free(a);
}

static void the_last_release_signals_and_clear_takes_the_signal_back(void **state)
{
    (void)state;
    struct acks *a = fresh();
    unsigned one = (unsigned)acks_open(a), two = (unsigned)acks_open(a);
    acks_take_all(a, 1u << one | 1u << two);
    acks_take(a, two);
    acks_seal(a, one);
    acks_seal(a, two);
    assert_false(signalled(a));
    acks_release_all(a, 1u << one | 1u << two);
    assert_true(signalled(a));
    assert_true(acks_settled(a, one));
    assert_int_equal(acks_unsettled(a, two), 1);
    acks_clear(a);
    assert_false(signalled(a));
    acks_clear(a); /* does not wait */
    acks_release(a, two);
    assert_true(signalled(a));
    assert_true(acks_settled(a, two));
    acks_free(a);
}

static void sets_of_slots_may_go_uncounted(void **state)
{
    (void)state;
    acks_take_all(NULL, UINT32_MAX);
    acks_release_all(NULL, UINT32_MAX);
}

/* Threads that each do something (write their word) before they let go. */
struct holder {
    struct acks *a;
    unsigned slot;
    int written; /* plain: the release must order it */
};

static void *let_go(void *arg)
{
    struct holder *h = arg;
    for (int i = 0; i < 20000; i++) {
        acks_take(h->a, h->slot);
        acks_release(h->a, h->slot);
    }
    h->written = 1;
    acks_release(h->a, h->slot);
    return NULL;
}

static void what_holders_did_is_visible_when_the_segment_is_settled(void **state)
{
    (void)state;
    enum { N = 4 };
    struct acks *a = fresh();
    struct holder h[N];
    pthread_t t[N];
    unsigned slot = (unsigned)acks_open(a);
    for (int i = 0; i < N; i++) {
        h[i] = (struct holder){ a, slot, 0 };
        acks_take(a, slot);
        assert_int_equal(pthread_create(&t[i], NULL, let_go, &h[i]), 0);
    }
    acks_seal(a, slot);
    while (!acks_settled(a, slot)) {
        struct pollfd p = { acks_fd(a), POLLIN, 0 };
        assert_int_equal(poll(&p, 1, 20000), 1);
        acks_clear(a);
    }
    for (int i = 0; i < N; i++)
        assert_int_equal(h[i].written, 1);
    for (int i = 0; i < N; i++)
        pthread_join(t[i], NULL);
    acks_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_are_32_slots_and_a_closed_one_is_used_again),
        cmocka_unit_test(a_segment_does_not_settle_before_its_opener_has_sealed_it),
        cmocka_unit_test(the_last_release_signals_and_clear_takes_the_signal_back),
        cmocka_unit_test(sets_of_slots_may_go_uncounted),
        cmocka_unit_test(what_holders_did_is_visible_when_the_segment_is_settled),
    };
    return cmocka_run_group_tests_name("acks", tests, NULL, NULL);
}
