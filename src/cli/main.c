/*
 * sync_client: from the command line to an exit status (spec/operation.md §1.4, §1.10).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "cli/hard_end.h"
#include "cli/input.h"
#include "cli/modes.h"
#include "cli/options.h"
#include "cli/process.h"
#include "cli/replay.h"
#include "daemon/channel.h"
#include "daemon/rolling.h"
#include "daemon/status.h"
#include "fansync/clock.h"
#include "fansync/log.h"
#include "fansync/mem.h"

/* The names of -u and -m: the lines of the file if one is given, else the operands. */
static bool take_names(const struct options *o, struct arena *a, struct slice **names, size_t *n)
{
    if (o->input_file) {
        struct err *err = input_read(o->input_file, a, names, n);
        if (err) {
            log_msg(LOG_NOTICE, "%s", err->msg);
            err_free(err);
            return false;
        }
        return true;
    }
    *names = arena_array(a, o->noperands, sizeof **names);
    *n = o->noperands;
    for (size_t i = 0; i < *n; i++)
        (*names)[i] = slice_str(o->operands[i]);
    return true;
}

static struct err *run_mode(const struct options *o, struct run *r, const struct channel *c,
                            const struct slice *names, size_t n, bool *failed)
{
    switch (o->mode) {
    case MODE_USERS:
        return mode_users(r, names, n, failed);
    case MODE_MAILBOXES:
        return mode_mailboxes(r, names, n, failed);
    case MODE_META:
        return mode_meta(r, names, n, failed);
    case MODE_ALL:
        return mode_all(r, n ? names[0] : slice_of("", 0), failed);
    case MODE_ROLLING:
        return o->input_file ? replay_file(r, o->input_file, c->log, failed)
                             : replay_log(r, c->folder, c->log, failed);
    case MODE_NONE:
    case MODE_STATUS:
        break;
    }
    return NULL;
}

static struct channel_options channel_options(const struct options *o)
{
    return (struct channel_options){
        .connect = {
            .channel = o->channel,
            .server = o->server,
            .once = o->connect_once,
            .require_compression = o->require_compression,
            .trace = o->verbose > 1,
            .stop = process_stop_flag(),
        },
        .no_copyback = o->no_copyback,
        .skip_locked = o->skip_locked,
        .stage_to_archive = o->stage_to_archive,
        .local_only = o->local_only,
        .cached = o->mode == MODE_ROLLING,
        .partition = o->mode == MODE_USERS || o->mode == MODE_MAILBOXES ? o->partition : NULL,
    };
}

/* Its faults are the operator's to mend: the process ends. */
static void open_channel(struct channel *c, const struct config *config, struct store *store, const struct options *o)
{
    struct channel_options co = channel_options(o);
    struct err *err = channel_open(c, config, store, &co);
    if (err)
        process_fatal(err->kind == ERR_CONFIG ? EX_CONFIG : EX_SOFTWARE, "%s", err->msg);
}

/* Records that a log names count as they ended in the end; a run that failed has something that did. */
static uint64_t count_failed(const struct options *o, const struct run *r, uint64_t of_engine, bool failed)
{
    uint64_t n = o->mode == MODE_ROLLING ? r->failed_records : of_engine + r->impossible;
    return n == 0 && failed ? 1 : n;
}

static void tell_counters(const struct options *o, const struct run *r, bool failed, int64_t begun)
{
    struct engine_counters c = engine_counters(r->engine);
    c.failed = count_failed(o, r, c.failed, failed);
    double seconds = (double)(clock_ns() - begun) / 1e9;
    struct buf b = BUF_INIT;
    buf_printf(&b, "users=<%llu> mailboxes=<%llu> sent=<%llu> records=<%llu> messages=<%llu> failed=<%llu> "
               "skipped=<%llu> copybacks=<%llu> conflicts=<%llu> commands=<%llu> round_trips=<%llu> bytes_out=<%llu> bytes_in=<%llu> seconds=<%.2f>",
               (unsigned long long)c.users, (unsigned long long)c.mailboxes, (unsigned long long)c.mailboxes_sent,
               (unsigned long long)c.records_sent, (unsigned long long)c.messages_uploaded,
               (unsigned long long)c.failed, (unsigned long long)c.skipped, (unsigned long long)c.copybacks,
               (unsigned long long)c.conflicts, (unsigned long long)c.wire.commands,
               (unsigned long long)c.wire.round_trips, (unsigned long long)c.wire.bytes_out,
               (unsigned long long)c.wire.bytes_in, seconds);
    log_msg(c.skipped || c.failed ? LOG_NOTICE : LOG_INFO, "sync_client done: %s", buf_cstr(&b));
    if (o->verbose && (c.skipped || c.failed))
        log_stderr("%llu failed, %llu left alone (see syslog)", (unsigned long long)c.failed,
                (unsigned long long)c.skipped);
    buf_free(&b);
}

static int status_of(struct err *err, bool failed)
{
    int status = failed ? 1 : 0;
    if (err && err->kind == ERR_INTERRUPTED)
        status = process_stopped();
    else if (err) {
        status = 1; /* in syslog it was told where it happened; a failing connect tells by itself */
        if (err->kind != ERR_CONNECT)
            log_stderr("%s", err->msg);
    }
    err_free(err);
    return status;
}

static int run(const struct options *o, struct config *config)
{
    struct channel channel;
    struct store *store = NULL;
    struct arena a = ARENA_INIT;
    struct slice *names = NULL;
    size_t n = 0;

    struct err *err = session_library_init();
    if (!err)
        err = store_open(config, &store);
    if (err)
        process_fatal(EX_SOFTWARE, "%s", err->msg);
    open_channel(&channel, config, store, o);
    process_catch_signals();
    process_delay(o->startup_delay);
    int64_t begun = clock_ns();
    struct run r = { .store = store, .verbose = o->verbose > 0, .skip_locked = o->skip_locked };
    r.engine = channel_engine(&channel, session_connect_retry, &channel.replica);
    bool failed = false;
    err = engine_connect(r.engine);
    if (!err && o->mode != MODE_ROLLING && !take_names(o, &a, &names, &n))
        failed = true;
    else if (!err)
        err = run_mode(o, &r, &channel, names, n, &failed);
    tell_counters(o, &r, failed || err, begun);
    engine_free(r.engine);
    int status = status_of(err, failed);
    arena_free(&a);
    channel_close(&channel);
    store_free(store);
    return status;
}

/* ---- rolling mode ---- */

static void end_of_rolling(const struct err *err)
{
    if (err->kind == ERR_CONFIG)
        process_fatal(EX_CONFIG, "%s", err->msg);
    if (err->kind == ERR_NONEXISTENT)
        process_fatal(EX_SOFTWARE, "%s", err->msg);
    log_msg(LOG_ERR, "%s", err->msg);
    log_stderr("%s", err->msg);
}

/*
 * Configurations of rolling mode. At SIGHUP `next` is read and looked at while the present run goes on; only
 * one that can work ends it. Should the new run fail all the same (somebody took its folder meanwhile), the
 * old configuration is taken up again.
 */
struct renewal {
    const struct options *o;
    struct config *present, *next, *former;
};

static struct rolling_options rolling_options(struct renewal *n);

static bool renew(void *ctx)
{
    struct renewal *n = ctx;
    struct config *fresh;
    struct err *err = config_load(n->o->config_file, "sync_client", &fresh);
    if (!err) {
        const struct rolling_options r = rolling_options(n);
        err = rolling_check(fresh, &r);
        if (err)
            config_free(fresh);
    }
    if (err) {
        log_msg(LOG_ERR, "SIGHUP: the configuration stays as it was: %s", err->msg);
        err_free(err);
        return false;
    }
    n->next = fresh;
    return true;
}

static struct rolling_options rolling_options(struct renewal *n)
{
    const struct options *o = n->o;
    return (struct rolling_options){
        .channel = channel_options(o), .channels = o->channels, .nchannels = o->nchannels,
        .shutdown_file = o->shutdown_file, .delay = o->delay, .session_limit = o->timeout,
        .stop = process_stop_flag(), .hangup = process_hangup_flag(), .tell = process_tell_flag(),
        .renew = renew, .renew_ctx = n,
    };
}

static struct err *roll_once(struct renewal *n, enum rolling_end *end, int *status)
{
    struct store *store = NULL;
    const struct rolling_options r = rolling_options(n);
    *end = ROLLING_ENDED;
    *status = EX_SOFTWARE;
    TRY(store_open(n->present, &store));
    struct err *err = rolling_run(n->present, store, &r, end, status);
    if (err)
        *status = 1;
    store_free(store);
    return err;
}

static void take_next(struct renewal *n)
{
    log_msg(LOG_NOTICE, "the configuration has been read again");
    config_free(n->former);
    n->former = n->present;
    n->present = n->next;
    n->next = NULL;
}

/* True if there is an old one to go on with. */
static bool take_former(struct renewal *n, const struct err *err)
{
    if (!n->former)
        return false;
    log_msg(LOG_ERR, "SIGHUP: the new configuration cannot be used, going on with the old one: %s", err->msg);
    config_free(n->present);
    n->present = n->former;
    n->former = NULL;
    return true;
}

static int roll(const struct options *o, struct config **config)
{
    enum rolling_end end;
    int status = 1;
    struct renewal n = { .o = o, .present = *config };
    struct err *err = session_library_init();
    if (err)
        process_fatal(EX_SOFTWARE, "%s", err->msg);
    process_catch_signals();
    process_delay(o->startup_delay);
    for (bool again = true; again;) {
        err = roll_once(&n, &end, &status);
        again = err ? take_former(&n, err) : end == ROLLING_AGAIN;
        if (!err && again)
            take_next(&n);
        if (err && again)
            err_free(err);
    }
    if (err) {
        end_of_rolling(err);
        err_free(err);
    }
    config_free(n.former);
    *config = n.present;
    return end == ROLLING_STOP ? process_stopped() : status;
}

/* ---- --status ---- */

enum { NEEDS_OPERATOR = 2 }; /* exit status */

static int tell_status(const struct options *o, const struct config *config)
{
    struct buf folder = BUF_INIT;
    config_sync_path(config, o->channel, "", &folder);
    bool faulty = false;
    struct err *err = status_ask(buf_cstr(&folder), o->json ? STATUS_JSON : o->metrics ? STATUS_METRICS : STATUS_TEXT,
                                 &faulty);
    if (err)
        log_stderr("%s", err->msg);
    int status = err ? 1 : faulty ? NEEDS_OPERATOR : 0;
    err_free(err);
    buf_free(&folder);
    return status;
}

int main(int argc, char **argv)
{
    struct options o;
    char *message;
    switch (options_parse(argc, argv, &o, &message)) {
    case OPTIONS_TELL:
        fputs(message, stdout);
        free(message);
        options_free(&o);
        return 0;
    case OPTIONS_USAGE:
        fputs(message, stderr);
        free(message);
        options_free(&o);
        return EX_USAGE;
    case OPTIONS_RUN:
        break;
    }
    process_begin(&o);
    struct config *config = process_configure(&o);
    int status;
    if (o.mode == MODE_STATUS)
        status = tell_status(&o, config);
    else if (o.mode == MODE_ROLLING && !o.input_file && !o.once)
        status = roll(&o, &config);
    else
        status = run(&o, config);
    hard_end_off();
    config_free(config);
    options_free(&o);
    return status;
}
