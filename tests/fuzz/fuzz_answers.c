/* Answers of a replica that has let us in: tagged and untagged lines, what is read out of them, what they may cost. */
#include "wire_peer.h"

#include "fansync/dlist.h"
#include "sync/state.h"

struct asked {
    struct arena *arena;
    struct replica_state state;
    size_t answers;
    bool refused; /* then the state counts for nothing */
};

static void answered(void *ctx, const struct answer *a)
{
    struct asked *q = ctx;
    q->answers++;
    must(a->err || !a->unknown);
    if (!a->err)
        q->refused |= fuzz_refused(state_add_lines(q->arena, &q->state, a->lines, a->nlines));
}

static struct err *take(void *ctx, const struct dlist *item)
{
    const char *keys[] = { "UID", "MODSEQ", "LAST_UPDATED", "INTERNALDATE", "SIZE" };
    uint64_t v;
    (void)ctx;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        dlist_u64(item, keys[i], &v);
    return NULL;
}

static struct err *take_file(void *ctx, const struct dlist *file, const void *p, size_t n)
{
    (void)ctx;
    (void)file;
    (void)p;
    (void)n;
    return NULL;
}

static struct err *ask(struct session *s, struct asked *q, const char *verb, const struct dlist_hooks *hooks)
{
    dlist_write_str(session_begin(s, verb, q->arena, hooks, answered, q), slice_str("user.fred"));
    return session_end(s);
}

/* A mailbox that is kept in the cache and read again is the same. */
static void there_and_back(struct arena *a, const struct replica_mailbox *m)
{
    struct buf x = BUF_INIT, y = BUF_INIT;
    struct replica_mailbox again = { 0 };
    struct dlist *d;
    state_write_mailbox(&x, m);
    must(!dlist_parse(a, buf_slice(&x), &d));
    must(!state_read_mailbox(a, d, &again));
    state_write_mailbox(&y, &again);
    fuzz_same(buf_slice(&x), buf_slice(&y));
    buf_free(&x);
    buf_free(&y);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct session_options o = { .server = "/peer", .connect_timeout = 5, .timeout = 5 };
    struct slice in = slice_of((const char *)data, n);
    struct arena arena = ARENA_INIT;
    struct asked q = { .arena = &arena };
    struct session *s;
    int theirs, ours = wire_peer("* OK peer Cyrus sync server 3.6.1\r\n", in, &theirs);
    must(!session_open_on(ours, "peer", &o, &s));
    struct dlist_hooks records = { &q, "RECORD", take, NULL }, files = { &q, NULL, NULL, take_file };
    struct err *err = ask(s, &q, "GET USER", NULL);
    if (!err)
        err = ask(s, &q, "GET FULLMAILBOX", &records);
    if (!err)
        err = ask(s, &q, "GET FETCH", &files);
    if (!err)
        err = session_drain(s);
    fuzz_refused(err);
    must(q.answers <= 3 && (session_dead(s) || q.answers == 3));
    for (size_t i = 0; i < q.state.mailboxes.n && !q.refused; i++)
        there_and_back(&arena, &q.state.mailboxes.m[i]);
    session_close(s);
    close(theirs);
    arena_free(&arena);
    return 0;
}
