/* Replaying a file of records (cli/replay.h). */
#include "cli/replay.h"

#include <stdio.h>

#include "fansync/batch.h"
#include "fansync/log.h"
#include "fansync/synclog.h"

struct records_read {
    struct arena arena;
    struct batch_entry *entry;
    size_t n, cap;
};

static void take_action(void *ctx, const struct action *a)
{
    struct records_read *r = ctx;
    struct action copy = { a->kind, arena_dup(&r->arena, a->a), arena_dup(&r->arena, a->b) };
    r->entry = arena_grow(&r->arena, r->entry, r->n, &r->cap, sizeof *r->entry);
    r->entry[r->n++] = (struct batch_entry){ .action = copy };
}

/* Locked by another client: the record goes to the channel's log, to be found by the next. */
static struct err *defer(const struct records_read *r, const char *log)
{
    struct buf lines = BUF_INIT;
    struct err *err = NULL;
    for (size_t i = 0; i < r->n; i++) {
        if (r->entry[i].result != BATCH_LOCKED)
            continue;
        size_t before = buf_len(&lines);
        if (!synclog_format(&lines, &r->entry[i].action))
            continue;
        struct slice line = slice_of(buf_ptr(&lines) + before, buf_len(&lines) - before - 1);
        log_msg(LOG_INFO, "  Deferred: " SLICE_FMT, SLICE_ARG(line));
    }
    if (buf_len(&lines))
        err = synclog_append(log, buf_slice(&lines));
    buf_free(&lines);
    return err;
}

static bool report(const struct records_read *r, const char *path)
{
    const char *why = NULL;
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++)
        if (r->entry[i].result == BATCH_FAILED && n++ == 0)
            why = r->entry[i].why;
    if (!why)
        return true;
    log_msg(LOG_ERR, "Error in do_sync(): bailing out! %s", why);
    log_msg(LOG_ERR, "Processing sync log file %s failed: %s (%zu of %zu records)", path, why, n, r->n);
    return false;
}

struct err *replay_file(struct run *r, const char *path, const char *log, bool *failed)
{
    struct records_read read = { ARENA_INIT, NULL, 0, 0 };
    size_t bad;
    struct err *err = synclog_read_file(path, take_action, &read, &bad);
    if (err) {
        log_msg(LOG_ERR, "%s", err->msg);
        if (r->verbose)
            fprintf(stderr, "%s\n", err->msg);
        err_free(err);
        *failed = true;
        return NULL;
    }
    struct batch *b = batch_new(r->engine, r->store);
    err = batch_run(b, read.entry, read.n);
    if (!report(&read, path))
        *failed = true;
    struct err *not_deferred = defer(&read, log);
    if (not_deferred) {
        log_msg(LOG_ERR, "%s", not_deferred->msg);
        err_free(not_deferred);
        *failed = true;
    }
    batch_free(b);
    arena_free(&read.arena);
    return err;
}
