/* A replica that has said everything it will ever say, before it was asked (fuzz_answers.c, fuzz_login.c). */
#ifndef FANSYNC_FUZZ_WIRE_PEER_H
#define FANSYNC_FUZZ_WIRE_PEER_H

#include "fuzz.h"

#include <sys/socket.h>
#include <unistd.h>

#include "fansync/session.h"

/* What it says: head, then at most 64 KiB of the input, then the end of the stream. Gives our end; *theirs is to be
 * kept open until ours is closed. */
static inline int wire_peer(const char *head, struct slice in, int *theirs)
{
    static bool begun;
    int fd[2], size = 1 << 20;
    if (!begun)
        must(!session_library_init());
    begun = true;
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd) == 0);
    setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    struct slice h = slice_str(head), said = fuzz_bytes(&in, 64 * 1024);
    must(h.n == 0 || write(fd[1], h.p, h.n) == (ssize_t)h.n);
    must(said.n == 0 || write(fd[1], said.p, said.n) == (ssize_t)said.n);
    shutdown(fd[1], SHUT_WR);
    *theirs = fd[1];
    return fd[0];
}

#endif
