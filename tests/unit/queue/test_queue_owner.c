/* What a user's actions have in common: cover, collapse, their shard; and what status shows. */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>

static void a_queued_user_covers_the_objects_of_its_owner_and_of_nobody_else(void **state)
{
    (void)state;
    struct fixture f = fresh(1, 0);
    unsigned other = (unsigned)acks_open(f.acks);
    push_slots(&f, ACTION_USER, "fred", "fred", 0, NOW);
    const enum action_kind covered[] = { ACTION_MAILBOX, ACTION_META,       ACTION_SEEN,
                                         ACTION_SUB,     ACTION_ANNOTATION, ACTION_QUOTA };
    for (size_t i = 0; i < sizeof covered / sizeof *covered; i++)
        assert_int_equal(push_slots(&f, covered[i], "x", "fred", 1u << other, NOW), QUEUE_COVERED);
    assert_int_equal(acks_unsettled(f.acks, other), 1);
    const enum action_kind kept[] = { ACTION_RENAME, ACTION_UNMAILBOX, ACTION_UNUSER };
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        assert_int_equal(push(&f, kept[i], "x", "fred"), QUEUE_NEW);
    assert_int_equal(push(&f, ACTION_MAILBOX, "x", "jane"), QUEUE_NEW);
    assert_int_equal(push(&f, ACTION_MAILBOX, "y", ""), QUEUE_NEW);
    assert_int_equal(queue_counters(f.q).queued, 6);
    assert_int_equal(queue_counters(f.q).covered, 6);
    queue_done(f.q, expect(&f, "fred"));
    assert_int_equal(acks_unsettled(f.acks, other), 0);
    finish(&f);
}

static void a_user_that_is_being_sent_or_deferred_covers_nothing(void **state)
{
    (void)state;
    struct fixture f = fresh(1, 0);
    push(&f, ACTION_USER, "fred", "fred");
    struct queue_item *user = expect(&f, "fred");
    assert_int_equal(push(&f, ACTION_MAILBOX, "m1", "fred"), QUEUE_NEW);
    queue_defer(f.q, user, NOW + 100, QUEUE_TRY_FAILED, "because");
    assert_int_equal(push(&f, ACTION_MAILBOX, "m2", "fred"), QUEUE_NEW);
    assert_ptr_equal(drain_one(&f, NOW + 100), user);
    queue_put_back(f.q, user); /* queued again, so it covers again; what is queued stays */
    assert_int_equal(push(&f, ACTION_MAILBOX, "m3", "fred"), QUEUE_COVERED);
    assert_int_equal(push(&f, ACTION_MAILBOX, "m1", "fred"), QUEUE_MERGED);
    finish(&f);
}

static void too_many_objects_of_an_owner_become_one_user_action(void **state)
{
    (void)state;
    struct fixture f = fresh(1, 3);
    char name[32];
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "m%d", i);
        assert_int_equal(push(&f, ACTION_MAILBOX, name, "fred"), i < 3 ? QUEUE_NEW : QUEUE_COVERED);
    }
    for (int i = 0; i < 100; i++) { /* shared mailboxes have no user to collapse to */
        snprintf(name, sizeof name, "shared%d", i);
        assert_int_equal(push(&f, ACTION_MAILBOX, name, ""), QUEUE_NEW);
    }
    assert_int_equal(push(&f, ACTION_RENAME, "r", "fred"), QUEUE_NEW);
    assert_int_equal(push(&f, ACTION_UNMAILBOX, "n", "fred"), QUEUE_NEW);
    assert_int_equal(queue_counters(f.q).queued, 3 + 1 + 100 + 2);
    for (int i = 0; i < 3; i++)
        drain_one(&f, NOW);
    struct queue_item *user = expect(&f, "fred");
    assert_int_equal(user->action.kind, ACTION_USER);
    assert_slice(user->owner, "fred");
    finish(&f);
}

static void a_collapse_into_a_user_that_is_sent_or_deferred_marks_that_one(void **state)
{
    (void)state;
    struct fixture f = fresh(1, 1);
    push(&f, ACTION_USER, "fred", "fred");
    struct queue_item *user = expect(&f, "fred");
    push(&f, ACTION_MAILBOX, "m1", "fred");
    assert_int_equal(push(&f, ACTION_MAILBOX, "m2", "fred"), QUEUE_COVERED);
    queue_done(f.q, user); /* dirty: again */
    expect(&f, "m1");
    assert_ptr_equal(expect(&f, "fred"), user);
    queue_defer(f.q, user, NOW + 100, QUEUE_TRY_FAILED, "because");
    assert_int_equal(push(&f, ACTION_MAILBOX, "m2", "fred"), QUEUE_COVERED);
    expect_nothing(&f);
    queue_done(f.q, drain_one(&f, NOW + 100));
    assert_int_equal(queue_counters(f.q).deferred, 0);
    finish(&f);
}

static void an_owner_may_queue_again_when_its_actions_are_done(void **state)
{
    (void)state;
    struct fixture f = fresh(1, 2);
    for (int round = 0; round < 3; round++) { /* its record dies and comes back */
        assert_int_equal(push(&f, ACTION_MAILBOX, "m1", "fred"), QUEUE_NEW);
        assert_int_equal(push(&f, ACTION_MAILBOX, "m2", "fred"), QUEUE_NEW);
        assert_int_equal(push(&f, ACTION_MAILBOX, "m3", "fred"), QUEUE_COVERED);
        queue_done(f.q, expect(&f, "m1"));
        queue_done(f.q, expect(&f, "m2"));
        queue_done(f.q, expect(&f, "fred"));
    }
    assert_int_equal(unsettled(&f), 0);
    finish(&f);
}

static int number(struct slice s)
{
    char text[16] = "";
    memcpy(text, s.p + 1, s.n - 1);
    return atoi(text);
}

static void all_actions_of_an_owner_are_in_one_shard_and_owners_are_spread(void **state)
{
    (void)state;
    enum { SHARDS = 4, OWNERS = 200 };
    struct fixture f = fresh(SHARDS, 0);
    char owner[16], name[32];
    for (int i = 0; i < OWNERS * 3; i++) {
        snprintf(owner, sizeof owner, "u%d", i % OWNERS);
        snprintf(name, sizeof name, "m%d", i);
        push(&f, ACTION_MAILBOX, name, owner);
    }
    int of[OWNERS] = { 0 };
    for (unsigned s = 0; s < SHARDS; s++) {
        struct queue_item *items[OWNERS * 3];
        size_t n = queue_drain(f.q, s, NOW, items, OWNERS * 3);
        assert_in_range(n, 60, 300);
        for (size_t i = 0; i < n; i++)
            of[number(items[i]->owner)] += 100 + (int)s;
    }
    for (int i = 0; i < OWNERS; i++)
        assert_int_equal(of[i] % 3, 0); /* three times the same shard */
    finish(&f);
}

struct seen {
    unsigned states[4];
    int64_t oldest;
};

static void see(void *ctx, const struct queue_view *v)
{
    struct seen *s = ctx;
    s->states[v->state]++;
    assert_slice(v->owner, "u");
    assert_slice(slice_of(v->action.a.p, 1), "m");
    if (v->state == QUEUE_DEFERRED)
        assert_int_equal(v->attempts, 1);
    assert_non_null(queue_state_name(v->state));
}

static void status_shows_every_action_in_its_state_and_the_oldest(void **state)
{
    (void)state;
    struct fixture f = fresh(1, 0);
    assert_int_equal(queue_oldest_ns(f.q), -1);
    const char *names[] = { "m0", "m1", "m2", "m3", "m4", "m5" };
    for (int i = 0; i < 6; i++)
        push_slots(&f, ACTION_MAILBOX, names[i], "u", 0, 50 + i);
    queue_done(f.q, expect(&f, "m0"));
    expect(&f, "m1");
    expect(&f, "m2");
    push(&f, ACTION_MAILBOX, "m2", "u");
    queue_defer(f.q, expect(&f, "m3"), NOW + 1, QUEUE_TRY_FAILED, "because");
    struct seen s = { { 0 }, 0 };
    queue_each(f.q, see, &s);
    assert_int_equal(s.states[QUEUE_QUEUED], 2);
    assert_int_equal(s.states[QUEUE_SENDING], 1);
    assert_int_equal(s.states[QUEUE_SENDING_DIRTY], 1);
    assert_int_equal(s.states[QUEUE_DEFERRED], 1);
    assert_int_equal(queue_oldest_ns(f.q), 51);
    finish(&f);
}

static void counters_add_up(void **state)
{
    (void)state;
    struct fixture f = fresh(1, 0);
    push(&f, ACTION_USER, "u", "u");
    push(&f, ACTION_MAILBOX, "covered", "u");
    push(&f, ACTION_RENAME, "1", "u");
    push(&f, ACTION_RENAME, "1", "u");
    push(&f, ACTION_RENAME, "2", "u");
    push(&f, ACTION_RENAME, "3", "u");
    queue_done(f.q, expect(&f, "u"));
    queue_put_back(f.q, expect(&f, "1"));
    struct queue_item *one = expect(&f, "1");
    push(&f, ACTION_RENAME, "1", "u");
    queue_done(f.q, one);
    queue_defer(f.q, expect(&f, "2"), NOW + 1, QUEUE_TRY_FAILED, "because");
    expect(&f, "3");
    struct queue_counters c = queue_counters(f.q);
    assert_int_equal(c.pushed, 7);
    assert_int_equal(c.merged, 2);
    assert_int_equal(c.covered, 1);
    assert_int_equal(c.drained, 5);
    assert_int_equal(c.confirmed, 2);
    assert_int_equal(c.requeued, 1);
    assert_int_equal(c.put_back, 1);
    assert_int_equal(c.deferrals, 1);
    assert_int_equal(c.queued, 1);
    assert_int_equal(c.sending, 1);
    assert_int_equal(c.deferred, 1);
    finish(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_queued_user_covers_the_objects_of_its_owner_and_of_nobody_else),
        cmocka_unit_test(a_user_that_is_being_sent_or_deferred_covers_nothing),
        cmocka_unit_test(too_many_objects_of_an_owner_become_one_user_action),
        cmocka_unit_test(a_collapse_into_a_user_that_is_sent_or_deferred_marks_that_one),
        cmocka_unit_test(an_owner_may_queue_again_when_its_actions_are_done),
        cmocka_unit_test(all_actions_of_an_owner_are_in_one_shard_and_owners_are_spread),
        cmocka_unit_test(status_shows_every_action_in_its_state_and_the_oldest),
        cmocka_unit_test(counters_add_up),
    };
    return cmocka_run_group_tests_name("queue owner", tests, begin, end);
}
