/*
 * The connect loop (daemon/connect.h) and what it connects with: the one place that knows
 * which option beats which (spec/operation.md §5.3). One thread for each connector.
 */
#include "daemon/connect.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "daemon/private_server.h"
#include "fansync/buf.h"
#include "fansync/log.h"

#define FIRST_WAIT 15
#define MOST_PROBES 20 /* of keep-alive */
#define LEAST_TIMEOUT 3 /* of sync_timeout, as in the stock client */

const char *connect_mechs(const struct config *c, const char *server)
{
    struct buf key = BUF_INIT;
    buf_add(&key, server, strcspn(server, ".:"));
    for (char *p = key.data + key.start; p < key.data + key.end; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    buf_adds(&key, "_mechs");
    const char *mechs = config_overflow(c, buf_cstr(&key));
    buf_free(&key);
    return mechs ? mechs : config_string(c, "force_sasl_client_mech");
}

static enum session_compress compression(const struct config *c, const char *channel)
{
    const char *word = config_channel_string(c, channel, "sync_compress");
    if (strcmp(word, "off") == 0)
        return COMPRESS_OFF;
    return strcmp(word, "on") == 0 ? COMPRESS_ON : COMPRESS_AUTO;
}

static int at_least(int64_t seconds, int least)
{
    return seconds < least ? least : (int)seconds;
}

/* A day is more than anybody waits, and keeps the sum in an int. */
static int up_to_a_day(int64_t v)
{
    return v < 0 ? 0 : v > 86400 ? 86400 : (int)v;
}

static struct session_keepalive keepalive(const struct config *c)
{
    int64_t count = config_int(c, "tcp_keepalive_cnt");
    return (struct session_keepalive){
        .on = config_switch(c, "tcp_keepalive"),
        .idle = up_to_a_day(config_duration(c, "tcp_keepalive_idle")),
        .interval = up_to_a_day(config_duration(c, "tcp_keepalive_intvl")),
        .count = count < 0 ? 0 : count > MOST_PROBES ? MOST_PROBES : (int)count,
    };
}

static struct err *check_servers(const struct config *config, const char *channel, const char *server)
{
    const char *own = config_channel_string(config, channel, "sync_copyback_host");
    TRY(err_wrap(session_check_server(server), "sync_host"));
    return own ? err_wrap(session_check_server(own), "sync_copyback_host") : NULL;
}

struct err *connector_init(struct connector *c, const struct config *config, const struct connect_options *o)
{
    const char *channel = o->channel;
    TRY(config_check_channel(config, channel));
    const char *server = o->server ? o->server : config_channel_string(config, channel, "sync_host");
    if (!server)
        return err_new(ERR_NONEXISTENT, "sync_host not defined");
    TRY(check_servers(config, channel, server));
    if (o->require_compression && compression(config, channel) == COMPRESS_OFF)
        return err_new(ERR_CONFIG, "-z asks for compression, which sync_compress turns off");
    *c = (struct connector){
        .session = {
            .server = server,
            .port = config_channel_string(config, channel, "sync_port"),
            .authname = config_channel_string(config, channel, "sync_authname"),
            .realm = config_channel_string(config, channel, "sync_realm"),
            .password = config_channel_string(config, channel, "sync_password"),
            .mechs = connect_mechs(config, server),
            .connect_timeout = at_least(config_duration(config, "client_timeout"), 1),
            .timeout = at_least(config_channel_duration(config, channel, "sync_timeout"), LEAST_TIMEOUT),
            .keepalive = keepalive(config),
            .compress = o->require_compression ? COMPRESS_REQUIRE : compression(config, channel),
            .trace = o->trace,
            .stop = o->stop,
        },
        .maxwait = config_channel_duration(config, channel, "sync_reconnect_maxwait"),
        .once = o->once,
    };
    return NULL;
}

static const char *first_of(const char *x, const char *y)
{
    return x ? x : y;
}

/* Why there is no server for copyback; NULL: there is one. */
static const char *missing_master(const struct config *config, const char *how, const char *server)
{
    struct buf program = BUF_INIT;
    if (strcmp(how, "off") == 0)
        return "copyback is switched off (sync_copyback)";
    if (strcmp(how, "service") == 0)
        return server ? NULL : "no copyback service is configured (sync_copyback_host)";
    bool found = (server && strcmp(how, "auto") == 0) || private_server_program(config, &program);
    buf_free(&program);
    return found ? NULL : "no copyback service is configured (sync_copyback_host), and no sync_server is found "
                          "to be started (cyrus_bindir)";
}

void connector_init_master(struct connector *c, const struct config *config, const struct connect_options *o)
{
    const char *channel = o->channel;
    const char *how = config_channel_string(config, channel, "sync_copyback");
    const char *server = config_channel_string(config, channel, "sync_copyback_host");
    *c = (struct connector){ .once = true, .missing = missing_master(config, how, server) };
    if (c->missing)
        return;
    if (!server || strcmp(how, "private") == 0)
        c->private = config;
    c->session = (struct session_options){
        .server = c->private ? NULL : server,
        .port = config_channel_string(config, channel, "sync_copyback_port"),
        .authname = first_of(config_channel_string(config, channel, "sync_copyback_authname"),
                             config_channel_string(config, channel, "sync_authname")),
        .realm = first_of(config_channel_string(config, channel, "sync_copyback_realm"),
                          config_channel_string(config, channel, "sync_realm")),
        .password = first_of(config_channel_string(config, channel, "sync_copyback_password"),
                             config_channel_string(config, channel, "sync_password")),
        .mechs = c->private ? NULL : connect_mechs(config, server),
        .connect_timeout = at_least(config_duration(config, "client_timeout"), 1),
        .timeout = at_least(config_channel_duration(config, channel, "sync_timeout"), LEAST_TIMEOUT),
        .keepalive = keepalive(config),
        .compress = COMPRESS_OFF,
        .trace = o->trace,
        .stop = o->stop,
    };
}

struct err *connect_master(void *ctx, struct session **out)
{
    const struct connector *c = ctx;
    if (c->private)
        return err_wrap(private_server_open(c->private, &c->session, out),
                        "the master's own sync_server cannot be used for copyback");
    return err_wrap(session_open(&c->session, out), "the copyback service does not answer");
}

int64_t connect_next_wait(int64_t previous, int64_t maxwait)
{
    int64_t wait = previous ? previous * 2 : FIRST_WAIT;
    if (wait > INT32_MAX)
        wait = INT32_MAX;
    return maxwait > 0 && wait > maxwait ? maxwait : wait;
}

/* Sleeps; any signal that is caught ends it. A stop signal cannot slip in between the
 * look at the flag and the sleep, because it is let in by the sleep only. */
static void wait_for(const atomic_int *stop, int64_t seconds)
{
    struct timespec t = { .tv_sec = (time_t)seconds };
    sigset_t block, before;
    sigemptyset(&block);
    sigaddset(&block, SIGTERM);
    sigaddset(&block, SIGINT);
    sigaddset(&block, SIGQUIT);
    pthread_sigmask(SIG_BLOCK, &block, &before);
    if (!*stop)
        ppoll(NULL, 0, &t, &before);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

bool connect_is_final(const struct connector *c, const struct err *err)
{
    const char *server = c->session.server;
    if (err->kind == ERR_INTERRUPTED)
        return true;
    if (err->kind == ERR_NOTSUPPORTED && c->session.compress == COMPRESS_REQUIRE) {
        fprintf(stderr, "Failed to enable compression to server '%s'\n", server);
        log_msg(LOG_ERR, "Failed to enable compression to server '%s'", server);
        return true;
    }
    log_msg(LOG_ERR, "%s", err->msg);
    if (c->once) {
        fprintf(stderr, "Can not connect to server '%s'\n", server);
        log_msg(LOG_ERR, "Can not connect to server '%s'", server);
    }
    return c->once;
}

struct err *session_connect_retry(void *ctx, struct session **out)
{
    struct connector *c = ctx;
    int64_t wait = 0;
    for (;;) {
        struct err *err = session_open(&c->session, out);
        if (!err || connect_is_final(c, err))
            return err;
        err_free(err);
        wait = connect_next_wait(wait, c->maxwait);
        fprintf(stderr, "Can not connect to server '%s', retrying in %lld seconds\n", c->session.server,
                (long long)wait);
        wait_for(c->session.stop, wait);
        if (*c->session.stop)
            return err_new(ERR_INTERRUPTED, "a signal came while waiting to connect to %s", c->session.server);
    }
}
