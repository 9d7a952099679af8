/*
 * Message files on their way into a command (spec/wire.md §2.4). Called by the engine
 * between session_begin and session_end. Invariant: nothing of a file is written before
 * its length and SHA-1 were found right; a wrong body would be stored by the replica
 * under that name, and a short one would make it read commands as mail.
 */
#include <assert.h>
#include <errno.h>
#include <unistd.h>

#include "session_internal.h"

enum {
    SMALL_FILE = 1024 * 1024, /* kept in memory between hashing and sending */
    PIECE = 64 * 1024,
};

/* Up to n bytes at offset; less only at the end of the file. */
static struct err *read_at(int fd, char *p, size_t n, uint64_t offset, size_t *got)
{
    *got = 0;
    while (*got < n) {
        ssize_t r = pread(fd, p + *got, n - *got, (off_t)(offset + *got));
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return err_errno("read at offset %llu", (unsigned long long)(offset + *got));
        if (r == 0)
            break;
        *got += (size_t)r;
    }
    return NULL;
}

static struct err *check(const struct guid *want, uint64_t size, const struct guid *found, uint64_t length)
{
    char a[GUID_HEX + 1], b[GUID_HEX + 1];
    if (length != size)
        return err_new(ERR_CORRUPT, "the message file has %s%llu bytes instead of %llu",
                       length > size ? "at least " : "", (unsigned long long)length, (unsigned long long)size);
    if (guid_eq(want, found))
        return NULL;
    guid_format(want, a);
    guid_format(found, b);
    return err_new(ERR_CORRUPT, "the message file has SHA-1 %s instead of %s", b, a);
}

/* What to do with each piece of the file on a pass over it. */
typedef struct err *(*piece_fn)(struct session *s, const char *p, size_t n);

/* Hashes up to size + 1 bytes, so that a longer file is seen, giving the first size of
 * them to fn, if any. */
static struct err *hash_pieces(struct session *s, int fd, uint64_t size, piece_fn fn, uint64_t *length)
{
    *length = 0;
    for (;;) {
        size_t got;
        uint64_t left = size + 1 - *length;
        size_t n = left < PIECE ? (size_t)left : PIECE;
        buf_clear(&s->file_bytes);
        char *p = buf_reserve(&s->file_bytes, PIECE);
        TRY(read_at(fd, p, n, *length, &got));
        sha1_add(s->sha, p, got);
        *length += got;
        size_t usable = *length > size ? got - 1 : got;
        if (fn && usable > 0)
            TRY(fn(s, p, usable));
        if (got < n || *length > size)
            return NULL;
    }
}

/* One pass over the file. */
static struct err *pass(struct session *s, int fd, uint64_t size, piece_fn fn, struct guid *found,
                        uint64_t *length)
{
    struct err *e = hash_pieces(s, fd, size, fn, length);
    sha1_final(s->sha, found); /* also makes it ready for the next file */
    return e;
}

static void write_header(struct session *s, struct slice partition, const struct guid *guid, uint64_t size)
{
    struct buf *out = &s->t.out;
    char hex[GUID_HEX + 1];
    guid_format(guid, hex);
    /* The '(' before the first file is still in the buffer: session_flow leaves it there. */
    if (s->files > 0 || buf_len(out) == 0 || out->data[out->end - 1] != '(')
        buf_addc(out, ' ');
    buf_adds(out, "%{");
    dlist_write_str(out, partition);
    buf_printf(out, " %s %llu}\r\n", hex, (unsigned long long)size);
    s->begun = SIZE_MAX;
    s->files++;
    s->counters.files++;
    s->counters.file_bytes += size;
}

static struct err *send_small(struct session *s, struct slice partition, const struct guid *guid, uint64_t size,
                              int fd)
{
    struct guid found;
    size_t got;
    buf_clear(&s->file_bytes);
    char *p = buf_reserve(&s->file_bytes, (size_t)size + 1);
    TRY(read_at(fd, p, (size_t)size + 1, 0, &got));
    sha1_add(s->sha, p, got);
    sha1_final(s->sha, &found);
    TRY(check(guid, size, &found, got));
    write_header(s, partition, guid, size);
    buf_add(&s->t.out, p, (size_t)size);
    return NULL;
}

static struct err *send_piece(struct session *s, const char *p, size_t n)
{
    buf_add(&s->t.out, p, n);
    return session_keep_within_bounds(s);
}

/* The size is promised: if the second reading differs from the first, there is no way to
 * say so but to end the session (spec/wire.md §7.6). */
static struct err *send_large(struct session *s, struct slice partition, const struct guid *guid, uint64_t size,
                              int fd)
{
    struct guid found;
    uint64_t length;
    TRY(pass(s, fd, size, NULL, &found, &length));
    TRY(check(guid, size, &found, length));
    write_header(s, partition, guid, size);
    struct err *e = pass(s, fd, size, send_piece, &found, &length);
    if (!e)
        e = check(guid, size, &found, length);
    if (!e || s->fault)
        return e;
    session_die(s, err_new(ERR_IO, "%s: a message file changed while it was being sent: %s", s->peer, e->msg));
    err_free(e);
    return err_copy(s->fault);
}

struct err *session_file(struct session *s, struct slice partition, const struct guid *guid, uint64_t size,
                         int fd)
{
    assert(s->writing && !s->in_callback);
    if (s->fault)
        return err_copy(s->fault);
    if (size > UINT32_MAX) /* spec/wire.md §2.7 */
        return err_new(ERR_NOTSUPPORTED, "a message of %llu bytes is too large for the protocol",
                       (unsigned long long)size);
    if (!s->sha)
        s->sha = sha1_new();
    if (size <= SMALL_FILE)
        TRY(send_small(s, partition, guid, size, fd));
    else
        TRY(send_large(s, partition, guid, size, fd));
    return session_keep_within_bounds(s);
}
