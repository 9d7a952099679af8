/*
 * Phase 5: one MAILBOX command for each mailbox of the round, and what its answer means
 * (spec/algorithm.md §5, §6).
 */
#include "sync/unit.h"

#include "fansync/log.h"
#include "sync/command.h"

/* Prepares what follows a confirmed part: the replica now has up to its end. */
static void next_part(struct work *w)
{
    w->have.since_uid = w->part.to_uid;
    w->have.since_modseq = w->part.to_modseq;
    w->guard = false; /* the CRC of a part is the replica's affair; the last part's is checked */
    w->part = work_next_part(w);
}

/*
 * A mailbox that does not come into step is tried a second time with sums computed afresh, and
 * then its records are compared (spec/algorithm.md §6.1).
 */
static void say_mismatch(struct work *w)
{
    struct unit *u = w->unit;
    struct slice name = w->entry->name;
    if (u->attempt == 0) {
        log_msg(LOG_NOTICE, "SYNC_NOTICE: CRC failure on sync " SLICE_FMT ", recalculating counts and trying again",
                SLICE_ARG(name));
        return;
    }
    log_msg(LOG_ERR, "CRC failure on sync for " SLICE_FMT ", trying full update", SLICE_ARG(name));
    map_put(&u->mismatch, arena_dup(&u->keep, name), u);
}

/* What was sent in vain is not counted. */
static void count_part(struct work *w)
{
    struct engine_counters *c = &w->unit->engine->counters;
    c->mailboxes_sent += w->part.complete;
    c->records_sent += w->records;
    c->messages_uploaded += w->uploads;
    w->records = w->uploads = 0;
}

static void applied(void *ctx, const struct answer *a)
{
    struct work *w = ctx;
    if (!a->err) {
        count_part(w);
        if (w->part.complete) {
            w->state = WORK_DONE;
            withhold_settle(w);
        } else {
            next_part(w);
        }
        return;
    }
    if (a->err->kind == ERR_CHECKSUM)
        say_mismatch(w);
    else if (a->err->kind == ERR_CHANGED) /* asked anew, and alone */
        log_msg(LOG_INFO, "SYNCNOTICE: changed since last sync: mailbox=<" SLICE_FMT ">", SLICE_ARG(w->entry->name));
    else if (a->err->kind == ERR_MOVED && w->unit->attempt == 0)
        w->unit->retry = true; /* the next try asks under which name the replica has it */
    else if (a->err->kind == ERR_BADSIEVE && w->unit->attempt == 0)
        w->unit->bad_script = w->unit->retry = true; /* the next try finds out which one it is */
    else if (!a->unknown)
        log_msg(LOG_ERR, "do_folders(): update failed: " SLICE_FMT " '%s'", SLICE_ARG(w->entry->name), a->err->msg);
    const char *script = a->err->kind == ERR_BADSIEVE ? work_script_at_fault(w) : NULL;
    if (script) {
        work_fail(w, err_new(ERR_BADSIEVE, "%s: %s", script, a->err->msg));
        return;
    }
    struct slice hint = partition_hint(&w->unit->arena, w->partition, a->err, !w->r);
    work_fail(w, err_new(a->err->kind, "%s" SLICE_FMT, a->err->msg, SLICE_ARG(hint)));
}

static bool is_inbox(const struct work *w)
{
    struct arena a = ARENA_INIT;
    const struct namespace_options *names = store_names(w->unit->engine->o.store);
    struct slice owner = names_userid_of_internal(&a, names, w->entry->name);
    bool is = owner.n && slice_eq(w->entry->name, names_inbox(&a, names, owner));
    arena_free(&a);
    return is;
}

/*
 * Before it is sent: whether it arrived may remain unknown, and the next try finds the INBOX there. A master before 3.6
 * gives the uniqueid of a tombstone to the INBOX that is made again: the UIDVALIDITY tells the two apart.
 */
static void note_new_inbox(const struct work *w)
{
    bool *made = w->unit->item->made_inbox;
    if (made && (!w->r || w->r->uidvalidity != w->m->uidvalidity) && is_inbox(w))
        *made = true;
}

static struct err *send_mailbox(struct work *w)
{
    note_new_inbox(w);
    struct engine *e = w->unit->engine;
    const char *verb = e->o.local_only ? "APPLY LOCAL_MAILBOX" : "APPLY MAILBOX";
    struct mailbox_command c = {
        .m = w->m, .rec = &w->rec, .type = w->type, .partition = w->partition, .r = w->r, .have = w->have,
        .part = w->part, .also = w->also, .hold = w->hold, .guard = w->guard, .sync_crc = w->sync_crc, .sync_crc_annot = w->sync_crc_annot,
    };
    log_progress("%s " SLICE_FMT, verb + 6, SLICE_ARG(w->entry->name));
    struct buf *b = session_begin(e->session, verb, NULL, NULL, applied, w);
    TRY(mailbox_command_write(e->session, b, &c, &w->records));
    return session_end(e->session);
}

/* ---- an INBOX whose messages cannot be sent ---- */

static void shell_applied(void *ctx, const struct answer *a)
{
    (void)ctx;
    (void)a; /* its own failure has been told; the others' answers tell the rest */
}

/*
 * The replica refuses every other mailbox of a user without INBOX. So that one damaged
 * message does not keep a new user's other folders away, his INBOX is made as an empty
 * shell, which a later run fills (spec/wire.md §4.4).
 */
static struct err *send_shell(struct work *w)
{
    struct session *s = w->unit->engine->session;
    struct mailbox_command c = {
        .m = w->m, .rec = &w->rec, .type = w->type, .partition = w->partition,
        .part = { .complete = false, .to_uid = 0, .to_modseq = 1 },
    };
    uint64_t none;
    w->shell_sent = true;
    note_new_inbox(w);
    struct buf *b = session_begin(s, "APPLY MAILBOX", NULL, NULL, shell_applied, NULL);
    TRY(mailbox_command_write(s, b, &c, &none));
    return session_end(s);
}

static bool needs_shell(const struct work *w)
{
    return w->state == WORK_FAILED && !w->shell_sent && !unit_partition_aside(w->unit, w->partition) && !w->r && w->m &&
           !w->match.occupant && is_inbox(w);
}

static void set_aside(struct work *w)
{
    struct unit *u = w->unit;
    const char *script = work_script_at_fault(w);
    struct slice why = arena_printf(&u->keep, "the replica's server ended without an answer when it was told of this mailbox; set "
                                    "aside%s%s", script ? ". Probably " : "", script ? script : "");
    map_put(&u->poison, arena_dup(&u->keep, w->entry->name), (void *)why.p);
}

/*
 * In a window everything is written at once. Alone, each mailbox is awaited, so that if
 * the replica's process dies of one it is known which: that one is set aside
 * (spec/commands.md §7).
 */
static struct err *send_alone(struct work *w)
{
    struct session *s = w->unit->engine->session;
    struct err *err = send_mailbox(w);
    if (!err)
        err = session_drain(s);
    if (err && err->kind == ERR_PROTOCOL)
        set_aside(w);
    return err;
}

struct err *unit_apply(struct unit *u)
{
    for (size_t i = 0; i < u->nwork; i++) {
        struct work *w = &u->work[i];
        if (needs_shell(w))
            TRY(send_shell(w));
        if (w->state == WORK_SEND)
            TRY(u->attempt > 0 ? send_alone(w) : send_mailbox(w));
        if (i == 0) /* behind the INBOX, before whatever is below them */
            TRY(unit_send_intermediates(u));
    }
    return NULL;
}
