/* Parsing cyrus.header (store/header_file.h). */
#include "store/header_file.h"

#include <string.h>

#include "fansync/dlist.h"

static const char magic[] = "\xa1\x02\x8b\x0d"
                            "Cyrus mailbox header\n"
                            "\"The best thing about this system was that it had lots of goals.\"\n"
                            "\t--Jim Morris on Andrew\n";

static struct err *bad(const char *path, struct slice text, const char *at, const char *what)
{
    return err_new(ERR_CORRUPT, "%s: offset %td: %s", path, at - text.p, what);
}

static struct err *parse_new(struct arena *a, const char *path, struct slice text, struct slice line,
                             struct header_file *out)
{
    struct dlist *d;
    struct err *err = dlist_parse(a, line, &d);
    if (err)
        return err_wrap(err, "%s", path);
    dlist_str(d, "Q", &out->quotaroot);
    const struct dlist *flags = dlist_get(d, "U");
    if (!flags)
        return NULL;
    if (flags->type != DLIST_LIST || dlist_count(flags) > MAX_USER_FLAGS)
        return bad(path, text, line.p, "the flag names cannot be parsed");
    out->flag = arena_array(a, dlist_count(flags), sizeof *out->flag);
    for (const struct dlist *f = flags->first; f; f = f->next)
        out->flag[out->nflags++] = f->type == DLIST_STRING ? f->str : slice_of("", 0);
    return NULL;
}

static struct err *parse_old_flags(struct arena *a, const char *path, struct slice text, const char *p, const char *lf,
                                   struct header_file *out)
{
    out->flag = arena_array(a, MAX_USER_FLAGS, sizeof *out->flag);
    while (p < lf) {
        const char *end = memchr(p, ' ', (size_t)(lf - p));
        if (!end)
            end = lf;
        if (out->nflags == MAX_USER_FLAGS)
            return bad(path, text, p, "more than 128 flag names");
        out->flag[out->nflags++] = arena_dup(a, slice_of(p, (size_t)(end - p)));
        p = end + 1;
    }
    return NULL;
}

/* quotaroot TAB uniqueid [TAB ...] / flag names / ACL */
static struct err *parse_old(struct arena *a, const char *path, struct slice text, struct slice rest,
                             struct header_file *out)
{
    const char *end = rest.p + rest.n, *p = rest.p;
    const char *lf = memchr(p, '\n', (size_t)(end - p));
    const char *tab = lf ? memchr(p, '\t', (size_t)(lf - p)) : NULL;
    if (!tab)
        return bad(path, text, p, "no quota root and uniqueid");
    out->quotaroot = arena_dup(a, slice_of(p, (size_t)(tab - p)));
    p = lf + 1;
    lf = memchr(p, '\n', (size_t)(end - p));
    if (!lf)
        return bad(path, text, p, "the line of flag names is not complete");
    return parse_old_flags(a, path, text, p, lf, out);
}

struct err *header_file_parse(struct arena *a, const char *path, struct slice text, struct header_file *out)
{
    const size_t n = sizeof magic - 1;
    memset(out, 0, sizeof *out);
    if (text.n < n || memcmp(text.p, magic, n) != 0)
        return bad(path, text, text.p, "not a mailbox header");
    struct slice rest = slice_of(text.p + n, text.n - n);
    if (!slice_starts(rest, "%("))
        return parse_old(a, path, text, rest, out);
    const char *lf = memchr(rest.p, '\n', rest.n);
    if (!lf)
        return bad(path, text, rest.p, "the line is not complete");
    return parse_new(a, path, text, slice_of(rest.p, (size_t)(lf - rest.p)), out);
}
