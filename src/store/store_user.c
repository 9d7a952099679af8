/*
 * A user's subscriptions and seen states (spec/store.md §6.1, §6.2). The engine calls; any
 * thread. Nothing is upgraded or repaired here, as Cyrus would do when it reads.
 */
#include "store/store_internal.h"

#include "fansync/log.h"

struct err *store_user_file(struct store *s, struct arena *a, const struct mbname *m, const char *suffix,
                            const char **path)
{
    struct user_home home;
    TRY(store_user_home(s, a, m, &home));
    return paths_user_file(&s->paths, a, &home, suffix, path);
}

static struct err *open_of_user(struct store *s, struct arena *a, const struct mbname *m, const char *suffix,
                                enum db_text_backend text, unsigned flags, struct db **out)
{
    const char *path = NULL;
    TRY(store_user_file(s, a, m, suffix, &path));
    return db_read(path, text, flags, out);
}

/* ---- subscriptions (§6.2) ---- */

struct sub_reader {
    struct store *store;
    struct arena *arena;
    struct mbname owner;
    bool old_form;
    size_t cap;
    struct subscription_list *out;
};

#define SUB_VERSION_KEY "\x1fVER\x1f"

static struct slice with(struct arena *a, struct slice s, struct slice rest)
{
    return arena_printf(a, SLICE_FMT SLICE_FMT, SLICE_ARG(s), SLICE_ARG(rest));
}

/* From "N" + db name, where "INBOX" stands for the user's own INBOX; what follows it
 * without separator is the mistake of version 2 (user "al", folder of "alice"). */
static struct slice sub_internal(struct sub_reader *r, struct slice key)
{
    const struct namespace_options *o = &r->store->names;
    struct slice db = slice_of(key.p + 1, key.n - 1);
    if (slice_starts(db, "INBOX"))
        db = with(r->arena, names_to_db(r->arena, o, &r->owner), slice_of(db.p + 5, db.n - 5));
    struct mbname m = names_from_db(r->arena, o, db);
    return names_to_internal(r->arena, o, &m);
}

static struct err *take_sub(void *ctx, struct slice key, struct slice value)
{
    struct sub_reader *r = ctx;
    struct subscription_list *out = r->out;
    (void)value;
    if (key.n && memchr(key.p, '\0', key.n))
        return err_new(ERR_CORRUPT, "a subscription with a NUL in its name");
    if (slice_eqs(key, SUB_VERSION_KEY) || (!r->old_form && !slice_starts(key, "N")) || key.n == 0)
        return NULL;
    out->name = arena_grow(r->arena, out->name, out->n, &r->cap, sizeof *out->name);
    out->name[out->n++] = r->old_form ? arena_dup(r->arena, key) : sub_internal(r, key);
    return NULL;
}

static struct err *read_subs(struct sub_reader *r, struct db *db)
{
    struct slice version;
    bool versioned = false;
    TRY(db_get(db, slice_str(SUB_VERSION_KEY), &version, &versioned));
    if (versioned && !slice_eqs(version, "2") && !slice_eqs(version, "3"))
        return err_new(ERR_NOTSUPPORTED, "subscriptions of version \"" SLICE_FMT "\"", SLICE_ARG(version));
    r->old_form = !versioned;
    return db_foreach(db, slice_of("", 0), take_sub, r);
}

struct err *store_subscriptions(struct store *s, struct arena *a, struct slice userid,
                                struct subscription_list *out)
{
    struct db *db = NULL;
    struct sub_reader r = { .store = s, .arena = a, .out = out };
    *out = (struct subscription_list){ NULL, 0 };
    TRY(store_inbox_of(s, a, userid, &r.owner));
    unsigned order = config_switch(s->config, "improved_mboxlist_sort") ? DB_MBOX_ORDER : 0;
    TRY(open_of_user(s, a, &r.owner, "sub", s->text_subscription, order, &db));
    struct err *e = read_subs(&r, db);
    db_free(db);
    return e ? err_wrap(e, SLICE_FMT, SLICE_ARG(userid)) : NULL;
}

/* ---- seen (§6.1) ---- */

/* The decimal number up to the next blank or the end. */
static bool cut_number(struct slice *s, int64_t max, int64_t *out)
{
    size_t i = 0;
    *out = 0;
    for (; i < s->n && s->p[i] >= '0' && s->p[i] <= '9'; i++) {
        int digit = s->p[i] - '0';
        if (*out > (max - digit) / 10)
            return false;
        *out = *out * 10 + digit;
    }
    if (i == 0 || (i < s->n && s->p[i] != ' '))
        return false;
    if (i < s->n)
        i++;
    *s = slice_of(s->p + i, s->n - i);
    return true;
}

static bool parse_seen(struct arena *a, struct slice key, struct slice value, struct seen_row *out)
{
    int64_t version, uid;
    struct slice rest = value;
    if (!cut_number(&rest, 1, &version) || version != 1 || !cut_number(&rest, INT64_MAX, &out->lastread) ||
        !cut_number(&rest, UINT32_MAX, &uid) || !cut_number(&rest, INT64_MAX, &out->lastchange))
        return false;
    out->lastuid = (uint32_t)uid;
    out->uniqueid = arena_dup(a, key);
    out->uids = arena_dup(a, rest);
    return true;
}

struct seen_reader {
    struct arena *arena;
    struct slice userid;
    size_t cap;
    struct seen_list *out;
};

/* A row that cannot be read is not sent: nothing is ever removed for want of one. */
static struct err *take_seen(void *ctx, struct slice key, struct slice value)
{
    struct seen_reader *r = ctx;
    struct seen_list *out = r->out;
    struct seen_row row;
    if (!parse_seen(r->arena, key, value, &row)) {
        log_msg(LOG_WARNING, "seen state of " SLICE_FMT ": the row of " SLICE_FMT " is malformed",
                SLICE_ARG(r->userid), SLICE_ARG(key));
        return NULL;
    }
    out->row = arena_grow(r->arena, out->row, out->n, &r->cap, sizeof *out->row);
    out->row[out->n++] = row;
    return NULL;
}

struct err *store_seen(struct store *s, struct arena *a, struct slice userid, struct seen_list *out)
{
    struct db *db = NULL;
    struct seen_reader r = { .arena = a, .userid = userid, .out = out };
    *out = (struct seen_list){ NULL, 0 };
    struct mbname owner;
    TRY(store_inbox_of(s, a, userid, &owner));
    TRY(open_of_user(s, a, &owner, "seen", s->text_seen, 0, &db));
    struct err *e = db_foreach(db, slice_of("", 0), take_seen, &r);
    db_free(db);
    return e;
}
