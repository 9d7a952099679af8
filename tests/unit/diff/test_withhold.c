/* Of a conflict, what is sent all the same: nothing of the replica's may be lost by it. */
#include "build.h"

#include "fansync/sync_crc.h"

/* Three messages, uid 3 5 7, on both sides; the replica is at HIGHESTMODSEQ 30, the master at 20. */
struct scene {
    struct arena a;
    struct mailbox_header m;
    struct replica_mailbox r;
    struct records rec;
    struct replica_records rrec;
    struct withheld out;
};

static void agree(struct scene *s, size_t i)
{
    struct sync_crcs c = sync_crc_record(&s->m, &s->rec, i);
    struct replica_record *r = &s->rrec.r[i];
    *r = (struct replica_record){ .uid = s->rec.uid[i], .crc_basic = c.basic, .crc_annot = c.annot,
                                  .modseq = s->rec.modseq[i], .last_updated = s->rec.last_updated[i],
                                  .guid = s->rec.guid[i] };
}

static void scene(struct scene *s)
{
    memset(s, 0, sizeof *s);
    s->m = master();
    s->r = in_step_with(&s->m);
    s->r.highestmodseq = 30;
    records_make(&s->a, 3, &s->rec);
    s->rrec.r = arena_array(&s->a, 3, sizeof *s->rrec.r);
    s->rrec.n = 3;
    for (size_t i = 0; i < 3; i++) {
        s->rec.uid[i] = 3 + 2 * (uint32_t)i;
        s->rec.modseq[i] = 10 + i;
        s->rec.createdmodseq[i] = 4;
        s->rec.last_updated[i] = 100;
        memset(&s->rec.guid[i], (int)i + 1, sizeof s->rec.guid[i]);
        agree(s, i);
    }
}

/* A change of flags on one side: a sum, a modseq and a time of its own. */
static void changed_here(struct scene *s, size_t i, uint64_t modseq)
{
    s->rec.flags[i] ^= REC_FLAGGED;
    s->rec.modseq[i] = modseq;
    s->rec.last_updated[i] += 50;
}

static void changed_there(struct scene *s, size_t i, uint64_t modseq)
{
    s->rrec.r[i].crc_basic ^= 0x1234;
    s->rrec.r[i].modseq = modseq;
}

/* As if the change had been taken back: only the numbers stay. */
static void touched_there(struct scene *s, size_t i, uint64_t modseq)
{
    s->rrec.r[i].modseq = modseq;
    s->rrec.r[i].last_updated += 5;
    s->rrec.r[i].crc_basic = sync_crc_basic_as(&s->m, &s->rec, i, modseq, s->rrec.r[i].last_updated);
}

static void withhold(struct scene *s)
{
    struct compare_result c = diff_compare(&s->a, &s->m, &s->rec, &s->r, &s->rrec);
    diff_withhold(&s->a, &s->m, &s->rec, &s->r, &s->rrec, &c, &s->out);
}

static void assert_kept(struct scene *s, uint32_t uid)
{
    assert_int_equal(s->out.kept.n, uid ? 1 : 0);
    if (uid)
        assert_int_equal(s->out.kept.d[0].uid, uid);
}

static void a_change_of_the_masters_goes_when_the_replica_has_what_was_once_sent(void **state)
{
    (void)state;
    struct scene s;
    scene(&s);
    changed_here(&s, 0, 19); /* the replica's has modseq 10; on 12 both agree */
    withhold(&s);
    assert_true(s.out.also[0] && !s.out.hold[0]);
    assert_kept(&s, 0);
    arena_free(&s.a);
}

static void it_stays_when_the_replicas_record_may_be_its_own(void **state)
{
    (void)state;
    struct scene s;
    scene(&s);
    changed_here(&s, 0, 19);
    changed_there(&s, 0, 13); /* above all that is known to be common */
    withhold(&s);
    assert_true(!s.out.also[0] && s.out.hold[0]);
    assert_kept(&s, 3);
    arena_free(&s.a);
}

static void a_record_that_never_changed_there_is_known_by_its_createdmodseq(void **state)
{
    (void)state;
    struct scene s;
    scene(&s);
    for (size_t i = 0; i < 3; i++)
        changed_here(&s, i, 17 + i); /* nothing is common any more */
    s.rec.createdmodseq[2] = 12;
    withhold(&s);
    assert_false(s.out.also[0] || s.out.also[1]);
    assert_true(s.out.also[2]);
    assert_int_equal(s.out.kept.n, 2);
    arena_free(&s.a);
}

static void a_change_of_the_replicas_stays_and_is_told(void **state)
{
    (void)state;
    struct scene s;
    scene(&s);
    changed_there(&s, 1, 25);
    withhold(&s);
    assert_true(s.out.hold[1] && !s.out.also[1]);
    assert_kept(&s, 5);
    arena_free(&s.a);
}

static void numbers_alone_are_no_loss(void **state)
{
    (void)state;
    struct scene s;
    scene(&s);
    touched_there(&s, 1, 25);
    withhold(&s);
    assert_true(s.out.hold[1] && !s.out.also[1]); /* the replica would refuse a lower modseq */
    assert_kept(&s, 0);
    arena_free(&s.a);
    scene(&s);
    touched_there(&s, 1, 11); /* the same number, another time */
    withhold(&s);
    assert_true(s.out.also[1] && !s.out.hold[1]);
    assert_kept(&s, 0);
    arena_free(&s.a);
}

static void other_annotations_are_not_numbers(void **state)
{
    (void)state;
    struct scene s;
    scene(&s);
    touched_there(&s, 1, 25);
    s.rrec.r[1].crc_annot ^= 1;
    withhold(&s);
    assert_kept(&s, 5);
    arena_free(&s.a);
}

static void an_expunge_here_goes_whatever_the_replica_has(void **state)
{
    (void)state;
    struct scene s;
    scene(&s);
    s.rec.flags[1] |= REC_EXPUNGED;
    s.rec.modseq[1] = 19;
    changed_there(&s, 1, 25);
    withhold(&s);
    assert_true(s.out.also[1] && !s.out.hold[1]);
    assert_kept(&s, 0);
    arena_free(&s.a);
}

static void an_expunge_there_and_another_message_there_stay(void **state)
{
    (void)state;
    struct scene s;
    scene(&s);
    s.rrec.r[1].expunged = true;
    withhold(&s);
    assert_true(s.out.hold[1]);
    assert_kept(&s, 5);
    arena_free(&s.a);
    scene(&s);
    s.rec.flags[2] |= REC_EXPUNGED; /* its record must not meet the other message */
    s.rrec.r[2].guid.b[0] ^= 1;
    withhold(&s);
    assert_true(s.out.hold[2]);
    assert_kept(&s, 7);
    arena_free(&s.a);
}

/* A modseq on which both agree is one of an equal record: an equal number of other things proves nothing. */
static void only_equal_records_show_what_is_common(void **state)
{
    (void)state;
    struct scene s;
    scene(&s);
    changed_here(&s, 0, 19);
    changed_there(&s, 0, 12);
    s.rrec.r[2].expunged = true; /* its modseq 12 is no common one */
    withhold(&s);
    assert_true(s.out.hold[0]);
    assert_int_equal(s.out.kept.n, 2);
    arena_free(&s.a);
}

static void annotations_of_a_mailbox_that_is_ahead_are_kept(void **state)
{
    (void)state;
    struct scene s;
    struct annotation theirs = { slice_str("/b"), slice_of("", 0), slice_str("2"), 1 };
    scene(&s);
    s.r.annotations = (struct annotation_list){ &theirs, 1 };
    withhold(&s);
    assert_true(s.out.keeps_annotations);
    s.r.highestmodseq = s.m.highestmodseq;
    withhold(&s);
    assert_false(s.out.keeps_annotations);
    arena_free(&s.a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_of_the_masters_goes_when_the_replica_has_what_was_once_sent),
        cmocka_unit_test(it_stays_when_the_replicas_record_may_be_its_own),
        cmocka_unit_test(a_record_that_never_changed_there_is_known_by_its_createdmodseq),
        cmocka_unit_test(a_change_of_the_replicas_stays_and_is_told),
        cmocka_unit_test(numbers_alone_are_no_loss),
        cmocka_unit_test(other_annotations_are_not_numbers),
        cmocka_unit_test(an_expunge_here_goes_whatever_the_replica_has),
        cmocka_unit_test(an_expunge_there_and_another_message_there_stay),
        cmocka_unit_test(only_equal_records_show_what_is_common),
        cmocka_unit_test(annotations_of_a_mailbox_that_is_ahead_are_kept),
    };
    return cmocka_run_group_tests_name("diff: withhold", tests, NULL, NULL);
}
