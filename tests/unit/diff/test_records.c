/*
 * Which records travel, and in which parts (spec/algorithm.md §4.3, §5.2). The last test
 * is a property: whatever the modseqs, applying the parts in turn gives every record with
 * its true modseq, each part is a step forward, and there are not too many.
 */
#include "build.h"

#include <stdlib.h>

static void a_new_mailbox_and_an_empty_shell_need_every_record(void **state)
{
    (void)state;
    struct mailbox_header m = master();
    struct replica_mailbox r = in_step_with(&m);
    struct record_bounds b = diff_bounds(NULL);
    assert_true(b.since_modseq == 0 && b.since_uid == 0);
    r.last_uid = 0; /* HIGHESTMODSEQ claims more than there is */
    b = diff_bounds(&r);
    assert_true(b.since_modseq == 0 && b.since_uid == 0);
}

static void a_record_above_the_replicas_last_uid_is_sent_whatever_its_modseq(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct mailbox_header m = master();
    struct replica_mailbox r = in_step_with(&m);
    const uint64_t modseq[] = { 5, 12, 7 };
    struct records rec = records_of(&a, 3, modseq);
    r.last_uid = 2;
    r.highestmodseq = 10;
    struct record_bounds b = diff_bounds(&r);
    struct record_part p = diff_part(&m, &rec, b, 0);
    uint64_t sent;
    assert_false(diff_record_in_part(&rec, 0, b, &p, &sent));
    assert_true(diff_record_in_part(&rec, 1, b, &p, &sent));
    assert_true(diff_record_in_part(&rec, 2, b, &p, &sent));
    assert_int_equal(sent, 7);
    arena_free(&a);
}

static void only_what_the_replica_has_not_seen_is_sent(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct mailbox_header m = master();
    struct replica_mailbox r = in_step_with(&m);
    const uint64_t modseq[] = { 9, 10, 11 };
    struct records rec = records_of(&a, 3, modseq);
    r.highestmodseq = 10;
    struct record_bounds b = diff_bounds(&r);
    struct record_part p = diff_part(&m, &rec, b, 0);
    uint64_t sent;
    assert_false(diff_record_in_part(&rec, 0, b, &p, &sent));
    assert_false(diff_record_in_part(&rec, 1, b, &p, &sent));
    assert_true(diff_record_in_part(&rec, 2, b, &p, &sent));
    arena_free(&a);
}

static void few_new_records_are_one_part(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct mailbox_header m = master();
    const uint64_t modseq[] = { 2, 3, 4 };
    struct records rec = records_of(&a, 3, modseq);
    assert_true(diff_part(&m, &rec, diff_bounds(NULL), 3).complete);
    struct record_part p = diff_part(&m, &rec, diff_bounds(NULL), 2);
    assert_false(p.complete);
    assert_int_equal(p.to_uid, 2);
    assert_int_equal(p.to_modseq, 3);
    arena_free(&a);
}

static void modseqs_out_of_order_that_leave_no_state_in_between_are_one_part(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct mailbox_header m = master();
    const uint64_t modseq[] = { 4, 3, 1 };
    struct records rec = records_of(&a, 3, modseq);
    assert_true(diff_part(&m, &rec, diff_bounds(NULL), 1).complete);
    arena_free(&a);
}

static void an_expunged_record_has_its_own_modseq_in_every_part(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct mailbox_header m = master();
    const uint64_t modseq[] = { 18, 2, 19, 3, 4 };
    struct records rec = records_of(&a, 5, modseq);
    rec.flags[2] = REC_EXPUNGED;
    struct record_part p = diff_part(&m, &rec, diff_bounds(NULL), 3);
    uint64_t sent;
    assert_false(p.complete);
    assert_int_equal(p.to_modseq, 2);
    assert_true(diff_record_in_part(&rec, 0, diff_bounds(NULL), &p, &sent));
    assert_int_equal(sent, 2); /* live: its own follows */
    assert_true(diff_record_in_part(&rec, 2, diff_bounds(NULL), &p, &sent));
    assert_int_equal(sent, 19); /* no server would take it later */
    arena_free(&a);
}

/* Every third record is expunged: of what a replica is told of one a second time it takes nothing. */
static bool is_expunged(size_t i)
{
    return i % 3 == 0;
}

static void check_parts(struct arena *a, size_t n, uint32_t batch)
{
    uint64_t *modseq = arena_array(a, n, sizeof *modseq);
    uint64_t *got = arena_array(a, n, sizeof *got);
    struct mailbox_header m = master();
    m.last_uid = (uint32_t)n;
    m.highestmodseq = 1;
    for (size_t i = 0; i < n; i++) {
        modseq[i] = 2 + (uint64_t)(rand() % (int)(2 * n));
        if (modseq[i] > m.highestmodseq)
            m.highestmodseq = modseq[i];
    }
    struct records rec = records_of(a, n, modseq);
    for (size_t i = 0; i < n; i++)
        rec.flags[i] = is_expunged(i) ? REC_EXPUNGED : 0;
    struct record_bounds have = diff_bounds(NULL);
    for (size_t parts = 1;; parts++) {
        struct record_part p = diff_part(&m, &rec, have, batch);
        size_t fresh = 0;
        assert_true(p.to_modseq > have.since_modseq && p.to_uid >= have.since_uid);
        for (size_t i = 0; i < n; i++) {
            uint64_t sent;
            if (!diff_record_in_part(&rec, i, have, &p, &sent))
                continue;
            assert_true(rec.uid[i] <= p.to_uid && sent <= modseq[i]);
            assert_true(sent <= p.to_modseq || is_expunged(i));
            fresh += rec.uid[i] > have.since_uid;
            if (got[i] == 0 || !is_expunged(i))
                got[i] = sent;
        }
        assert_true(p.complete || fresh <= batch);
        if (p.complete)
            break;
        assert_true(parts <= n / batch + 1);
        have = (struct record_bounds){ p.to_modseq, p.to_uid };
    }
    assert_memory_equal(got, modseq, n * sizeof *got);
}

static void parts_applied_in_turn_give_the_whole(void **state)
{
    (void)state;
    srand(7);
    for (int round = 0; round < 3000; round++) {
        struct arena a = ARENA_INIT;
        check_parts(&a, 1 + (size_t)(rand() % 40), 1 + (uint32_t)(rand() % 10));
        arena_free(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_mailbox_and_an_empty_shell_need_every_record),
        cmocka_unit_test(a_record_above_the_replicas_last_uid_is_sent_whatever_its_modseq),
        cmocka_unit_test(only_what_the_replica_has_not_seen_is_sent),
        cmocka_unit_test(few_new_records_are_one_part),
        cmocka_unit_test(modseqs_out_of_order_that_leave_no_state_in_between_are_one_part),
        cmocka_unit_test(an_expunged_record_has_its_own_modseq_in_every_part),
        cmocka_unit_test(parts_applied_in_turn_give_the_whole),
    };
    return cmocka_run_group_tests_name("diff: records", tests, NULL, NULL);
}
