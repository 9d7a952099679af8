/*
 * Opening, recognising and searching a database (spec/store.md §3.1, §3.2, §3.7). The
 * callers of db.h come here; what a format is like is in the db_<format>.c files. No lock
 * outlives db_read, but with DB_ON_DISK.
 */
#include "store/db_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>
#include "fansync/mem.h"
#include "store/lock.h"

#define MAGIC "\xa1\x02\x8b\x0d"
#define MAGIC_LOOK 16  /* bytes that tell the backend */
#define WINDOW 512     /* a record's head never crosses such a block, and most fit in one */

struct err *db_text_backend(const char *option, const char *backend, enum db_text_backend *out)
{
    *out = strcmp(backend, "flat") == 0 ? DB_TEXT_FLAT : DB_TEXT_REFUSED;
    if (strcmp(backend, "sql") == 0 || strcmp(backend, "zeroskip") == 0)
        return err_new(ERR_CONFIG, "%s: %s: databases of this kind cannot be read", option, backend);
    return NULL;
}

struct err *db_corrupt(const struct db *d, uint64_t off, const char *what)
{
    return err_new(ERR_CORRUPT, "%s: offset %" PRIu64 ": %s", d->path, off, what);
}

/* ---- order ---- */

static int mbox_weight(char byte)
{
    unsigned char c = (unsigned char)byte;
    if (c == '\t' || c == '\n')
        return 1;
    if (c == '.')
        return 2;
    return c >= 1 && c <= 8 ? c + 2 : c;
}

int mbox_cmp(struct slice a, struct slice b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    for (size_t i = 0; i < n; i++) {
        int d = mbox_weight(a.p[i]) - mbox_weight(b.p[i]);
        if (d)
            return d;
    }
    return a.n < b.n ? -1 : a.n > b.n;
}

static int cmp_rows(const void *a, const void *b)
{
    const struct db_row *x = a, *y = b;
    return slice_cmp(x->key, y->key);
}

static bool rises(const struct db *d, int (*cmp)(struct slice, struct slice))
{
    for (size_t i = 1; i < d->nrows; i++)
        if (cmp(d->rows[i - 1].key, d->rows[i].key) >= 0)
            return false;
    return true;
}

/* Of sorted rows. A line that somebody wrote twice is one; two values of one key are damage, and neither is right. */
static struct err *drop_doubles(struct db *d)
{
    size_t n = 0;
    for (size_t i = 0; i < d->nrows; i++) {
        const struct db_row *last = n ? &d->rows[n - 1] : NULL;
        if (!last || !slice_eq(last->key, d->rows[i].key))
            d->rows[n++] = d->rows[i];
        else if (!slice_eq(last->value, d->rows[i].value))
            return err_new(ERR_CORRUPT, "%s: the key " SLICE_FMT " is there twice, with different values", d->path,
                           SLICE_ARG(last->key));
    }
    d->nrows = n;
    return NULL;
}

/* The order in which the rows can be searched; must: a file in neither order is damaged. */
static struct err *settle_order(struct db *d, bool mbox_allowed, bool must)
{
    if (rises(d, slice_cmp))
        return NULL;
    d->mbox_order = mbox_allowed && rises(d, mbox_cmp);
    if (d->mbox_order)
        return NULL;
    if (must)
        return err_new(ERR_CORRUPT, "%s: the keys are not in order", d->path);
    qsort(d->rows, d->nrows, sizeof *d->rows, cmp_rows);
    return drop_doubles(d);
}

/* ---- bytes ---- */

static struct err *read_all(const struct db *d, char *to, uint64_t off, size_t n)
{
    while (n) {
        ssize_t got = pread(d->fd, to, n, (off_t)off);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno("%s: cannot read", d->path);
        if (got == 0)
            return err_new(ERR_BUSY, "%s: became shorter while it was read", d->path);
        to += got;
        off += (size_t)got;
        n -= (size_t)got;
    }
    return NULL;
}

struct err *db_at(struct db *d, uint64_t off, uint64_t n, const char **p)
{
    uint64_t size = (uint64_t)d->st.st_size;
    if (off > size || n > size - off)
        return db_corrupt(d, off, "points behind the end of the file");
    if (d->mem) {
        *p = d->mem + off;
        return NULL;
    }
    if (off < d->window_at || off + n > d->window_at + buf_len(&d->window)) {
        uint64_t want = n > WINDOW ? n : WINDOW;
        size_t len = (size_t)(want < size - off ? want : size - off);
        buf_clear(&d->window);
        TRY(read_all(d, buf_reserve(&d->window, len), off, len));
        buf_added(&d->window, len);
        d->window_at = off;
    }
    *p = buf_ptr(&d->window) + (off - d->window_at);
    return NULL;
}

static struct err *load_bytes(struct db *d)
{
    buf_clear(&d->window);
    char *mem = mem_alloc((size_t)d->st.st_size + 1);
    struct err *e = read_all(d, mem, 0, (size_t)d->st.st_size);
    if (e)
        free(mem);
    else
        d->mem = mem;
    return e;
}

void db_add_row(struct db *d, struct slice key, struct slice value)
{
    d->rows = mem_grow(d->rows, d->nrows, &d->caprows, sizeof *d->rows);
    d->rows[d->nrows++] = (struct db_row){ key, value };
}

/* ---- opening ---- */

enum kind { KIND_TEXT, KIND_TWOSKIP, KIND_SKIPLIST, KIND_TWOM };

static struct err *recognise(struct db *d, enum kind *kind)
{
    static const struct {
        const char *magic;
        enum kind kind;
    } KINDS[] = {
        { MAGIC "twoskip file", KIND_TWOSKIP },
        { MAGIC "skiplist fil", KIND_SKIPLIST },
        { MAGIC "twomfile", KIND_TWOM },
    };
    const char *p = NULL;
    uint64_t n = d->st.st_size < MAGIC_LOOK ? (uint64_t)d->st.st_size : MAGIC_LOOK;
    TRY(db_at(d, 0, n, &p));
    *kind = KIND_TEXT;
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++)
        if (slice_starts(slice_of(p, (size_t)n), KINDS[i].magic))
            *kind = KINDS[i].kind;
    if (*kind == KIND_TWOM)
        return err_new(ERR_NOTSUPPORTED, "%s: databases of kind twom cannot be read", d->path);
    if (*kind == KIND_TEXT && d->text == DB_TEXT_REFUSED)
        return db_corrupt(d, 0, "is no database of a known kind");
    return NULL;
}

/* The cursor for it, if the file can be searched without reading all of it. */
static struct err *choose_cursor(struct db *d, enum kind kind)
{
    bool clean = false;
    if (!(d->flags & DB_ON_DISK) || kind == KIND_TEXT || (d->flags & DB_MBOX_ORDER))
        return NULL;
    TRY(kind == KIND_TWOSKIP ? twoskip_is_clean(d, &clean) : skiplist_is_clean(d, &clean));
    if (clean)
        d->cursor = kind == KIND_TWOSKIP ? &twoskip_cursor : &skiplist_cursor;
    return NULL;
}

static struct err *load(struct db *d, enum kind kind)
{
    switch (kind) {
    case KIND_TWOSKIP:
        TRY(twoskip_load(d));
        return settle_order(d, d->flags & DB_MBOX_ORDER, true);
    case KIND_SKIPLIST:
        TRY(skiplist_load(d));
        return settle_order(d, false, false);
    default:
        TRY(flat_load(d));
        return settle_order(d, true, false);
    }
}

static struct err *read_locked(struct db *d, enum kind *kind)
{
    if (fstat(d->fd, &d->st) < 0)
        return err_errno("%s: cannot stat", d->path);
    if (!S_ISREG(d->st.st_mode))
        return err_new(ERR_CORRUPT, "%s: is no file", d->path);
    if (d->st.st_size == 0)
        return d->flags & DB_MUST_EXIST ? err_new(ERR_CORRUPT, "%s: is empty", d->path) : NULL;
    TRY(recognise(d, kind));
    TRY(choose_cursor(d, *kind));
    return d->cursor ? NULL : load_bytes(d);
}

static struct err *open_and_load(struct db *d)
{
    enum kind kind = KIND_TEXT;
    struct err *e = lock_open(d->path, O_RDONLY, LOCK_SHARED, LOCK_WAIT_MS, &d->fd);
    if (!(d->flags & DB_MUST_EXIST) && err_take(&e, ERR_NONEXISTENT))
        return NULL;
    TRY(e);
    TRY(read_locked(d, &kind));
    if (d->cursor || d->st.st_size == 0)
        return NULL;
    lock_drop(d->fd);
    return load(d, kind);
}

struct err *db_read(const char *path, enum db_text_backend text, unsigned flags, struct db **out)
{
    struct db *d = mem_alloc(sizeof *d);
    *d = (struct db){ .path = mem_strdup(path), .fd = -1, .text = text, .flags = flags };
    struct err *e = open_and_load(d);
    *out = d;
    if (e) {
        db_free(d);
        *out = NULL;
    }
    return e;
}

void db_free(struct db *d)
{
    if (!d)
        return;
    if (d->fd >= 0)
        close(d->fd);
    buf_free(&d->window);
    free(d->mem);
    free(d->rows);
    free(d->path);
    free(d);
}

const struct stat *db_stat(const struct db *d)
{
    return d->fd >= 0 ? &d->st : NULL;
}

/* ---- searching ---- */

static struct err *foreach_on_disk(struct db *d, struct slice prefix, db_fn *fn, void *ctx)
{
    struct db_found f = { .found = false };
    TRY(d->cursor->seek(d, prefix, &f));
    while (f.found && slice_begins(f.key, prefix)) {
        TRY(fn(ctx, f.key, f.value));
        TRY(d->cursor->next(d, &f));
    }
    return NULL;
}

struct err *db_foreach(struct db *d, struct slice prefix, db_fn *fn, void *ctx)
{
    if (d->cursor)
        return foreach_on_disk(d, prefix, fn, ctx);
    for (size_t i = rows_lower_bound(d->rows, d->nrows, d->mbox_order, prefix); i < d->nrows && slice_begins(d->rows[i].key, prefix); i++)
        TRY(fn(ctx, d->rows[i].key, d->rows[i].value));
    return NULL;
}

struct err *db_get(struct db *d, struct slice key, struct slice *value, bool *found)
{
    struct db_found f = { .found = false };
    *found = false;
    if (d->cursor) {
        TRY(d->cursor->seek(d, key, &f));
    } else {
        size_t i = rows_lower_bound(d->rows, d->nrows, d->mbox_order, key);
        if (i < d->nrows)
            f = (struct db_found){ true, 0, d->rows[i].key, d->rows[i].value };
    }
    if (f.found && slice_eq(f.key, key)) {
        *found = true;
        *value = f.value;
    }
    return NULL;
}
