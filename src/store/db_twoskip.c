/*
 * twoskip (spec/store.md §3.3): one skip list in a file that only grows, with a CRC over
 * each record. db.c calls, with the file in memory or locked. Reading the whole file
 * follows level 0, which is right in every state a crash can leave; searching uses the
 * higher levels and is only offered for a clean file.
 */
#include "store/db_internal.h"

#include "fansync/guid.h"

#define HEADER_SIZE 64
#define HEADER_CRC_AT 60
#define FLAG_DIRTY 1u
#define DUMMY_AT 64
#define DUMMY_LEVEL 31
#define FIRST_RECORD 336
#define MAX_POINTERS 32
#define SMALLEST_RECORD 24

struct header {
    uint64_t count; /* of live records */
    uint64_t current_size;
    bool dirty;
};

struct record {
    char type;
    unsigned level;
    uint64_t ptr[MAX_POINTERS]; /* 0 and 1: two alternatives for level 0; n + 1: level n */
    uint64_t tail_at;
    uint64_t key_len;
    uint64_t value_len;
    uint32_t tail_crc;
    struct slice key; /* with read_tail */
    struct slice value;
};

static struct err *read_header(struct db *d, struct header *h)
{
    const char *p = NULL;
    TRY(db_at(d, 0, HEADER_SIZE, &p));
    if (crc32_add(0, p, HEADER_CRC_AT) != be32(p + HEADER_CRC_AT))
        return db_corrupt(d, HEADER_CRC_AT, "the header's checksum is wrong");
    if (be32(p + 20) != 1)
        return db_corrupt(d, 20, "a version of twoskip that is not known");
    h->count = be64(p + 32);
    h->current_size = be64(p + 48);
    h->dirty = be32(p + 56) & FLAG_DIRTY;
    if (h->current_size < FIRST_RECORD)
        return db_corrupt(d, 48, "the committed size is too small");
    if (h->current_size > (uint64_t)d->st.st_size) /* it also bounds every walk */
        return db_corrupt(d, (uint64_t)d->st.st_size, "the file ends before what was committed");
    if (h->count > (uint64_t)d->st.st_size / SMALLEST_RECORD) /* likewise */
        return db_corrupt(d, 32, "there are more records than the file has room for");
    d->top = h->current_size;
    return NULL;
}

static uint64_t padded(uint64_t n)
{
    return (n + 7) & ~(uint64_t)7;
}

/* The lengths, of which either may be eight bytes further on; *head is left at the pointers. */
static struct err *read_lengths(struct db *d, uint64_t off, struct record *r, uint64_t *head)
{
    const char *p = NULL;
    TRY(db_at(d, off, 8, &p));
    unsigned short_key = (unsigned)(unsigned char)p[2] << 8 | (unsigned char)p[3];
    uint32_t short_value = be32(p + 4);
    r->type = p[0];
    r->level = (unsigned char)p[1];
    r->key_len = short_key;
    r->value_len = short_value;
    *head = 8;
    if (short_key == 0xffff) {
        TRY(db_at(d, off + *head, 8, &p));
        r->key_len = be64(p);
        *head += 8;
    }
    if (short_value == 0xffffffff) {
        TRY(db_at(d, off + *head, 8, &p));
        r->value_len = be64(p);
        *head += 8;
    }
    return NULL;
}

/* Everything but key and value, with the head's CRC checked. */
static struct err *read_head(struct db *d, uint64_t off, struct record *r)
{
    uint64_t head = 0;
    const char *p = NULL;
    if (off % 8 || off >= d->top)
        return db_corrupt(d, off, "is no place for a record");
    TRY(read_lengths(d, off, r, &head));
    if (r->level >= MAX_POINTERS)
        return db_corrupt(d, off, "a record has too many levels");
    uint64_t npointers = r->level + 1;
    uint64_t crc_at = head + npointers * 8;
    TRY(db_at(d, off, crc_at + 8, &p));
    if (crc32_add(0, p, crc_at) != be32(p + crc_at))
        return db_corrupt(d, off, "the checksum of a record's head is wrong");
    for (uint64_t i = 0; i < npointers; i++)
        r->ptr[i] = be64(p + head + i * 8);
    r->tail_crc = be32(p + crc_at + 4);
    r->tail_at = off + crc_at + 8;
    /* Each is compared alone first, so that the sum cannot overflow. */
    uint64_t room = d->top > r->tail_at ? d->top - r->tail_at : 0;
    if (r->key_len > room || r->value_len > room || padded(r->key_len + r->value_len) > room)
        return db_corrupt(d, off, "a record reaches beyond the committed size");
    return NULL;
}

static struct err *read_tail(struct db *d, struct record *r)
{
    const char *p = NULL;
    uint64_t n = padded(r->key_len + r->value_len);
    TRY(db_at(d, r->tail_at, n, &p));
    if (n && crc32_add(0, p, n) != r->tail_crc)
        return db_corrupt(d, r->tail_at, "the checksum of a record's key and value is wrong");
    r->key = slice_of(p, r->key_len);
    r->value = slice_of(p + r->key_len, r->value_len);
    return NULL;
}

static struct err *read_dummy(struct db *d, struct record *r)
{
    TRY(read_head(d, DUMMY_AT, r));
    if (r->type != '=' || r->level != DUMMY_LEVEL || r->key_len || r->value_len)
        return db_corrupt(d, DUMMY_AT, "the first record is not the list's head");
    return NULL;
}

/* A record of the list, key and value included. */
static struct err *read_member(struct db *d, uint64_t off, struct record *r)
{
    if (off < FIRST_RECORD)
        return db_corrupt(d, off, "is no place for a record");
    TRY(read_head(d, off, r));
    if (r->type != '+' || r->level == 0)
        return db_corrupt(d, off, "the list leads to something that is no record");
    return read_tail(d, r);
}

/* Of the two pointers the one that was committed last: what lies beyond the committed
 * size was not. */
static uint64_t successor(const struct db *d, const struct record *r)
{
    uint64_t a = r->ptr[0], b = r->ptr[1];
    if (a >= d->top)
        return b;
    if (b >= d->top)
        return a;
    return a > b ? a : b;
}

/* The next member on level 0 behind r, past deletions; 0 at the end. */
static struct err *step(struct db *d, const struct record *r, uint64_t *off)
{
    uint64_t most = d->top / SMALLEST_RECORD;
    *off = successor(d, r);
    while (*off) {
        struct record next;
        if (*off < FIRST_RECORD)
            return db_corrupt(d, *off, "is no place for a record");
        TRY(read_head(d, *off, &next));
        if (next.type != '-')
            return NULL;
        if (next.level != 0 || most-- == 0)
            return db_corrupt(d, *off, "deletions lead nowhere");
        *off = next.ptr[0];
    }
    return NULL;
}

static bool is_clean(const struct db *d, const struct header *h)
{
    return !h->dirty && h->current_size == (uint64_t)d->st.st_size;
}

/* The count of an unclean file may belong to the transaction that was not committed. */
static struct err *walk(struct db *d, const struct header *h, bool clean)
{
    struct record r;
    uint64_t off = 0, n = 0;
    uint64_t most = clean ? h->count : d->top / SMALLEST_RECORD;
    TRY(read_dummy(d, &r));
    TRY(step(d, &r, &off));
    for (; off; n++) {
        if (n >= most)
            return db_corrupt(d, off, "there are more records than the header says");
        TRY(read_member(d, off, &r));
        db_add_row(d, r.key, r.value);
        TRY(step(d, &r, &off));
    }
    if (clean && n != h->count)
        return db_corrupt(d, 32, "there are fewer records than the header says");
    return NULL;
}

struct err *twoskip_load(struct db *d)
{
    struct header h;
    TRY(read_header(d, &h));
    bool clean = is_clean(d, &h);
    struct err *e = walk(d, &h, clean);
    /* A crash can leave what only Cyrus can repair (its second stage of recovery). */
    if (e && e->kind == ERR_CORRUPT && !clean)
        return err_wrap(e, "not closed cleanly, Cyrus will repair it when it next opens it");
    return e;
}

struct err *twoskip_is_clean(struct db *d, bool *clean)
{
    struct header h;
    TRY(read_header(d, &h));
    *clean = is_clean(d, &h);
    return NULL;
}

/* Goes along one level as far as keys are below key; at and *r are the last such record. */
static struct err *run_along(struct db *d, unsigned level, struct slice key, uint64_t *at, struct record *r)
{
    uint64_t most = d->top / SMALLEST_RECORD;
    while (level < r->level && r->ptr[level + 1]) {
        struct record next;
        uint64_t to = r->ptr[level + 1];
        TRY(read_member(d, to, &next));
        if (slice_cmp(next.key, key) >= 0)
            return NULL;
        if (next.level <= level || most-- == 0)
            return db_corrupt(d, to, "the list's levels do not fit together");
        *r = next;
        *at = to;
    }
    return NULL;
}

/* Hands out the member at off, and nothing if it is 0. */
static struct err *found_at(struct db *d, uint64_t off, struct db_found *f)
{
    struct record r;
    *f = (struct db_found){ .found = false };
    if (off == 0)
        return NULL;
    TRY(read_member(d, off, &r));
    *f = (struct db_found){ true, off, r.key, r.value };
    return NULL;
}

static struct err *twoskip_seek(struct db *d, struct slice key, struct db_found *f)
{
    struct record r;
    uint64_t at = DUMMY_AT, off = 0;
    uint64_t most = d->top / SMALLEST_RECORD;
    TRY(read_dummy(d, &r));
    for (unsigned level = DUMMY_LEVEL - 1; level > 0; level--)
        TRY(run_along(d, level, key, &at, &r));
    do {
        TRY(step(d, &r, &off));
        TRY(found_at(d, off, f));
        if (!f->found || slice_cmp(f->key, key) >= 0)
            return NULL;
        TRY(read_member(d, off, &r));
    } while (most--);
    return db_corrupt(d, off, "the list has no end");
}

static struct err *twoskip_next(struct db *d, struct db_found *f)
{
    struct record r;
    uint64_t off = 0;
    TRY(read_member(d, f->at, &r));
    /* The key's bytes may go with the window that held them. */
    struct buf last = BUF_INIT;
    buf_add(&last, r.key.p, r.key.n);
    struct err *e = step(d, &r, &off);
    if (!e)
        e = found_at(d, off, f);
    if (!e && f->found && slice_cmp(buf_slice(&last), f->key) >= 0)
        e = db_corrupt(d, off, "the keys are not in order");
    buf_free(&last);
    return e;
}

const struct db_cursor twoskip_cursor = { twoskip_seek, twoskip_next };
