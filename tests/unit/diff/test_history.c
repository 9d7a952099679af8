/*
 * A property: one-way replication converges whatever the history. A model master appends, flags,
 * expunges, and forgets expunged records; a model replica is synced at random moments by
 * the rules of the diff core: bounds, parts, and the full comparison when the master has
 * forgotten something. After every sync the replica's live records are the master's,
 * nothing that a one-way history cannot produce is reported, and the uid of a message
 * never gets another message.
 */
#include "build.h"

#include <stdio.h>
#include <stdlib.h>

#include "fansync/sync_crc.h"

enum { MOST = 60 };

struct model {
    struct {
        bool there, expunged;
        uint64_t modseq;
        int64_t last_updated;
        uint32_t flags;
        struct guid guid;
    } m[MOST + 1]; /* by uid */
    uint32_t last_uid;
    uint64_t highestmodseq, deletedmodseq;
};

static void touch(struct model *s, uint32_t uid)
{
    s->m[uid].modseq = ++s->highestmodseq;
    s->m[uid].last_updated = (int64_t)s->highestmodseq;
}

static void edit(struct model *s)
{
    uint32_t uid = 1 + (uint32_t)rand() % MOST;
    switch (rand() % 4) {
    case 0:
        if (s->last_uid == MOST)
            return;
        uid = ++s->last_uid;
        s->m[uid].there = true;
        memset(s->m[uid].guid.b, (int)uid, GUID_SIZE);
        touch(s, uid);
        return;
    case 1:
        if (!s->m[uid].there || s->m[uid].expunged)
            return;
        s->m[uid].flags ^= rand() % 2 ? REC_SEEN : REC_FLAGGED;
        touch(s, uid);
        return;
    case 2:
        if (!s->m[uid].there || s->m[uid].expunged)
            return;
        s->m[uid].expunged = true;
        touch(s, uid);
        return;
    default:
        if (!s->m[uid].there || !s->m[uid].expunged || rand() % 3)
            return;
        s->m[uid].there = false; /* cleaned up: the record is forgotten */
        if (s->m[uid].modseq > s->deletedmodseq)
            s->deletedmodseq = s->m[uid].modseq;
    }
}

static struct records records_of_model(struct arena *a, const struct model *s)
{
    struct records rec;
    size_t n = 0;
    records_make(a, MOST, &rec);
    for (uint32_t uid = 1; uid <= MOST; uid++) {
        if (!s->m[uid].there)
            continue;
        rec.uid[n] = uid;
        rec.modseq[n] = s->m[uid].modseq;
        rec.last_updated[n] = s->m[uid].last_updated;
        rec.flags[n] = s->m[uid].flags | (s->m[uid].expunged ? REC_EXPUNGED : 0);
        rec.guid[n++] = s->m[uid].guid;
    }
    rec.n = n;
    return rec;
}

static struct mailbox_header header_of(const struct model *s)
{
    struct mailbox_header m = master();
    m.minor = 17;
    m.last_uid = s->last_uid;
    m.highestmodseq = s->highestmodseq;
    m.deletedmodseq = s->deletedmodseq;
    return m;
}

static struct replica_records replica_of(struct arena *a, const struct model *s, const struct mailbox_header *h)
{
    struct records rec = records_of_model(a, s);
    struct replica_records out = { rec.n, rec.n, arena_array(a, rec.n, sizeof *out.r) };
    for (size_t i = 0; i < rec.n; i++) {
        struct sync_crcs c = sync_crc_record(h, &rec, i);
        out.r[i] = (struct replica_record){
            .uid = rec.uid[i], .expunged = rec.flags[i] & REC_EXPUNGED, .crc_basic = c.basic, .crc_annot = c.annot,
            .modseq = rec.modseq[i], .last_updated = rec.last_updated[i], .guid = rec.guid[i],
        };
    }
    return out;
}

/* What the replica's server does with one RECORD (spec/algorithm.md §5.3). */
static void apply_record(struct model *there, const struct records *rec, size_t i, uint64_t modseq)
{
    uint32_t uid = rec->uid[i];
    bool expunged = rec->flags[i] & REC_EXPUNGED;
    if (!there->m[uid].there && uid <= there->last_uid) {
        assert_true(expunged); /* a live one would be refused */
        return;
    }
    if (there->m[uid].there) {
        assert_true(guid_eq(&there->m[uid].guid, &rec->guid[i]));
        assert_true(there->m[uid].modseq <= modseq || there->m[uid].expunged);
        assert_true(!there->m[uid].expunged || expunged);
    }
    there->m[uid].there = true;
    there->m[uid].expunged = expunged;
    there->m[uid].flags = rec->flags[i] & ~REC_EXPUNGED;
    there->m[uid].modseq = modseq;
    there->m[uid].last_updated = rec->last_updated[i];
    there->m[uid].guid = rec->guid[i];
}

static void send_all(struct arena *a, const struct model *here, struct model *there, struct replica_mailbox *r)
{
    struct mailbox_header m = header_of(here);
    struct records rec = records_of_model(a, here);
    struct record_bounds have = diff_bounds(r);
    uint32_t batch = rand() % 2 ? 0 : 1 + (uint32_t)rand() % 8;
    for (;;) {
        struct record_part p = diff_part(&m, &rec, have, batch);
        for (size_t i = 0; i < rec.n; i++) {
            uint64_t modseq;
            if (diff_record_in_part(&rec, i, have, &p, &modseq))
                apply_record(there, &rec, i, modseq);
        }
        there->last_uid = p.to_uid;
        there->highestmodseq = p.to_modseq;
        if (p.complete)
            return;
        have = (struct record_bounds){ p.to_modseq, p.to_uid };
    }
}

static void sync_models(const struct model *here, struct model *there)
{
    struct arena a = ARENA_INIT;
    struct mailbox_header m = header_of(here), empty = header_of(there);
    struct replica_mailbox r = in_step_with(&empty);
    struct records rec = records_of_model(&a, here);
    r.sync_crc = 0;
    enum mailbox_verdict v = diff_mailbox(&m, slice_str(""), &r, false, NULL);
    assert_int_not_equal(v, MAILBOX_AHEAD);
    if (v == MAILBOX_FORGOTTEN) {
        struct replica_records rrec = replica_of(&a, there, &m);
        struct compare_result c = diff_compare(&a, &m, &rec, &r, &rrec);
        for (size_t i = 0; i < c.n; i++) {
            assert_int_equal(c.d[i].row, ROW_STALE);
            there->m[c.d[i].uid].expunged = true;
        }
    }
    if (v != MAILBOX_UNCHANGED)
        send_all(&a, here, there, &r);
    arena_free(&a);
}

static void assert_same_live(const struct model *here, const struct model *there)
{
    assert_int_equal(here->last_uid, there->last_uid);
    for (uint32_t uid = 1; uid <= MOST; uid++) {
        bool live = here->m[uid].there && !here->m[uid].expunged;
        bool live_there = there->m[uid].there && !there->m[uid].expunged;
        if (live != live_there)
            fail_msg("uid %u: live here %d, there %d", uid, live, live_there);
        if (live) {
            assert_int_equal(here->m[uid].flags, there->m[uid].flags);
            assert_true(here->m[uid].modseq == there->m[uid].modseq);
        }
    }
}

static void one_way_histories_converge(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 4000; seed++) {
        struct model here, there;
        memset(&here, 0, sizeof here);
        memset(&there, 0, sizeof there);
        here.highestmodseq = there.highestmodseq = 1;
        srand(seed);
        for (int step = 0; step < 150; step++) {
            edit(&here);
            if (rand() % 12 == 0) {
                sync_models(&here, &there);
                assert_same_live(&here, &there);
            }
        }
        sync_models(&here, &there);
        assert_same_live(&here, &there);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_way_histories_converge),
    };
    return cmocka_run_group_tests_name("diff: histories", tests, NULL, NULL);
}
