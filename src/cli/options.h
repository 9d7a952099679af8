/*
 * The command line of sync_client (spec/operation.md §1.1, §1.2): the union of all
 * versions' options, short and long. Used by main, once, before anything else.
 */
#ifndef FANSYNC_CLI_OPTIONS_H
#define FANSYNC_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

enum options_mode {
    MODE_NONE,
    MODE_USERS,     /* -u */
    MODE_MAILBOXES, /* -m */
    MODE_ALL,       /* -A */
    MODE_META,      /* -s */
    MODE_ROLLING,   /* -r, -R */
    MODE_STATUS,    /* --status */
};

#define OPTIONS_CHANNELS 64

enum { OPTIONS_AS_CONFIGURED = -1 };

/* Strings and operands point into argv. */
struct options {
    enum options_mode mode;
    bool background;          /* -r */
    bool once;                /* -1: at most one log; only with MODE_ROLLING */
    const char *config_file;  /* -C; the default if not given */
    const char *input_file;   /* -f, or NULL */
    const char *channel;      /* -n, or NULL: the last one, in rolling mode the first */
    char *channels[OPTIONS_CHANNELS]; /* all of them; options_free frees them */
    size_t nchannels;
    bool channel_list; /* one -n had several */
    const char *server;       /* -S, or NULL */
    const char *shutdown_file; /* -F, or NULL */
    const char *partition;    /* -p, or NULL */
    int delay;                /* -d, seconds; or OPTIONS_AS_CONFIGURED */
    int timeout;              /* -t, seconds of a session before RESTART; 0: never */
    int startup_delay;        /* -w, seconds; 0: none */
    int verbose;              /* -v, counted */
    bool verbose_logging;     /* -l */
    bool require_compression; /* -z */
    bool connect_once;        /* -o */
    bool no_copyback;         /* -O */
    bool skip_locked;         /* -N */
    bool stage_to_archive;    /* -a */
    bool local_only;          /* -L */
    bool json, metrics;       /* with --status */
    char **operands;
    size_t noperands;
};

enum options_status {
    OPTIONS_RUN,
    OPTIONS_USAGE, /* message goes to stderr, exit 64 */
    OPTIONS_TELL,  /* --help, --version: message goes to stdout, exit 0 */
};

/* Reads all of argv, which it reorders, operands last. *message, unless OPTIONS_RUN, is
 * what has to be printed, complete with newlines; the caller frees it. Prints nothing. */
enum options_status options_parse(int argc, char **argv, struct options *out, char **message);

/* What options_parse has allocated. */
void options_free(struct options *o);

#endif
