/*
 * The one way to fail. A function that can fail returns a struct err *: NULL for
 * success, else an error that the caller owns and must hand on or free. The kind says
 * what a program can do about it, the message what an operator can: it is built where
 * the fault is found and names the file and offset, the mailbox or the replica.
 */
#ifndef FANSYNC_ERR_H
#define FANSYNC_ERR_H

#include <stdarg.h>

enum err_kind {
    /* of the store and the process */
    ERR_IO,          /* a system call failed */
    ERR_CORRUPT,     /* a file's content is damaged: the message names file and offset */
    ERR_CONFIG,      /* configuration or arguments */
    ERR_BUSY,        /* the store changed under us or a lock could not be had: try again */
    ERR_INTERRUPTED, /* a signal asked us to end */
    ERR_SHORTAGE,    /* this host has no descriptor, memory or disk left: whatever was worked on is not at fault */
    /* of the protocol (spec/wire.md §3.2); the names are the replica's tokens */
    ERR_CONNECT,        /* no session could be set up */
    ERR_AUTH,           /* the replica does not take our credentials */
    ERR_BYE,            /* the replica shuts down: not an error, come back later */
    ERR_PROTOCOL,       /* BAD, rubbish, end of file: the session is dead */
    ERR_BAD_PARAMETERS, /* a key is missing or ill-typed: our bug */
    ERR_DENIED,         /* any NO that names no other reason */
    ERR_NONEXISTENT,
    ERR_INVALID_USER,
    ERR_LOCKED,
    ERR_MOVED,    /* the name is taken by another uniqueid, or the reverse */
    ERR_CHECKSUM, /* both sides differ where they should not */
    ERR_CHANGED,  /* the mailbox changed on the replica since its state was read */
    ERR_NOTSUPPORTED,
    ERR_BADSIEVE,
    ERR_AILING,   /* the replica says that its own system fails it: its disk, a quota, a partition */
    /* of the engine */
    ERR_SKIPPED,  /* the operator asked to leave that user alone for now (a skip file) */
    ERR_CONFLICT, /* both sides changed: needs a full comparison */
};

struct err {
    enum err_kind kind;
    char *msg;
};

struct err *err_new(enum err_kind kind, const char *fmt, ...)
    __attribute__((format(printf, 2, 3), warn_unused_result));
/* ERR_IO (ERR_NONEXISTENT for ENOENT, ERR_SHORTAGE for what this host has run out of), with ": " and the text of errno
 * appended. */
struct err *err_errno(const char *fmt, ...)
    __attribute__((format(printf, 1, 2), warn_unused_result));
/* Puts "text: " in front of the message; NULL stays NULL. Returns its argument. */
struct err *err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct err *err_copy(const struct err *e) __attribute__((warn_unused_result));
void err_free(struct err *e);

/* True, and e freed, if e is of that kind; else e is untouched. */
int err_take(struct err **e, enum err_kind kind);

/* A short lower-case word for messages and tests ("checksum"). */
const char *err_kind_name(enum err_kind kind);

#define TRY(expr)                    \
    do {                             \
        struct err *try_e_ = (expr); \
        if (try_e_)                  \
            return try_e_;           \
    } while (0)

#endif
