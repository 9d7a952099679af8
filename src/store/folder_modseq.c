/* Looking up and keeping folders' thread modseqs (store/folder_modseq.h). */
#include "store/folder_modseq.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fansync/guid.h"
#include "fansync/mem.h"
#include "store/same_file.h"

/* Of a user with more folders none is kept: each is searched for in the file. */
#define MOST_FOLDERS 1024

struct row {
    struct slice key;
    struct slice value;
};

struct folder_modseqs {
    struct arena arena; /* of what the slices point to */
    char *path;
    struct stat st;
    bool by_name;  /* keys are "F" and a name, else "F" and a uniqueid */
    bool too_many; /* and therefore no rows */
    struct row *row;
    size_t n;
    size_t cap;
};

static void free_user(struct folder_modseqs *u)
{
    if (!u)
        return;
    arena_free(&u->arena);
    free(u->path);
    free(u);
}

void folder_modseq_init(struct folder_modseq_cache *c)
{
    memset(c, 0, sizeof *c);
    pthread_mutex_init(&c->guard, NULL);
}

void folder_modseq_destroy(struct folder_modseq_cache *c)
{
    for (size_t i = 0; i < FOLDER_MODSEQ_USERS; i++)
        free_user(c->user[i]);
    pthread_mutex_destroy(&c->guard);
}

/* ---- the value ---- */

/* "0 (MODSEQ …)" */
static bool parse_folder(struct slice value, uint64_t *modseq)
{
    if (!slice_starts(value, "0 ("))
        return false;
    size_t i = 3;
    *modseq = 0;
    for (; i < value.n && value.p[i] >= '0' && value.p[i] <= '9'; i++) {
        unsigned digit = (unsigned)(value.p[i] - '0');
        if (*modseq > (UINT64_MAX - digit) / 10)
            return false;
        *modseq = *modseq * 10 + digit;
    }
    return i > 3 && i < value.n && (value.p[i] == ' ' || value.p[i] == ')');
}

static struct err *take_value(struct slice key, struct slice value, uint64_t *out)
{
    if (!parse_folder(value, out))
        return err_new(ERR_CORRUPT, "the value of \"" SLICE_FMT "\" is malformed", SLICE_ARG(key));
    return NULL;
}

static struct slice folder_key(struct arena *a, const struct mbentry *e, bool by_name)
{
    return arena_printf(a, "F" SLICE_FMT, SLICE_ARG(by_name ? e->name : e->uniqueid));
}

/* ---- in the file ---- */

/* Folders are keyed by uniqueid, but in a database not yet upgraded by name. */
static struct err *keyed_by_name(struct db *db, bool *by_name)
{
    struct slice value;
    bool names = false, ids = false;
    TRY(db_get(db, slice_str("$FOLDER_IDS"), &value, &ids));
    if (!ids)
        TRY(db_get(db, slice_str("$FOLDER_NAMES"), &value, &names));
    *by_name = names && !ids;
    return NULL;
}

static struct err *search(struct db *db, struct arena *a, const struct mbentry *e, bool by_name, uint64_t *out)
{
    struct slice key = folder_key(a, e, by_name), value;
    bool found = false;
    TRY(db_get(db, key, &value, &found));
    return found ? take_value(key, value, out) : NULL;
}

static struct err *collect(void *ctx, struct slice key, struct slice value)
{
    struct folder_modseqs *u = ctx;
    u->too_many = u->n == MOST_FOLDERS;
    if (u->too_many)
        return err_new(ERR_BUSY, "more folders than are kept"); /* only ends the walk */
    u->row = arena_grow(&u->arena, u->row, u->n, &u->cap, sizeof *u->row);
    u->row[u->n++] = (struct row){ arena_dup(&u->arena, key), arena_dup(&u->arena, value) };
    return NULL;
}

static struct err *collect_all(struct db *db, struct folder_modseqs *u)
{
    struct err *e = db_foreach(db, slice_str("F"), collect, u);
    if (!u->too_many)
        return e;
    err_free(e);
    arena_free(&u->arena);
    u->row = NULL;
    u->n = u->cap = 0;
    return NULL;
}

/* ---- kept ---- */

static struct err *find_row(const struct folder_modseqs *u, const struct mbentry *e, uint64_t *out)
{
    struct arena a = ARENA_INIT;
    struct slice key = folder_key(&a, e, u->by_name);
    struct err *err = NULL;
    for (size_t i = 0; i < u->n && !err; i++)
        if (slice_eq(u->row[i].key, key))
            err = take_value(key, u->row[i].value, out);
    arena_free(&a);
    return err;
}

static struct folder_modseqs **slot_of(struct folder_modseq_cache *c, const char *path)
{
    return &c->user[crc32_add(0, path, strlen(path)) % FOLDER_MODSEQ_USERS];
}

enum kept { NOT_KEPT, KEPT, TOO_MANY };

/* NOT_KEPT: unknown, or of a file that has changed since. */
static enum kept find_kept(struct folder_modseq_cache *c, const char *path, const struct stat *st,
                           const struct mbentry *e, uint64_t *out, struct err **err)
{
    enum kept k = NOT_KEPT;
    pthread_mutex_lock(&c->guard);
    const struct folder_modseqs *u = *slot_of(c, path);
    if (u && strcmp(u->path, path) == 0)
        k = u->too_many ? TOO_MANY : stat_same_file(&u->st, st) ? KEPT : NOT_KEPT;
    if (k == KEPT)
        *err = find_row(u, e, out);
    pthread_mutex_unlock(&c->guard);
    return k;
}

static void keep(struct folder_modseq_cache *c, struct folder_modseqs *u)
{
    pthread_mutex_lock(&c->guard);
    struct folder_modseqs **slot = slot_of(c, u->path), *old = *slot;
    *slot = u;
    pthread_mutex_unlock(&c->guard);
    free_user(old);
}

/* What the file says; and all of its folders for the next time, if they may be few. */
static struct err *look_into(struct folder_modseq_cache *c, struct db *db, const char *path,
                             const struct mbentry *e, bool all, uint64_t *out)
{
    struct folder_modseqs *u = mem_alloc(sizeof *u);
    struct err *err = keyed_by_name(db, &u->by_name);
    if (!err)
        err = search(db, &u->arena, e, u->by_name, out);
    if (!err && all)
        err = collect_all(db, u);
    if (!err && all && db_stat(db)) {
        u->path = mem_strdup(path);
        u->st = *db_stat(db);
        keep(c, u);
    } else {
        free_user(u);
    }
    return err;
}

struct err *folder_modseq_get(struct folder_modseq_cache *c, const char *path, enum db_text_backend text,
                              const struct mbentry *e, uint64_t *out)
{
    struct stat st;
    struct db *db = NULL;
    struct err *err = NULL;
    *out = 0;
    enum kept k = stat(path, &st) == 0 ? find_kept(c, path, &st, e, out, &err) : NOT_KEPT;
    if (k == KEPT)
        return err_wrap(err, "%s", path);
    TRY(db_read(path, text, DB_ON_DISK, &db));
    err = look_into(c, db, path, e, k == NOT_KEPT, out);
    db_free(db);
    return err_wrap(err, "%s", path);
}
