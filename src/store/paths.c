/*
 * Paths of the store (spec/store.md §2.4-2.11). Called by whoever opens a file of the
 * store; any thread. Every part that comes from a name or an id is checked before it
 * becomes a component: nothing in a database leads out of the configured folders.
 */
#include "store/paths.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "fansync/buf.h"

#define NAME_LIMIT 510 /* of any mailbox name (spec/store.md §2.1) */

static struct slice setting(struct paths *p, const char *option, const char *below_configdir)
{
    const char *v = config_string(p->config, option);
    if (v)
        return arena_dup(&p->arena, slice_str(v));
    return arena_printf(&p->arena, "%s%s", p->configdir.p, below_configdir);
}

static struct slice folder_of(struct arena *a, struct slice path)
{
    const char *slash = path.n ? memrchr(path.p, '/', path.n) : NULL;
    return slash ? arena_dup(a, slice_of(path.p, (size_t)(slash - path.p))) : arena_dup(a, slice_str("."));
}

struct err *paths_init(struct paths *p, const struct config *config, const struct namespace_options *names)
{
    const char *configdir = config_string(config, "configdirectory");
    const char *conversations = config_string(config, "conversations_db_path");
    *p = (struct paths){ .config = config, .names = names };
    if (!configdir)
        return err_new(ERR_CONFIG, "configdirectory is not set");
    p->configdir = arena_dup(&p->arena, slice_str(configdir));
    p->lockroot = setting(p, "mboxname_lockpath", "/lock");
    p->userroot = setting(p, "mboxname_userpath", "");
    p->mailboxes = setting(p, "mboxlist_db_path", "/mailboxes.db");
    p->annotations = setting(p, "annotation_db_path", "/annotations.db");
    p->quota_db = setting(p, "quota_db_path", "/quotas.db");
    p->quota_dir = folder_of(&p->arena, p->quota_db);
    if (conversations)
        p->conversations_dir = arena_dup(&p->arena, slice_str(conversations));
    p->umask = (mode_t)(strtoul(config_string(config, "umask"), NULL, 8) & 0777);
    p->hashimapspool = config_switch(config, "hashimapspool");
    p->fulldirhash = config_switch(config, "fulldirhash");
    p->archive = config_switch(config, "archive_enabled");
    return NULL;
}

void paths_free(struct paths *p)
{
    arena_free(&p->arena);
}

char paths_hash(const struct paths *p, struct slice s)
{
    uint32_t n = 0;
    if (!p->fulldirhash) {
        int c = s.n ? tolower((unsigned char)s.p[0]) : 0;
        return c >= 'a' && c <= 'z' ? (char)c : 'q';
    }
    for (size_t i = 0; i < s.n && s.p[i] != '.'; i++)
        n = ((n << 3) ^ (n >> 5)) ^ (unsigned char)s.p[i];
    return (char)('A' + n % 23);
}

static struct err *check_component(struct slice s)
{
    if (s.n == 0 || s.n > NAME_MAX || memchr(s.p, '/', s.n) || memchr(s.p, '\0', s.n) || slice_eqs(s, ".") ||
        slice_eqs(s, ".."))
        return err_new(ERR_CORRUPT, "\"" SLICE_FMT "\" cannot be part of a path", SLICE_ARG(s));
    return NULL;
}

static struct slice replaced(struct arena *a, struct slice s, char from, char to)
{
    char *p = arena_alloc(a, s.n + 1);
    for (size_t i = 0; i < s.n; i++)
        p[i] = s.p[i] == from ? to : s.p[i];
    return slice_of(p, s.n);
}

static struct slice with_dots(struct arena *a, struct slice s)
{
    return replaced(a, s, '^', '.');
}

struct slice paths_lock_part(struct arena *a, struct slice s)
{
    return replaced(a, s, '.', '^');
}

static struct slice cut(struct slice *rest, char sep)
{
    const char *end = rest->n ? memchr(rest->p, sep, rest->n) : NULL;
    struct slice part = slice_of(rest->p, end ? (size_t)(end - rest->p) : rest->n);
    size_t used = part.n + (end ? 1 : 0);
    *rest = slice_of(rest->p + used, rest->n - used);
    return part;
}

/* The part whose letter spreads a name: the second if there is one. */
static struct slice hashed_part(struct slice name)
{
    struct slice first = cut(&name, '.');
    return name.n ? cut(&name, '.') : first;
}

static void add_letter(const struct paths *p, struct buf *b, struct slice s)
{
    buf_addc(b, '/');
    buf_addc(b, paths_hash(p, s));
}

static void add_slice(struct buf *b, struct slice s)
{
    buf_addc(b, '/');
    buf_add(b, s.p, s.n);
}

/* "/part1/part2…" of an internal name, each checked. */
static struct err *add_parts(struct buf *b, struct slice name)
{
    size_t left = 1;
    for (size_t i = 0; i < name.n; i++)
        left += name.p[i] == '.';
    for (; left; left--) {
        struct slice part = cut(&name, '.');
        TRY(check_component(part));
        add_slice(b, part);
    }
    return NULL;
}

static struct err *add_domain(const struct paths *p, struct buf *b, struct slice domain, bool letter)
{
    if (domain.n == 0)
        return NULL;
    TRY(check_component(domain));
    buf_adds(b, "/domain");
    if (letter)
        add_letter(p, b, domain);
    add_slice(b, domain);
    return NULL;
}

static struct slice cut_domain(struct slice *name)
{
    if (name->n && memchr(name->p, '!', name->n))
        return cut(name, '!');
    return slice_of(NULL, 0);
}

static struct err *add_name(const struct paths *p, struct arena *a, struct buf *b, struct slice name)
{
    struct slice domain = cut_domain(&name);
    TRY(add_domain(p, b, domain, p->hashimapspool));
    if (p->hashimapspool)
        add_letter(p, b, with_dots(a, hashed_part(name)));
    return add_parts(b, name);
}

/* Ends a path under construction: into the arena, or freed with the error. */
static struct err *finish(struct arena *a, struct buf *b, struct err *e, const char **out)
{
    if (!e && buf_len(b) >= PATH_MAX)
        e = err_new(ERR_CORRUPT, "path too long: %.80s...", buf_cstr(b));
    *out = e ? NULL : arena_dup(a, buf_slice(b)).p;
    buf_free(b);
    return e;
}

struct err *paths_of_name(const struct paths *p, struct arena *a, struct slice root, struct slice name,
                          const char **out)
{
    struct buf b = BUF_INIT;
    buf_add(&b, root.p, root.n);
    struct err *e = name.n > NAME_LIMIT
                        ? err_new(ERR_CORRUPT, "mailbox name too long: %.80s...", arena_dup(a, name).p)
                        : add_name(p, a, &b, name);
    return finish(a, &b, e, out);
}

static struct err *check_id(struct slice id)
{
    bool ok = id.n >= 2 && id.n < NAME_MAX;
    for (size_t i = 0; ok && i < id.n; i++)
        ok = isalnum((unsigned char)id.p[i]) || id.p[i] == '-';
    return ok ? NULL : err_new(ERR_CORRUPT, "\"" SLICE_FMT "\" is no uniqueid", SLICE_ARG(id));
}

static struct err *add_id(struct buf *b, struct slice id)
{
    TRY(check_id(id));
    buf_printf(b, "/uuid/%c/%c", id.p[0], id.p[1]);
    add_slice(b, id);
    return NULL;
}

struct err *paths_of_id(struct arena *a, struct slice root, struct slice id, const char **out)
{
    struct buf b = BUF_INIT;
    buf_add(&b, root.p, root.n);
    return finish(a, &b, add_id(&b, id), out);
}

static const char *root_setting(const struct paths *p, struct arena *a, const char *kind, struct slice partition)
{
    return config_overflow(p->config, arena_printf(a, "%s" SLICE_FMT, kind, SLICE_ARG(partition)).p);
}

static bool on_metapartition(const struct paths *p, const char *word)
{
    const char *list = config_string(p->config, "metapartition_files");
    size_t n = strlen(word);
    for (const char *s = list; s && *s;) {
        size_t len = strcspn(s, " \t,");
        if (len == n && strncasecmp(s, word, n) == 0)
            return true;
        s += len + strspn(s + len, " \t,");
    }
    return false;
}

static struct err *spool_root(const struct paths *p, struct arena *a, const struct mbentry *e,
                              const char **root)
{
    TRY(check_component(e->partition));
    *root = root_setting(p, a, "partition-", e->partition);
    if (!*root)
        return err_new(ERR_CONFIG, SLICE_FMT ": partition-" SLICE_FMT " is not in the configuration",
                       SLICE_ARG(e->name), SLICE_ARG(e->partition));
    return NULL;
}

static const struct {
    const char *metadir;
    const char *word; /* of metapartition_files */
    const char *file;
} FILES[] = {
    [FILE_HEADER] = { "metadir-header-", "header", "cyrus.header" },
    [FILE_INDEX] = { "metadir-index-", "index", "cyrus.index" },
    [FILE_ANNOTATIONS] = { "metadir-index-", "annotations", "cyrus.annotations" },
};

/* root, the mailbox's folder below it, and the file's name. */
static struct err *mailbox_path(const struct paths *p, struct arena *a, const struct mbentry *e,
                                const char *root, const char *file, const char **out)
{
    struct buf b = BUF_INIT;
    const char *folder = NULL;
    if (e->flags & MB_LEGACY)
        TRY(paths_of_name(p, a, slice_str(root), e->name, &folder));
    else
        TRY(paths_of_id(a, slice_str(root), e->uniqueid, &folder));
    buf_printf(&b, "%s/%s", folder, file);
    return finish(a, &b, NULL, out);
}

struct err *paths_mailbox_file(const struct paths *p, struct arena *a, const struct mbentry *e,
                               enum mailbox_file f, const char **out)
{
    const char *spool = NULL;
    TRY(spool_root(p, a, e, &spool));
    const char *root = root_setting(p, a, FILES[f].metadir, e->partition);
    if (!root && on_metapartition(p, FILES[f].word))
        root = root_setting(p, a, "metapartition-", e->partition);
    return mailbox_path(p, a, e, root ? root : spool, FILES[f].file, out);
}

struct err *paths_message(const struct paths *p, struct arena *a, const struct mbentry *e, uint32_t uid,
                          uint32_t flags, const char **out)
{
    const char *spool = NULL;
    TRY(spool_root(p, a, e, &spool));
    const char *archive = NULL;
    if ((flags & REC_ARCHIVED) && p->archive)
        archive = root_setting(p, a, "archivepartition-", e->partition);
    return mailbox_path(p, a, e, archive ? archive : spool, arena_printf(a, "%u.", (unsigned)uid).p, out);
}

/* configdir, and the domain's folder below it; the letters of these paths are always
 * there, whatever hashimapspool says. */
static struct err *add_user_by_name(const struct paths *p, struct buf *b, const struct user_home *u,
                                    const char *suffix)
{
    buf_add(b, p->configdir.p, p->configdir.n);
    TRY(add_domain(p, b, u->domain, true));
    if (u->localpart.n == 0) {
        buf_printf(b, "/shared.%s", suffix);
        return NULL;
    }
    TRY(check_component(u->localpart));
    buf_adds(b, "/user");
    add_letter(p, b, u->localpart);
    add_slice(b, u->localpart);
    buf_printf(b, ".%s", suffix);
    return NULL;
}

static struct err *add_user_by_id(const struct paths *p, struct buf *b, const struct user_home *u,
                                  const char *suffix)
{
    buf_add(b, p->userroot.p, p->userroot.n);
    buf_adds(b, "/user");
    TRY(add_id(b, u->uniqueid));
    buf_printf(b, "/%s.db", suffix);
    return NULL;
}

/* All users' conversations in one folder (conversations_db_path). */
static struct err *add_conversations(const struct paths *p, struct buf *b, const struct user_home *u)
{
    TRY(check_component(u->localpart));
    buf_add(b, p->conversations_dir.p, p->conversations_dir.n);
    add_slice(b, u->localpart);
    if (u->domain.n) {
        TRY(check_component(u->domain));
        buf_addc(b, '@');
        buf_add(b, u->domain.p, u->domain.n);
    }
    buf_adds(b, ".conversations");
    return NULL;
}

struct err *paths_user_file(const struct paths *p, struct arena *a, const struct user_home *u,
                            const char *suffix, const char **out)
{
    struct buf b = BUF_INIT;
    struct err *e;
    if (p->conversations_dir.n && strcmp(suffix, "conversations") == 0)
        e = add_conversations(p, &b, u);
    else if (u->uniqueid.n)
        e = add_user_by_id(p, &b, u, suffix);
    else
        e = add_user_by_name(p, &b, u, suffix);
    return finish(a, &b, e, out);
}

/* The letters are always there, as in a user's other paths by name. */
static struct err *add_sieve(const struct paths *p, struct buf *b, const struct user_home *u)
{
    if (u->uniqueid.n)
        return add_id(b, u->uniqueid);
    TRY(add_domain(p, b, u->domain, true));
    TRY(check_component(u->localpart));
    add_letter(p, b, u->localpart);
    add_slice(b, u->localpart);
    return NULL;
}

struct err *paths_sieve(const struct paths *p, struct arena *a, const struct user_home *u, const char **out)
{
    struct buf b = BUF_INIT;
    buf_adds(&b, config_string(p->config, "sievedir"));
    return finish(a, &b, add_sieve(p, &b, u), out);
}

static struct err *add_quota(const struct paths *p, struct buf *b, struct slice root)
{
    struct slice domain = cut_domain(&root);
    TRY(add_domain(p, b, domain, true));
    TRY(check_component(root));
    buf_adds(b, "/quota");
    struct slice behind = root;
    cut(&behind, '.');
    add_letter(p, b, behind.n ? behind : root);
    add_slice(b, root);
    return NULL;
}

struct err *paths_quota_file(const struct paths *p, struct arena *a, struct slice root, const char **out)
{
    struct buf b = BUF_INIT;
    buf_add(&b, p->quota_dir.p, p->quota_dir.n);
    return finish(a, &b, add_quota(p, &b, root), out);
}

/* A server's name may be a socket's path, so that a lock's name can have folders in it;
 * it still has to stay below the root. */
static struct err *check_lock_path(const char *below, struct slice name)
{
    struct slice rest = slice_str(below);
    bool ok = !memchr(name.p, '\0', name.n);
    while (ok && rest.n) {
        struct slice part = cut(&rest, '/');
        ok = part.n <= NAME_MAX && !slice_eqs(part, ".") && !slice_eqs(part, "..");
    }
    return ok ? NULL
              : err_new(ERR_CORRUPT, "\"" SLICE_FMT "\" cannot be the name of a lock", SLICE_ARG(name));
}

static void add_lock_parts(const struct paths *p, struct arena *a, struct buf *b, struct slice name)
{
    struct slice domain = cut_domain(&name);
    if (domain.n) {
        buf_adds(b, "/domain");
        if (p->hashimapspool)
            add_letter(p, b, domain);
        add_slice(b, domain);
    }
    if (p->hashimapspool)
        add_letter(p, b, with_dots(a, hashed_part(name)));
    buf_addc(b, '/');
    for (size_t i = 0; i < name.n; i++)
        buf_addc(b, name.p[i] == '.' ? '/' : name.p[i]);
}

struct err *paths_lock_file(const struct paths *p, struct arena *a, struct slice lockname, const char **out)
{
    struct buf b = BUF_INIT;
    buf_add(&b, p->lockroot.p, p->lockroot.n);
    add_lock_parts(p, a, &b, lockname);
    struct err *e = check_lock_path(buf_cstr(&b) + p->lockroot.n, lockname);
    buf_adds(&b, ".lock");
    return finish(a, &b, e, out);
}
