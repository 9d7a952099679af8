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
    struct engine *engine;
    struct unit *unit;
    struct slice partition;
    struct guid *guid;
    size_t n;
};

static void reserved(void *ctx, const struct answer *a)
{
    struct reservation *r = ctx;
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
    dlist_put_key(b, "MBOXNAME");
    buf_adds(b, " (");
    for (size_t i = 0; i < l->n; i++)
        if (l->m[i].last_uid > 0)
            dlist_item_str(b, l->m[i].name);
    buf_adds(b, ")");
    dlist_put_key(b, "GUID");
    buf_adds(b, " (");
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

static struct err *reserve_mailbox(struct work *w)
{
    struct engine *e = w->unit->engine;
    struct reservation *r = NULL;
    for (size_t i = 0; i < w->rec.n; i++) {
        if (!needs_message(w, i) || !may_be_elsewhere(w, i) || is_staged(e, w->partition, &w->rec.guid[i]))
            continue;
        if (!r) {
            r = arena_alloc(&w->unit->arena, sizeof *r);
            *r = (struct reservation){ e, w->unit, w->partition, NULL, 0 };
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

struct err *window_reserve(struct engine *e, struct unit *units, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        if (!replica_has_messages(&units[k]))
            continue;
        for (size_t i = 0; i < units[k].nwork; i++)
            if (units[k].work[i].state == WORK_SEND)
                TRY(reserve_mailbox(&units[k].work[i]));
    }
    return session_outstanding(e->session) ? session_drain(e->session) : NULL;
}

/* ---- MESSAGE ---- */

/* One MESSAGE command under construction; it may hold files of several mailboxes. */
struct upload {
    struct engine *engine;
    struct buf *command; /* NULL: none is open */
    size_t files;
    uint64_t bytes;
    bool *refused; /* set by the answer of any command of the round */
};

static void uploaded(void *ctx, const struct answer *a)
{
    bool *is_refused = ctx;
    if (a->err)
        *is_refused = true;
}

static struct err *close_upload(struct upload *up)
{
    if (!up->command)
        return NULL;
    buf_addc(up->command, ')');
    up->command = NULL;
    return session_end(up->engine->session);
}

static void open_upload(struct upload *up)
{
    if (up->command)
        return;
    up->command = session_begin(up->engine->session, "APPLY MESSAGE", NULL, NULL, uploaded, up->refused);
    buf_addc(up->command, '(');
    up->files = 0;
    up->bytes = 0;
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
        open_upload(up);
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

static struct err *upload_mailbox(struct upload *up, struct work *w)
{
    for (size_t i = 0; i < w->rec.n && w->state == WORK_SEND; i++) {
        if (!needs_message(w, i) || is_staged(up->engine, w->partition, &w->rec.guid[i]))
            continue;
        TRY(upload_message(up, w, i));
        if (up->files >= FILES_A_COMMAND || up->bytes >= BYTES_A_COMMAND)
            TRY(close_upload(up));
    }
    return NULL;
}

struct err *window_upload(struct engine *e, struct unit *units, size_t n)
{
    bool refused = false;
    struct upload up = { .engine = e, .refused = &refused };
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < units[k].nwork; i++)
            if (units[k].work[i].state == WORK_SEND)
                TRY(upload_mailbox(&up, &units[k].work[i]));
    TRY(close_upload(&up));
    if (session_outstanding(e->session))
        TRY(session_drain(e->session));
    if (refused)
        return err_new(ERR_PROTOCOL, "%s refused an upload of messages", session_peer(e->session));
    return NULL;
}
