/*
 * The records of an open mailbox as columns (spec/store.md §5.4), read in blocks under the
 * mailbox's locks, so that memory is bounded by the columns of the records wanted. Every
 * record of the index is checked, wanted or not: a damaged one fails the mailbox, because
 * leaving it out would lose the message on the replica.
 */
#include <stdlib.h>
#include <string.h>

#include "fansync/mem.h"
#include "fansync/sync_crc.h"
#include "store/annot.h"
#include "store/mailbox_internal.h"

#define BLOCK_RECORDS 512 /* read at a time */

struct place {
    uint32_t index; /* of the record, from 0 */
    const char *bytes;
    uint32_t uid;
    uint64_t modseq;
};

typedef struct err *place_fn(void *ctx, const struct place *at);

/* Calls fn for the records of a block that are checked and have a uid. */
static struct err *scan_block(const struct mailbox *m, const char *block, uint32_t first, uint32_t count,
                              uint32_t *last_uid, place_fn *fn, void *ctx)
{
    const struct index_header *h = &m->index;
    for (uint32_t i = 0; i < count; i++) {
        struct place at = { .index = first + i, .bytes = block + (size_t)i * h->record_size };
        TRY(index_check_record(m->index_path, h, at.index, at.bytes, &at.uid, &at.modseq));
        if (at.uid == 0)
            continue; /* as Cyrus does (§5.4) */
        if (at.uid <= *last_uid)
            return err_new(ERR_CORRUPT, "%s: offset %llu: index record %u: uid %u after uid %u", m->index_path,
                           (unsigned long long)(h->start_offset + (uint64_t)at.index * h->record_size),
                           at.index + 1, at.uid, *last_uid);
        *last_uid = at.uid;
        TRY(fn(ctx, &at));
    }
    return NULL;
}

static struct err *read_block(const struct mailbox *m, char *block, uint32_t first, uint32_t count)
{
    const struct index_header *h = &m->index;
    size_t want = (size_t)count * h->record_size, got;
    uint64_t off = h->start_offset + (uint64_t)first * h->record_size;
    TRY(mailbox_pread(m->index_fd, m->index_path, block, want, off, &got));
    if (got < want)
        return err_new(ERR_CORRUPT, "%s: offset %llu: index ends inside its records", m->index_path,
                       (unsigned long long)(off + got));
    return NULL;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static struct err *scan(const struct mailbox *m, uint32_t first, place_fn *fn, void *ctx)
{
    const uint32_t n = m->index.num_records;
    char *block = mem_array(smaller(n, BLOCK_RECORDS), m->index.record_size);
    struct err *err = NULL;
    uint32_t last_uid = 0, count;
    for (; first < n && !err; first += count) {
        count = smaller(n - first, BLOCK_RECORDS);
        err = read_block(m, block, first, count);
        if (!err)
            err = scan_block(m, block, first, count, &last_uid, fn, ctx);
    }
    free(block);
    return err;
}

/* ---- which records ---- */

struct selection {
    uint64_t since_modseq;
    uint32_t since_uid;
    uint32_t n;     /* at most so many */
    uint32_t first; /* none is before this one */
};

static bool selected(const struct selection *s, const struct place *at)
{
    return at->modseq > s->since_modseq || at->uid > s->since_uid;
}

static struct err *count_selected(void *ctx, const struct place *at)
{
    struct selection *s = ctx;
    if (selected(s, at) && s->n++ == 0)
        s->first = at->index;
    return NULL;
}

/* Everything needs no counting: the header has the number. */
static struct err *select_records(const struct mailbox *m, struct selection *s)
{
    s->n = m->index.num_records;
    if (s->since_modseq == 0 && s->since_uid == 0)
        return NULL;
    s->n = 0;
    return scan(m, 0, count_selected, s);
}

/* ---- columns ---- */

/* What only index version 20 has in its records and no column holds; almost always empty. */
struct extra {
    size_t row;
    uint32_t internaldate_nsec;
    uint64_t basecid;
};

struct filling {
    const struct mailbox *m;
    const struct selection *selection;
    struct records *r;
    struct extra *extra;
    size_t nextra, capextra;
};

static void add_row(struct records *r, const struct index_record *rec)
{
    size_t i = r->n++;
    r->uid[i] = rec->uid;
    r->modseq[i] = rec->modseq;
    r->last_updated[i] = rec->last_updated;
    r->internaldate[i] = rec->internaldate;
    r->size[i] = rec->size;
    r->flags[i] = rec->flags;
    memcpy(r->userflags[i], rec->userflags, sizeof rec->userflags);
    r->guid[i] = rec->guid;
    r->cid[i] = rec->cid;
    r->savedate[i] = rec->savedate;
    r->createdmodseq[i] = rec->createdmodseq;
}

static struct err *fill_row(void *ctx, const struct place *at)
{
    struct filling *f = ctx;
    struct index_record rec;
    if (!selected(f->selection, at))
        return NULL;
    if (f->r->n == f->selection->n)
        return err_new(ERR_BUSY, "%s: was changed without its lock", f->m->index_path);
    TRY(index_parse_record(f->m->index_path, &f->m->index, at->index, at->bytes, &rec));
    if (guid_is_null(&rec.guid) && !(rec.flags & REC_EXPUNGED))
        return err_new(ERR_NOTSUPPORTED, "%s: index record %u (uid %u) has no GUID", f->m->index_path,
                       at->index + 1, rec.uid);
    if (rec.internaldate_nsec || rec.basecid) {
        f->extra = mem_grow(f->extra, f->nextra, &f->capextra, sizeof *f->extra);
        f->extra[f->nextra++] = (struct extra){ f->r->n, rec.internaldate_nsec, rec.basecid };
    }
    add_row(f->r, &rec);
    return NULL;
}

/* ---- annotations ---- */

static struct annotation_list *annotations_of(struct arena *a, struct records *r, size_t row)
{
    if (!r->annotations)
        r->annotations = arena_array(a, r->n, sizeof *r->annotations);
    return &r->annotations[row];
}

static struct err *attach_stored(const struct mailbox *m, struct arena *a, struct records *r)
{
    struct db *d;
    struct message_annotations all;
    TRY(db_read(m->annotations_path, m->store->text_annotation, 0, &d));
    struct err *err = annot_messages(a, d, m->userid, &all);
    db_free(d);
    if (err)
        return err_wrap(err, "%s", m->annotations_path);
    for (size_t i = 0; i < r->n && all.n; i++)
        *annotations_of(a, r, i) = annot_of_uid(a, &all, r->uid[i]);
    return NULL;
}

/* On the wire and in the sums these are annotations like others (§5.6), so they are rows. */
static void attach_extra(struct arena *a, struct records *r, const struct extra *x)
{
    struct annotation_list *l = annotations_of(a, r, x->row);
    if (x->internaldate_nsec)
        annot_add(a, l, slice_str("/vendor/cmu/cyrus-imapd/internaldate.nsec"),
                  arena_printf(a, "%u", x->internaldate_nsec));
    if (x->basecid)
        annot_add(a, l, slice_str("/vendor/cmu/cyrus-imapd/basethrid"),
                  arena_printf(a, "%016llx", (unsigned long long)x->basecid));
}

/* ---- reading ---- */

static struct err *read_selected(struct mailbox *m, struct arena *a, struct selection *s, struct records *out)
{
    struct filling f = { .m = m, .selection = s, .r = out };
    records_make(a, s->n, out);
    out->n = 0; /* rows are added one by one, of which a uid of 0 makes fewer */
    struct err *err = scan(m, s->first, fill_row, &f);
    if (!err)
        err = attach_stored(m, a, out);
    for (size_t i = 0; i < f.nextra && !err; i++)
        attach_extra(a, out, &f.extra[i]);
    free(f.extra);
    return err;
}

struct err *mailbox_records(struct mailbox *m, struct arena *a, uint64_t since_modseq, uint32_t since_uid,
                            struct records *out)
{
    struct selection s = { .since_modseq = since_modseq, .since_uid = since_uid };
    memset(out, 0, sizeof *out);
    TRY(select_records(m, &s));
    if (s.n == 0)
        return NULL;
    return read_selected(m, a, &s, out);
}

struct err *mailbox_compute_crcs(struct mailbox *m, struct sync_crcs *out)
{
    struct arena a = ARENA_INIT;
    struct records all;
    struct err *err = mailbox_records(m, &a, 0, 0, &all);
    if (!err)
        *out = sync_crc_compute(m->h, &all);
    arena_free(&a);
    return err;
}
