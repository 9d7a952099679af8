/* The client of the status socket (daemon/status.h): --status. It never waits long for a process that hangs. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/status_socket.h"

enum { PATIENCE = 5 }; /* seconds, for each step */

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
                                         [STATUS_METRICS] = "metrics\n" };
    return words[format];
}

static struct err *no_answer(const char *folder)
{
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINPROGRESS)
        return err_new(ERR_BUSY, "the process that follows the logs of %s does not answer (%d seconds)", folder, PATIENCE);
    return err_errno("the process that follows the logs of %s does not answer", folder);
}

static struct err *copy_to_stdout(int fd, const char *folder)
{
    char piece[4096];
    ssize_t n;
    size_t all = 0;
    while ((n = recv(fd, piece, sizeof piece, 0)) > 0) {
        all += (size_t)n;
        if (fwrite(piece, 1, (size_t)n, stdout) != (size_t)n)
            return err_errno("cannot write");
    }
    if (n == 0 && all == 0)
        return err_new(ERR_BUSY, "the process that follows the logs of %s has no time to answer: try again", folder);
    return n < 0 ? no_answer(folder) : NULL;
}

static struct err *ask(int fd, const char *folder, enum status_format format)
{
    struct slice word = slice_str(status_word(format));
    if (send(fd, word.p, word.n, MSG_NOSIGNAL) != (ssize_t)word.n)
        return no_answer(folder);
    return copy_to_stdout(fd, folder);
}

struct err *status_ask(const char *folder, enum status_format format)
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
        err = ask(fd, folder, format);
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
