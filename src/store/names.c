/*
 * Mailbox names in their three spellings, through their parts (spec/store.md §2.1).
 * Whoever holds a name calls; pure, any thread. A name that is no name of Cyrus's (a
 * deletion time that is none, an empty user) is taken as a shared mailbox's, so that no
 * user gets what is not his, and spells out again as it was.
 */
#include "fansync/names.h"

#include <stdio.h>
#include <string.h>
#include "fansync/buf.h"

/* How one spelling separates things. */
struct spelling {
    char domain_end;
    char part_end;
    bool escapes_dots; /* a dot inside a part is written '^' */
};
static const struct spelling INTERNAL = { '!', '.', true };
static const struct spelling DB = { '\x1d', '\x1f', false };

void names_options(const struct config *c, struct namespace_options *out)
{
    out->unixhierarchysep = config_switch(c, "unixhierarchysep");
    out->virtdomains = strcmp(config_string(c, "virtdomains"), "off") != 0;
    out->defaultdomain = slice_str(config_string(c, "defaultdomain"));
    out->deletedprefix = slice_str(config_string(c, "deletedprefix"));
}

static struct slice replaced(struct arena *a, struct slice s, char from, char to)
{
    if (s.n == 0 || !memchr(s.p, from, s.n))
        return s;
    char *p = arena_alloc(a, s.n + 1);
    for (size_t i = 0; i < s.n; i++)
        p[i] = s.p[i] == from ? to : s.p[i];
    return slice_of(p, s.n);
}

static size_t count_parts(struct slice s, char sep)
{
    size_t n = 1;
    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == sep;
    return n;
}

/* The parts between separators, in an array in a. */
static struct slice *split(struct arena *a, struct slice s, char sep, bool escaped, size_t *n)
{
    struct slice *parts = arena_array(a, count_parts(s, sep), sizeof *parts);
    *n = 0;
    for (size_t from = 0, i = 0; i <= s.n; i++) {
        if (i < s.n && s.p[i] != sep)
            continue;
        struct slice part = slice_of(s.p + from, i - from);
        parts[(*n)++] = escaped ? replaced(a, part, '^', '.') : part;
        from = i + 1;
    }
    return parts;
}

/* Upper-case hexadecimal without leading zeros, as Cyrus writes it; 0 if it is not that. */
static uint32_t deletion_time(struct slice s)
{
    uint32_t t = 0;
    if (s.n == 0 || s.n > 8 || s.p[0] == '0')
        return 0;
    for (size_t i = 0; i < s.n; i++) {
        static const char digits[] = "0123456789ABCDEF";
        const char *d = s.p[i] ? strchr(digits, s.p[i]) : NULL;
        if (!d)
            return 0;
        t = t << 4 | (uint32_t)(d - digits);
    }
    return t;
}

static struct mbname from_parts(const struct namespace_options *o, struct slice domain,
                                struct slice *parts, size_t n)
{
    struct mbname m = { .domain = domain };
    if (slice_eq(domain, o->defaultdomain))
        m.domain = slice_of(NULL, 0);
    if (n > 2 && slice_eq(parts[0], o->deletedprefix) && deletion_time(parts[n - 1])) {
        m.deleted_time = deletion_time(parts[n - 1]);
        parts++;
        n -= 2;
    }
    if (n > 1 && slice_eqs(parts[0], "user") && parts[1].n) {
        m.localpart = parts[1];
        parts += 2;
        n -= 2;
    }
    m.boxes = parts;
    m.nboxes = n;
    return m;
}

static struct mbname parse(struct arena *a, const struct namespace_options *o, struct slice s,
                           const struct spelling *as)
{
    struct slice domain = { NULL, 0 };
    const char *end = s.n ? memchr(s.p, as->domain_end, s.n) : NULL;
    if (end) {
        domain = slice_of(s.p, (size_t)(end - s.p));
        s = slice_of(end + 1, s.n - domain.n - 1);
    }
    size_t n = 0;
    struct slice *parts = s.n ? split(a, s, as->part_end, as->escapes_dots, &n) : NULL;
    return from_parts(o, domain, parts, n);
}

struct mbname names_from_internal(struct arena *a, const struct namespace_options *o, struct slice s)
{
    return parse(a, o, s, &INTERNAL);
}

struct mbname names_from_db(struct arena *a, const struct namespace_options *o, struct slice s)
{
    return parse(a, o, s, &DB);
}

static void add_part(struct buf *b, const struct spelling *as, struct slice part, bool *first)
{
    if (!*first)
        buf_addc(b, as->part_end);
    *first = false;
    for (size_t i = 0; i < part.n; i++)
        buf_addc(b, as->escapes_dots && part.p[i] == '.' ? '^' : part.p[i]);
}

static struct slice spell(struct arena *a, const struct namespace_options *o, const struct mbname *m,
                          const struct spelling *as)
{
    struct buf b = BUF_INIT;
    bool first = true;
    if (m->domain.n) {
        buf_add(&b, m->domain.p, m->domain.n);
        buf_addc(&b, as->domain_end);
    }
    if (m->deleted_time)
        add_part(&b, as, o->deletedprefix, &first);
    if (m->localpart.n) {
        add_part(&b, as, slice_str("user"), &first);
        add_part(&b, as, m->localpart, &first);
    }
    for (size_t i = 0; i < m->nboxes; i++)
        add_part(&b, as, m->boxes[i], &first);
    if (m->deleted_time) {
        char hex[16];
        snprintf(hex, sizeof hex, "%X", (unsigned)m->deleted_time);
        add_part(&b, as, slice_str(hex), &first);
    }
    struct slice out = arena_dup(a, slice_of(buf_cstr(&b), buf_len(&b)));
    buf_free(&b);
    return out;
}

struct slice names_to_internal(struct arena *a, const struct namespace_options *o, const struct mbname *m)
{
    return spell(a, o, m, &INTERNAL);
}

struct slice names_to_db(struct arena *a, const struct namespace_options *o, const struct mbname *m)
{
    return spell(a, o, m, &DB);
}

struct slice names_userid(struct arena *a, const struct mbname *m)
{
    if (m->localpart.n == 0)
        return slice_of("", 0);
    if (m->domain.n == 0)
        return arena_dup(a, m->localpart);
    return arena_printf(a, SLICE_FMT "@" SLICE_FMT, SLICE_ARG(m->localpart), SLICE_ARG(m->domain));
}

struct slice names_userid_of_internal(struct arena *a, const struct namespace_options *o, struct slice name)
{
    struct mbname m = names_from_internal(a, o, name);
    return names_userid(a, &m);
}

/* Cuts "@domain" off; the domain that is not written anywhere is dropped. */
static struct slice cut_domain(const struct namespace_options *o, struct slice *s)
{
    const char *at = o->virtdomains && s->n ? memrchr(s->p, '@', s->n) : NULL;
    if (!at)
        return slice_of(NULL, 0);
    struct slice domain = slice_of(at + 1, s->n - (size_t)(at + 1 - s->p));
    s->n = (size_t)(at - s->p);
    return slice_eq(domain, o->defaultdomain) ? slice_of(NULL, 0) : domain;
}

struct slice names_inbox(struct arena *a, const struct namespace_options *o, struct slice userid)
{
    struct mbname m = { .localpart = userid };
    m.domain = cut_domain(o, &m.localpart);
    return names_to_internal(a, o, &m);
}

/* Bytes that no mailbox name may have in any spelling, or that would be read as a separator of
 * another one. Where '.' separates, '^' is the dot that no part can have otherwise. */
static bool has_forbidden(const struct namespace_options *o, struct slice s)
{
    const char *forbidden = o->unixhierarchysep ? "!^%*" : "!%*";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < ' ' || c >= 0x7f || strchr(forbidden, c))
            return true;
    }
    return false;
}

struct err *names_from_external(struct arena *a, const struct namespace_options *o, struct slice s,
                                struct slice *internal)
{
    struct slice name = s;
    struct slice domain = cut_domain(o, &name);
    size_t n = 0;
    char sep = o->unixhierarchysep ? '/' : '.';
    if (name.n > 1 && name.p[name.n - 1] == sep) /* as in the stock client */
        name.n--;
    if (name.n == 0 || has_forbidden(o, s))
        return err_new(ERR_CONFIG, "\"" SLICE_FMT "\" cannot be a mailbox name", SLICE_ARG(s));
    struct slice *parts = split(a, name, sep, !o->unixhierarchysep, &n);
    for (size_t i = 0; i < n; i++)
        if (parts[i].n == 0 || memchr(parts[i].p, '/', parts[i].n))
            return err_new(ERR_CONFIG, "\"" SLICE_FMT "\" cannot be a mailbox name", SLICE_ARG(s));
    /* "user.fred" where '/' separates is one part with a dot in it: never what was meant. */
    if (o->unixhierarchysep && slice_starts(parts[0], "user."))
        return err_new(ERR_CONFIG, "\"" SLICE_FMT "\": the separator is '/' here", SLICE_ARG(s));
    struct mbname m = from_parts(o, domain, parts, n);
    *internal = names_to_internal(a, o, &m);
    return NULL;
}
