/* Metrics over HTTP (daemon/metrics_http.h). */
#include "daemon/metrics_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/status.h"
#include "fansync/clock.h"
#include "fansync/mem.h"

enum { CONNECTIONS = 8, TIMEOUT = 5 /* seconds */ };

struct metrics_http {
    struct MHD_Daemon *daemon;
    const struct status_view *view;
    time_t muted; /* until this second of the monotonic clock */
};

static enum MHD_Result reply(struct MHD_Connection *c, unsigned status, struct slice body, const char *type)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(body.n, (void *)(uintptr_t)body.p, MHD_RESPMEM_MUST_COPY);
    if (!r)
        return MHD_NO;
    MHD_add_response_header(r, "Content-Type", type);
    enum MHD_Result result = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return result;
}

static enum MHD_Result answer(void *ctx, struct MHD_Connection *c, const char *url, const char *method,
                              const char *version, const char *data, size_t *size, void **seen)
{
    struct metrics_http *m = ctx;
    (void)version;
    (void)data;
    (void)size;
    (void)seen;
    if (strcmp(method, "GET") != 0)
        return reply(c, MHD_HTTP_METHOD_NOT_ALLOWED, slice_str("GET only\n"), "text/plain");
    if (strcmp(url, "/metrics") != 0)
        return reply(c, MHD_HTTP_NOT_FOUND, slice_str("see /metrics\n"), "text/plain");
    struct buf b = BUF_INIT;
    status_write(&b, STATUS_METRICS, m->view);
    enum MHD_Result result = reply(c, MHD_HTTP_OK, buf_slice(&b),
                                   "application/openmetrics-text; version=1.0.0; charset=utf-8");
    buf_free(&b);
    return result;
}

static struct err *parse_address(const char *text, struct sockaddr_in *out)
{
    const char *colon = strrchr(text, ':');
    char host[64], *end;
    size_t n = colon ? (size_t)(colon - text) : 0;
    unsigned long port = colon ? strtoul(colon + 1, &end, 10) : 0;
    *out = (struct sockaddr_in){ .sin_family = AF_INET };
    if (!colon || n == 0 || n >= sizeof host || *end || port == 0 || port > 65535)
        return err_new(ERR_CONFIG, "sync_metrics_listen: '%s' is no HOST:PORT", text);
    memcpy(host, text, n);
    host[n] = '\0';
    if (strcmp(host, "localhost") == 0)
        strcpy(host, "127.0.0.1");
    if (inet_pton(AF_INET, host, &out->sin_addr) != 1 || ntohl(out->sin_addr.s_addr) >> 24 != 127)
        return err_new(ERR_CONFIG, "sync_metrics_listen: '%s' is not on this machine's loopback", text);
    out->sin_port = htons((uint16_t)port);
    return NULL;
}

struct err *metrics_http_new(const char *address, const struct status_view *view, struct metrics_http **out)
{
    struct sockaddr_in where;
    TRY(parse_address(address, &where));
    struct metrics_http *m = mem_alloc(sizeof *m);
    *m = (struct metrics_http){ NULL, view, 0 };
    m->daemon = MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, answer, m, MHD_OPTION_SOCK_ADDR, &where,
                                 MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
                                 (unsigned)TIMEOUT, MHD_OPTION_END);
    if (!m->daemon) {
        free(m);
        return err_new(ERR_IO, "sync_metrics_listen: cannot listen on %s", address);
    }
    *out = m;
    return NULL;
}

void metrics_http_free(struct metrics_http *m)
{
    if (!m)
        return;
    MHD_stop_daemon(m->daemon);
    free(m);
}

/* A connection that cannot be accepted would stay readable, and keep the process busy. */
static bool has_descriptor(void)
{
    int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return errno != EMFILE && errno != ENFILE;
    close(fd);
    return true;
}

int metrics_http_fd(const struct metrics_http *m)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(m->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    return info && clock_s() >= m->muted ? info->epoll_fd : -1;
}

void metrics_http_run(struct metrics_http *m)
{
    if (has_descriptor())
        MHD_run(m->daemon);
    else
        m->muted = clock_s() + 1;
}
