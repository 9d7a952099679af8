/*
 * Looking at a dlist tree (fansync/dlist.h): values by key and type. Called by whoever
 * reads an answer or a database value; pure, any thread. Bytes are hostile: a number is
 * digits that fit, a guid is forty hex digits, anything else is "not there".
 */
#include "fansync/dlist.h"

const struct dlist *dlist_get(const struct dlist *d, const char *key)
{
    if (!d || d->type != DLIST_KVLIST)
        return NULL;
    for (const struct dlist *c = d->first; c; c = c->next)
        if (slice_eqs(c->key, key))
            return c;
    return NULL;
}

bool dlist_str(const struct dlist *d, const char *key, struct slice *out)
{
    const struct dlist *c = dlist_get(d, key);
    if (!c || c->type != DLIST_STRING)
        return false;
    *out = c->str;
    return true;
}

static bool parse_digits(struct slice s, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;
    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        unsigned digit = (unsigned)(s.p[i] - '0');
        if (v > (max - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *out = v;
    return true;
}

static bool get_number(const struct dlist *d, const char *key, uint64_t max, uint64_t *out)
{
    struct slice s;
    return dlist_str(d, key, &s) && parse_digits(s, max, out);
}

bool dlist_u32(const struct dlist *d, const char *key, uint32_t *out)
{
    uint64_t v;
    if (!get_number(d, key, UINT32_MAX, &v))
        return false;
    *out = (uint32_t)v;
    return true;
}

bool dlist_u64(const struct dlist *d, const char *key, uint64_t *out)
{
    return get_number(d, key, UINT64_MAX, out);
}

bool dlist_i64(const struct dlist *d, const char *key, int64_t *out)
{
    struct slice s;
    uint64_t v;
    if (!dlist_str(d, key, &s))
        return false;
    bool negative = s.n > 0 && s.p[0] == '-';
    if (negative)
        s = slice_of(s.p + 1, s.n - 1);
    if (!parse_digits(s, INT64_MAX, &v))
        return false;
    *out = negative ? -(int64_t)v : (int64_t)v;
    return true;
}

bool dlist_guid(const struct dlist *d, const char *key, struct guid *out)
{
    struct slice s;
    return dlist_str(d, key, &s) && guid_parse(s, out);
}

size_t dlist_count(const struct dlist *d)
{
    size_t n = 0;
    for (const struct dlist *c = d ? d->first : NULL; c; c = c->next)
        n++;
    return n;
}
