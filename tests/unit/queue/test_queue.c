/* The states of an action, one rule a test; single-threaded, so that each interleaving is exact. */
#include "fixture.h"

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "queue/heap.h"

static void a_pushed_action_is_drained_once_with_all_that_it_says(void **state)
{
    (void)state;
    struct fixture f = fresh(1, 0);
    char name[] = "user.fred", uniqueid[] = "u-1", owner[] = "fred";
    struct action a = { ACTION_SEEN, slice_str(name), slice_str(uniqueid) };
    assert_int_equal(queue_push(f.q, &a, slice_str(owner), 1u << f.slot, 42), QUEUE_NEW);
    memset(name, 'x', sizeof name); /* strings were copied */
    memset(uniqueid, 'x', sizeof uniqueid);
    memset(owner, 'x', sizeof owner);
    struct queue_item *item = expect(&f, "user.fred");
    assert_int_equal(item->action.kind, ACTION_SEEN);
    assert_slice(item->action.b, "u-1");
    assert_slice(item->owner, "fred");
    assert_int_equal(item->first_ns, 42);
    assert_int_equal(item->attempts, 0);
    assert_null(item->user);
    expect_nothing(&f);
    assert_int_equal(unsettled(&f), 1);
    queue_done(f.q, item);
    assert_int_equal(unsettled(&f), 0);
    expect_nothing(&f);
    finish(&f);
}

static void an_equal_action_is_merged_and_holds_each_segment_once(void **state)
{
    (void)state;
    struct fixture f = fresh(1, 0);
    unsigned other = (unsigned)acks_open(f.acks);
    assert_int_equal(push(&f, ACTION_MAILBOX, "user.a", "a"), QUEUE_NEW);
    assert_int_equal(push_slots(&f, ACTION_MAILBOX, "user.a", "a", 1u << f.slot | 1u << other, NOW + 5), QUEUE_MERGED);
    assert_int_equal(push(&f, ACTION_MAILBOX, "user.a", "a"), QUEUE_MERGED);
    assert_int_equal(unsettled(&f), 1);
    assert_int_equal(acks_unsettled(f.acks, other), 1);
    struct queue_item *item = expect(&f, "user.a");
    assert_int_equal(item->first_ns, NOW);
    expect_nothing(&f);
    queue_done(f.q, item);
    assert_int_equal(unsettled(&f), 0);
    assert_int_equal(acks_unsettled(f.acks, other), 0);
    finish(&f);
}

static void actions_that_differ_in_kind_or_any_name_are_not_merged(void **state)
{
    (void)state;
    struct fixture f = fresh(1, 0);
    assert_int_equal(push(&f, ACTION_UNMAILBOX, "ab", ""), QUEUE_NEW);
    assert_int_equal(push(&f, ACTION_MAILBOX, "ab", ""), QUEUE_NEW);
    struct action split = { ACTION_MAILBOX, slice_str("a"), slice_str("b") };
    assert_int_equal(queue_push(f.q, &split, slice_str(""), 0, NOW), QUEUE_NEW);
    struct action nul = { ACTION_MAILBOX, slice_of("ab\0", 3), slice_str("") };
    assert_int_equal(queue_push(f.q, &nul, slice_str(""), 0, NOW), QUEUE_NEW);
    assert_int_equal(queue_counters(f.q).queued, 4);
    finish(&f);
}

static void a_push_while_it_is_sent_makes_it_queued_again_when_done(void **state)
{
    (void)state;
    struct fixture f = fresh(1, 0);
    push(&f, ACTION_MAILBOX, "m", "u");
    struct queue_item *item = expect(&f, "m");
    assert_int_equal(push_slots(&f, ACTION_MAILBOX, "m", "u", 1u << f.slot, NOW + 7), QUEUE_MERGED);
    assert_int_equal(push_slots(&f, ACTION_MAILBOX, "m", "u", 1u << f.slot, NOW + 9), QUEUE_MERGED);
    assert_int_equal(unsettled(&f), 2); /* the sender's and the mark's */
    expect_nothing(&f);
    item->user = &f;
    queue_done(f.q, item);
    assert_int_equal(unsettled(&f), 1);
    item = expect(&f, "m");
    assert_int_equal(item->first_ns, NOW + 7);
    assert_ptr_equal(item->user, &f);
    queue_done(f.q, item);
    assert_int_equal(unsettled(&f), 0);
    expect_nothing(&f);
    finish(&f);
}

static void a_push_after_done_is_a_new_action(void **state)
{
    (void)state;
    struct fixture f = fresh(1, 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(push(&f, ACTION_MAILBOX, "m", "u"), QUEUE_NEW);
        queue_done(f.q, expect(&f, "m"));
    }
    assert_int_equal(unsettled(&f), 0);
    finish(&f);
}

static void items_come_in_the_order_of_their_oldest_record(void **state)
{
    (void)state;
    struct fixture f = fresh(1, 0);
    push(&f, ACTION_MAILBOX, "1", "u");
    push(&f, ACTION_RENAME, "2", "u");
    push(&f, ACTION_MAILBOX, "3", "u");
    struct queue_item *one = expect(&f, "1"), *two = expect(&f, "2");
    push(&f, ACTION_MAILBOX, "1", "u"); /* one's place is now after 3 and before 4 */
    push(&f, ACTION_MAILBOX, "4", "u");
    queue_done(f.q, one);
    queue_put_back(f.q, two);
    expect(&f, "2");
    expect(&f, "3");
    expect(&f, "1");
    expect(&f, "4");
    expect_nothing(&f);
    finish(&f);
}

static void what_is_put_back_in_any_order_comes_out_in_its_old_order(void **state)
{
    (void)state;
    struct fixture f = fresh(1, 0);
    struct queue_item *items[100], *again[100];
    char name[16];
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "m%d", i);
        push(&f, ACTION_MAILBOX, name, "u");
    }
    assert_int_equal(queue_drain(f.q, 0, NOW, items, 100), 100);
    for (unsigned i = 0; i < 100; i++)
        queue_put_back(f.q, items[i * 37 % 100]);
    assert_int_equal(queue_drain(f.q, 0, NOW, again, 100), 100);
    assert_memory_equal(items, again, sizeof items);
    finish(&f);
}

static void a_put_back_keeps_segments_age_and_attempts_and_takes_the_dirty_mark_in(void **state)
{
    (void)state;
    struct fixture f = fresh(1, 0);
    unsigned other = (unsigned)acks_open(f.acks);
    push(&f, ACTION_MAILBOX, "m", "u");
    struct queue_item *item = expect(&f, "m");
    push_slots(&f, ACTION_MAILBOX, "m", "u", 1u << f.slot | 1u << other, NOW + 7);
    queue_put_back(f.q, item);
    assert_int_equal(unsettled(&f), 1);
    assert_int_equal(acks_unsettled(f.acks, other), 1);
    assert_ptr_equal(expect(&f, "m"), item);
    assert_int_equal(item->first_ns, NOW);
    assert_int_equal(item->attempts, 0);
    queue_done(f.q, item); /* no longer dirty */
    expect_nothing(&f);
    assert_int_equal(unsettled(&f), 0);
    assert_int_equal(acks_unsettled(f.acks, other), 0);
    finish(&f);
}

static void a_deferred_item_comes_when_it_is_due_and_not_earlier_whatever_is_pushed(void **state)
{
    (void)state;
    struct fixture f = fresh(1, 0);
    push(&f, ACTION_MAILBOX, "m", "u");
    struct queue_item *item = expect(&f, "m");
    assert_int_equal(queue_next_due(f.q, 0), -1);
    queue_defer(f.q, item, NOW + 100, QUEUE_TRY_FAILED, "because");
    assert_int_equal(queue_next_due(f.q, 0), NOW + 100);
    assert_int_equal(push(&f, ACTION_MAILBOX, "m", "u"), QUEUE_MERGED);
    assert_int_equal(queue_next_due(f.q, 0), NOW + 100);
    assert_null(drain_one(&f, NOW + 99));
    assert_int_equal(unsettled(&f), 1);
    assert_ptr_equal(drain_one(&f, NOW + 100), item);
    assert_int_equal(queue_next_due(f.q, 0), -1);
    assert_int_equal(item->attempts, 1);
    assert_int_equal(item->first_ns, NOW);
    queue_defer(f.q, item, NOW + 200, QUEUE_TRY_FAILED, "because");
    assert_ptr_equal(drain_one(&f, NOW + 200), item);
    assert_int_equal(item->attempts, 2);
    queue_done(f.q, item);
    assert_int_equal(unsettled(&f), 0);
    finish(&f);
}

static void a_dirty_item_that_is_deferred_waits_with_all_its_segments(void **state)
{
    (void)state;
    struct fixture f = fresh(1, 0);
    unsigned other = (unsigned)acks_open(f.acks);
    push(&f, ACTION_MAILBOX, "m", "u");
    struct queue_item *item = expect(&f, "m");
    push_slots(&f, ACTION_MAILBOX, "m", "u", 1u << f.slot | 1u << other, NOW);
    queue_defer(f.q, item, NOW + 1, QUEUE_TRY_FAILED, "because");
    expect_nothing(&f);
    assert_int_equal(unsettled(&f), 1);
    assert_int_equal(acks_unsettled(f.acks, other), 1);
    queue_done(f.q, drain_one(&f, NOW + 1));
    assert_int_equal(unsettled(&f), 0);
    assert_int_equal(acks_unsettled(f.acks, other), 0);
    assert_int_equal(queue_counters(f.q).queued, 0);
    finish(&f);
}

static void look(void *ctx, const struct queue_view *v)
{
    *(struct queue_view *)ctx = *v; /* one item, which stays */
}

static void who_looks_sees_why_and_until_when_an_item_is_deferred(void **state)
{
    (void)state;
    struct fixture f = fresh(1, 0);
    struct queue_view v = { 0 };
    push(&f, ACTION_MAILBOX, "m", "u");
    queue_each(f.q, look, &v);
    assert_int_equal(v.why.n, 0);
    queue_defer(f.q, expect(&f, "m"), NOW + 1, QUEUE_TRY_LOCKED, "another's");
    queue_each(f.q, look, &v);
    assert_int_equal(v.last_try, QUEUE_TRY_LOCKED);
    assert_int_equal(v.due_ns, NOW + 1);
    assert_slice(v.why, "another's");
    queue_defer(f.q, drain_one(&f, NOW + 1), NOW + 9, QUEUE_TRY_FAILED, "damaged");
    queue_each(f.q, look, &v);
    assert_int_equal(v.last_try, QUEUE_TRY_FAILED);
    assert_int_equal(v.attempts, 2);
    assert_slice(v.why, "damaged");
    struct queue_item *item = drain_one(&f, NOW + 9);
    push(&f, ACTION_MAILBOX, "m", "u");
    queue_done(f.q, item); /* and so it waits, as a new one */
    queue_each(f.q, look, &v);
    assert_int_equal(v.why.n, 0);
    assert_int_equal(v.attempts, 0);
    queue_done(f.q, expect(&f, "m"));
    finish(&f);
}

static void a_try_that_does_not_count_leaves_no_trace(void **state)
{
    (void)state;
    struct fixture f = fresh(1, 0);
    push(&f, ACTION_MAILBOX, "m", "u");
    queue_defer(f.q, expect(&f, "m"), NOW + 1, QUEUE_TRY_UNCOUNTED, "because");
    assert_int_equal(queue_counters(f.q).deferred, 1);
    struct queue_item *item = drain_one(&f, NOW + 1);
    assert_int_equal(item->attempts, 0);
    assert_int_equal(item->first_ns, NOW);
    queue_done(f.q, item);
    finish(&f);
}

/* Those that bear the mark, in the order of their records; the others stay. */
static void deferred_items_of_one_mark_are_due_at_another_time(void **state)
{
    (void)state;
    struct fixture f = fresh(1, 0);
    struct queue_item *items[8];
    char mark, other;
    const char *names[] = { "1", "2", "3", "4", "5", "6" };
    for (int i = 0; i < 6; i++)
        push(&f, ACTION_MAILBOX, names[i], "u");
    assert_int_equal(queue_drain(f.q, 0, NOW, items, 8), 6);
    for (int i = 0; i < 6; i++) {
        items[i]->user = i % 3 ? &mark : &other;
        queue_defer(f.q, items[i], NOW + 100 - i, QUEUE_TRY_UNCOUNTED, "because");
    }
    queue_reschedule(f.q, 0, &mark, NOW);
    assert_int_equal(queue_next_due(f.q, 0), NOW);
    assert_int_equal(queue_drain(f.q, 0, NOW, items, 8), 4);
    assert_slice(items[0]->action.a, "2");
    assert_slice(items[1]->action.a, "3");
    assert_slice(items[2]->action.a, "5");
    assert_slice(items[3]->action.a, "6");
    assert_int_equal(queue_next_due(f.q, 0), NOW + 97);
    queue_reschedule(f.q, 0, &other, NOW + 500);
    assert_int_equal(queue_next_due(f.q, 0), NOW + 500);
    finish(&f);
}

static void attempts_begin_anew_after_a_confirmation(void **state)
{
    (void)state;
    struct fixture f = fresh(1, 0);
    push(&f, ACTION_MAILBOX, "m", "u");
    queue_defer(f.q, expect(&f, "m"), NOW, QUEUE_TRY_FAILED, "because");
    struct queue_item *item = expect(&f, "m");
    push(&f, ACTION_MAILBOX, "m", "u");
    queue_done(f.q, item);
    assert_int_equal(expect(&f, "m")->attempts, 0);
    finish(&f);
}

static void deferred_items_come_by_time_and_leave_half_of_a_batch_to_the_others(void **state)
{
    (void)state;
    struct fixture f = fresh(1, 0);
    struct queue_item *items[8];
    const char *names[] = { "1", "2", "3", "4" };
    for (int i = 0; i < 4; i++)
        push(&f, ACTION_MAILBOX, names[i], "u");
    assert_int_equal(queue_drain(f.q, 0, NOW, items, 8), 4);
    for (int i = 0; i < 4; i++)
        queue_defer(f.q, items[i], NOW + 10 - i, QUEUE_TRY_FAILED, "because");
    push(&f, ACTION_MAILBOX, "new 1", "u");
    push(&f, ACTION_MAILBOX, "new 2", "u");
    assert_int_equal(queue_drain(f.q, 0, NOW + 50, items, 4), 4);
    assert_slice(items[0]->action.a, "4");
    assert_slice(items[1]->action.a, "3");
    assert_slice(items[2]->action.a, "new 1");
    assert_slice(items[3]->action.a, "new 2");
    assert_int_equal(queue_drain(f.q, 0, NOW + 50, items, 8), 2); /* and all of it when nobody waits */
    assert_slice(items[0]->action.a, "2");
    finish(&f);
}

static bool readable(struct fixture *f)
{
    struct pollfd p = { queue_fd(f->q, 0), POLLIN, 0 };
    return poll(&p, 1, 0) == 1;
}

static void a_sender_is_signalled_once_until_it_clears(void **state)
{
    (void)state;
    struct fixture f = fresh(1, 0);
    uint64_t n;
    assert_false(readable(&f));
    push(&f, ACTION_MAILBOX, "1", "u");
    push(&f, ACTION_MAILBOX, "2", "u");
    assert_true(readable(&f));
    assert_int_equal(read(queue_fd(f.q, 0), &n, sizeof n), sizeof n);
    assert_int_equal(n, 1); /* one write for two pushes */
    queue_clear(f.q, 0);
    assert_false(readable(&f));
    push(&f, ACTION_MAILBOX, "1", "u"); /* merged: nothing new to wake for */
    assert_false(readable(&f));
    push(&f, ACTION_MAILBOX, "3", "u");
    assert_true(readable(&f));
    queue_clear(f.q, 0);
    queue_clear(f.q, 0); /* does not wait */
    finish(&f);
}

static void what_is_left_when_the_queue_is_freed_keeps_its_segments(void **state)
{
    (void)state;
    struct fixture f = fresh(1, 0);
    push(&f, ACTION_MAILBOX, "sending", "u");
    push(&f, ACTION_MAILBOX, "deferred", "u");
    push(&f, ACTION_MAILBOX, "put back", "u");
    push(&f, ACTION_MAILBOX, "queued", "u");
    expect(&f, "sending");
    queue_defer(f.q, expect(&f, "deferred"), NOW + 5, QUEUE_TRY_FAILED, "because");
    queue_put_back(f.q, expect(&f, "put back"));
    queue_free(f.q);
    assert_int_equal(unsettled(&f), 4);
    acks_free(f.acks);
}

static void queues_hold_a_segment_independently(void **state)
{
    (void)state;
    struct fixture f = fresh(1, 0);
    struct queue *west;
    struct queue_options o = { 1, 0, f.acks, 64 };
    assert_ok(queue_new(&west, &o));
    struct action a = { ACTION_MAILBOX, slice_str("m"), slice_str("") };
    push(&f, ACTION_MAILBOX, "m", "u");
    queue_push(west, &a, slice_str("u"), 1u << f.slot, NOW);
    assert_int_equal(unsettled(&f), 2);
    queue_done(f.q, expect(&f, "m"));
    assert_int_equal(unsettled(&f), 1);
    struct queue_item *item;
    assert_int_equal(queue_drain(west, 0, NOW, &item, 1), 1);
    queue_done(west, item);
    assert_int_equal(unsettled(&f), 0);
    acks_close(f.acks, f.slot);
    queue_free(west);
    finish(&f);
}

static void a_heap_gives_the_smallest_key_and_among_equals_the_smallest_seq(void **state)
{
    (void)state;
    struct heap h = { NULL, 0, 0 };
    unsigned x = 12345;
    assert_null(heap_pop(&h));
    for (uint64_t i = 0; i < 2000; i++) {
        x = x * 1103515245u + 12345u;
        heap_push(&h, (struct heap_entry){ (int64_t)(x >> 16) % 50, i * 7919 % 2000, NULL });
    }
    struct heap_entry last = { -1, 0, NULL };
    for (int i = 0; i < 2000; i++) {
        struct heap_entry e = *heap_first(&h);
        assert_true(e.key > last.key || (e.key == last.key && e.seq > last.seq));
        last = e;
        heap_pop(&h);
    }
    assert_null(heap_first(&h));
    heap_free(&h);
}

/* From 64 buckets on, with all of them in the tables at a time: each is found again, and is there once. */
static void the_tables_grow_with_what_waits(void **state)
{
    enum { MANY = 40000 };
    (void)state;
    struct fixture f = fresh(1, 0);
    struct queue_item *items[64];
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < MANY; i++) {
            char name[32], owner[16];
            snprintf(name, sizeof name, "user.u%d.f%d", i / 8, i % 8);
            snprintf(owner, sizeof owner, "u%d", i / 8);
            assert_int_equal(push(&f, ACTION_MAILBOX, name, owner), round ? QUEUE_MERGED : QUEUE_NEW);
        }
    size_t drained = 0;
    for (size_t n; (n = queue_drain(f.q, 0, NOW, items, 64)) > 0; drained += n)
        for (size_t i = 0; i < n; i++)
            queue_done(f.q, items[i]);
    assert_int_equal(drained, MANY);
    assert_int_equal(unsettled(&f), 0);
    finish(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pushed_action_is_drained_once_with_all_that_it_says),
        cmocka_unit_test(an_equal_action_is_merged_and_holds_each_segment_once),
        cmocka_unit_test(actions_that_differ_in_kind_or_any_name_are_not_merged),
        cmocka_unit_test(a_push_while_it_is_sent_makes_it_queued_again_when_done),
        cmocka_unit_test(a_push_after_done_is_a_new_action),
        cmocka_unit_test(items_come_in_the_order_of_their_oldest_record),
        cmocka_unit_test(what_is_put_back_in_any_order_comes_out_in_its_old_order),
        cmocka_unit_test(a_put_back_keeps_segments_age_and_attempts_and_takes_the_dirty_mark_in),
        cmocka_unit_test(a_deferred_item_comes_when_it_is_due_and_not_earlier_whatever_is_pushed),
        cmocka_unit_test(a_dirty_item_that_is_deferred_waits_with_all_its_segments),
        cmocka_unit_test(who_looks_sees_why_and_until_when_an_item_is_deferred),
        cmocka_unit_test(a_try_that_does_not_count_leaves_no_trace),
        cmocka_unit_test(deferred_items_of_one_mark_are_due_at_another_time),
        cmocka_unit_test(attempts_begin_anew_after_a_confirmation),
        cmocka_unit_test(deferred_items_come_by_time_and_leave_half_of_a_batch_to_the_others),
        cmocka_unit_test(a_sender_is_signalled_once_until_it_clears),
        cmocka_unit_test(what_is_left_when_the_queue_is_freed_keeps_its_segments),
        cmocka_unit_test(queues_hold_a_segment_independently),
        cmocka_unit_test(a_heap_gives_the_smallest_key_and_among_equals_the_smallest_seq),
        cmocka_unit_test(the_tables_grow_with_what_waits),
    };
    return cmocka_run_group_tests_name("queue", tests, begin, end);
}
