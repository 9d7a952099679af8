/*
 * A file of records, read once to its end: "-R -f FILE" (spec/operation.md §1.6). Called by
 * the command line's rolling mode; any thread. The file stays as it is.
 */
#include "fansync/synclog.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fansync/log.h"
#include "log/files.h"

enum {
    CHUNK = 64 * 1024,
    LOCK_WAIT_MS = 10000,
    TOLD = 10, /* bad lines of a file */
};

/* A file being read. */
struct reading {
    const char *name;
    synclog_fn fn;
    void *ctx;
    struct arena arena;
    struct buf buf;     /* what is not yet split into lines */
    size_t line;        /* number of the line at hand */
    size_t bad;
    bool skipping;      /* the rest of a line that is too long */
    struct buf *bad_lines; /* or NULL */
};

static void complain(struct reading *r, const char *what, struct slice line)
{
    if (r->bad++ < TOLD) {
        struct buf b = BUF_INIT;
        synclog_escape(&b, line);
        log_msg(LOG_ERR, "%s: line %zu: %s: \"%s\"", r->name, r->line, what, buf_cstr(&b));
        buf_free(&b);
    }
    if (r->bad_lines) {
        buf_add(r->bad_lines, line.p, line.n);
        buf_addc(r->bad_lines, '\n');
    }
}

static void one_line(struct reading *r, struct slice line)
{
    struct action action;
    bool any;
    struct err *e = synclog_parse(&r->arena, line, &action, &any);
    if (e)
        complain(r, e->msg, line);
    else if (any)
        r->fn(r->ctx, &action);
    err_free(e);
    arena_reset(&r->arena);
}

/* The bytes without their LF; the end of a line that is too long is not one itself. */
static void line_ends(struct reading *r, struct slice line)
{
    if (r->skipping)
        r->skipping = false;
    else if (line.n > SYNCLOG_LONGEST_LINE)
        complain(r, "Line too long", line);
    else
        one_line(r, line);
    r->line++;
}

static void split(struct reading *r)
{
    struct slice s = buf_slice(&r->buf);
    size_t all = s.n;
    for (const char *lf; s.n && (lf = memchr(s.p, '\n', s.n)) != NULL;) {
        size_t n = (size_t)(lf - s.p);
        line_ends(r, slice_of(s.p, n));
        s = slice_of(s.p + n + 1, s.n - n - 1);
    }
    buf_consume(&r->buf, all - s.n);
    if (s.n > SYNCLOG_LONGEST_LINE && !r->skipping) {
        complain(r, "Line too long", s);
        r->skipping = true;
    }
    if (r->skipping)
        buf_clear(&r->buf);
}

static void file_ends(struct reading *r)
{
    struct slice rest = buf_slice(&r->buf);
    if (rest.n == 0)
        return;
    log_msg(LOG_WARNING, "%s: line %zu: the last line does not end in a newline", r->name, r->line);
    line_ends(r, rest);
}

static struct err *read_all(struct reading *r, int fd)
{
    for (;;) {
        ssize_t n = read(fd, buf_reserve(&r->buf, CHUNK), CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno("Failed to read %s", r->name);
        if (n == 0)
            break;
        buf_added(&r->buf, (size_t)n);
        split(r);
    }
    file_ends(r);
    return NULL;
}

static struct err *read_fd(const char *name, int fd, synclog_fn fn, void *ctx, size_t *bad, struct buf *bad_lines)
{
    struct reading r = { .name = name, .fn = fn, .ctx = ctx, .line = 1, .bad_lines = bad_lines };
    struct err *e = read_all(&r, fd);
    if (r.bad > TOLD)
        log_msg(LOG_ERR, "%s: %zu more bad lines", name, r.bad - TOLD);
    *bad = r.bad;
    buf_free(&r.buf);
    arena_free(&r.arena);
    return e;
}

/* A daemon that is just writing is waited for. What is no regular file has no such writer. */
static struct err *wait_for_writer(int fd, const char *path)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_errno("Failed to open %s", path);
    if (S_ISDIR(st.st_mode)) {
        errno = EISDIR;
        return err_errno("Failed to open %s", path);
    }
    if (!S_ISREG(st.st_mode))
        return NULL;
    TRY(files_lock_shared(fd, LOCK_WAIT_MS, path));
    files_unlock(fd);
    return NULL;
}

struct err *synclog_read_file(const char *path, synclog_fn fn, void *ctx, size_t *bad, struct buf *bad_lines)
{
    *bad = 0;
    if (strcmp(path, "-") == 0)
        return read_fd("standard input", STDIN_FILENO, fn, ctx, bad, bad_lines);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return err_new(ERR_NONEXISTENT, "No sync log filename");
    if (fd < 0)
        return err_errno("Failed to open %s", path);
    struct err *e = wait_for_writer(fd, path);
    if (!e)
        e = read_fd(path, fd, fn, ctx, bad, bad_lines);
    close(fd);
    return e;
}
