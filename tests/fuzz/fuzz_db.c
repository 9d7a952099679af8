/* A database file of any kind: read whole and searched on the disk, with the same result. */
#include "fuzz.h"

#include <stdlib.h>

#include "fansync/mem.h"
#include "store/db.h"
#include "store/rows.h"

struct rows {
    struct db_row *r;
    size_t n, cap;
};

static struct err *collect(void *ctx, struct slice key, struct slice value)
{
    struct rows *rows = ctx;
    rows->r = mem_grow(rows->r, rows->n, &rows->cap, sizeof *rows->r);
    rows->r[rows->n++] = (struct db_row){ key, value };
    return NULL;
}

/* Rows in order, each once, each found by its key. */
static void check(struct db *d, struct rows *rows)
{
    for (size_t i = 0; i < rows->n; i++) {
        struct slice value;
        bool found = false;
        must(!db_get(d, rows->r[i].key, &value, &found));
        must(found && slice_eq(value, rows->r[i].value));
    }
}

struct walk {
    const struct rows *rows;
    bool same; /* what is read must be what memory has */
    size_t n;
};

static struct err *compare(void *ctx, struct slice key, struct slice value)
{
    struct walk *w = ctx;
    if (w->same) {
        must(w->n < w->rows->n);
        must(slice_eq(key, w->rows->r[w->n].key) && slice_eq(value, w->rows->r[w->n].value));
    }
    w->n++;
    return NULL;
}

/*
 * What the disk gives without an error is what memory has, if checksums guard the pointers that are followed there:
 * skiplist has none. A walk ends in any case.
 */
static void on_disk(const char *path, enum db_text_backend text, unsigned flags, const struct rows *rows, bool same)
{
    struct db *d;
    struct walk w = { rows, same, 0 };
    if (fuzz_refused(db_read(path, text, flags | DB_ON_DISK, &d)))
        return;
    if (!fuzz_refused(db_foreach(d, slice_of("", 0), compare, &w)))
        must(!same || w.n == rows->n);
    for (size_t i = 0; i < rows->n; i++) {
        struct slice value;
        bool found = false;
        if (!fuzz_refused(db_get(d, rows->r[i].key, &value, &found)))
            must(!same || (found && slice_eq(value, rows->r[i].value)));
    }
    db_free(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct slice in = slice_of((const char *)data, n);
    uint8_t bits = fuzz_byte(&in);
    unsigned flags = (bits & 1 ? DB_MUST_EXIST : 0) | (bits & 2 ? DB_MBOX_ORDER : 0);
    enum db_text_backend text = bits & 4 ? DB_TEXT_FLAT : DB_TEXT_REFUSED;
    struct rows rows = { NULL, 0, 0 };
    struct db *d;
    fuzz_crc_is_zero = !(bits & 8);
    const char *path = fuzz_file(in);
    if (fuzz_refused(db_read(path, text, flags, &d)))
        return 0;
    must(!db_foreach(d, slice_of("", 0), collect, &rows));
    check(d, &rows);
    on_disk(path, text, flags, &rows, !fuzz_crc_is_zero && in.n > 4 && in.p[4] != 's');
    free(rows.r);
    db_free(d);
    return 0;
}
