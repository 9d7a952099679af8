/* Replaying a file of records (cli/replay.h). */
#include "cli/replay.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

/* What is to be tried again goes to the channel's log, to be found by the next reader: records
 * that another client has locked, and with all_left everything that is not done. */
static struct err *keep_for_later(const struct records_read *r, const char *log, bool all_left)
{
    struct buf lines = BUF_INIT;
    struct err *err = NULL;
    for (size_t i = 0; i < r->n; i++) {
        const struct batch_entry *e = &r->entry[i];
        size_t before = buf_len(&lines);
        if (e->result != BATCH_LOCKED && !(all_left && e->result != BATCH_DONE))
            continue;
        if (!synclog_format(&lines, &e->action) || e->result != BATCH_LOCKED)
            continue;
        struct slice line = slice_of(buf_ptr(&lines) + before, buf_len(&lines) - before - 1);
        log_msg(LOG_INFO, "  Deferred: " SLICE_FMT, SLICE_ARG(line));
    }
    if (buf_len(&lines))
        err = synclog_append(log, buf_slice(&lines));
    buf_free(&lines);
    return err;
}

static bool report(const struct records_read *r, const char *path, uint64_t *failed)
{
    const char *why = NULL;
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++)
        if (r->entry[i].result == BATCH_FAILED && n++ == 0)
            why = r->entry[i].why;
    *failed += n;
    if (!why)
        return true;
    log_msg(LOG_ERR, "Error in do_sync(): bailing out! %s", why);
    log_msg(LOG_ERR, "Processing sync log file %s failed: %s (%zu of %zu records)", path, why, n, r->n);
    return false;
}

/* Logged, freed, and remembered as a failure. */
static void take_fault(const struct run *r, struct err *err, bool *failed)
{
    if (!err)
        return;
    log_msg(LOG_ERR, "%s", err->msg);
    if (r->verbose)
        log_stderr("%s", err->msg);
    err_free(err);
    *failed = true;
}

/* Lines that are no records are kept beside the log that they stood in, for the operator. */
static struct err *read_records(const char *path, const char *rejected, struct records_read *read)
{
    struct buf lines = BUF_INIT;
    size_t bad;
    struct err *err = synclog_read_file(path, take_action, read, &bad, rejected ? &lines : NULL);
    if (!err && buf_len(&lines))
        err = synclog_append(rejected, buf_slice(&lines));
    buf_free(&lines);
    return err;
}

/* What is read, and where what is left of it goes. */
struct replayed {
    const char *path;
    const char *log;
    const char *rejected; /* for bad lines; NULL: the file stays, and so do they */
    bool all_left; /* goes to the log, not only what is locked */
};

/* *kept: every record is done or in the log. */
static struct err *replay(struct run *r, const struct replayed *from, bool *kept, bool *failed)
{
    struct records_read read = { ARENA_INIT, NULL, 0, 0 };
    bool had_failed = *failed;
    struct err *err = NULL;
    take_fault(r, read_records(from->path, from->rejected, &read), failed);
    *kept = *failed == had_failed;
    if (*kept) {
        struct batch *b = batch_new(r->engine, r->store);
        err = batch_run(b, read.entry, read.n);
        if (!report(&read, from->path, &r->failed_records))
            *failed = true;
        struct err *not_kept = keep_for_later(&read, from->log, from->all_left);
        *kept = !not_kept;
        take_fault(r, not_kept, failed);
        batch_free(b);
    }
    arena_free(&read.arena);
    return err;
}

struct err *replay_file(struct run *r, const char *path, const char *log, bool *failed)
{
    bool kept;
    if (strcmp(path, "-") != 0 && access(path, F_OK) == 0)
        log_msg(LOG_NOTICE, "Reprocessing sync log file %s", path);
    return replay(r, &(struct replayed){ .path = path, .log = log }, &kept, failed);
}

struct err *replay_log(struct run *r, const char *folder, const char *log, bool *failed)
{
    struct synclog_taken *taken;
    const char *path;
    bool left_over, kept = false, had_failed = *failed;
    struct err *err = NULL;
    take_fault(r, synclog_take(folder, &taken, &path, &left_over), failed);
    if (*failed != had_failed)
        return NULL;
    if (path && left_over)
        log_msg(LOG_NOTICE, "Reprocessing sync log file %s", path);
    struct buf rejected = BUF_INIT;
    buf_printf(&rejected, "%srejected", folder);
    if (path)
        err = replay(r, &(struct replayed){ path, log, buf_cstr(&rejected), true }, &kept, failed);
    buf_free(&rejected);
    take_fault(r, synclog_untake(taken, kept), failed);
    return err;
}
