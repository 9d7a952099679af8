/*
 * One line of a sync log to an action (spec/operation.md §2.4, §2.5). Called by the file
 * reader and the tailer, which split lines; any thread. A bad line costs exactly itself:
 * nothing here looks beyond the line.
 */
#include "fansync/synclog.h"
#include "fansync/userid.h"

/* What a type asks for. */
struct type {
    const char *word;
    enum action_kind kind;
    const char *first;  /* what its argument is, for messages */
    const char *second; /* NULL: a second argument is ignored */
    bool second_needed;
    bool first_empty; /* may be */
};

static const struct type types[] = {
    { "MAILBOX", ACTION_MAILBOX, "mailbox name", "mailbox name", false, false },
    { "APPEND", ACTION_MAILBOX, "mailbox name", "mailbox name", false, false },
    { "DOUBLEMAILBOX", ACTION_MAILBOX, "mailbox name", "mailbox name", false, false },
    { "RENAME", ACTION_RENAME, "mailbox name", "mailbox name", false, false },
    { "UNMAILBOX", ACTION_UNMAILBOX, "mailbox name", NULL, false, false },
    { "USER", ACTION_USER, "user name", NULL, false, false },
    { "UNUSER", ACTION_UNUSER, "user name", NULL, false, true },
    { "META", ACTION_META, "user name", NULL, false, false },
    { "SIEVE", ACTION_META, "user name", NULL, false, false },
    { "QUOTA", ACTION_QUOTA, "quota root", NULL, false, false },
    { "ANNOTATION", ACTION_ANNOTATION, "mailbox name", NULL, false, true },
    { "SEEN", ACTION_SEEN, "user name", "mailbox uniqueid", true, false },
    { "SUB", ACTION_SUB, "user name", "mailbox name", true, false },
    { "UNSUB", ACTION_SUB, "user name", "mailbox name", true, false },
};

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* What ends a word and a bare argument. */
static bool is_end(char c)
{
    return is_space(c) || c == '(' || c == ')' || c == '"';
}

static size_t word_length(struct slice s)
{
    size_t n = 0;
    while (n < s.n && !is_end(s.p[n]))
        n++;
    return n;
}

static const struct type *find_type(struct slice word)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (slice_caseeqs(word, types[i].word))
            return &types[i];
    return NULL;
}

static struct err *bad(const char *text, struct slice bytes)
{
    struct buf b = BUF_INIT;
    synclog_escape(&b, bytes);
    struct err *e = err_new(ERR_CORRUPT, "%s: %s", text, buf_cstr(&b));
    buf_free(&b);
    return e;
}

static struct slice rest_of(struct slice s, size_t n)
{
    return slice_of(s.p + n, s.n - n);
}

/* s begins with a quote. The closing one is found, and each byte after a backslash stands
 * for itself; without backslashes the argument is the bytes in place. */
static struct err *quoted(struct arena *a, struct slice *s, struct slice *out)
{
    size_t n = 1, escapes = 0;
    for (; n < s->n && s->p[n] != '"'; n++) {
        if (s->p[n] == '\\') {
            escapes++;
            n++;
        }
    }
    if (n >= s->n)
        return bad("Missing closing quote", *s);
    *out = slice_of(s->p + 1, n - 1);
    if (escapes) {
        char *to = arena_alloc(a, out->n);
        size_t len = 0;
        for (size_t i = 0; i < out->n; i++) {
            i += out->p[i] == '\\';
            to[len++] = out->p[i];
        }
        *out = slice_of(to, len);
    }
    *s = rest_of(*s, n + 1);
    return NULL;
}

/* One argument off the front of *s; *found is false if none begins here. */
static struct err *argument(struct arena *a, struct slice *s, struct slice *out, bool *found)
{
    *found = s->n > 0 && (s->p[0] == '"' || !is_end(s->p[0]));
    if (!*found)
        return NULL;
    if (s->p[0] == '"')
        return quoted(a, s, out);
    if (s->p[0] == '{') /* writers quote braces, so this would be a literal */
        return bad("Literals are not accepted", *s);
    *out = slice_of(s->p, word_length(*s));
    *s = rest_of(*s, out->n);
    return NULL;
}

/* A line taken apart; what its type makes of it comes later. */
struct parts {
    struct slice word;
    struct slice arg[2];
    size_t args;
};

/* The bytes after the word, the first of them a blank. */
static struct err *arguments(struct arena *a, struct slice s, struct parts *p)
{
    while (p->args < 2 && s.n > 0 && s.p[0] == ' ') {
        bool found;
        s = rest_of(s, 1);
        TRY(argument(a, &s, &p->arg[p->args], &found));
        if (!found && p->args == 0)
            return NULL; /* what is missing depends on the type */
        if (!found)
            return err_new(ERR_CORRUPT, "Garbage at end of input line");
        p->args++;
    }
    return s.n ? err_new(ERR_CORRUPT, "Garbage at end of input line") : NULL;
}

static struct err *missing(const char *what, struct slice line)
{
    struct buf b = BUF_INIT;
    synclog_escape(&b, line);
    struct err *e = err_new(ERR_CORRUPT, "Missing %s: %s", what, buf_cstr(&b));
    buf_free(&b);
    return e;
}

/* A name that can be none is tried for ever if it is not turned away here. */
static struct err *check_name(struct arena *a, const char *what, struct slice *name)
{
    struct buf b = BUF_INIT;
    bool is_user = strcmp(what, "user name") == 0;
    if (is_user)
        *name = userid_plain(a, *name);
    if (is_user ? userid_is_possible(*name) : !memchr(name->p, '/', name->n))
        return NULL;
    synclog_escape(&b, *name);
    struct err *e = err_new(ERR_CORRUPT, "No %s can be: %s", what, buf_cstr(&b));
    buf_free(&b);
    return e;
}

static struct err *check_names(struct arena *a, const struct type *t, struct action *x)
{
    bool two = x->kind == ACTION_MAILBOX || x->kind == ACTION_RENAME;
    if (x->a.n)
        TRY(check_name(a, t->first, &x->a));
    return two && x->b.n ? check_name(a, t->second, &x->b) : NULL;
}

static struct err *make_action(struct arena *a, const struct parts *p, struct slice line, struct action *out)
{
    const struct type *t = find_type(p->word);
    if (!t)
        return bad("Unknown action type", p->word);
    out->kind = t->kind;
    out->a = p->args > 0 ? p->arg[0] : slice_of("", 0);
    out->b = t->second && p->args > 1 ? p->arg[1] : slice_of("", 0);
    if (p->args == 0 || (out->a.n == 0 && !t->first_empty))
        return missing(t->first, line);
    if (t->second_needed && out->b.n == 0)
        return missing(t->second, line);
    if (t->kind == ACTION_RENAME && out->b.n == 0)
        out->kind = ACTION_MAILBOX; /* the name it has is worth a look */
    return check_names(a, t, out);
}

struct err *synclog_parse(struct arena *a, struct slice line, struct action *out, bool *any)
{
    struct parts p = { .args = 0 };
    struct action action;
    *any = false;
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    if (line.n == 0)
        return NULL;
    /* No name has these; NULs are what a crashed file system leaves. */
    if (memchr(line.p, '\0', line.n) || memchr(line.p, '\r', line.n) || memchr(line.p, '\n', line.n))
        return err_new(ERR_CORRUPT, "Invalid input");
    p.word = slice_of(line.p, word_length(line));
    if (p.word.n == line.n)
        return NULL;
    if (p.word.n == 0 || line.p[p.word.n] != ' ')
        return err_new(ERR_CORRUPT, "Invalid input");
    TRY(arguments(a, rest_of(line, p.word.n), &p));
    TRY(make_action(a, &p, line, &action));
    *out = action;
    *any = true;
    return NULL;
}
