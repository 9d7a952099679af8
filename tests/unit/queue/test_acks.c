/* Acknowledgement of log segments: who lets go last wakes the opener. */
#include "../test.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fansync/acks.h"

static int settled_fd;

static struct acks *fresh(void)
{
    settled_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return acks_new(settled_fd);
}

static void end(struct acks *a)
{
    acks_free(a);
    close(settled_fd);
}

static bool signalled(void)
{
    struct pollfd p = { settled_fd, POLLIN, 0 };
    return poll(&p, 1, 0) == 1;
}

static void clear(void)
{
    eventfd_t ignored;
    eventfd_read(settled_fd, &ignored);
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
    end(a);
}

static void a_release_that_leaves_a_slot_to_its_opener_signals(void **state)
{
    (void)state;
    struct acks *a = fresh();
    unsigned one = (unsigned)acks_open(a), two = (unsigned)acks_open(a);
    acks_take_all(a, 1u << one | 1u << two);
    acks_take(a, two);
    assert_int_equal(acks_unsettled(a, two), 2);
    acks_release(a, two);
    assert_false(signalled());
    acks_release(a, one);
    assert_true(signalled());
    assert_int_equal(acks_unsettled(a, one), 0);
    clear();
    assert_false(signalled());
    acks_release(a, two);
    assert_true(signalled());
    acks_close(a, one);
    acks_close(a, two);
    end(a);
}

/* The opener reads on: what was settled is not any more. */
static void a_slot_that_is_left_to_its_opener_can_be_held_again(void **state)
{
    (void)state;
    struct acks *a = fresh();
    unsigned slot = (unsigned)acks_open(a);
    for (int i = 0; i < 3; i++) {
        acks_take(a, slot);
        assert_int_equal(acks_unsettled(a, slot), 1);
        acks_release(a, slot);
        assert_int_equal(acks_unsettled(a, slot), 0);
        assert_true(signalled());
        clear();
    }
    end(a);
}

static void nobody_needs_to_wait(void **state)
{
    (void)state;
    struct acks *a = acks_new(-1);
    unsigned slot = (unsigned)acks_open(a);
    acks_take(a, slot);
    acks_release(a, slot);
    acks_close(a, slot);
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
    while (acks_unsettled(a, slot) > 0) {
        struct pollfd p = { settled_fd, POLLIN, 0 };
        assert_int_equal(poll(&p, 1, 20000), 1);
        clear();
    }
    for (int i = 0; i < N; i++)
        assert_int_equal(h[i].written, 1);
    for (int i = 0; i < N; i++)
        pthread_join(t[i], NULL);
    end(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_are_32_slots_and_a_closed_one_is_used_again),
        cmocka_unit_test(a_release_that_leaves_a_slot_to_its_opener_signals),
        cmocka_unit_test(a_slot_that_is_left_to_its_opener_can_be_held_again),
        cmocka_unit_test(nobody_needs_to_wait),
        cmocka_unit_test(sets_of_slots_may_go_uncounted),
        cmocka_unit_test(what_holders_did_is_visible_when_the_segment_is_settled),
    };
    return cmocka_run_group_tests_name("acks", tests, NULL, NULL);
}
