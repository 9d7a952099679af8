/*
 * The replica state cache on SQLite (fansync/cache.h). Keys are internal mailbox names; values are
 * the MAILBOX line as the replica would say it, so that one reader serves both (sync/state.h).
 *
 * A cache must never be able to end the process, whatever has become of its file. So no page of it is
 * mapped: mmap_size is 0, and the write-ahead log's index is in memory because the file is
 * locked for this process alone (locking_mode EXCLUSIVE). SQLite checks the form of what it
 * reads, each value carries a CRC of itself and its key, and whatever is unexpected has one answer: one
 * line in the log, and the file is removed and made anew; if that fails too, the channel goes on
 * without. A file that another process has locked is not touched.
 *
 * Nothing is forced to disk: the stamp carries the boot id of the machine and the replica's address,
 * and a file with another stamp is thrown away before anything of it is believed.
 *
 * States of a cache: open (db is set), or done without (db is NULL; every look-up finds nothing). Only
 * discard() leads from the first to the second, and no way leads back but its own new file. The mutex guards
 * all of it: the senders of a channel share one cache.
 */
#include "fansync/cache.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fansync/buf.h"
#include "fansync/dlist.h"
#include "fansync/hash.h"
#include "fansync/log.h"
#include "fansync/mem.h"
#include "sync/state.h"

enum { CRC_BYTES = 4 };

struct cache {
    pthread_mutex_t guard;
    char *path, *stamp;
    sqlite3 *db; /* NULL: done without */
    sqlite3_stmt *get, *put, *drop, *drop_tree;
};

struct cache_change {
    struct cache_change *next;
    enum { CHANGE_PUT, CHANGE_DROP, CHANGE_DROP_TREE } kind;
    struct slice name;
    struct slice value;
};

/* ---- opening ---- */

/* Whose state it is, and since which start of the machine. */
static char *make_stamp(const char *replica)
{
    struct buf out = BUF_INIT;
    char boot[64];
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, boot, sizeof boot);
    if (fd >= 0)
        close(fd);
    buf_printf(&out, "2 %s ", replica);
    if (n > 0)
        buf_add(&out, boot, (size_t)n);
    char *stamp = mem_strdup(buf_cstr(&out));
    buf_free(&out);
    return stamp;
}

static int run(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

static int prepare(sqlite3 *db, const char *sql, sqlite3_stmt **out)
{
    return sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
}

static int bind(sqlite3_stmt *st, int i, struct slice s)
{
    return sqlite3_bind_blob64(st, i, s.n ? s.p : "", s.n, SQLITE_STATIC);
}

static struct slice column(sqlite3_stmt *st, int i)
{
    const char *p = sqlite3_column_blob(st, i);
    return slice_of(p, p ? (size_t)sqlite3_column_bytes(st, i) : 0);
}

/* *same: the file says that it is about this replica, since this start of the machine. */
static int read_stamp(struct cache *c, bool *same)
{
    sqlite3_stmt *st = NULL;
    *same = false;
    int rc = prepare(c->db, "SELECT stamp FROM stamp", &st);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        *same = slice_eqs(column(st, 0), c->stamp);
    int end = sqlite3_finalize(st);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? end : rc;
}

static int make_tables(struct cache *c)
{
    sqlite3_stmt *st = NULL;
    int rc = run(c->db, "BEGIN; CREATE TABLE stamp(stamp BLOB);"
                        "CREATE TABLE mailbox(name BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID;");
    if (rc == SQLITE_OK)
        rc = prepare(c->db, "INSERT INTO stamp VALUES (?)", &st);
    if (rc == SQLITE_OK)
        rc = bind(st, 1, slice_str(c->stamp));
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st) == SQLITE_DONE ? SQLITE_OK : sqlite3_errcode(c->db);
    sqlite3_finalize(st);
    return rc == SQLITE_OK ? run(c->db, "COMMIT") : rc;
}

static int prepare_all(struct cache *c)
{
    int rc = prepare(c->db, "SELECT value FROM mailbox WHERE name = ?", &c->get);
    if (rc == SQLITE_OK)
        rc = prepare(c->db, "INSERT OR REPLACE INTO mailbox VALUES (?, ?)", &c->put);
    if (rc == SQLITE_OK)
        rc = prepare(c->db, "DELETE FROM mailbox WHERE name = ?", &c->drop);
    if (rc == SQLITE_OK)
        rc = prepare(c->db, "DELETE FROM mailbox WHERE name >= ? AND name < ?", &c->drop_tree);
    return rc;
}

static void close_db(struct cache *c)
{
    sqlite3_finalize(c->get);
    sqlite3_finalize(c->put);
    sqlite3_finalize(c->drop);
    sqlite3_finalize(c->drop_tree);
    c->get = c->put = c->drop = c->drop_tree = NULL;
    sqlite3_close(c->db);
    c->db = NULL;
}

/* Names of mailboxes are nobody else's to read. */
static bool make_file(const char *path)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* *usable false: the file is about something else, or cannot be read. */
static int open_db(struct cache *c, bool fresh, bool *usable)
{
    /* Not SQLITE_OPEN_NOFOLLOW, which refuses a link anywhere in the path: a site's folder may be one. */
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
    *usable = fresh;
    if (fresh && !make_file(c->path))
        return SQLITE_CANTOPEN;
    int rc = sqlite3_open_v2(c->path, &c->db, flags, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    if (rc == SQLITE_OK)
        rc = run(c->db, "PRAGMA mmap_size = 0; PRAGMA locking_mode = EXCLUSIVE; PRAGMA trusted_schema = OFF;"
                        "PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -512;"
                        "PRAGMA synchronous = OFF; PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 256;");
    if (rc == SQLITE_OK)
        rc = fresh ? make_tables(c) : read_stamp(c, usable);
    if (rc == SQLITE_OK && *usable)
        rc = prepare_all(c);
    if (rc != SQLITE_OK || !*usable)
        close_db(c);
    return rc;
}

static void remove_files(const char *path)
{
    static const char *const ends[] = { "", "-wal", "-shm", "-journal" };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct buf b = BUF_INIT;
        buf_printf(&b, "%s%s", path, ends[i]);
        unlink(buf_cstr(&b));
        buf_free(&b);
    }
}

static bool is_locked(int rc)
{
    return (rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_LOCKED;
}

/* A new file in the place of whatever is there. */
static int begin_anew(struct cache *c)
{
    bool usable;
    remove_files(c->path);
    return open_db(c, true, &usable);
}

/* What cannot be used is removed and made anew, with one line; c is open then, or done without. */
static void discard(struct cache *c, int rc)
{
    struct buf why = BUF_INIT;
    buf_printf(&why, "%s", c->db ? sqlite3_errmsg(c->db) : sqlite3_errstr(rc));
    close_db(c);
    int again = is_locked(rc) ? rc : begin_anew(c);
    if (again == SQLITE_OK)
        log_msg(LOG_WARNING, "%s: the replica state cache is made anew: %s", c->path, buf_cstr(&why));
    else
        log_msg(LOG_WARNING, "%s: continuing without the replica state cache: %s", c->path, buf_cstr(&why));
    buf_free(&why);
}

static void free_cache(struct cache *c)
{
    close_db(c);
    pthread_mutex_destroy(&c->guard);
    free(c->path);
    free(c->stamp);
    free(c);
}

struct err *cache_open(const char *path, const char *replica, struct cache **out)
{
    struct cache *c = mem_alloc(sizeof *c);
    bool usable;
    *c = (struct cache){ .path = mem_strdup(path), .stamp = make_stamp(replica) };
    pthread_mutex_init(&c->guard, NULL);
    int rc = open_db(c, access(path, F_OK) != 0, &usable);
    if (rc == SQLITE_OK && !usable)
        rc = begin_anew(c); /* of another replica or an earlier start of the machine: no fault */
    else if (rc != SQLITE_OK && !is_locked(rc) && access(path, F_OK) == 0) {
        discard(c, rc);
        rc = c->db ? SQLITE_OK : rc;
    }
    if (rc == SQLITE_OK) {
        *out = c;
        return NULL;
    }
    struct err *err = err_new(ERR_IO, "%s: cannot open the replica state cache: %s", path, sqlite3_errstr(rc));
    free_cache(c);
    return err;
}

void cache_close(struct cache *c)
{
    if (c)
        free_cache(c);
}

/* ---- values ---- */

static uint32_t crc_of(struct slice name, struct slice text)
{
    return crc32_add(crc32_add(0, name.p, name.n), text.p, text.n);
}

static void put_crc(char *p, uint32_t crc)
{
    for (int i = 0; i < CRC_BYTES; i++)
        p[i] = (char)(crc >> (8 * i));
}

/* The CRC in front is of the name and what follows. */
static bool check_value(struct slice name, struct slice value, struct slice *text)
{
    char crc[CRC_BYTES];
    if (value.n < CRC_BYTES)
        return false;
    *text = slice_of(value.p + CRC_BYTES, value.n - CRC_BYTES);
    put_crc(crc, crc_of(name, *text));
    return memcmp(crc, value.p, CRC_BYTES) == 0;
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

/* The value into a; an empty one if there is none. */
static int look_up(struct cache *c, struct arena *a, struct slice name, struct slice *text)
{
    int rc = bind(c->get, 1, name);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(c->get);
    if (rc == SQLITE_ROW)
        rc = check_value(name, column(c->get, 0), text) ? SQLITE_DONE : SQLITE_CORRUPT;
    if (rc == SQLITE_DONE)
        *text = arena_dup(a, *text);
    sqlite3_reset(c->get);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

bool cache_get(struct cache *c, struct arena *a, struct slice name, struct replica_mailbox *out)
{
    struct slice text = slice_of("", 0);
    *out = (struct replica_mailbox){ 0 };
    pthread_mutex_lock(&c->guard);
    int rc = c->db ? look_up(c, a, name, &text) : SQLITE_OK;
    if (rc != SQLITE_OK)
        discard(c, rc);
    pthread_mutex_unlock(&c->guard);
    return rc == SQLITE_OK && text.n && parse(a, text, out);
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
    buf_add(&b, "crc.", CRC_BYTES);
    state_write_mailbox(&b, r);
    struct slice value = arena_dup(&l->arena, buf_slice(&b));
    put_crc((char *)(uintptr_t)value.p, crc_of(name, slice_of(value.p + CRC_BYTES, value.n - CRC_BYTES)));
    c->value = value;
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

static int execute(sqlite3_stmt *st, struct slice first, const struct slice *second)
{
    int rc = bind(st, 1, first);
    if (rc == SQLITE_OK && second)
        rc = bind(st, 2, *second);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(st);
    sqlite3_reset(st);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* The mailbox itself, and what begins with its name and a dot: "/" is the byte behind the dot. */
static int drop_tree(struct cache *c, struct slice name)
{
    struct arena a = ARENA_INIT;
    struct slice from = arena_printf(&a, SLICE_FMT ".", SLICE_ARG(name));
    struct slice to = arena_printf(&a, SLICE_FMT "/", SLICE_ARG(name));
    int rc = execute(c->drop, name, NULL);
    if (rc == SQLITE_OK)
        rc = execute(c->drop_tree, from, &to);
    arena_free(&a);
    return rc;
}

static int carry_out(struct cache *c, const struct cache_change *change)
{
    switch (change->kind) {
    case CHANGE_PUT:
        return execute(c->put, change->name, &change->value);
    case CHANGE_DROP:
        return execute(c->drop, change->name, NULL);
    case CHANGE_DROP_TREE:
        return drop_tree(c, change->name);
    }
    return SQLITE_INTERNAL;
}

static int commit(struct cache *c, const struct cache_changes *l)
{
    int rc = run(c->db, "BEGIN IMMEDIATE");
    for (const struct cache_change *x = l->first; x && rc == SQLITE_OK; x = x->next)
        rc = carry_out(c, x);
    return rc == SQLITE_OK ? run(c->db, "COMMIT") : rc;
}

/* What could not be dropped must not be believed later: then all of it goes. */
void cache_commit(struct cache *c, struct cache_changes *l)
{
    pthread_mutex_lock(&c->guard);
    bool gone = c->db && access(c->path, F_OK) != 0; /* with its folder: what is written would be lost */
    int rc = gone ? SQLITE_CANTOPEN : l->first && c->db ? commit(c, l) : SQLITE_OK;
    if (rc != SQLITE_OK)
        discard(c, rc);
    pthread_mutex_unlock(&c->guard);
    arena_reset(&l->arena);
    l->first = NULL;
    l->last = &l->first;
}
