/* What test_mend.c and test_copies.c begin with: one message on each side, the rows of a comparison, and what is made of them. */
#ifndef FANSYNC_TEST_DIFF_MEND_SCENE_H
#define FANSYNC_TEST_DIFF_MEND_SCENE_H

#include "build.h"

#include "fansync/sync_crc.h"

/* One message of uid 5 on each side; the replica is at HIGHESTMODSEQ 10, LAST_UID 9, the master at 20, 9. */
static struct scene {
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
} s;

enum { NOW = 5000 };

static inline int end(void **state)
{
    (void)state;
    arena_free(&s.a);
    memset(&s, 0, sizeof s);
    return 0;
}

/* Anew, if it was begun before. */
static inline void begin(enum compare_row row)
{
    end(NULL);
    s.m = master();
    s.r = in_step_with(&s.m);
    s.r.highestmodseq = 10;
    records_make(&s.a, 2, &s.rec);
    s.rec.n = 1;
    s.rrec.r = arena_array(&s.a, 2, sizeof *s.rrec.r);
    s.rrec.n = 1;
    s.details.d = arena_array(&s.a, 2, sizeof *s.details.d);
    s.details.n = 1;
    s.rec.uid[0] = s.rrec.r[0].uid = s.details.d[0].uid = 5;
    s.rec.modseq[0] = s.rrec.r[0].modseq = s.details.d[0].modseq = 8;
    s.rec.internaldate[0] = s.details.d[0].internaldate = 70;
    s.rec.size[0] = s.details.d[0].size = 100;
    s.rec.savedate[0] = s.details.d[0].savedate = 71;
    s.rec.createdmodseq[0] = s.details.d[0].createdmodseq = 4;
    s.rec.flags[0] = REC_SEEN;
    memset(&s.rec.guid[0], 1, sizeof s.rec.guid[0]);
    memset(&s.details.d[0].guid, 2, sizeof s.details.d[0].guid);
    s.rrec.r[0].guid = s.details.d[0].guid;
    s.d[0] = (struct compare_difference){ row, 5 };
    s.rows = (struct compare_result){ s.d, row == ROW_NOTHING ? 0 : 1, 4 };
}

static inline bool mended(void)
{
    return diff_mend(&s.a, &s.m, &s.rec, &s.r, &s.rrec, &s.rows, &s.details, s.floor, NOW, &s.mend);
}

/* The sums sent are those of what the master will then have. */
static inline void assert_sums(void)
{
    struct records all;
    size_t n = 0, i = 0, k = 0;
    const struct records *o = &s.mend.rec;
    records_make(&s.a, s.rec.n + o->n, &all);
    while (i < s.rec.n || k < o->n) {
        bool theirs = i == s.rec.n || (k < o->n && o->uid[k] <= s.rec.uid[i]);
        const struct records *from = theirs ? o : &s.rec;
        size_t f = theirs ? k++ : i;
        if (!theirs || (i < s.rec.n && s.rec.uid[i] == from->uid[f]))
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
    struct sync_crcs c = sync_crc_compute(&s.mend.m, &all);
    assert_int_equal(c.basic, s.mend.crc.basic);
}

#define TEST(name) cmocka_unit_test_teardown(name, end)

#endif
