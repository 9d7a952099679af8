/*
 * An action: what a record of a sync log asks for (spec/operation.md §2.5). The log room
 * reads and writes them, queues hold them, the engine carries them out. A record is only a
 * hint that something changed: what is done follows from the store's state when its turn comes.
 */
#ifndef FANSYNC_ACTION_H
#define FANSYNC_ACTION_H

#include <stdbool.h>
#include "fansync/slice.h"

enum action_kind {
    ACTION_MAILBOX,    /* a: name; b: a second one that belongs to it, or empty (MAILBOX, APPEND, DOUBLEMAILBOX) */
    ACTION_RENAME,     /* a: old name, b: new name */
    ACTION_UNMAILBOX,  /* a: name */
    ACTION_USER,       /* a: user id */
    ACTION_UNUSER,     /* a: user id */
    ACTION_META,       /* a: user id (META, SIEVE) */
    ACTION_QUOTA,      /* a: root */
    ACTION_ANNOTATION, /* a: mailbox name, empty for the server's */
    ACTION_SEEN,       /* a: user id, b: uniqueid of the mailbox */
    ACTION_SUB,        /* a: user id, b: mailbox name (SUB, UNSUB) */
    ACTION_KINDS
};

/* Slices are borrowed from whoever made it. */
struct action {
    enum action_kind kind;
    struct slice a;
    struct slice b;
};

#endif
