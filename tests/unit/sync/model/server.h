/*
 * csync servers over the hosts of the model, as strict as real ones (spec/wire.md,
 * spec/commands.md, spec/algorithm.md §5.3). Each listens on a Unix socket and serves one
 * connection after the other in a thread of its own. The master's own server, to which only
 * copyback talks, also watches over the rules of spec/store.md §8.5; who breaks one is told by
 * model_violated().
 */
#ifndef FANSYNC_MODEL_SERVER_H
#define FANSYNC_MODEL_SERVER_H

#include <pthread.h>
#include "fansync/buf.h"
#include "fansync/dlist.h"
#include "fansync/map.h"
#include "model.h"

struct model_server {
    struct model_host *host, *peer;
    bool is_master;
    char path[96];
    int listener;
    pthread_t thread;
};

void model_server_start(struct model_server *s, const char *folder, struct model_host *host,
                        struct model_host *peer, bool is_master);
void model_server_stop(struct model_server *s);

/* What is to happen in one pass of the engine, counted in commands of both servers. Fill it in
 * before the pass; the rest is what happened. */
enum { PASS_EDITS = 8 };
struct model_pass {
    unsigned kill_at, cut_at, lose_at, locked_at; /* 0: not at all */
    bool alone; /* nobody can connect to the master's own server */
    const char *damaged; /* the mailbox whose entry the list cannot read; or NULL */
    const struct op *late[PASS_EDITS]; /* edits that come when the command number `at` does */
    size_t nlate;
    struct model_host *host[2];
    unsigned commands;
    unsigned applied[2]; /* commands that change something, by side */
    bool dead;           /* the engine was killed: nothing of it arrives any more */
    bool replica_edited, master_edited; /* by one of the late edits */
};
extern struct model_pass model_pass;

/* ---- shared by the files of the server ---- */

struct connection {
    struct model_server *server;
    int fd;
    struct buf in, out;
    struct dlist_reader *reader;
    struct arena arena; /* of one command */
    struct staged {
        const char *partition;
        struct guid guid;
    } *staged;
    size_t nstaged, capstaged;
};

#define SERVER_OK "OK success"
#define SERVER_UNKNOWN "NO Unknown error"
#define SERVER_BAD_PARAMETERS "NO IMAP_PROTOCOL_BAD_PARAMETERS"
#define SERVER_NONEXISTENT "NO IMAP_MAILBOX_NONEXISTENT No Such Mailbox"
#define SERVER_MOVED "NO IMAP_MAILBOX_MOVED Mailbox Moved"
#define SERVER_CHECKSUM "NO IMAP_SYNC_CHECKSUM Checksum Failure"
#define SERVER_CHANGED "NO IMAP_SYNC_CHANGED Changed since last sync"

/* A command's final line; NULL: the server's process dies. */
typedef const char *(*server_command)(struct connection *c, const struct dlist *d);

/* A message waits on one partition, and only a mailbox of that partition finds it. */
bool server_is_staged(const struct connection *c, const char *partition, const struct guid *g);
void server_stage(struct connection *c, const char *partition, const struct guid *g);
/* The string under key, interned; NULL if it is missing. */
const char *server_key(const struct dlist *d, const char *key);

/* server_get.c */
const char *server_get_user(struct connection *c, const struct dlist *d);
const char *server_get_meta(struct connection *c, const struct dlist *d);
const char *server_get_mailboxes(struct connection *c, const struct dlist *d);
const char *server_get_uniqueids(struct connection *c, const struct dlist *d);
const char *server_get_fullmailbox(struct connection *c, const struct dlist *d);
const char *server_get_fetch(struct connection *c, const struct dlist *d);

/* server_apply.c */
const char *server_apply_mailbox(struct connection *c, const struct dlist *d);
void server_check_host(const struct model_host *h);

/* server_small.c */
const char *server_apply_reserve(struct connection *c, const struct dlist *d);
const char *server_apply_message(struct connection *c, const struct dlist *d);
const char *server_apply_expunge(struct connection *c, const struct dlist *d);
const char *server_apply_rename(struct connection *c, const struct dlist *d);
const char *server_apply_unmailbox(struct connection *c, const struct dlist *d);
const char *server_apply_sub(struct connection *c, const struct dlist *d);
const char *server_apply_unsub(struct connection *c, const struct dlist *d);
const char *server_apply_seen(struct connection *c, const struct dlist *d);
const char *server_apply_quota(struct connection *c, const struct dlist *d);
const char *server_apply_unquota(struct connection *c, const struct dlist *d);
const char *server_apply_force(struct connection *c, const struct dlist *d);

#endif
