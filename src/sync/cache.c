/*
 * The replica state cache on LMDB (fansync/cache.h). Keys are internal mailbox names, cut off
 * by nothing: a name longer than LMDB's longest key is not cached. Values are the MAILBOX line
 * as the replica would say it, so that one reader serves both (sync/state.h).
 *
 * Writes are not forced to disk (MDB_NOSYNC): the file carries the boot id of the machine, and
 * one of an earlier boot is thrown away unread.
 */
#include "fansync/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fansync/buf.h"
#include "fansync/dlist.h"
#include "fansync/log.h"
#include "fansync/mem.h"
#include "sync/state.h"

#define MAP_SIZE ((size_t)4 << 30) /* of address space; the file grows as needed */
#define STAMP_KEY "\001stamp" /* no mailbox name begins so */

struct cache {
    MDB_env *env;
    MDB_dbi dbi;
    size_t longest_key;
    bool told;
};

struct cache_change {
    struct cache_change *next;
    enum { CHANGE_PUT, CHANGE_DROP, CHANGE_DROP_TREE } kind;
    struct slice name;
    struct slice value;
};

/* ---- opening ---- */

static struct err *fault(const char *path, const char *what, int rc)
{
    return err_new(ERR_IO, "%s: cannot %s: %s", path, what, mdb_strerror(rc));
}

static MDB_val val(struct slice s)
{
    return (MDB_val){ s.n, (void *)(uintptr_t)s.p };
}

static struct slice slice_of_val(const MDB_val *v)
{
    return slice_of(v->mv_data, v->mv_size);
}

static struct slice stamp_key(void)
{
    return slice_of(STAMP_KEY, sizeof STAMP_KEY - 1);
}

/* Whose state it is, and since which start of the machine. */
static void make_stamp(const char *replica, struct buf *out)
{
    char boot[64];
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, boot, sizeof boot);
    if (fd >= 0)
        close(fd);
    buf_printf(out, "1 %s ", replica);
    if (n > 0)
        buf_add(out, boot, (size_t)n);
}

static int check_stamp(struct cache *c, MDB_txn *txn, struct slice stamp)
{
    MDB_val key = val(stamp_key()), found, now = val(stamp);
    int rc = mdb_get(txn, c->dbi, &key, &found);
    if (rc == 0 && slice_eq(slice_of_val(&found), stamp))
        return 0;
    if (rc != 0 && rc != MDB_NOTFOUND)
        return rc;
    rc = mdb_drop(txn, c->dbi, 0);
    return rc ? rc : mdb_put(txn, c->dbi, &key, &now, 0);
}

static int begin_env(struct cache *c, struct slice stamp)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(c->env, NULL, 0, &txn);
    if (rc)
        return rc;
    rc = mdb_dbi_open(txn, NULL, 0, &c->dbi);
    if (!rc)
        rc = check_stamp(c, txn, stamp);
    if (rc) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}

static int open_env(struct cache *c, const char *path, struct slice stamp)
{
    int rc = mdb_env_create(&c->env);
    if (rc)
        return rc;
    rc = mdb_env_set_mapsize(c->env, MAP_SIZE);
    if (!rc)
        rc = mdb_env_open(c->env, path, MDB_NOSUBDIR | MDB_NOSYNC | MDB_NOTLS, 0600);
    if (!rc)
        rc = begin_env(c, stamp);
    if (rc) {
        mdb_env_close(c->env);
        c->env = NULL;
    }
    return rc;
}

static void remove_files(const char *path)
{
    struct buf lock = BUF_INIT;
    buf_printf(&lock, "%s-lock", path);
    unlink(path);
    unlink(buf_cstr(&lock));
    buf_free(&lock);
}

struct err *cache_open(const char *path, const char *replica, struct cache **out)
{
    struct cache *c = mem_alloc(sizeof *c);
    struct buf stamp = BUF_INIT;
    make_stamp(replica, &stamp);
    int rc = open_env(c, path, buf_slice(&stamp));
    if (rc) { /* nothing in it is worth more than the trouble */
        remove_files(path);
        rc = open_env(c, path, buf_slice(&stamp));
    }
    buf_free(&stamp);
    if (rc) {
        free(c);
        return fault(path, "open the replica state cache", rc);
    }
    c->longest_key = (size_t)mdb_env_get_maxkeysize(c->env);
    *out = c;
    return NULL;
}

void cache_close(struct cache *c)
{
    if (!c)
        return;
    mdb_env_close(c->env);
    free(c);
}

/* ---- reading ---- */

static bool parse(struct arena *a, struct slice text, struct replica_mailbox *out)
{
    struct dlist *line;
    struct err *err = dlist_parse(a, text, &line);
    if (!err)
        err = state_read_mailbox(a, line, out);
    bool ok = !err;
    err_free(err);
    return ok;
}

bool cache_get(struct cache *c, struct arena *a, struct slice name, struct replica_mailbox *out)
{
    MDB_txn *txn;
    MDB_val key = val(name), value;
    struct slice text = { NULL, 0 };
    if (name.n == 0 || name.n > c->longest_key || mdb_txn_begin(c->env, NULL, MDB_RDONLY, &txn))
        return false;
    if (mdb_get(txn, c->dbi, &key, &value) == 0)
        text = arena_dup(a, slice_of_val(&value));
    mdb_txn_abort(txn);
    *out = (struct replica_mailbox){ 0 };
    return text.n && parse(a, text, out);
}

/* ---- changing ---- */

void cache_changes_init(struct cache_changes *l)
{
    *l = (struct cache_changes){ ARENA_INIT, NULL, NULL };
    l->last = &l->first;
}

void cache_changes_free(struct cache_changes *l)
{
    arena_free(&l->arena);
    cache_changes_init(l);
}

static struct cache_change *add(struct cache_changes *l, struct slice name)
{
    struct cache_change *c = arena_alloc(&l->arena, sizeof *c);
    c->name = arena_dup(&l->arena, name);
    *l->last = c;
    l->last = &c->next;
    return c;
}

void cache_put(struct cache_changes *l, struct slice name, const struct replica_mailbox *r)
{
    struct buf b = BUF_INIT;
    struct cache_change *c = add(l, name);
    c->kind = CHANGE_PUT;
    state_write_mailbox(&b, r);
    c->value = arena_dup(&l->arena, buf_slice(&b));
    buf_free(&b);
}

void cache_drop(struct cache_changes *l, struct slice name)
{
    add(l, name)->kind = CHANGE_DROP;
}

void cache_drop_tree(struct cache_changes *l, struct slice name)
{
    add(l, name)->kind = CHANGE_DROP_TREE;
}

/* The mailbox itself and what begins with its name and a dot. */
static int drop_tree(struct cache *c, MDB_txn *txn, struct slice name)
{
    MDB_cursor *cursor;
    MDB_val key = val(name), value;
    int rc = mdb_cursor_open(txn, c->dbi, &cursor);
    if (rc)
        return rc;
    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (rc == 0 && slice_begins(slice_of_val(&key), name)) {
        const char *p = key.mv_data;
        if (key.mv_size == name.n || p[name.n] == '.')
            rc = mdb_cursor_del(cursor, 0);
        if (rc == 0)
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int carry_out(struct cache *c, MDB_txn *txn, const struct cache_change *change)
{
    MDB_val key = val(change->name), value = val(change->value);
    if (change->name.n == 0 || change->name.n > c->longest_key)
        return 0;
    if (change->kind == CHANGE_PUT)
        return mdb_put(txn, c->dbi, &key, &value, 0);
    if (change->kind == CHANGE_DROP_TREE)
        return drop_tree(c, txn, change->name);
    int rc = mdb_del(txn, c->dbi, &key, NULL);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int commit(struct cache *c, const struct cache_changes *l)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(c->env, NULL, 0, &txn);
    for (const struct cache_change *x = l->first; x && !rc; x = x->next) {
        rc = carry_out(c, txn, x);
        if (rc)
            mdb_txn_abort(txn);
    }
    return rc ? rc : mdb_txn_commit(txn);
}

static int empty(struct cache *c)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(c->env, NULL, 0, &txn);
    if (rc)
        return rc;
    rc = mdb_drop(txn, c->dbi, 0); /* the stamp too: the next process begins anew */
    if (rc)
        mdb_txn_abort(txn);
    return rc ? rc : mdb_txn_commit(txn);
}

void cache_commit(struct cache *c, struct cache_changes *l)
{
    int rc = l->first ? commit(c, l) : 0;
    if (rc) {
        if (!c->told)
            log_msg(LOG_WARNING, "replica state cache: %s: emptied", mdb_strerror(rc));
        c->told = true;
        empty(c);
    }
    arena_reset(&l->arena);
    l->first = NULL;
    l->last = &l->first;
}
