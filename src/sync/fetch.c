/*
 * Messages that only the replica has, on their way to the master (spec/commands.md §2.7):
 * GET FETCH into unnamed temporary files, a few at a time, each handed on to the master's
 * server as MESSAGE at once. session_file compares each with its GUID before a byte of it
 * is sent on. Called by the engine's copyback.
 */
#include "sync/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { AT_A_TIME = 32 };

struct fetch {
    struct work *work;
    uint64_t size; /* as the record says */
    uint64_t got;
    int fd;
    bool is_there;
    struct err *err;
};

static struct err *open_unnamed(const char *folder, int *fd)
{
    struct buf path = BUF_INIT;
    struct err *err = NULL;
    *fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (*fd < 0) { /* a file system that has none of these */
        buf_printf(&path, "%s/fansync-XXXXXX", folder);
        buf_cstr(&path);
        *fd = mkostemp(path.data + path.start, O_CLOEXEC);
        if (*fd < 0)
            err = err_errno("%s: cannot make a temporary file", folder);
        else
            unlink(path.data + path.start);
    }
    buf_free(&path);
    return err;
}

/* Errors are kept: returned, they would end the session. */
static struct err *take_piece(void *ctx, const struct dlist *file, const void *p, size_t n)
{
    struct fetch *f = ctx;
    const char *from = p;
    (void)file;
    f->is_there = true;
    f->got += n;
    if (f->got > f->size && !f->err)
        f->err = err_new(ERR_CHANGED, "the replica's message is longer than its record says");
    while (n > 0 && !f->err) {
        ssize_t k = write(f->fd, from, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0) {
            f->err = err_errno("cannot write a temporary file");
            break;
        }
        from += k;
        n -= (size_t)k;
    }
    return NULL;
}

static void fetched(void *ctx, const struct answer *a)
{
    struct fetch *f = ctx;
    if (f->err)
        return;
    if (a->err && a->err->kind == ERR_NONEXISTENT)
        f->err = err_new(ERR_CHANGED, "the replica has removed a message that was to be copied back");
    else if (a->err)
        f->err = err_copy(a->err);
    else if (!f->is_there && f->size > 0)
        f->err = err_new(ERR_CORRUPT, "the replica's message is damaged: it cannot be copied back");
}

static struct err *ask(struct fetch *f, const struct mend *m, const struct mend_message *msg)
{
    const struct work *w = f->work;
    struct session *s = w->unit->engine->session;
    struct dlist_hooks hooks = { .ctx = f, .file = take_piece };
    struct buf *b = session_begin(s, "GET FETCH", NULL, &hooks, fetched, f);
    buf_adds(b, "%(");
    dlist_put_str(b, "MBOXNAME", w->entry->name);
    dlist_put_str(b, "PARTITION", w->r->partition);
    dlist_put_str(b, "UNIQUEID", w->entry->uniqueid);
    dlist_put_guid(b, "GUID", &m->rec.guid[msg->i]);
    dlist_put_u64(b, "UID", msg->from_uid);
    buf_addc(b, ')');
    session_allow(s, f->size);
    return session_end(s);
}

static struct err *first_fault(struct fetch *f, size_t n)
{
    struct err *err = NULL;
    for (size_t k = 0; k < n; k++) {
        if (!err)
            err = f[k].err;
        else
            err_free(f[k].err);
        f[k].err = NULL;
    }
    return err;
}

static void close_all(struct fetch *f, size_t n)
{
    for (size_t k = 0; k < n; k++)
        close(f[k].fd);
}

/* *fault: of this mailbox. The result is the replica's session's. */
static struct err *fetch_some(struct work *w, const struct mend *m, const struct mend_message *msg, size_t n,
                              struct fetch *f, struct err **fault)
{
    struct session *s = w->unit->engine->session;
    for (size_t k = 0; k < n; k++)
        TRY(ask(&f[k], m, &msg[k]));
    TRY(session_drain(s));
    *fault = first_fault(f, n);
    return NULL;
}

static void uploaded(void *ctx, const struct answer *a)
{
    struct err **fault = ctx;
    if (a->err && !*fault)
        *fault = err_copy(a->err);
}

static struct err *hand_on(struct work *w, const struct mend *m, const struct mend_message *msg, size_t n,
                           struct fetch *f)
{
    struct session *s = w->unit->engine->master;
    struct err *fault = NULL, *err = NULL;
    struct buf *b = session_begin(s, "APPLY MESSAGE", NULL, NULL, uploaded, &fault);
    buf_addc(b, '(');
    for (size_t k = 0; k < n && !err; k++) {
        size_t i = msg[k].i;
        err = session_file(s, w->m->entry.partition, &m->rec.guid[i], m->rec.size[i], f[k].fd);
    }
    buf_addc(b, ')');
    struct err *end = session_end(s);
    if (!end)
        end = session_drain(s);
    if (end) {
        err_free(err);
        err_free(fault);
        return end;
    }
    if (err && fault)
        err_free(fault);
    return err ? err : fault;
}

static struct err *pass_on(struct work *w, const struct mend *m, const struct mend_message *msg, size_t n,
                           struct err **fault)
{
    struct fetch f[AT_A_TIME];
    struct err *err = NULL;
    size_t open = 0;
    while (open < n && !*fault) {
        f[open] = (struct fetch){ .work = w, .size = m->rec.size[msg[open].i], .fd = -1 };
        *fault = open_unnamed(w->unit->engine->o.temp_path, &f[open].fd);
        open += !*fault;
    }
    if (!*fault)
        err = fetch_some(w, m, msg, n, f, fault);
    if (!err && !*fault)
        *fault = hand_on(w, m, msg, n, f);
    if (err) /* the callbacks have run: nothing writes into these any more */
        err_free(first_fault(f, open));
    close_all(f, open);
    return err;
}

struct err *fetch_to_master(struct work *w, const struct mend *m, struct err **fault)
{
    struct mend_message *want = arena_array(&w->unit->arena, m->nmessages, sizeof *want);
    size_t n = 0;
    *fault = NULL;
    for (size_t k = 0; k < m->nmessages; k++)
        if (m->messages[k].from_replica)
            want[n++] = m->messages[k];
    for (size_t k = 0; k < n && !*fault; k += AT_A_TIME)
        TRY(pass_on(w, m, want + k, n - k < AT_A_TIME ? n - k : AT_A_TIME, fault));
    return NULL;
}
