/* A session that takes down the commands written to it and answers each at once, as the test says. */
#ifndef FANSYNC_TESTS_FAKE_SESSION_H
#define FANSYNC_TESTS_FAKE_SESSION_H

#include <stdio.h>

#include "fansync/session.h"

struct session {
    unsigned capabilities;
    struct buf line, sent; /* the command being written; all of them, each with a newline */
    answer_fn fn;
    void *ctx;
    const char *refused; /* a command that begins so gets kind as its answer */
    enum err_kind kind;
    bool dies; /* with it */
    struct dlist *line_of_answer; /* of what is not refused; or NULL */
};

static struct session session;

static inline void session_clear(void)
{
    buf_free(&session.line);
    buf_free(&session.sent);
    session = (struct session){ .capabilities = 0 };
}

struct buf *session_begin(struct session *s, const char *verb, struct arena *arena, const struct dlist_hooks *hooks,
                          answer_fn fn, void *ctx)
{
    (void)arena;
    (void)hooks;
    s->fn = fn;
    s->ctx = ctx;
    buf_clear(&s->line);
    buf_printf(&s->line, "%s ", verb);
    return &s->line;
}

struct err *session_end(struct session *s)
{
    bool refused = s->refused && strncmp(buf_cstr(&s->line), s->refused, strlen(s->refused)) == 0;
    struct answer a = { .unknown = refused && s->dies };
    buf_add(&s->sent, buf_ptr(&s->line), buf_len(&s->line));
    buf_addc(&s->sent, '\n');
    if (refused) {
        a.err = err_new(s->kind, "refused");
    } else if (s->line_of_answer) {
        a.lines = &s->line_of_answer;
        a.nlines = 1;
    }
    if (s->fn)
        s->fn(s->ctx, &a);
    err_free(a.err);
    return NULL;
}

unsigned session_capabilities(const struct session *s)
{
    return s->capabilities;
}

#define assert_sent(text)                                          \
    do {                                                           \
        assert_string_equal(buf_cstr(&session.sent), text);        \
        buf_clear(&session.sent);                                  \
    } while (0)

#endif
