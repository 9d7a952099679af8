/* The full comparison: one test for each row of the decision table (spec/algorithm.md §7.2). */
#include "build.h"

#include "fansync/sync_crc.h"

/* One message of uid 5; the replica is at HIGHESTMODSEQ 10, LAST_UID 9, the master at 20, 9. */
struct scene {
    struct arena a;
    struct mailbox_header m;
    struct replica_mailbox r;
    struct records rec;
    struct replica_records rrec;
};

static struct scene scene(void)
{
    struct scene s;
    memset(&s, 0, sizeof s);
    s.m = master();
    s.r = in_step_with(&s.m);
    s.r.highestmodseq = 10;
    records_make(&s.a, 1, &s.rec);
    s.rrec.r = arena_array(&s.a, 1, sizeof *s.rrec.r);
    s.rrec.n = 1;
    s.rec.uid[0] = s.rrec.r[0].uid = 5;
    s.rec.modseq[0] = s.rrec.r[0].modseq = 8;
    s.rec.last_updated[0] = s.rrec.r[0].last_updated = 100;
    memset(&s.rec.guid[0], 1, sizeof s.rec.guid[0]);
    s.rrec.r[0].guid = s.rec.guid[0];
    struct sync_crcs c = sync_crc_record(&s.m, &s.rec, 0);
    s.rrec.r[0].crc_basic = c.basic;
    s.rrec.r[0].crc_annot = c.annot;
    return s;
}

/* "row uid " of every difference. */
static void assert_rows(struct scene *s, size_t n, const enum compare_row *rows)
{
    struct compare_result c = diff_compare(&s->a, &s->m, &s->rec, &s->r, &s->rrec);
    assert_int_equal(c.n, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(c.d[i].row, rows[i]);
    arena_free(&s->a);
}

#define NOTHING(s) assert_rows(&(s), 0, NULL)
#define ONE(s, row) assert_rows(&(s), 1, (enum compare_row[]){ row })

static void s1_expunged_on_both_is_nothing_whatever_else_differs(void **state)
{
    (void)state;
    struct scene s = scene();
    s.rec.flags[0] = REC_EXPUNGED;
    s.rrec.r[0].expunged = true;
    s.rrec.r[0].guid.b[0] ^= 1;
    NOTHING(s);
}

static void s2_two_live_messages_under_one_uid_both_need_new_uids(void **state)
{
    (void)state;
    struct scene s = scene();
    s.rrec.r[0].guid.b[0] = 2;
    assert_rows(&s, 2, (enum compare_row[]){ ROW_RENUMBER, ROW_COPYBACK });
    s = scene();
    s.rrec.r[0].guid.b[0] = 0; /* the smaller GUID gets the smaller uid */
    assert_rows(&s, 2, (enum compare_row[]){ ROW_COPYBACK, ROW_RENUMBER });
}

static void s3_another_message_there_for_one_expunged_here_is_copied_back(void **state)
{
    (void)state;
    struct scene s = scene();
    s.rec.flags[0] = REC_EXPUNGED;
    s.rrec.r[0].guid.b[0] ^= 1;
    ONE(s, ROW_COPYBACK);
}

static void s4_another_message_expunged_there_renumbers_ours(void **state)
{
    (void)state;
    struct scene s = scene();
    s.rrec.r[0].expunged = true;
    s.rrec.r[0].guid.b[0] ^= 1;
    ONE(s, ROW_RENUMBER);
}

static void s5_equal_records_are_nothing(void **state)
{
    (void)state;
    struct scene s = scene();
    NOTHING(s);
}

static void s6_a_newer_change_on_the_replica_is_taken(void **state)
{
    (void)state;
    struct scene s = scene();
    s.rrec.r[0].crc_basic ^= 1;
    s.rrec.r[0].modseq = 9;
    ONE(s, ROW_TAKE_FLAGS);
}

static void s7_otherwise_the_master_wins_and_its_record_must_be_sent(void **state)
{
    (void)state;
    struct scene s = scene();
    s.rrec.r[0].crc_annot ^= 1;
    ONE(s, ROW_TOUCH);
}

static void s6_the_clocks_of_the_two_sides_decide_nothing(void **state)
{
    (void)state;
    struct scene s = scene();
    s.rrec.r[0].crc_basic ^= 1;
    s.rrec.r[0].modseq = 9;
    s.rrec.r[0].last_updated = 99; /* the replica's clock is behind */
    ONE(s, ROW_TAKE_FLAGS);
    s = scene();
    s.rrec.r[0].crc_basic ^= 1;
    s.rec.modseq[0] = 9;
    s.rrec.r[0].last_updated = 10000; /* ahead */
    ONE(s, ROW_TOUCH);
}

static void s7_a_record_that_an_update_carries_anyway_is_nothing(void **state)
{
    (void)state;
    struct scene s = scene();
    s.rrec.r[0].crc_basic ^= 1;
    s.rec.modseq[0] = 11;
    NOTHING(s);
}

static void s8_an_expunge_wins_and_must_be_sent(void **state)
{
    (void)state;
    struct scene s = scene();
    s.rec.flags[0] = REC_EXPUNGED;
    ONE(s, ROW_EXPUNGE_AGAIN);
    s = scene();
    s.rec.flags[0] = REC_EXPUNGED;
    s.rec.modseq[0] = 11;
    NOTHING(s);
}

static void s9_an_expunge_on_the_replica_wins_too(void **state)
{
    (void)state;
    struct scene s = scene();
    s.rrec.r[0].expunged = true;
    ONE(s, ROW_EXPUNGE_HERE);
}

static void r1_an_expunged_record_of_the_replica_only_is_nothing(void **state)
{
    (void)state;
    struct scene s = scene();
    s.rec.n = 0;
    s.rrec.r[0].expunged = true;
    NOTHING(s);
}

static void r2_a_message_above_our_last_uid_is_new_to_us(void **state)
{
    (void)state;
    struct scene s = scene();
    s.rec.n = 0;
    s.rrec.r[0].uid = 10;
    ONE(s, ROW_APPEND_HERE);
    s = scene();
    s.rec.n = 0;
    s.rrec.r[0].uid = 9; /* our last uid itself: given once, and gone here */
    ONE(s, ROW_COPYBACK);
}

static void r3_a_message_older_than_what_we_have_forgotten_is_stale(void **state)
{
    (void)state;
    struct scene s = scene();
    s.rec.n = 0;
    s.m.deletedmodseq = 9;
    ONE(s, ROW_STALE);
}

static void r4_any_other_message_of_the_replica_only_is_copied_back(void **state)
{
    (void)state;
    struct scene s = scene();
    s.rec.n = 0;
    s.m.deletedmodseq = 8;
    ONE(s, ROW_COPYBACK);
}

static void m1_an_expunged_record_that_the_replica_has_passed_is_nothing(void **state)
{
    (void)state;
    struct scene s = scene();
    s.rrec.n = 0;
    s.rec.flags[0] = REC_EXPUNGED;
    NOTHING(s);
}

static void m2_a_message_whose_uid_the_replica_has_passed_needs_a_new_one(void **state)
{
    (void)state;
    struct scene s = scene();
    s.rrec.n = 0;
    ONE(s, ROW_RENUMBER);
}

/* M4 of the table, a low modseq above the replica's LAST_UID, is no difference for us: such a
 * record is sent whatever its modseq. */
static void m3_m4_a_message_above_the_replicas_last_uid_is_an_ordinary_append(void **state)
{
    (void)state;
    struct scene s = scene();
    s.rrec.n = 0;
    s.r.last_uid = 4;
    NOTHING(s);
    s = scene();
    s.rrec.n = 0;
    s.r.last_uid = 4;
    s.rec.modseq[0] = 11;
    NOTHING(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(s1_expunged_on_both_is_nothing_whatever_else_differs),
        cmocka_unit_test(s2_two_live_messages_under_one_uid_both_need_new_uids),
        cmocka_unit_test(s3_another_message_there_for_one_expunged_here_is_copied_back),
        cmocka_unit_test(s4_another_message_expunged_there_renumbers_ours),
        cmocka_unit_test(s5_equal_records_are_nothing),
        cmocka_unit_test(s6_a_newer_change_on_the_replica_is_taken),
        cmocka_unit_test(s6_the_clocks_of_the_two_sides_decide_nothing),
        cmocka_unit_test(s7_otherwise_the_master_wins_and_its_record_must_be_sent),
        cmocka_unit_test(s7_a_record_that_an_update_carries_anyway_is_nothing),
        cmocka_unit_test(s8_an_expunge_wins_and_must_be_sent),
        cmocka_unit_test(s9_an_expunge_on_the_replica_wins_too),
        cmocka_unit_test(r1_an_expunged_record_of_the_replica_only_is_nothing),
        cmocka_unit_test(r2_a_message_above_our_last_uid_is_new_to_us),
        cmocka_unit_test(r3_a_message_older_than_what_we_have_forgotten_is_stale),
        cmocka_unit_test(r4_any_other_message_of_the_replica_only_is_copied_back),
        cmocka_unit_test(m1_an_expunged_record_that_the_replica_has_passed_is_nothing),
        cmocka_unit_test(m2_a_message_whose_uid_the_replica_has_passed_needs_a_new_one),
        cmocka_unit_test(m3_m4_a_message_above_the_replicas_last_uid_is_an_ordinary_append),
    };
    return cmocka_run_group_tests_name("diff: compare", tests, NULL, NULL);
}
