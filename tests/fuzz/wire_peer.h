/* A replica on the other end of a socket: what it says is the input (fuzz_answers.c, fuzz_login.c, fuzz_engine.c). */
#ifndef FANSYNC_FUZZ_WIRE_PEER_H
#define FANSYNC_FUZZ_WIRE_PEER_H

#include "fuzz.h"

#include <sys/socket.h>
#include <unistd.h>

#include "fansync/session.h"

/* Our end of a connection whose other one, *theirs, has the greeting in it. *theirs is to be kept open until ours is closed. */
static inline int wire_pair(const char *greeting, int *theirs)
{
    static bool begun;
    int fd[2], size = 1 << 20;
    struct slice said = slice_str(greeting);
    if (!begun)
        must(!session_library_init());
    begun = true;
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd) == 0);
    setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    must(said.n == 0 || write(fd[1], said.p, said.n) == (ssize_t)said.n);
    *theirs = fd[1];
    return fd[0];
}

/* The same, and it says at most 64 KiB of the input, and then nothing any more. */
static inline int wire_peer(const char *greeting, struct slice in, int *theirs)
{
    int ours = wire_pair(greeting, theirs);
    struct slice said = fuzz_bytes(&in, 64 * 1024);
    must(said.n == 0 || write(*theirs, said.p, said.n) == (ssize_t)said.n);
    shutdown(*theirs, SHUT_WR);
    return ours;
}

#endif
