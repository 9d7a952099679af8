/*
 * The open store and its mailbox list (include/fansync/store.h). The list is read once
 * and kept: every question costs one stat as long as the file is the same. A thread works
 * with the list it got while others may already have a newer one; the last user of a
 * list frees it. Any thread.
 */
#include "store/store_internal.h"

#include <stdlib.h>
#include <string.h>
#include "fansync/log.h"
#include "fansync/userid.h"
#include "fansync/mem.h"

/* ---- opening ---- */

static struct err *read_backends(struct store *s)
{
    const struct {
        const char *option;
        enum db_text_backend *out;
    } BACKENDS[] = {
        { "mboxlist_db", &s->text_mboxlist },         { "annotation_db", &s->text_annotation },
        { "seenstate_db", &s->text_seen },            { "subscription_db", &s->text_subscription },
        { "conversations_db", &s->text_conversations }, { "quota_db", &s->text_quota },
    };
    for (size_t i = 0; i < sizeof BACKENDS / sizeof *BACKENDS; i++)
        TRY(db_text_backend(BACKENDS[i].option, config_string(s->config, BACKENDS[i].option), BACKENDS[i].out));
    return NULL;
}

static struct err *open_parts(struct store *s)
{
    struct mblist *l = NULL;
    TRY(paths_init(&s->paths, s->config, &s->names));
    TRY(read_backends(s));
    TRY(store_list_get(s, &l));
    store_list_put(s, l);
    return NULL;
}

struct err *store_open(const struct config *config, struct store **out)
{
    struct store *s = mem_alloc(sizeof *s);
    s->config = config;
    names_options(config, &s->names);
    s->conversations = config_switch(config, "conversations");
    pthread_mutex_init(&s->guard, NULL);
    pthread_mutex_init(&s->load, NULL);
    shared_db_init(&s->annotations);
    folder_modseq_init(&s->folder_modseqs);
    struct err *e = open_parts(s);
    *out = s;
    if (e) {
        store_free(s);
        *out = NULL;
    }
    return e;
}

void store_free(struct store *s)
{
    if (!s)
        return;
    mblist_free(s->list);
    shared_db_destroy(&s->annotations);
    folder_modseq_destroy(&s->folder_modseqs);
    paths_free(&s->paths);
    pthread_mutex_destroy(&s->guard);
    pthread_mutex_destroy(&s->load);
    free(s);
}

const struct namespace_options *store_names(const struct store *s)
{
    return &s->names;
}

/* ---- the current list ---- */

/* The kept list if it is what st says, with one more user. */
static struct mblist *take_if_current(struct store *s, const struct stat *st)
{
    pthread_mutex_lock(&s->guard);
    struct mblist *l = s->list && mblist_is(s->list, st) ? s->list : NULL;
    if (l)
        l->users++;
    pthread_mutex_unlock(&s->guard);
    return l;
}

/* Puts a new list in the place of the old one; its first user is the caller. */
static void publish(struct store *s, struct mblist *l)
{
    pthread_mutex_lock(&s->guard);
    struct mblist *old = s->list && s->list->users == 0 ? s->list : NULL;
    l->users = 1;
    s->list = l;
    pthread_mutex_unlock(&s->guard);
    mblist_free(old);
}

static struct err *list_if_current(struct store *s, struct mblist **out)
{
    struct stat st;
    if (stat(s->paths.mailboxes.p, &st) < 0)
        return err_errno("%s: cannot stat", s->paths.mailboxes.p);
    *out = take_if_current(s, &st);
    return NULL;
}

struct err *store_list_get(struct store *s, struct mblist **out)
{
    TRY(list_if_current(s, out));
    if (*out)
        return NULL;
    pthread_mutex_lock(&s->load);
    /* Another thread may have loaded it while this one waited. */
    struct err *e = list_if_current(s, out);
    if (!e && !*out) {
        e = mblist_load(s->paths.mailboxes.p, s->text_mboxlist,
                        config_switch(s->config, "improved_mboxlist_sort"),
                        slice_str(config_string(s->config, "servername")), out);
        if (!e)
            publish(s, *out);
    }
    pthread_mutex_unlock(&s->load);
    return e;
}

void store_list_put(struct store *s, struct mblist *l)
{
    pthread_mutex_lock(&s->guard);
    bool last = --l->users == 0 && l != s->list;
    pthread_mutex_unlock(&s->guard);
    if (last)
        mblist_free(l);
}

/* ---- questions ---- */

struct slice mbentry_wire_type(struct arena *a, const struct mbentry *e)
{
    static const struct {
        unsigned flag;
        char letter;
    } FLAGS[] = {
        { MB_DELETED, 'd' }, { MB_INTERMEDIATE, 'i' }, { MB_MOVING, 'm' },
        { MB_REMOTE, 'r' },  { MB_RESERVED, 'z' },
    };
    char type[8];
    size_t n = 0;
    type[n++] = e->kind;
    for (size_t i = 0; i < sizeof FLAGS / sizeof *FLAGS; i++)
        if (e->flags & FLAGS[i].flag)
            type[n++] = FLAGS[i].letter;
    if (n == 1 && e->kind == 'e')
        return slice_of("", 0);
    return arena_dup(a, slice_of(type, n));
}

static struct err *find(struct store *s, const struct mblist *l, struct arena *a, const struct mbname *m,
                        struct mbentry *out, bool *found)
{
    const struct db_row *row = mblist_find(l, &l->names, mblist_key(l, a, &s->names, m));
    *found = row != NULL;
    return row ? mblist_entry(l, a, &s->names, row, out) : NULL;
}

struct err *store_list_find(struct store *s, const struct mblist *l, struct arena *a, struct slice name,
                            struct mbentry *out, bool *found)
{
    struct mbname m = names_from_internal(a, &s->names, name);
    *found = false;
    if (!slice_eq(names_to_internal(a, &s->names, &m), name))
        return NULL; /* such a name is not in any list */
    return find(s, l, a, &m, out, found);
}

struct err *store_lookup(struct store *s, struct arena *a, struct slice name, struct mbentry *out,
                         bool *found)
{
    struct mblist *l = NULL;
    TRY(store_list_get(s, &l));
    struct err *e = store_list_find(s, l, a, name, out, found);
    store_list_put(s, l);
    return e;
}

static struct err *append(struct store *s, struct mblist *l, struct arena *a, const struct db_row *row,
                          struct mbentry_list *out)
{
    struct mbentry entry;
    TRY(mblist_entry(l, a, &s->names, row, &entry));
    out->e = arena_grow(a, out->e, out->n, &out->cap, sizeof *out->e);
    out->e[out->n++] = entry;
    return NULL;
}

/* One that cannot be read is left out; the first such error is kept. */
static void append_if_readable(struct store *s, struct mblist *l, struct arena *a, const struct db_row *row,
                               struct mbentry_list *out, struct err **damaged)
{
    struct err *err = append(s, l, a, row, out);
    if (err && !*damaged)
        *damaged = err;
    else
        err_free(err);
}

static void append_range(struct store *s, struct mblist *l, struct arena *a, struct slice prefix,
                         struct mbentry_list *out, struct err **damaged)
{
    size_t i = 0, end = 0;
    mblist_range(l, &l->names, prefix, &i, &end);
    for (; i < end; i++)
        append_if_readable(s, l, a, &l->names.row[i], out, damaged);
}

struct err *store_inbox_of(struct store *s, struct arena *a, struct slice userid, struct mbname *out)
{
    bool ok = userid_is_possible(userid) && !memchr(userid.p, '^', userid.n);
    if (ok)
        *out = names_from_internal(a, &s->names, names_inbox(a, &s->names, userid));
    if (!ok || out->localpart.n == 0)
        return err_new(ERR_INVALID_USER, "\"" SLICE_FMT "\" is no user", SLICE_ARG(userid));
    return NULL;
}

/* The INBOX, its children, and what was deleted of both. */
static void append_user(struct store *s, struct mblist *l, struct arena *a, const struct mbname *inbox,
                        struct mbentry_list *out, struct err **damaged)
{
    const char sep = l->old_form ? '.' : '\x1f';
    struct slice key = mblist_key(l, a, &s->names, inbox);
    const struct db_row *row = mblist_find(l, &l->names, key);
    struct slice children = arena_printf(a, SLICE_FMT "%c", SLICE_ARG(key), sep);
    const struct mbname bare = { .localpart = inbox->localpart };
    struct slice bare_key = mblist_key(l, a, &s->names, &bare);
    struct slice domain = slice_of(key.p, key.n - bare_key.n); /* with its separator */
    struct slice deleted = arena_printf(a, SLICE_FMT SLICE_FMT "%c" SLICE_FMT "%c", SLICE_ARG(domain),
                                        SLICE_ARG(s->names.deletedprefix), sep, SLICE_ARG(bare_key), sep);
    if (row)
        append_if_readable(s, l, a, row, out, damaged);
    append_range(s, l, a, children, out, damaged);
    append_range(s, l, a, deleted, out, damaged);
}

struct err *store_user_mailboxes(struct store *s, struct arena *a, struct slice userid,
                                 struct mbentry_list *out, struct err **damaged)
{
    struct mblist *l = NULL;
    struct mbname inbox;
    *damaged = NULL;
    TRY(store_inbox_of(s, a, userid, &inbox));
    TRY(store_list_get(s, &l));
    append_user(s, l, a, &inbox, out, damaged);
    store_list_put(s, l);
    return NULL;
}

/* An entry that cannot be read is left out of the list of everything: its user's own list
 * fails and says why; the others must go on. */
static struct err *append_all(struct store *s, struct mblist *l, struct arena *a, struct slice prefix,
                              struct mbentry_list *out)
{
    for (size_t i = 0; i < l->names.n; i++) {
        struct err *e = append(s, l, a, &l->names.row[i], out);
        if (e) {
            log_msg(LOG_ERR, "IOERROR: %s", e->msg);
            err_free(e);
            continue;
        }
        struct slice name = out->e[out->n - 1].name;
        if (name.n < prefix.n || !slice_eq(slice_of(name.p, prefix.n), prefix))
            out->n--;
    }
    return NULL;
}

struct err *store_all_mailboxes(struct store *s, struct arena *a, struct slice prefix,
                                struct mbentry_list *out)
{
    struct mblist *l = NULL;
    TRY(store_list_get(s, &l));
    struct err *e = append_all(s, l, a, prefix, out);
    store_list_put(s, l);
    return e;
}

struct err *store_lookup_id(struct store *s, struct arena *a, struct slice uniqueid, struct mbentry *out,
                            bool *found)
{
    struct mblist *l = NULL;
    TRY(store_list_get(s, &l));
    struct err *e = mblist_by_id(l, a, &s->names, uniqueid, out, found);
    store_list_put(s, l);
    return e;
}

struct err *store_was_renamed(struct store *s, struct slice uniqueid, bool *out)
{
    struct mblist *l = NULL;
    *out = false;
    TRY(store_list_get(s, &l));
    struct err *e = mblist_has_former_names(l, uniqueid, out);
    store_list_put(s, l);
    return e;
}

struct err *store_present_names(struct store *s, struct arena *a, struct slice name, struct name_list *out)
{
    struct mblist *l = NULL;
    struct mbname m = names_from_internal(a, &s->names, name);
    TRY(store_list_get(s, &l));
    *out = mblist_present_names(l, a, &s->names, mblist_key(l, a, &s->names, &m));
    store_list_put(s, l);
    return NULL;
}

struct err *store_former_names(struct store *s, struct arena *a, const struct slice *uniqueid, size_t n,
                               struct name_list *out)
{
    struct mblist *l = NULL;
    struct map ids = MAP_INIT;
    TRY(store_list_get(s, &l));
    for (size_t i = 0; i < n; i++)
        map_put(&ids, uniqueid[i], s);
    *out = mblist_former_names(l, a, &s->names, &ids);
    map_free(&ids);
    store_list_put(s, l);
    return NULL;
}

/* ---- for mailboxes' snapshots ---- */

struct err *store_user_home(struct store *s, struct arena *a, const struct mbname *m, struct user_home *out)
{
    const struct mbname inbox = { .domain = m->domain, .localpart = m->localpart };
    struct mblist *l = NULL;
    struct mbentry e;
    bool found = false;
    *out = (struct user_home){ .domain = m->domain, .localpart = m->localpart };
    /* A user named with an '@' where there are no domains: Cyrus takes that for a domain,
     * finds no such INBOX, and keeps his files by name (seen with 3.6.1). */
    if (m->localpart.n == 0 || memchr(m->localpart.p, '@', m->localpart.n))
        return NULL;
    TRY(store_list_get(s, &l));
    struct err *err = find(s, l, a, &inbox, &e, &found);
    if (!err && found && !(e.flags & MB_LEGACY))
        out->uniqueid = e.uniqueid;
    store_list_put(s, l);
    return err;
}

struct slice store_list_usergroups(const struct mblist *l, struct arena *a, struct slice userid)
{
    struct slice prefix = arena_printf(a, SLICE_FMT "\x1e", SLICE_ARG(userid));
    struct slice groups = slice_of("", 0);
    struct buf b = BUF_INIT;
    size_t i = 0, end = 0;
    if (userid.n)
        mblist_range(l, &l->groups, prefix, &i, &end);
    for (; i < end; i++) {
        struct slice key = l->groups.row[i].key;
        if (buf_len(&b))
            buf_addc(&b, '\t');
        buf_add(&b, key.p + prefix.n, key.n - prefix.n);
    }
    if (buf_len(&b))
        groups = arena_dup(a, buf_slice(&b));
    buf_free(&b);
    return groups;
}
