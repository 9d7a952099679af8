/*
 * The whole engine against a replica, and a master's own server, that answer whatever they like: the master is the model
 * of the histories (tests/unit/sync/model), whose two users have mail. Nothing may crash, hang or grow without bounds, each
 * user is reported at most once, and the master's store stays as it is.
 *
 * The input: one byte of switches, then what each connection in turn has to say, with 0xFE between them. 0xFD ends what
 * is said at once: the rest comes when the engine waits for it (a poll), as from a peer that answers what it is asked.
 */
#include "wire_peer.h"

#include <poll.h>
#include <string.h>

#include "../unit/sync/model/server.h"
#include "fansync/engine.h"
#include "fansync/log.h"

enum { MOST_CONNECTIONS = 8 };

struct peer {
    int ours, theirs;
    struct slice left; /* to be said */
};

static struct peers {
    struct slice said; /* of connections to come */
    bool old, new;     /* versions before 3.6, after 3.12 */
    struct peer peer[MOST_CONNECTIONS];
    size_t n;
    unsigned done[MODEL_USERS];
} *peers;

static struct model_host master = { .label = "master", .side = MASTER };

void log_progress(const char *fmt, ...)
{
    (void)fmt;
}

bool log_progress_wanted(void)
{
    return false;
}

/* Up to the next mark. */
static struct slice take_until(struct slice *in, unsigned char mark)
{
    const char *end = in->n ? memchr(in->p, mark, in->n) : NULL;
    struct slice s = fuzz_bytes(in, end ? (size_t)(end - in->p) : in->n);
    fuzz_byte(in);
    return s;
}

static void say(struct peer *p)
{
    struct slice now;
    do
        now = take_until(&p->left, 0xfd);
    while (now.n == 0 && p->left.n);
    if (now.n && write(p->theirs, now.p, now.n) != (ssize_t)now.n)
        p->left.n = 0;
    if (p->left.n == 0)
        shutdown(p->theirs, SHUT_WR);
}

/* The linker sends every poll here (tests/fuzz/run): the engine waits for an answer, and gets the next. */
int __real_poll(struct pollfd *p, nfds_t n, int timeout);
int __wrap_poll(struct pollfd *p, nfds_t n, int timeout);
int __wrap_poll(struct pollfd *p, nfds_t n, int timeout)
{
    for (size_t i = 0; n == 1 && peers && i < peers->n; i++)
        if (peers->peer[i].ours == p->fd && (p->events & POLLIN))
            say(&peers->peer[i]);
    return __real_poll(p, n, timeout);
}

static struct err *connect_next(void *ctx, struct session **out)
{
    struct session_options o = { .server = "/peer", .connect_timeout = 5, .timeout = 5 };
    struct peers *p = ctx;
    if (p->said.n == 0 || p->n == MOST_CONNECTIONS)
        return err_new(ERR_CONNECT, "nobody answers");
    const char *greeting = p->old ? "* OK peer Cyrus sync server 3.2.6\r\n"
                         : p->new ? "* UNMAILBOX-ID\r\n* SIEVE-MAILBOX\r\n* OK peer Cyrus sync server 3.13.0\r\n"
                                  : "* SIEVE-MAILBOX\r\n* OK peer Cyrus sync server 3.6.1\r\n";
    struct peer *peer = &p->peer[p->n++];
    peer->ours = wire_pair(greeting, &peer->theirs);
    peer->left = take_until(&p->said, 0xfe);
    return session_open_on(peer->ours, "peer", &o, out);
}

static void done(void *ctx, const struct engine_item *item, const struct err *err)
{
    struct peers *p = ctx;
    must(!err || (err->msg && *err->msg));
    for (unsigned u = 0; u < MODEL_USERS; u++)
        if (slice_eqs(item->userid, model_user(u)))
            must(p->done[u]++ == 0);
}

static void run(struct peers *p, uint8_t bits)
{
    struct store *store = model_store_new(&master);
    struct engine_options o = {
        .store = store, .server = "model", .force = (bits & 3) == 1, .batchsize = bits & 4 ? 2 : 0,
        .connect = connect_next, .connect_ctx = p, .temp_path = "/dev/shm", .no_master = "no copyback",
    };
    if ((bits & 3) >= 2) {
        o.connect_master = connect_next;
        o.connect_master_ctx = p;
    }
    struct engine_item items[MODEL_USERS];
    for (unsigned u = 0; u < MODEL_USERS; u++)
        items[u] = (struct engine_item){ .kind = ITEM_USER, .userid = slice_str(model_user(u)) };
    struct engine *e = engine_new(&o);
    fuzz_refused(engine_run(e, items, bits & 32 ? 1 : MODEL_USERS, done, p));
    engine_free(e);
    model_store_free(store);
}

/* As the histories begin: two users with two mailboxes of three messages each, and some that are expunged. */
static void begin_master(void)
{
    model_lock();
    model_set_clock(1600000000);
    for (unsigned u = 0; u < 2; u++)
        for (unsigned box = 0; box < 2; box++) {
            model_edit(&master, &(struct op){ OP_CREATE, MASTER, u, box, 0, 0 });
            for (unsigned k = 0; k < 3; k++)
                model_edit(&master, &(struct op){ OP_APPEND, MASTER, u, box, 4 + k + 8 * u + 4 * box, 0 });
        }
    model_edit(&master, &(struct op){ OP_EXPUNGE, MASTER, 0, 0, 1, 0 });
    model_edit(&master, &(struct op){ OP_KEYWORD, MASTER, 0, 0, 2, 0 });
    model_edit(&master, &(struct op){ OP_QUOTA, MASTER, 0, 0, 5, 0 });
    model_edit(&master, &(struct op){ OP_SUB, MASTER, 0, 1, 1, 0 });
    model_edit(&master, &(struct op){ OP_SEEN, MASTER, 0, 1, 1, 0 });
    model_unlock();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct slice in = slice_of((const char *)data, n);
    uint8_t bits = fuzz_byte(&in);
    struct peers p = { .said = in, .old = bits & 8, .new = bits & 16 };
    peers = &p;
    if (master.nbox == 0)
        begin_master();
    run(&p, bits);
    for (size_t i = 0; i < p.n; i++)
        close(p.peer[i].theirs);
    peers = NULL;
    return 0;
}
