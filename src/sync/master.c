/*
 * The session with the master's own sync_server, through which everything goes that has to
 * change on the master: its store is never written by us (spec/store.md §8.5). Opened when a
 * conflict first needs it, kept until there is nothing to do, the engine ends or it breaks. FORCE and GET USER are
 * never sent on it: the first would stay with the server's process, the second deletes files.
 */
#include "sync/unit.h"

#include "fansync/log.h"

static void tell_once(struct engine *e, const char *why)
{
    if (!e->master_told)
        log_msg(LOG_WARNING, "SYNCNOTICE: %s: what has to change on the master is left as it is", why);
    e->master_told = true;
}

bool master_session(struct engine *e)
{
    if (e->master && !session_dead(e->master))
        return true;
    master_drop(e);
    if (!e->o.connect_master) {
        tell_once(e, e->o.no_master);
        return false;
    }
    struct err *err = e->o.connect_master(e->o.connect_master_ctx, &e->master);
    if (!err) {
        e->master_told = false;
        return true;
    }
    e->master = NULL;
    tell_once(e, err->msg);
    err_free(err);
    return false;
}

void master_drop(struct engine *e)
{
    if (!e->master)
        return;
    session_close(e->master);
    e->master = NULL;
    e->master_sieve = false;
}

void engine_rest(struct engine *e)
{
    master_drop(e);
}

/* A greeting on a Unix socket offers nothing, and the command works all the same (spec/store.md
 * §8.5); a server that does not know it refuses it, and the mailbox then. */
struct err *master_enable_sieve(struct engine *e)
{
    if (e->master_sieve)
        return NULL;
    e->master_sieve = true;
    struct buf *b = session_begin(e->master, "APPLY CAPABILITIES", NULL, NULL, NULL, NULL);
    buf_addc(b, '(');
    dlist_item_str(b, slice_str("SIEVE-MAILBOX"));
    buf_addc(b, ')');
    TRY(session_end(e->master));
    return session_drain(e->master);
}
