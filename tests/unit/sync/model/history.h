/*
 * Histories: lists of edits on both hosts of the model with passes of the real engine between
 * them, and what must hold after each pass and in the end (spec/algorithm.md §10.4).
 */
#ifndef FANSYNC_MODEL_HISTORY_H
#define FANSYNC_MODEL_HISTORY_H

#include "model.h"

enum history_mode {
    ONE_WAY,     /* only the master is edited; copyback could be had and must not be needed */
    TWO_WAY,     /* both are edited; copyback mends it */
    NO_COPYBACK, /* both are edited; the master may not be changed */
    FORCED,      /* the same with -O */
    MODES,
};

struct history {
    const char *name; /* of a kept one */
    enum history_mode mode;
    unsigned batchsize;
    int skew; /* of the replica's clock */
    bool raises_folders, unmailbox_id, conversations; /* see model_host */
    bool long_thrid;                                  /* the replica's */
    const struct op *op;
    size_t n;
};

void history_begin(void); /* the servers; once */
void history_end(void);
/* NULL: everything holds. Else what does not; valid until the next call. */
const char *history_run(const struct history *h);

/* What the engine said in the last history. */
const char *history_log(void);

struct history_counters {
    unsigned long passes, copybacks, conflicts, kills, cuts;
    unsigned long stuck;      /* users with a folder that cannot get its name */
    unsigned long collisions; /* differences that the sums do not show */
    unsigned long quiet[5];   /* histories by the number of passes that they needed in the end */
};
extern struct history_counters history_counters;

/* check.c: NULL or what is wrong, valid until the next call. */
const char *check_monotonic(const struct model_host *before, const struct model_host *now, bool forced);
/* How much of one user's mailboxes and other things has to be equal. */
enum equality {
    EQUAL_TO_USERS, /* what users see; the replica's counters and modseqs may be ahead */
    EQUAL_CONTENTS, /* what users see, and the counters that updates are guarded by */
    EQUAL_COUNTERS, /* foldermodseqs too */
    EQUAL_HISTORY,  /* and every record that is expunged on both sides */
};
const char *check_equal(const struct model_host *m, const struct model_host *r, const char *userid,
                        enum equality exact);
/* A conflict keeps no new message of the master's away. */
const char *check_arrived(const struct model_host *m, const struct model_host *r, const char *userid);
/* Whether something of the user on the replica stands where a mailbox of the master should, for
 * ever: the master's name is another mailbox's there. */
bool check_is_stuck(const struct model_host *m, const struct model_host *r, const char *userid);
/* Flags that were changed on one side only are those of that side. */
const char *check_flags(const struct model_host *m, const struct model_host *r, bool replicas_too);
const char *check_ledger(const struct model_host *m, const struct model_host *r, enum history_mode mode);

/* random.c */
enum { MOST_OPS = 80 };
void history_random(uint64_t seed, struct history *h, struct op *room);
/* Leaves out what is not needed to fail; ops are h's own room. */
void history_shrink(struct history *h, struct op *room);
void history_print(const struct history *h);

#endif
