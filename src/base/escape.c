/* The one escaper of fansync/escape.h. Any thread. */
#include "fansync/escape.h"

#include <stdbool.h>

/* The length that the first byte of a sequence promises; 0: it begins none. */
static size_t promised(unsigned char c)
{
    if (c < 0x80)
        return 1;
    if (c >= 0xc2 && c <= 0xdf)
        return 2;
    if (c >= 0xe0 && c <= 0xef)
        return 3;
    return c >= 0xf0 && c <= 0xf4 ? 4 : 0;
}

/* Overlong forms, surrogates and what is beyond Unicode are told by the second byte. */
static bool second_fits(unsigned char first, unsigned char second)
{
    switch (first) {
    case 0xc2: return second >= 0xa0 && second <= 0xbf; /* below: C1, which terminals obey */
    case 0xe0: return second >= 0xa0 && second <= 0xbf;
    case 0xed: return second >= 0x80 && second <= 0x9f;
    case 0xf0: return second >= 0x90 && second <= 0xbf;
    case 0xf4: return second >= 0x80 && second <= 0x8f;
    default: return second >= 0x80 && second <= 0xbf;
    }
}

/* How many bytes at p are one character that may be shown; 0: none is. */
static size_t shown(const char *text, size_t n)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t length = promised(p[0]);
    if (length == 1)
        return p[0] >= ' ' && p[0] != 0x7f;
    if (length == 0 || length > n || !second_fits(p[0], p[1]))
        return 0;
    for (size_t i = 2; i < length; i++)
        if (p[i] < 0x80 || p[i] > 0xbf)
            return 0;
    return length;
}

static bool is_line(char c)
{
    return c == '\n' || c == '\r' || c == '\t';
}

void escape_text(struct buf *out, struct slice text, enum escape_what what)
{
    for (size_t i = 0; i < text.n;) {
        size_t n = what == ESCAPE_LINES && is_line(text.p[i]) ? 1 : shown(text.p + i, text.n - i);
        if (n > 0)
            buf_add(out, text.p + i, n);
        else
            buf_printf(out, "\\x%02x", (unsigned char)text.p[i]);
        i += n > 0 ? n : 1;
    }
}
