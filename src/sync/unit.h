/*
 * The engine's working state: a unit is one item on its way through a window, a work is
 * one of its mailboxes. Everything here belongs to the engine's thread and lives until
 * the unit ends; the trees and snapshots are in the unit's arena.
 *
 * States of a work:
 *   WORK_SAME    the replica has it already; nothing is sent
 *   WORK_COMPARE the summaries do not tell what to do: the records have to be compared
 *   WORK_SEND    has something to send in this round (a part, or all)
 *   WORK_DONE    the replica has confirmed the last part
 *   WORK_FAILED  err says why; the unit's other mailboxes go on
 *
 * A unit ends when no work is in WORK_SEND and its other things have been answered. It is
 * tried again, alone and with fresh states of both sides, when the error may pass.
 */
#ifndef FANSYNC_SYNC_UNIT_H
#define FANSYNC_SYNC_UNIT_H

#include "fansync/diff.h"
#include "fansync/engine.h"
#include "fansync/map.h"
#include "sync/partition.h"

enum work_state { WORK_SAME, WORK_COMPARE, WORK_SEND, WORK_DONE, WORK_FAILED };

struct unit;

struct work {
    struct unit *unit;
    const struct mbentry *entry;
    struct folder_match match;
    enum work_state state;
    const struct mailbox_header *m;
    struct records rec;
    struct slice type;
    struct slice partition; /* where its messages are staged on the replica */
    const struct replica_mailbox *r;
    struct record_bounds have; /* grows with every confirmed part */
    struct record_part part;
    /* Of a full comparison: */
    struct replica_records replica_records;
    struct map wanted;              /* uids of which details are asked for */
    struct replica_details details;
    bool *also; /* records to send whatever their modseq (-O), parallel to rec; or NULL */
    bool guard; /* the replica's state is known well enough to send SINCE_* */
    uint32_t sync_crc, sync_crc_annot; /* to send: as stored, or as computed */
    uint64_t uploads, records; /* of the part on its way; counted when it is confirmed */
    struct sync_crcs computed;         /* of all records, once they were read for it */
    bool wrong_sums; /* the master's stored ones are not those of its records */
    /* Why the mailbox stays in conflict although what can be sent is sent (withhold.c); or NULL */
    struct err *conflict;
    bool *hold; /* records that must not be sent, parallel to rec; or NULL */
    bool shell_sent; /* failed, but made empty for the sake of the user's others */
    struct err *err;
};

/*
 * The master's list of a user, every entry of it. There is one only if all could be read in this
 * try: whoever concludes something from what the list lacks has to hold it.
 */
struct whole_list {
    struct mbentry_list entries;
};

struct tree {
    struct unit *unit;
    struct replica_mailbox inbox; /* of the replica; without a name: it has none */
};

/*
 * The user of the replica is the user of this master: his INBOX has our uniqueid there, or there is
 * none yet. Found out in this try (identity.c). Whoever changes what a user has besides mailboxes
 * has to hold it: subscriptions, seen states and scripts go by the user's name, and the name may be
 * another one's there.
 */
struct identity {
    struct slice userid;
    bool is_new; /* the replica has no INBOX of his yet: what it told of him besides is a former user's */
    bool is_gone; /* he was deleted, and has no INBOX here: what is left of him there is only taken away */
};

struct unit {
    struct engine *engine;
    const struct engine_item *item;
    struct arena arena;
    struct replica_state replica;
    bool announced; /* its progress line is out */
    bool asked;   /* the replica's state is complete */
    bool fresh;   /* only the replica's own word counts, not the cache's */
    bool planned; /* what that state asks for is known */
    bool absent;  /* the user has no INBOX here: nothing to do */
    const struct whole_list *whole; /* NULL: not read, or not whole */
    const struct identity *identity; /* NULL: not known, or another one's */
    struct mbentry_list entries;
    struct slice *sought; /* uniqueids to ask for, by whatever name the replica has them */
    size_t nsought;
    struct name_list former; /* instead, of a replica that cannot be asked for uniqueids: their former names */
    struct map asked_ids; /* those that were asked for since the names were asked */
    /* Of an ITEM_MAILBOXES: INBOXes of trees that something is to be made in or moved into (identity.c) */
    struct slice *trees; /* to ask for */
    size_t ntrees, trees_cap;
    struct map asked_trees;                /* name -> struct tree; asked for since the names were asked */
    const char **astray; /* parallel to entries: why nothing may be made of it in that tree; or NULL */
    struct mbentry_list intermediates; /* names without a mailbox, emptied when sent */
    struct work *work;
    size_t nwork;
    struct subscription_list subscriptions;
    /* Folders that the replica has to delete or rename before anything else is planned: */
    const struct replica_mailbox **doomed;
    size_t ndoomed;
    struct rename_op *renames;
    size_t nrenames;
    struct map refused; /* uniqueid -> struct err: a rename that the replica did not take */
    int attempt;        /* 0: in a window with others; above: alone */
    struct err *err;    /* the first one that concerns the unit or one of its mailboxes */
    bool broken;        /* one concerns the unit itself: what was not confirmed is not known to be in step */
    bool retry;         /* what failed may succeed with fresh states */
    bool postponed;     /* left the window untouched: the window was full */
    bool waits;         /* a name is held by a mailbox that another item of the run has to move away */
    /* Kept from one try to the next: */
    struct map poison;  /* names of mailboxes whose MAILBOX ended the replica's process -> why they are set aside */
    struct map aside;   /* partitions that this unit's messages could not be sent to -> why */
    bool bad_script;    /* the replica cannot compile one */
    struct map mismatch; /* names of mailboxes that an update did not bring into step */
    struct map roots;    /* quota roots of mailboxes that were deleted or renamed on the replica */
    struct arena keep;   /* their bytes */
};

struct engine {
    struct engine_options o;
    struct session *session;
    struct session *master;   /* to the master's own server; opened when first needed */
    bool master_sieve;        /* it was told that #sieve mailboxes come */
    bool master_told;         /* that it cannot be had */
    bool sieve_mailbox;       /* enabled on this session */
    bool long_thrid;          /* the replica counts thread ids in 16 digits (sync_crc.h) */
    enum err_kind lost_by;          /* how the last session ended that was lost */
    struct session_counters closed; /* of sessions that have ended */
    struct engine_counters counters;
    struct arena staged_arena;
    struct map staged; /* partition and GUID of what this session's replica has staged */
    struct partitions partitions; /* of the replica */
    bool denied;       /* the replica does not take us for an administrator */
    bool restart_due;  /* something has been staged since the last RESTART */
    size_t window_records; /* loaded by the window's snapshots */
    struct cache_changes remembered; /* by the window, committed at its end */
    struct map told_sums;  /* names of mailboxes whose stored sums were found to be wrong */
    struct arena told_arena;
    struct map locks;      /* owner -> sync lock, held by the window for all its units */
    struct arena locks_arena;
    const struct engine_item *run; /* the items of this engine_run */
    size_t nrun;
    struct map run_users, run_names; /* of it, once somebody asks (engine_runs) */
};

/* engine.c */
struct err *engine_session(struct engine *e); /* opens one if there is none that lives */
void engine_drop_session(struct engine *e);
bool engine_stopping(const struct engine *e);
/* Does the present run bring this mailbox up to date, by its name or with its owner? */
bool engine_runs(struct engine *e, struct slice name);
/* True if a refusal means that all would be refused: the user is no administrator there. It is told once, and the
 * run ends. */
bool engine_is_denied(struct engine *e, const struct err *err);
struct err *engine_denied(const struct engine *e);
/* Something that this version leaves alone: a NOTICE and a count. */
void engine_skip(struct engine *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* unit.c: err is taken over. unit_fail: of the unit itself; work_fail: of one of its mailboxes. */
void unit_fail(struct unit *u, struct err *err);
void work_fail(struct work *w, struct err *err);
/* The FULLMAILBOX being written may be answered with as many records as the master has, beside the usual number. */
void allow_records(const struct work *w);
/* The sync locks of everybody whose mailboxes the unit has; what another unit of the window
 * has locked already is shared with it. */
struct err *unit_lock(struct unit *u, bool wait);
/* The sync lock of one more mailbox's owner; it is not waited for, since others are held. */
struct err *unit_lock_owner(struct unit *u, struct slice name);
void window_unlock(struct engine *e);
void unit_free(struct unit *u); /* what a try has gathered; the item stays */
/* May the same work succeed with fresh states of both sides? */
bool error_may_pass(enum err_kind kind);

/* ask.c: writes the questions of a unit; the answers fill unit->replica. */
struct err *unit_ask(struct unit *u);
/* Takes the answer to a question about the unit (ctx). */
void unit_state_answered(void *ctx, const struct answer *a);
/* Asks for the uniqueids that are sought, or for their former names; what there is joins unit->replica. */
struct err *unit_ask_ids(struct unit *u);

/* identity.c: whose user it is. The question of those items that bring no INBOX with them (META, SUB,
 * SEEN), and what follows from the answer: u->identity, or an error of the unit. */
struct err *identity_ask(struct unit *u);
void identity_find(struct unit *u);
/* By the plan of a USER item: the INBOX is there, or is_new: it can be made. */
void identity_found(struct unit *u, bool is_new);
/* The INBOX has been made: the replica is asked again for what it told too early. */
struct err *identity_ask_again(struct unit *u, bool *asked);

/*
 * Of mailboxes that are named alone: whose tree are those in that are to be made or renamed? True: the replica has
 * to be asked for u->trees first. Else u->astray tells which of the mailboxes have to wait for their owner.
 */
bool identity_seeks_trees(struct unit *u, const struct folder_matches *f);
struct err *identity_ask_trees(struct unit *u);
/* True: the INBOX of a tree is still to be asked for, with those above. Else whether the tree is its owner's there. */
bool identity_seeks_tree(struct unit *u, struct slice inbox);
bool identity_of_tree(struct unit *u, struct slice inbox);
bool identity_lacks_tree(struct unit *u, struct slice inbox); /* it has no such INBOX */

/* remember.c: what a window has learnt about the replica goes into the cache. */
void unit_remember(struct unit *u);
void engine_forget_name(struct engine *e, struct slice name); /* it is about to change */
bool engine_remembers(struct engine *e, const struct replica_mailbox *r);

/* plan.c: reads the master's side and decides; no network. */
void unit_plan(struct unit *u);
/*
 * Whether the mailbox that has our name on the replica has to stay there. The replica would delete
 * an empty one to make room, and with -O a filled one with its mail: never one that the master has
 * under another name, which only has not been renamed there yet.
 */
bool unit_keeps_name(struct unit *u, const struct folder_match *m);
/* The sums to send are the computed ones, in the replica's form. */
void work_use_computed(struct work *w);

/* folders.c: deletions and renames. */
bool unit_wants_folders(const struct unit *u);
/* True if the replica has to be asked for the trees where mailboxes of it belong that the unit does not match. */
bool unit_seeks_homes(struct unit *u, const struct folder_matches *f);
void unit_plan_folders(struct unit *u, const struct folder_matches *f);
struct err *unit_send_folders(struct unit *u);
/* Forgets what was planned, to plan again; unit_replan: and what was asked, to ask again. */
void unit_forget_plan(struct unit *u);
void unit_replan(struct unit *u);

/* compare.c: full comparisons; what can be settled becomes WORK_SEND. */
struct err *window_compare(struct engine *e, struct unit *units, size_t n);

/* The master's side of w anew, all of its records. */
struct err *compare_load_all(struct work *w);
/* The replica's copy of the folder's own modseq is higher, and the master's can be raised. */
bool work_raises_foldermodseq(const struct work *w);
/* Expunges the uids on the replica; the answer may fail w. */
struct err *compare_expunge(struct work *w, const uint32_t *uid, size_t n);
/* The uids of the rows that the replica alone settles by an expunge. */
uint32_t *compare_stale(struct work *w, const struct compare_result *c, size_t *n);
/* Expunges the uids on the replica and makes w WORK_SEND. */
struct err *compare_update(struct work *w, const struct compare_result *c, const uint32_t *uid, size_t n);
/* The error of a mailbox that would need a change on the master; counted. annotations: those of the
 * mailbox differ too. why: why the master may not be changed, taken over; NULL: there is no copyback. */
struct err *compare_conflict(struct work *w, const struct compare_result *c, bool annotations, struct err *why);

/* withhold.c: sends what cannot lose anything of the replica's; w becomes WORK_SEND, WORK_SAME or WORK_FAILED. why as
 * above. The error is the session's. */
struct err *withhold_run(struct work *w, const struct compare_result *c, struct err *why);
/* Everything that is sent has been confirmed: what stays in conflict fails now. */
void withhold_settle(struct work *w);

/* recalculate.c: stored sums of the master that are wrong are corrected by its own server, or told once. */
void window_recalculate(struct unit *units, size_t n);

/* detail.c: the records of the replica that the rows want, with all they say, into w->details. */
struct err *detail_ask(struct work *w, const struct compare_result *c);

/* master.c: the master's own server. False: none is configured or answers, which is told. */
bool master_session(struct engine *e);
void master_drop(struct engine *e);
/* Before a #sieve mailbox: without it the server takes none. The error is the session's. */
struct err *master_enable_sieve(struct engine *e);

/* copyback.c: changes the master as the comparison wants; w becomes WORK_SEND or WORK_FAILED.
 * An error is the replica's session's. */
struct err *copyback_run(struct work *w, struct compare_result c);
/* Whether what the replica says is plausible enough to act on (diff_fence). */
struct err *copyback_fence(struct work *w);
/* Has the master's server calculate its sums anew; w->computed are the right ones. */
struct err *copyback_recalculate(struct work *w);

/* tell.c: the differences of a mailbox in the log, in the stock client's words. */
void tell_differences(const struct work *w, const struct compare_result *c);

/* intermediate.c: makes the names above what is about to be made. */
struct err *unit_send_intermediates(struct unit *u);

/* upload.c, apply.c: one round of a window; each is one burst and one wait. */
struct err *window_reserve(struct engine *e, struct unit *units, size_t n);
/* Why nothing of the unit is sent to that partition of the replica; NULL: it is. */
const char *unit_partition_aside(const struct unit *u, struct slice partition);
struct err *window_upload(struct engine *e, struct unit *units, size_t n);
struct err *unit_apply(struct unit *u);
void engine_forget_staged(struct engine *e);

/* meta.c: quotas, subscriptions, seen states. */
struct err *unit_meta(struct unit *u);
/* Takes the answer to a change for the unit (ctx): what is gone needs none. */
void unit_change_answered(void *ctx, const struct answer *a);
/* The parts, for single objects. Errors are the session's; a refusal fails the unit. */
struct err *meta_quota(struct unit *u, struct slice root, bool always);
struct err *meta_subscription(struct unit *u, const struct identity *who, struct slice name, bool subscribed);
/* Takes away what the replica has of a user who is gone. */
struct err *meta_drop_settings(struct unit *u, const struct identity *who);
struct err *meta_seen(struct unit *u, const struct identity *who, const struct seen_row *row);

/* single.c: items that are one object. */
bool item_is_single(const struct engine_item *item);
struct err *single_ask(struct unit *u);
struct err *single_send(struct unit *u);

/* scripts.c: what goes with the next MAILBOX command: a part of the records; in a second try one new script. */
struct record_part work_next_part(const struct work *w);
/* The part of a #sieve mailbox was refused, or its process died of it: which script, and what to do. NULL: not known. */
const char *work_script_at_fault(struct work *w);

/* sieve.c: scripts of a user whose replica takes no #sieve mailbox. */
struct err *unit_sieve(struct unit *u);
/* Scripts that are still files here, while the replica takes mailboxes: has the master's own server
 * move them into one. True: his list of mailboxes is to be read anew. */
bool unit_makes_sieve_mailbox(struct unit *u);
void unit_tell_sieve_mailbox(struct unit *u); /* then, if it is there: to the log and to the other channels */

/* window.c */
struct err *window_run(struct engine *e, struct unit *units, size_t n);

#endif
