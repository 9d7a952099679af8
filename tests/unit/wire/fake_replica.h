/*
 * A replica made of a thread and a script: it listens on a Unix socket or on loopback,
 * takes one connection and runs a function on it. Included by the tests of this folder;
 * also catches what the code under test logs.
 */
#ifndef FAKE_REPLICA_H
#define FAKE_REPLICA_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fansync/buf.h"
#include "fansync/log.h"
#include "fansync/session.h"

#define LIT(s) slice_of(s, sizeof(s) - 1)

/* ---- the log, instead of syslog ---- */

static struct buf logged;

void log_msg(int priority, const char *fmt, ...)
{
    va_list ap;
    buf_printf(&logged, "%d:", priority);
    va_start(ap, fmt);
    buf_vprintf(&logged, fmt, ap);
    va_end(ap);
    buf_addc(&logged, '\n');
}

static inline bool was_logged(const char *text)
{
    return strstr(buf_cstr(&logged), text) != NULL;
}

/* ---- the replica ---- */

struct fake {
    pthread_t thread;
    int listener;
    int fd; /* the connection, for scripts that need more than stdio */
    FILE *in, *out;
    void (*serve)(struct fake *f);
    void *ctx;
    char server[128]; /* for session_options */
    bool is_path;
};

static inline void *fake_run(void *arg)
{
    struct fake *f = arg;
    f->fd = accept(f->listener, NULL, NULL);
    f->in = fdopen(f->fd, "r");
    f->out = fdopen(dup(f->fd), "w");
    f->serve(f);
    fclose(f->in);
    fclose(f->out);
    return NULL;
}

static inline void fake_must(int ok, const char *what)
{
    if (ok < 0) {
        perror(what);
        abort();
    }
}

static inline void fake_start(struct fake *f, bool is_path, void (*serve)(struct fake *), void *ctx)
{
    union {
        struct sockaddr sa;
        struct sockaddr_un un;
        struct sockaddr_in in;
    } a = { 0 };
    socklen_t len = is_path ? sizeof a.un : sizeof a.in;
    buf_clear(&logged);
    signal(SIGPIPE, SIG_IGN); /* the script's own writes to a client that went away */
    *f = (struct fake){ .serve = serve, .ctx = ctx, .is_path = is_path };
    f->listener = socket(is_path ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
    if (is_path) {
        static int n;
        snprintf(f->server, sizeof f->server, "/tmp/fansync-test-%ld-%d", (long)getpid(), n++);
        a.un.sun_family = AF_UNIX;
        strcpy(a.un.sun_path, f->server);
        unlink(f->server);
    } else {
        a.in.sin_family = AF_INET;
        a.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
    fake_must(bind(f->listener, &a.sa, len), "bind");
    fake_must(listen(f->listener, 1), "listen");
    if (!is_path) {
        fake_must(getsockname(f->listener, &a.sa, &len), "getsockname");
        snprintf(f->server, sizeof f->server, "127.0.0.1:%d", ntohs(a.in.sin_port));
    }
    pthread_create(&f->thread, NULL, fake_run, f);
}

static inline void fake_stop(struct fake *f)
{
    pthread_join(f->thread, NULL);
    close(f->listener);
    if (f->is_path)
        unlink(f->server);
}

static inline void fake_say(struct fake *f, const char *text)
{
    fputs(text, f->out);
    fflush(f->out);
}

/* One line without its end; "" at the end of file. */
static inline const char *fake_hear(struct fake *f)
{
    static _Thread_local char line[4096];
    if (!fgets(line, sizeof line, f->in))
        line[0] = '\0';
    line[strcspn(line, "\r\n")] = '\0';
    return line;
}

/* Reads until the client closes. */
static inline void fake_until_end(struct fake *f)
{
    while (getc(f->in) != EOF)
        ;
}

/* ---- the client's side ---- */

static inline struct session_options fake_options(const struct fake *f)
{
    return (struct session_options){ .server = f->server, .authname = "cyrus", .password = "secret",
                                     .connect_timeout = 5, .timeout = 20 };
}

/* A session without login. */
static inline struct session *fake_session(const struct fake *f)
{
    char server[sizeof f->server + 8];
    struct session_options o = fake_options(f);
    struct session *s = NULL;
    snprintf(server, sizeof server, "%s%s", f->server, f->is_path ? "" : "/noauth");
    o.server = server;
    struct err *e = session_open(&o, &s);
    if (e)
        fail_msg("%s", e->msg);
    return s;
}

/* What callbacks saw, as text: one line for each answer. */
struct seen {
    struct buf text;
    int n;
    int ok;
    int unknown;
    enum err_kind last;
};

static inline void see_answer(void *ctx, const struct answer *a)
{
    struct seen *s = ctx;
    s->n++;
    s->ok += !a->err;
    s->unknown += a->unknown;
    if (a->err)
        s->last = a->err->kind;
    buf_printf(&s->text, "%s%s", a->err ? err_kind_name(a->err->kind) : "ok", a->unknown ? "?" : "");
    for (size_t i = 0; i < a->nlines; i++)
        buf_printf(&s->text, " " SLICE_FMT, SLICE_ARG(a->lines[i]->key));
    buf_addc(&s->text, '\n');
}

static inline void command(struct session *s, const char *verb, const char *argument, struct seen *seen)
{
    struct buf *b = session_begin(s, verb, NULL, NULL, see_answer, seen);
    buf_adds(b, argument);
    err_free(session_end(s));
}

static inline void assert_fails(struct err *e, enum err_kind kind, const char *text)
{
    assert_non_null(e);
    if (e->kind != kind || !strstr(e->msg, text))
        fail_msg("%s: %s", err_kind_name(e->kind), e->msg);
    err_free(e);
}

static inline void assert_ok(struct err *e)
{
    if (e)
        fail_msg("%s", e->msg);
}

#endif
