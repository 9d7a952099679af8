/* Sockets, framing and dispatch of the model's servers (server.h). */
#include "server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fansync/mem.h"

enum { MAX_ELEMENT = 1 << 20 };

struct model_pass model_pass;

/* ---- commands ---- */

enum { CHANGES = 1, MASTER_TOO = 2, LOCKS = 4 };

static const struct {
    const char *verb, *what;
    server_command run;
    int flags;
} commands[] = {
    { "GET", "USER", server_get_user, 0 },
    { "GET", "META", server_get_meta, 0 },
    { "GET", "MAILBOXES", server_get_mailboxes, MASTER_TOO },
    { "GET", "UNIQUEIDS", server_get_uniqueids, 0 },
    { "GET", "FULLMAILBOX", server_get_fullmailbox, MASTER_TOO },
    { "GET", "FETCH", server_get_fetch, 0 },
    { "APPLY", "RESERVE", server_apply_reserve, MASTER_TOO },
    { "APPLY", "MESSAGE", server_apply_message, CHANGES | MASTER_TOO },
    { "APPLY", "MAILBOX", server_apply_mailbox, CHANGES | MASTER_TOO | LOCKS },
    { "APPLY", "EXPUNGE", server_apply_expunge, CHANGES | LOCKS },
    { "APPLY", "RENAME", server_apply_rename, CHANGES | LOCKS },
    { "APPLY", "UNMAILBOX", server_apply_unmailbox, CHANGES | LOCKS },
    { "APPLY", "LOCAL_MAILBOX", server_apply_mailbox, CHANGES },
    { "APPLY", "LOCAL_RENAME", server_apply_rename, CHANGES },
    { "APPLY", "LOCAL_UNMAILBOX", server_apply_unmailbox, CHANGES },
    { "APPLY", "SUB", server_apply_sub, CHANGES },
    { "APPLY", "UNSUB", server_apply_unsub, CHANGES },
    { "APPLY", "SEEN", server_apply_seen, CHANGES },
    { "APPLY", "QUOTA", server_apply_quota, CHANGES },
    { "APPLY", "UNQUOTA", server_apply_unquota, CHANGES },
    { "APPLY", "FORCE", server_apply_force, 0 },
};

const char *server_key(const struct dlist *d, const char *key)
{
    struct slice s;
    return dlist_str(d, key, &s) ? model_intern(s) : NULL;
}

bool server_is_staged(const struct connection *c, const char *partition, const struct guid *g)
{
    for (size_t i = 0; i < c->nstaged; i++)
        if (c->staged[i].partition == partition && guid_eq(&c->staged[i].guid, g))
            return true;
    return false;
}

void server_stage(struct connection *c, const char *partition, const struct guid *g)
{
    if (server_is_staged(c, partition, g))
        return;
    c->staged = mem_grow(c->staged, c->nstaged, &c->capstaged, sizeof *c->staged);
    c->staged[c->nstaged++] = (struct staged){ partition, *g };
}

static const char *run(struct connection *c, const char *verb, const struct dlist *d)
{
    struct model_server *s = c->server;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i].verb, verb) != 0 || !slice_caseeqs(d->key, commands[i].what))
            continue;
        if (s->is_master && !(commands[i].flags & MASTER_TOO))
            model_violation("the master's own server is sent %s %s", verb, commands[i].what);
        if (model_pass.locked_at && model_pass.commands >= model_pass.locked_at && (commands[i].flags & LOCKS)) {
            model_pass.locked_at = 0;
            return "NO IMAP_MAILBOX_LOCKED Mailbox locked";
        }
        if (commands[i].flags & CHANGES)
            model_pass.applied[s->is_master ? MASTER : REPLICA]++;
        return commands[i].run(c, d);
    }
    model_violation("unknown command %s " SLICE_FMT, verb, SLICE_ARG(d->key));
    return "NO IMAP_PROTOCOL_ERROR Protocol error";
}

/* ---- bytes ---- */

static bool flush_out(struct connection *c)
{
    while (buf_len(&c->out) > 0) {
        ssize_t n = send(c->fd, buf_ptr(&c->out), buf_len(&c->out), MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        buf_consume(&c->out, (size_t)n);
    }
    return true;
}

static bool fill_in(struct connection *c)
{
    if (!flush_out(c))
        return false;
    char *to = buf_reserve(&c->in, 65536);
    ssize_t n = recv(c->fd, to, 65536, 0);
    if (n <= 0)
        return false;
    buf_added(&c->in, (size_t)n);
    return true;
}

/* A word and the byte behind it, which is left; false at the end of the stream. */
static bool read_word(struct connection *c, char *word, size_t size)
{
    for (size_t at = 0;; at++) {
        while (at >= buf_len(&c->in))
            if (!fill_in(c))
                return false;
        char b = buf_ptr(&c->in)[at];
        if (b == ' ' || b == '\r' || at == size - 1) {
            memcpy(word, buf_ptr(&c->in), at);
            word[at] = '\0';
            buf_consume(&c->in, at);
            return true;
        }
    }
}

static bool skip(struct connection *c, const char *text)
{
    size_t n = strlen(text);
    while (buf_len(&c->in) < n)
        if (!fill_in(c))
            return false;
    if (memcmp(buf_ptr(&c->in), text, n) != 0) {
        model_violation("a command does not end where it should");
        return false;
    }
    buf_consume(&c->in, n);
    return true;
}

static struct dlist *read_argument(struct connection *c)
{
    enum dlist_status status = DLIST_MORE;
    dlist_reader_begin(c->reader, &c->arena, NULL, true, MAX_ELEMENT);
    while (status == DLIST_MORE) {
        size_t used;
        if (buf_len(&c->in) == 0 && !fill_in(c))
            return NULL;
        struct err *e = dlist_reader_feed(c->reader, buf_ptr(&c->in), buf_len(&c->in), &used, &status);
        if (e) {
            model_violation("syntax: %s", e->msg);
            err_free(e);
            return NULL;
        }
        buf_consume(&c->in, used);
    }
    return dlist_reader_result(c->reader);
}

/* ---- one command ---- */

static void late_edits(void)
{
    struct model_pass *p = &model_pass;
    for (size_t i = 0; i < p->nlate; i++)
        if (p->late[i]->at == p->commands) {
            model_edit(p->host[p->late[i]->side], p->late[i]);
            p->replica_edited |= p->late[i]->side == REPLICA;
            p->master_edited |= p->late[i]->side == MASTER;
        }
}

/* False: the connection ends. d NULL: a command without argument. */
static bool execute(struct connection *c, const char *verb, const struct dlist *d)
{
    struct model_pass *p = &model_pass;
    const char *answer = SERVER_OK;
    size_t before = buf_len(&c->out);
    if (p->dead || strcmp(verb, "EXIT") == 0)
        return false; /* nobody waits for EXIT: when it arrives depends on the machine */
    p->commands++;
    late_edits();
    if (p->kill_at == p->commands)
        p->dead = true;
    if (p->dead || p->cut_at == p->commands)
        return false;
    if (d)
        answer = run(c, verb, d);
    else if (strcmp(verb, "RESTART") == 0)
        c->nstaged = 0;
    if (p->lose_at == p->commands || !answer) {
        c->out.end = c->out.start + before;
        return false;
    }
    buf_printf(&c->out, "%s\r\n", answer);
    return true;
}

static bool serve_command(struct connection *c)
{
    char verb[16];
    struct dlist *d = NULL;
    arena_reset(&c->arena);
    if (!read_word(c, verb, sizeof verb))
        return false;
    bool bare = strcmp(verb, "NOOP") == 0 || strcmp(verb, "RESTART") == 0 || strcmp(verb, "EXIT") == 0;
    if (!bare && (!skip(c, " ") || !(d = read_argument(c))))
        return false;
    if (!skip(c, "\r\n"))
        return false;
    if (c->server->is_master && strcmp(verb, "EXIT") != 0 &&
        __atomic_load_n(&model_open_mailboxes, __ATOMIC_SEQ_CST)) {
        model_violation("%s to the master's own server while a mailbox of the store is open", verb);
        return false;
    }
    model_lock();
    bool going = execute(c, verb, d);
    model_unlock();
    return going;
}

static void serve(struct model_server *s, int fd)
{
    struct connection c = { .server = s, .fd = fd, .reader = dlist_reader_new() };
    buf_adds(&c.out, s->host->unmailbox_id ? "* UNMAILBOX-ID\r\n" : "");
    buf_printf(&c.out, "* OK model Cyrus sync server %s\r\n", s->host->long_thrid ? "3.13.7-model" : "3.12.1-model");
    while (serve_command(&c))
        ;
    flush_out(&c);
    close(fd);
    dlist_reader_free(c.reader);
    buf_free(&c.in);
    buf_free(&c.out);
    arena_free(&c.arena);
    free(c.staged);
}

static void *server_thread(void *arg)
{
    struct model_server *s = arg;
    for (;;) {
        int fd = accept(s->listener, NULL, NULL);
        if (fd < 0)
            return NULL; /* stopped */
        serve(s, fd);
    }
}

void model_server_start(struct model_server *s, const char *folder, struct model_host *host,
                        struct model_host *peer, bool is_master)
{
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    *s = (struct model_server){ .host = host, .peer = peer, .is_master = is_master };
    snprintf(s->path, sizeof s->path, "%s/%s", folder, host->label);
    strcpy(sun.sun_path, s->path);
    s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->listener < 0 || bind(s->listener, (struct sockaddr *)&sun, sizeof sun) < 0 || listen(s->listener, 8) < 0 ||
        pthread_create(&s->thread, NULL, server_thread, s) != 0) {
        perror(s->path);
        exit(1);
    }
}

void model_server_stop(struct model_server *s)
{
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->listener);
    unlink(s->path);
}
