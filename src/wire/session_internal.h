/*
 * The inside of a session, shared by session.c (life and pumping), session_answer.c
 * (what comes in) and session_file.c (message files going out). Nobody else includes it.
 */
#ifndef FANSYNC_WIRE_SESSION_INTERNAL_H
#define FANSYNC_WIRE_SESSION_INTERNAL_H

#include "fansync/session.h"
#include "bounds.h"
#include "transport.h"

enum { MAX_VERB = 32 };

struct command { /* written, or being written, and not yet answered */
    char verb[MAX_VERB];
    struct arena *arena; /* NULL: the session's */
    struct dlist_hooks hooks;
    bool has_hooks;
    answer_fn fn;
    void *ctx;
    uint64_t most_bytes; /* of its answer: bounds.h */
};

enum answer_state {
    ANSWER_LINE,     /* at the beginning of a line */
    ANSWER_UNTAGGED, /* inside "* key value" */
    ANSWER_LINE_END, /* behind it */
};

struct session {
    struct session_options options; /* only numbers and stop are used after opening */
    struct transport t;
    char *peer;
    unsigned capabilities;
    struct session_counters counters;
    struct err *fault; /* set: the session is dead */
    bool may_say_exit; /* dead, but the replica is alive and nothing is half sent */

    struct command *queue; /* a ring; outstanding commands, oldest at head */
    size_t queue_cap, head, outstanding;

    bool writing;        /* between session_begin and session_end */
    size_t begun;        /* length of the buffer when it was begun, until some is sent */
    size_t files;        /* in it so far */
    uint64_t written_before; /* bytes and file bytes of all commands before it */
    bool in_callback;
    bool written;        /* commands since the last round trip was counted */

    enum answer_state state; /* of the answer to the oldest command */
    struct dlist_reader *reader;
    struct arena arena;
    struct dlist **lines;
    size_t nlines, lines_cap;

    struct bounds bounds;

    struct sha1 *sha;      /* made at the first file */
    struct buf file_bytes; /* one small message file */
};

/* The command that is answered next; outstanding > 0. */
struct command *session_oldest(const struct session *s);

/* Handles everything received; afterwards the session may be dead. */
void session_receive(struct session *s);

/* Ends the session for this reason (taken over): every outstanding command's callback is
 * called, in order, with unknown set. */
void session_die(struct session *s, struct err *fault);

/* Moves bytes until no more than `unsent` wait to be sent and, if for_answers, nothing
 * is outstanding. Returns a copy of the fault if the session is or becomes dead. */
struct err *session_pump(struct session *s, size_t unsent, bool for_answers);

/* Sends when enough has come together, waits when too much has. */
struct err *session_keep_within_bounds(struct session *s);

/* Whether the replica would take the next byte for the beginning of a command. */
bool session_in_step(const struct session *s);

/* Bytes that may wait in memory when a call returns. */
enum { SESSION_HIGH_WATER = 256 * 1024 };

#endif
