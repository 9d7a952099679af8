/* A sync log, line by line: what is read is written so that it reads the same. */
#include "fuzz.h"

#include <string.h>

#include "fansync/synclog.h"

static bool same(const struct action *x, const struct action *y)
{
    return x->kind == y->kind && slice_eq(x->a, y->a) && slice_eq(x->b, y->b);
}

static void one_line(struct slice line)
{
    struct arena a = ARENA_INIT;
    struct buf b = BUF_INIT, text = BUF_INIT;
    struct action action, again;
    bool any = false;
    if (!fuzz_refused(synclog_parse(&a, line, &action, &any)) && any) {
        must((unsigned)action.kind < ACTION_KINDS);
        if (synclog_format(&b, &action)) {
            struct slice written = buf_slice(&b);
            must(written.n && written.p[written.n - 1] == '\n');
            must(!memchr(written.p, '\n', written.n - 1));
            must(!synclog_parse(&a, slice_of(written.p, written.n - 1), &again, &any) && any);
            must(same(&action, &again));
        }
    }
    synclog_escape(&text, line);
    for (size_t i = 0; i < buf_len(&text); i++)
        must(buf_ptr(&text)[i] >= ' ' && buf_ptr(&text)[i] < 0x7f);
    buf_free(&b);
    buf_free(&text);
    arena_free(&a);
}

static void count(void *ctx, const struct action *a)
{
    (void)a;
    ++*(size_t *)ctx;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct slice in = slice_of((const char *)data, n);
    size_t records = 0, bad = 0;
    struct buf lines = BUF_INIT;
    fuzz_refused(synclog_read_file(fuzz_file(in), count, &records, &bad, &lines));
    buf_free(&lines);
    while (in.n) {
        const char *end = memchr(in.p, '\n', in.n);
        one_line(fuzz_bytes(&in, end ? (size_t)(end - in.p) : in.n));
        fuzz_byte(&in);
    }
    return 0;
}
