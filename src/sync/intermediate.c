/*
 * Names that exist only because of their children (spec/algorithm.md §2.5). Older masters
 * have them; a replica of 3.6 and later would make real mailboxes of them, which the master
 * does not have, unless it is told of them before it makes the children. A replica before 3.6
 * keeps such names by itself and does not tell of them.
 */
#include "sync/unit.h"

#include "fansync/log.h"

static bool is_known(const struct unit *u, const struct mbentry *e)
{
    for (size_t i = 0; i < u->replica.mailboxes.n; i++) {
        const struct replica_mailbox *r = &u->replica.mailboxes.m[i];
        /* Never over a mailbox of that name: it would be gone from view. A name that 3.12 keeps
         * without uniqueid gets one. */
        if (slice_eq(r->uniqueid, e->uniqueid) || (slice_eq(r->name, e->name) && r->uniqueid.n))
            return true;
    }
    return false;
}

static void answered(void *ctx, const struct answer *a)
{
    const struct mbentry *e = ctx;
    if (a->err && !a->unknown) /* as the stock client: the mailboxes' own answers count */
        log_msg(LOG_NOTICE, "SYNCNOTICE: intermediate mailbox refused: mailbox=<" SLICE_FMT "> error=<%s>",
                SLICE_ARG(e->name), a->err->msg);
}

static struct err *send_one(struct unit *u, struct mbentry *e)
{
    struct session *s = u->engine->session;
    log_progress("MAILBOX " SLICE_FMT, SLICE_ARG(e->name));
    struct buf *b = session_begin(s, "APPLY MAILBOX", NULL, NULL, answered, e);
    buf_adds(b, "%(");
    dlist_put_str(b, "UNIQUEID", e->uniqueid);
    dlist_put_str(b, "MBOXNAME", e->name);
    dlist_put_str(b, "MBOXTYPE", mbentry_wire_type(&u->arena, e));
    dlist_put_u64(b, "HIGHESTMODSEQ", e->foldermodseq);
    dlist_put_u64(b, "CREATEDMODSEQ", e->createdmodseq);
    dlist_put_u64(b, "FOLDERMODSEQ", e->foldermodseq);
    buf_addc(b, ')');
    return session_end(s);
}

struct err *unit_send_intermediates(struct unit *u)
{
    bool takes_them = session_capabilities(u->engine->session) & CAP_SIEVE_MAILBOX; /* 3.6 and later */
    size_t n = u->intermediates.n;
    u->intermediates.n = 0;
    for (size_t i = 0; i < n && takes_them; i++)
        if (u->intermediates.e[i].uniqueid.n && !is_known(u, &u->intermediates.e[i]))
            TRY(send_one(u, &u->intermediates.e[i]));
    return NULL;
}
