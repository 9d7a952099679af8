/*
 * Name to socket: the host syntax of spec/operation.md §5.4, all of getaddrinfo's
 * answers in order, one non-blocking connect with a time limit each. Called from
 * session_open; any thread.
 */
#include "connect.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fansync/log.h"
#include "fansync/mem.h"
#include "fansync/slice.h"
#include "wait.h"

#define CSYNC_SERVICE "csync"
#define CSYNC_PORT "2005" /* by custom: there is no assigned port (spec/wire.md §1.1) */

/* An option that is misspelt must not mean a connection in the clear. */
static struct err *parse_options(struct endpoint *ep, const char *server, const char *p)
{
    while (*p == '/') {
        size_t n = strcspn(p + 1, "/");
        struct slice opt = slice_of(p + 1, n);
        if (slice_eqs(opt, "tls"))
            ep->tls = true;
        else if (slice_eqs(opt, "noauth"))
            ep->noauth = true;
        else
            return err_new(ERR_CONFIG, "%s: there is no option '/" SLICE_FMT "' of a host; there are /tls and /noauth",
                           server, SLICE_ARG(opt));
        p += 1 + n;
    }
    return NULL;
}

struct err *endpoint_parse(struct endpoint *ep, const char *server, const char *default_port)
{
    *ep = (struct endpoint){ .is_path = server[0] == '/' };
    size_t n = ep->is_path ? strlen(server) : strcspn(server, ":/");
    const char *rest = server + n;
    ep->host = mem_strndup(server, n);
    if (*rest == ':') {
        size_t len = strcspn(++rest, "/");
        if (len > 0)
            ep->port = mem_strndup(rest, len);
        rest += len;
    }
    struct err *err = parse_options(ep, server, rest);
    if (err)
        endpoint_clear(ep);
    else if (!ep->port && default_port && *default_port)
        ep->port = mem_strdup(default_port);
    return err;
}

struct err *session_check_server(const char *server)
{
    struct endpoint ep;
    TRY(endpoint_parse(&ep, server, NULL));
    endpoint_clear(&ep);
    return NULL;
}

void endpoint_clear(struct endpoint *ep)
{
    free(ep->host);
    free(ep->port);
    *ep = (struct endpoint){ 0 };
}

/* *error: an errno value, 0 when connected. */
static struct err *try_address(int fd, const struct sockaddr *sa, socklen_t len,
                               const struct session_options *o, int *error)
{
    bool ready = false;
    *error = connect(fd, sa, len) == 0 ? 0 : errno;
    /* A Unix socket with a full backlog says EAGAIN: it will not tell when there is room. */
    if (*error != EINPROGRESS && *error != EINTR)
        return NULL;
    TRY(wait_ready(fd, POLLOUT, wait_deadline(o->connect_timeout), o->stop, &ready));
    socklen_t size = sizeof *error;
    if (!ready)
        *error = ETIMEDOUT;
    else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, error, &size) < 0)
        *error = errno;
    return NULL;
}

static struct err *connect_failed(const char *peer, int error)
{
    char text[128];
    return err_new(ERR_CONNECT, "connect(%s) failed: %s", peer, strerror_r(error, text, sizeof text));
}

static struct err *connect_address(int family, const struct sockaddr *sa, socklen_t len, const char *peer,
                                   const struct session_options *o, int *out)
{
    int error;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return connect_failed(peer, errno);
    struct err *e = try_address(fd, sa, len, o, &error);
    if (!e && error)
        e = connect_failed(peer, error);
    if (e) {
        close(fd);
        return e;
    }
    *out = fd;
    return NULL;
}

static struct err *connect_path(const char *path, const struct session_options *o, struct connection *c)
{
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    size_t n = strlen(path);
    if (n >= sizeof sun.sun_path)
        return connect_failed(path, ENAMETOOLONG);
    memcpy(sun.sun_path, path, n + 1);
    TRY(connect_address(AF_UNIX, (struct sockaddr *)&sun, sizeof sun, path, o, &c->fd));
    c->local = true;
    c->peer = mem_strdup(path);
    return NULL;
}

static bool is_loopback(const struct sockaddr_storage *ss)
{
    if (ss->ss_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)ss)->sin_addr.s_addr) >> 24 == 127;
    const struct in6_addr *a = &((const struct sockaddr_in6 *)ss)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(a) || (IN6_IS_ADDR_V4MAPPED(a) && a->s6_addr[12] == 127);
}

static bool same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    if (a->ss_family != b->ss_family)
        return false;
    if (a->ss_family == AF_INET)
        return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
               ((const struct sockaddr_in *)b)->sin_addr.s_addr;
    return IN6_ARE_ADDR_EQUAL(&((const struct sockaddr_in6 *)a)->sin6_addr,
                              &((const struct sockaddr_in6 *)b)->sin6_addr);
}

/* The kernel reaches an address of this host from that same address. */
static bool peer_is_local(int fd)
{
    struct sockaddr_storage us = { 0 }, them = { 0 };
    socklen_t n = sizeof us, m = sizeof them;
    if (getsockname(fd, (struct sockaddr *)&us, &n) < 0 || getpeername(fd, (struct sockaddr *)&them, &m) < 0)
        return false;
    return is_loopback(&them) || same_host(&us, &them);
}

static struct err *look_up(const struct endpoint *ep, struct addrinfo **out)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    int rc = getaddrinfo(ep->host, ep->port ? ep->port : CSYNC_SERVICE, &hints, out);
    if (rc && !ep->port) /* the service is in no standard list */
        rc = getaddrinfo(ep->host, CSYNC_PORT, &hints, out);
    if (rc)
        return err_new(ERR_CONNECT, "getaddrinfo(%s) failed: %s", ep->host,
                       rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
    return NULL;
}

static char *peer_name(const char *host, const struct addrinfo *ai)
{
    char port[32];
    if (getnameinfo(ai->ai_addr, ai->ai_addrlen, NULL, 0, port, sizeof port, NI_NUMERICSERV) != 0)
        port[0] = '\0';
    struct buf b = BUF_INIT;
    buf_printf(&b, "%s:%s", host, port);
    char *name = mem_strdup(buf_cstr(&b));
    buf_free(&b);
    return name;
}

static struct err *try_all(const struct endpoint *ep, const struct addrinfo *list,
                           const struct session_options *o, struct connection *c)
{
    struct err *last = NULL;
    for (const struct addrinfo *ai = list; ai; ai = ai->ai_next) {
        if (last)
            log_msg(LOG_NOTICE, "%s, trying the next address", last->msg);
        err_free(last);
        c->peer = peer_name(ep->host, ai);
        last = connect_address(ai->ai_family, ai->ai_addr, ai->ai_addrlen, c->peer, o, &c->fd);
        if (!last)
            return NULL;
        free(c->peer);
        c->peer = NULL;
        if (last->kind == ERR_INTERRUPTED)
            break;
    }
    return last;
}

/* Without any of them it is slower, or slower to notice a peer that vanished, not wrong. */
static void set_option(int fd, int level, int name, int value)
{
    if (value > 0)
        (void)setsockopt(fd, level, name, &value, sizeof value);
}

/* A peer that vanished without a word is noticed: at rest by keep-alive, else by bytes that stay unconfirmed. */
static void set_options(int fd, const struct session_keepalive *k)
{
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (!k->on)
        return;
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, k->idle);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, k->interval);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, k->count);
    if (k->idle > 0 && k->interval > 0 && k->count > 0)
        set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (k->idle + k->count * k->interval) * 1000);
}

struct err *endpoint_connect(const struct endpoint *ep, const struct session_options *o,
                             struct connection *c)
{
    struct addrinfo *list;
    *c = (struct connection){ .fd = -1 };
    if (ep->is_path)
        return connect_path(ep->host, o, c);
    TRY(look_up(ep, &list));
    struct err *e = try_all(ep, list, o, c);
    freeaddrinfo(list);
    if (e)
        return e;
    set_options(c->fd, &o->keepalive);
    c->local = peer_is_local(c->fd);
    return NULL;
}
