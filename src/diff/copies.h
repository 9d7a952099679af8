/*
 * Messages of the replica that a copyback has put on the master before, by a run that ended before the original was
 * expunged (copies.c). Used by mend.c, of one thread.
 */
#ifndef FANSYNC_DIFF_COPIES_H
#define FANSYNC_DIFF_COPIES_H

#include "fansync/diff.h"
#include "fansync/map.h"

struct copies {
    struct arena *a;
    const struct records *rec;
    struct map by_guid; /* GUID -> struct same_guid: live messages of the master, not yet taken for a copy */
    bool *dying;        /* for each of the master's records: expunged on the replica, so it will be here */
};

/* rows: the comparison, which says what is dying. The tables live in a; copies_free for the map. */
void copies_index(struct copies *c, struct arena *a, const struct records *rec, const struct compare_result *rows);

void copies_free(struct copies *c);

/* The master's record that is the copy of t; false if there is none. Each record is taken for the copy of one message
 * only, of several the one that was made first. */
bool copies_find(struct copies *c, const struct replica_detail *t, size_t *copy);

/* What the replica says of uid; NULL if it is not what was compared. */
const struct replica_detail *copies_detail(const struct replica_records *rrec, const struct replica_details *details,
                                           uint32_t uid);

/* The modseq with which t came into being, whatever the replica says: never above its present one. */
uint64_t copies_created(const struct replica_detail *t);

#endif
