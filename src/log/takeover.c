/*
 * One hand-over of a log, for a run that ends after one batch (spec/operation.md §2.8). Called by
 * the command line's -1; one thread. Writers that still write to the log that was moved aside
 * are waited for by synclog_read_file, which takes its lock.
 */
#include "fansync/synclog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fansync/mem.h"
#include "log/files.h"
#include "log/tail_internal.h"

struct synclog_taken {
    int lock_fd;
    char *run;
    bool taken;
};

static struct err *move_aside(struct synclog_taken *t, const char *log, bool *left_over)
{
    *left_over = access(t->run, F_OK) == 0;
    t->taken = *left_over;
    if (t->taken)
        return NULL;
    if (renameat2(AT_FDCWD, log, AT_FDCWD, t->run, RENAME_NOREPLACE) == 0)
        t->taken = true;
    else if (errno != ENOENT)
        return err_errno("Rename %s -> %s failed", log, t->run);
    return NULL;
}

struct err *synclog_take(const char *folder, struct synclog_taken **out, const char **path, bool *left_over)
{
    struct synclog_taken *t = mem_alloc(sizeof *t);
    char *lock = files_path(folder, ".sync-reader.lock"), *log = files_path(folder, "log");
    t->run = files_path(folder, "log-run");
    t->lock_fd = -1;
    struct err *err = own_take(folder, lock, &t->lock_fd);
    if (!err)
        err = move_aside(t, log, left_over);
    free(lock);
    free(log);
    if (err) {
        err_free(synclog_untake(t, false));
        return err;
    }
    *path = t->taken ? t->run : NULL;
    *out = t;
    return NULL;
}

struct err *synclog_untake(struct synclog_taken *t, bool done)
{
    struct err *err = NULL;
    if (done && t->taken && unlink(t->run) < 0)
        err = err_errno("Unlink %s failed", t->run);
    if (t->lock_fd >= 0)
        close(t->lock_fd);
    free(t->run);
    free(t);
    return err;
}
