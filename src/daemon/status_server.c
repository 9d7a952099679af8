/*
 * The sockets on which the state is told, and the client that asks (daemon/status.h). Main
 * thread. A path may be longer than a socket's address can hold, so it is reached through the
 * descriptor of its folder.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/status.h"
#include "fansync/log.h"
#include "fansync/mem.h"

#define SOCKET_NAME "status.socket"

struct status_server {
    struct line *const *lines;
    size_t n;
    struct tailing *tailing;
    int fd[STATUS_FDS];
    size_t nfds;
};

/* A socket and the address of FOLDER/status.socket; *folder_fd is to be closed after use. */
static int make_socket(const char *folder, struct sockaddr_un *address, int *folder_fd)
{
    *folder_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*folder_fd < 0)
        return -1;
    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/" SOCKET_NAME, *folder_fd);
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

/* The folder's ownership lock is ours: a socket that is there belongs to nobody any more. */
static int listen_in(const char *folder)
{
    struct sockaddr_un address;
    int folder_fd, fd = make_socket(folder, &address, &folder_fd);
    if (fd >= 0) {
        unlink(address.sun_path);
        if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || chmod(address.sun_path, 0600) < 0 ||
            listen(fd, 8) < 0) {
            close(fd);
            fd = -1;
        }
    }
    if (fd < 0)
        log_msg(LOG_WARNING, "%s" SOCKET_NAME ": cannot listen: %s", folder, strerror(errno));
    if (folder_fd >= 0)
        close(folder_fd);
    return fd;
}

struct status_server *status_server_new(struct line *const *lines, size_t n, struct tailing *tailing)
{
    struct status_server *s = mem_alloc(sizeof *s);
    s->lines = lines;
    s->n = n;
    s->tailing = tailing;
    struct tailing_status followed;
    for (size_t i = 0; s->nfds < STATUS_FDS && tailing_status(tailing, i, &followed); i++) {
        int fd = listen_in(followed.folder);
        if (fd >= 0)
            s->fd[s->nfds++] = fd;
    }
    return s;
}

void status_server_free(struct status_server *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->nfds; i++)
        close(s->fd[i]);
    struct tailing_status followed;
    for (size_t i = 0; tailing_status(s->tailing, i, &followed); i++) {
        struct buf path = BUF_INIT;
        buf_printf(&path, "%s" SOCKET_NAME, followed.folder);
        unlink(buf_cstr(&path));
        buf_free(&path);
    }
    free(s);
}

size_t status_server_fds(const struct status_server *s, struct pollfd *f)
{
    for (size_t i = 0; i < s->nfds; i++)
        f[i] = (struct pollfd){ .fd = s->fd[i], .events = POLLIN };
    return s->nfds;
}

static bool write_all(int fd, struct slice s)
{
    while (s.n > 0) {
        ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        s = slice_of(s.p + n, s.n - (size_t)n);
    }
    return true;
}

static const char *const words[] = { [STATUS_TEXT] = "text\n", [STATUS_JSON] = "json\n",
                                     [STATUS_METRICS] = "metrics\n" };

static void answer(struct status_server *s, int fd)
{
    char request[32];
    const struct timeval second = { 1, 0 };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof second);
    ssize_t n = recv(fd, request, sizeof request, 0);
    struct buf b = BUF_INIT;
    for (int f = STATUS_TEXT; f <= STATUS_METRICS; f++)
        if (n > 0 && slice_eqs(slice_of(request, (size_t)n), words[f]))
            status_write(&b, (enum status_format)f, s->lines, s->n, s->tailing);
    write_all(fd, buf_slice(&b));
    buf_free(&b);
}

void status_server_serve(struct status_server *s, const struct pollfd *f, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!f[i].revents)
            continue;
        int fd = accept4(f[i].fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        answer(s, fd);
        close(fd);
    }
}

/* ---- the client ---- */

static struct err *copy_to_stdout(int fd)
{
    char piece[4096];
    ssize_t n;
    while ((n = recv(fd, piece, sizeof piece, 0)) > 0)
        if (fwrite(piece, 1, (size_t)n, stdout) != (size_t)n)
            return err_errno("cannot write");
    return n < 0 ? err_errno("cannot read the answer") : NULL;
}

struct err *status_ask(const char *folder, enum status_format format)
{
    struct sockaddr_un address;
    struct err *err = NULL;
    int folder_fd, fd = make_socket(folder, &address, &folder_fd);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        err = err_new(ERR_CONNECT, "no process follows the logs of %s (%s)", folder, strerror(errno));
    else if (!write_all(fd, slice_str(words[format])))
        err = err_errno("cannot ask");
    else
        err = copy_to_stdout(fd);
    if (fd >= 0)
        close(fd);
    if (folder_fd >= 0)
        close(folder_fd);
    return err;
}
