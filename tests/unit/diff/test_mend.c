/* What each row of a comparison asks of the master (spec/algorithm.md §7.1, §7.7). */
#include "mend_scene.h"

static void flags_of_the_replica_are_taken_with_a_modseq_above_both_sides(void **state)
{
    (void)state;
    struct slice label = slice_str("Label");
    begin(ROW_TAKE_FLAGS);
    s.details.d[0].guid = s.rrec.r[0].guid = s.rec.guid[0];
    s.details.d[0].flags = REC_FLAGGED;
    s.details.d[0].userflags = &label;
    s.details.d[0].nuserflags = 1;
    s.floor = 33;
    assert_true(mended());
    assert_int_equal(s.mend.rec.n, 1);
    assert_int_equal(s.mend.rec.modseq[0], 34);
    assert_int_equal(s.mend.m.highestmodseq, 34);
    assert_int_equal(s.mend.rec.last_updated[0], NOW);
    assert_int_equal(s.mend.rec.flags[0], REC_FLAGGED);
    assert_int_equal(s.mend.rec.internaldate[0], 70);
    assert_int_equal(s.mend.m.nuserflags, 1);
    assert_slice(s.mend.m.userflags[0], "Label");
    assert_int_equal(s.mend.rec.userflags[0][0], 1);
    assert_int_equal(s.mend.nmessages + s.mend.nexpunge, 0);
    assert_sums();
}

static void a_record_that_differs_gets_a_fresh_modseq_only(void **state)
{
    (void)state;
    begin(ROW_TOUCH);
    assert_true(mended());
    assert_true(s.mend.needed);
    assert_int_equal(s.mend.rec.modseq[0], 21);
    assert_int_equal(s.mend.rec.flags[0], REC_SEEN);
    assert_int_equal(s.mend.rec.internaldate[0], 70);
    assert_int_equal(s.mend.rec.size[0], 100);
    assert_int_equal(s.mend.rec.savedate[0], 71);
    assert_int_equal(s.mend.rec.createdmodseq[0], 4);
    assert_sums();
}

static void an_expunge_of_the_replica_is_taken_and_the_flags_stay(void **state)
{
    (void)state;
    begin(ROW_EXPUNGE_HERE);
    assert_true(mended());
    assert_true(s.mend.rec.flags[0] == (REC_SEEN | REC_EXPUNGED));
    assert_sums();
}

static void an_expunge_of_the_master_changes_nothing_there(void **state)
{
    (void)state;
    begin(ROW_EXPUNGE_AGAIN);
    assert_true(mended());
    assert_false(s.mend.needed);
}

static void a_renumbered_message_is_expunged_under_its_old_uid(void **state)
{
    (void)state;
    begin(ROW_RENUMBER);
    s.r.last_uid = 12;
    assert_true(mended());
    assert_int_equal(s.mend.rec.n, 2);
    assert_int_equal(s.mend.rec.uid[0], 5);
    assert_true(s.mend.rec.flags[0] & REC_EXPUNGED);
    assert_int_equal(s.mend.rec.uid[1], 13);
    assert_int_equal(s.mend.rec.flags[1], REC_SEEN);
    assert_int_equal(s.mend.m.last_uid, 13);
    assert_int_equal(s.mend.nmessages, 1);
    assert_int_equal(s.mend.messages[0].i, 1);
    assert_int_equal(s.mend.messages[0].from_uid, 5);
    assert_false(s.mend.messages[0].from_replica);
    assert_sums();
}

static void a_message_of_the_replica_only_keeps_its_uid_when_it_is_above_ours(void **state)
{
    (void)state;
    begin(ROW_APPEND_HERE);
    s.d[0].uid = s.details.d[0].uid = s.rrec.r[0].uid = 11;
    s.r.last_uid = 12;
    assert_true(mended());
    assert_int_equal(s.mend.rec.uid[0], 11);
    assert_int_equal(s.mend.m.last_uid, 12);
    assert_true(s.mend.messages[0].from_replica);
    assert_int_equal(s.mend.nexpunge, 0);
    assert_sums();
}

static void a_copied_message_gets_a_new_uid_and_is_expunged_there(void **state)
{
    (void)state;
    begin(ROW_COPYBACK);
    assert_true(mended());
    assert_int_equal(s.mend.rec.uid[0], 10);
    assert_int_equal(s.mend.rec.createdmodseq[0], 8); /* the original's modseq: tells whether it changes later */
    assert_int_equal(s.mend.messages[0].from_uid, 5);
    assert_int_equal(s.mend.nexpunge, 1);
    assert_int_equal(s.mend.expunge[0], 5);
    assert_sums();
}

static void a_createdmodseq_that_cannot_be_is_not_taken_over(void **state)
{
    (void)state;
    begin(ROW_APPEND_HERE);
    s.d[0].uid = s.details.d[0].uid = s.rrec.r[0].uid = 11;
    s.r.last_uid = 12;
    s.details.d[0].createdmodseq = UINT64_MAX;
    assert_true(mended());
    assert_int_equal(s.mend.rec.createdmodseq[0], 8);
}

static void doubles_and_disorder_are_seen_before_anything_is_sent(void **state)
{
    (void)state;
    uint32_t uid[3] = { 3, 4, 9 };
    struct mend m = { .rec = { .n = 3, .uid = uid } };
    assert_int_equal(mend_double(&m), 0);
    uid[1] = 3;
    assert_int_equal(mend_double(&m), 3);
    uid[1] = 10;
    assert_int_equal(mend_double(&m), 9);
}

static void a_stale_record_is_expunged_there_and_nothing_changes_here(void **state)
{
    (void)state;
    begin(ROW_STALE);
    assert_true(mended());
    assert_false(s.mend.needed);
    assert_int_equal(s.mend.expunge[0], 5);
}

static void higher_counters_of_the_replica_raise_the_masters(void **state)
{
    (void)state;
    begin(ROW_NOTHING);
    s.m.xconvmodseq = 3;
    s.r.xconvmodseq = 30;
    s.r.highestmodseq = 25;
    s.r.uidvalidity = 1001;
    s.r.last_uid = 15;
    s.r.foldermodseq = 24;
    assert_true(mended());
    assert_true(s.mend.needed);
    assert_int_equal(s.mend.m.highestmodseq, 26);
    assert_int_equal(s.mend.m.uidvalidity, 1001);
    assert_int_equal(s.mend.m.last_uid, 15);
    assert_int_equal(s.mend.m.entry.foldermodseq, 24);
    assert_int_equal(s.mend.m.xconvmodseq, 30);
}

static void annotations_of_the_mailbox_are_those_of_the_side_with_the_higher_modseq(void **state)
{
    (void)state;
    struct annotation ours = { slice_str("/a"), slice_of("", 0), slice_str("1"), 1 };
    struct annotation theirs = { slice_str("/b"), slice_of("", 0), slice_str("2"), 1 };
    begin(ROW_TOUCH);
    s.m.annotations = (struct annotation_list){ &ours, 1 };
    s.r.annotations = (struct annotation_list){ &theirs, 1 };
    assert_true(mended());
    assert_slice(s.mend.m.annotations.a[0].entry, "/a");
    s.r.highestmodseq = 25;
    assert_true(mended());
    assert_slice(s.mend.m.annotations.a[0].entry, "/b");
}

static void a_replica_that_changed_meanwhile_makes_no_plan(void **state)
{
    (void)state;
    begin(ROW_COPYBACK);
    s.details.d[0].modseq++;
    assert_false(mended());
    s.details.n = 0;
    assert_false(mended());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(flags_of_the_replica_are_taken_with_a_modseq_above_both_sides),
        TEST(a_record_that_differs_gets_a_fresh_modseq_only),
        TEST(an_expunge_of_the_replica_is_taken_and_the_flags_stay),
        TEST(an_expunge_of_the_master_changes_nothing_there),
        TEST(a_renumbered_message_is_expunged_under_its_old_uid),
        TEST(a_message_of_the_replica_only_keeps_its_uid_when_it_is_above_ours),
        TEST(a_copied_message_gets_a_new_uid_and_is_expunged_there),
        TEST(a_createdmodseq_that_cannot_be_is_not_taken_over),
        TEST(doubles_and_disorder_are_seen_before_anything_is_sent),
        TEST(a_stale_record_is_expunged_there_and_nothing_changes_here),
        TEST(higher_counters_of_the_replica_raise_the_masters),
        TEST(annotations_of_the_mailbox_are_those_of_the_side_with_the_higher_modseq),
        TEST(a_replica_that_changed_meanwhile_makes_no_plan),
    };
    return cmocka_run_group_tests_name("diff: mend", tests, NULL, NULL);
}
