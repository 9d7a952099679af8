/*
 * The tree of the dlist reader (see dlist_reader.c, its only caller): nodes, open
 * brackets, and the list whose items go to a hook one by one. One thread at a time for
 * each reader. Invariant: what belongs to a watched item lives in the item's own arena,
 * so that an answer with a million records needs the memory of one.
 */
#include "dlist_build.h"

struct err *dlist_fault(const struct dlist_reader *r, size_t at, const char *what)
{
    return err_new(r->fault, "%s at offset %llu", what, (unsigned long long)(r->offset + at));
}

struct arena *dlist_build_arena(struct dlist_reader *r)
{
    return r->watched ? &r->item_arena : r->arena;
}

static bool in_watched_list(const struct dlist_reader *r)
{
    return r->watched && r->depth == 2;
}

/* A node in its place: the root, or the next child of the open bracket. A child of the
 * watched list is linked nowhere: it lives until its hook has seen it. */
static struct dlist *add_node(struct dlist_reader *r, enum dlist_type type)
{
    struct dlist *d = arena_alloc(dlist_build_arena(r), sizeof *d);
    d->type = type;
    d->key = r->key;
    r->key = slice_of(NULL, 0);
    if (r->depth == 0) {
        r->root = d;
    } else if (!in_watched_list(r)) {
        struct dlist_frame *top = &r->stack[r->depth - 1];
        *top->tail = d;
        top->tail = &d->next;
    }
    return d;
}

static struct err *value_done(struct dlist_reader *r, const struct dlist *d)
{
    r->state = r->depth == 0 ? COMPLETE : AFTER_VALUE;
    if (!in_watched_list(r))
        return NULL;
    struct err *e = r->hooks.item(r->hooks.ctx, d);
    arena_reset(&r->item_arena);
    return e;
}

bool dlist_in_kvlist(const struct dlist_reader *r)
{
    return r->depth > 0 && r->stack[r->depth - 1].node->type == DLIST_KVLIST;
}

void dlist_expect_item(struct dlist_reader *r)
{
    bool key = dlist_in_kvlist(r);
    r->state = key ? AT_KEY : AT_VALUE;
    r->role = key ? ROLE_KEY : ROLE_VALUE;
}

struct err *dlist_open_bracket(struct dlist_reader *r, size_t at, enum dlist_type type)
{
    if (r->depth == DLIST_MAX_DEPTH)
        return dlist_fault(r, at, "brackets nested too deeply");
    bool watch = r->hooks.item && r->depth == 1 && type == DLIST_LIST && dlist_in_kvlist(r) &&
                 slice_eqs(r->key, r->hooks.watch_key);
    struct dlist *d = add_node(r, type);
    r->stack[r->depth++] = (struct dlist_frame){ d, &d->first };
    if (watch)
        r->watched = true;
    dlist_expect_item(r);
    return NULL;
}

struct err *dlist_close_bracket(struct dlist_reader *r, size_t at)
{
    if (r->depth == 0)
        return dlist_fault(r, at, "closing bracket without an opening one");
    if (in_watched_list(r))
        r->watched = false;
    return value_done(r, r->stack[--r->depth].node);
}

void dlist_begin_file(struct dlist_reader *r)
{
    r->file = add_node(r, DLIST_FILE);
    r->state = AT_PARTITION;
    r->role = ROLE_PARTITION;
}

struct err *dlist_file_done(struct dlist_reader *r)
{
    return value_done(r, r->file);
}

struct err *dlist_string_done(struct dlist_reader *r, struct slice s, bool atom)
{
    switch (r->role) {
    case ROLE_KEY:
        r->key = arena_dup(dlist_build_arena(r), s);
        r->state = AFTER_KEY;
        r->role = ROLE_VALUE;
        return NULL;
    case ROLE_PARTITION:
        r->file->partition = arena_dup(dlist_build_arena(r), s);
        r->state = AFTER_PARTITION;
        return NULL;
    case ROLE_VALUE:
        break;
    }
    bool nil = atom && slice_eqs(s, "NIL");
    struct dlist *d = add_node(r, nil ? DLIST_NIL : DLIST_STRING);
    if (!nil)
        d->str = arena_dup(dlist_build_arena(r), s);
    return value_done(r, d);
}
