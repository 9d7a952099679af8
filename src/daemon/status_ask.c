/* The client of the status socket (daemon/status.h): --status. It never waits long for a process that hangs. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/status_socket.h"

enum {
    PATIENCE = 5, /* seconds, for each step */
    PIECE = 4096,
};

int status_socket(const char *folder, int flags, struct sockaddr_un *address, int *folder_fd)
{
    *folder_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*folder_fd < 0)
        return -1;
    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/" STATUS_SOCKET, *folder_fd);
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
}

const char *status_word(enum status_format format)
{
    static const char *const words[] = { [STATUS_TEXT] = "text\n", [STATUS_JSON] = "json\n",
                                         [STATUS_METRICS] = "metrics\n", [STATUS_FAULTS] = "faults\n" };
    return words[format];
}

static struct err *no_answer(const char *folder)
{
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINPROGRESS)
        return err_new(ERR_BUSY, "the process that follows the logs of %s does not answer (%d seconds)", folder, PATIENCE);
    return err_errno("the process that follows the logs of %s does not answer", folder);
}

static struct err *read_all(int fd, const char *folder, struct buf *out)
{
    ssize_t n;
    while ((n = recv(fd, buf_reserve(out, PIECE), PIECE, 0)) > 0)
        buf_added(out, (size_t)n);
    if (n == 0 && buf_len(out) == 0)
        return err_new(ERR_BUSY, "the process that follows the logs of %s has no time to answer: try again", folder);
    return n < 0 ? no_answer(folder) : NULL;
}

static struct err *ask(int fd, const char *folder, enum status_format format, struct buf *out)
{
    struct slice word = slice_str(status_word(format));
    if (send(fd, word.p, word.n, MSG_NOSIGNAL) != (ssize_t)word.n)
        return no_answer(folder);
    return read_all(fd, folder, out);
}

static struct err *ask_in(const char *folder, enum status_format format, struct buf *out)
{
    const struct timeval patience = { PATIENCE, 0 };
    struct sockaddr_un address;
    struct err *err = NULL;
    int folder_fd, fd = status_socket(folder, 0, &address, &folder_fd);
    if (fd >= 0) { /* the limit of sending is connect's too */
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    }
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        err = ask(fd, folder, format, out);
    else if (fd >= 0 && (errno == EAGAIN || errno == EINPROGRESS))
        err = no_answer(folder);
    else
        err = err_new(ERR_CONNECT, "no process follows the logs of %s (%s)", folder, strerror(errno));
    if (fd >= 0)
        close(fd);
    if (folder_fd >= 0)
        close(folder_fd);
    return err;
}

struct err *status_ask(const char *folder, enum status_format format, bool *faulty)
{
    struct buf answer = BUF_INIT, faults = BUF_INIT;
    struct err *err = ask_in(folder, format, &answer);
    if (!err && fwrite(buf_ptr(&answer), 1, buf_len(&answer), stdout) != buf_len(&answer))
        err = err_errno("cannot write");
    if (!err)
        err = ask_in(folder, STATUS_FAULTS, &faults);
    *faulty = !err && !slice_eqs(buf_slice(&faults), status_word(STATUS_FAULTS));
    buf_free(&answer);
    buf_free(&faults);
    return err;
}
