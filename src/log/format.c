/*
 * The writer's side of the sync log's grammar (spec/operation.md §2.4), and bytes made
 * readable for messages. Called by whoever puts records back into a log and by the
 * parser; any thread.
 */
#include "fansync/synclog.h"

enum { LONGEST_IN_MESSAGE = 100 };

/* Cyrus's writers quote for these, and readers end a bare argument at any white space. */
static bool needs_quotes(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (memchr(" \t\v\f()\\\"{}", s.p[i], 10))
            return true;
    return s.n == 0;
}

static void add_argument(struct buf *b, struct slice s)
{
    buf_addc(b, ' ');
    if (!needs_quotes(s)) {
        buf_add(b, s.p, s.n);
        return;
    }
    buf_addc(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (memchr("\\\"{}", s.p[i], 4))
            buf_addc(b, '\\');
        buf_addc(b, s.p[i]);
    }
    buf_addc(b, '"');
}

static bool can_be_written(struct slice s)
{
    return s.n == 0 || !(memchr(s.p, '\0', s.n) || memchr(s.p, '\r', s.n) || memchr(s.p, '\n', s.n));
}

static const char *word_of(const struct action *a)
{
    switch (a->kind) {
    case ACTION_MAILBOX: return a->b.n ? "DOUBLEMAILBOX" : "MAILBOX";
    case ACTION_RENAME: return "RENAME";
    case ACTION_UNMAILBOX: return "UNMAILBOX";
    case ACTION_USER: return "USER";
    case ACTION_UNUSER: return "UNUSER";
    case ACTION_META: return "META";
    case ACTION_QUOTA: return "QUOTA";
    case ACTION_ANNOTATION: return "ANNOTATION";
    case ACTION_SEEN: return "SEEN";
    case ACTION_SUB: return "SUB";
    case ACTION_KINDS: break;
    }
    return NULL;
}

static bool has_two(const struct action *a)
{
    return a->kind == ACTION_RENAME || a->kind == ACTION_SEEN || a->kind == ACTION_SUB ||
           (a->kind == ACTION_MAILBOX && a->b.n);
}

bool synclog_format(struct buf *b, const struct action *a)
{
    const char *word = word_of(a);
    bool two = has_two(a);
    if (!word || !can_be_written(a->a) || (two && !can_be_written(a->b)))
        return false;
    if ((a->a.n == 0 && a->kind != ACTION_ANNOTATION && a->kind != ACTION_UNUSER) || (two && a->b.n == 0))
        return false;
    buf_adds(b, word);
    add_argument(b, a->a);
    if (two)
        add_argument(b, a->b);
    buf_addc(b, '\n');
    return true;
}

void synclog_escape(struct buf *b, struct slice bytes)
{
    size_t n = bytes.n < LONGEST_IN_MESSAGE ? bytes.n : LONGEST_IN_MESSAGE;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)bytes.p[i];
        if (c >= 0x20 && c < 0x7f)
            buf_addc(b, (char)c);
        else
            buf_printf(b, "\\x%02x", c);
    }
    if (n < bytes.n)
        buf_adds(b, "...");
}
