/* Messages that a copyback has put on the master before: known again, and not there twice (spec/algorithm.md §10.1). */
#include "mend_scene.h"

/* The master has record uid 9 with all that made the replica's message what it is, copied when that was at 8. */
static void has_copy(void)
{
    s.rec.n = 2;
    s.rec.uid[1] = 9;
    s.rec.modseq[1] = 19;
    s.rec.internaldate[1] = 70;
    s.rec.size[1] = 100;
    s.rec.savedate[1] = 71;
    s.rec.createdmodseq[1] = 8;
    s.rec.guid[1] = s.details.d[0].guid;
}

/* Its original was changed since. */
static void changes_original(void)
{
    s.rrec.r[0].modseq = s.details.d[0].modseq = 10;
    s.details.d[0].flags = REC_FLAGGED;
}

static void a_message_that_was_copied_before_is_not_copied_again(void **state)
{
    (void)state;
    begin(ROW_COPYBACK);
    has_copy();
    assert_true(mended());
    assert_int_equal(s.mend.rec.n, 0);
    assert_false(s.mend.needed);
    assert_int_equal(s.mend.nexpunge, 1);
}

static void flags_that_changed_after_the_copy_are_taken(void **state)
{
    (void)state;
    begin(ROW_COPYBACK);
    has_copy();
    changes_original();
    s.rec.last_updated[1] = 300;
    s.details.d[0].last_updated = 200; /* whatever the clocks say */
    assert_true(mended());
    assert_int_equal(s.mend.rec.n, 1);
    assert_int_equal(s.mend.rec.uid[0], 9);
    assert_int_equal(s.mend.rec.flags[0], REC_FLAGGED);
    assert_int_equal(s.mend.nmessages, 0);
    assert_int_equal(s.mend.nexpunge, 1);
    assert_sums();
}

static void flags_of_a_copy_stay_when_its_original_did_not_change(void **state)
{
    (void)state;
    begin(ROW_COPYBACK);
    has_copy();
    s.rec.flags[1] = REC_FLAGGED; /* set on the master since */
    s.rec.last_updated[1] = 300;
    s.details.d[0].last_updated = 9999; /* the replica's clock is ahead */
    assert_true(mended());
    assert_int_equal(s.mend.rec.n, 0);
    assert_int_equal(s.mend.nexpunge, 1);
}

/* The uid of the copy was given out on the replica too: it gets a new one, and the original's newer flags. */
static void a_copy_that_is_renumbered_takes_the_flags_under_its_new_uid(void **state)
{
    (void)state;
    begin(ROW_COPYBACK);
    has_copy();
    changes_original();
    s.rows.n = 2;
    s.d[1] = (struct compare_difference){ ROW_RENUMBER, 9 };
    assert_true(mended());
    assert_int_equal(mend_double(&s.mend), 0);
    assert_int_equal(s.mend.rec.n, 2);
    assert_int_equal(s.mend.rec.uid[0], 9);
    assert_true(s.mend.rec.flags[0] & REC_EXPUNGED);
    assert_int_equal(s.mend.rec.uid[1], 10);
    assert_int_equal(s.mend.rec.flags[1], REC_FLAGGED);
    assert_int_equal(s.mend.nmessages, 1);
    assert_int_equal(s.mend.nexpunge, 1);
    assert_sums();
}

/* The copy differs from the replica's and has to be sent again: one record, with the newer flags. */
static void a_copy_that_has_a_row_of_its_own_is_one_record(void **state)
{
    (void)state;
    begin(ROW_COPYBACK);
    has_copy();
    changes_original();
    s.rows.n = 2;
    s.d[1] = (struct compare_difference){ ROW_TOUCH, 9 };
    assert_true(mended());
    assert_int_equal(mend_double(&s.mend), 0);
    assert_int_equal(s.mend.rec.n, 1);
    assert_int_equal(s.mend.rec.flags[0], REC_FLAGGED);
    assert_sums();
}

/* Both were changed on the replica: its own modseqs tell which was the later. */
static void of_a_copy_and_its_original_the_later_change_on_the_replica_wins(void **state)
{
    (void)state;
    for (uint64_t copys = 9; copys <= 11; copys += 2) {
        begin(ROW_COPYBACK);
        has_copy();
        changes_original();
        s.rrec.n = s.details.n = s.rows.n = 2;
        s.rrec.r[1] = s.rrec.r[0];
        s.details.d[1] = s.details.d[0];
        s.rrec.r[1].uid = s.details.d[1].uid = 9;
        s.rrec.r[1].modseq = s.details.d[1].modseq = copys;
        s.details.d[1].flags = REC_ANSWERED;
        s.d[1] = (struct compare_difference){ ROW_TAKE_FLAGS, 9 };
        assert_true(mended());
        assert_int_equal(s.mend.rec.n, 1);
        assert_int_equal(s.mend.rec.flags[0], copys > 10 ? REC_ANSWERED : REC_FLAGGED);
    }
}

/* Somebody saw both and deleted one of them: the other is what he wanted to keep. */
static void a_copy_that_was_expunged_on_the_replica_is_none(void **state)
{
    (void)state;
    begin(ROW_COPYBACK);
    has_copy();
    s.rows.n = 2;
    s.d[1] = (struct compare_difference){ ROW_EXPUNGE_HERE, 9 };
    assert_true(mended());
    assert_int_equal(s.mend.rec.n, 2);
    assert_true(s.mend.rec.flags[0] & REC_EXPUNGED);
    assert_int_equal(s.mend.rec.uid[1], 10);
    assert_int_equal(s.mend.nmessages, 1);
}

/* Created before the original was, or when the original had not been changed so far yet. */
static void what_was_made_at_another_modseq_is_no_copy(void **state)
{
    (void)state;
    for (uint64_t created = 3; created <= 9; created += 6) {
        begin(ROW_COPYBACK);
        has_copy();
        s.rec.createdmodseq[1] = created;
        assert_true(mended());
        assert_int_equal(s.mend.nmessages, 1);
    }
}

static void of_several_copies_the_first_is_the_originals(void **state)
{
    (void)state;
    begin(ROW_COPYBACK);
    has_copy();
    changes_original();
    s.rec.uid[0] = 8;
    s.rec.guid[0] = s.rec.guid[1];
    s.rec.createdmodseq[0] = 7;
    s.rec.createdmodseq[1] = 6;
    assert_true(mended());
    assert_int_equal(s.mend.rec.n, 1);
    assert_int_equal(s.mend.rec.uid[0], 9);
}

static void one_copy_answers_for_one_message_only(void **state)
{
    (void)state;
    begin(ROW_COPYBACK);
    has_copy();
    s.rrec.n = s.details.n = s.rows.n = 2;
    s.rrec.r[1] = s.rrec.r[0];
    s.details.d[1] = s.details.d[0];
    s.rrec.r[1].uid = s.details.d[1].uid = 6;
    s.d[1] = (struct compare_difference){ ROW_COPYBACK, 6 };
    assert_int_equal(s.rec.createdmodseq[1], 8);
    assert_true(mended());
    assert_int_equal(s.mend.rec.n, 1);
    assert_int_equal(s.mend.messages[0].from_uid, 6);
    assert_int_equal(s.mend.nexpunge, 2);
}

static void a_message_saved_at_another_time_is_no_copy(void **state)
{
    (void)state;
    begin(ROW_COPYBACK);
    has_copy();
    s.rec.savedate[1] = 72;
    assert_true(mended());
    assert_int_equal(s.mend.rec.n, 1);
}

/* ---- without the master ---- */

static struct compare_result may_be(void)
{
    return diff_may_be_copied(&s.a, &s.rec, &s.rrec, &s.rows);
}

static enum compare_row settled(void)
{
    struct compare_result c = diff_settle_copied(&s.a, &s.rec, &s.rrec, &s.rows, &s.details);
    assert_int_equal(c.n, s.rows.n);
    assert_int_equal(c.d[0].uid, s.d[0].uid);
    return c.d[0].row;
}

static void an_original_that_has_its_copy_is_expunged_there_without_the_master(void **state)
{
    (void)state;
    begin(ROW_COPYBACK);
    assert_int_equal(may_be().n, 0);
    assert_int_equal(settled(), ROW_COPYBACK);
    has_copy();
    assert_int_equal(may_be().n, 1);
    assert_int_equal(settled(), ROW_STALE);
}

/* What the replica's user did would be lost with it. */
static void an_original_that_changed_after_the_copy_stays(void **state)
{
    (void)state;
    begin(ROW_COPYBACK);
    has_copy();
    changes_original();
    assert_int_equal(may_be().n, 0);
    assert_int_equal(settled(), ROW_COPYBACK);
}

/* The update would not bring it under a uid that the replica has used otherwise. */
static void an_original_whose_copy_cannot_arrive_stays(void **state)
{
    (void)state;
    begin(ROW_COPYBACK);
    has_copy();
    s.rows.n = 2;
    s.d[1] = (struct compare_difference){ ROW_RENUMBER, 9 };
    assert_int_equal(may_be().n, 0);
    assert_int_equal(settled(), ROW_COPYBACK);
}

static void an_original_that_only_looks_like_it_stays(void **state)
{
    (void)state;
    begin(ROW_COPYBACK);
    has_copy();
    s.rec.savedate[1] = 72;
    assert_int_equal(may_be().n, 1);
    assert_int_equal(settled(), ROW_COPYBACK);
    s.rec.savedate[1] = 71;
    s.details.n = 0; /* it was not told, or changed meanwhile */
    assert_int_equal(settled(), ROW_COPYBACK);
}

/* Expunged on the master after the copy was made there: the row stays what it was. */
static void a_copy_that_is_gone_again_replaces_nothing(void **state)
{
    (void)state;
    begin(ROW_COPYBACK);
    has_copy();
    s.rec.flags[1] |= REC_EXPUNGED;
    assert_int_equal(may_be().n, 0);
    assert_int_equal(settled(), ROW_COPYBACK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_message_that_was_copied_before_is_not_copied_again),
        TEST(flags_that_changed_after_the_copy_are_taken),
        TEST(flags_of_a_copy_stay_when_its_original_did_not_change),
        TEST(a_copy_that_is_renumbered_takes_the_flags_under_its_new_uid),
        TEST(a_copy_that_has_a_row_of_its_own_is_one_record),
        TEST(of_a_copy_and_its_original_the_later_change_on_the_replica_wins),
        TEST(a_copy_that_was_expunged_on_the_replica_is_none),
        TEST(what_was_made_at_another_modseq_is_no_copy),
        TEST(of_several_copies_the_first_is_the_originals),
        TEST(one_copy_answers_for_one_message_only),
        TEST(a_message_saved_at_another_time_is_no_copy),
        TEST(an_original_that_has_its_copy_is_expunged_there_without_the_master),
        TEST(an_original_that_changed_after_the_copy_stays),
        TEST(an_original_whose_copy_cannot_arrive_stays),
        TEST(an_original_that_only_looks_like_it_stays),
        TEST(a_copy_that_is_gone_again_replaces_nothing),
    };
    return cmocka_run_group_tests_name("diff: copies", tests, NULL, NULL);
}
