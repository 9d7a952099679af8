/* Connecting (daemon/connect.h; spec/operation.md §4.4, §5.3). session_open is a double: the
 * loop is tested, not the network. */
#include "daemon/connect.h"

#include <signal.h>
#include <stdatomic.h>

#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../test.h"
#include "fansync/log.h"

/* ---- doubles ---- */

static int attempts;          /* calls of session_open */
static int fail_first;        /* that many fail */
static enum err_kind failure; /* with that kind */
static atomic_int stopped; /* the flag of a signal that asks to end */
static char opened;           /* stands for a session */

struct err *session_open(const struct session_options *o, struct session **out)
{
    attempts++;
    if (attempts <= fail_first)
        return err_new(failure, "connect(%s) failed: test", o->server);
    *out = (struct session *)&opened;
    return NULL;
}

struct err *session_open_on(int fd, const char *peer, const struct session_options *o, struct session **out)
{
    (void)fd;
    (void)o;
    (void)out;
    return err_new(ERR_CONNECT, "%s: test", peer);
}

/* ---- fixture ---- */

struct fixture {
    char path[64];
    struct config *config;
    struct connect_options o;
    struct connector c;
    FILE *err; /* what was written on stderr, and where that went before */
    int before;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    snprintf(f->path, sizeof f->path, "%s", "/tmp/test_connect.XXXXXX");
    close(mkstemp(f->path));
    attempts = fail_first = 0;
    failure = ERR_CONNECT;
    stopped = 0;
    f->o.stop = &stopped;
    f->err = tmpfile();
    f->before = dup(2);
    dup2(fileno(f->err), 2);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    dup2(f->before, 2);
    close(f->before);
    fclose(f->err);
    config_free(f->config);
    unlink(f->path);
    free(f);
    return 0;
}

static void configure(struct fixture *f, const char *text)
{
    FILE *out = fopen(f->path, "w");
    fprintf(out, "configdirectory: /var/c\n%s", text);
    fclose(out);
    config_free(f->config);
    assert_ok(config_load(f->path, "sync_client", &f->config));
    assert_ok(connector_init(&f->c, f->config, &f->o));
}

static void assert_stderr(struct fixture *f, const char *want)
{
    char got[1024];
    rewind(f->err);
    got[fread(got, 1, sizeof got - 1, f->err)] = '\0';
    assert_string_equal(got, want);
}

/* ---- what it connects with ---- */

static void the_channels_settings_are_used(void **state)
{
    struct fixture *f = *state;
    f->o.channel = "east";
    configure(f, "sync_host: all\neast_sync_host: e\nsync_port: 1\neast_sync_port: 2\nsync_authname: a\n"
                 "east_sync_realm: r\nsync_password: p\nsync_client_east_sync_password: q\n"
                 "client_timeout: 4\neast_sync_timeout: 1h\neast_sync_reconnect_maxwait: 7\n");
    assert_string_equal(f->c.session.server, "e");
    assert_string_equal(f->c.session.port, "2");
    assert_string_equal(f->c.session.authname, "a");
    assert_string_equal(f->c.session.realm, "r");
    assert_string_equal(f->c.session.password, "q");
    assert_int_equal(f->c.session.connect_timeout, 4);
    assert_int_equal(f->c.session.timeout, 3600);
    assert_int_equal(f->c.maxwait, 7);
}

static void the_server_of_the_command_line_replaces_the_host_only(void **state)
{
    struct fixture *f = *state;
    f->o.channel = "east";
    f->o.server = "given";
    configure(f, "sync_host: all\neast_sync_host: e\neast_sync_port: 2\n");
    assert_string_equal(f->c.session.server, "given");
    assert_string_equal(f->c.session.port, "2");
}

static void a_timeout_below_three_seconds_counts_as_three(void **state)
{
    struct fixture *f = *state;
    configure(f, "sync_host: h\nsync_timeout: 1\n");
    assert_int_equal(f->c.session.timeout, 3);
}

static void compression_is_as_configured_unless_required(void **state)
{
    struct fixture *f = *state;
    configure(f, "sync_host: h\n");
    assert_int_equal(f->c.session.compress, COMPRESS_AUTO);
    configure(f, "sync_host: h\nsync_compress: no\n");
    assert_int_equal(f->c.session.compress, COMPRESS_OFF);
    configure(f, "sync_host: h\nsync_compress: yes\n");
    assert_int_equal(f->c.session.compress, COMPRESS_ON);
    f->o.require_compression = true;
    configure(f, "sync_host: h\nsync_compress: auto\n");
    assert_int_equal(f->c.session.compress, COMPRESS_REQUIRE);
    f->o.require_compression = false;
    configure(f, "sync_host: h\nsync_compress: off\n");
    f->o.require_compression = true;
    assert_err(connector_init(&f->c, f->config, &f->o), ERR_CONFIG, "-z asks for compression");
}

static void mechanisms_are_restricted_by_host_or_for_all(void **state)
{
    struct fixture *f = *state;
    configure(f, "sync_host: Replica.example.com:99\nreplica_mechs: PLAIN\nforce_sasl_client_mech: GSSAPI\n");
    assert_string_equal(f->c.session.mechs, "PLAIN");
    assert_string_equal(connect_mechs(f->config, "replica"), "PLAIN");
    assert_string_equal(connect_mechs(f->config, "replica:99"), "PLAIN");
    assert_string_equal(connect_mechs(f->config, "replica2"), "GSSAPI");
    assert_string_equal(connect_mechs(f->config, "/run/replica"), "GSSAPI");
    configure(f, "sync_host: h\n");
    assert_null(f->c.session.mechs);
}

static struct err *init(struct fixture *f, const char *text)
{
    configure(f, "sync_host: h\n");
    FILE *out = fopen(f->path, "w");
    fprintf(out, "configdirectory: /var/c\n%s", text);
    fclose(out);
    config_free(f->config);
    assert_ok(config_load(f->path, "sync_client", &f->config));
    return connector_init(&f->c, f->config, &f->o);
}

static void without_a_host_there_is_no_connector(void **state)
{
    assert_err(init(*state, "east_sync_host: e\n"), ERR_NONEXISTENT, "sync_host not defined");
}

static void a_malformed_override_of_the_channel_is_an_error(void **state)
{
    struct fixture *f = *state;
    configure(f, "sync_host: h\n");
    f->o.channel = "east";
    FILE *out = fopen(f->path, "w");
    fprintf(out, "configdirectory: /var/c\nsync_host: h\neast_sync_timeout: x\n");
    fclose(out);
    config_free(f->config);
    assert_ok(config_load(f->path, "sync_client", &f->config));
    assert_err(connector_init(&f->c, f->config, &f->o), ERR_CONFIG, "east_sync_timeout");
}

static void the_masters_own_server_has_the_replicas_credentials_unless_told_otherwise(void **state)
{
    struct fixture *f = *state;
    configure(f, "sync_host: h\nsync_authname: a\nsync_password: p\nsync_copyback_host: /run/own\n"
                 "sync_copyback_password: q\n");
    connector_init_master(&f->c, f->config, &f->o);
    assert_string_equal(f->c.session.server, "/run/own");
    assert_string_equal(f->c.session.authname, "a");
    assert_string_equal(f->c.session.password, "q");
}

static void init_master(struct fixture *f, const char *text)
{
    char all[512];
    snprintf(all, sizeof all, "sync_host: h\n%s", text);
    configure(f, all);
    connector_init_master(&f->c, f->config, &f->o);
}

static void copyback_is_the_configured_service_else_a_server_of_our_own(void **state)
{
    struct fixture *f = *state;
    init_master(f, "cyrus_bindir: /nonexistent\nsync_copyback_host: /run/own\n");
    assert_null(f->c.missing);
    assert_null(f->c.private);
    assert_string_equal(f->c.session.server, "/run/own");
    init_master(f, "cyrus_bindir: /nonexistent\n");
    assert_non_null(strstr(f->c.missing, "cyrus_bindir"));
}

static void copyback_can_be_told_which_server_to_use_or_none(void **state)
{
    struct fixture *f = *state;
    init_master(f, "sync_copyback: service\n");
    assert_string_equal(f->c.missing, "no copyback service is configured (sync_copyback_host)");
    init_master(f, "sync_copyback: off\nsync_copyback_host: /run/own\n");
    assert_string_equal(f->c.missing, "copyback is switched off (sync_copyback)");
    init_master(f, "sync_copyback: private\nsync_copyback_host: /run/own\ncyrus_bindir: /nonexistent\n");
    assert_non_null(strstr(f->c.missing, "cyrus_bindir"));
}

/* ---- the loop ---- */

static void waits_double_up_to_the_limit(void **state)
{
    (void)state;
    static const int64_t want[] = { 15, 30, 60, 120, 240, 480, 960, 1200, 1200 };
    int64_t wait = 0;
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++) {
        wait = connect_next_wait(wait, 1200);
        assert_int_equal(wait, want[i]);
    }
    assert_int_equal(connect_next_wait(0, 1), 1);
    assert_int_equal(connect_next_wait(1, 1), 1);
    assert_int_equal(connect_next_wait(1200, 0), 2400);
    assert_int_equal(connect_next_wait(INT32_MAX, -1), INT32_MAX);
}

static void it_is_tried_until_it_works_with_a_line_for_each_failure(void **state)
{
    struct fixture *f = *state;
    struct session *s = NULL;
    configure(f, "sync_host: h:9\nsync_reconnect_maxwait: 1\n");
    fail_first = 2;
    time_t start = time(NULL);
    assert_ok(session_connect_retry(&f->c, &s));
    assert_int_equal(attempts, 3);
    assert_ptr_equal(s, &opened);
    assert_true(time(NULL) - start >= 2);
    assert_stderr(f, "Can not connect to server 'h:9', retrying in 1 seconds\n"
                     "Can not connect to server 'h:9', retrying in 1 seconds\n");
}

static void connect_once_tries_once_and_does_not_speak_of_retrying(void **state)
{
    struct fixture *f = *state;
    struct session *s = NULL;
    f->o.once = true;
    configure(f, "sync_host: h\n");
    fail_first = 5;
    assert_err(session_connect_retry(&f->c, &s), ERR_CONNECT, "connect(h) failed");
    assert_int_equal(attempts, 1);
    assert_stderr(f, "Can not connect to server 'h'\n");
}

static void missing_compression_ends_the_loop_if_it_is_required(void **state)
{
    struct fixture *f = *state;
    struct session *s = NULL;
    f->o.require_compression = true;
    configure(f, "sync_host: h\n");
    fail_first = 5;
    failure = ERR_NOTSUPPORTED;
    assert_err(session_connect_retry(&f->c, &s), ERR_NOTSUPPORTED, "");
    assert_int_equal(attempts, 1);
    assert_stderr(f, "Failed to enable compression to server 'h'\n");
}

static void on_alarm(int sig)
{
    stopped = sig;
}

static void a_signal_ends_the_wait_and_the_loop(void **state)
{
    struct fixture *f = *state;
    struct session *s = NULL;
    configure(f, "sync_host: h\n");
    fail_first = 5;
    /* The wait lets in only the signals that ask to end; an alarm stands for one. */
    signal(SIGALRM, on_alarm);
    alarm(1);
    assert_err(session_connect_retry(&f->c, &s), ERR_INTERRUPTED, "");
    assert_int_equal(attempts, 1);
    assert_stderr(f, "Can not connect to server 'h', retrying in 15 seconds\n");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_channels_settings_are_used),
        TEST(the_server_of_the_command_line_replaces_the_host_only),
        TEST(a_timeout_below_three_seconds_counts_as_three),
        TEST(compression_is_as_configured_unless_required),
        TEST(mechanisms_are_restricted_by_host_or_for_all),
        TEST(without_a_host_there_is_no_connector),
        TEST(a_malformed_override_of_the_channel_is_an_error),
        TEST(the_masters_own_server_has_the_replicas_credentials_unless_told_otherwise),
        TEST(copyback_is_the_configured_service_else_a_server_of_our_own),
        TEST(copyback_can_be_told_which_server_to_use_or_none),
        cmocka_unit_test(waits_double_up_to_the_limit),
        TEST(it_is_tried_until_it_works_with_a_line_for_each_failure),
        TEST(connect_once_tries_once_and_does_not_speak_of_retrying),
        TEST(missing_compression_ends_the_loop_if_it_is_required),
        TEST(a_signal_ends_the_wait_and_the_loop),
    };
    return cmocka_run_group_tests_name("daemon: connect", tests, NULL, NULL);
}
