/*
 * A user's sieve scripts (spec/store.md §2.9, §6.4): messages of his #sieve mailbox, or,
 * before 3.6 and until Cyrus has moved them, files of a folder. Wanted only for replicas that
 * take scripts one by one; all others get the mailbox. The engine calls; any thread.
 */
#include "store/store_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fansync/log.h"

#define LARGEST_SCRIPT (16u << 20)
#define ACTIVE_LINK "defaultbc"

static bool cut_suffix(struct slice *s, const char *suffix)
{
    size_t n = strlen(suffix);
    if (s->n <= n || memcmp(s->p + s->n - n, suffix, n) != 0)
        return false;
    s->n -= n;
    return true;
}

/* On older replicas the name becomes that of a file. */
static bool is_name(struct slice name)
{
    bool ok = name.n > 0 && name.n < 256 && name.p[0] != '.';
    for (size_t i = 0; ok && i < name.n; i++)
        ok = (unsigned char)name.p[i] >= ' ' && name.p[i] != '/' && name.p[i] != '\x7f';
    return ok;
}

static struct sieve_script *find(struct sieve_list *l, struct slice name)
{
    for (size_t i = 0; i < l->n; i++)
        if (slice_eq(l->s[i].name, name))
            return &l->s[i];
    return NULL;
}

/* A later one of the same name takes the place of the former. */
static void add(struct arena *a, struct sieve_list *l, struct slice name, struct slice content, int64_t time, uint32_t uid)
{
    struct sha1 *h = sha1_new();
    struct sieve_script *s = find(l, name);
    if (!s) {
        l->s = arena_grow(a, l->s, l->n, &l->cap, sizeof *l->s);
        s = &l->s[l->n++];
    }
    *s = (struct sieve_script){ .name = arena_dup(a, name), .content = content, .last_update = time, .uid = uid };
    sha1_add(h, content.p, content.n);
    sha1_final(h, &s->guid);
    sha1_free(h);
}

static int by_name(const void *x, const void *y)
{
    return slice_cmp(((const struct sieve_script *)x)->name, ((const struct sieve_script *)y)->name);
}

static struct err *read_all(struct arena *a, int fd, size_t size, const char *what, struct slice *out)
{
    char *p = arena_alloc(a, size + 1);
    size_t got = 0;
    ssize_t n = 1;
    while (got < size && n) {
        n = read(fd, p + got, size - got);
        if (n < 0 && errno != EINTR)
            return err_errno("%s: cannot read", what);
        got += n > 0 ? (size_t)n : 0;
    }
    *out = slice_of(p, got);
    return NULL;
}

static struct err *too_large(const char *what)
{
    return err_new(ERR_NOTSUPPORTED, "%s: is too large for a sieve script", what);
}

/* ---- files ---- */

static struct err *take_open_file(struct arena *a, int fd, const char *path, struct slice name,
                                  struct sieve_list *out)
{
    struct stat st;
    struct slice content;
    if (fstat(fd, &st) < 0)
        return err_errno("%s: cannot stat", path);
    if (!S_ISREG(st.st_mode))
        return NULL;
    if (st.st_size > (off_t)LARGEST_SCRIPT)
        return too_large(path);
    TRY(read_all(a, fd, (size_t)st.st_size, path, &content));
    add(a, out, name, content, st.st_mtime, 0);
    return NULL;
}

/* *name: what its user calls it. */
static bool is_script(const char *file, struct slice *name)
{
    *name = slice_str(file);
    return cut_suffix(name, ".script") && is_name(*name);
}

static struct err *take_file(struct arena *a, const char *folder, const char *file, struct sieve_list *out)
{
    struct slice name;
    if (!is_script(file, &name))
        return NULL;
    const char *path = arena_printf(a, "%s/%s", folder, file).p;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && (errno == ENOENT || errno == ELOOP))
        return NULL; /* deleted meanwhile; a link is no script */
    if (fd < 0)
        return err_errno("%s: cannot open", path);
    struct err *e = take_open_file(a, fd, path, name, out);
    close(fd);
    return e;
}

static void take_link(struct arena *a, const char *folder, struct sieve_list *out)
{
    char target[512];
    const char *path = arena_printf(a, "%s/" ACTIVE_LINK, folder).p;
    ssize_t n = readlink(path, target, sizeof target);
    struct slice name = slice_of(target, n > 0 ? (size_t)n : 0);
    if (cut_suffix(&name, ".bc") && find(out, name))
        out->active = arena_dup(a, name);
}

static struct err *read_folder(struct arena *a, const char *folder, struct sieve_list *out)
{
    struct err *e = NULL;
    DIR *dir = opendir(folder);
    if (!dir)
        return errno == ENOENT ? NULL : err_errno("%s: cannot open", folder);
    errno = 0;
    for (const struct dirent *d = readdir(dir); d && !e; d = readdir(dir)) {
        e = take_file(a, folder, d->d_name, out);
        errno = 0;
    }
    if (!e && errno)
        e = err_errno("%s: cannot read", folder);
    closedir(dir);
    if (!e)
        take_link(a, folder, out);
    return e;
}

/* NULL: where nobody's scripts are, the configuration says the wrong place: nothing is known, and
 * no script of a replica is to be deleted for that. */
static struct err *find_folder(struct store *s, struct arena *a, const struct mbname *inbox, const char **folder)
{
    struct user_home home;
    struct stat st;
    *folder = NULL;
    if (config_switch(s->config, "sieveusehomedir") || stat(config_string(s->config, "sievedir"), &st) < 0)
        return NULL;
    TRY(store_user_home(s, a, inbox, &home));
    return paths_sieve(&s->paths, a, &home, folder);
}

static struct err *read_files(struct store *s, struct arena *a, const struct mbname *inbox, struct sieve_list *out)
{
    const char *folder;
    TRY(find_folder(s, a, inbox, &folder));
    out->known = folder != NULL;
    return folder ? read_folder(a, folder, out) : NULL;
}

struct err *store_has_sieve_files(struct store *s, struct arena *a, struct slice userid, bool *out)
{
    struct mbname inbox;
    struct slice name;
    const char *folder;
    *out = false;
    TRY(store_inbox_of(s, a, userid, &inbox));
    TRY(find_folder(s, a, &inbox, &folder));
    DIR *dir = folder ? opendir(folder) : NULL;
    if (!dir)
        return !folder || errno == ENOENT ? NULL : err_errno("%s: cannot open", folder);
    errno = 0;
    for (const struct dirent *d = readdir(dir); d && !*out; d = readdir(dir))
        *out = is_script(d->d_name, &name);
    struct err *e = *out || !errno ? NULL : err_errno("%s: cannot read", folder);
    closedir(dir);
    return e;
}

/* ---- messages ---- */

/* The line after *at, which moves behind it; a line that begins with a blank belongs to the
 * one before it. Empty: the end of the header. */
static struct slice header_field(struct arena *a, struct slice text, size_t *at)
{
    struct buf b = BUF_INIT;
    size_t i = *at;
    do {
        const char *end = i < text.n ? memchr(text.p + i, '\n', text.n - i) : NULL;
        size_t next = end ? (size_t)(end - text.p) + 1 : text.n;
        size_t n = next - i - (end ? 1 : 0);
        if (n && text.p[i + n - 1] == '\r')
            n--;
        buf_add(&b, text.p + i, n);
        i = next;
        if (n == 0)
            break;
    } while (i < text.n && (text.p[i] == ' ' || text.p[i] == '\t'));
    struct slice field = buf_len(&b) ? arena_dup(a, buf_slice(&b)) : slice_of("", 0);
    buf_free(&b);
    *at = i;
    return field;
}

static struct slice trimmed(struct slice s)
{
    while (s.n && (*s.p == ' ' || *s.p == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

/* The subject is the name, as it stands there; what follows the header is the script. */
static void split_message(struct arena *a, struct slice text, struct slice *name, struct slice *body)
{
    static const char SUBJECT[] = "subject:";
    const size_t n = sizeof SUBJECT - 1;
    size_t at = 0;
    struct slice field;
    *name = slice_of("", 0);
    while ((field = header_field(a, text, &at)).n)
        if (field.n > n && strncasecmp(field.p, SUBJECT, n) == 0)
            *name = trimmed(slice_of(field.p + n, field.n - n));
    *body = slice_of(text.p + at, text.n - at);
}

static struct err *take_message(struct store *s, struct arena *a, const struct mbentry *e, const struct records *rec,
                                size_t i, struct sieve_list *out)
{
    struct slice text, name, body;
    int fd;
    const char *what = arena_printf(a, SLICE_FMT " uid %u", SLICE_ARG(e->name), rec->uid[i]).p;
    if (rec->size[i] > LARGEST_SCRIPT)
        return too_large(what);
    TRY(store_message_open(s, e, rec->uid[i], rec->flags[i], rec->size[i], &fd));
    struct err *err = read_all(a, fd, rec->size[i], what, &text);
    close(fd);
    if (err)
        return err;
    split_message(a, text, &name, &body);
    if (!is_name(name)) {
        log_msg(LOG_WARNING, "%s: a sieve script without a usable name is left out", what);
        return NULL;
    }
    add(a, out, name, body, rec->internaldate[i], rec->uid[i]);
    if (rec->flags[i] & REC_FLAGGED)
        out->active = arena_dup(a, name);
    else if (slice_eq(out->active, name))
        out->active = slice_of("", 0); /* a later one of that name */
    return NULL;
}

static struct err *read_mailbox(struct store *s, struct arena *a, const struct mbentry *e, struct sieve_list *out)
{
    struct mailbox *mb;
    struct records rec;
    TRY(store_mailbox_open(s, a, e->name, &mb));
    struct mbentry entry = mailbox_header(mb)->entry;
    struct err *err = mailbox_records(mb, a, 0, 0, &rec);
    store_mailbox_close(mb);
    for (size_t i = 0; i < rec.n && !err; i++)
        if (!(rec.flags[i] & (REC_EXPUNGED | REC_UNLINKED)))
            err = take_message(s, a, &entry, &rec, i, out);
    out->known = true;
    return err;
}

/* ---- either ---- */

static struct err *find_mailbox(struct store *s, struct arena *a, struct slice userid, const struct mbentry **out)
{
    struct mbentry_list all = { NULL, 0, 0 };
    struct err *damaged;
    *out = NULL;
    TRY(store_user_mailboxes(s, a, userid, &all, &damaged));
    if (damaged)
        return damaged; /* the unreadable one may be the #sieve mailbox */
    for (size_t i = 0; i < all.n && !*out; i++)
        if (all.e[i].kind == 'f' && mbentry_is_live(&all.e[i]) &&
            !names_from_internal(a, &s->names, all.e[i].name).deleted_time)
            *out = &all.e[i];
    return NULL;
}

struct err *store_sieve(struct store *s, struct arena *a, struct slice userid, struct sieve_list *out)
{
    struct mbname inbox;
    const struct mbentry *mailbox;
    *out = (struct sieve_list){ .active = slice_of("", 0) };
    TRY(store_inbox_of(s, a, userid, &inbox));
    TRY(find_mailbox(s, a, userid, &mailbox));
    struct err *e = mailbox ? read_mailbox(s, a, mailbox, out) : read_files(s, a, &inbox, out);
    if (!e && out->n)
        qsort(out->s, out->n, sizeof *out->s, by_name);
    return e ? err_wrap(e, "sieve scripts of " SLICE_FMT, SLICE_ARG(userid)) : NULL;
}

struct err *store_has_sieve_mailboxes(struct store *s, bool *out)
{
    struct mblist *l = NULL;
    TRY(store_list_get(s, &l));
    *out = !l->old_form;
    store_list_put(s, l);
    return NULL;
}
