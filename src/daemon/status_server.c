/*
 * The sockets on which the state is told (daemon/status.h). Main thread, which also hears the signals: so
 * nothing here waits. A client is a small state machine:
 *
 *   asking     its line has not come whole yet      -> answering, or gone when it takes too long
 *   answering  part of the answer is still unsent   -> gone when it is sent, or takes too long
 *
 * A descriptor is kept in reserve, so that the state can be told when none is left. If that one is in use
 * too, nobody is let in for a second: a socket that is readable and cannot be accepted would keep the
 * process busy.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon/status.h"
#include "daemon/status_socket.h"
#include "fansync/clock.h"
#include "fansync/log.h"
#include "fansync/mem.h"

enum {
    BACKLOG = 8,
    MOST_CLIENTS = 32, /* at a time; others wait to be accepted */
    PATIENCE_MS = 5000,
    MUTE_MS = 1000,
};

struct client {
    int fd;
    char request[32];
    size_t asked; /* bytes of it */
    struct buf answer;
    bool answering;
    int64_t deadline;
};

struct status_server {
    const struct status_view *view;
    int *listener;
    size_t nlisteners, listeners_cap;
    struct client client[MOST_CLIENTS];
    size_t nclients;
    int spare; /* -1: in use, or not to be had */
    int64_t muted_until;
};

static void keep_spare(struct status_server *s)
{
    if (s->spare < 0)
        s->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* ---- life ---- */

/* The folder's ownership lock is ours: a socket that is there belongs to nobody any more. */
static int listen_in(const char *folder)
{
    struct sockaddr_un address;
    int folder_fd, fd = status_socket(folder, SOCK_NONBLOCK, &address, &folder_fd);
    if (fd >= 0) {
        unlink(address.sun_path);
        if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || chmod(address.sun_path, 0600) < 0 ||
            listen(fd, BACKLOG) < 0) {
            close(fd);
            fd = -1;
        }
    }
    if (fd < 0)
        log_msg(LOG_WARNING, "%s" STATUS_SOCKET ": cannot listen: %s", folder, strerror(errno));
    if (folder_fd >= 0)
        close(folder_fd);
    return fd;
}

struct status_server *status_server_new(const struct status_view *v)
{
    struct status_server *s = mem_alloc(sizeof *s);
    struct tailing_status followed;
    s->view = v;
    s->spare = -1;
    keep_spare(s);
    for (size_t i = 0; tailing_status(v->tailing, i, &followed); i++) {
        int fd = listen_in(followed.folder);
        if (fd < 0)
            continue;
        s->listener = mem_grow(s->listener, s->nlisteners, &s->listeners_cap, sizeof *s->listener);
        s->listener[s->nlisteners++] = fd;
    }
    return s;
}

static void drop(struct status_server *s, size_t i)
{
    struct client *c = &s->client[i];
    close(c->fd);
    buf_free(&c->answer);
    *c = s->client[--s->nclients];
    keep_spare(s);
}

void status_server_free(struct status_server *s)
{
    if (!s)
        return;
    while (s->nclients > 0)
        drop(s, 0);
    for (size_t i = 0; i < s->nlisteners; i++)
        close(s->listener[i]);
    struct tailing_status followed;
    for (size_t i = 0; tailing_status(s->view->tailing, i, &followed); i++) {
        struct buf path = BUF_INIT;
        buf_printf(&path, "%s" STATUS_SOCKET, followed.folder);
        unlink(buf_cstr(&path));
        buf_free(&path);
    }
    if (s->spare >= 0)
        close(s->spare);
    free(s->listener);
    free(s);
}

/* ---- clients ---- */

/* How the answer went on: false if the client is done with, whatever became of it. */
static bool go_on_sending(struct client *c)
{
    while (buf_len(&c->answer) > 0) {
        ssize_t n = send(c->fd, buf_ptr(&c->answer), buf_len(&c->answer), MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK;
        buf_consume(&c->answer, (size_t)n);
    }
    return false;
}

static bool begin_answer(struct status_server *s, struct client *c)
{
    for (int f = STATUS_TEXT; f <= STATUS_FAULTS; f++)
        if (slice_eqs(slice_of(c->request, c->asked), status_word((enum status_format)f)))
            status_write(&c->answer, (enum status_format)f, s->view);
    c->answering = true;
    return go_on_sending(c);
}

static bool go_on_reading(struct status_server *s, struct client *c)
{
    ssize_t n = recv(c->fd, c->request + c->asked, sizeof c->request - c->asked, 0);
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
    c->asked += (size_t)n;
    if (n == 0 || c->asked == sizeof c->request)
        return false;
    return c->request[c->asked - 1] != '\n' || begin_answer(s, c);
}

/* With the descriptor in reserve if there is no other; -1: not now. */
static int let_in(struct status_server *s, int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0 || (errno != EMFILE && errno != ENFILE))
        return fd;
    if (s->spare >= 0) {
        close(s->spare);
        s->spare = -1;
        fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    }
    if (fd < 0)
        s->muted_until = clock_ms() + MUTE_MS;
    return fd;
}

static void take_client(struct status_server *s, int listener)
{
    int fd = s->nclients < MOST_CLIENTS ? let_in(s, listener) : -1;
    if (fd >= 0)
        s->client[s->nclients++] = (struct client){ .fd = fd, .answer = BUF_INIT, .deadline = clock_ms() + PATIENCE_MS };
}

/* ---- serving ---- */

size_t status_server_fds(const struct status_server *s, struct pollfd **f, size_t n, size_t *cap)
{
    bool muted = s->nclients == MOST_CLIENTS || clock_ms() < s->muted_until;
    for (size_t i = 0; i < s->nclients; i++) {
        *f = mem_grow(*f, n, cap, sizeof **f);
        (*f)[n++] = (struct pollfd){ .fd = s->client[i].fd, .events = s->client[i].answering ? POLLOUT : POLLIN };
    }
    for (size_t i = 0; i < s->nlisteners; i++) {
        *f = mem_grow(*f, n, cap, sizeof **f);
        (*f)[n++] = (struct pollfd){ .fd = muted ? -1 : s->listener[i], .events = POLLIN };
    }
    return n;
}

static bool serve(struct status_server *s, struct client *c, const struct pollfd *f)
{
    if (!f->revents)
        return clock_ms() < c->deadline;
    return c->answering ? go_on_sending(c) : go_on_reading(s, c);
}

void status_server_serve(struct status_server *s, const struct pollfd *f)
{
    const struct pollfd *listeners = f + s->nclients;
    for (size_t i = s->nclients; i-- > 0;) /* from the end: the last takes the place of one that goes */
        if (!serve(s, &s->client[i], &f[i]))
            drop(s, i);
    for (size_t i = 0; i < s->nlisteners; i++)
        if (listeners[i].fd >= 0 && listeners[i].revents)
            take_client(s, s->listener[i]);
}
