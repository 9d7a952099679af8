/* Whose fault it is that items fail (daemon/trouble.h). */
#include "../test.h"

#include "daemon/trouble.h"

enum { MOST = 8 };

/* A batch: items of owners a, b, c ... in their order. */
struct scene {
    struct trouble t;
    struct queue_item item[MOST], *items[MOST];
    struct batch_entry entry[MOST];
    size_t n;
};

static void add(struct scene *s, const char *owner, enum batch_result result, enum err_kind kind)
{
    s->item[s->n].owner = slice_str(owner);
    s->item[s->n].attempts = 0;
    s->items[s->n] = &s->item[s->n];
    s->entry[s->n] = (struct batch_entry){ .result = result, .kind = kind };
    s->n++;
}

static void add_failure(struct scene *s, const char *owner, enum err_kind kind)
{
    add(s, owner, BATCH_FAILED, kind);
}

static struct verdict judge(struct scene *s)
{
    struct verdict v = trouble_judge(&s->t, s->items, s->entry, s->n);
    s->n = 0;
    return v;
}

static struct verdict fail_alone(struct scene *s, const char *owner, enum err_kind kind)
{
    add_failure(s, owner, kind);
    return judge(s);
}

static void one_item_that_fails_among_others_is_at_fault(void **state)
{
    struct scene s = { .n = 0 };
    static const enum err_kind kinds[] = { ERR_SHORTAGE, ERR_AILING, ERR_DENIED, ERR_CORRUPT };
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        add_failure(&s, "a", kinds[i]);
        add(&s, "b", BATCH_DONE, ERR_IO);
        struct verdict v = judge(&s);
        assert_int_equal(v.cause, CAUSE_ITEM);
        assert_false(v.pause || v.over);
        assert_true(trouble_counts(&v, &s.entry[0]));
    }
}

static void a_shortage_of_this_host_is_common_at_once(void **state)
{
    struct scene s = { .n = 0 };
    (void)state;
    struct verdict v = fail_alone(&s, "a", ERR_SHORTAGE);
    assert_int_equal(v.cause, CAUSE_HOST);
    assert_true(v.pause);
    assert_int_equal(v.wait, 1);
    assert_false(trouble_counts(&v, &s.entry[0]));
}

static void a_replica_that_blames_itself_is_believed_when_it_has_met_two_users(void **state)
{
    struct scene s = { .n = 0 };
    (void)state;
    struct verdict v = fail_alone(&s, "a", ERR_AILING);
    assert_int_equal(v.cause, CAUSE_REPLICA);
    assert_false(v.pause); /* the item waits for it, and its try does not count */
    assert_false(trouble_counts(&v, &s.entry[0]));
    v = fail_alone(&s, "a", ERR_AILING);
    assert_false(v.pause);
    v = fail_alone(&s, "b", ERR_AILING);
    assert_true(v.pause);
    assert_int_equal(v.wait, 4);
}

static void two_users_that_fail_alike_without_any_success_pause_the_channel(void **state)
{
    struct scene s = { .n = 0 };
    (void)state;
    struct verdict v = fail_alone(&s, "a", ERR_DENIED);
    assert_int_equal(v.cause, CAUSE_ITEM);
    assert_true(trouble_counts(&v, &s.entry[0]));
    v = fail_alone(&s, "b", ERR_DENIED);
    assert_int_equal(v.cause, CAUSE_ALIKE);
    assert_true(v.pause);
    assert_false(trouble_counts(&v, &s.entry[0]));
}

static void shared_mailboxes_are_each_an_owner(void **state)
{
    struct scene s = { .n = 0 };
    (void)state;
    s.item[0].action.a = slice_str("shared.x");
    s.item[1].action.a = slice_str("shared.y");
    add_failure(&s, "", ERR_DENIED);
    add_failure(&s, "", ERR_DENIED);
    assert_true(judge(&s).pause);
}

static void what_fails_in_different_ways_is_not_common(void **state)
{
    struct scene s = { .n = 0 };
    (void)state;
    add_failure(&s, "a", ERR_DENIED);
    add_failure(&s, "b", ERR_PROTOCOL);
    assert_int_equal(judge(&s).cause, CAUSE_ITEM);
    fail_alone(&s, "a", ERR_DENIED);
    assert_int_equal(fail_alone(&s, "b", ERR_PROTOCOL).cause, CAUSE_ITEM);
    fail_alone(&s, "a", ERR_DENIED);
    add(&s, "c", BATCH_DONE, ERR_IO);
    judge(&s);
    assert_int_equal(fail_alone(&s, "b", ERR_DENIED).cause, CAUSE_ITEM);
}

static void damage_is_always_the_items_own(void **state)
{
    struct scene s = { .n = 0 };
    (void)state;
    add_failure(&s, "a", ERR_CORRUPT);
    add_failure(&s, "b", ERR_CORRUPT);
    add_failure(&s, "c", ERR_CONFLICT);
    assert_int_equal(judge(&s).cause, CAUSE_ITEM);
    add_failure(&s, "a", ERR_CORRUPT);
    add_failure(&s, "b", ERR_SHORTAGE);
    struct verdict v = judge(&s);
    assert_true(v.pause);
    assert_int_equal(v.example, 1);
    assert_true(trouble_counts(&v, &s.entry[0]));
    assert_false(trouble_counts(&v, &s.entry[1]));
}

/* Two such items, alone on a quiet channel, would else keep everybody's mail waiting. */
static void items_that_failed_while_others_succeeded_pause_nothing(void **state)
{
    struct scene s = { .n = 0 };
    (void)state;
    for (int i = 0; i < 3; i++) {
        add_failure(&s, "a", ERR_AILING);
        add_failure(&s, "b", ERR_AILING);
        s.item[0].attempts = s.item[1].attempts = 1;
        struct verdict v = judge(&s);
        assert_false(v.pause);
        assert_true(trouble_counts(&v, &s.entry[0]));
    }
}

static void the_wait_doubles_to_a_minute_and_begins_anew_after_a_success(void **state)
{
    static const int waits[] = { 1, 2, 4, 8, 16, 32, 60, 60 };
    struct scene s = { .n = 0 };
    (void)state;
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < sizeof waits / sizeof *waits; i++)
            assert_int_equal(fail_alone(&s, "a", ERR_SHORTAGE).wait, waits[i]);
        add(&s, "a", BATCH_DONE, ERR_IO);
        assert_true(judge(&s).over);
        add(&s, "a", BATCH_DONE, ERR_IO);
        assert_false(judge(&s).over);
    }
}

static void a_replica_that_says_bye_is_nobodys_fault(void **state)
{
    struct scene s = { .n = 0 };
    (void)state;
    add_failure(&s, "a", ERR_BYE);
    add_failure(&s, "b", ERR_BYE);
    struct verdict v = judge(&s);
    assert_int_equal(v.cause, CAUSE_ITEM);
    assert_false(v.pause);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_item_that_fails_among_others_is_at_fault),
        cmocka_unit_test(a_shortage_of_this_host_is_common_at_once),
        cmocka_unit_test(a_replica_that_blames_itself_is_believed_when_it_has_met_two_users),
        cmocka_unit_test(two_users_that_fail_alike_without_any_success_pause_the_channel),
        cmocka_unit_test(shared_mailboxes_are_each_an_owner),
        cmocka_unit_test(what_fails_in_different_ways_is_not_common),
        cmocka_unit_test(damage_is_always_the_items_own),
        cmocka_unit_test(items_that_failed_while_others_succeeded_pause_nothing),
        cmocka_unit_test(the_wait_doubles_to_a_minute_and_begins_anew_after_a_success),
        cmocka_unit_test(a_replica_that_says_bye_is_nobodys_fault),
    };
    return cmocka_run_group_tests_name("daemon: trouble", tests, NULL, NULL);
}
