/*
 * Rolling mode's main thread (daemon/rolling.h). It sets up channels, lines and the tailing
 * thread, then waits for signals and for the ends of senders.
 *
 * How it ends: the senders are asked to finish the batch in hand; after GRACE they are
 * interrupted at their next wait. What was not confirmed is still in the logs.
 */
#include "daemon/rolling.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "daemon/line.h"
#include "daemon/metrics_http.h"
#include "daemon/status.h"
#include "daemon/tailing.h"
#include "fansync/buf.h"
#include "fansync/clock.h"
#include "fansync/log.h"
#include "fansync/mem.h"

enum {
    GRACE_MS = 1500,
    LOOK_MS = 500,
    OWN_FDS = 2, /* of poll, before those of the status */
};


struct rolling {
    const struct config *config;
    struct store *store;
    const struct rolling_options *o;
    struct line **line;
    size_t nlines, lines_cap;
    struct tailing *tailing;
    struct status_view view;
    struct buf faults; /* that were found when all was set up, a line each */
    struct status_server *status;
    struct metrics_http *metrics; /* NULL: not configured, or not to be had */
    atomic_int interrupt; /* ends the senders' waits */
    atomic_int end_all;   /* a line has ended, and all end with it */
    int ended_fd;
    struct pollfd *poll; /* what the main thread waits for */
    size_t poll_cap;
    struct arena arena; /* names of a fan-out's channels */
};

/* ---- channels ---- */

/* What the log of a hub feeds; NULL: it is no hub. */
static const char *fanout_of(const struct rolling *r, const char *name)
{
    struct buf key = BUF_INIT;
    if (!name)
        return NULL;
    buf_printf(&key, "%s_sync_fanout", name);
    for (char *p = key.data + key.start; p < key.data + key.end; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    const char *list = config_overflow(r->config, buf_cstr(&key));
    buf_free(&key);
    return list;
}

static struct line *find_line(const struct rolling *r, const char *name)
{
    for (size_t i = 0; i < r->nlines; i++) {
        const char *other = r->line[i]->channel.name;
        if (name == other || (name && other && strcmp(name, other) == 0))
            return r->line[i];
    }
    return NULL;
}

static struct line_options line_options(struct rolling *r, const char *name)
{
    const struct rolling_options *o = r->o;
    int64_t delay = o->delay >= 0 ? o->delay : config_channel_duration(r->config, name, "sync_repeat_interval");
    int64_t connections = config_channel_int(r->config, name, "sync_connections");
    return (struct line_options){
        .delay_ns = delay * CLOCK_SECOND_NS,
        .session_limit = o->session_limit,
        .shutdown_file = o->shutdown_file ? o->shutdown_file : config_channel_string(r->config, name, "sync_shutdown_file"),
        .connections = connections < 1 ? 1 : connections > 64 ? 64 : (unsigned)connections,
        .tagged = o->nchannels > 1 || fanout_of(r, o->nchannels ? o->channels[0] : NULL),
        .settled_fd = tailing_settled_fd(r->tailing),
        .ended_fd = r->ended_fd,
        .end_all = &r->end_all,
    };
}

static struct channel_options channel_options(struct rolling *r, const char *name)
{
    struct channel_options co = r->o->channel;
    co.connect.channel = name;
    co.connect.stop = &r->interrupt;
    co.skip_locked = true; /* a user whom another client works on waits in the queue, not the sender with him */
    return co;
}

/* The line of a channel; made when first asked for. */
static struct err *get_line(struct rolling *r, const char *name, struct line **out)
{
    struct channel channel;
    *out = find_line(r, name);
    if (*out)
        return NULL;
    struct channel_options co = channel_options(r, name);
    co.cached = true;
    TRY(channel_open(&channel, r->config, r->store, &co));
    struct line_options lo = line_options(r, name);
    TRY(line_new(&channel, &lo, out));
    r->line = mem_grow(r->line, r->nlines, &r->lines_cap, sizeof(struct line *));
    r->line[r->nlines++] = *out;
    return tailing_add(r->tailing, (*out)->channel.folder, out, 1);
}

/* ---- hubs: one log that feeds several channels ---- */

/* The next name of a list; NULL at its end. */
static const char *next_name(struct rolling *r, const char **list)
{
    const char *p = *list + strspn(*list, " \t,");
    size_t length = strcspn(p, " \t,");
    *list = p + length;
    return length ? arena_dup(&r->arena, slice_of(p, length)).p : NULL;
}

/* A hub that feeds itself would be fed by what it spills. */
static struct err *check_fanout(struct rolling *r, const char *hub, const char *list)
{
    size_t n = 0;
    TRY(config_check_channel(r->config, hub));
    for (const char *name; (name = next_name(r, &list)) != NULL; n++)
        if (strcasecmp(name, hub) == 0)
            return err_new(ERR_CONFIG, "%s_sync_fanout names %s itself", hub, hub);
    return n ? NULL : err_new(ERR_CONFIG, "%s_sync_fanout names no channel", hub);
}

static struct err *add_hub(struct rolling *r, const char *hub, const char *list)
{
    struct line **lines = NULL;
    size_t n = 0, cap = 0;
    struct buf folder = BUF_INIT;
    struct err *err = check_fanout(r, hub, list);
    for (const char *name; !err && (name = next_name(r, &list)) != NULL;) {
        lines = mem_grow(lines, n, &cap, sizeof(struct line *));
        err = get_line(r, name, &lines[n]);
        n += !err;
    }
    config_sync_path(r->config, hub, "", &folder);
    if (!err)
        err = tailing_add(r->tailing, buf_cstr(&folder), lines, n);
    buf_free(&folder);
    free(lines);
    return err;
}

static struct err *add_channel(struct rolling *r, const char *name)
{
    struct line *line;
    const char *list = fanout_of(r, name);
    return list ? add_hub(r, name, list) : get_line(r, name, &line);
}

/* ---- setting up and taking down ---- */

/* What replication goes on without, but not as it should. */
static void note_fault(struct rolling *r, const char *text)
{
    log_msg(LOG_ERR, "%s", text);
    buf_printf(&r->faults, "%s\n", text);
}

static bool is_listed(const char *list, const char *name)
{
    size_t length = strlen(name), n;
    for (const char *p = list; *(p += strspn(p, " \t")); p += n) {
        n = strcspn(p, " \t");
        if (n == length && memcmp(p, name, n) == 0)
            return true;
    }
    return false;
}

/* Whether the servers write to the log of that channel. */
static void check_logged(struct rolling *r, const char *name)
{
    const char *list = config_string(r->config, "sync_log_channels");
    struct buf text = BUF_INIT;
    if (list ? is_listed(list, name ? name : "\"\"") : !name)
        return;
    buf_printf(&text, "%s is not in sync_log_channels: the servers write nothing to its log",
               name ? name : "the channel without a name (\"\")");
    note_fault(r, buf_cstr(&text));
    buf_free(&text);
}

static void check_logging(struct rolling *r)
{
    if (!config_switch(r->config, "sync_log")) {
        note_fault(r, "sync_log is off: the servers write to no log");
        return;
    }
    if (r->o->nchannels == 0)
        check_logged(r, NULL);
    for (size_t i = 0; i < r->o->nchannels; i++)
        check_logged(r, r->o->channels[i]);
}

/* Replication does not wait for monitoring. */
static void serve_metrics(struct rolling *r)
{
    const char *address = config_string(r->config, "sync_metrics_listen");
    struct err *err = address ? metrics_http_new(address, &r->view, &r->metrics) : NULL;
    if (err)
        note_fault(r, err->msg);
    err_free(err);
}

static struct err *check_names(const struct rolling *r)
{
    for (size_t i = 0; i < r->o->nchannels; i++)
        for (size_t k = 0; k < i; k++)
            if (strcasecmp(r->o->channels[i], r->o->channels[k]) == 0)
                return err_new(ERR_CONFIG, "the channel %s is named twice", r->o->channels[i]);
    return NULL;
}

static bool same_text(const char *x, const char *y)
{
    return x == y || (x && y && strcmp(x, y) == 0);
}

/* Most likely a host that was forgotten, so that the plain sync_host counts: then one replica gets nothing. */
static void warn_of_one_place(const struct rolling *r)
{
    for (size_t i = 0; i < r->nlines; i++)
        for (size_t k = 0; k < i; k++) {
            const struct channel *x = &r->line[k]->channel, *y = &r->line[i]->channel;
            if (same_text(x->replica.session.server, y->replica.session.server) &&
                same_text(x->replica.session.port, y->replica.session.port))
                log_msg(LOG_WARNING, "the channels %s and %s have the same replica, %s: is %s_sync_host missing?",
                        x->name ? x->name : "(without a name)", y->name ? y->name : "(without a name)",
                        y->replica.session.server, y->name ? y->name : x->name);
        }
}

static struct err *set_up(struct rolling *r)
{
    TRY(check_names(r));
    TRY(tailing_new(r->store, config_switch(r->config, "sync_paced_handover"), &r->tailing));
    if (r->o->nchannels == 0)
        TRY(add_channel(r, NULL));
    for (size_t i = 0; i < r->o->nchannels; i++)
        TRY(add_channel(r, r->o->channels[i]));
    warn_of_one_place(r);
    r->view = (struct status_view){ r->line, r->nlines, r->tailing, &r->faults };
    check_logging(r);
    r->status = status_server_new(&r->view);
    serve_metrics(r);
    return NULL;
}

static struct err *start(struct rolling *r)
{
    sigset_t all, before;
    struct err *err = NULL;
    sigfillset(&all); /* signals are the main thread's, and RCU's own threads inherit this */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (size_t i = 0; i < r->nlines && !err; i++)
        err = line_start(r->line[i]);
    if (!err)
        err = tailing_start(r->tailing);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err;
}

/*
 * In the order in which work flows, whoever hands on before whoever takes: those who look and ask,
 * the thread that reads logs, the senders, then the logs' last bytes, and the queues last. Nothing
 * that is being ended takes new work. The same after a set-up that failed half way.
 */
static void take_down(struct rolling *r)
{
    atomic_store(&r->interrupt, 1);
    metrics_http_free(r->metrics);
    status_server_free(r->status);
    if (r->tailing)
        tailing_stop(r->tailing);
    for (size_t i = 0; i < r->nlines; i++)
        line_end(r->line[i]);
    for (size_t i = 0; i < r->nlines; i++)
        line_join(r->line[i]);
    tailing_free(r->tailing);
    for (size_t i = 0; i < r->nlines; i++)
        line_free(r->line[i]);
    free(r->line);
    free(r->poll);
    buf_free(&r->faults);
    arena_free(&r->arena);
    close(r->ended_fd);
}

/* ---- running ---- */

static unsigned running(const struct rolling *r)
{
    unsigned n = 0;
    for (size_t i = 0; i < r->nlines; i++)
        n += atomic_load(&r->line[i]->running);
    return n;
}

static bool all_quiet(const struct rolling *r)
{
    for (size_t i = 0; i < r->nlines; i++)
        if (!line_is_quiet(r->line[i]))
            return false;
    return true;
}

/* Signals are let in by this wait only, so that none slips in between a look and the wait. */
static void wait_for_something(struct rolling *r, int ms)
{
    sigset_t none;
    struct timespec t = { ms / 1000, (ms % 1000) * 1000000L };
    sigemptyset(&none);
    r->poll[0] = (struct pollfd){ .fd = r->ended_fd, .events = POLLIN };
    r->poll[1] = (struct pollfd){ .fd = r->metrics ? metrics_http_fd(r->metrics) : -1, .events = POLLIN };
    size_t n = status_server_fds(r->status, &r->poll, OWN_FDS, &r->poll_cap);
    int ready = ppoll(r->poll, n, &t, &none);
    eventfd_t ignored;
    for (size_t i = 0; i < n && ready <= 0; i++)
        r->poll[i].revents = 0; /* after an error they mean nothing */
    if (r->poll[0].revents)
        eventfd_read(r->ended_fd, &ignored);
    if (r->metrics) /* also for the connections that have taken too long */
        metrics_http_run(r->metrics);
    status_server_serve(r->status, r->poll + OWN_FDS);
}

static void watch(struct rolling *r, enum rolling_end *end)
{
    const struct rolling_options *o = r->o;
    *end = ROLLING_ENDED;
    while (running(r) > 0 && !atomic_load(&r->end_all)) {
        if (atomic_load(o->stop)) {
            *end = ROLLING_STOP;
            return;
        }
        if (atomic_exchange(o->hangup, 0) && o->renew(o->renew_ctx)) {
            *end = ROLLING_AGAIN;
            return;
        }
        if (atomic_exchange(o->tell, 0))
            status_log(&r->view);
        wait_for_something(r, LOOK_MS);
    }
}

/* Batches in hand may finish, for a while. */
static void wind_up(struct rolling *r)
{
    int64_t deadline = clock_ms() + GRACE_MS;
    for (size_t i = 0; i < r->nlines; i++)
        line_end(r->line[i]);
    while (running(r) > 0 && clock_ms() < deadline && !all_quiet(r))
        wait_for_something(r, 20);
    atomic_store(&r->interrupt, 1);
}

/* ---- a look before a change ---- */

/* A folder that is not there yet will be made. */
static struct err *check_folder(const char *folder)
{
    if (access(folder, W_OK | X_OK) == 0 || errno == ENOENT)
        return NULL;
    return err_errno("%s cannot be written", folder);
}

static struct err *check_channel(struct rolling *r, const char *name)
{
    struct channel channel;
    struct channel_options co = channel_options(r, name); /* not cached: that file is in use */
    TRY(channel_open(&channel, r->config, r->store, &co));
    struct err *err = check_folder(channel.folder);
    channel_close(&channel);
    return err;
}

static struct err *check_hub(struct rolling *r, const char *hub, const char *list)
{
    TRY(check_fanout(r, hub, list));
    for (const char *name; (name = next_name(r, &list)) != NULL;)
        TRY(check_channel(r, name));
    return NULL;
}

static struct err *check_all(struct rolling *r)
{
    if (r->o->nchannels == 0)
        return check_channel(r, NULL);
    for (size_t i = 0; i < r->o->nchannels; i++) {
        const char *list = fanout_of(r, r->o->channels[i]);
        TRY(list ? check_hub(r, r->o->channels[i], list) : check_channel(r, r->o->channels[i]));
    }
    return NULL;
}

struct err *rolling_check(const struct config *config, const struct rolling_options *o)
{
    struct rolling r = { .config = config, .o = o };
    TRY(check_names(&r));
    TRY(store_open(config, &r.store));
    struct err *err = check_all(&r);
    store_free(r.store);
    arena_free(&r.arena);
    return err;
}

/* ---- a run ---- */

struct err *rolling_run(const struct config *config, struct store *store, const struct rolling_options *o,
                        enum rolling_end *end, int *status)
{
    struct rolling r = { .config = config, .store = store, .o = o };
    sigset_t caught, before;
    r.poll_cap = OWN_FDS;
    r.poll = mem_array(r.poll_cap, sizeof *r.poll);
    r.ended_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    sigemptyset(&caught);
    sigaddset(&caught, SIGTERM);
    sigaddset(&caught, SIGINT);
    sigaddset(&caught, SIGQUIT);
    sigaddset(&caught, SIGHUP);
    sigaddset(&caught, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &caught, &before);
    queue_thread_begin();
    struct err *err = set_up(&r);
    if (!err)
        err = start(&r);
    if (!err) {
        watch(&r, end);
        wind_up(&r);
    }
    *status = 0;
    for (size_t i = 0; i < r.nlines; i++)
        if (atomic_load(&r.line[i]->exit_status))
            *status = 1;
    take_down(&r);
    queue_thread_end();
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err;
}
