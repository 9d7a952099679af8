/* dlist, the form of everything on the wire and in values of databases: whole, in pieces, and written again. */
#include "fuzz.h"

#include "fansync/dlist.h"

struct reading {
    struct arena arena;
    struct dlist_reader *reader;
    struct err *err;
    enum dlist_status status;
    size_t used;
    size_t items, files; /* what the hooks have been given, in bytes and numbers */
};

static struct err *take_item(void *ctx, const struct dlist *item)
{
    struct reading *r = ctx;
    r->items += 1 + dlist_count(item);
    return NULL;
}

static struct err *take_file(void *ctx, const struct dlist *file, const void *p, size_t n)
{
    struct reading *r = ctx;
    (void)file;
    (void)p;
    r->files += n;
    return NULL;
}

static void begin(struct reading *r, uint8_t flags)
{
    *r = (struct reading){ .reader = dlist_reader_new(), .status = DLIST_MORE };
    struct dlist_hooks hooks = { r, flags & 2 ? "RECORD" : NULL, flags & 2 ? take_item : NULL,
                                 flags & 4 ? take_file : NULL };
    dlist_reader_begin(r->reader, &r->arena, &hooks, flags & 1, 4096);
}

static void feed(struct reading *r, struct slice in, size_t piece)
{
    while (in.n && !r->err && r->status == DLIST_MORE) {
        struct slice now = fuzz_bytes(&in, piece);
        while (now.n && !r->err && r->status == DLIST_MORE) {
            size_t used = 0;
            r->err = dlist_reader_feed(r->reader, now.p, now.n, &used, &r->status);
            must(used <= now.n && (used || r->err || r->status == DLIST_DONE));
            r->used += used;
            now = slice_of(now.p + used, now.n - used);
        }
    }
}

static void end(struct reading *r)
{
    fuzz_refused(r->err);
    dlist_reader_free(r->reader);
    arena_free(&r->arena);
}

static bool same(const struct dlist *x, const struct dlist *y)
{
    for (; x && y; x = x->next, y = y->next)
        if (x->type != y->type || !slice_eq(x->key, y->key) || !slice_eq(x->str, y->str) ||
            !slice_eq(x->partition, y->partition) || x->size != y->size || !same(x->first, y->first))
            return false;
    return !x && !y;
}

/* Every string can be said and read again. */
static void there_and_back(const struct dlist *d)
{
    struct arena a = ARENA_INIT;
    struct buf b = BUF_INIT;
    for (; d; d = d->next) {
        if (d->type == DLIST_STRING) {
            struct dlist *again;
            dlist_write_str(&b, d->str);
            must(!dlist_parse(&a, buf_slice(&b), &again));
            must(again->type == DLIST_STRING && slice_eq(again->str, d->str));
            buf_clear(&b);
        }
        there_and_back(d->first);
    }
    buf_free(&b);
    arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct slice in = slice_of((const char *)data, n);
    uint8_t flags = fuzz_byte(&in), piece = fuzz_byte(&in);
    struct reading whole, pieces;
    begin(&whole, flags);
    feed(&whole, in, in.n);
    begin(&pieces, flags);
    feed(&pieces, in, 1u + piece % 16);
    must(!whole.err == !pieces.err);
    must(whole.err || (whole.status == pieces.status && whole.used == pieces.used));
    must(whole.err || (whole.items == pieces.items && whole.files == pieces.files));
    if (!whole.err && whole.status == DLIST_DONE) {
        const struct dlist *d = dlist_reader_result(whole.reader);
        must(same(d, dlist_reader_result(pieces.reader)));
        there_and_back(d);
    }
    end(&whole);
    end(&pieces);
    struct arena a = ARENA_INIT;
    struct dlist *d;
    if (!fuzz_refused(dlist_parse(&a, in, &d)))
        there_and_back(d);
    arena_free(&a);
    return 0;
}
