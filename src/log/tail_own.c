/*
 * Whose folder it is: an exclusive lock on FOLDER/.sync-reader.lock for the life of the
 * tailer (spec/operation.md §2.9, Ownership). It keeps two of us apart; the stock client
 * does not look at it. Called by tail.c and tail_folder.c in the tailer's thread.
 */
#include "log/tail_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <unistd.h>

#include "log/files.h"

/* The file says who has it, for the message of the one who comes too late. */
static void write_pid(int fd)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n)
        return; /* only the message is poorer */
}

static struct err *taken(int fd, const char *lock)
{
    char text[32];
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return err_new(ERR_LOCKED, "%s: locked: process %ld already follows this log", lock, atol(text));
}

struct err *own_take(const char *folder, const char *lock, int *fd)
{
    TRY(files_make_folders(lock));
    *fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*fd < 0)
        return err_errno("%s: cannot open", lock);
    struct err *e = NULL;
    if (files_try_lock(*fd) < 0)
        e = errno == EAGAIN ? taken(*fd, lock) : err_errno("%s: cannot lock", lock);
    else if (!files_same(*fd, lock))
        e = err_new(ERR_BUSY, "%s: the folder is being replaced", folder);
    if (e) {
        close(*fd);
        *fd = -1;
        return e;
    }
    write_pid(*fd);
    return NULL;
}

bool own_check(struct folder *f)
{
    struct err *e;
    if (f->lock_fd >= 0 && files_same(f->lock_fd, f->lock))
        return true;
    if (f->lock_fd >= 0) {
        folder_say(f, LOG_WARNING, "%s: the lock file was removed; taking it again", f->lock);
        close(f->lock_fd);
    }
    f->lock_fd = -1;
    e = own_take(f->path, f->lock, &f->lock_fd);
    if (e)
        folder_say(f, LOG_ERR, "%s", e->msg);
    err_free(e);
    return f->lock_fd >= 0;
}
