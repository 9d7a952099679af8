/*
 * Parsing of the command line (cli/options.h). getopt_long permutes and expands
 * unambiguous prefixes as the stock client does; its diagnostics are written here,
 * because printing is main's. Main thread, before any other.
 */
#include "cli/options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "fansync/buf.h"
#include "fansync/config.h"
#include "fansync/mem.h"

enum { OPT_HELP = 256, OPT_VERSION, OPT_STATUS, OPT_JSON, OPT_METRICS };

#define DEFAULT_CONFIG "/etc/imapd.conf"
#define DEFAULT_TIMEOUT 600

/* The ':' in front makes getopt tell a missing argument from an unknown option. */
static const char short_options[] = ":AC:F:LNORS:ad:f:lmn:op:rst:uvw:z1";

static const struct option long_options[] = {
    { "all-users", no_argument, NULL, 'A' },
    { "userids", no_argument, NULL, 'u' },
    { "mailboxes", no_argument, NULL, 'm' },
    { "sieve-mode", no_argument, NULL, 's' },
    { "rolling", no_argument, NULL, 'r' },
    { "foreground-rolling", no_argument, NULL, 'R' },
    { "rolling-once", no_argument, NULL, '1' },
    { "input-file", required_argument, NULL, 'f' },
    { "channel", required_argument, NULL, 'n' },
    { "server", required_argument, NULL, 'S' },
    { "shutdown-file", required_argument, NULL, 'F' },
    { "delay", required_argument, NULL, 'd' },
    { "timeout", required_argument, NULL, 't' },
    { "delayed-startup", required_argument, NULL, 'w' },
    { "dest-partition", required_argument, NULL, 'p' },
    { "require-compression", no_argument, NULL, 'z' },
    { "connect-once", no_argument, NULL, 'o' },
    { "no-copyback", no_argument, NULL, 'O' },
    { "skip-locked", no_argument, NULL, 'N' },
    { "stage-to-archive", no_argument, NULL, 'a' },
    { "local-only", no_argument, NULL, 'L' },
    { "verbose", no_argument, NULL, 'v' },
    { "verbose-logging", no_argument, NULL, 'l' },
    { "status", no_argument, NULL, OPT_STATUS },
    { "json", no_argument, NULL, OPT_JSON },
    { "metrics", no_argument, NULL, OPT_METRICS },
    { "help", no_argument, NULL, OPT_HELP },
    { "version", no_argument, NULL, OPT_VERSION },
    { NULL, 0, NULL, 0 },
};

static const char usage_line[] =
    "Usage: sync_client -S <servername> [-C <alt_config>] [-u|-m|-A|-s|-r|-R] [options] [user|mailbox...]\n";

static const char help_text[] =
    "\n"
    "Modes:\n"
    "  -u, --userids             the users given\n"
    "  -m, --mailboxes           the mailboxes given\n"
    "  -A, --all-users           all users and shared mailboxes [that begin with a prefix]\n"
    "  -s, --sieve-mode          subscriptions, seen states, scripts of the users given\n"
    "  -r, --rolling             follow the log, in the background\n"
    "  -R, --foreground-rolling  follow the log, in the foreground\n"
    "      --status              tells what the process that follows the channel's log does\n"
    "Options:\n"
    "  -1, --rolling-once        with -r, -R: at most one log\n"
    "  -C FILE                   configuration (" DEFAULT_CONFIG ")\n"
    "  -f, --input-file FILE     with -u, -m: names from this file; with -r, -R: this log, once\n"
    "  -n, --channel NAME        the channel's log and configuration; with -r, -R also\n"
    "                            several: NAME,NAME, or -n more than once\n"
    "  -S, --server HOST         the replica\n"
    "  -F, --shutdown-file FILE  end when this file appears\n"
    "  -d, --delay TIME          least time between two batches (seconds, 5m, 1h); 0: none\n"
    "  -t, --timeout TIME        how long a session lasts before a restart; 0: no restart\n"
    "  -w, --delayed-startup TIME  wait before connecting\n"
    "  -p, --dest-partition P    with -u, -m: partition on the replica\n"
    "  -z, --require-compression give up without compression\n"
    "  -o, --connect-once        try to connect once only\n"
    "  -O, --no-copyback         the replica takes the master's word\n"
    "  -N, --skip-locked         do not wait for users that another client works on\n"
    "  -a, --stage-to-archive    stage on the replica's archive partition\n"
    "  -L, --local-only          the replica does not talk to mupdate\n"
    "  -v, --verbose             progress on stdout; twice: the protocol on stderr\n"
    "  -l, --verbose-logging     progress in syslog\n"
    "      --json, --metrics     with --status: as JSON, or as OpenMetrics text\n"
    "      --help, --version     this, or the version, and end\n";

/* What all usage errors have in common: text, a line break and the usage line. */
static enum options_status usage(char **message, struct buf *text)
{
    buf_adds(text, usage_line);
    *message = mem_strdup(buf_cstr(text));
    buf_free(text);
    return OPTIONS_USAGE;
}

static enum options_status usage_text(char **message, const char *sentence)
{
    struct buf b = BUF_INIT;
    buf_printf(&b, "%s\n\n", sentence);
    return usage(message, &b);
}

/* The long option that argument stands for, by its value; NULL: a short one. */
static const char *long_name(int value, const char *argument)
{
    if (argument[0] != '-' || argument[1] != '-')
        return NULL;
    for (const struct option *o = long_options; o->name; o++)
        if (o->val == value)
            return o->name;
    return NULL;
}

static enum options_status missing_argument(char **argv, char **message)
{
    struct buf b = BUF_INIT;
    const char *name = long_name(optopt, argv[optind - 1]);
    if (name)
        buf_printf(&b, "%s: option '--%s' requires an argument\n", argv[0], name);
    else
        buf_printf(&b, "%s: option requires an argument -- '%c'\n", argv[0], optopt);
    return usage(message, &b);
}

static bool ambiguous(const char *argument)
{
    size_t n = 2 + strcspn(argument + 2, "="), hits = 0;
    for (const struct option *o = long_options; o->name; o++)
        hits += strncmp(o->name, argument + 2, n - 2) == 0;
    return hits > 1;
}

/* optopt is 0 for a long option that is unknown or ambiguous, the option's letter when a
 * long one was given an argument that it does not take. */
static enum options_status unknown_option(char **argv, char **message)
{
    struct buf b = BUF_INIT;
    const char *argument = argv[optind - 1];
    const char *name = optopt ? long_name(optopt, argument) : NULL;
    if (name)
        buf_printf(&b, "%s: option '--%s' doesn't allow an argument\n", argv[0], name);
    else if (optopt)
        buf_printf(&b, "%s: invalid option -- '%c'\n", argv[0], optopt);
    else
        buf_printf(&b, "%s: %s option '%s'\n", argv[0], ambiguous(argument) ? "ambiguous" : "unrecognized", argument);
    return usage(message, &b);
}

static enum options_status tell(char **message, int opt)
{
    struct buf b = BUF_INIT;
    if (opt == OPT_VERSION)
        buf_adds(&b, "fansync " FANSYNC_VERSION "\n");
    else
        buf_printf(&b, "%s%s", usage_line, help_text);
    *message = mem_strdup(buf_cstr(&b));
    buf_free(&b);
    return OPTIONS_TELL;
}

static enum options_mode mode_of(int opt)
{
    switch (opt) {
    case 'u': return MODE_USERS;
    case 'm': return MODE_MAILBOXES;
    case 'A': return MODE_ALL;
    case 's': return MODE_META;
    case 'r': case 'R': return MODE_ROLLING;
    case OPT_STATUS: return MODE_STATUS;
    default: return MODE_NONE;
    }
}

/* -d, -t, -w: as in the configuration, so that "5m" is not five seconds. A negative -t or -w means none. */
static enum options_status duration(int opt, const char *text, struct options *o, char **message)
{
    int64_t seconds;
    struct err *err = config_parse_duration(text, 's', &seconds);
    struct buf b = BUF_INIT;
    if (err)
        buf_printf(&b, "-%c: %s\n\n", opt, err->msg);
    else if (opt == 'd' && seconds < 0) /* the stock client would sleep for 136 years (§4.1) */
        buf_adds(&b, "The delay must not be negative\n\n");
    bool bad = buf_len(&b) > 0;
    err_free(err);
    if (bad)
        return usage(message, &b);
    int n = seconds < 0 ? 0 : (int)seconds;
    *(opt == 'd' ? &o->delay : opt == 't' ? &o->timeout : &o->startup_delay) = n;
    return OPTIONS_RUN;
}

/* The names of a comma list; more than there is room for are left for the caller to refuse. */
static void add_channels(struct options *o, const char *list)
{
    do {
        size_t n = strcspn(list, ",");
        if (o->nchannels < OPTIONS_CHANNELS)
            o->channels[o->nchannels] = mem_strndup(list, n);
        o->nchannels++;
        o->channel_list |= list[n] == ',';
        list += n;
    } while (*list++);
    o->channel = o->channels[0];
}

static void take_value(struct options *o, int opt, const char *value)
{
    switch (opt) {
    case 'C': o->config_file = value; break;
    case 'f': o->input_file = value; break;
    case 'n': add_channels(o, value); break;
    case 'S': o->server = value; break;
    case 'F': o->shutdown_file = value; break;
    case 'p': o->partition = value; break;
    default: break;
    }
}

static void take_flag(struct options *o, int opt)
{
    switch (opt) {
    case '1': o->once = true; break;
    case 'v': o->verbose++; break;
    case 'l': o->verbose_logging = true; break;
    case 'z': o->require_compression = true; break;
    case 'o': o->connect_once = true; break;
    case 'O': o->no_copyback = true; break;
    case 'N': o->skip_locked = true; break;
    case 'a': o->stage_to_archive = true; break;
    case 'L': o->local_only = true; break;
    case OPT_JSON: o->json = true; break;
    case OPT_METRICS: o->metrics = true; break;
    default: break;
    }
}

/* What is said of all options taken together. */
static enum options_status check_together(struct options *o, char **message)
{
    if (o->mode == MODE_NONE)
        return usage_text(message, "No replication mode specified");
    if ((o->json || o->metrics) && o->mode != MODE_STATUS)
        return usage_text(message, "--json and --metrics are for --status only");
    if (o->json && o->metrics)
        return usage_text(message, "Mutually exclusive options defined");
    bool rolls = o->mode == MODE_ROLLING && !o->input_file && !o->once;
    if (o->nchannels > OPTIONS_CHANNELS)
        return usage_text(message, "Too many channels");
    if (o->channel_list && !rolls)
        return usage_text(message, "Several channels are for rolling mode only");
    if (o->nchannels && !rolls) /* as in the stock client, the last -n counts */
        o->channel = o->channels[o->nchannels - 1];
    return OPTIONS_RUN;
}

enum options_status options_parse(int argc, char **argv, struct options *out, char **message)
{
    struct options *o = out;
    int opt;
    *o = (struct options){ .config_file = DEFAULT_CONFIG, .timeout = DEFAULT_TIMEOUT, .delay = OPTIONS_AS_CONFIGURED };
    *message = NULL;
    optind = 0; /* glibc: start afresh */
    opterr = 0;
    while ((opt = getopt_long(argc, argv, short_options, long_options, NULL)) != -1) {
        enum options_mode mode = mode_of(opt);
        if (opt == ':')
            return missing_argument(argv, message);
        if (opt == '?')
            return unknown_option(argv, message);
        if (opt == OPT_HELP || opt == OPT_VERSION)
            return tell(message, opt);
        if (mode != MODE_NONE && o->mode != MODE_NONE)
            return usage_text(message, "Mutually exclusive options defined");
        if (mode != MODE_NONE)
            o->mode = mode;
        o->background |= opt == 'r';
        if (optarg && strchr("dtw", opt)) {
            if (duration(opt, optarg, o, message) != OPTIONS_RUN)
                return OPTIONS_USAGE;
        } else if (optarg) {
            take_value(o, opt, optarg);
        } else {
            take_flag(o, opt);
        }
    }
    o->operands = argv + optind;
    o->noperands = (size_t)(argc - optind);
    return check_together(o, message);
}

void options_free(struct options *o)
{
    for (size_t i = 0; i < o->nchannels && i < OPTIONS_CHANNELS; i++)
        free(o->channels[i]);
    o->nchannels = 0;
}
