/* What a host of the model holds, and the world that both live in (model.h). */
#include "model.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "fansync/map.h"
#include "fansync/mem.h"

int model_open_mailboxes;

/* ---- the lock ---- */

static pthread_mutex_t world;
static pthread_once_t world_once = PTHREAD_ONCE_INIT;

static void make_world(void)
{
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_settype(&a, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&world, &a);
    pthread_mutexattr_destroy(&a);
}

void model_lock(void)
{
    pthread_once(&world_once, make_world);
    pthread_mutex_lock(&world);
}

void model_unlock(void)
{
    pthread_mutex_unlock(&world);
}

/* ---- the clock ---- */

static int64_t the_clock;

void model_set_clock(int64_t now)
{
    model_lock();
    the_clock = now;
    model_unlock();
}

int64_t model_now(struct model_host *h)
{
    return ++the_clock / 2 + h->skew; /* two things may happen in one second */
}

/* The engine's clock is the model's too, so that a history runs the same each time. */
time_t time(time_t *out)
{
    model_lock();
    time_t now = (time_t)(++the_clock / 2);
    model_unlock();
    if (out)
        *out = now;
    return now;
}

/* ---- strings and messages ---- */

const char *model_intern(struct slice s)
{
    static struct map table;
    model_lock();
    char *found = map_get(&table, s);
    if (!found) {
        found = mem_strndup(s.n ? s.p : "", s.n);
        map_put(&table, slice_of(found, s.n), found);
    }
    model_unlock();
    return found;
}

const char *model_str(const char *s)
{
    return model_intern(slice_str(s));
}

struct slice model_text(struct arena *a, unsigned id)
{
    return arena_printf(a, "Subject: %u\r\n\r\n%.*s\r\n", id, (int)(id % 23), "the body of the message");
}

enum { MOST_MESSAGES = 1 << 12 };
static struct message {
    bool made;
    struct guid guid;
    uint32_t size;
} messages[MOST_MESSAGES];
static struct map message_of_guid;

static const struct message *message(unsigned id)
{
    if (id >= MOST_MESSAGES)
        abort();
    struct message *m = &messages[id];
    model_lock();
    if (!m->made) {
        struct arena a = ARENA_INIT;
        struct slice text = model_text(&a, id);
        struct sha1 *h = sha1_new();
        sha1_add(h, text.p, text.n);
        sha1_final(h, &m->guid);
        sha1_free(h);
        m->size = (uint32_t)text.n;
        m->made = true;
        map_put(&message_of_guid, slice_of((const char *)m->guid.b, GUID_SIZE), m);
        arena_free(&a);
    }
    model_unlock();
    return m;
}

struct guid model_guid(unsigned id)
{
    return message(id)->guid;
}

uint32_t model_size(unsigned id)
{
    return message(id)->size;
}

struct slice model_text_of(struct arena *a, const struct guid *g)
{
    model_lock();
    const struct message *m = map_get(&message_of_guid, slice_of((const char *)g->b, GUID_SIZE));
    model_unlock();
    return m ? model_text(a, (unsigned)(m - messages)) : slice_of("", 0);
}

/* ---- rules ---- */

static char violation[1024];

void model_violation(const char *fmt, ...)
{
    va_list ap;
    model_lock();
    va_start(ap, fmt);
    if (!violation[0])
        vsnprintf(violation, sizeof violation, fmt, ap);
    va_end(ap);
    model_unlock();
}

const char *model_violated(void)
{
    return violation[0] ? violation : NULL;
}

void model_clear_violation(void)
{
    violation[0] = '\0';
}

/* ---- mailboxes ---- */

static void free_box(struct model_mailbox *m)
{
    free(m->rec);
    free(m);
}

void model_host_free(struct model_host *h)
{
    for (size_t i = 0; i < h->nbox; i++)
        free_box(h->box[i]);
    free(h->box);
    free(h->tomb);
    free(h->gone);
    free(h->sub);
    free(h->seen);
    free(h->quota);
    *h = (struct model_host){ .label = h->label, .side = h->side };
}

static void *copy_array(const void *p, size_t n, size_t size)
{
    void *out = mem_array(n ? n : 1, size);
    if (n)
        memcpy(out, p, n * size);
    return out;
}

void model_host_copy(struct model_host *to, const struct model_host *from)
{
    model_host_free(to);
    *to = *from;
    to->box = mem_array(from->nbox ? from->nbox : 1, sizeof *to->box);
    to->capbox = from->nbox ? from->nbox : 1;
    for (size_t i = 0; i < from->nbox; i++) {
        to->box[i] = copy_array(from->box[i], 1, sizeof *from->box[i]);
        to->box[i]->rec = copy_array(from->box[i]->rec, from->box[i]->n, sizeof *from->box[i]->rec);
        to->box[i]->cap = from->box[i]->n ? from->box[i]->n : 1;
    }
    to->tomb = copy_array(from->tomb, from->ntomb, sizeof *from->tomb);
    to->sub = copy_array(from->sub, from->nsub, sizeof *from->sub);
    to->seen = copy_array(from->seen, from->nseen, sizeof *from->seen);
    to->quota = copy_array(from->quota, from->nquota, sizeof *from->quota);
    to->captomb = from->ntomb ? from->ntomb : 1;
    to->gone = copy_array(from->gone, from->ngone, sizeof *from->gone);
    to->capgone = from->ngone ? from->ngone : 1;
    to->capsub = from->nsub ? from->nsub : 1;
    to->capseen = from->nseen ? from->nseen : 1;
    to->capquota = from->nquota ? from->nquota : 1;
}

struct model_mailbox *model_box(const struct model_host *h, const char *name)
{
    for (size_t i = 0; i < h->nbox; i++)
        if (h->box[i]->name == name)
            return h->box[i];
    return NULL;
}

struct model_mailbox *model_box_of_id(const struct model_host *h, const char *uniqueid)
{
    for (size_t i = 0; i < h->nbox; i++)
        if (h->box[i]->uniqueid == uniqueid)
            return h->box[i];
    return NULL;
}

const struct model_tombstone *model_tomb(const struct model_host *h, const char *name)
{
    for (size_t i = 0; i < h->ntomb; i++)
        if (h->tomb[i].name == name)
            return &h->tomb[i];
    return NULL;
}

/* One name, one entry: whatever gets a name takes the tombstone's place. */
static void drop_tomb(struct model_host *h, const char *name)
{
    for (size_t i = 0; i < h->ntomb; i++)
        if (h->tomb[i].name == name)
            h->tomb[i--] = h->tomb[--h->ntomb];
}

static void add_tomb(struct model_host *h, const char *name, const char *uniqueid)
{
    drop_tomb(h, name);
    h->tomb = mem_grow(h->tomb, h->ntomb, &h->captomb, sizeof *h->tomb);
    h->tomb[h->ntomb++] = (struct model_tombstone){ name, uniqueid };
    h->gone = mem_grow(h->gone, h->ngone, &h->capgone, sizeof *h->gone);
    h->gone[h->ngone++] = (struct model_tombstone){ name, uniqueid };
}

static void insert(struct model_host *h, struct model_mailbox *m)
{
    size_t i = h->nbox;
    h->box = mem_grow(h->box, h->nbox, &h->capbox, sizeof *h->box);
    for (; i > 0 && strcmp(h->box[i - 1]->name, m->name) > 0; i--)
        h->box[i] = h->box[i - 1];
    h->box[i] = m;
    h->nbox++;
    drop_tomb(h, m->name);
}

static void take_out(struct model_host *h, const struct model_mailbox *m)
{
    size_t i = 0;
    while (h->box[i] != m)
        i++;
    memmove(&h->box[i], &h->box[i + 1], (h->nbox - i - 1) * sizeof *h->box);
    h->nbox--;
}

struct model_mailbox *model_add_box(struct model_host *h, const char *name, const char *uniqueid)
{
    struct model_mailbox *m = mem_alloc(sizeof *m);
    m->name = name;
    m->uniqueid = uniqueid;
    m->partition = m->acl = model_str("");
    insert(h, m);
    return m;
}

bool model_is_deleted_name(const char *name)
{
    return strncmp(name, "DELETED.", 8) == 0;
}

void model_drop_box(struct model_host *h, struct model_mailbox *m)
{
    take_out(h, m);
    if (!model_is_deleted_name(m->name))
        add_tomb(h, m->name, m->uniqueid);
    free_box(m);
}

/* The old name gets a tombstone of the uniqueid that lives on, as in 3.6. */
void model_move_box(struct model_host *h, struct model_mailbox *m, const char *name)
{
    const char *old = m->name;
    take_out(h, m);
    m->name = name;
    insert(h, m);
    if (!model_is_deleted_name(old))
        add_tomb(h, old, m->uniqueid);
}

bool model_is_of_user(const char *name, const char *userid)
{
    size_t n = strlen(userid);
    if (model_is_deleted_name(name))
        name += 8;
    return strncmp(name, "user.", 5) == 0 && strncmp(name + 5, userid, n) == 0 &&
           (name[5 + n] == '.' || name[5 + n] == '\0');
}

/* ---- a user's other things ---- */

struct model_quota *model_quota(const struct model_host *h, const char *root)
{
    for (size_t i = 0; i < h->nquota; i++)
        if (h->quota[i].root == root)
            return &h->quota[i];
    return NULL;
}

const struct model_quota *model_quota_of(const struct model_host *h, const char *name)
{
    const struct model_quota *best = NULL;
    for (size_t i = 0; i < h->nquota; i++) {
        size_t n = strlen(h->quota[i].root);
        bool above = strncmp(name, h->quota[i].root, n) == 0 && (name[n] == '.' || name[n] == '\0');
        if (above && (!best || n > strlen(best->root)))
            best = &h->quota[i];
    }
    return best;
}

struct model_quota *model_set_quota(struct model_host *h, const char *root)
{
    struct model_quota *q = model_quota(h, root);
    if (!q) {
        h->quota = mem_grow(h->quota, h->nquota, &h->capquota, sizeof *h->quota);
        q = &h->quota[h->nquota++];
    }
    *q = (struct model_quota){ .root = root };
    for (int i = 0; i < QUOTA_RESOURCES; i++)
        q->limit[i] = QUOTA_UNLIMITED;
    return q;
}

void model_drop_quota(struct model_host *h, const char *root)
{
    struct model_quota *q = model_quota(h, root);
    if (q)
        *q = h->quota[--h->nquota];
}

static int compare_subs(const struct model_sub *x, const char *userid, const char *name)
{
    int c = strcmp(x->userid, userid);
    return c ? c : strcmp(x->name, name);
}

void model_set_sub(struct model_host *h, const char *userid, const char *name, bool on)
{
    size_t i = 0;
    while (i < h->nsub && compare_subs(&h->sub[i], userid, name) < 0)
        i++;
    bool is_on = i < h->nsub && compare_subs(&h->sub[i], userid, name) == 0;
    if (is_on && !on) {
        memmove(&h->sub[i], &h->sub[i + 1], (h->nsub - i - 1) * sizeof *h->sub);
        h->nsub--;
    } else if (on && !is_on) {
        h->sub = mem_grow(h->sub, h->nsub, &h->capsub, sizeof *h->sub);
        memmove(&h->sub[i + 1], &h->sub[i], (h->nsub - i) * sizeof *h->sub);
        h->sub[i] = (struct model_sub){ userid, name };
        h->nsub++;
    }
}

struct model_seen *model_set_seen(struct model_host *h, const char *userid, const char *uniqueid)
{
    for (size_t i = 0; i < h->nseen; i++)
        if (h->seen[i].userid == userid && h->seen[i].uniqueid == uniqueid)
            return &h->seen[i];
    h->seen = mem_grow(h->seen, h->nseen, &h->capseen, sizeof *h->seen);
    struct model_seen *s = &h->seen[h->nseen++];
    *s = (struct model_seen){ .userid = userid, .uniqueid = uniqueid };
    return s;
}

/* ---- records ---- */

struct model_record *model_find(const struct model_mailbox *m, uint32_t uid)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->rec[i].uid == uid)
            return &m->rec[i];
    return NULL;
}

struct model_record *model_append(struct model_mailbox *m, uint32_t uid)
{
    m->rec = mem_grow(m->rec, m->n, &m->cap, sizeof *m->rec);
    m->rec[m->n] = (struct model_record){ .uid = uid };
    return &m->rec[m->n++];
}

size_t model_live(const struct model_mailbox *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++)
        n += !(m->rec[i].flags & REC_EXPUNGED);
    return n;
}

static bool same_owner(const struct model_mailbox *x, const struct model_mailbox *y)
{
    for (unsigned user = 0; user < MODEL_USERS; user++)
        if (model_is_of_user(x->name, model_user(user)))
            return model_is_of_user(y->name, model_user(user));
    return false;
}

static bool has_thread(const struct model_mailbox *m, uint64_t cid)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->rec[i].cid == cid)
            return true;
    return false;
}

static void raise_xconv(struct model_mailbox *m, uint64_t modseq)
{
    if (m->xconvmodseq < modseq)
        m->xconvmodseq = modseq;
}

void model_converse(struct model_host *h, struct model_mailbox *m, const struct model_record *r)
{
    if (!h->conversations || !r->cid)
        return;
    raise_xconv(m, r->modseq);
    for (size_t i = 0; i < h->nbox; i++)
        if (h->box[i] != m && same_owner(h->box[i], m) && has_thread(h->box[i], r->cid))
            raise_xconv(h->box[i], r->modseq + (h->side == REPLICA));
}

uint32_t model_userflag(struct model_mailbox *m, const char *name)
{
    size_t i = 0;
    while (i < m->nuserflags && m->userflag[i] != name)
        i++;
    if (i == m->nuserflags) {
        if (i == MODEL_FLAGS)
            abort();
        m->userflag[m->nuserflags++] = name;
    }
    return 1u << i;
}

static int compare_annot(const struct model_annot *x, const char *entry, const char *userid)
{
    int c = strcmp(x->entry, entry);
    return c ? c : strcmp(x->userid, userid);
}

void model_annot_set(struct model_annots *l, const char *entry, const char *userid, const char *value,
                     uint64_t modseq)
{
    size_t i = 0;
    while (i < l->n && compare_annot(&l->a[i], entry, userid) < 0)
        i++;
    bool there = i < l->n && compare_annot(&l->a[i], entry, userid) == 0;
    if (there && !value) {
        memmove(&l->a[i], &l->a[i + 1], (l->n - i - 1) * sizeof *l->a);
        l->n--;
    } else if (value) {
        if (!there && l->n == MODEL_ANNOTS)
            abort();
        if (!there) {
            memmove(&l->a[i + 1], &l->a[i], (l->n - i) * sizeof *l->a);
            l->n++;
        }
        l->a[i] = (struct model_annot){ entry, userid, value, modseq };
    }
}

bool model_annots_equal(const struct model_annots *x, const struct model_annots *y)
{
    if (x->n != y->n)
        return false;
    for (size_t i = 0; i < x->n; i++)
        if (x->a[i].entry != y->a[i].entry || x->a[i].userid != y->a[i].userid || x->a[i].value != y->a[i].value)
            return false;
    return true;
}
