/*
 * The incremental dlist reader (fansync/dlist.h): a push parser that can stop and go on
 * at any byte, because answers arrive in whatever pieces the network makes. Called by
 * the session for the wire and, through dlist_parse, by the store for database values;
 * one thread at a time for each reader. Invariant: the tree does not depend on where the
 * bytes were split, and no input makes it read or recurse beyond its bounds.
 */
#include "dlist_build.h"

#include <stdlib.h>

#include "fansync/mem.h"

#define MAX_FILE UINT32_MAX /* spec/wire.md §2.4: n is 32 bits */

static void reader_init(struct dlist_reader *r, struct arena *arena, const struct dlist_hooks *hooks,
                        bool with_key, size_t max_element, enum err_kind fault)
{
    r->state = with_key ? AT_KEY : AT_VALUE;
    r->role = with_key ? ROLE_KEY : ROLE_VALUE;
    r->fault = fault;
    r->arena = arena;
    r->hooks = hooks ? *hooks : (struct dlist_hooks){ 0 };
    r->max_element = max_element;
    r->offset = 0;
    r->depth = 0;
    r->watched = false;
    r->key = slice_of(NULL, 0);
    r->root = r->file = NULL;
    buf_clear(&r->tok);
    arena_reset(&r->item_arena);
}

struct dlist_reader *dlist_reader_new(void)
{
    return mem_alloc(sizeof(struct dlist_reader));
}

static void reader_release(struct dlist_reader *r)
{
    buf_free(&r->tok);
    arena_free(&r->item_arena);
}

void dlist_reader_free(struct dlist_reader *r)
{
    if (!r)
        return;
    reader_release(r);
    free(r);
}

void dlist_reader_begin(struct dlist_reader *r, struct arena *arena, const struct dlist_hooks *hooks,
                        bool with_key, size_t max_element)
{
    reader_init(r, arena, hooks, with_key, max_element, ERR_PROTOCOL);
}

struct dlist *dlist_reader_result(struct dlist_reader *r)
{
    return r->state == COMPLETE ? r->root : NULL;
}

size_t dlist_reader_holds(const struct dlist_reader *r)
{
    return buf_len(&r->tok) + arena_used(&r->item_arena);
}

/* ---- single bytes ---- */

static bool is_blank(const struct dlist_reader *r, char c)
{
    return c == ' ' || c == '\t' || (r->depth > 0 && (c == '\r' || c == '\n'));
}

static bool ends_atom(char c)
{
    return c == ' ' || c == '\t' || c == ')' || c == '\r' || c == '\n' || c == '\0';
}

static void begin_size(struct dlist_reader *r, enum dlist_state state)
{
    r->state = state;
    r->body = state == FILE_SIZE ? FILE_BYTES : LITERAL_BYTES;
    r->left = 0;
    r->digits = false;
}

/* The first byte of a string; an atom's is left for IN_ATOM to read. */
static struct err *begin_string(struct dlist_reader *r, size_t at, char c, size_t *used)
{
    *used = 1;
    if (c == '"') {
        r->state = IN_QUOTED;
    } else if (c == '{') {
        begin_size(r, LITERAL_SIZE);
    } else if (ends_atom(c) || c == '(' || c == '%') {
        return dlist_fault(r, at, "a string is missing");
    } else {
        r->state = IN_ATOM;
        *used = 0;
    }
    return NULL;
}

static struct err *read_key(struct dlist_reader *r, size_t at, char c, size_t *used)
{
    if (r->depth > 0 && c == ')') {
        *used = 1;
        return dlist_close_bracket(r, at);
    }
    if (r->depth > 0 && is_blank(r, c)) {
        *used = 1;
        return NULL;
    }
    return begin_string(r, at, c, used);
}

static struct err *read_value(struct dlist_reader *r, size_t at, char c, size_t *used)
{
    *used = 1;
    if (is_blank(r, c))
        return NULL;
    if (c == '(')
        return dlist_open_bracket(r, at, DLIST_LIST);
    if (c == '%') {
        r->state = AT_PERCENT;
        return NULL;
    }
    if (c == ')') {
        if (dlist_in_kvlist(r))
            return dlist_fault(r, at, "a key without a value");
        return dlist_close_bracket(r, at);
    }
    return begin_string(r, at, c, used);
}

static struct err *read_after_percent(struct dlist_reader *r, size_t at, char c)
{
    if (c == '(')
        return dlist_open_bracket(r, at, DLIST_KVLIST);
    if (c != '{')
        return dlist_fault(r, at, "'%' without bracket");
    dlist_begin_file(r);
    return NULL;
}

static struct err *expect_blank(struct dlist_reader *r, size_t at, char c, enum dlist_state next)
{
    if (!is_blank(r, c))
        return dlist_fault(r, at, "a blank is missing");
    r->state = next;
    return NULL;
}

static struct err *read_after_value(struct dlist_reader *r, size_t at, char c)
{
    if (c == ')')
        return dlist_close_bracket(r, at);
    if (!is_blank(r, c))
        return dlist_fault(r, at, "items without a blank between them");
    dlist_expect_item(r);
    return NULL;
}

static struct err *read_guid(struct dlist_reader *r, size_t at, char c)
{
    if (c != ' ') {
        buf_addc(&r->tok, c);
        return buf_len(&r->tok) > GUID_HEX ? dlist_fault(r, at, "a guid that is too long") : NULL;
    }
    if (!guid_parse(buf_slice(&r->tok), &r->file->guid))
        return dlist_fault(r, at, "a guid that is not 40 hex digits");
    buf_clear(&r->tok);
    begin_size(r, FILE_SIZE);
    return NULL;
}

/* "digits }" of a file, "digits [+] }" of a literal. */
static struct err *read_size(struct dlist_reader *r, size_t at, char c)
{
    uint64_t max = r->state == FILE_SIZE ? MAX_FILE : r->max_element;
    if (c >= '0' && c <= '9') {
        unsigned digit = (unsigned)(c - '0');
        if (digit > max || r->left > (max - digit) / 10)
            return dlist_fault(r, at, "a size beyond the limit");
        r->left = r->left * 10 + digit;
        r->digits = true;
        return NULL;
    }
    if (!r->digits || (c != '}' && !(c == '+' && r->state == LITERAL_SIZE)))
        return dlist_fault(r, at, "a malformed size");
    if (c == '+') {
        r->state = LITERAL_CLOSE;
        return NULL;
    }
    if (r->state == FILE_SIZE)
        r->file->size = r->left;
    r->state = HEADER_CR;
    return NULL;
}

static struct err *expect_byte(struct dlist_reader *r, size_t at, char c, char want, enum dlist_state next)
{
    if (c != want)
        return dlist_fault(r, at, "a malformed header of a literal or file");
    r->state = next;
    return NULL;
}

/* ---- runs of bytes ---- */

/* A string that ends here: its last part is p[0..n). */
static struct err *finish_string(struct dlist_reader *r, const char *p, size_t n, bool atom)
{
    if (buf_len(&r->tok) == 0)
        return dlist_string_done(r, slice_of(p, n), atom);
    buf_add(&r->tok, p, n);
    struct err *e = dlist_string_done(r, buf_slice(&r->tok), atom);
    buf_clear(&r->tok);
    return e;
}

/* Does p[0..n) still belong to the string? Then it must not become too long. */
static struct err *check_length(const struct dlist_reader *r, size_t at, size_t n)
{
    if (n > r->max_element || buf_len(&r->tok) > r->max_element - n)
        return dlist_fault(r, at, "an element beyond the limit");
    return NULL;
}

static struct err *read_atom(struct dlist_reader *r, size_t at, struct slice in, size_t *used)
{
    size_t n = 0;
    while (n < in.n && !ends_atom(in.p[n]))
        n++;
    TRY(check_length(r, at, n));
    *used = n;
    if (n == in.n) {
        buf_add(&r->tok, in.p, n);
        return NULL;
    }
    return finish_string(r, in.p, n, true);
}

static struct err *read_quoted(struct dlist_reader *r, size_t at, struct slice in, size_t *used)
{
    size_t n = 0;
    while (n < in.n && !strchr("\"\\\r\n", in.p[n])) /* finds the NUL too */
        n++;
    TRY(check_length(r, at, n));
    if (n == in.n) {
        *used = n;
        buf_add(&r->tok, in.p, n);
        return NULL;
    }
    *used = n + 1;
    if (in.p[n] == '"')
        return finish_string(r, in.p, n, false);
    if (in.p[n] != '\\')
        return dlist_fault(r, at + n, "a quoted string that does not end in its line");
    buf_add(&r->tok, in.p, n);
    r->state = IN_ESCAPE;
    return NULL;
}

static struct err *read_literal(struct dlist_reader *r, struct slice in, size_t *used)
{
    size_t n = in.n < r->left ? in.n : (size_t)r->left;
    *used = n;
    r->left -= n;
    if (r->left == 0)
        return finish_string(r, in.p, n, false);
    buf_add(&r->tok, in.p, n);
    return NULL;
}

static struct err *read_file(struct dlist_reader *r, struct slice in, size_t *used)
{
    size_t n = in.n < r->left ? in.n : (size_t)r->left;
    *used = n;
    r->left -= n;
    if (n > 0 && r->hooks.file)
        TRY(r->hooks.file(r->hooks.ctx, r->file, in.p, n));
    else
        buf_add(&r->tok, in.p, n);
    if (r->left > 0)
        return NULL;
    if (buf_len(&r->tok) > 0)
        r->file->str = arena_dup(dlist_build_arena(r), buf_slice(&r->tok));
    buf_clear(&r->tok);
    return dlist_file_done(r);
}

/* An empty body ends with its header, without a byte of its own. */
static struct err *begin_body(struct dlist_reader *r)
{
    size_t none;
    r->state = r->body;
    if (r->left > 0)
        return NULL;
    return r->body == FILE_BYTES ? read_file(r, slice_of("", 0), &none)
                                 : read_literal(r, slice_of("", 0), &none);
}

/* One step: takes *used bytes of in, or none and changes the state. */
static struct err *step(struct dlist_reader *r, size_t at, struct slice in, size_t *used)
{
    char c = in.p[0];
    *used = 1;
    switch (r->state) {
    case AT_KEY: return read_key(r, at, c, used);
    case AFTER_KEY: return expect_blank(r, at, c, AT_VALUE);
    case AT_VALUE: return read_value(r, at, c, used);
    case AFTER_VALUE: return read_after_value(r, at, c);
    case AT_PERCENT: return read_after_percent(r, at, c);
    case AT_PARTITION: return begin_string(r, at, c, used);
    case AFTER_PARTITION: return expect_blank(r, at, c, FILE_GUID);
    case IN_ATOM: return read_atom(r, at, in, used);
    case IN_QUOTED: return read_quoted(r, at, in, used);
    case IN_ESCAPE:
        TRY(check_length(r, at, 1));
        buf_addc(&r->tok, c);
        r->state = IN_QUOTED;
        return NULL;
    case LITERAL_SIZE:
    case FILE_SIZE: return read_size(r, at, c);
    case LITERAL_CLOSE: return expect_byte(r, at, c, '}', HEADER_CR);
    case FILE_GUID: return read_guid(r, at, c);
    case HEADER_CR: return expect_byte(r, at, c, '\r', HEADER_LF);
    case HEADER_LF:
        TRY(expect_byte(r, at, c, '\n', HEADER_LF));
        return begin_body(r);
    case LITERAL_BYTES: return read_literal(r, in, used);
    case FILE_BYTES: return read_file(r, in, used);
    case COMPLETE: break;
    }
    *used = 0;
    return NULL;
}

struct err *dlist_reader_feed(struct dlist_reader *r, const char *p, size_t n, size_t *used,
                              enum dlist_status *status)
{
    size_t at = 0;
    *used = 0;
    *status = DLIST_MORE;
    while (at < n && r->state != COMPLETE) {
        size_t taken;
        TRY(step(r, at, slice_of(p + at, n - at), &taken));
        at += taken;
    }
    r->offset += at;
    *used = at;
    if (r->state == COMPLETE)
        *status = DLIST_DONE;
    return NULL;
}

static struct err *parse_all(struct dlist_reader *r, struct slice text, struct dlist **out)
{
    size_t used;
    enum dlist_status status;
    TRY(dlist_reader_feed(r, text.p, text.n, &used, &status));
    /* A bare atom ends with the text; step looks at the byte behind it only. */
    if (status == DLIST_MORE && r->state == IN_ATOM && r->depth == 0)
        TRY(finish_string(r, "", 0, true));
    if (r->state != COMPLETE)
        return dlist_fault(r, 0, "the value ends too early");
    if (used < text.n)
        return dlist_fault(r, 0, "bytes behind the end of the value");
    *out = r->root;
    return NULL;
}

struct err *dlist_parse(struct arena *arena, struct slice text, struct dlist **out)
{
    struct dlist_reader r;
    r.tok = (struct buf)BUF_INIT;
    r.item_arena = (struct arena)ARENA_INIT;
    reader_init(&r, arena, NULL, false, SIZE_MAX, ERR_CORRUPT);
    struct err *e = parse_all(&r, text, out);
    reader_release(&r);
    return e;
}
