/* Comparisons of slices that are too long for the header. Pure; any thread. */
#include "fansync/slice.h"

#include <strings.h>

bool slice_caseeq(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || strncasecmp(a.p, b.p, a.n) == 0);
}

bool slice_caseeqs(struct slice a, const char *cstr)
{
    return slice_caseeq(a, slice_str(cstr));
}

int slice_cmp(struct slice a, struct slice b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    if (c)
        return c;
    return (a.n > b.n) - (a.n < b.n);
}
