/*
 * Appending to a sync log by the rules of Cyrus's writers (spec/operation.md §2.3): open,
 * lock, make sure that the name still means this file, write, sync. Called by whoever puts
 * records back (a deferred user, an item to be tried again) and by the tailer for lines that
 * it cannot read; any thread, beside daemons that write the same log.
 *
 * A reader may follow the log without its lock, so complete lines are never taken back: a
 * write that fails in the middle is cut back to the end of its last whole line.
 */
#include "fansync/clock.h"
#include "fansync/synclog.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log/append.h"
#include "log/files.h"

#define LONGEST_TRY_MS 10000
#define MODE 0640 /* less the umask */

/* Writable for appending, and readable for a look at its last byte. */
static struct err *open_log(const char *path, int *fd, bool *created)
{
    const int flags = O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW;
    *created = false;
    *fd = open(path, flags);
    if (*fd < 0 && errno == ENOENT) {
        *created = true;
        *fd = open(path, flags | O_CREAT, MODE);
    }
    if (*fd < 0 && errno == ENOENT) {
        TRY(files_make_folders(path));
        *fd = open(path, flags | O_CREAT, MODE);
    }
    return *fd < 0 ? err_errno("Unable to write to log file %s", path) : NULL;
}

/* Open and locked, and path named it after the lock was had: now nobody may rename it
 * without waiting for us. */
static struct err *open_locked(const char *path, int64_t wait_ms, int *fd, bool *created)
{
    int64_t end = clock_ms() + wait_ms;
    for (;;) {
        int64_t left = end - clock_ms();
        TRY(open_log(path, fd, created));
        struct err *e = files_lock(*fd, left > 0 ? left : 0, path);
        if (!e && files_same(*fd, path))
            return NULL;
        close(*fd);
        if (e)
            return e;
        if (left <= 0)
            return err_new(ERR_BUSY, "Failed to lock %s: it is replaced faster than it can be locked", path);
    }
}

/* A writer that failed may have left half a line; ours must not become its end. */
static bool ends_in_half_a_line(int fd, off_t size)
{
    char last;
    return size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n';
}

/* Takes back what a failed write left behind the last whole line. */
static void cut_back(int fd, off_t size, struct slice lines)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || st.st_size <= size)
        return;
    size_t n = (size_t)(st.st_size - size);
    if (n > lines.n)
        n = lines.n;
    while (n > 0 && lines.p[n - 1] != '\n')
        n--;
    if (ftruncate(fd, size + (off_t)n) < 0)
        return; /* the next writer of ours ends the half line */
}

static struct err *write_lines(int fd, const char *path, struct slice lines)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_errno("fstat of %s failed", path);
    if (ends_in_half_a_line(fd, st.st_size)) {
        if (!files_write_all(fd, slice_str("\n")))
            return err_errno("write() to %s failed", path);
        st.st_size++;
    }
    if (!files_write_all(fd, lines)) {
        struct err *e = err_errno("write() to %s failed", path);
        cut_back(fd, st.st_size, lines);
        return e;
    }
    return fdatasync(fd) < 0 ? err_errno("fdatasync of %s failed", path) : NULL;
}

/* A new name is on disk only when its folder is. */
static struct err *sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    struct buf b = BUF_INIT;
    struct err *e = NULL;
    buf_add(&b, slash ? path : ".", slash ? (size_t)(slash - path) + 1 : 1);
    int fd = open(buf_cstr(&b), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        e = err_errno("fsync of %s failed", buf_cstr(&b));
    if (fd >= 0)
        close(fd);
    buf_free(&b);
    return e;
}

struct err *append_within(const char *path, struct slice lines, int64_t wait_ms)
{
    int fd;
    bool created;
    if (lines.n == 0)
        return NULL;
    TRY(open_locked(path, wait_ms, &fd, &created));
    struct err *e = write_lines(fd, path, lines);
    files_unlock(fd);
    close(fd);
    return e || !created ? e : sync_folder(path);
}

struct err *synclog_append(const char *path, struct slice lines)
{
    return append_within(path, lines, LONGEST_TRY_MS);
}
