/* The master's own server as a child (daemon/private_server.h). Scripts stand for sync_server: they tell
 * on standard error, which the error message repeats, what a real one would find. */
#include "daemon/private_server.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../test.h"

struct fixture {
    char folder[64];
    char config_file[96], program[96];
    struct config *config;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    snprintf(f->folder, sizeof f->folder, "/tmp/test_private.XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->config_file, sizeof f->config_file, "%s/imapd.conf", f->folder);
    snprintf(f->program, sizeof f->program, "%s/sync_server", f->folder);
    FILE *out = fopen(f->config_file, "w");
    fprintf(out, "configdirectory: %s\ncyrus_bindir: %s\ntemp_path: %s\n", f->folder, f->folder, f->folder);
    fclose(out);
    assert_ok(config_load(f->config_file, "sync_client", &f->config));
    signal(SIGCHLD, SIG_IGN); /* as the process does */
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    config_free(f->config);
    unlink(f->config_file);
    unlink(f->program);
    assert_int_equal(rmdir(f->folder), 0); /* nothing else was left there */
    free(f);
    return 0;
}

static void program(struct fixture *f, const char *text)
{
    FILE *out = fopen(f->program, "w");
    fputs(text, out);
    fclose(out);
    chmod(f->program, 0755);
}

/* Opens, which fails, because no script accepts a connection. */
static struct err *try_it(struct fixture *f)
{
    const struct session_options o = { .connect_timeout = 60, .timeout = 60 };
    struct session *s = NULL;
    struct err *err = private_server_open(f->config, &o, &s);
    assert_null(s);
    assert_non_null(err);
    return err;
}

static void a_server_that_ends_at_once_is_an_error_with_what_it_said(void **state)
{
    struct fixture *f = *state;
    program(f, "#!/bin/sh\nprintf 'fatal error: no such\\npartition\\n' >&2\n");
    struct err *err = try_it(f);
    assert_int_equal(err->kind, ERR_CONNECT);
    assert_non_null(strstr(err->msg, f->program));
    assert_non_null(strstr(err->msg, "(fatal error: no such partition)"));
    err_free(err);
}

static void it_is_started_as_the_cyrus_master_would(void **state)
{
    struct fixture *f = *state;
    char want[256];
    setenv("CYRUS_SERVICE", "another", 1);
    setenv("CYRUS_ID", "7", 1);
    program(f, "#!/bin/sh\necho \"$CYRUS_SERVICE $CYRUS_ID $*\" >&2\n");
    struct err *err = try_it(f);
    unsetenv("CYRUS_SERVICE");
    unsetenv("CYRUS_ID");
    snprintf(want, sizeof want, "(synclocal 1000000 -C %s -U 1)", f->config_file);
    assert_non_null(strstr(err->msg, want));
    err_free(err);
}

static void it_inherits_no_descriptor_and_no_blocked_or_ignored_signal(void **state)
{
    struct fixture *f = *state;
    int leak = open("/dev/null", O_RDONLY); /* a library's, without O_CLOEXEC */
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    signal(SIGPIPE, SIG_IGN);
    program(f, "#!/bin/sh\ncat > /dev/null\n" /* standard input is empty */
               "open=; for n in 3 4 5 6 7 8 9; do [ -e /proc/$$/fd/$n ] && open=\"$open $n\"; done\n"
               "echo $open $(grep -E 'SigBlk|SigIgn' /proc/self/status) >&2\n");
    struct err *err = try_it(f);
    signal(SIGPIPE, SIG_DFL);
    sigprocmask(SIG_SETMASK, &before, NULL);
    close(leak);
    /* A shell has its script open as 10. */
    const char *ignored = strstr(err->msg, "(3 4 SigBlk: 0000000000000000 SigIgn: ");
    assert_non_null(ignored);
    unsigned long long mask = strtoull(strstr(ignored, "SigIgn: ") + strlen("SigIgn: "), NULL, 16);
    assert_int_equal(mask & (1ull << (SIGPIPE - 1) | 1ull << (SIGCHLD - 1)), 0);
    err_free(err);
}

static void a_program_that_cannot_be_executed_is_an_error(void **state)
{
    struct fixture *f = *state;
    program(f, "#!/nonexistent/interpreter\n");
    struct err *err = try_it(f);
    assert_non_null(strstr(err->msg, "(cannot be executed)"));
    err_free(err);
}

static void without_a_program_the_error_names_the_option(void **state)
{
    struct fixture *f = *state;
    struct buf path = BUF_INIT;
    assert_false(private_server_program(f->config, &path));
    assert_string_equal(buf_cstr(&path), f->program);
    buf_free(&path);
    struct err *err = try_it(f);
    assert_non_null(strstr(err->msg, "cyrus_bindir"));
    err_free(err);
}

static void a_folder_for_temporary_files_that_is_missing_is_named(void **state)
{
    struct fixture *f = *state;
    FILE *out = fopen(f->config_file, "a");
    fprintf(out, "sync_client_temp_path: /nonexistent/temp\n");
    fclose(out);
    config_free(f->config);
    assert_ok(config_load(f->config_file, "sync_client", &f->config));
    program(f, "#!/bin/sh\n");
    struct err *err = try_it(f);
    assert_non_null(strstr(err->msg, "/nonexistent/temp (temp_path)"));
    err_free(err);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_server_that_ends_at_once_is_an_error_with_what_it_said),
        TEST(it_is_started_as_the_cyrus_master_would),
        TEST(it_inherits_no_descriptor_and_no_blocked_or_ignored_signal),
        TEST(a_program_that_cannot_be_executed_is_an_error),
        TEST(without_a_program_the_error_names_the_option),
        TEST(a_folder_for_temporary_files_that_is_missing_is_named),
    };
    return cmocka_run_group_tests_name("daemon: private server", tests, NULL, NULL);
}
