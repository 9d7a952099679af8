/*
 * flat (spec/store.md §3.5): lines of key TAB value, replaced as a whole with every
 * change. db.c calls with the file in memory; escapes are undone in place.
 */
#include "store/db_internal.h"

#include <string.h>

/* 0xFF announces a byte that may not stand for itself: the next one, less its top bit,
 * or 0xFF itself. */
static struct err *unescape(const struct db *d, char *p, size_t n, struct slice *out)
{
    size_t to = 0;
    for (size_t i = 0; i < n; i++) {
        if ((unsigned char)p[i] == 0xff) {
            if (++i == n)
                return db_corrupt(d, (uint64_t)(p - d->mem) + n, "an escape is cut off");
            p[to++] = (unsigned char)p[i] == 0xff ? p[i] : (char)(p[i] & 0x7f);
        } else {
            p[to++] = p[i];
        }
    }
    *out = slice_of(p, to);
    return NULL;
}

struct err *flat_load(struct db *d)
{
    size_t size = (size_t)d->st.st_size;
    for (size_t at = 0; at < size;) {
        char *line = d->mem + at;
        char *end = memchr(line, '\n', size - at);
        if (!end)
            return db_corrupt(d, at, "the last line is cut off");
        char *tab = memchr(line, '\t', (size_t)(end - line));
        struct slice key, value = { NULL, 0 };
        TRY(unescape(d, line, (size_t)((tab ? tab : end) - line), &key));
        if (tab)
            TRY(unescape(d, tab + 1, (size_t)(end - tab - 1), &value));
        db_add_row(d, key, value);
        at = (size_t)(end - d->mem) + 1;
    }
    return NULL;
}
