/*
 * Sieve scripts of a user, one by one, for sessions that have not enabled SIEVE-MAILBOX: the
 * replica does not know #sieve mailboxes, or the master has none (spec/algorithm.md §8.5).
 * The commands go out behind the MAILBOX commands of the window: the INBOX has to be there.
 */
#include "sync/unit.h"

#include "fansync/log.h"

struct sent {
    struct unit *unit;
    const char *what;
};

static void answered(void *ctx, const struct answer *a)
{
    const struct sent *sent = ctx;
    if (a->err && a->err->kind != ERR_NONEXISTENT)
        unit_fail(sent->unit, err_wrap(err_copy(a->err), "%s", sent->what));
}

/* file, and of SIEVE the script; empty: not sent. */
static struct err *send_command(struct unit *u, const char *verb, struct slice file, const struct sieve_script *s)
{
    struct sent *sent = arena_alloc(&u->arena, sizeof *sent);
    sent->unit = u;
    sent->what = arena_printf(&u->arena, "%s " SLICE_FMT "%s" SLICE_FMT, verb + strlen("APPLY "),
                              SLICE_ARG(u->item->userid), file.n ? " " : "", SLICE_ARG(file)).p;
    log_progress("%s", sent->what);
    struct buf *b = session_begin(u->engine->session, verb, NULL, NULL, answered, sent);
    buf_adds(b, "%(");
    dlist_put_str(b, "USERID", u->item->userid);
    if (file.n)
        dlist_put_str(b, "FILENAME", file);
    if (s) {
        dlist_put_i64(b, "LAST_UPDATE", s->last_update);
        dlist_put_str(b, "CONTENT", s->content);
    }
    buf_addc(b, ')');
    return session_end(u->engine->session);
}

static struct slice with_suffix(struct unit *u, struct slice name, const char *suffix)
{
    return arena_printf(&u->arena, SLICE_FMT "%s", SLICE_ARG(name), suffix);
}

static struct err *send_plan(struct unit *u, const struct sieve_plan *p)
{
    if (p->deactivate)
        TRY(send_command(u, "APPLY UNACTIVATE_SIEVE", slice_of("", 0), NULL));
    for (size_t i = 0; i < p->nput; i++) {
        struct slice file = with_suffix(u, p->put[i].s->name, ".script");
        if (p->put[i].remove_first)
            TRY(send_command(u, "APPLY UNSIEVE", file, NULL));
        TRY(send_command(u, "APPLY SIEVE", file, p->put[i].s));
    }
    if (p->activate.n)
        TRY(send_command(u, "APPLY ACTIVATE_SIEVE", with_suffix(u, p->activate, ".bc"), NULL));
    for (size_t i = 0; i < p->nremove; i++)
        TRY(send_command(u, "APPLY UNSIEVE", p->remove[i], NULL));
    return NULL;
}

static bool has_mailbox(const struct unit *u)
{
    for (size_t i = 0; i < u->entries.n; i++)
        if (u->entries.e[i].kind == 'f')
            return true;
    return false;
}

struct err *unit_sieve(struct unit *u)
{
    struct sieve_list here;
    bool enabled = u->engine->sieve_mailbox;
    if (enabled && (u->item->kind != ITEM_USER || has_mailbox(u)))
        return NULL;
    struct err *err = store_sieve(u->engine->o.store, &u->arena, u->item->userid, &here);
    if (err) {
        log_msg(LOG_ERR, "IOERROR: %s", err->msg);
        unit_fail(u, err);
        return NULL;
    }
    if (enabled) {
        /* Cyrus itself moves them into a mailbox when it next needs them. */
        if (here.n)
            engine_skip(u->engine, "sieve scripts of " SLICE_FMT " are still files, not messages of a mailbox",
                        SLICE_ARG(u->item->userid));
        return NULL;
    }
    if (!here.known)
        return NULL;
    struct sieve_plan p = diff_sieve(&u->arena, &here, &u->replica.scripts);
    return send_plan(u, &p);
}
