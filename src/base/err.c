/* Making, wrapping and freeing the errors of fansync/err.h. Any thread. */
#include "fansync/err.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fansync/buf.h"
#include "fansync/mem.h"

static struct err *err_of(enum err_kind kind, struct buf *text)
{
    struct err *e = mem_alloc(sizeof *e);
    e->kind = kind;
    e->msg = mem_strndup(buf_ptr(text), buf_len(text));
    buf_free(text);
    return e;
}

struct err *err_new(enum err_kind kind, const char *fmt, ...)
{
    struct buf b = BUF_INIT;
    va_list ap;
    buf_cstr(&b);
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    return err_of(kind, &b);
}

static enum err_kind kind_of_errno(int no)
{
    switch (no) {
    case ENOENT:
        return ERR_NONEXISTENT;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
    case ENOSPC:
    case EDQUOT:
        return ERR_SHORTAGE;
    default:
        return ERR_IO;
    }
}

struct err *err_errno(const char *fmt, ...)
{
    int no = errno;
    char text[256];
    struct buf b = BUF_INIT;
    va_list ap;
    buf_cstr(&b);
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    buf_printf(&b, ": %s", strerror_r(no, text, sizeof text));
    if (no == EMFILE)
        buf_adds(&b, ": no descriptor is left for this process (RLIMIT_NOFILE)");
    return err_of(kind_of_errno(no), &b);
}

struct err *err_wrap(struct err *e, const char *fmt, ...)
{
    if (!e)
        return NULL;
    struct buf b = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    buf_printf(&b, ": %s", e->msg);
    free(e->msg);
    e->msg = mem_strndup(buf_ptr(&b), buf_len(&b));
    buf_free(&b);
    return e;
}

struct err *err_copy(const struct err *e)
{
    return e ? err_new(e->kind, "%s", e->msg) : NULL;
}

void err_free(struct err *e)
{
    if (!e)
        return;
    free(e->msg);
    free(e);
}

int err_take(struct err **e, enum err_kind kind)
{
    if (!*e || (*e)->kind != kind)
        return 0;
    err_free(*e);
    *e = NULL;
    return 1;
}

const char *err_kind_name(enum err_kind kind)
{
    switch (kind) {
    case ERR_IO: return "io";
    case ERR_CORRUPT: return "corrupt";
    case ERR_CONFIG: return "config";
    case ERR_BUSY: return "busy";
    case ERR_INTERRUPTED: return "interrupted";
    case ERR_SHORTAGE: return "shortage";
    case ERR_CONNECT: return "connect";
    case ERR_AUTH: return "auth";
    case ERR_BYE: return "bye";
    case ERR_PROTOCOL: return "protocol";
    case ERR_BAD_PARAMETERS: return "bad parameters";
    case ERR_DENIED: return "denied";
    case ERR_NONEXISTENT: return "nonexistent";
    case ERR_INVALID_USER: return "invalid user";
    case ERR_LOCKED: return "locked";
    case ERR_MOVED: return "moved";
    case ERR_CHECKSUM: return "checksum";
    case ERR_CHANGED: return "changed";
    case ERR_NOTSUPPORTED: return "not supported";
    case ERR_BADSIEVE: return "bad sieve";
    case ERR_AILING: return "ailing";
    case ERR_SKIPPED: return "skipped";
    case ERR_CONFLICT: return "conflict";
    }
    return "unknown";
}
