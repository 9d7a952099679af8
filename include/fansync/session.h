/*
 * A csync session with one replica: connect, authenticate, then commands, many of them
 * written before the first answer is read (spec/wire.md §4). Belongs to one thread.
 * Callbacks and hooks must not write commands: they run in the middle of others.
 *
 * The caller writes a command with session_begin, any dlist_put_... on the returned
 * buffer, session_file for message files, and session_end; answers are matched in order
 * and handed to the command's callback from within session_end, session_file or
 * session_drain. The session reads whenever it writes, so two full socket buffers cannot
 * deadlock, and keeps only a bounded amount of unsent bytes in memory.
 *
 * When the session dies (end of file, BAD, rubbish, Fatal error, timeout), every
 * outstanding command's callback is called with an error of ERR_PROTOCOL, ERR_IO or
 * ERR_BYE and answer->unknown set: nobody knows whether the replica has done it. After
 * that session_dead is true and every further call returns a copy of the fault; a command
 * begun then has no callback. Two exceptions: the command that got a BAD is answered by
 * it (unknown is not set), and a signal ends the session with ERR_INTERRUPTED, an error
 * of a hook with that error.
 */
#ifndef FANSYNC_SESSION_H
#define FANSYNC_SESSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "fansync/arena.h"
#include "fansync/buf.h"
#include "fansync/dlist.h"
#include "fansync/err.h"
#include "fansync/guid.h"

enum session_compress { COMPRESS_OFF, COMPRESS_AUTO, COMPRESS_ON, COMPRESS_REQUIRE };

struct session_options {
    const char *server;   /* "host", "host:port", "/path": spec/operation.md §5.4 */
    const char *port;     /* number or service name, or NULL */
    const char *authname; /* may be NULL */
    const char *realm;    /* may be NULL */
    const char *password; /* may be NULL */
    const char *mechs;    /* restricts the SASL mechanisms, or NULL */
    int connect_timeout;  /* seconds, per address and for greeting and login */
    int timeout;          /* seconds that an answer may take, beside those that its bytes need, and of silence */
    struct session_keepalive {
        bool on;
        int idle, interval; /* seconds; 0: the system's */
        int count;          /* 0: the system's */
    } keepalive;            /* of TCP; idle + count * interval is also how long sent bytes may stay unconfirmed */
    enum session_compress compress; /* ON: when offered; AUTO: and the peer is not on this host */
    bool trace;           /* every protocol byte to stderr (-v -v) */
    /* Called whenever the session moves bytes or waits, in its thread, between callbacks; must be quick. waits: nothing
     * moved, the peer is waited for. NULL: nobody looks. */
    void (*tick)(void *ctx, bool waits);
    void *tick_ctx;
    const atomic_int *stop; /* non-zero: a signal asks to end: ERR_INTERRUPTED at the next wait */
};

enum { /* capabilities of the greeting */
    CAP_STARTTLS = 1 << 0,
    CAP_COMPRESS = 1 << 1,
    CAP_SIEVE_MAILBOX = 1 << 2,
    CAP_ARCHIVE = 1 << 3,
    CAP_UNMAILBOX_ID = 1 << 4, /* APPLY UNMAILBOX may name the uniqueid (Cyrus after 3.12) */
    CAP_LONG_THRID = 1 << 5, /* told by the version, 3.13 or later: sums with thread ids of 16 digits */
    CAP_BEFORE_3_6 = 1 << 6, /* told by the version: ends when asked for a uniqueid that it does not know, and keeps what a
                              * user has besides mailboxes under his name */
};

struct session;

/* Once per process, before the first session and before threads. */
struct err *session_library_init(void);

/* ERR_CONFIG if that cannot be the server of session_options: an option that there is not. */
struct err *session_check_server(const char *server);

/* Connects, reads the greeting, authenticates (STARTTLS first if offered), compresses as
 * asked. ERR_CONNECT, ERR_AUTH, ERR_NOTSUPPORTED (compression required but not to be
 * had), ERR_INTERRUPTED. */
struct err *session_open(const struct session_options *o, struct session **out);
/* The same over the connected Unix socket fd, which is taken over. peer: its name for messages; o's
 * server, port and credentials do not count. */
struct err *session_open_on(int fd, const char *peer, const struct session_options *o, struct session **out);
unsigned session_capabilities(const struct session *s);
/* The peer for messages: "host:port" as connected. */
const char *session_peer(const struct session *s);

/* What came back for one command. Everything lives until the callback returns, but the
 * trees if the command was given an arena of its own. */
struct answer {
    struct err *err;      /* NULL: OK. Borrowed: copy with err_copy to keep it */
    bool unknown;         /* the session died: nobody knows whether it was done */
    struct dlist **lines; /* untagged lines, in order; to be discarded when err is set */
    size_t nlines;
};
typedef void (*answer_fn)(void *ctx, const struct answer *a);

/*
 * Begins a command: writes "GET " or "APPLY " and so on as given in verb ("APPLY
 * MAILBOX"; "NOOP" needs no argument) and a blank, and returns the buffer to which the
 * caller writes the argument. arena: where the answer's lines live, NULL: forgotten after
 * the callback. hooks: see dlist.h, copied; may be NULL.
 */
struct buf *session_begin(struct session *s, const char *verb, struct arena *arena,
                          const struct dlist_hooks *hooks, answer_fn fn, void *ctx);
/* Streams a message file as "%{partition guid size}CRLF<bytes>" into the command being
 * written. The content is read and its SHA-1 and length compared BEFORE anything is
 * written: ERR_CORRUPT, ERR_IO (unreadable) or ERR_NOTSUPPORTED (4 GiB and more) then
 * leaves the command as it was, without this file. A blank is put in front unless the
 * command ends in '('. Should the file change between check and sending, the session is
 * dead (ERR_IO). */
struct err *session_file(struct session *s, struct slice partition, const struct guid *guid, uint64_t size,
                         int fd);
/* Between the pieces of a long command: sends what has gathered if it is much, so that a
 * command of any length needs bounded memory. The buffer of session_begin stays valid. */
struct err *session_flow(struct session *s);
/* The answer of the command being written may be so many bytes longer than such answers usually are. A
 * session dies of an answer that is longer than it may be, or comes too slowly (src/wire/bounds.h). */
void session_allow(struct session *s, uint64_t bytes);
/* Ends the command; sends and reads as far as needed to keep within bounds. */
struct err *session_end(struct session *s);
/* Sends everything and reads until no answer is outstanding. */
struct err *session_drain(struct session *s);

/* From now on instead of options.timeout, which is returned. */
int session_set_timeout(struct session *s, int seconds);
/* A session at rest: nothing is outstanding. To be polled for reading; then session_look, which takes what came
 * unasked. That can only be the end, and false if it is. */
int session_fd(const struct session *s);
bool session_look(struct session *s);

bool session_dead(const struct session *s);
/* Why it is dead; NULL if it is not. Borrowed. */
const struct err *session_fault(const struct session *s);
size_t session_outstanding(const struct session *s);

struct session_counters {
    uint64_t commands;
    uint64_t round_trips; /* times that all was written and only answers were waited for */
    uint64_t bytes_out;   /* of the protocol, before compression */
    uint64_t bytes_in;
    uint64_t files;
    uint64_t file_bytes;
};
const struct session_counters *session_counters(const struct session *s);

/* Says EXIT if the session lives, and frees it. Outstanding commands are abandoned: their
 * callbacks are not called. */
void session_close(struct session *s);

#endif
