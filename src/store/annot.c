/* Reading annotation rows (store/annot.h). */
#include "store/annot.h"

#include <stdlib.h>
#include <string.h>

#include "fansync/bigendian.h"

#define OWNER_TOKEN "[.OwNeR.]"

/* first NUL entry NUL userid NUL; false for keys of old forms, which count for nothing */
static bool split_key(struct slice key, struct slice *first, struct slice *entry, struct slice *userid)
{
    const char *end = key.p + key.n;
    const char *a = memchr(key.p, '\0', key.n);
    const char *b = a ? memchr(a + 1, '\0', (size_t)(end - a - 1)) : NULL;
    if (!b)
        return false;
    const char *c = memchr(b + 1, '\0', (size_t)(end - b - 1));
    *first = slice_of(key.p, (size_t)(a - key.p));
    *entry = slice_of(a + 1, (size_t)(b - a - 1));
    *userid = slice_of(b + 1, (size_t)((c ? c : end) - b - 1));
    return true;
}

/* *live false: a tombstone or an empty value. What follows the value may be missing. */
static struct err *parse_value(struct slice v, struct slice *value, uint64_t *modseq, bool *live)
{
    *live = false;
    *modseq = 0;
    if (v.n < 8)
        return err_new(ERR_CORRUPT, "annotation value too short");
    size_t n = be32(v.p);
    if (n > v.n - 8)
        return err_new(ERR_CORRUPT, "annotation value longer than its row");
    *value = slice_of(v.p + 8, n);
    const char *end = v.p + v.n, *p = v.p + 8 + n;
    p = p < end ? memchr(p + 1, '\0', (size_t)(end - p - 1)) : NULL; /* behind NUL and content type */
    if (p && end - p >= 1 + 8 + 8)
        *modseq = be64(p + 1 + 8);
    bool tombstone = p && end - p >= 1 + 8 + 8 + 1 && (p[17] & 1);
    *live = n > 0 && !tombstone;
    return NULL;
}

static struct err *parse_row(struct arena *a, struct slice rowvalue, struct slice entry, struct slice rowuser,
                             struct slice owner, struct annotation *out, bool *live)
{
    struct slice value;
    struct err *err = parse_value(rowvalue, &value, &out->modseq, live);
    if (err || !*live)
        return err_wrap(err, SLICE_FMT, SLICE_ARG(entry));
    out->entry = arena_dup(a, entry);
    out->userid = arena_dup(a, slice_eqs(rowuser, OWNER_TOKEN) ? owner : rowuser);
    out->value = arena_dup(a, value);
    return NULL;
}

static int compare(const struct annotation *a, const struct annotation *b)
{
    int c = slice_cmp(a->entry, b->entry);
    return c ? c : slice_cmp(a->userid, b->userid);
}

static int compare_rows(const void *x, const void *y)
{
    return compare(x, y);
}

struct mailbox_rows {
    struct arena *a;
    struct slice owner_key, userid;
    struct annotation_list *out;
    size_t cap;
};

static struct err *take_mailbox_row(void *ctx, struct slice key, struct slice value)
{
    struct mailbox_rows *r = ctx;
    struct slice first, entry, rowuser;
    bool live;
    if (!split_key(key, &first, &entry, &rowuser) || !slice_eq(first, r->owner_key))
        return NULL;
    r->out->a = arena_grow(r->a, r->out->a, r->out->n, &r->cap, sizeof *r->out->a);
    TRY(parse_row(r->a, value, entry, rowuser, r->userid, &r->out->a[r->out->n], &live));
    r->out->n += live;
    return NULL;
}

struct err *annot_mailbox(struct arena *a, struct db *d, struct slice owner_key, struct slice userid,
                          struct annotation_list *out)
{
    struct mailbox_rows r = { a, owner_key, userid, out, 0 };
    *out = (struct annotation_list){ NULL, 0 };
    TRY(db_foreach(d, owner_key, take_mailbox_row, &r));
    if (out->n > 1)
        qsort(out->a, out->n, sizeof *out->a, compare_rows);
    return NULL;
}

static bool parse_uid(struct slice s, uint32_t *out)
{
    uint64_t v = 0;
    if (s.n == 0 || s.n > 10)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(s.p[i] - '0');
    }
    *out = (uint32_t)v;
    return v > 0 && v <= UINT32_MAX;
}

static int compare_messages(const void *x, const void *y)
{
    const struct message_annotation *a = x, *b = y;
    if (a->uid != b->uid)
        return a->uid < b->uid ? -1 : 1;
    return compare(&a->a, &b->a);
}

struct message_rows {
    struct arena *a;
    struct slice userid;
    struct message_annotations *out;
    size_t cap;
};

static struct err *take_message_row(void *ctx, struct slice key, struct slice value)
{
    struct message_rows *r = ctx;
    struct slice first, entry, rowuser;
    uint32_t uid;
    bool live;
    if (!split_key(key, &first, &entry, &rowuser) || !parse_uid(first, &uid))
        return NULL;
    r->out->row = arena_grow(r->a, r->out->row, r->out->n, &r->cap, sizeof *r->out->row);
    struct message_annotation *m = &r->out->row[r->out->n];
    m->uid = uid;
    TRY(parse_row(r->a, value, entry, rowuser, r->userid, &m->a, &live));
    r->out->n += live;
    return NULL;
}

struct err *annot_messages(struct arena *a, struct db *d, struct slice userid, struct message_annotations *out)
{
    struct message_rows r = { a, userid, out, 0 };
    *out = (struct message_annotations){ NULL, 0 };
    TRY(db_foreach(d, slice_of("", 0), take_message_row, &r));
    if (out->n > 1)
        qsort(out->row, out->n, sizeof *out->row, compare_messages);
    return NULL;
}

struct annotation_list annot_of_uid(struct arena *a, const struct message_annotations *all, uint32_t uid)
{
    size_t lo = 0, hi = all->n, end;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (all->row[mid].uid < uid)
            lo = mid + 1;
        else
            hi = mid;
    }
    for (end = lo; end < all->n && all->row[end].uid == uid; end++)
        continue;
    struct annotation_list out = { NULL, end - lo };
    if (out.n)
        out.a = arena_array(a, out.n, sizeof *out.a);
    for (size_t i = 0; i < out.n; i++)
        out.a[i] = all->row[lo + i].a;
    return out;
}

void annot_add(struct arena *a, struct annotation_list *l, struct slice entry, struct slice value)
{
    struct annotation *rows = arena_array(a, l->n + 1, sizeof *rows);
    if (l->n)
        memcpy(rows, l->a, l->n * sizeof *rows);
    rows[l->n] = (struct annotation){ .entry = entry, .userid = slice_of("", 0), .value = value };
    *l = (struct annotation_list){ rows, l->n + 1 };
    qsort(rows, l->n, sizeof *rows, compare_rows);
}
