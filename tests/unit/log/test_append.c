/* Tests of appending to a log beside daemons, and of reading a whole file of records. */
#include "logtest.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include "fansync/synclog.h"

static void lines_are_appended_and_folders_made(void **state)
{
    struct stat st;
    (void)state;
    mode_t old = umask(077);
    assert_ok(synclog_append(scratch_path("sync/east/log"), slice_str("MAILBOX a\n")));
    assert_ok(synclog_append(scratch_path("sync/east/log"), slice_str("MAILBOX b\nMAILBOX c\n")));
    umask(old);
    assert_string_equal(content_of("sync/east/log"), "MAILBOX a\nMAILBOX b\nMAILBOX c\n");
    assert_int_equal(stat(scratch_path("sync/east/log"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(scratch_path("sync"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

static void half_a_line_of_somebody_else_stays_alone(void **state)
{
    (void)state;
    scratch_write_text("log", "MAILBOX a\nMAILB");
    assert_ok(synclog_append(scratch_path("log"), slice_str("MAILBOX b\n")));
    assert_string_equal(content_of("log"), "MAILBOX a\nMAILB\nMAILBOX b\n");
}

static void a_log_that_cannot_be_opened_is_an_error(void **state)
{
    (void)state;
    mkdir(scratch_path("log"), 0700);
    assert_err(synclog_append(scratch_path("log"), slice_str("MAILBOX b\n")), ERR_IO, "Unable to write to log file");
}

struct holder {
    int fd;
    const char *rename_to;
};

static void *hold_a_while(void *ctx)
{
    struct holder *h = ctx;
    test_sleep_ms(60);
    if (h->rename_to)
        rename(scratch_path("log"), h->rename_to);
    close(h->fd);
    return NULL;
}

static void append_while_held(struct holder *h)
{
    pthread_t t;
    struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    h->fd = open(scratch_write_text("log", "MAILBOX a\n"), O_RDWR);
    assert_int_equal(fcntl(h->fd, F_OFD_SETLK, &fl), 0);
    const char *path = scratch_path("log");
    pthread_create(&t, NULL, hold_a_while, h);
    struct err *e = synclog_append(path, slice_str("MAILBOX b\n"));
    pthread_join(t, NULL);
    assert_ok(e);
}

static void another_writers_lock_is_waited_for(void **state)
{
    struct holder h = { .fd = -1 };
    (void)state;
    append_while_held(&h);
    assert_string_equal(content_of("log"), "MAILBOX a\nMAILBOX b\n");
}

static void a_log_renamed_while_waiting_is_left_and_a_new_one_begun(void **state)
{
    char to[128];
    struct holder h = { .fd = -1, .rename_to = to };
    (void)state;
    snprintf(to, sizeof to, "%s/log-run", scratch);
    append_while_held(&h);
    assert_string_equal(content_of("log-run"), "MAILBOX a\n");
    assert_string_equal(content_of("log"), "MAILBOX b\n");
}

/* A child with a limit on the size of files stands for a full disk. */
static struct err *append_with_limit(const char *path, struct slice lines, rlim_t limit)
{
    struct rlimit old, small;
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = limit;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    struct err *e = synclog_append(path, lines);
    setrlimit(RLIMIT_FSIZE, &old);
    return e;
}

static void a_torn_write_is_cut_back_to_whole_lines(void **state)
{
    const char *path;
    (void)state;
    path = scratch_write_text("log", "MAILBOX a\n");
    assert_err(append_with_limit(path, slice_str("MAILBOX b\n"), 15), ERR_IO, "write() to ");
    assert_string_equal(content_of("log"), "MAILBOX a\n");
    assert_err(append_with_limit(path, slice_str("MAILBOX b\nMAILBOX c\n"), 25), ERR_IO, "write() to ");
    assert_string_equal(content_of("log"), "MAILBOX a\nMAILBOX b\n");
    assert_ok(synclog_append(path, slice_str("MAILBOX c\n")));
    assert_string_equal(content_of("log"), "MAILBOX a\nMAILBOX b\nMAILBOX c\n");
}

enum { WRITERS = 4, EACH = 300 };

static void write_many(int who)
{
    char line[64];
    for (int i = 0; i < EACH; i++) {
        snprintf(line, sizeof line, "MAILBOX w%d.%d\n", who, i);
        if (who % 2 ? !daemon_writes(scratch_path("log"), line)
                    : synclog_append(scratch_path("log"), slice_str(line)) != NULL)
            _exit(1);
    }
    _exit(0);
}

static void count_record(void *ctx, const struct action *a)
{
    (void)a;
    ++*(size_t *)ctx;
}

static void ours_and_daemons_lines_survive_each_other_and_a_rotating_reader(void **state)
{
    size_t records = 0, bad, rounds = 0;
    int left = WRITERS, status;
    (void)state;
    for (int i = 0; i < WRITERS; i++)
        if (fork() == 0)
            write_many(i);
    while (left > 0 || exists("log")) {
        while (left > 0 && waitpid(-1, &status, WNOHANG) > 0) {
            assert_int_equal(status, 0);
            left--;
        }
        if (rename(scratch_path("log"), scratch_path("log-run")) == 0) {
            assert_ok(synclog_read_file(scratch_path("log-run"), count_record, &records, &bad, NULL));
            assert_int_equal(bad, 0);
            unlink(scratch_path("log-run"));
            rounds++;
        }
        test_sleep_ms(5);
    }
    assert_int_equal(records, WRITERS * EACH);
    assert_true(rounds > 1);
}

static void add_name(void *ctx, const struct action *a)
{
    struct buf *b = ctx;
    buf_add(b, a->a.p, a->a.n);
    buf_addc(b, ' ');
}

static struct buf names;
static size_t bad_lines;

static void read_text(const char *text, size_t n)
{
    buf_clear(&names);
    assert_ok(synclog_read_file(scratch_write("records", text, n), add_name, &names, &bad_lines, NULL));
    buf_cstr(&names);
}

static void good_lines_are_read_and_bad_ones_told_of(void **state)
{
    static const char text[] = "mailbox a\r\n\nNOARG\nMAILBOX (foo\nMAILBOX \"b\nFOO\x01 x\nMAILBOX c d e\nUSER f\n";
    (void)state;
    read_text(text, sizeof text - 1);
    assert_slice(buf_slice(&names), "a f ");
    assert_int_equal(bad_lines, 4);
    assert_said("records: line 4: Missing mailbox name: MAILBOX (foo: \"MAILBOX (foo\"");
    assert_said("records: line 5: Missing closing quote: \"b: ");
    assert_said("records: line 6: Unknown action type: FOO\\x01: \"FOO\\x01 x\"");
    assert_said("<3>");
    assert_said("records: line 7: Garbage at end of input line: \"MAILBOX c d e\"");
    assert_string_equal(content_of("records"), text);
    buf_free(&names);
}

static void a_last_line_without_newline_is_read_with_a_warning(void **state)
{
    (void)state;
    read_text("MAILBOX a\nMAILBOX b", 19);
    assert_slice(buf_slice(&names), "a b ");
    assert_said("<4>");
    assert_said("records: line 2: the last line does not end in a newline");
    buf_free(&names);
}

static void a_line_that_is_too_long_costs_only_itself(void **state)
{
    size_t n = 3 << 20;
    char *text = malloc(n);
    (void)state;
    memset(text, 'x', n);
    memcpy(text, "MAILBOX a\nMAILBOX ", 18);
    memcpy(text + n - 21, "\nMAILBOX b\nMAILBOX c\n", 21);
    read_text(text, n);
    assert_slice(buf_slice(&names), "a b c ");
    assert_int_equal(bad_lines, 1);
    assert_int_equal(times_said("records: line 2: Line too long"), 1);
    n = (1 << 20) + 100;
    memcpy(text + n - 11, "\nMAILBOX b\n", 11);
    read_text(text, n);
    assert_slice(buf_slice(&names), "a b ");
    n = SYNCLOG_LONGEST_LINE + 10; /* the longest that is read */
    text[n] = '\n';
    read_text(text, n + 1);
    assert_int_equal(bad_lines, 0);
    assert_int_equal(buf_len(&names), 2 + SYNCLOG_LONGEST_LINE - 8 + 1);
    buf_free(&names);
    free(text);
}

static void standard_input_is_read_by_its_name(void **state)
{
    int old = dup(STDIN_FILENO), ends[2];
    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "MAILBOX a\nMAILBOX b\n", 20), 20);
    close(ends[1]);
    dup2(ends[0], STDIN_FILENO);
    struct err *e = synclog_read_file("-", add_name, &names, &bad_lines, NULL);
    dup2(old, STDIN_FILENO);
    close(old);
    close(ends[0]);
    assert_ok(e);
    assert_slice(buf_slice(&names), "a b ");
    buf_free(&names);
}

static void missing_and_unreadable_files_have_cyruss_messages(void **state)
{
    char want[128];
    (void)state;
    struct err *e = synclog_read_file(scratch_path("none"), add_name, &names, &bad_lines, NULL);
    assert_non_null(e);
    assert_string_equal(e->msg, "No sync log filename");
    err_free(e);
    snprintf(want, sizeof want, "Failed to open %s: Is a directory", scratch);
    e = synclog_read_file(scratch, add_name, &names, &bad_lines, NULL);
    assert_non_null(e);
    assert_string_equal(e->msg, want);
    err_free(e);
}

#define WITH_FOLDER(f) cmocka_unit_test_setup_teardown(f, log_setup, log_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(lines_are_appended_and_folders_made),
        WITH_FOLDER(half_a_line_of_somebody_else_stays_alone),
        WITH_FOLDER(a_log_that_cannot_be_opened_is_an_error),
        WITH_FOLDER(another_writers_lock_is_waited_for),
        WITH_FOLDER(a_log_renamed_while_waiting_is_left_and_a_new_one_begun),
        WITH_FOLDER(a_torn_write_is_cut_back_to_whole_lines),
        WITH_FOLDER(ours_and_daemons_lines_survive_each_other_and_a_rotating_reader),
        WITH_FOLDER(good_lines_are_read_and_bad_ones_told_of),
        WITH_FOLDER(a_last_line_without_newline_is_read_with_a_warning),
        WITH_FOLDER(a_line_that_is_too_long_costs_only_itself),
        WITH_FOLDER(standard_input_is_read_by_its_name),
        WITH_FOLDER(missing_and_unreadable_files_have_cyruss_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
