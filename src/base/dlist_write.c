/*
 * The dlist writer (fansync/dlist.h): chooses atom, quoted or literal by the bytes, as
 * in the table of spec/wire.md §2.2. Called by whoever writes a command; pure, any
 * thread. Literals are always {n+}: a literal without plus kills some servers (§2.6).
 */
#include "fansync/dlist.h"

enum { LONGEST_INLINE = 1023 }; /* longer strings become literals */

enum form { FORM_ATOM, FORM_QUOTED, FORM_LITERAL };

static enum form form_of_byte(unsigned char c)
{
    switch (c) {
    case '\0': case '\r': case '\n': case '"': case '%': case '\\':
        return FORM_LITERAL;
    case ' ': case '{': case '(': case ')': case '*': case 0x7f:
        return FORM_QUOTED;
    default:
        return c >= 0x80 ? FORM_LITERAL : c < 0x20 ? FORM_QUOTED : FORM_ATOM;
    }
}

static enum form form_of(struct slice s)
{
    if (s.n > LONGEST_INLINE)
        return FORM_LITERAL;
    enum form form = s.n == 0 || slice_eqs(s, "NIL") ? FORM_QUOTED : FORM_ATOM;
    for (size_t i = 0; i < s.n; i++) {
        enum form f = form_of_byte((unsigned char)s.p[i]);
        if (f > form)
            form = f;
    }
    return form;
}

void dlist_write_str(struct buf *b, struct slice s)
{
    switch (form_of(s)) {
    case FORM_ATOM:
        buf_add(b, s.p, s.n);
        break;
    case FORM_QUOTED:
        buf_addc(b, '"');
        buf_add(b, s.p, s.n);
        buf_addc(b, '"');
        break;
    case FORM_LITERAL:
        buf_addc(b, '{');
        buf_add_u64(b, s.n);
        buf_adds(b, "+}\r\n");
        buf_add(b, s.p, s.n);
        break;
    }
}

static void put_blank(struct buf *b)
{
    if (buf_len(b) == 0 || b->data[b->end - 1] != '(')
        buf_addc(b, ' ');
}

/* A string between brackets. The last byte of a literal may be a '(', which put_blank
 * would take for an opening bracket: a blank behind it, harmless between brackets
 * (spec/wire.md §2.3), keeps the next item apart. */
static void write_inside(struct buf *b, struct slice s)
{
    dlist_write_str(b, s);
    if (s.n > 0 && b->data[b->end - 1] == '(')
        buf_addc(b, ' ');
}

static void put_key(struct buf *b, const char *key)
{
    put_blank(b);
    buf_adds(b, key);
    buf_addc(b, ' ');
}

void dlist_put_list(struct buf *b, const char *key)
{
    put_key(b, key);
    buf_addc(b, '(');
}

void dlist_put_str(struct buf *b, const char *key, struct slice s)
{
    put_key(b, key);
    write_inside(b, s);
}

void dlist_put_u64(struct buf *b, const char *key, uint64_t v)
{
    put_key(b, key);
    buf_add_u64(b, v);
}

void dlist_put_i64(struct buf *b, const char *key, int64_t v)
{
    put_key(b, key);
    if (v < 0)
        buf_addc(b, '-');
    buf_add_u64(b, v < 0 ? -(uint64_t)v : (uint64_t)v);
}

static void write_guid(struct buf *b, const struct guid *g)
{
    char hex[GUID_HEX + 1];
    guid_format(g, hex);
    buf_add(b, hex, GUID_HEX);
}

void dlist_put_guid(struct buf *b, const char *key, const struct guid *g)
{
    put_key(b, key);
    write_guid(b, g);
}

void dlist_item_str(struct buf *b, struct slice s)
{
    put_blank(b);
    write_inside(b, s);
}

void dlist_item_guid(struct buf *b, const struct guid *g)
{
    put_blank(b);
    write_guid(b, g);
}

void dlist_item_flag(struct buf *b, struct slice flag)
{
    bool system = flag.n > 1 && flag.p[0] == '\\';
    struct slice word = system ? slice_of(flag.p + 1, flag.n - 1) : flag;
    /* \NIL is no NIL, but then \NIL is no system flag either: the quotes are needed only
     * for a bare one, and form_of adds them. */
    if (system && form_of(word) == FORM_ATOM) {
        put_blank(b);
        buf_add(b, flag.p, flag.n);
    } else {
        dlist_item_str(b, flag);
    }
}
