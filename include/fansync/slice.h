/*
 * A borrowed run of bytes. Bytes from disk and wire are never assumed to end in NUL;
 * a slice says how many there are and owns none of them: whoever hands one out
 * documents how long the bytes live.
 */
#ifndef FANSYNC_SLICE_H
#define FANSYNC_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct slice {
    const char *p;
    size_t n;
};

/* For printf: "%.*s". Longer than INT_MAX is cut, which only messages do. */
#define SLICE_FMT "%.*s"
#define SLICE_ARG(s) ((int)((s).n > 0x7fffffff ? 0x7fffffff : (s).n)), ((s).p ? (s).p : "")

static inline struct slice slice_of(const char *p, size_t n)
{
    struct slice s = { p, n };
    return s;
}

static inline struct slice slice_str(const char *cstr)
{
    return slice_of(cstr, cstr ? strlen(cstr) : 0);
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool slice_eqs(struct slice a, const char *cstr)
{
    return slice_eq(a, slice_str(cstr));
}

static inline bool slice_begins(struct slice s, struct slice prefix)
{
    return s.n >= prefix.n && slice_eq(slice_of(s.p, prefix.n), prefix);
}

/* Without regard to the case of ASCII letters. */
bool slice_caseeq(struct slice a, struct slice b);
bool slice_caseeqs(struct slice a, const char *cstr);

/* Bytewise, the shorter first among equals: memcmp order. */
int slice_cmp(struct slice a, struct slice b);

static inline bool slice_starts(struct slice s, const char *prefix)
{
    size_t n = strlen(prefix);
    return s.n >= n && memcmp(s.p, prefix, n) == 0;
}

#endif
