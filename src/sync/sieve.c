/*
 * Sieve scripts that do not travel as a #sieve mailbox (spec/algorithm.md §8.5).
 *
 * Sessions that have not enabled SIEVE-MAILBOX, because the replica does not know such mailboxes or the
 * master has none, send them one by one, behind the MAILBOX commands of the window: the INBOX has to
 * be there.
 *
 * Where both sides know them, scripts may still be files on the master, of users who have not used
 * theirs since an upgrade from before 3.6. Cyrus moves them into a mailbox when it next needs them. Sent
 * one by one they would make the replica create a mailbox with an identity of its own, which the
 * master's could never replace; so the master's own server is made to move them first.
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

/* NULL: none. */
static const struct mbentry *sieve_mailbox(const struct unit *u)
{
    for (size_t i = 0; i < u->entries.n; i++)
        if (u->entries.e[i].kind == 'f')
            return &u->entries.e[i];
    return NULL;
}

/* ---- scripts that are still files, though both sides have mailboxes for them ---- */

static struct err *are_still_files(struct unit *u, bool *out)
{
    *out = false;
    if (!u->engine->sieve_mailbox || u->item->kind != ITEM_USER || u->absent || !u->whole || sieve_mailbox(u))
        return NULL;
    return store_has_sieve_files(u->engine->o.store, &u->arena, u->item->userid, out);
}

/* Why the master's server is not asked; NULL: it is. */
static const char *forbidden(const struct engine *e)
{
    if (e->o.force)
        return "-O leaves the master as it is";
    return e->o.connect_master ? NULL : e->o.no_master;
}

/* To activate a script the server makes the mailbox, if there is none, and moves the files there. It
 * then looks for the script; one without a name cannot exist, so nothing else is changed, and the
 * answer, a refusal, tells nothing. (GET USER would delete the files: spec/store.md §6.4.) */
static struct err *ask_for_mailbox(struct unit *u)
{
    struct session *s = u->engine->master;
    struct buf *b = session_begin(s, "APPLY ACTIVATE_SIEVE", NULL, NULL, NULL, NULL);
    buf_adds(b, "%(");
    dlist_put_str(b, "USERID", u->item->userid);
    dlist_put_str(b, "FILENAME", slice_str(".bc"));
    buf_addc(b, ')');
    TRY(session_end(s));
    return session_drain(s);
}

bool unit_makes_sieve_mailbox(struct unit *u)
{
    struct engine *e = u->engine;
    bool due;
    struct err *err = are_still_files(u, &due);
    if (err || !due || forbidden(e) || !master_session(e)) {
        err_free(err); /* it is met again, and told, by unit_sieve */
        return false;
    }
    log_progress("MAKE SIEVE MAILBOX " SLICE_FMT, SLICE_ARG(u->item->userid));
    err = ask_for_mailbox(u);
    if (err) {
        log_msg(LOG_ERR, "SYNCERROR: the master's own server: %s", err->msg);
        err_free(err);
        master_drop(e);
    }
    return true;
}

void unit_tell_sieve_mailbox(struct unit *u)
{
    const struct mbentry *made = sieve_mailbox(u);
    if (!made)
        return;
    log_msg(LOG_NOTICE, "SYNCNOTICE: sieve scripts that were files are in a mailbox now: mailbox=<" SLICE_FMT ">",
            SLICE_ARG(made->name));
    if (u->engine->o.changed_master)
        u->engine->o.changed_master(u->engine->o.changed_master_ctx, made->name);
}

/* After all else of the user was sent. */
static struct err *check_files(struct unit *u)
{
    bool due;
    TRY(are_still_files(u, &due));
    if (!due)
        return NULL;
    const char *why = forbidden(u->engine);
    return err_new(ERR_DENIED, "sieve scripts are still files, and the master's own server has not moved them into a "
                   "mailbox%s%s; it does when the user next changes one", why ? ": " : "", why ? why : "");
}

/* ---- one by one ---- */

static struct err *read_scripts(struct unit *u, struct sieve_list *here)
{
    return u->engine->sieve_mailbox ? check_files(u)
                                    : store_sieve(u->engine->o.store, &u->arena, u->item->userid, here);
}

struct err *unit_sieve(struct unit *u)
{
    struct sieve_list here = { .known = false };
    struct err *err = read_scripts(u, &here);
    if (err) {
        log_msg(LOG_ERR, "IOERROR: %s", err->msg);
        unit_fail(u, err);
        return NULL;
    }
    if (!here.known)
        return NULL;
    struct sieve_plan p = diff_sieve(&u->arena, &here, &u->replica.scripts);
    return send_plan(u, &p);
}
