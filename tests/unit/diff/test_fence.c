/* What a replica may say before anything of it reaches the master, and how much it may have expunged there. */
#include "build.h"

struct scene {
    struct mailbox_header m;
    struct replica_mailbox r;
    struct replica_record rec;
    struct replica_records rrec;
    uint64_t floor;
};

enum { NOW = 2000000 };
static const uint64_t ROOM = (uint64_t)1 << 32;

static void scene(struct scene *s)
{
    memset(s, 0, sizeof *s);
    s->m = master();
    s->r = in_step_with(&s->m);
    s->rec.uid = s->r.last_uid;
    s->rec.modseq = s->r.highestmodseq;
    s->rrec = (struct replica_records){ .n = 1, .cap = 1, .r = &s->rec };
}

static void assert_passes(struct scene *s)
{
    assert_ok(diff_fence(&s->m, &s->r, &s->rrec, s->floor, NOW));
}

static void assert_stopped(struct scene *s, const char *text)
{
    assert_err(diff_fence(&s->m, &s->r, &s->rrec, s->floor, NOW), ERR_CONFLICT, text);
}

static void what_is_in_step_passes(void **state)
{
    (void)state;
    struct scene s;
    scene(&s);
    assert_passes(&s);
}

static void modseqs_have_room_above_the_owners_and_no_more(void **state)
{
    (void)state;
    struct scene s;
    scene(&s);
    s.r.highestmodseq = 20 + ROOM;
    assert_passes(&s);
    s.r.highestmodseq++;
    assert_stopped(&s, "HIGHESTMODSEQ 4294967317");
    s.floor = 21; /* the owner's counters know more than this mailbox */
    assert_passes(&s);
    s.r.highestmodseq = (uint64_t)INT64_MAX + 1;
    assert_stopped(&s, "63 bits");
    s.m.highestmodseq = INT64_MAX; /* and nothing overflows near the end */
    s.r.highestmodseq = INT64_MAX;
    assert_passes(&s);
}

static void every_counter_is_looked_at(void **state)
{
    (void)state;
    struct scene s;
    scene(&s);
    s.r.foldermodseq = 22 + ROOM;
    assert_stopped(&s, "FOLDERMODSEQ");
    scene(&s);
    s.r.xconvmodseq = 22 + ROOM;
    assert_stopped(&s, "XCONVMODSEQ");
    scene(&s);
    s.r.last_uid = UINT32_MAX - (1 << 24);
    assert_passes(&s);
    s.r.last_uid++;
    assert_stopped(&s, "LAST_UID 4278190080");
    scene(&s);
    s.m.last_uid = UINT32_MAX - 1;
    assert_stopped(&s, "used up");
    scene(&s);
    s.r.uidvalidity = NOW + 86400;
    assert_passes(&s);
    s.r.uidvalidity++;
    assert_stopped(&s, "UIDVALIDITY");
    s.m.uidvalidity = s.r.uidvalidity; /* the master's own is none of our business */
    assert_passes(&s);
}

static void a_record_is_within_its_own_header(void **state)
{
    (void)state;
    struct scene s;
    scene(&s);
    s.rec.uid++;
    assert_stopped(&s, "uid 10");
    scene(&s);
    s.rec.modseq++;
    assert_stopped(&s, "above its HIGHESTMODSEQ");
    s.rec.expunged = true; /* parts bring those ahead */
    assert_passes(&s);
    s.rec.modseq = UINT64_MAX;
    assert_stopped(&s, "63 bits");
}

/* ---- the brake ---- */

static struct err *brake(uint32_t exists, size_t expunged, const char *text)
{
    struct mailbox_header m = master();
    struct compare_difference d[20];
    struct expunge_limit limit;
    assert_true(diff_read_limit(text, &limit));
    for (size_t k = 0; k < 20; k++)
        d[k] = (struct compare_difference){ k < expunged ? ROW_EXPUNGE_HERE : ROW_RENUMBER, (uint32_t)k + 1 };
    m.exists = exists;
    return diff_brake(&m, &(struct compare_result){ d, 20, 20 }, &limit);
}

static void what_exceeds_both_numbers_is_refused(void **state)
{
    (void)state;
    assert_ok(brake(20, 10, "10 and 10%"));  /* many, but no more than ten */
    assert_ok(brake(110, 11, "10 and 10%")); /* a tenth */
    assert_err(brake(109, 11, "10 and 10%"), ERR_CONFLICT, "11 of 109 messages");
    assert_ok(brake(109, 11, "no"));
    assert_err(brake(1000, 11, "10"), ERR_CONFLICT, "(10 and 0%)");
    assert_err(brake(20, 3, "10%"), ERR_CONFLICT, "3 of 20");
    assert_ok(brake(20, 0, "0"));
    assert_err(brake(20, 1, "0"), ERR_CONFLICT, "1 of 20");
}

static void a_limit_is_a_number_a_percentage_or_both(void **state)
{
    (void)state;
    static const char *const bad[] = { "", " ", "and", "many", "10 x", "-1", "101%", "%", "99999999999", "1.5%" };
    struct expunge_limit l;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(diff_read_limit(bad[i], &l));
    assert_true(diff_read_limit("  5%  7 ", &l));
    assert_true(l.set && l.messages == 7 && l.percent == 5);
    assert_true(diff_read_limit("NO", &l) && !l.set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_in_step_passes),
        cmocka_unit_test(modseqs_have_room_above_the_owners_and_no_more),
        cmocka_unit_test(every_counter_is_looked_at),
        cmocka_unit_test(a_record_is_within_its_own_header),
        cmocka_unit_test(what_exceeds_both_numbers_is_refused),
        cmocka_unit_test(a_limit_is_a_number_a_percentage_or_both),
    };
    return cmocka_run_group_tests_name("diff: fence", tests, NULL, NULL);
}
