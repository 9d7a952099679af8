/* Spilling: a sender lets go of segments whose actions still wait (fansync/queue.h). */
#include "fixture.h"

#include <stdio.h>

struct told {
    char names[256];
};

static void tell(void *ctx, const struct action *a)
{
    struct told *t = ctx;
    size_t n = strlen(t->names);
    snprintf(t->names + n, sizeof t->names - n, SLICE_FMT " ", SLICE_ARG(a->a));
}

static struct told spill(struct fixture *f, uint32_t slots, bool spilled)
{
    struct told t = { "" };
    struct queue_waiting *w = queue_waiting(f->q, 0, slots, tell, &t);
    queue_waiting_end(f->q, w, spilled);
    return t;
}

static void what_waits_gives_its_slots_back_and_is_still_handed_out(void **state)
{
    (void)state;
    struct fixture f = fresh(1, 0);
    push(&f, ACTION_MAILBOX, "m", "u");
    assert_string_equal(spill(&f, 1u << f.slot, true).names, "m ");
    assert_int_equal(unsettled(&f), 0);
    assert_string_equal(spill(&f, 1u << f.slot, true).names, "");
    queue_done(f.q, expect(&f, "m"));
    finish(&f);
}

static void a_spill_that_failed_keeps_the_slots(void **state)
{
    (void)state;
    struct fixture f = fresh(1, 0);
    push(&f, ACTION_MAILBOX, "m", "u");
    spill(&f, 1u << f.slot, false);
    assert_int_equal(unsettled(&f), 1);
    queue_done(f.q, expect(&f, "m"));
    assert_int_equal(unsettled(&f), 0);
    finish(&f);
}

static void what_is_deferred_is_spilled_too_and_what_is_sent_is_not(void **state)
{
    (void)state;
    struct fixture f = fresh(1, 0);
    push(&f, ACTION_MAILBOX, "later", "u");
    queue_defer(f.q, expect(&f, "later"), NOW + 1000, QUEUE_TRY_FAILED, "because");
    push(&f, ACTION_MAILBOX, "sent", "u");
    struct queue_item *sent = expect(&f, "sent");
    assert_string_equal(spill(&f, 1u << f.slot, true).names, "later ");
    assert_int_equal(unsettled(&f), 1);
    queue_done(f.q, sent);
    assert_int_equal(unsettled(&f), 0);
    finish(&f);
}

static void only_the_slots_asked_for_are_given_back(void **state)
{
    (void)state;
    struct fixture f = fresh(1, 0);
    unsigned other = (unsigned)acks_open(f.acks);
    push_slots(&f, ACTION_MAILBOX, "m", "u", 1u << f.slot | 1u << other, NOW);
    spill(&f, 1u << f.slot, true);
    assert_int_equal(unsettled(&f), 0);
    assert_int_equal(acks_unsettled(f.acks, other), 1);
    /* read again from the log it was written to */
    assert_int_equal(push_slots(&f, ACTION_MAILBOX, "m", "u", 1u << other, NOW), QUEUE_MERGED);
    queue_done(f.q, expect(&f, "m"));
    assert_int_equal(acks_unsettled(f.acks, other), 0);
    finish(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_waits_gives_its_slots_back_and_is_still_handed_out),
        cmocka_unit_test(a_spill_that_failed_keeps_the_slots),
        cmocka_unit_test(what_is_deferred_is_spilled_too_and_what_is_sent_is_not),
        cmocka_unit_test(only_the_slots_asked_for_are_given_back),
    };
    queue_thread_begin();
    int failed = cmocka_run_group_tests_name("queue: spill", tests, NULL, NULL);
    queue_thread_end();
    return failed;
}
