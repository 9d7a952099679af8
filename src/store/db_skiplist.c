/*
 * skiplist (spec/store.md §3.4): sorted nodes, then a log of additions and deletions. db.c
 * calls. The whole file is read by replaying it: what a crash did to the pointers of old
 * nodes does not matter then, and what has no COMMIT behind it does not count. Searching
 * follows the pointers and is only offered when the last transaction was committed.
 * There are no checksums: lengths and offsets are all that can be checked.
 */
#include "store/db_internal.h"

#include <stdlib.h>
#include "fansync/mem.h"

#define HEADER_SIZE 48
#define MAX_LEVEL 20
#define TERMINATOR 0xffffffffu

enum { INORDER = 1, ADD = 2, DELETE = 4, COMMIT = 255, DUMMY = 257 };

struct header {
    uint32_t logstart;
};

struct node {
    uint32_t type;
    uint64_t at;
    uint64_t end;
    uint64_t pointers_at;
    unsigned level;
    uint64_t deletes; /* DELETE: the node */
    struct slice key;
    struct slice value;
    bool dead;
    bool malformed; /* wrong by itself, not because the file ends */
};

static struct err *read_header(struct db *d, struct header *h)
{
    const char *p = NULL;
    TRY(db_at(d, 0, HEADER_SIZE, &p));
    if (memcmp(p + 16, "e\0\0\0", 4) != 0)
        return db_corrupt(d, 16, "the magic is damaged");
    if (be32(p + 20) != 1 || be32(p + 24) != 2)
        return db_corrupt(d, 20, "a version of skiplist that is not known");
    if (be32(p + 28) != MAX_LEVEL || be32(p + 32) > MAX_LEVEL)
        return db_corrupt(d, 28, "the list's levels are out of range");
    h->logstart = be32(p + 40);
    d->top = (uint64_t)d->st.st_size;
    if (h->logstart < HEADER_SIZE || h->logstart > d->top || h->logstart % 4)
        return db_corrupt(d, 40, "the log's start is out of range");
    return NULL;
}

static uint64_t padded(uint64_t n)
{
    return (n + 3) & ~(uint64_t)3;
}

static struct err *read_u32(struct db *d, uint64_t off, uint32_t *v)
{
    const char *p = NULL;
    TRY(db_at(d, off, 4, &p));
    *v = be32(p);
    return NULL;
}

static struct err *read_levels(struct db *d, struct node *n)
{
    uint32_t ptr = 0;
    n->level = 0;
    for (;; n->level++) {
        TRY(read_u32(d, n->pointers_at + 4 * (uint64_t)n->level, &ptr));
        if (ptr == TERMINATOR)
            break;
        if (n->level == MAX_LEVEL) {
            n->malformed = true;
            return db_corrupt(d, n->at, "a node has too many levels");
        }
    }
    n->end = n->pointers_at + 4 * (uint64_t)n->level + 4;
    return NULL;
}

/* Where things lie in a node with a key; the key and value themselves are not touched. */
static struct err *read_layout(struct db *d, struct node *n, uint64_t *key_at, uint64_t *value_at)
{
    uint32_t key_len = 0, value_len = 0;
    const char *p = NULL;
    TRY(read_u32(d, n->at + 4, &key_len));
    *key_at = n->at + 8;
    TRY(read_u32(d, *key_at + padded(key_len), &value_len));
    *value_at = *key_at + padded(key_len) + 4;
    n->pointers_at = *value_at + padded(value_len);
    n->key.n = key_len;
    n->value.n = value_len;
    TRY(read_levels(d, n));
    TRY(db_at(d, n->at, n->end - n->at, &p)); /* all of it, for the slices of one window */
    n->key.p = p + (*key_at - n->at);
    n->value.p = p + (*value_at - n->at);
    return NULL;
}

static struct err *read_node(struct db *d, uint64_t at, struct node *n)
{
    uint64_t key_at = 0, value_at = 0;
    uint32_t target = 0;
    *n = (struct node){ .at = at };
    TRY(read_u32(d, at, &n->type));
    switch (n->type) {
    case COMMIT:
        n->end = at + 4;
        return NULL;
    case DELETE:
        TRY(read_u32(d, at + 4, &target));
        n->deletes = target;
        n->end = at + 8;
        return NULL;
    case INORDER:
    case ADD:
    case DUMMY:
        return read_layout(d, n, &key_at, &value_at);
    default:
        n->malformed = true;
        return db_corrupt(d, at, "a node of unknown type");
    }
}

static struct err *ends_in_commit(struct db *d, const struct header *h, bool *yes)
{
    uint32_t last = 0;
    *yes = h->logstart == d->top;
    if (*yes)
        return NULL;
    if (d->top % 4)
        return NULL;
    TRY(read_u32(d, d->top - 4, &last));
    *yes = last == COMMIT;
    return NULL;
}

/* ---- replay ---- */

struct replay {
    struct node *nodes; /* in file order */
    size_t n;
    size_t cap;
    size_t committed; /* of nodes */
    uint64_t *deletes; /* pending */
    size_t ndeletes;
    size_t capdeletes;
};

static void keep(struct replay *r, const struct node *n)
{
    r->nodes = mem_grow(r->nodes, r->n, &r->cap, sizeof *r->nodes);
    r->nodes[r->n++] = *n;
}

static struct node *node_at(struct replay *r, uint64_t at)
{
    size_t from = 0, to = r->n;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        if (r->nodes[mid].at < at)
            from = mid + 1;
        else
            to = mid;
    }
    return from < r->n && r->nodes[from].at == at ? &r->nodes[from] : NULL;
}

static struct err *commit(struct db *d, struct replay *r)
{
    for (size_t i = 0; i < r->ndeletes; i++) {
        struct node *n = node_at(r, r->deletes[i]);
        if (!n || n->dead)
            return db_corrupt(d, r->deletes[i], "a deletion of what is not there");
        n->dead = true;
    }
    r->ndeletes = 0;
    r->committed = r->n;
    return NULL;
}

static struct err *replay_sorted(struct db *d, struct replay *r, uint64_t logstart, uint64_t *at)
{
    struct node n;
    TRY(read_node(d, HEADER_SIZE, &n));
    if (n.type != DUMMY || n.level != MAX_LEVEL || n.key.n || n.value.n)
        return db_corrupt(d, HEADER_SIZE, "the first node is not the list's head");
    for (*at = n.end; *at < logstart; *at = n.end) {
        TRY(read_node(d, *at, &n));
        if (n.type != INORDER)
            return db_corrupt(d, *at, "the sorted part has a foreign node");
        keep(r, &n);
    }
    if (*at != logstart)
        return db_corrupt(d, *at, "the sorted part does not end where the log begins");
    r->committed = r->n;
    return NULL;
}

static struct err *replay_log(struct db *d, struct replay *r, uint64_t at, bool torn_allowed)
{
    for (struct node n; at < d->top; at = n.end) {
        struct err *e = read_node(d, at, &n);
        if (torn_allowed && !n.malformed && err_take(&e, ERR_CORRUPT))
            return NULL; /* the crash came while this node was written */
        TRY(e);
        if (n.type == COMMIT) {
            TRY(commit(d, r));
        } else if (n.type == DELETE) {
            r->deletes = mem_grow(r->deletes, r->ndeletes, &r->capdeletes, sizeof *r->deletes);
            r->deletes[r->ndeletes++] = n.deletes;
        } else if (n.type == ADD) {
            keep(r, &n);
        } else {
            return db_corrupt(d, at, "the log has a foreign node");
        }
    }
    return NULL;
}

static int cmp_keys(const void *a, const void *b)
{
    const struct db_row *x = a, *y = b;
    return slice_cmp(x->key, y->key);
}

static struct err *take_live(struct db *d, const struct replay *r)
{
    for (size_t i = 0; i < r->committed; i++)
        if (!r->nodes[i].dead)
            db_add_row(d, r->nodes[i].key, r->nodes[i].value);
    if (d->nrows)
        qsort(d->rows, d->nrows, sizeof *d->rows, cmp_keys);
    for (size_t i = 1; i < d->nrows; i++)
        if (slice_eq(d->rows[i - 1].key, d->rows[i].key))
            return db_corrupt(d, (uint64_t)(d->rows[i].key.p - d->mem), "a key is there twice");
    return NULL;
}

struct err *skiplist_load(struct db *d)
{
    struct header h;
    struct replay r = { .n = 0 };
    uint64_t at = 0;
    bool committed = false;
    TRY(read_header(d, &h));
    TRY(ends_in_commit(d, &h, &committed));
    struct err *e = replay_sorted(d, &r, h.logstart, &at);
    if (!e)
        e = replay_log(d, &r, at, !committed);
    if (!e)
        e = take_live(d, &r);
    free(r.nodes);
    free(r.deletes);
    return e;
}

/* ---- search ---- */

struct err *skiplist_is_clean(struct db *d, bool *clean)
{
    struct header h;
    TRY(read_header(d, &h));
    return ends_in_commit(d, &h, clean);
}

/* The writer's order: bytes as C's char, whose sign is the machine's. */
static int cmp_chars(struct slice a, struct slice b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    for (size_t i = 0; i < n; i++)
        if (a.p[i] != b.p[i])
            return a.p[i] < b.p[i] ? -1 : 1;
    return a.n < b.n ? -1 : a.n > b.n;
}

static struct err *read_member(struct db *d, uint64_t at, struct node *n)
{
    TRY(read_node(d, at, n));
    if (n->type != INORDER && n->type != ADD)
        return db_corrupt(d, at, "the list leads to something that is no record");
    return NULL;
}

static struct err *follow(struct db *d, const struct node *n, unsigned level, uint64_t *to)
{
    uint32_t ptr = 0;
    TRY(read_u32(d, n->pointers_at + 4 * (uint64_t)level, &ptr));
    *to = ptr;
    if (ptr && (ptr < HEADER_SIZE || ptr % 4 || ptr >= d->top))
        return db_corrupt(d, n->at, "a pointer is out of range");
    return NULL;
}

static struct err *found_at(struct db *d, uint64_t at, struct db_found *f)
{
    struct node n;
    *f = (struct db_found){ .found = false };
    if (at == 0)
        return NULL;
    TRY(read_member(d, at, &n));
    *f = (struct db_found){ true, at, n.key, n.value };
    return NULL;
}

static struct err *skiplist_seek(struct db *d, struct slice key, struct db_found *f)
{
    struct node n, next;
    uint64_t to = 0;
    uint64_t most = d->top / 4; /* steps: a list of damaged pointers may be a ring */
    TRY(read_node(d, HEADER_SIZE, &n));
    if (n.type != DUMMY || n.level != MAX_LEVEL)
        return db_corrupt(d, HEADER_SIZE, "the first node is not the list's head");
    for (unsigned level = n.level; level-- > 0;) {
        for (;;) {
            if (level >= n.level || most-- == 0)
                return db_corrupt(d, n.at, "the list's levels do not fit together");
            TRY(follow(d, &n, level, &to));
            if (to == 0)
                break;
            TRY(read_member(d, to, &next));
            if (cmp_chars(next.key, key) >= 0)
                break;
            n = next;
        }
    }
    return found_at(d, to, f);
}

static struct err *skiplist_next(struct db *d, struct db_found *f)
{
    struct node n;
    uint64_t to = 0;
    TRY(read_member(d, f->at, &n));
    struct buf last = BUF_INIT;
    buf_add(&last, n.key.p, n.key.n);
    struct err *e = follow(d, &n, 0, &to);
    if (!e)
        e = found_at(d, to, f);
    if (!e && f->found && cmp_chars(buf_slice(&last), f->key) >= 0)
        e = db_corrupt(d, to, "the keys are not in order");
    buf_free(&last);
    return e;
}

const struct db_cursor skiplist_cursor = { skiplist_seek, skiplist_next };
