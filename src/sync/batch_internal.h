/*
 * Inside batches (fansync/batch.h): batch.c makes jobs of entries and runs them, batch_end.c has
 * what becomes of an entry when its jobs have ended.
 *
 * An entry may be held by several jobs at a time, for instance by the USER jobs of the two owners
 * of a mailbox that moved between them. Its result is the worst of theirs, and is written when the
 * last of them lets go of it; until then it is BATCH_PENDING.
 */
#ifndef FANSYNC_SYNC_BATCH_INTERNAL_H
#define FANSYNC_SYNC_BATCH_INTERNAL_H

#include "fansync/arena.h"
#include "fansync/batch.h"
#include "fansync/map.h"
#include "sync/chain.h"

enum list { /* in order of execution (spec/operation.md §3.3) */
    LIST_MAILBOXES,
    LIST_QUOTA,
    LIST_ANNOTATION,
    LIST_SEEN,
    LIST_SUB,
    LIST_META,
    LIST_USER,
    LIST_UNUSER,
    LIST_RENAMED, /* what an UNUSER took away from the user who has another name now */
    LISTS
};

struct job {
    enum list list;
    struct slice a; /* a user; QUOTA: the object; MAILBOXES: nothing */
    struct slice b; /* SEEN: uniqueid; SUB: name */
    struct slice *names; /* MAILBOXES */
    bool *failed;        /* parallel to them once the job has run */
    size_t nnames, names_cap;
    struct map known; /* its names -> itself */
    bool told;        /* UNUSER: a record says so; else it follows from those of his mailboxes */
    bool made_inbox;  /* MAILBOXES: one was new to the replica */
    bool absent;      /* USER: the user turned out to have no INBOX here */
    struct batch_entry **entry; /* whom its end concerns */
    size_t nentries, entries_cap;
    bool dropped; /* covered by a larger job, which has its entries */
    struct job *next; /* of its list */
};

/* Why something did not succeed. */
struct reason {
    const char *text;
    enum err_kind kind;
};

/* What is known of an entry while the batch runs; parallel to the entries. */
struct progress {
    unsigned held; /* by how many jobs */
    enum batch_result worst;
    struct reason reason; /* of the worst; or why it was handed to a larger job */
};

struct batch {
    struct engine *engine;
    const struct namespace_options *names;
    struct arena arena;
    struct map jobs;       /* list, a, b -> job */
    struct chains groups;  /* owners and shared mailboxes that renames join: head -> MAILBOXES job */
    struct chains renamed; /* the names of each chain of renames: head -> struct failure */
    struct map deleted;    /* names whose mailbox was deleted, as a record says */
    struct store *store;
    bool logs_unuser; /* the master writes a record for a user who was deleted */
    struct batch_entry *entries;
    struct progress *progress;
    struct job *first[LISTS], **last[LISTS];
};

/* batch.c */
struct slice batch_owner_of(struct batch *b, struct slice name);
/* The job of that list for x and y, made when first asked for. */
struct job *batch_get_job(struct batch *b, enum list list, struct slice x, struct slice y);
void batch_concern(struct batch *b, struct job *j, struct batch_entry *e);

/* batch_end.c */
struct progress *batch_progress(const struct batch *b, const struct batch_entry *e);
/* All entries of j move to another job. */
void batch_take_entries(struct batch *b, struct job *from, struct job *to);
/* j has ended with err, or well. */
void batch_end_job(struct batch *b, struct job *j, const struct err *err);
void batch_end_entries(struct batch *b, struct job *j, enum batch_result result, const struct err *why);

#endif
