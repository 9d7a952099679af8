/*
 * The engine: brings users and mailboxes of a replica up to date with the master's store
 * (spec/algorithm.md §1). It works in windows of several users, in phases: all questions,
 * then all uploads, then all changes, so that the number of round trips does not grow
 * with the number of users (docs/architecture.md). What fails leaves its window and is
 * tried again alone. An engine and its session belong to one thread.
 */
#ifndef FANSYNC_ENGINE_H
#define FANSYNC_ENGINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "fansync/cache.h"
#include "fansync/err.h"
#include "fansync/map.h"
#include "fansync/session.h"
#include "fansync/slice.h"
#include "fansync/diff.h"
#include "fansync/store.h"

struct engine_options {
    struct store *store;
    const char *server;  /* as configured: part of the sync lock's name */
    const char *channel; /* for messages; NULL: none */
    bool force;          /* -O: tell the replica to take the master's word */
    bool skip_locked;    /* -N */
    bool local_only;     /* -L */
    bool delete_extra;   /* sync_delete_extra: a user's mailboxes that only the replica has are deleted there */
    bool stage_to_archive; /* -a */
    const char *partition; /* -p, or NULL */
    const char *partition_map; /* partitions that have another name there: "big=default two=other"; or NULL */
    const char *authname; /* who logs in, for messages; or NULL */
    uint32_t batchsize;    /* new messages of a mailbox sent with one command */
    bool reverseacls;      /* the option of that name */
    const atomic_int *stop;
    /* Opens a session, trying again as long as the caller's policy says. An error ends
     * engine_run with it. */
    struct err *(*connect)(void *ctx, struct session **out);
    void *connect_ctx;
    /* Opens a session with the master's own sync_server, through which what has to change on
     * the master goes (copyback); one attempt, without waiting. NULL: there is none. */
    struct err *(*connect_master)(void *ctx, struct session **out);
    void *connect_master_ctx;
    const char *no_master; /* why there is none, for messages */
    struct expunge_limit max_expunge; /* by copyback, on the master */
    /* Called after a mailbox of the master was changed: other channels have to hear of it. */
    void (*changed_master)(void *ctx, struct slice name);
    void *changed_master_ctx;
    struct cache *cache; /* what the replica is known to hold; borrowed, or NULL */
    const char *skip_folder; /* where files skipuser-ID say that a user is to be left alone; or NULL */
    const char *temp_path; /* where messages on their way from the replica to the master lie */
};

/* ERR_CONFIG if the text is no partition_map. */
struct err *engine_check_partition_map(const char *map);

struct engine;
struct engine *engine_new(const struct engine_options *o);
void engine_free(struct engine *e); /* says EXIT on the session */

/* Connects now rather than with the first item. */
struct err *engine_connect(struct engine *e);

/* Whether there is a session, as far as is known without asking. */
bool engine_connected(const struct engine *e);
/* Whether #sieve mailboxes travel as mailboxes on the present session; else scripts go one by one,
 * with META and USER. */
bool engine_takes_sieve_mailboxes(const struct engine *e);
/* Asks a session that has been idle whether it is still there. One that is not is dropped
 * without a word: the next item connects anew. */
bool engine_probe(struct engine *e);
/* To be polled for reading while the engine rests; -1: there is no session. Then engine_look: false if the
 * replica has ended the session, which is then dropped. */
int engine_fd(const struct engine *e);
bool engine_look(struct engine *e);
/* Ends the session; the replica is told to forget what is staged (the stock client's RESTART of
 * -t). The error is the refusal's. */
struct err *engine_disconnect(struct engine *e);
/* How the last session that was lost ended: ERR_BYE for a replica that said so. */
enum err_kind engine_lost_by(const struct engine *e);

/* Nothing to do for now: the session with the master's own server is ended. */
void engine_rest(struct engine *e);

enum engine_item_kind {
    ITEM_USER,      /* everything of a user */
    ITEM_MAILBOXES, /* these mailboxes, wherever they belong */
    ITEM_META,      /* a user's subscriptions and seen states */
    /* One object each, by its present state here: */
    ITEM_QUOTA,
    ITEM_ANNOTATIONS, /* the server's own */
    ITEM_SEEN,
    ITEM_SUB,
    /* Deleted there; ERR_BUSY if the mailbox, the user's INBOX, is here (again): */
    ITEM_UNUSER,    /* if he has no INBOX here */
};

struct engine_item {
    enum engine_item_kind kind;
    struct slice userid;       /* USER, META, SEEN, SUB, UNUSER */
    const struct slice *names; /* MAILBOXES: internal names */
    size_t nnames;
    bool *failed; /* MAILBOXES: parallel to names, those that were not brought into step; or NULL */
    /* MAILBOXES: set if the replica was told of an INBOX that it had not, or with another UIDVALIDITY, even if that
     * failed then; or NULL */
    bool *made_inbox;
    bool *absent; /* USER: set if he has no INBOX here, so that nothing was compared; or NULL */
    /* USER, MAILBOXES: names of which a record says that they were deleted -> struct slice, the name in the
     * deleted tree that they got, or empty; or NULL */
    const struct map *deleted;
    bool if_there;    /* MAILBOXES: those that the replica has, under whatever name; no other one is made */
    bool keep_copies; /* UNUSER: what the user has in the deleted tree is to stay there */
    struct slice object; /* QUOTA: the root; SEEN: a uniqueid; SUB: an internal name */
};

/* How an item ended: err NULL for success (a user without a local INBOX is one). Borrowed
 * for the call. */
typedef void (*engine_done_fn)(void *ctx, const struct engine_item *item, const struct err *err);

/*
 * Works off the items, several at a time, and calls done (if not NULL) once for each, in the order in
 * which they end. A failing item does not stop the others. Returns an error only when no
 * further work is possible: interrupted, or no session; the items not done then are not
 * reported.
 */
struct err *engine_run(struct engine *e, const struct engine_item *items, size_t n, engine_done_fn done,
                       void *ctx);

/* Users and mailboxes count once each, however often they were tried; what was sent counts when
 * the replica has confirmed it. */
struct engine_counters {
    uint64_t users;             /* synced whole, or their settings */
    uint64_t mailboxes;         /* compared */
    uint64_t mailboxes_sent;
    uint64_t records_sent;
    uint64_t messages_uploaded;
    uint64_t skipped;           /* things this version leaves alone, each with a notice */
    uint64_t copybacks;         /* mailboxes that were changed on the master */
    uint64_t conflicts;         /* mailboxes that would have to be changed on the master, but may not */
    uint64_t failed;            /* mailboxes that could not be brought up to date; 1 for an item that failed otherwise */
    struct session_counters wire; /* of all sessions */
};
struct engine_counters engine_counters(const struct engine *e);

#endif
