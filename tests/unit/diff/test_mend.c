/* What each row of a comparison asks of the master (spec/algorithm.md §7.1, §7.7). */
#include "build.h"

/* One message of uid 5 on each side; the replica is at HIGHESTMODSEQ 10, LAST_UID 9, the master at 20, 9. */
struct scene {
    struct arena a;
    struct mailbox_header m;
    struct replica_mailbox r;
    struct records rec;
    struct replica_records rrec;
    struct replica_details details;
    struct compare_difference d[4];
    struct compare_result rows;
    uint64_t floor;
    struct mend mend;
};

enum { NOW = 5000 };

static void scene(struct scene *s, enum compare_row row)
{
    memset(s, 0, sizeof *s);
    s->m = master();
    s->r = in_step_with(&s->m);
    s->r.highestmodseq = 10;
    records_make(&s->a, 2, &s->rec);
    s->rec.n = 1;
    s->rrec.r = arena_array(&s->a, 2, sizeof *s->rrec.r);
    s->rrec.n = 1;
    s->details.d = arena_array(&s->a, 2, sizeof *s->details.d);
    s->details.n = 1;
    s->rec.uid[0] = s->rrec.r[0].uid = s->details.d[0].uid = 5;
    s->rec.modseq[0] = s->rrec.r[0].modseq = s->details.d[0].modseq = 8;
    s->rec.internaldate[0] = s->details.d[0].internaldate = 70;
    s->rec.size[0] = s->details.d[0].size = 100;
    s->rec.savedate[0] = s->details.d[0].savedate = 71;
    s->rec.createdmodseq[0] = s->details.d[0].createdmodseq = 4;
    s->rec.flags[0] = REC_SEEN;
    memset(&s->rec.guid[0], 1, sizeof s->rec.guid[0]);
    memset(&s->details.d[0].guid, 2, sizeof s->details.d[0].guid);
    s->rrec.r[0].guid = s->details.d[0].guid;
    s->d[0] = (struct compare_difference){ row, 5 };
    s->rows = (struct compare_result){ s->d, row == ROW_NOTHING ? 0 : 1, 4 };
}

static bool mended(struct scene *s)
{
    return diff_mend(&s->a, &s->m, &s->rec, &s->r, &s->rrec, &s->rows, &s->details, s->floor, NOW, &s->mend);
}

/* The sums sent are those of what the master will then have. */
static void assert_sums(struct scene *s)
{
    struct records all;
    size_t n = 0, i = 0, k = 0;
    const struct records *o = &s->mend.rec;
    records_make(&s->a, s->rec.n + o->n, &all);
    while (i < s->rec.n || k < o->n) {
        bool theirs = i == s->rec.n || (k < o->n && o->uid[k] <= s->rec.uid[i]);
        const struct records *from = theirs ? o : &s->rec;
        size_t f = theirs ? k++ : i;
        if (!theirs || (i < s->rec.n && s->rec.uid[i] == from->uid[f]))
            i++;
        all.uid[n] = from->uid[f];
        all.modseq[n] = from->modseq[f];
        all.last_updated[n] = from->last_updated[f];
        all.internaldate[n] = from->internaldate[f];
        all.flags[n] = from->flags[f];
        memcpy(all.userflags[n], from->userflags[f], sizeof all.userflags[n]);
        all.guid[n] = from->guid[f];
        all.savedate[n] = from->savedate[f];
        all.createdmodseq[n] = from->createdmodseq[f];
        n++;
    }
    all.n = n;
    struct sync_crcs c = sync_crc_compute(&s->mend.m, &all);
    assert_int_equal(c.basic, s->mend.crc.basic);
}

static void flags_of_the_replica_are_taken_with_a_modseq_above_both_sides(void **state)
{
    (void)state;
    struct scene s;
    struct slice label = slice_str("Label");
    scene(&s, ROW_TAKE_FLAGS);
    s.details.d[0].guid = s.rrec.r[0].guid = s.rec.guid[0];
    s.details.d[0].flags = REC_FLAGGED;
    s.details.d[0].userflags = &label;
    s.details.d[0].nuserflags = 1;
    s.floor = 33;
    assert_true(mended(&s));
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
    assert_sums(&s);
    arena_free(&s.a);
}

static void a_record_that_differs_gets_a_fresh_modseq_only(void **state)
{
    (void)state;
    struct scene s;
    scene(&s, ROW_TOUCH);
    assert_true(mended(&s));
    assert_true(s.mend.needed);
    assert_int_equal(s.mend.rec.modseq[0], 21);
    assert_int_equal(s.mend.rec.flags[0], REC_SEEN);
    assert_int_equal(s.mend.rec.internaldate[0], 70);
    assert_int_equal(s.mend.rec.size[0], 100);
    assert_int_equal(s.mend.rec.savedate[0], 71);
    assert_int_equal(s.mend.rec.createdmodseq[0], 4);
    assert_sums(&s);
    arena_free(&s.a);
}

static void an_expunge_of_the_replica_is_taken_and_the_flags_stay(void **state)
{
    (void)state;
    struct scene s;
    scene(&s, ROW_EXPUNGE_HERE);
    assert_true(mended(&s));
    assert_true(s.mend.rec.flags[0] == (REC_SEEN | REC_EXPUNGED));
    assert_sums(&s);
    arena_free(&s.a);
}

static void an_expunge_of_the_master_changes_nothing_there(void **state)
{
    (void)state;
    struct scene s;
    scene(&s, ROW_EXPUNGE_AGAIN);
    assert_true(mended(&s));
    assert_false(s.mend.needed);
    arena_free(&s.a);
}

static void a_renumbered_message_is_expunged_under_its_old_uid(void **state)
{
    (void)state;
    struct scene s;
    scene(&s, ROW_RENUMBER);
    s.r.last_uid = 12;
    assert_true(mended(&s));
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
    assert_sums(&s);
    arena_free(&s.a);
}

static void a_message_of_the_replica_only_keeps_its_uid_when_it_is_above_ours(void **state)
{
    (void)state;
    struct scene s;
    scene(&s, ROW_APPEND_HERE);
    s.d[0].uid = s.details.d[0].uid = s.rrec.r[0].uid = 11;
    s.r.last_uid = 12;
    assert_true(mended(&s));
    assert_int_equal(s.mend.rec.uid[0], 11);
    assert_int_equal(s.mend.m.last_uid, 12);
    assert_true(s.mend.messages[0].from_replica);
    assert_int_equal(s.mend.nexpunge, 0);
    assert_sums(&s);
    arena_free(&s.a);
}

static void a_copied_message_gets_a_new_uid_and_is_expunged_there(void **state)
{
    (void)state;
    struct scene s;
    scene(&s, ROW_COPYBACK);
    assert_true(mended(&s));
    assert_int_equal(s.mend.rec.uid[0], 10);
    assert_int_equal(s.mend.rec.createdmodseq[0], 8); /* the original's modseq: tells whether it changes later */
    assert_int_equal(s.mend.messages[0].from_uid, 5);
    assert_int_equal(s.mend.nexpunge, 1);
    assert_int_equal(s.mend.expunge[0], 5);
    assert_sums(&s);
    arena_free(&s.a);
}

/* The master has record uid 9 with all that made the replica's message what it is, copied when that was at 8. */
static void has_copy(struct scene *s)
{
    s->rec.n = 2;
    s->rec.uid[1] = 9;
    s->rec.modseq[1] = 19;
    s->rec.internaldate[1] = 70;
    s->rec.size[1] = 100;
    s->rec.savedate[1] = 71;
    s->rec.createdmodseq[1] = 8;
    s->rec.guid[1] = s->details.d[0].guid;
}

/* Its original was changed since. */
static void changes_original(struct scene *s)
{
    s->rrec.r[0].modseq = s->details.d[0].modseq = 10;
    s->details.d[0].flags = REC_FLAGGED;
}

static void a_message_that_was_copied_before_is_not_copied_again(void **state)
{
    (void)state;
    struct scene s;
    scene(&s, ROW_COPYBACK);
    has_copy(&s);
    assert_true(mended(&s));
    assert_int_equal(s.mend.rec.n, 0);
    assert_false(s.mend.needed);
    assert_int_equal(s.mend.nexpunge, 1);
    arena_free(&s.a);
}

static void flags_that_changed_after_the_copy_are_taken(void **state)
{
    (void)state;
    struct scene s;
    scene(&s, ROW_COPYBACK);
    has_copy(&s);
    changes_original(&s);
    s.rec.last_updated[1] = 300;
    s.details.d[0].last_updated = 200; /* whatever the clocks say */
    assert_true(mended(&s));
    assert_int_equal(s.mend.rec.n, 1);
    assert_int_equal(s.mend.rec.uid[0], 9);
    assert_int_equal(s.mend.rec.flags[0], REC_FLAGGED);
    assert_int_equal(s.mend.nmessages, 0);
    assert_int_equal(s.mend.nexpunge, 1);
    assert_sums(&s);
    arena_free(&s.a);
}

static void flags_of_a_copy_stay_when_its_original_did_not_change(void **state)
{
    (void)state;
    struct scene s;
    scene(&s, ROW_COPYBACK);
    has_copy(&s);
    s.rec.flags[1] = REC_FLAGGED; /* set on the master since */
    s.rec.last_updated[1] = 300;
    s.details.d[0].last_updated = 9999; /* the replica's clock is ahead */
    assert_true(mended(&s));
    assert_int_equal(s.mend.rec.n, 0);
    assert_int_equal(s.mend.nexpunge, 1);
    arena_free(&s.a);
}

/* The uid of the copy was given out on the replica too: it gets a new one, and the original's newer flags. */
static void a_copy_that_is_renumbered_takes_the_flags_under_its_new_uid(void **state)
{
    (void)state;
    struct scene s;
    scene(&s, ROW_COPYBACK);
    has_copy(&s);
    changes_original(&s);
    s.rows.n = 2;
    s.d[1] = (struct compare_difference){ ROW_RENUMBER, 9 };
    assert_true(mended(&s));
    assert_int_equal(mend_double(&s.mend), 0);
    assert_int_equal(s.mend.rec.n, 2);
    assert_int_equal(s.mend.rec.uid[0], 9);
    assert_true(s.mend.rec.flags[0] & REC_EXPUNGED);
    assert_int_equal(s.mend.rec.uid[1], 10);
    assert_int_equal(s.mend.rec.flags[1], REC_FLAGGED);
    assert_int_equal(s.mend.nmessages, 1);
    assert_int_equal(s.mend.nexpunge, 1);
    assert_sums(&s);
    arena_free(&s.a);
}

/* The copy differs from the replica's and has to be sent again: one record, with the newer flags. */
static void a_copy_that_has_a_row_of_its_own_is_one_record(void **state)
{
    (void)state;
    struct scene s;
    scene(&s, ROW_COPYBACK);
    has_copy(&s);
    changes_original(&s);
    s.rows.n = 2;
    s.d[1] = (struct compare_difference){ ROW_TOUCH, 9 };
    assert_true(mended(&s));
    assert_int_equal(mend_double(&s.mend), 0);
    assert_int_equal(s.mend.rec.n, 1);
    assert_int_equal(s.mend.rec.flags[0], REC_FLAGGED);
    assert_sums(&s);
    arena_free(&s.a);
}

/* Both were changed on the replica: its own modseqs tell which was the later. */
static void of_a_copy_and_its_original_the_later_change_on_the_replica_wins(void **state)
{
    (void)state;
    for (uint64_t copys = 9; copys <= 11; copys += 2) {
        struct scene s;
        scene(&s, ROW_COPYBACK);
        has_copy(&s);
        changes_original(&s);
        s.rrec.n = s.details.n = s.rows.n = 2;
        s.rrec.r[1] = s.rrec.r[0];
        s.details.d[1] = s.details.d[0];
        s.rrec.r[1].uid = s.details.d[1].uid = 9;
        s.rrec.r[1].modseq = s.details.d[1].modseq = copys;
        s.details.d[1].flags = REC_ANSWERED;
        s.d[1] = (struct compare_difference){ ROW_TAKE_FLAGS, 9 };
        assert_true(mended(&s));
        assert_int_equal(s.mend.rec.n, 1);
        assert_int_equal(s.mend.rec.flags[0], copys > 10 ? REC_ANSWERED : REC_FLAGGED);
        arena_free(&s.a);
    }
}

/* Somebody saw both and deleted one of them: the other is what he wanted to keep. */
static void a_copy_that_was_expunged_on_the_replica_is_none(void **state)
{
    (void)state;
    struct scene s;
    scene(&s, ROW_COPYBACK);
    has_copy(&s);
    s.rows.n = 2;
    s.d[1] = (struct compare_difference){ ROW_EXPUNGE_HERE, 9 };
    assert_true(mended(&s));
    assert_int_equal(s.mend.rec.n, 2);
    assert_true(s.mend.rec.flags[0] & REC_EXPUNGED);
    assert_int_equal(s.mend.rec.uid[1], 10);
    assert_int_equal(s.mend.nmessages, 1);
    arena_free(&s.a);
}

/* Created before the original was, or when the original had not been changed so far yet. */
static void what_was_made_at_another_modseq_is_no_copy(void **state)
{
    (void)state;
    for (uint64_t created = 3; created <= 9; created += 6) {
        struct scene s;
        scene(&s, ROW_COPYBACK);
        has_copy(&s);
        s.rec.createdmodseq[1] = created;
        assert_true(mended(&s));
        assert_int_equal(s.mend.nmessages, 1);
        arena_free(&s.a);
    }
}

static void of_several_copies_the_first_is_the_originals(void **state)
{
    (void)state;
    struct scene s;
    scene(&s, ROW_COPYBACK);
    has_copy(&s);
    changes_original(&s);
    s.rec.uid[0] = 8;
    s.rec.guid[0] = s.rec.guid[1];
    s.rec.createdmodseq[0] = 7;
    s.rec.createdmodseq[1] = 6;
    assert_true(mended(&s));
    assert_int_equal(s.mend.rec.n, 1);
    assert_int_equal(s.mend.rec.uid[0], 9);
    arena_free(&s.a);
}

static void a_createdmodseq_that_cannot_be_is_not_taken_over(void **state)
{
    (void)state;
    struct scene s;
    scene(&s, ROW_APPEND_HERE);
    s.d[0].uid = s.details.d[0].uid = s.rrec.r[0].uid = 11;
    s.r.last_uid = 12;
    s.details.d[0].createdmodseq = UINT64_MAX;
    assert_true(mended(&s));
    assert_int_equal(s.mend.rec.createdmodseq[0], 8);
    arena_free(&s.a);
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

static void one_copy_answers_for_one_message_only(void **state)
{
    (void)state;
    struct scene s;
    scene(&s, ROW_COPYBACK);
    has_copy(&s);
    s.rrec.n = s.details.n = s.rows.n = 2;
    s.rrec.r[1] = s.rrec.r[0];
    s.details.d[1] = s.details.d[0];
    s.rrec.r[1].uid = s.details.d[1].uid = 6;
    s.d[1] = (struct compare_difference){ ROW_COPYBACK, 6 };
    assert_int_equal(s.rec.createdmodseq[1], 8);
    assert_true(mended(&s));
    assert_int_equal(s.mend.rec.n, 1);
    assert_int_equal(s.mend.messages[0].from_uid, 6);
    assert_int_equal(s.mend.nexpunge, 2);
    arena_free(&s.a);
}

static void a_message_saved_at_another_time_is_no_copy(void **state)
{
    (void)state;
    struct scene s;
    scene(&s, ROW_COPYBACK);
    has_copy(&s);
    s.rec.savedate[1] = 72;
    assert_true(mended(&s));
    assert_int_equal(s.mend.rec.n, 1);
    arena_free(&s.a);
}

static void a_stale_record_is_expunged_there_and_nothing_changes_here(void **state)
{
    (void)state;
    struct scene s;
    scene(&s, ROW_STALE);
    assert_true(mended(&s));
    assert_false(s.mend.needed);
    assert_int_equal(s.mend.expunge[0], 5);
    arena_free(&s.a);
}

static void higher_counters_of_the_replica_raise_the_masters(void **state)
{
    (void)state;
    struct scene s;
    scene(&s, ROW_NOTHING);
    s.m.xconvmodseq = 3;
    s.r.xconvmodseq = 30;
    s.r.highestmodseq = 25;
    s.r.uidvalidity = 1001;
    s.r.last_uid = 15;
    s.r.foldermodseq = 24;
    assert_true(mended(&s));
    assert_true(s.mend.needed);
    assert_int_equal(s.mend.m.highestmodseq, 26);
    assert_int_equal(s.mend.m.uidvalidity, 1001);
    assert_int_equal(s.mend.m.last_uid, 15);
    assert_int_equal(s.mend.m.entry.foldermodseq, 24);
    assert_int_equal(s.mend.m.xconvmodseq, 30);
    arena_free(&s.a);
}

static void annotations_of_the_mailbox_are_those_of_the_side_with_the_higher_modseq(void **state)
{
    (void)state;
    struct scene s;
    struct annotation ours = { slice_str("/a"), slice_of("", 0), slice_str("1"), 1 };
    struct annotation theirs = { slice_str("/b"), slice_of("", 0), slice_str("2"), 1 };
    scene(&s, ROW_TOUCH);
    s.m.annotations = (struct annotation_list){ &ours, 1 };
    s.r.annotations = (struct annotation_list){ &theirs, 1 };
    assert_true(mended(&s));
    assert_slice(s.mend.m.annotations.a[0].entry, "/a");
    s.r.highestmodseq = 25;
    assert_true(mended(&s));
    assert_slice(s.mend.m.annotations.a[0].entry, "/b");
    arena_free(&s.a);
}

static void a_replica_that_changed_meanwhile_makes_no_plan(void **state)
{
    (void)state;
    struct scene s;
    scene(&s, ROW_COPYBACK);
    s.details.d[0].modseq++;
    assert_false(mended(&s));
    s.details.n = 0;
    assert_false(mended(&s));
    arena_free(&s.a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_of_the_replica_are_taken_with_a_modseq_above_both_sides),
        cmocka_unit_test(a_record_that_differs_gets_a_fresh_modseq_only),
        cmocka_unit_test(an_expunge_of_the_replica_is_taken_and_the_flags_stay),
        cmocka_unit_test(an_expunge_of_the_master_changes_nothing_there),
        cmocka_unit_test(a_renumbered_message_is_expunged_under_its_old_uid),
        cmocka_unit_test(a_message_of_the_replica_only_keeps_its_uid_when_it_is_above_ours),
        cmocka_unit_test(a_copied_message_gets_a_new_uid_and_is_expunged_there),
        cmocka_unit_test(a_message_that_was_copied_before_is_not_copied_again),
        cmocka_unit_test(flags_that_changed_after_the_copy_are_taken),
        cmocka_unit_test(flags_of_a_copy_stay_when_its_original_did_not_change),
        cmocka_unit_test(a_copy_that_is_renumbered_takes_the_flags_under_its_new_uid),
        cmocka_unit_test(a_copy_that_has_a_row_of_its_own_is_one_record),
        cmocka_unit_test(of_a_copy_and_its_original_the_later_change_on_the_replica_wins),
        cmocka_unit_test(a_copy_that_was_expunged_on_the_replica_is_none),
        cmocka_unit_test(what_was_made_at_another_modseq_is_no_copy),
        cmocka_unit_test(of_several_copies_the_first_is_the_originals),
        cmocka_unit_test(a_createdmodseq_that_cannot_be_is_not_taken_over),
        cmocka_unit_test(doubles_and_disorder_are_seen_before_anything_is_sent),
        cmocka_unit_test(one_copy_answers_for_one_message_only),
        cmocka_unit_test(a_message_saved_at_another_time_is_no_copy),
        cmocka_unit_test(a_stale_record_is_expunged_there_and_nothing_changes_here),
        cmocka_unit_test(higher_counters_of_the_replica_raise_the_masters),
        cmocka_unit_test(annotations_of_the_mailbox_are_those_of_the_side_with_the_higher_modseq),
        cmocka_unit_test(a_replica_that_changed_meanwhile_makes_no_plan),
    };
    return cmocka_run_group_tests_name("diff: mend", tests, NULL, NULL);
}
