/*
 * The mailbox list in memory (spec/store.md §4): which of its two forms it has, its rows
 * by key, and what one row says. store_list.c calls; any thread, a list is immutable.
 */
#include "store/mblist.h"

#include <stdlib.h>
#include <string.h>
#include "fansync/dlist.h"
#include "fansync/mem.h"
#include "store/db_internal.h"
#include "store/same_file.h"

static struct slice behind(struct slice s, size_t n)
{
    return slice_of(s.p + n, s.n - n);
}

/* ---- which form ---- */

static bool parses(struct arena *a, struct slice value, const struct dlist **v)
{
    struct dlist *d = NULL;
    struct err *e = dlist_parse(a, value, &d);
    bool ok = !e && d->type == DLIST_KVLIST;
    err_free(e);
    *v = d;
    return ok;
}

struct detection {
    struct db *db;
    struct arena arena;
    bool decided;
    bool old_form;
};

static bool is_new_acl_key(struct slice key)
{
    return slice_starts(key, "AU\x1e") || slice_starts(key, "AS\x1e");
}

/* An N record of the new form names an I record; a mailbox "Nobody" of the old does not. */
static bool has_id_record(struct detection *t, const struct dlist *v)
{
    struct slice id, value;
    bool found = false;
    if (!dlist_str(v, "I", &id))
        return false;
    struct slice key = arena_printf(&t->arena, "I" SLICE_FMT, SLICE_ARG(id));
    err_free(db_get(t->db, key, &value, &found));
    return found;
}

static void decide(struct detection *t, bool old_form)
{
    t->decided = true;
    t->old_form = old_form;
}

/* One record's word on the form (spec/store.md §4.1); most files are decided by the first. */
static struct err *look_at(void *ctx, struct slice key, struct slice value)
{
    struct detection *t = ctx;
    const struct dlist *v = NULL;
    struct slice name;
    if (t->decided)
        return NULL;
    arena_reset(&t->arena);
    if (slice_starts(key, "$RACL") || slice_starts(key, "$RUNQ"))
        decide(t, true);
    else if (is_new_acl_key(key) && value.n == 0)
        decide(t, false);
    else if (parses(&t->arena, value, &v)) {
        if (slice_starts(key, "I") && dlist_str(v, "N", &name))
            decide(t, false);
        else if (slice_starts(key, "N") && has_id_record(t, v))
            decide(t, false);
        else
            decide(t, true);
    }
    return NULL;
}

static struct err *detect_form(struct db *db, bool *old_form)
{
    struct detection t = { .db = db };
    struct err *e = db_foreach(db, slice_of("", 0), look_at, &t);
    arena_free(&t.arena);
    *old_form = t.old_form;
    return e;
}

/* ---- loading ---- */

static void add(struct mbrows *rows, struct slice key, struct slice value)
{
    rows->row = mem_grow(rows->row, rows->n, &rows->cap, sizeof *rows->row);
    rows->row[rows->n++] = (struct db_row){ key, value };
}

static struct err *take_row(void *ctx, struct slice key, struct slice value)
{
    struct mblist *l = ctx;
    if (l->old_form) {
        if (!slice_starts(key, "$"))
            add(&l->names, key, value);
    } else if (slice_starts(key, "N")) {
        add(&l->names, behind(key, 1), value);
    } else if (slice_starts(key, "I")) {
        add(&l->ids, behind(key, 1), value);
    } else if (slice_starts(key, "UG")) {
        add(&l->groups, behind(key, 2), value);
    }
    return NULL;
}

struct err *mblist_load(const char *path, enum db_text_backend text, bool improved_sort,
                        struct slice servername, struct mblist **out)
{
    struct mblist *l = mem_alloc(sizeof *l);
    l->servername = servername;
    struct err *e = db_read(path, text, DB_MUST_EXIST | (improved_sort ? DB_MBOX_ORDER : 0u), &l->db);
    if (!e)
        e = detect_form(l->db, &l->old_form);
    if (!e)
        e = db_foreach(l->db, slice_of("", 0), take_row, l);
    *out = l;
    if (e) {
        mblist_free(l);
        *out = NULL;
        return e;
    }
    l->mbox_order = l->db->mbox_order;
    return NULL;
}

void mblist_free(struct mblist *l)
{
    if (!l)
        return;
    db_free(l->db);
    free(l->names.row);
    free(l->ids.row);
    free(l->groups.row);
    free(l);
}

/* Every change makes the file longer or replaces it; the times are for what recovery
 * makes shorter again. The list's own descriptor keeps the inode's number in use. */
bool mblist_is(const struct mblist *l, const struct stat *st)
{
    const struct stat *own = db_stat(l->db);
    return own && stat_same_file(own, st);
}

/* ---- searching ---- */

struct slice mblist_key(const struct mblist *l, struct arena *a, const struct namespace_options *o,
                        const struct mbname *m)
{
    return l->old_form ? names_to_internal(a, o, m) : names_to_db(a, o, m);
}

const struct db_row *mblist_find(const struct mblist *l, const struct mbrows *rows, struct slice key)
{
    size_t i = rows_lower_bound(rows->row, rows->n, l->mbox_order, key);
    return i < rows->n && slice_eq(rows->row[i].key, key) ? &rows->row[i] : NULL;
}

void mblist_range(const struct mblist *l, const struct mbrows *rows, struct slice prefix, size_t *first,
                  size_t *end)
{
    size_t i = rows_lower_bound(rows->row, rows->n, l->mbox_order, prefix);
    *first = i;
    while (i < rows->n && slice_begins(rows->row[i].key, prefix))
        i++;
    *end = i;
}

/* ---- one entry ---- */

static struct err *wrong(struct slice key, const char *what)
{
    return err_new(ERR_CORRUPT, "mailboxes.db: entry \"" SLICE_FMT "\": %s", SLICE_ARG(key), what);
}

/* The type's letters: one kind, and flags in any order (spec/store.md §4.3). */
static struct err *read_type(struct slice key, struct slice type, struct mbentry *e)
{
    static const struct {
        char letter;
        unsigned flag;
    } FLAGS[] = {
        { 'd', MB_DELETED }, { 'i', MB_INTERMEDIATE }, { 'l', MB_LEGACY },
        { 'm', MB_MOVING },  { 'r', MB_REMOTE },       { 'z', MB_RESERVED },
    };
    const size_t nflags = sizeof FLAGS / sizeof *FLAGS;
    e->kind = 'e';
    for (size_t i = 0; i < type.n; i++) {
        size_t f = 0;
        while (f < nflags && FLAGS[f].letter != type.p[i])
            f++;
        if (f < nflags)
            e->flags |= FLAGS[f].flag;
        else if (type.p[i] && strchr("enbcaspjf", type.p[i]))
            e->kind = type.p[i];
        else
            return err_new(ERR_NOTSUPPORTED, "mailboxes.db: entry \"" SLICE_FMT "\": unknown type \"" SLICE_FMT "\"",
                           SLICE_ARG(key), SLICE_ARG(type));
    }
    return NULL;
}

static struct err *read_acl(struct arena *a, struct slice key, const struct dlist *acl, struct slice *out)
{
    struct buf b = BUF_INIT;
    bool ok = true;
    for (const struct dlist *c = acl->first; c && ok; c = c->next) {
        ok = c->type == DLIST_STRING;
        buf_printf(&b, SLICE_FMT "\t" SLICE_FMT "\t", SLICE_ARG(c->key), SLICE_ARG(c->str));
    }
    *out = buf_len(&b) ? arena_dup(a, buf_slice(&b)) : slice_of("", 0);
    buf_free(&b);
    return ok ? NULL : wrong(key, "a malformed ACL");
}

/* A number that may be absent, but not wrong. */
static struct err *read_number(struct slice key, const struct dlist *v, const char *name, uint64_t *out)
{
    *out = 0;
    if (dlist_get(v, name) && !dlist_u64(v, name, out))
        return wrong(key, "a malformed number");
    return NULL;
}

static struct slice string_of(struct arena *a, const struct dlist *v, const char *name)
{
    struct slice s;
    return dlist_str(v, name, &s) ? arena_dup(a, s) : slice_of("", 0);
}

static struct err *read_fields(struct arena *a, struct slice key, const struct dlist *v, struct mbentry *e)
{
    struct slice type = { NULL, 0 };
    uint64_t uidvalidity = 0;
    const struct dlist *acl = dlist_get(v, "A");
    dlist_str(v, "T", &type);
    TRY(read_type(key, type, e));
    TRY(read_number(key, v, "V", &uidvalidity));
    TRY(read_number(key, v, "C", &e->createdmodseq));
    TRY(read_number(key, v, "F", &e->foldermodseq));
    if (uidvalidity > UINT32_MAX)
        return wrong(key, "a malformed number");
    e->uidvalidity = (uint32_t)uidvalidity;
    e->uniqueid = string_of(a, v, "I");
    e->partition = string_of(a, v, "P");
    e->acl = slice_of("", 0);
    if (acl && acl->type == DLIST_KVLIST)
        TRY(read_acl(a, key, acl, &e->acl));
    else if (acl && acl->type != DLIST_NIL)
        return wrong(key, "a malformed ACL");
    return NULL;
}

/* The internal name; a key that does not come back from it is no name of this namespace. */
static struct err *read_name(const struct mblist *l, struct arena *a, const struct namespace_options *o,
                             struct slice key, struct slice *out)
{
    struct mbname m = l->old_form ? names_from_internal(a, o, key) : names_from_db(a, o, key);
    if (!slice_eq(mblist_key(l, a, o, &m), key))
        return wrong(key, "is no mailbox name");
    *out = names_to_internal(a, o, &m);
    return NULL;
}

static struct err *parse_entry(const struct mblist *l, struct arena *a, struct arena *scratch,
                               const struct db_row *row, struct mbentry *out)
{
    struct dlist *v = NULL;
    struct err *e = dlist_parse(scratch, row->value, &v);
    if (e)
        return err_wrap(e, "mailboxes.db: entry \"" SLICE_FMT "\"", SLICE_ARG(row->key));
    if (v->type != DLIST_KVLIST)
        return err_new(ERR_NOTSUPPORTED,
                       "mailboxes.db: entry \"" SLICE_FMT "\" is of a Cyrus before 2.5: not supported",
                       SLICE_ARG(row->key));
    struct slice server;
    TRY(read_fields(a, row->key, v, out));
    if (l->old_form)
        out->flags |= MB_LEGACY; /* there were no paths by id */
    if (dlist_str(v, "S", &server) && !slice_eq(server, l->servername))
        out->flags |= MB_REMOTE;
    return NULL;
}

struct err *mblist_entry(const struct mblist *l, struct arena *a, const struct namespace_options *o,
                         const struct db_row *row, struct mbentry *out)
{
    struct arena scratch = ARENA_INIT;
    *out = (struct mbentry){ .kind = 'e' };
    struct err *e = read_name(l, a, o, row->key, &out->name);
    if (!e)
        e = parse_entry(l, a, &scratch, row, out);
    arena_free(&scratch);
    return e;
}

/* ---- by uniqueid ---- */

/* A quick look before a value is parsed. */
static bool may_hold(struct slice value, struct slice text)
{
    return value.n && text.n && memmem(value.p, value.n, text.p, text.n);
}

static struct err *search_old_form(const struct mblist *l, struct arena *a, const struct namespace_options *o,
                                   struct slice uniqueid, struct mbentry *out, bool *found)
{
    struct mbentry e;
    *found = false;
    for (size_t i = 0; i < l->names.n && !(*found && mbentry_is_live(out)); i++) {
        if (!may_hold(l->names.row[i].value, uniqueid))
            continue;
        TRY(mblist_entry(l, a, o, &l->names.row[i], &e));
        if (!slice_eq(e.uniqueid, uniqueid) || (*found && !mbentry_is_live(&e)))
            continue;
        *out = e; /* a rename leaves a tombstone of the same uniqueid: the living one counts */
        *found = true;
    }
    return NULL;
}

/* Cyrus 3.6 leaves the record of a uniqueid as it was when a deleted mailbox expires: the name that it
 * tells is then nobody's, or another mailbox's. */
static struct err *name_agrees(const struct mblist *l, struct arena *a, const struct namespace_options *o,
                               struct slice key, struct slice uniqueid, bool *out)
{
    const struct db_row *row = mblist_find(l, &l->names, key);
    struct mbentry e;
    *out = false;
    if (!row)
        return NULL;
    TRY(mblist_entry(l, a, o, row, &e));
    *out = slice_eq(e.uniqueid, uniqueid);
    return NULL;
}

struct err *mblist_by_id(const struct mblist *l, struct arena *a, const struct namespace_options *o,
                         struct slice uniqueid, struct mbentry *out, bool *found)
{
    if (l->old_form)
        return search_old_form(l, a, o, uniqueid, out, found);
    const struct db_row *row = mblist_find(l, &l->ids, uniqueid);
    struct arena scratch = ARENA_INIT;
    struct dlist *v = NULL;
    struct slice key;
    *found = row != NULL;
    *out = (struct mbentry){ .kind = 'e' };
    struct err *e = row ? parse_entry(l, a, &scratch, row, out) : NULL;
    if (row && !e)
        e = dlist_parse(&scratch, row->value, &v);
    if (v && !e)
        e = dlist_str(v, "N", &key) ? read_name(l, a, o, key, &out->name) : wrong(row->key, "has no name");
    out->uniqueid = arena_dup(a, uniqueid);
    if (*found && !e && !(out->flags & MB_DELETED))
        e = name_agrees(l, a, o, key, uniqueid, found);
    arena_free(&scratch);
    return e;
}

struct err *mblist_has_former_names(const struct mblist *l, struct slice uniqueid, bool *out)
{
    const struct db_row *row = l->old_form ? NULL : mblist_find(l, &l->ids, uniqueid);
    struct arena scratch = ARENA_INIT;
    struct dlist *v = NULL;
    struct err *e = row ? dlist_parse(&scratch, row->value, &v) : NULL;
    const struct dlist *names = v && !e ? dlist_get(v, "H") : NULL;
    *out = names && names->type == DLIST_LIST && names->first;
    arena_free(&scratch);
    return e ? err_wrap(e, "mailboxes.db: entry \"" SLICE_FMT "\"", SLICE_ARG(uniqueid)) : NULL;
}

static void add_name(struct arena *a, struct slice name, struct name_list *out)
{
    for (size_t i = 0; i < out->n; i++)
        if (slice_eq(out->name[i], name))
            return;
    out->name = arena_grow(a, out->name, out->n, &out->cap, sizeof *out->name);
    out->name[out->n++] = arena_dup(a, name);
}

static void add_tombstone(const struct mblist *l, struct arena *a, const struct namespace_options *o,
                          const struct db_row *row, const struct map *ids, struct name_list *out)
{
    struct arena scratch = ARENA_INIT;
    struct mbentry e;
    struct err *err = mblist_entry(l, &scratch, o, row, &e);
    if (!err && (e.flags & MB_DELETED) && e.uniqueid.n && map_get(ids, e.uniqueid))
        add_name(a, e.name, out);
    err_free(err); /* told by whoever asks for that very name */
    arena_free(&scratch);
}

static void add_history(const struct mblist *l, struct arena *a, const struct namespace_options *o,
                        const struct db_row *row, struct name_list *out)
{
    struct arena scratch = ARENA_INIT;
    struct dlist *v = NULL;
    struct slice key, name;
    struct err *err = dlist_parse(&scratch, row->value, &v);
    const struct dlist *former = err ? NULL : dlist_get(v, "H");
    for (const struct dlist *d = former && former->type == DLIST_LIST ? former->first : NULL; d && !err; d = d->next) {
        if (dlist_str(d, "N", &key))
            err = read_name(l, &scratch, o, key, &name);
        if (dlist_str(d, "N", &key) && !err)
            add_name(a, name, out);
    }
    err_free(err); /* told by whoever asks for that very uniqueid */
    arena_free(&scratch);
}

struct name_list mblist_former_names(const struct mblist *l, struct arena *a, const struct namespace_options *o,
                                     const struct map *ids)
{
    struct name_list out = { NULL, 0, 0 };
    for (size_t i = 0; i < l->names.n; i++)
        add_tombstone(l, a, o, &l->names.row[i], ids, &out);
    for (size_t i = 0; i < l->ids.n; i++)
        if (map_get(ids, l->ids.row[i].key))
            add_history(l, a, o, &l->ids.row[i], &out);
    return out;
}

static bool has_former_name(const struct dlist *entry, struct slice key)
{
    struct slice type, name;
    const struct dlist *former = dlist_get(entry, "H");
    if (dlist_str(entry, "T", &type) && memchr(type.p, 'd', type.n))
        return false;
    for (const struct dlist *d = former && former->type == DLIST_LIST ? former->first : NULL; d; d = d->next)
        if (dlist_str(d, "N", &name) && slice_eq(name, key))
            return true;
    return false;
}

/* One that was found to have had a name before. Not a copy in the deleted tree: a deleted user's INBOX had his name, too. */
static void add_present_name(const struct mblist *l, struct arena *a, const struct namespace_options *o, struct slice key,
                             struct name_list *out)
{
    struct slice name;
    struct err *err = read_name(l, a, o, key, &name);
    if (!err && names_from_internal(a, o, name).deleted_time == 0)
        add_name(a, name, out);
    err_free(err); /* told by whoever asks for that very name */
}

static void add_by_history(const struct mblist *l, struct arena *a, const struct namespace_options *o,
                           const struct db_row *row, struct slice key, struct name_list *out)
{
    struct arena scratch = ARENA_INIT;
    struct dlist *v;
    struct slice now;
    struct err *err = dlist_parse(&scratch, row->value, &v);
    if (!err && has_former_name(v, key) && dlist_str(v, "N", &now) && !slice_eq(now, key))
        add_present_name(l, a, o, now, out);
    err_free(err); /* told by whoever asks for that very uniqueid */
    arena_free(&scratch);
}

/* A rename leaves a tombstone of its uniqueid: all that masters before 3.6 remember. */
static void add_by_tombstone(const struct mblist *l, struct arena *a, const struct namespace_options *o, struct slice key,
                             struct name_list *out)
{
    const struct db_row *row = mblist_find(l, &l->names, key);
    struct mbentry old, now;
    bool found = false;
    struct err *err = row ? mblist_entry(l, a, o, row, &old) : NULL;
    if (row && !err && (old.flags & MB_DELETED) && old.uniqueid.n)
        err = mblist_by_id(l, a, o, old.uniqueid, &now, &found);
    if (found && !err && !(now.flags & MB_DELETED)) {
        struct mbname m = names_from_internal(a, o, now.name);
        add_present_name(l, a, o, mblist_key(l, a, o, &m), out);
    }
    err_free(err); /* as above */
}

struct name_list mblist_present_names(const struct mblist *l, struct arena *a, const struct namespace_options *o, struct slice key)
{
    struct name_list out = { NULL, 0, 0 };
    for (size_t i = 0; i < l->ids.n; i++)
        if (may_hold(l->ids.row[i].value, key))
            add_by_history(l, a, o, &l->ids.row[i], key, &out);
    add_by_tombstone(l, a, o, key, &out);
    return out;
}
