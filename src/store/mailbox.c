/*
 * One open mailbox: its locks in Cyrus's order, its header and records as snapshots
 * (spec/store.md §7.3, §8.2). Keeps invariant 3 of the design: everything is read between
 * open and close, nothing waits for the network in between.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fansync/log.h"
#include "fansync/mem.h"
#include "fansync/sync_crc.h"
#include "store/annot.h"
#include "store/header_file.h"
#include "store/index_format.h"
#include "store/lock.h"
#include "store/store_internal.h"

enum {
    OPEN_TRIES = 10,       /* a mailbox that is renamed again and again is left for later */
    BLOCK_RECORDS = 512,   /* read at a time */
    OPTION_DELETED = 1u << 31,
};

struct mailbox {
    struct store *store;
    struct slice userid;
    struct mailbox_header *h; /* in the caller's arena: it outlives the locks */
    struct index_header index;
    const char *index_path, *annotations_path;
    struct namespace_lock namespace;
    int name_fd, index_fd;
};

/* ---- locks ---- */

/* Closing the only descriptor of a lock releases it. */
static void drop_lock(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static struct err *current_entry(struct mailbox *m, struct arena *a, struct slice name, struct mbentry *e)
{
    const unsigned unreadable = MB_DELETED | MB_INTERMEDIATE | MB_MOVING | MB_REMOTE | MB_RESERVED;
    bool found;
    TRY(store_lookup(m->store, a, name, e, &found));
    if (!found || (e->flags & unreadable))
        return err_new(ERR_NONEXISTENT, SLICE_FMT " is no local mailbox", SLICE_ARG(name));
    return NULL;
}

/* The name lock pins the files; the entry must be the same before and after. */
static struct err *lock_entry(struct mailbox *m, struct arena *a, struct slice name)
{
    struct mbentry before, after;
    for (int i = 0; i < OPEN_TRIES; i++) {
        TRY(current_entry(m, a, name, &before));
        TRY(lock_mailbox_name(&m->store->paths, &before, &m->name_fd));
        TRY(current_entry(m, a, name, &after));
        if (slice_eq(before.uniqueid, after.uniqueid) && slice_eq(before.partition, after.partition) &&
            before.flags == after.flags) {
            m->h->entry = after;
            return NULL;
        }
        drop_lock(&m->name_fd);
    }
    return err_new(ERR_BUSY, SLICE_FMT " keeps being renamed", SLICE_ARG(name));
}

static void release_locks(struct mailbox *m)
{
    drop_lock(&m->index_fd);
    lock_namespace_drop(&m->namespace);
    drop_lock(&m->name_fd);
}

/* ---- the header ---- */

static struct err *read_at(int fd, const char *path, char *p, size_t n, uint64_t off, size_t *got)
{
    *got = 0;
    while (*got < n) {
        ssize_t r = pread(fd, p + *got, n - *got, (off_t)(off + *got));
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return err_errno("read %s", path);
        if (r == 0)
            return NULL;
        *got += (size_t)r;
    }
    return NULL;
}

static struct err *open_index(struct mailbox *m, struct arena *a)
{
    char bytes[INDEX_HEADER_MAX];
    struct stat st;
    size_t got;
    TRY(paths_mailbox_file(&m->store->paths, a, &m->h->entry, FILE_INDEX, &m->index_path));
    struct err *err = lock_open(m->index_path, O_RDONLY, LOCK_SHARED, LOCK_WAIT_MS, &m->index_fd);
    if (err) {
        /* the list says that it is there: its absence is damage, not deletion */
        if (err->kind == ERR_NONEXISTENT)
            err->kind = ERR_IO;
        return err;
    }
    if (fstat(m->index_fd, &st) < 0)
        return err_errno("stat %s", m->index_path);
    TRY(read_at(m->index_fd, m->index_path, bytes, sizeof bytes, 0, &got));
    TRY(index_parse_header(m->index_path, bytes, got, (uint64_t)st.st_size, &m->index));
    if (m->index.options & OPTION_DELETED)
        return err_new(ERR_NONEXISTENT, SLICE_FMT " is being deleted", SLICE_ARG(m->h->entry.name));
    return NULL;
}

static void take_index_header(struct mailbox *m)
{
    const struct index_header *i = &m->index;
    struct mailbox_header *h = m->h;
    h->minor = i->minor;
    h->num_records = i->num_records;
    h->exists = i->exists;
    h->last_uid = i->last_uid;
    h->uidvalidity = i->uidvalidity;
    h->recentuid = i->recentuid;
    h->options = i->options & MBOPT_SYNCED;
    if (i->exists == 0)
        h->options |= MBOPT_POP3_NEW_UIDL; /* as every Cyrus reads it (§5.3) */
    h->sync_crc = i->sync_crc;
    h->sync_crc_annot = i->sync_crc_annot;
    h->highestmodseq = i->highestmodseq;
    h->deletedmodseq = i->deletedmodseq;
    h->createdmodseq = i->createdmodseq;
    h->recenttime = i->recenttime;
    h->last_appenddate = i->last_appenddate;
    h->pop3_last_login = i->pop3_last_login;
    h->pop3_show_after = i->pop3_show_after;
}

static struct err *read_header_file(struct mailbox *m, struct arena *a)
{
    const char *path;
    struct buf text = BUF_INIT;
    struct header_file f;
    bool found;
    TRY(paths_mailbox_file(&m->store->paths, a, &m->h->entry, FILE_HEADER, &path));
    struct err *err = store_read_small(path, &text, &found);
    if (!err && !found)
        err = err_new(ERR_IO, "%s: the file is missing", path);
    if (!err)
        err = header_file_parse(a, path, arena_dup(a, buf_slice(&text)), &f);
    if (!err && crc32_add(0, buf_ptr(&text), buf_len(&text)) != m->index.header_file_crc)
        log_msg(LOG_WARNING, "%s: its CRC is not the one in cyrus.index; going on as Cyrus does", path);
    buf_free(&text);
    if (err)
        return err;
    m->h->quotaroot = f.quotaroot;
    m->h->userflags = f.flag;
    m->h->nuserflags = f.nflags;
    return NULL;
}

static struct err *read_mailbox_annotations(struct mailbox *m, struct arena *a)
{
    struct store *s = m->store;
    struct db *d;
    bool by_name;
    TRY(store_is_old_form(s, &by_name));
    TRY(db_read(s->paths.annotations.p, s->text_annotation, DB_ON_DISK, &d));
    struct err *err = annot_mailbox(a, d, by_name ? m->h->entry.name : m->h->entry.uniqueid, m->userid,
                                    &m->h->annotations);
    db_free(d);
    return err_wrap(err, "%s", s->paths.annotations.p);
}

static struct err *read_header(struct mailbox *m, struct arena *a)
{
    TRY(open_index(m, a));
    take_index_header(m);
    TRY(read_header_file(m, a));
    TRY(read_mailbox_annotations(m, a));
    TRY(store_xconvmodseq(m->store, &m->h->entry, &m->h->xconvmodseq));
    TRY(store_raclmodseq(m->store, &m->h->entry, &m->h->raclmodseq));
    TRY(store_usergroups(m->store, a, &m->h->entry, &m->h->usergroups));
    return paths_mailbox_file(&m->store->paths, a, &m->h->entry, FILE_ANNOTATIONS, &m->annotations_path);
}

struct err *store_mailbox_open(struct store *s, struct arena *a, struct slice name, struct mailbox **out)
{
    struct mailbox *m = mem_alloc(sizeof *m);
    m->store = s;
    m->h = arena_alloc(a, sizeof *m->h);
    struct mbname parts = names_from_internal(a, &s->names, name);
    m->userid = names_userid(a, &parts);
    m->name_fd = m->index_fd = m->namespace.fd[0] = m->namespace.fd[1] = -1;
    struct err *err = lock_namespace(&s->paths, &parts, &m->namespace);
    if (!err)
        err = lock_entry(m, a, name);
    if (!err)
        err = read_header(m, a);
    if (err) {
        store_mailbox_close(m);
        return err;
    }
    *out = m;
    return NULL;
}

void store_mailbox_close(struct mailbox *m)
{
    release_locks(m);
    free(m);
}

const struct mailbox_header *mailbox_header(const struct mailbox *m)
{
    return m->h;
}

/* ---- records ---- */

struct wanted {
    uint64_t since_modseq;
    uint32_t since_uid;
    char *bytes; /* of the wanted records, record_size each */
    uint32_t *index;
    size_t n, cap_bytes, cap_index;
};

static struct err *take_block(const struct mailbox *m, const char *block, uint32_t first, uint32_t count,
                              uint32_t *last_uid, struct wanted *w)
{
    const struct index_header *h = &m->index;
    for (uint32_t i = 0; i < count; i++) {
        const char *p = block + (size_t)i * h->record_size;
        uint32_t uid;
        uint64_t modseq;
        TRY(index_check_record(m->index_path, h, first + i, p, &uid, &modseq));
        if (uid == 0)
            continue;
        if (uid <= *last_uid)
            return err_new(ERR_CORRUPT, "%s: offset %llu: index record %u: uid %u after uid %u", m->index_path,
                           (unsigned long long)(h->start_offset + (uint64_t)(first + i) * h->record_size),
                           first + i + 1, uid, *last_uid);
        *last_uid = uid;
        if (modseq <= w->since_modseq && uid <= w->since_uid)
            continue;
        w->bytes = mem_grow(w->bytes, w->n, &w->cap_bytes, h->record_size);
        w->index = mem_grow(w->index, w->n, &w->cap_index, sizeof *w->index);
        memcpy(w->bytes + w->n * h->record_size, p, h->record_size);
        w->index[w->n++] = first + i;
    }
    return NULL;
}

static struct err *collect(const struct mailbox *m, struct wanted *w)
{
    const struct index_header *h = &m->index;
    char *block = mem_array(BLOCK_RECORDS, h->record_size);
    struct err *err = NULL;
    uint32_t last_uid = 0;
    for (uint32_t first = 0; first < h->num_records && !err; first += BLOCK_RECORDS) {
        uint32_t count = h->num_records - first;
        if (count > BLOCK_RECORDS)
            count = BLOCK_RECORDS;
        size_t want = (size_t)count * h->record_size, got;
        uint64_t off = h->start_offset + (uint64_t)first * h->record_size;
        err = read_at(m->index_fd, m->index_path, block, want, off, &got);
        if (!err && got < want)
            err = err_new(ERR_CORRUPT, "%s: offset %llu: index ends inside its records", m->index_path,
                          (unsigned long long)(off + got));
        if (!err)
            err = take_block(m, block, first, count, &last_uid, w);
    }
    free(block);
    return err;
}

static void make_columns(struct arena *a, size_t n, struct records *r)
{
    memset(r, 0, sizeof *r);
    r->n = n;
#define COLUMN(c) r->c = arena_array(a, n, sizeof *r->c)
    COLUMN(uid);
    COLUMN(modseq);
    COLUMN(last_updated);
    COLUMN(internaldate);
    COLUMN(size);
    COLUMN(flags);
    COLUMN(userflags);
    COLUMN(guid);
    COLUMN(cid);
    COLUMN(savedate);
    COLUMN(createdmodseq);
#undef COLUMN
}

static struct err *fill_columns(const struct mailbox *m, const struct wanted *w, struct records *r)
{
    for (size_t i = 0; i < w->n; i++) {
        struct index_record rec;
        TRY(index_parse_record(m->index_path, &m->index, w->index[i], w->bytes + i * m->index.record_size, &rec));
        if (guid_is_null(&rec.guid) && !(rec.flags & REC_EXPUNGED))
            return err_new(ERR_NOTSUPPORTED, "%s: index record %u (uid %u) has no GUID", m->index_path,
                           w->index[i] + 1, rec.uid);
        r->uid[i] = rec.uid;
        r->modseq[i] = rec.modseq;
        r->last_updated[i] = rec.last_updated;
        r->internaldate[i] = rec.internaldate;
        r->size[i] = rec.size;
        r->flags[i] = rec.flags;
        memcpy(r->userflags[i], rec.userflags, sizeof rec.userflags);
        r->guid[i] = rec.guid;
        r->cid[i] = rec.cid;
        r->savedate[i] = rec.savedate;
        r->createdmodseq[i] = rec.createdmodseq;
    }
    return NULL;
}

static struct err *attach_annotations(const struct mailbox *m, struct arena *a, struct records *r)
{
    struct db *d;
    struct message_annotations all;
    TRY(db_read(m->annotations_path, m->store->text_annotation, 0, &d));
    struct err *err = annot_messages(a, d, m->userid, &all);
    db_free(d);
    if (err)
        return err_wrap(err, "%s", m->annotations_path);
    if (all.n == 0)
        return NULL;
    r->annotations = arena_array(a, r->n, sizeof *r->annotations);
    for (size_t i = 0; i < r->n; i++)
        r->annotations[i] = annot_of_uid(a, &all, r->uid[i]);
    return NULL;
}

struct err *mailbox_records(struct mailbox *m, struct arena *a, uint64_t since_modseq, uint32_t since_uid,
                            struct records *out)
{
    struct wanted w = { .since_modseq = since_modseq, .since_uid = since_uid };
    struct err *err = collect(m, &w);
    make_columns(a, err ? 0 : w.n, out);
    if (!err)
        err = fill_columns(m, &w, out);
    if (!err && out->n)
        err = attach_annotations(m, a, out);
    free(w.bytes);
    free(w.index);
    return err;
}

struct err *mailbox_compute_crcs(struct mailbox *m, uint32_t *basic, uint32_t *annot)
{
    struct arena a = ARENA_INIT;
    struct records all;
    struct err *err = mailbox_records(m, &a, 0, 0, &all);
    if (!err) {
        struct sync_crcs c = sync_crc_compute(m->h, &all);
        *basic = c.basic;
        *annot = c.annot;
    }
    arena_free(&a);
    return err;
}

/* ---- message files ---- */

static struct err *open_message(struct store *s, struct arena *a, const struct mbentry *e, uint32_t uid,
                                uint32_t flags, int *fd)
{
    const char *path;
    TRY(paths_message(&s->paths, a, e, uid, flags, &path));
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return *fd < 0 ? err_errno("open %s", path) : NULL;
}

struct err *store_message_open(struct store *s, const struct mbentry *e, uint32_t uid, uint32_t flags, uint64_t size,
                               int *fd)
{
    struct arena a = ARENA_INIT;
    struct err *err = open_message(s, &a, e, uid, flags, fd);
    /* between snapshot and now it may have been archived or brought back */
    if (err && err->kind == ERR_NONEXISTENT && s->paths.archive) {
        err_free(err);
        err = open_message(s, &a, e, uid, flags ^ REC_ARCHIVED, fd);
    }
    arena_free(&a);
    if (err && err->kind == ERR_NONEXISTENT)
        err->kind = ERR_BUSY; /* cleaned up since; a new snapshot will not have it */
    if (err)
        return err;
    struct stat st;
    if (fstat(*fd, &st) < 0)
        err = err_errno("stat message uid %u", uid);
    else if ((uint64_t)st.st_size != size)
        err = err_new(ERR_CORRUPT, "message file of uid %u has %llu bytes, its record says %llu", uid,
                      (unsigned long long)st.st_size, (unsigned long long)size);
    if (err)
        close(*fd);
    return err;
}
