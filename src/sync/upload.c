/*
 * Phases 3 and 4: the messages that the replica lacks. RESERVE asks which of them it has
 * already in another folder, MESSAGE sends the rest (spec/algorithm.md §4). A mailbox is
 * told of its messages only after the replica has confirmed all of them, because a
 * MAILBOX that names a message which is not there kills the replica's process
 * (spec/wire.md §4.4).
 *
 * The session's staging table is mirrored here: a (partition, GUID) that was reserved or
 * uploaded is not sent again until RESTART.
 */
#include "sync/unit.h"

#include <unistd.h>

enum {
    FILES_A_COMMAND = 1024,
    BYTES_A_COMMAND = 4 << 20,
    RESERVE_A_COMMAND = 8192,
};

static char staged_mark, missing_mark;

static struct slice staged_key(struct arena *a, struct slice partition, const struct guid *g)
{
    struct slice k = { arena_alloc(a, partition.n + 1 + GUID_SIZE), partition.n + 1 + GUID_SIZE };
    char *p = (char *)k.p;
    memcpy(p, partition.p, partition.n);
    memcpy(p + partition.n + 1, g->b, GUID_SIZE);
    return k;
}

static void *staged_get(struct engine *e, struct slice partition, const struct guid *g)
{
    char key[256];
    if (partition.n + 1 + GUID_SIZE > sizeof key)
        return NULL;
    memcpy(key, partition.p, partition.n);
    key[partition.n] = '\0';
    memcpy(key + partition.n + 1, g->b, GUID_SIZE);
    return map_get(&e->staged, slice_of(key, partition.n + 1 + GUID_SIZE));
}

static bool is_staged(struct engine *e, struct slice partition, const struct guid *g)
{
    return staged_get(e, partition, g) == &staged_mark;
}

static void stage(struct engine *e, struct slice partition, const struct guid *g, void *mark)
{
    map_put(&e->staged, staged_key(&e->staged_arena, partition, g), mark);
    e->restart_due = true;
}

void engine_forget_staged(struct engine *e)
{
    map_free(&e->staged);
    arena_reset(&e->staged_arena);
}

/* Whether record i of the round's part needs its message on the replica. */
static bool needs_message(const struct work *w, size_t i)
{
    uint64_t modseq;
    return w->rec.uid[i] > w->have.since_uid && !(w->rec.flags[i] & REC_UNLINKED) && !(w->hold && w->hold[i]) &&
           diff_record_in_part(&w->rec, i, w->have, &w->part, &modseq);
}

/* ---- partitions ---- */

/* What the commands of one round have in common. Answers come in the order of the commands, so the first that fails
 * is the one that the server could not carry out; those behind it only share its session's end. */
struct round {
    struct engine *engine;
    struct unit *alone; /* the only unit of its window; NULL: there are several */
    struct err *err;    /* of the first command that failed */
};

static struct round round_of(struct engine *e, struct unit *units, size_t n)
{
    return (struct round){ e, n == 1 && units[0].attempt > 0 ? units : NULL, NULL };
}

static void command_failed(struct round *r, struct slice partition, const struct err *err)
{
    if (r->err)
        return;
    r->err = err_copy(err);
    if (err->kind == ERR_BYE || err->kind == ERR_INTERRUPTED || err->kind == ERR_CONNECT)
        return;
    partition_failed(&r->engine->partitions, partition, err, r->alone != NULL);
    struct unit *u = r->alone;
    if (!u || map_get(&u->aside, partition))
        return;
    struct slice hint = partition_hint(&u->keep, partition, err, false);
    struct slice why = arena_printf(&u->keep, "no messages can be sent to partition " SLICE_FMT " of the replica: %s" SLICE_FMT,
                                    SLICE_ARG(partition), err->msg, SLICE_ARG(hint));
    map_put(&u->aside, arena_dup(&u->keep, partition), (void *)why.p);
}

const char *unit_partition_aside(const struct unit *u, struct slice partition)
{
    const char *why = partition_aside(&u->engine->partitions, partition);
    return why ? why : map_get(&u->aside, partition);
}

/* One that nobody's messages can go to is the replica's fault; one that this user's cannot may be his. */
static void leave_out(struct work *w)
{
    const char *why = unit_partition_aside(w->unit, w->partition);
    bool of_all = partition_aside(&w->unit->engine->partitions, w->partition) != NULL;
    if (why)
        work_fail(w, err_new(of_all ? ERR_AILING : ERR_DENIED, "%s", why));
}

/* The mailboxes of a partition that cannot take them do not keep the others away. */
static void leave_out_partitions(struct unit *units, size_t n)
{
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < units[k].nwork; i++) {
            struct work *w = &units[k].work[i];
            if (w->state == WORK_SEND)
                leave_out(w);
        }
}

/* ---- RESERVE ---- */

/*
 * A message that was delivered or appended is new everywhere; one that was copied from
 * another folder was saved later than it arrived. Only those can be on the replica, and
 * the question costs the replica a walk through all folders named.
 */
static bool may_be_elsewhere(const struct work *w, size_t i)
{
    int64_t saved = w->rec.savedate[i];
    return saved == 0 || saved - w->rec.internaldate[i] > 1 || w->rec.internaldate[i] > saved + 1;
}

struct reservation {
    struct round *round;
    struct engine *engine;
    struct unit *unit;
    struct slice partition;
    struct guid *guid;
    size_t n;
};

static void reserved(void *ctx, const struct answer *a)
{
    struct reservation *r = ctx;
    if (a->err && (a->unknown || session_dead(r->engine->session)))
        command_failed(r->round, r->partition, a->err);
    if (a->err)
        return; /* nothing reserved: everything is uploaded; a dead session shows elsewhere */
    for (size_t i = 0; i < a->nlines; i++) {
        if (!slice_caseeqs(a->lines[i]->key, "MISSING"))
            continue;
        for (const struct dlist *d = a->lines[i]->first; d; d = d->next) {
            struct guid g;
            if (guid_parse(d->str, &g))
                stage(r->engine, r->partition, &g, &missing_mark);
        }
    }
    for (size_t i = 0; i < r->n; i++)
        if (!staged_get(r->engine, r->partition, &r->guid[i]))
            stage(r->engine, r->partition, &r->guid[i], &staged_mark);
}

static struct err *send_reservation(struct reservation *r)
{
    struct session *s = r->engine->session;
    const struct replica_mailbox_list *l = &r->unit->replica.mailboxes;
    struct buf *b = session_begin(s, "APPLY RESERVE", NULL, NULL, reserved, r);
    buf_adds(b, "%(");
    dlist_put_str(b, "PARTITION", r->partition);
    dlist_put_list(b, "MBOXNAME");
    for (size_t i = 0; i < l->n; i++)
        if (l->m[i].last_uid > 0)
            dlist_item_str(b, l->m[i].name);
    buf_adds(b, ")");
    dlist_put_list(b, "GUID");
    for (size_t i = 0; i < r->n; i++)
        dlist_item_guid(b, &r->guid[i]);
    buf_adds(b, "))");
    return session_end(s);
}

static bool replica_has_messages(const struct unit *u)
{
    for (size_t i = 0; i < u->replica.mailboxes.n; i++)
        if (u->replica.mailboxes.m[i].last_uid > 0)
            return true;
    return false;
}

static struct err *reserve_mailbox(struct round *round, struct work *w)
{
    struct engine *e = w->unit->engine;
    struct reservation *r = NULL;
    for (size_t i = 0; i < w->rec.n; i++) {
        if (!needs_message(w, i) || !may_be_elsewhere(w, i) || is_staged(e, w->partition, &w->rec.guid[i]))
            continue;
        if (!r) {
            r = arena_alloc(&w->unit->arena, sizeof *r);
            *r = (struct reservation){ round, e, w->unit, w->partition, NULL, 0 };
            r->guid = arena_array(&w->unit->arena, RESERVE_A_COMMAND, sizeof *r->guid);
        }
        r->guid[r->n++] = w->rec.guid[i];
        if (r->n == RESERVE_A_COMMAND) {
            TRY(send_reservation(r));
            r = NULL;
        }
    }
    return r ? send_reservation(r) : NULL;
}

static struct err *reserve_all(struct round *round, struct unit *units, size_t n)
{
    struct engine *e = round->engine;
    for (size_t k = 0; k < n; k++) {
        if (!replica_has_messages(&units[k]))
            continue;
        for (size_t i = 0; i < units[k].nwork; i++)
            if (units[k].work[i].state == WORK_SEND)
                TRY(reserve_mailbox(round, &units[k].work[i]));
    }
    return session_outstanding(e->session) ? session_drain(e->session) : NULL;
}

struct err *window_reserve(struct engine *e, struct unit *units, size_t n)
{
    struct round round = round_of(e, units, n);
    leave_out_partitions(units, n);
    struct err *err = reserve_all(&round, units, n);
    err_free(round.err);
    return err;
}

/* ---- MESSAGE ---- */

/* One MESSAGE command under construction; it may hold files of several mailboxes of one partition. */
struct upload {
    struct engine *engine;
    struct buf *command; /* NULL: none is open */
    struct slice partition;
    size_t files;
    uint64_t bytes;
    struct round *round;
    struct arena *arena; /* lives until the answers are in */
};

/* Whose answer it is. */
struct upload_command {
    struct round *round;
    struct slice partition;
};

static void uploaded(void *ctx, const struct answer *a)
{
    struct upload_command *c = ctx;
    if (a->err)
        command_failed(c->round, c->partition, a->err);
    else
        partition_worked(&c->round->engine->partitions, c->partition);
}

static struct err *close_upload(struct upload *up)
{
    if (!up->command)
        return NULL;
    buf_addc(up->command, ')');
    up->command = NULL;
    return session_end(up->engine->session);
}

static struct err *open_upload(struct upload *up, struct slice partition)
{
    if (up->command && slice_eq(up->partition, partition))
        return NULL;
    TRY(close_upload(up));
    struct upload_command *c = arena_alloc(up->arena, sizeof *c);
    *c = (struct upload_command){ up->round, partition };
    up->partition = partition;
    up->command = session_begin(up->engine->session, "APPLY MESSAGE", NULL, NULL, uploaded, c);
    buf_addc(up->command, '(');
    up->files = 0;
    up->bytes = 0;
    return NULL;
}

/* A message of an expunged record may have been cleaned up since the snapshot; the
 * replica keeps such a record without its message. */
static bool can_do_without(const struct work *w, size_t i, const struct err *err)
{
    return err->kind == ERR_BUSY && (w->rec.flags[i] & REC_EXPUNGED);
}

static struct err *upload_message(struct upload *up, struct work *w, size_t i)
{
    struct engine *e = up->engine;
    const struct records *rec = &w->rec;
    int fd;
    struct err *err = store_message_open(e->o.store, &w->m->entry, rec->uid[i], rec->flags[i], rec->size[i], &fd);
    if (!err) {
        err = open_upload(up, w->partition);
        if (!err)
            err = session_file(e->session, w->partition, &rec->guid[i], rec->size[i], fd);
        close(fd);
    }
    if (!err) {
        stage(e, w->partition, &rec->guid[i], &staged_mark);
        up->files++;
        up->bytes += rec->size[i];
        w->uploads++;
        return NULL;
    }
    if (session_dead(e->session))
        return err;
    if (can_do_without(w, i, err))
        err_free(err);
    else
        work_fail(w, err_wrap(err, "message uid %u", rec->uid[i]));
    return NULL;
}

/*
 * A replica from 3.12 on compiles every new script that a #sieve mailbox names, an expunged one too, and refuses the
 * mailbox for ever over one whose message is gone here, or that it cannot compile. It never had that script, and nothing
 * needs its record: those without a message are left out, whatever the replica's version, and after a refusal all.
 */
static void leave_out_expunged_script(struct work *w, size_t i)
{
    uint64_t modseq;
    bool is_new = w->rec.uid[i] > w->have.since_uid && diff_record_in_part(&w->rec, i, w->have, &w->part, &modseq);
    bool compiles = !w->unit->bad_script && is_staged(w->unit->engine, w->partition, &w->rec.guid[i]);
    if (!is_new || !(w->rec.flags[i] & REC_EXPUNGED) || compiles)
        return;
    if (!w->hold)
        w->hold = arena_array(&w->unit->arena, w->rec.n, sizeof *w->hold);
    w->hold[i] = true;
}

static struct err *upload_mailbox(struct upload *up, struct work *w)
{
    for (size_t i = 0; i < w->rec.n && w->state == WORK_SEND; i++) {
        if (needs_message(w, i) && !is_staged(up->engine, w->partition, &w->rec.guid[i])) {
            TRY(upload_message(up, w, i));
            if (up->files >= FILES_A_COMMAND || up->bytes >= BYTES_A_COMMAND)
                TRY(close_upload(up));
        }
        if (w->entry->kind == 'f')
            leave_out_expunged_script(w, i);
    }
    return NULL;
}

static struct err *upload_all(struct upload *up, struct unit *units, size_t n)
{
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < units[k].nwork; i++)
            if (units[k].work[i].state == WORK_SEND)
                TRY(upload_mailbox(up, &units[k].work[i]));
    TRY(close_upload(up));
    return session_outstanding(up->engine->session) ? session_drain(up->engine->session) : NULL;
}

struct err *window_upload(struct engine *e, struct unit *units, size_t n)
{
    struct arena arena = ARENA_INIT;
    struct round round = round_of(e, units, n);
    struct upload up = { .engine = e, .round = &round, .arena = &arena };
    struct err *err = upload_all(&up, units, n);
    arena_free(&arena);
    if (err || !round.err) {
        err_free(round.err);
        return err;
    }
    return err_wrap(round.err, "%s refused an upload of messages", session_peer(e->session));
}
