/* The command line (cli/options.h; spec/operation.md §1.1, §1.2). */
#include "cli/options.h"

#include <stdlib.h>

#include "../test.h"

#define MAX_ARGS 32

/* The arguments of a case in a form that getopt may reorder. */
struct line {
    char *argv[MAX_ARGS];
    int argc;
    struct options o;
    char *message;
    enum options_status status;
};

static void parse(struct line *l, const char *const *args)
{
    static struct options last; /* its strings live until the next line is parsed */
    options_free(&last);
    l->argc = 0;
    l->argv[l->argc++] = (char *)"sync_client";
    for (; *args; args++)
        l->argv[l->argc++] = (char *)*args;
    l->argv[l->argc] = NULL;
    l->status = options_parse(l->argc, l->argv, &l->o, &l->message);
    last = l->o;
}

#define PARSE(l, ...) parse(l, (const char *const[]){ __VA_ARGS__, NULL })

#define assert_runs(l)                                  \
    do {                                                \
        if ((l)->status != OPTIONS_RUN)                 \
            fail_msg("usage error: %s", (l)->message);  \
    } while (0)

static void assert_usage(struct line *l, const char *text)
{
    if (l->status != OPTIONS_USAGE)
        fail_msg("no usage error, wanted: %s", text);
    if (!strstr(l->message, text))
        fail_msg("got \"%s\", want \"%s\"", l->message, text);
    assert_non_null(strstr(l->message, "\nUsage: sync_client -S <servername>"));
    free(l->message);
}

static void every_short_option_sets_its_field(void **state)
{
    (void)state;
    struct line l;
    PARSE(&l, "-u", "-C", "c", "-f", "i", "-n", "ch", "-S", "s", "-F", "sf", "-p", "part", "-d", "7", "-t", "8");
    assert_runs(&l);
    assert_int_equal(l.o.mode, MODE_USERS);
    assert_string_equal(l.o.config_file, "c");
    assert_string_equal(l.o.input_file, "i");
    assert_string_equal(l.o.channel, "ch");
    assert_string_equal(l.o.server, "s");
    assert_string_equal(l.o.shutdown_file, "sf");
    assert_string_equal(l.o.partition, "part");
    assert_int_equal(l.o.delay, 7);
    assert_int_equal(l.o.timeout, 8);
    PARSE(&l, "-m1vlzoONaL", "-w", "9", "-v");
    assert_runs(&l);
    assert_int_equal(l.o.mode, MODE_MAILBOXES);
    assert_int_equal(l.o.verbose, 2);
    assert_int_equal(l.o.startup_delay, 9);
    assert_true(l.o.once && l.o.verbose_logging && l.o.require_compression && l.o.connect_once &&
                l.o.no_copyback && l.o.skip_locked && l.o.stage_to_archive && l.o.local_only);
}

static void every_long_option_means_its_short_one(void **state)
{
    (void)state;
    struct line l;
    PARSE(&l, "--userids", "--input-file", "i", "--channel=ch", "--server=s", "--shutdown-file", "sf",
          "--delay=7", "--timeout=8", "--delayed-startup=9", "--dest-partition=part");
    assert_runs(&l);
    assert_int_equal(l.o.mode, MODE_USERS);
    assert_string_equal(l.o.input_file, "i");
    assert_string_equal(l.o.channel, "ch");
    assert_string_equal(l.o.server, "s");
    assert_string_equal(l.o.shutdown_file, "sf");
    assert_string_equal(l.o.partition, "part");
    assert_int_equal(l.o.delay, 7);
    assert_int_equal(l.o.timeout, 8);
    assert_int_equal(l.o.startup_delay, 9);
    PARSE(&l, "--mailboxes", "--rolling-once", "--verbose", "--verbose-logging", "--require-compression",
          "--connect-once", "--no-copyback", "--skip-locked", "--stage-to-archive", "--local-only");
    assert_runs(&l);
    assert_int_equal(l.o.mode, MODE_MAILBOXES);
    assert_int_equal(l.o.verbose, 1);
    assert_true(l.o.once && l.o.verbose_logging && l.o.require_compression && l.o.connect_once &&
                l.o.no_copyback && l.o.skip_locked && l.o.stage_to_archive && l.o.local_only);
}

static void the_modes_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *arg;
        enum options_mode mode;
        bool background;
    } cases[] = {
        { "-u", MODE_USERS, false },         { "-m", MODE_MAILBOXES, false },
        { "-A", MODE_ALL, false },           { "-s", MODE_META, false },
        { "-r", MODE_ROLLING, true },        { "-R", MODE_ROLLING, false },
        { "--all-users", MODE_ALL, false },  { "--sieve-mode", MODE_META, false },
        { "--rolling", MODE_ROLLING, true }, { "--foreground-rolling", MODE_ROLLING, false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct line l;
        PARSE(&l, cases[i].arg);
        assert_runs(&l);
        assert_int_equal(l.o.mode, cases[i].mode);
        assert_int_equal(l.o.background, cases[i].background);
    }
}

static void without_options_the_defaults_hold(void **state)
{
    (void)state;
    struct line l;
    PARSE(&l, "-u");
    assert_runs(&l);
    assert_string_equal(l.o.config_file, "/etc/imapd.conf");
    assert_int_equal(l.o.timeout, 600);
    assert_int_equal(l.o.delay, OPTIONS_AS_CONFIGURED);
    assert_int_equal(l.o.startup_delay, 0);
    assert_int_equal(l.o.noperands, 0);
    assert_null(l.o.server);
    assert_null(l.o.channel);
}

static void options_may_follow_operands(void **state)
{
    (void)state;
    struct line l;
    PARSE(&l, "fred", "-u", "joe", "-v", "-");
    assert_runs(&l);
    assert_int_equal(l.o.noperands, 3);
    assert_string_equal(l.o.operands[0], "fred");
    assert_string_equal(l.o.operands[1], "joe");
    assert_string_equal(l.o.operands[2], "-");
    assert_int_equal(l.o.verbose, 1);
}

static void two_dashes_end_the_options(void **state)
{
    (void)state;
    struct line l;
    PARSE(&l, "-u", "--", "-m", "--help");
    assert_runs(&l);
    assert_int_equal(l.o.noperands, 2);
    assert_string_equal(l.o.operands[0], "-m");
    assert_string_equal(l.o.operands[1], "--help");
}

static void unambiguous_prefixes_of_long_options_are_taken(void **state)
{
    (void)state;
    struct line l;
    PARSE(&l, "--user", "--serv", "s");
    assert_runs(&l);
    assert_int_equal(l.o.mode, MODE_USERS);
    assert_string_equal(l.o.server, "s");
    PARSE(&l, "-u", "--verb");
    assert_usage(&l, "ambiguous option '--verb'");
}

static void the_last_of_a_repeated_value_option_wins(void **state)
{
    (void)state;
    struct line l;
    PARSE(&l, "-u", "-S", "one", "-S", "two", "-n", "a", "-n", "b");
    assert_runs(&l);
    assert_string_equal(l.o.server, "two");
    assert_string_equal(l.o.channel, "b");
}

static void rolling_mode_takes_several_channels(void **state)
{
    (void)state;
    struct line l;
    PARSE(&l, "-R", "-n", "a,b", "-n", "c");
    assert_runs(&l);
    assert_int_equal(l.o.nchannels, 3);
    assert_string_equal(l.o.channels[0], "a");
    assert_string_equal(l.o.channels[1], "b");
    assert_string_equal(l.o.channels[2], "c");
    PARSE(&l, "-R", "-1", "-n", "a,b");
    assert_usage(&l, "Several channels are for rolling mode only\n\n");
    PARSE(&l, "-A", "-n", "a,b");
    assert_usage(&l, "Several channels are for rolling mode only\n\n");
}

static void a_second_mode_is_a_usage_error_even_if_it_is_the_same(void **state)
{
    (void)state;
    struct line l;
    PARSE(&l, "-u", "-u");
    assert_usage(&l, "Mutually exclusive options defined\n\n");
    PARSE(&l, "-r", "-R");
    assert_usage(&l, "Mutually exclusive options defined\n\n");
    PARSE(&l, "-As");
    assert_usage(&l, "Mutually exclusive options defined\n\n");
}

static void without_a_mode_nothing_is_done(void **state)
{
    (void)state;
    struct line l;
    PARSE(&l, "-1");
    assert_usage(&l, "No replication mode specified\n\n");
    PARSE(&l, "-v", "-S", "host", "fred");
    assert_usage(&l, "No replication mode specified\n\n");
}

static void diagnostics_name_the_option(void **state)
{
    (void)state;
    struct line l;
    PARSE(&l, "-u", "-Q");
    assert_usage(&l, "sync_client: invalid option -- 'Q'\n");
    PARSE(&l, "-u", "-h");
    assert_usage(&l, "invalid option -- 'h'\n");
    PARSE(&l, "-uvQ");
    assert_usage(&l, "invalid option -- 'Q'\n");
    PARSE(&l, "-u", "--quux=1");
    assert_usage(&l, "unrecognized option '--quux=1'\n");
    PARSE(&l, "-u", "-vC");
    assert_usage(&l, "option requires an argument -- 'C'\n");
    PARSE(&l, "-u", "--server");
    assert_usage(&l, "option '--server' requires an argument\n");
    PARSE(&l, "--userids=fred");
    assert_usage(&l, "option '--userids' doesn't allow an argument\n");
}

static void the_first_error_ends_the_parsing(void **state)
{
    (void)state;
    struct line l;
    PARSE(&l, "-u", "-u", "-Q");
    assert_usage(&l, "Mutually exclusive");
    PARSE(&l, "-Q", "--help");
    assert_usage(&l, "invalid option");
}

static void durations_are_those_of_the_configuration(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int value;
    } cases[] = {
        { "5", 5 }, { "5m", 300 }, { "1h", 3600 }, { "1h30m", 5400 }, { "010", 10 }, { "0", 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct line l;
        PARSE(&l, "-R", "-d", cases[i].text, "-t", cases[i].text, "-w", cases[i].text);
        assert_runs(&l);
        assert_int_equal(l.o.delay, cases[i].value);
        assert_int_equal(l.o.timeout, cases[i].value);
        assert_int_equal(l.o.startup_delay, cases[i].value);
    }
}

static void what_is_no_duration_is_refused(void **state)
{
    (void)state;
    struct line l;
    PARSE(&l, "-R", "-d", "x");
    assert_usage(&l, "-d: 'x' is not a duration\n\n");
    PARSE(&l, "-R", "-t", "1x");
    assert_usage(&l, "-t: '1x' is not a duration\n\n");
    PARSE(&l, "-R", "-w", "");
    assert_usage(&l, "-w: '' is not a duration\n\n");
    PARSE(&l, "-R", "-d", "99999999999");
    assert_usage(&l, "-d: '99999999999' is not a duration of 32 bits\n\n");
}

static void json_and_metrics_are_for_the_status_only(void **state)
{
    (void)state;
    struct line l;
    PARSE(&l, "-u", "--json", "fred");
    assert_usage(&l, "--json and --metrics are for --status only\n\n");
    PARSE(&l, "-R", "--metrics");
    assert_usage(&l, "--json and --metrics are for --status only\n\n");
    PARSE(&l, "--status", "--json", "--metrics");
    assert_usage(&l, "Mutually exclusive options defined\n\n");
}

static void negative_numbers_mean_none_but_for_the_delay(void **state)
{
    (void)state;
    struct line l;
    PARSE(&l, "-R", "-t", "-1", "-w", "-3");
    assert_runs(&l);
    assert_int_equal(l.o.timeout, 0);
    assert_int_equal(l.o.startup_delay, 0);
    PARSE(&l, "-R", "-d", "-1");
    assert_usage(&l, "The delay must not be negative\n\n");
    PARSE(&l, "-R", "-d", "0"); /* at once, whatever is configured */
    assert_runs(&l);
    assert_int_equal(l.o.delay, 0);
}

static void help_and_version_are_told(void **state)
{
    (void)state;
    struct line l;
    PARSE(&l, "--help");
    assert_int_equal(l.status, OPTIONS_TELL);
    assert_non_null(strstr(l.message, "Usage: sync_client -S <servername>"));
    assert_non_null(strstr(l.message, "--stage-to-archive"));
    free(l.message);
    PARSE(&l, "--version");
    assert_int_equal(l.status, OPTIONS_TELL);
    assert_string_equal(l.message, "fansync " FANSYNC_VERSION "\n");
    free(l.message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_short_option_sets_its_field),
        cmocka_unit_test(every_long_option_means_its_short_one),
        cmocka_unit_test(the_modes_are_told_apart),
        cmocka_unit_test(without_options_the_defaults_hold),
        cmocka_unit_test(options_may_follow_operands),
        cmocka_unit_test(two_dashes_end_the_options),
        cmocka_unit_test(unambiguous_prefixes_of_long_options_are_taken),
        cmocka_unit_test(the_last_of_a_repeated_value_option_wins),
        cmocka_unit_test(rolling_mode_takes_several_channels),
        cmocka_unit_test(a_second_mode_is_a_usage_error_even_if_it_is_the_same),
        cmocka_unit_test(without_a_mode_nothing_is_done),
        cmocka_unit_test(diagnostics_name_the_option),
        cmocka_unit_test(the_first_error_ends_the_parsing),
        cmocka_unit_test(durations_are_those_of_the_configuration),
        cmocka_unit_test(what_is_no_duration_is_refused),
        cmocka_unit_test(json_and_metrics_are_for_the_status_only),
        cmocka_unit_test(negative_numbers_mean_none_but_for_the_delay),
        cmocka_unit_test(help_and_version_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
