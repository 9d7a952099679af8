/*
 * A batch: actions of a sync log carried out together (spec/operation.md §3). Duplicates are
 * done once, what a larger action covers is left out, the order is Cyrus's, and what fails is
 * promoted to the next larger action. Every action has a state of its own: one that fails takes
 * no other with it (Appendix B.2). Used by -f and by the senders of rolling mode; it belongs to
 * the thread of its engine.
 */
#ifndef FANSYNC_BATCH_H
#define FANSYNC_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include "fansync/action.h"
#include "fansync/engine.h"
#include "fansync/err.h"

enum batch_result {
    BATCH_PENDING, /* not tried: the run ended before */
    BATCH_DONE,    /* the replica's state was compared after the record was read, and is as it has to be */
    BATCH_LOCKED,  /* somebody else works on that user: later */
    BATCH_FAILED,  /* also as what it was promoted to */
};

struct batch_entry {
    struct action action; /* borrowed until the batch has run */
    bool retry;           /* it failed before: it stands for more than its words */
    void *user;           /* the caller's */
    enum batch_result result;
    const char *why; /* of one that failed or is locked */
    enum err_kind kind; /* of one that failed: by it, whose fault that is can be told */
};

struct batch;
struct batch *batch_new(struct engine *e, struct store *store);
void batch_free(struct batch *b);

/* Carries out n entries and sets their results. An error (interrupted, no session) ends it
 * early: entries that are still BATCH_PENDING have to be given again. Strings of the results
 * live until the next batch_run or batch_free. */
struct err *batch_run(struct batch *b, struct batch_entry *entries, size_t n) __attribute__((warn_unused_result));

#endif
