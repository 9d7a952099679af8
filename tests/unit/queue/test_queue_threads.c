/* A producer and one sender: wake-ups, and what a push carries from the one to the other. */
#include "threads.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

/* ---- wake-ups ---- */

struct ping {
    struct queue *q;
    atomic_uint answered;
    unsigned rounds;
};

static void *answer(void *arg)
{
    struct ping *p = arg;
    struct queue_item *item;
    queue_thread_begin();
    while (atomic_load(&p->answered) < p->rounds) {
        struct pollfd fd = { queue_fd(p->q, 0), POLLIN, 0 };
        must(poll(&fd, 1, PATIENCE) == 1);
        queue_clear(p->q, 0);
        while (queue_drain(p->q, 0, 0, &item, 1) == 1) {
            queue_done(p->q, item);
            atomic_fetch_add(&p->answered, 1);
        }
    }
    queue_thread_end();
    return NULL;
}

/* The second push comes about when the sender wakes for the first, the first of the next
 * round about when it lies down again. */
static void a_sender_that_wakes_or_lies_down_during_a_push_is_woken(void **state)
{
    (void)state;
    struct ping p = { NULL, 0, 20000 };
    struct queue_options o = { 1, 0, NULL, 64 };
    struct action a = { ACTION_MAILBOX, slice_str("a"), slice_str("") };
    struct action b = { ACTION_MAILBOX, slice_str("b"), slice_str("") };
    unsigned seed = 1;
    pthread_t t;
    assert_ok(queue_new(&p.q, &o));
    assert_int_equal(pthread_create(&t, NULL, answer, &p), 0);
    for (unsigned i = 2; i <= p.rounds; i += 2) {
        assert_int_equal(queue_push(p.q, &a, slice_str("u"), 0, 1), QUEUE_NEW);
        int64_t then = now_ns() + rnd(&seed, 20000);
        while (now_ns() < then)
            ;
        assert_int_equal(queue_push(p.q, &b, slice_str("u"), 0, 1), QUEUE_NEW);
        while (atomic_load(&p.answered) < i)
            sched_yield();
        then = now_ns() + rnd(&seed, 2000);
        while (now_ns() < then)
            ;
    }
    pthread_join(t, NULL);
    queue_free(p.q);
}

/* ---- what a push carries ---- */

/* Plain memory that only the queue orders: the thread sanitizer checks the orders named in
 * push.c and send.c. The turns are taken by a flag that orders nothing. */
struct relay {
    struct queue *q;
    int written[3];
    atomic_int turn;
};

static void wait_for_turn(struct relay *r, int turn)
{
    while (atomic_load_explicit(&r->turn, memory_order_relaxed) != turn)
        sched_yield();
}

static void pass_turn(struct relay *r, int turn)
{
    atomic_store_explicit(&r->turn, turn, memory_order_relaxed);
}

static void *receive(void *arg)
{
    struct relay *r = arg;
    struct queue_item *item;
    queue_thread_begin();
    wait_for_turn(r, 1);
    must(queue_drain(r->q, 0, 0, &item, 1) == 1);
    must(r->written[0] == 1 && r->written[1] == 1);
    pass_turn(r, 2);
    wait_for_turn(r, 3);
    queue_done(r->q, item);
    must(queue_drain(r->q, 0, 0, &item, 1) == 1);
    must(r->written[2] == 1);
    queue_done(r->q, item);
    queue_thread_end();
    return NULL;
}

static void what_the_tailer_did_before_a_push_is_seen_by_the_sender_that_drains_it(void **state)
{
    (void)state;
    struct relay r = { NULL, { 0 }, 0 };
    struct queue_options o = { 1, 0, NULL, 64 };
    struct action a = { ACTION_MAILBOX, slice_str("a"), slice_str("") };
    pthread_t t;
    assert_ok(queue_new(&r.q, &o));
    assert_int_equal(pthread_create(&t, NULL, receive, &r), 0);
    r.written[0] = 1;
    assert_int_equal(queue_push(r.q, &a, slice_str("u"), 0, 1), QUEUE_NEW);
    r.written[1] = 1;
    assert_int_equal(queue_push(r.q, &a, slice_str("u"), 0, 1), QUEUE_MERGED);
    pass_turn(&r, 1);
    wait_for_turn(&r, 2);
    r.written[2] = 1;
    assert_int_equal(queue_push(r.q, &a, slice_str("u"), 0, 1), QUEUE_MERGED); /* dirty */
    pass_turn(&r, 3);
    pthread_join(t, NULL);
    queue_free(r.q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sender_that_wakes_or_lies_down_during_a_push_is_woken),
        cmocka_unit_test(what_the_tailer_did_before_a_push_is_seen_by_the_sender_that_drains_it),
    };
    queue_thread_begin();
    int failed = cmocka_run_group_tests_name("queue threads", tests, NULL, NULL);
    queue_thread_end();
    return failed;
}
