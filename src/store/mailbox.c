/*
 * One open mailbox: its locks in Cyrus's order, and its header as a snapshot (spec/store.md
 * §7.3, §8.2). Keeps invariant 3 of the design: everything is read between open and close,
 * nothing waits for the network in between.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fansync/guid.h"
#include "fansync/log.h"
#include "fansync/mem.h"
#include "store/annot.h"
#include "store/header_file.h"
#include "store/mailbox_internal.h"

#define OPEN_TRIES 10 /* a mailbox that is renamed again and again is left for later */
#define OPTION_DELETED (1u << 31)

/* ---- locks ---- */

/* Closing the only descriptor of a lock releases it. */
static void drop_lock(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void drop_list(struct mailbox *m)
{
    if (m->list)
        store_list_put(m->store, m->list);
    m->list = NULL;
}

/* Of the list as it is now, which is kept in m. */
static struct err *current_entry(struct mailbox *m, struct arena *a, struct slice name, struct mbentry *e)
{
    bool found;
    drop_list(m);
    TRY(store_list_get(m->store, &m->list));
    TRY(store_list_find(m->store, m->list, a, name, e, &found));
    if (!found || !mbentry_is_live(e))
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

/* ---- the index ---- */

struct err *mailbox_pread(int fd, const char *path, char *p, size_t n, uint64_t off, size_t *got)
{
    *got = 0;
    while (*got < n) {
        ssize_t r = pread(fd, p + *got, n - *got, (off_t)(off + *got));
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return err_errno("%s: cannot read", path);
        if (r == 0)
            return NULL;
        *got += (size_t)r;
    }
    return NULL;
}

/* Whoever replaces the file (a repack) holds the name lock exclusively, which we hold
 * shared: the path names this inode until the mailbox is closed (spec/store.md §5.5). */
static struct err *lock_index(struct mailbox *m, struct arena *a)
{
    TRY(paths_mailbox_file(&m->store->paths, a, &m->h->entry, FILE_INDEX, &m->index_path));
    m->index_fd = open(m->index_path, O_RDONLY | O_CLOEXEC);
    /* the list says that it is there: its absence is damage, not deletion */
    if (m->index_fd < 0 && errno == ENOENT)
        return err_new(ERR_IO, "%s: the file is missing", m->index_path);
    if (m->index_fd < 0)
        return err_errno("%s: cannot open", m->index_path);
    return lock_fd(m->index_fd, LOCK_SHARED, LOCK_WAIT_MS, m->index_path);
}

static struct err *open_index(struct mailbox *m, struct arena *a)
{
    char bytes[INDEX_HEADER_MAX];
    struct stat st;
    size_t got;
    TRY(lock_index(m, a));
    if (fstat(m->index_fd, &st) < 0)
        return err_errno("%s: cannot stat", m->index_path);
    TRY(mailbox_pread(m->index_fd, m->index_path, bytes, sizeof bytes, 0, &got));
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

/* ---- the header file ---- */

static struct err *read_header_text(const char *path, struct buf *text)
{
    bool found;
    buf_clear(text);
    TRY(store_read_small(path, text, &found));
    return found ? NULL : err_new(ERR_IO, "%s: the file is missing", path);
}

/* It is replaced by rename under the index lock, so a file of another CRC than the index
 * says is stale or damaged; one more look tells. Cyrus only logs it (§5.1). */
static struct err *read_checked_header_text(const struct mailbox *m, const char *path, struct buf *text)
{
    for (int i = 0; i < 2; i++) {
        TRY(read_header_text(path, text));
        if (crc32_add(0, buf_ptr(text), buf_len(text)) == m->index.header_file_crc)
            return NULL;
    }
    log_msg(LOG_WARNING, "%s: its CRC is not the one in cyrus.index; going on as Cyrus does", path);
    return NULL;
}

static struct err *read_header_file(struct mailbox *m, struct arena *a)
{
    const char *path;
    struct buf text = BUF_INIT;
    struct header_file f;
    TRY(paths_mailbox_file(&m->store->paths, a, &m->h->entry, FILE_HEADER, &path));
    struct err *err = read_checked_header_text(m, path, &text);
    if (!err)
        err = header_file_parse(a, path, buf_slice(&text), &f);
    buf_free(&text);
    if (err)
        return err;
    m->h->quotaroot = f.quotaroot;
    m->h->userflags = f.flag;
    m->h->nuserflags = f.nflags;
    return NULL;
}

/* ---- everything else ---- */

static struct err *global_annotations(struct store *s, struct arena *a, struct slice key, struct slice userid,
                                      struct annotation_list *out)
{
    const char *path = s->paths.annotations.p;
    struct shared_db_look look;
    TRY(shared_db_get(&s->annotations, path, s->text_annotation, &look));
    struct err *err = annot_mailbox(a, look.db, key, userid, out);
    shared_db_put(&s->annotations, &look);
    return err_wrap(err, "%s", path);
}

static struct err *read_mailbox_annotations(struct mailbox *m, struct arena *a)
{
    /* Cyrus 3.2 to 3.4 key mailboxes' annotations by name too (spec/store.md §5.7) */
    struct slice key = m->list->old_form ? m->h->entry.name : m->h->entry.uniqueid;
    return global_annotations(m->store, a, key, m->userid, &m->h->annotations);
}

struct err *store_server_annotations(struct store *s, struct arena *a, struct annotation_list *out)
{
    return global_annotations(s, a, slice_of("", 0), slice_of("", 0), out);
}

static struct err *read_header(struct mailbox *m, struct arena *a)
{
    TRY(open_index(m, a));
    take_index_header(m);
    TRY(read_header_file(m, a));
    TRY(read_mailbox_annotations(m, a));
    TRY(store_xconvmodseq(m->store, &m->h->entry, &m->h->xconvmodseq));
    TRY(store_raclmodseq(m->store, &m->h->entry, &m->h->raclmodseq));
    m->h->usergroups = store_list_usergroups(m->list, a, m->userid);
    return paths_mailbox_file(&m->store->paths, a, &m->h->entry, FILE_ANNOTATIONS, &m->annotations_path);
}

struct err *store_mailbox_open(struct store *s, struct arena *a, struct slice name, struct mailbox **out)
{
    struct mailbox *m = mem_alloc(sizeof *m);
    *m = (struct mailbox){ .store = s, .namespace = NAMESPACE_LOCK_INIT, .name_fd = -1, .index_fd = -1 };
    m->h = arena_alloc(a, sizeof *m->h);
    struct mbname parts = names_from_internal(a, &s->names, name);
    m->userid = names_userid(a, &parts);
    struct err *err = lock_namespace(&s->paths, &parts, &m->namespace);
    if (!err)
        err = lock_entry(m, a, name);
    if (!err)
        err = read_header(m, a);
    drop_list(m);
    if (err) {
        store_mailbox_close(m);
        return err;
    }
    *out = m;
    return NULL;
}

void store_mailbox_close(struct mailbox *m)
{
    drop_lock(&m->index_fd);
    lock_namespace_drop(&m->namespace);
    drop_lock(&m->name_fd);
    free(m);
}

const struct mailbox_header *mailbox_header(const struct mailbox *m)
{
    return m->h;
}
