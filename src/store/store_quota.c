/*
 * Quota roots (spec/store.md §6.3), from the tree of small files or from a database. The
 * engine calls; any thread. Only limits and modseq are read: usage is not replicated.
 */
#include "store/store_internal.h"

#include <stdlib.h>
#include <string.h>
#include "fansync/dlist.h"

/* The first element of a resource's list is the use, the second the limit; a list of
 * one has no limit. */
static struct err *read_limit(const struct dlist *list, int64_t *out)
{
    const struct dlist *limit = list->first ? list->first->next : NULL;
    *out = QUOTA_UNLIMITED;
    if (list->type != DLIST_LIST)
        return err_new(ERR_CORRUPT, "a resource that is no list");
    if (!limit)
        return NULL;
    char *end = NULL;
    char digits[24];
    if (limit->type != DLIST_STRING || limit->str.n == 0 || limit->str.n >= sizeof digits)
        return err_new(ERR_CORRUPT, "a malformed limit");
    memcpy(digits, limit->str.p, limit->str.n);
    digits[limit->str.n] = '\0';
    long long v = strtoll(digits, &end, 10);
    if (*end || v < QUOTA_UNLIMITED)
        return err_new(ERR_CORRUPT, "a malformed limit");
    *out = v;
    return NULL;
}

static const char *const RESOURCES[QUOTA_RESOURCES] = {
    [QUOTA_STORAGE] = "S",
    [QUOTA_MESSAGE] = "M",
    [QUOTA_ANNOTATION] = "AS",
    [QUOTA_FOLDERS] = "NF",
};

static struct err *read_dlist(struct arena *a, struct slice value, struct quota *out)
{
    struct dlist *v = NULL;
    TRY(dlist_parse(a, value, &v));
    if (v->type != DLIST_KVLIST)
        return err_new(ERR_CORRUPT, "is no list of resources");
    for (size_t i = 0; i < QUOTA_RESOURCES; i++) {
        const struct dlist *list = dlist_get(v, RESOURCES[i]);
        if (list)
            TRY(read_limit(list, &out->limit[i]));
    }
    if (dlist_get(v, "MODSEQ") && !dlist_u64(v, "MODSEQ", &out->modseq))
        return err_new(ERR_CORRUPT, "a malformed MODSEQ");
    return NULL;
}

/* Of Cyrus before 2.5: "used limit [M used limit] [AS …] [NF …]", or on two lines. The
 * pairs are named by the word before them, the first has none. */
static struct err *read_old(struct arena *a, struct slice value, struct quota *out)
{
    char *save = NULL;
    char *text = arena_alloc(a, value.n + 1);
    memcpy(text, value.p, value.n);
    size_t resource = QUOTA_STORAGE;
    for (char *w = strtok_r(text, " \n", &save); w; w = strtok_r(NULL, " \n", &save)) {
        for (size_t i = 0; i < QUOTA_RESOURCES; i++)
            if (strcmp(w, RESOURCES[i]) == 0) {
                resource = i;
                w = strtok_r(NULL, " \n", &save);
                break;
            }
        char *limit = w ? strtok_r(NULL, " \n", &save) : NULL;
        char *end = NULL;
        long long v = limit ? strtoll(limit, &end, 10) : 0;
        if (!limit || end == limit || *end || v < QUOTA_UNLIMITED)
            return err_new(ERR_CORRUPT, "a malformed limit");
        out->limit[resource] = v;
    }
    return NULL;
}

static struct err *read_value(struct arena *a, struct slice value, struct quota *out)
{
    for (size_t i = 0; i < QUOTA_RESOURCES; i++)
        out->limit[i] = QUOTA_UNLIMITED;
    if (value.n && (value.p[0] == '%' || value.p[0] == '('))
        return read_dlist(a, value, out);
    return value.n ? read_old(a, value, out) : err_new(ERR_CORRUPT, "is empty");
}

static struct err *from_file(struct store *s, struct arena *a, struct slice root, struct quota *out,
                             bool *found)
{
    const char *path = NULL;
    struct buf b = BUF_INIT;
    TRY(paths_quota_file(&s->paths, a, root, &path));
    struct err *e = store_read_small(path, &b, found);
    struct slice text = buf_slice(&b);
    if (!e && *found && (text.n == 0 || text.p[text.n - 1] != '\n'))
        e = err_new(ERR_CORRUPT, "does not end in a line feed");
    else if (!e && *found)
        e = read_value(a, slice_of(text.p, text.n - 1), out);
    buf_free(&b);
    return e ? err_wrap(e, "%s", path) : NULL;
}

static struct err *from_database(struct store *s, struct arena *a, struct slice root, struct quota *out,
                                 bool *found)
{
    struct db *db = NULL;
    struct slice value;
    unsigned order = config_switch(s->config, "improved_mboxlist_sort") ? DB_MBOX_ORDER : 0;
    TRY(db_read(s->paths.quota_db.p, s->text_quota, DB_ON_DISK | order, &db));
    struct err *e = db_get(db, root, &value, found);
    if (!e && *found)
        e = read_value(a, value, out);
    db_free(db);
    return e ? err_wrap(e, "%s: " SLICE_FMT, s->paths.quota_db.p, SLICE_ARG(root)) : NULL;
}

struct err *store_quota(struct store *s, struct arena *a, struct slice root, struct quota *out, bool *found)
{
    *found = false;
    *out = (struct quota){ .root = arena_dup(a, root) };
    if (strcmp(config_string(s->config, "quota_db"), "quotalegacy") == 0)
        return from_file(s, a, root, out, found);
    return from_database(s, a, root, out, found);
}
