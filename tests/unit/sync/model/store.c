/*
 * The master's store (fansync/store.h) over a model host, linked in place of src/store: the
 * engine reads the model as it would read Cyrus's files. An open mailbox holds the world's lock.
 */
#include "model.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fansync/mem.h"
#include "fansync/store.h"
#include "server.h"

struct store {
    struct model_host *host;
    struct namespace_options names;
};

struct mailbox {
    struct mailbox_header header;
    const struct model_mailbox *m;
};

struct user_lock {
    int unused;
};

struct store *model_store_new(struct model_host *master)
{
    struct store *s = mem_alloc(sizeof *s);
    *s = (struct store){ master, { .unixhierarchysep = true, .deletedprefix = slice_str("DELETED") } };
    return s;
}

void model_store_free(struct store *s)
{
    free(s);
}

const struct namespace_options *store_names(const struct store *s)
{
    return &s->names;
}

/* ---- the mailbox list ---- */

static struct mbentry entry_of(const struct model_mailbox *m)
{
    return (struct mbentry){ slice_str(m->name), slice_str(m->uniqueid), slice_str(m->partition), slice_str(m->acl),
                             'e', 0, m->uidvalidity, m->createdmodseq, m->foldermodseq };
}

static struct mbentry tombstone(const struct model_tombstone *t)
{
    return (struct mbentry){ .name = slice_str(t->name), .uniqueid = slice_str(t->uniqueid), .kind = 'e',
                             .flags = MB_DELETED };
}

struct slice mbentry_wire_type(struct arena *a, const struct mbentry *e)
{
    (void)a;
    (void)e;
    return slice_of("", 0); /* all of the model are plain mail */
}

static bool is_damaged(const char *name)
{
    model_lock();
    bool is = model_pass.damaged == name;
    model_unlock();
    return is;
}

static struct err *damage(const char *name)
{
    return err_new(ERR_CORRUPT, "mailboxes.db: entry \"%s\" cannot be read", name);
}

struct err *store_lookup(struct store *s, struct arena *a, struct slice name, struct mbentry *out, bool *found)
{
    const char *key = model_intern(name);
    (void)a;
    if (is_damaged(key))
        return damage(key);
    model_lock();
    const struct model_mailbox *m = model_box(s->host, key);
    const struct model_tombstone *t = model_tomb(s->host, key);
    *found = m || t;
    if (m)
        *out = entry_of(m);
    else if (t)
        *out = tombstone(t);
    model_unlock();
    return NULL;
}

struct err *store_lookup_id(struct store *s, struct arena *a, struct slice uniqueid, struct mbentry *out, bool *found)
{
    const char *id = model_intern(uniqueid);
    (void)a;
    model_lock();
    const struct model_mailbox *m = model_box_of_id(s->host, id);
    *found = m != NULL;
    if (m)
        *out = entry_of(m);
    for (size_t i = 0; i < s->host->ntomb && !*found; i++)
        if (s->host->tomb[i].uniqueid == id) {
            *out = tombstone(&s->host->tomb[i]);
            *found = true;
        }
    model_unlock();
    return NULL;
}

static void add_entries(struct store *s, struct arena *a, const char *userid, bool deleted, struct mbentry_list *out)
{
    const struct model_host *h = s->host;
    for (size_t i = 0; i < h->nbox; i++) {
        if (!model_is_of_user(h->box[i]->name, userid) || model_is_deleted_name(h->box[i]->name) != deleted ||
            is_damaged(h->box[i]->name))
            continue;
        out->e = arena_grow(a, out->e, out->n, &out->cap, sizeof *out->e);
        out->e[out->n++] = entry_of(h->box[i]);
    }
    for (size_t i = 0; i < h->ntomb && !deleted; i++) {
        if (!model_is_of_user(h->tomb[i].name, userid))
            continue;
        out->e = arena_grow(a, out->e, out->n, &out->cap, sizeof *out->e);
        out->e[out->n++] = tombstone(&h->tomb[i]);
    }
}

struct err *store_was_renamed(struct store *s, struct slice uniqueid, bool *out)
{
    (void)s;
    (void)uniqueid;
    *out = false; /* the model keeps no former names: the second try asks for all */
    return NULL;
}

struct err *store_present_names(struct store *s, struct arena *a, struct slice name, struct name_list *out)
{
    (void)s, (void)a, (void)name;
    *out = (struct name_list){ NULL, 0, 0 }; /* the model's users have nothing besides mailboxes */
    return NULL;
}

struct err *store_former_names(struct store *s, struct arena *a, const struct slice *uniqueid, size_t n,
                               struct name_list *out)
{
    (void)s, (void)a, (void)uniqueid, (void)n;
    *out = (struct name_list){ NULL, 0, 0 }; /* the model's replicas can all be asked for a uniqueid */
    return NULL;
}

struct err *store_user_mailboxes(struct store *s, struct arena *a, struct slice userid, struct mbentry_list *out,
                                 struct err **damaged)
{
    const char *user = model_intern(userid);
    model_lock();
    add_entries(s, a, user, false, out);
    add_entries(s, a, user, true, out);
    const char *bad = model_pass.damaged;
    *damaged = bad && model_box(s->host, bad) && model_is_of_user(bad, user) ? damage(bad) : NULL;
    model_unlock();
    return NULL;
}

/* ---- one mailbox ---- */

struct err *store_mailbox_open(struct store *s, struct arena *a, struct slice name, struct mailbox **out)
{
    if (is_damaged(model_intern(name)))
        return damage(model_intern(name));
    model_lock();
    const struct model_mailbox *m = model_box(s->host, model_intern(name));
    if (!m) {
        model_unlock();
        return err_new(ERR_NONEXISTENT, SLICE_FMT ": no such mailbox", SLICE_ARG(name));
    }
    struct mailbox *mb = arena_alloc(a, sizeof *mb);
    model_header(a, s->host, m, &mb->header);
    mb->m = m;
    __atomic_add_fetch(&model_open_mailboxes, 1, __ATOMIC_SEQ_CST);
    *out = mb;
    return NULL;
}

const struct mailbox_header *mailbox_header(const struct mailbox *m)
{
    return &m->header;
}

struct err *mailbox_records(struct mailbox *m, struct arena *a, uint64_t since_modseq, uint32_t since_uid,
                            struct records *out)
{
    model_records(a, m->m, since_modseq, since_uid, out);
    return NULL;
}

struct err *mailbox_compute_crcs(struct mailbox *m, struct sync_crcs *out)
{
    *out = model_crcs(m->m);
    return NULL;
}

void store_mailbox_close(struct mailbox *m)
{
    (void)m;
    __atomic_sub_fetch(&model_open_mailboxes, 1, __ATOMIC_SEQ_CST);
    model_unlock();
}

static struct err *memory_file(struct slice text, int *fd)
{
    *fd = memfd_create("message", MFD_CLOEXEC);
    if (*fd < 0)
        return err_errno("memfd_create");
    if (write(*fd, text.p, text.n) != (ssize_t)text.n || lseek(*fd, 0, SEEK_SET) != 0)
        return err_errno("write to a memory file");
    return NULL;
}

struct err *store_message_open(struct store *s, const struct mbentry *e, uint32_t uid, uint32_t flags,
                               uint64_t size, int *fd)
{
    struct arena a = ARENA_INIT;
    struct err *err = NULL;
    (void)flags;
    (void)size;
    model_lock();
    const struct model_mailbox *m = model_box_of_id(s->host, model_intern(e->uniqueid));
    const struct model_record *r = m ? model_find(m, uid) : NULL;
    if (!r || (r->flags & REC_UNLINKED))
        err = err_new(ERR_BUSY, SLICE_FMT ": message %u is gone", SLICE_ARG(e->name), uid);
    else
        err = memory_file(model_text_of(&a, &r->guid), fd);
    model_unlock();
    arena_free(&a);
    return err;
}

/* ---- a user's other things ---- */

struct err *store_subscriptions(struct store *s, struct arena *a, struct slice userid, struct subscription_list *out)
{
    const char *user = model_intern(userid);
    const struct model_host *h = s->host;
    model_lock();
    out->n = 0;
    out->name = arena_array(a, h->nsub, sizeof *out->name);
    for (size_t i = 0; i < h->nsub; i++)
        if (h->sub[i].userid == user)
            out->name[out->n++] = slice_str(h->sub[i].name);
    model_unlock();
    return NULL;
}

struct err *store_seen(struct store *s, struct arena *a, struct slice userid, struct seen_list *out)
{
    const char *user = model_intern(userid);
    const struct model_host *h = s->host;
    model_lock();
    out->n = 0;
    out->row = arena_array(a, h->nseen, sizeof *out->row);
    for (size_t i = 0; i < h->nseen; i++)
        if (h->seen[i].userid == user)
            out->row[out->n++] = (struct seen_row){ slice_str(h->seen[i].uniqueid), h->seen[i].lastread,
                                                    h->seen[i].lastuid, h->seen[i].lastchange,
                                                    slice_str(h->seen[i].uids) };
    model_unlock();
    return NULL;
}

struct err *store_server_annotations(struct store *s, struct arena *a, struct annotation_list *out)
{
    (void)s;
    (void)a;
    *out = (struct annotation_list){ NULL, 0 };
    return NULL;
}

struct err *store_owner_modseq(struct store *s, struct slice name, uint64_t *out)
{
    (void)s;
    (void)name;
    *out = 0; /* the model has no conversations */
    return NULL;
}

struct err *store_quota(struct store *s, struct arena *a, struct slice root, struct quota *out, bool *found)
{
    (void)a;
    model_lock();
    const struct model_quota *q = model_quota(s->host, model_intern(root));
    *found = q != NULL;
    if (q) {
        *out = (struct quota){ .root = slice_str(q->root) };
        memcpy(out->limit, q->limit, sizeof out->limit);
    }
    model_unlock();
    return NULL;
}

struct err *store_user_lock(struct store *s, struct slice host, struct slice userid, bool wait, struct user_lock **out)
{
    static struct user_lock lock;
    (void)s;
    (void)host;
    (void)userid;
    (void)wait;
    *out = &lock;
    return NULL;
}

void store_user_unlock(struct user_lock *l)
{
    (void)l;
}

/* No sieve in the model: every host is of the kind that keeps scripts as messages, and has none. */
struct err *store_sieve(struct store *s, struct arena *a, struct slice userid, struct sieve_list *out)
{
    (void)s;
    (void)a;
    (void)userid;
    *out = (struct sieve_list){ 0 };
    return NULL;
}

struct err *store_has_sieve_files(struct store *s, struct arena *a, struct slice userid, bool *out)
{
    (void)s;
    (void)a;
    (void)userid;
    *out = false;
    return NULL;
}

struct err *store_has_sieve_mailboxes(struct store *s, bool *out)
{
    (void)s;
    *out = true;
    return NULL;
}
