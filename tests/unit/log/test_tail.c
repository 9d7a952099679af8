/* Tests of the tailer, a rule a test: what it reads, what it removes, and when it must not. */
#include "logtest.h"

#include <poll.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include "fansync/synclog.h"
#include "fansync/tail.h"

/* The owner of the hooks: names of the records in the order in which they came, a segment's
 * beginning as "[", its end as "]". */
static struct {
    struct buf told;
    bool settled, not_worth;
    int open, most_slots;
} owner;

static struct tailer *tailer;

static int begin_segment(void *ctx, void *source)
{
    (void)ctx;
    (void)source;
    if (owner.open == owner.most_slots)
        return -1;
    buf_addc(&owner.told, '[');
    return owner.open++;
}

static void record(void *ctx, void *source, int slot, const struct action *a)
{
    (void)ctx;
    assert_true(slot >= 0 && slot < owner.open);
    if (source)
        buf_adds(&owner.told, source);
    buf_add(&owner.told, a->a.p, a->a.n);
    buf_addc(&owner.told, ' ');
}

static bool settled(void *ctx, int slot)
{
    (void)ctx;
    (void)slot;
    return owner.settled;
}

static void end_segment(void *ctx, int slot)
{
    (void)ctx;
    (void)slot;
    buf_addc(&owner.told, ']');
    owner.open--;
}

static bool worth_moving(void *ctx, int slot)
{
    (void)ctx;
    (void)slot;
    return !owner.not_worth;
}

static const struct tail_hooks hooks = { NULL, begin_segment, record, settled, worth_moving, end_segment };

static int setup(void **state)
{
    owner.settled = true;
    owner.not_worth = false;
    owner.open = 0;
    owner.most_slots = 8;
    return log_setup(state);
}

static int teardown(void **state)
{
    tailer_free(tailer);
    tailer = NULL;
    buf_free(&owner.told);
    return log_teardown(state);
}

/* Without pauses unless the test is about them. */
static void follow_with(struct tailer_options o)
{
    o.hooks = hooks;
    if (!o.compact_ms)
        o.compact_ms = 1;
    tailer = tailer_new(&o);
    assert_ok(tailer_add(tailer, scratch, NULL));
}

static void follow(void)
{
    follow_with((struct tailer_options){ .compact_ms = 1 });
}

/* As the thread does, for some milliseconds. */
static void run_ms(int ms)
{
    int64_t end = test_now_ns() + (int64_t)ms * 1000000;
    do {
        struct pollfd p = { .fd = tailer_fd(tailer), .events = POLLIN };
        int left = (int)((end - test_now_ns()) / 1000000), next = tailer_next_ms(tailer);
        assert_in_range(next, 0, 1000);
        tailer_poll(tailer);
        next = tailer_next_ms(tailer);
        poll(&p, 1, next < left ? next : left > 0 ? left : 0);
        tailer_poll(tailer);
    } while (test_now_ns() < end);
}

/* Until the hooks were told as many bytes, or the file is gone; five seconds at most. */
static void run_until_told(size_t bytes)
{
    for (int i = 0; i < 500 && buf_len(&owner.told) < bytes; i++)
        run_ms(10);
}

static void run_until_gone(const char *name)
{
    for (int i = 0; i < 50 && exists(name); i++)
        run_ms(100);
}

static const char *told(void)
{
    static char text[4096];
    snprintf(text, sizeof text, "%s", buf_cstr(&owner.told));
    buf_clear(&owner.told);
    return text;
}

static void daemon_appends(const char *text)
{
    assert_true(daemon_writes(scratch_path("log"), text));
}

static struct tail_stats stats(void)
{
    struct tail_stats s;
    assert_true(tailer_stats(tailer, scratch, &s));
    return s;
}

static void records_are_handed_out_and_the_settled_log_is_emptied_in_place(void **state)
{
    struct stat before, after;
    (void)state;
    follow();
    daemon_appends("MAILBOX a\nMAILBOX b\n");
    stat(scratch_path("log"), &before);
    run_ms(20);
    assert_string_equal(told(), "[a b ]");
    daemon_appends("MAILBOX c\n");
    run_ms(20);
    assert_string_equal(told(), "[c ]");
    stat(scratch_path("log"), &after);
    assert_int_equal(after.st_size, 0);
    assert_int_equal(after.st_ino, before.st_ino);
    assert_int_equal(stats().truncations, 2);
    assert_int_equal(stats().records, 3);
}

static void half_a_line_is_left_for_later(void **state)
{
    (void)state;
    follow();
    daemon_appends("MAILBOX a\nMAILBOX user.");
    run_ms(20);
    assert_string_equal(told(), "[a ");
    assert_string_equal(content_of("log"), "MAILBOX a\nMAILBOX user.");
    daemon_appends("bb\n");
    run_ms(20);
    assert_string_equal(told(), "user.bb ]");
    assert_string_equal(content_of("log"), "");
}

static void half_a_line_that_is_taken_back_leaves_no_trace(void **state)
{
    (void)state;
    follow();
    daemon_appends("MAILBOX a\nMAILBOX user.");
    run_ms(20);
    assert_int_equal(truncate(scratch_path("log"), 10), 0);
    daemon_appends("USER b\n");
    run_ms(20);
    assert_string_equal(told(), "[a b ]");
}

static void nothing_is_removed_before_it_is_settled(void **state)
{
    (void)state;
    owner.settled = false;
    follow();
    daemon_appends("MAILBOX a\n");
    run_ms(20);
    daemon_appends("MAILBOX b\n");
    run_ms(20);
    assert_string_equal(told(), "[a b ");
    assert_string_equal(content_of("log"), "MAILBOX a\nMAILBOX b\n");
    assert_int_equal(stats().bytes, 20);
    assert_true(stats().oldest_ms >= 20);
    owner.settled = true;
    run_ms(20);
    assert_string_equal(told(), "]");
    assert_string_equal(content_of("log"), "");
}

static void what_was_not_settled_is_read_again_by_the_next(void **state)
{
    (void)state;
    owner.settled = false;
    follow();
    daemon_appends("MAILBOX a\n");
    run_ms(5);
    assert_string_equal(told(), "[a ");
    tailer_free(tailer);
    assert_string_equal(told(), "]");
    follow();
    run_ms(5);
    assert_string_equal(told(), "[a ");
}

static bool append_when_asked(void *ctx, int slot)
{
    (void)ctx;
    (void)slot;
    if (!owner.settled)
        return false;
    owner.settled = false;
    daemon_appends("MAILBOX between\n"); /* after the read, before the lock */
    return true;
}

static void a_record_written_just_before_the_truncation_is_not_lost(void **state)
{
    struct tailer_options o = { .hooks = hooks, .compact_ms = 1 };
    (void)state;
    o.hooks.settled = append_when_asked;
    tailer = tailer_new(&o);
    assert_ok(tailer_add(tailer, scratch, NULL));
    daemon_appends("MAILBOX a\n");
    run_ms(20);
    assert_string_equal(told(), "[a between ");
    assert_string_equal(content_of("log"), "MAILBOX a\nMAILBOX between\n");
    assert_int_equal(stats().truncations, 0);
}

static void truncations_keep_their_distance(void **state)
{
    (void)state;
    int64_t start = test_now_ns();
    follow_with((struct tailer_options){ .compact_ms = 60 });
    for (int i = 0; i < 40; i++) {
        daemon_appends("MAILBOX a\n");
        run_ms(5);
    }
    assert_in_range(stats().truncations, 2, (test_now_ns() - start) / 60000000);
    assert_int_equal(stats().records, 40);
}

static void a_log_locked_by_another_holds_nobody_up(void **state)
{
    struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    (void)state;
    follow();
    int fd = open(scratch_write_text("log", "MAILBOX a\n"), O_RDWR);
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &fl), 0);
    int64_t start = test_now_ns();
    tailer_poll(tailer);
    assert_in_range(test_now_ns() - start, 0, (int64_t)5000 * 1000000); /* a wait for the lock is ten seconds long */
    run_ms(20);
    assert_string_equal(told(), "[a ");
    assert_string_equal(content_of("log"), "MAILBOX a\n");
    close(fd);
    run_ms(20);
    assert_string_equal(told(), "]");
    assert_string_equal(content_of("log"), "");
}

static void a_log_run_left_over_comes_first_and_goes_when_settled(void **state)
{
    (void)state;
    owner.settled = false;
    scratch_write_text("log", "MAILBOX new\n");
    scratch_write_text("log-run", "MAILBOX old\n");
    follow();
    run_ms(20);
    assert_string_equal(told(), "[old [new ");
    assert_true(exists("log-run"));
    assert_int_equal(times_said("<5>Reprocessing sync log file "), 1);
    assert_said("/log-run");
    owner.settled = true;
    run_ms(20);
    assert_string_equal(told(), "]]");
    assert_false(exists("log-run"));
    assert_string_equal(content_of("log"), "");
}

static void a_left_over_log_run_that_ends_in_half_a_line_keeps_it_for_the_operator(void **state)
{
    (void)state;
    scratch_write_text("log-run", "MAILBOX a\nUNUSER b");
    follow();
    run_ms(20);
    assert_string_equal(told(), "[a ]");
    assert_false(exists("log-run"));
    assert_string_equal(content_of("rejected"), "UNUSER b\n");
    assert_said("log-run: offset 10: The last line does not end in a newline: \"UNUSER b\"");
}

static void a_writer_on_a_left_over_log_run_is_waited_for(void **state)
{
    struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    (void)state;
    int fd = open(scratch_write_text("log-run", "MAILBOX a\n"), O_RDWR | O_APPEND);
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &fl), 0);
    scratch_write_text("log", "MAILBOX c\n");
    follow();
    run_ms(20);
    assert_string_equal(told(), "[a ");
    assert_int_equal(write(fd, "MAILBOX b\n", 10), 10);
    close(fd);
    run_ms(20);
    assert_string_equal(told(), "b ][c ]");
    assert_false(exists("log-run"));
}

static void nothing_is_read_while_no_slot_is_free(void **state)
{
    (void)state;
    owner.most_slots = 0;
    follow();
    daemon_appends("MAILBOX a\n");
    run_ms(30);
    assert_string_equal(told(), "");
    assert_string_equal(content_of("log"), "MAILBOX a\n");
    assert_in_range(tailer_next_ms(tailer), 0, 50);
    owner.most_slots = 1;
    run_ms(50);
    assert_string_equal(told(), "[a ]");
}

static void bad_lines_are_told_and_kept_and_cost_nothing_else(void **state)
{
    (void)state;
    follow();
    daemon_appends("MAILBOX a\nFOO x\x01\nMAILBOX (b\nMAILBOX c\n");
    run_ms(20);
    assert_string_equal(told(), "[a c ]");
    assert_string_equal(content_of("rejected"), "FOO x\x01\nMAILBOX (b\n");
    assert_said("<3>");
    assert_said("/log: offset 10: Unknown action type: FOO: \"FOO x\\x01\"");
    assert_said("/log: offset 17: Missing mailbox name: MAILBOX (b: \"MAILBOX (b\"");
    assert_int_equal(stats().rejected, 2);
    daemon_appends("FOO y\n");
    run_ms(20);
    assert_string_equal(content_of("rejected"), "FOO x\x01\nMAILBOX (b\nFOO y\n");
}

static void the_log_stays_while_bad_lines_cannot_be_kept(void **state)
{
    (void)state;
    mkdir(scratch_path("rejected"), 0700);
    follow();
    daemon_appends("MAILBOX a\nFOO x\n");
    run_ms(20);
    assert_string_equal(told(), "[a ");
    assert_string_equal(content_of("log"), "MAILBOX a\nFOO x\n");
    assert_int_equal(times_said("Unable to write to log file"), 1);
    rmdir(scratch_path("rejected"));
    run_until_told(1);
    assert_string_equal(told(), "]");
    assert_string_equal(content_of("rejected"), "FOO x\n");
}

/* n lines of 64 bytes. */
static void append_bad_lines(size_t n)
{
    struct buf b = BUF_INIT;
    for (size_t i = 0; i < n; i++)
        buf_printf(&b, "FOO %059zu\n", i);
    daemon_appends(buf_cstr(&b));
    buf_free(&b);
}

static void run_until_rejected(uint64_t n)
{
    while (stats().rejected < n)
        run_ms(5);
}

static void end_following(void)
{
    tailer_free(tailer);
    tailer = NULL;
}

static off_t size_of(const char *name)
{
    struct stat st;
    return stat(scratch_path(name), &st) < 0 ? -1 : st.st_size;
}

enum { MB = 1 << 20, BAD = 2 * MB / 64 };

static void the_log_goes_on_while_more_bad_lines_than_memory_takes_cannot_be_kept(void **state)
{
    (void)state;
    mkdir(scratch_path("rejected"), 0700);
    follow_with((struct tailer_options){ .grow_bytes = 64 * MB });
    daemon_appends("MAILBOX a\n");
    append_bad_lines(BAD);
    daemon_appends("MAILBOX b\n");
    run_until_told(5);
    assert_string_equal(told(), "[a b ");
    assert_int_equal(size_of("log"), 2 * MB + 20);
    rmdir(scratch_path("rejected"));
    while (size_of("log") > 0)
        run_ms(10);
    assert_true(size_of("rejected") >= 2 * MB);
}

static void few_of_many_bad_lines_are_told(void **state)
{
    (void)state;
    follow();
    append_bad_lines(1000);
    run_until_rejected(1000);
    end_following();
    assert_int_equal(times_said("Unknown action type"), 10);
    assert_said("/log: 990 more bad lines, see ");
}

static void what_is_kept_of_bad_lines_is_bounded(void **state)
{
    (void)state;
    follow();
    for (int i = 1; i <= 20; i++) {
        append_bad_lines(BAD);
        run_until_rejected((uint64_t)i * BAD);
    }
    end_following();
    assert_in_range(size_of("rejected"), 1, 20 * MB);
    assert_in_range(size_of("rejected.1"), 1, 20 * MB);
}

static void a_line_that_is_too_long_is_kept_and_passed_over(void **state)
{
    size_t n = 5 << 20;
    struct stat st;
    char *text = malloc(n + 1);
    (void)state;
    memset(text, 'x', n);
    memcpy(text, "MAILBOX a\nMAILBOX ", 18);
    memcpy(text + n - 11, "\nMAILBOX b\n", 12);
    follow();
    daemon_appends(text);
    run_until_told(6);
    assert_string_equal(told(), "[a b ]");
    assert_int_equal(times_said("/log: offset 10: Line too long: "), 1);
    assert_int_equal(stat(scratch_path("rejected"), &st), 0);
    assert_true(st.st_size >= (off_t)n - 22 && st.st_size < (off_t)n + 100);
    free(text);
}

static void a_log_renamed_by_another_is_read_to_its_end(void **state)
{
    struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    (void)state;
    follow();
    daemon_appends("MAILBOX a\n");
    int fd = open(scratch_path("log"), O_RDWR | O_APPEND); /* a writer past its check */
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &fl), 0);
    run_ms(10);
    rename(scratch_path("log"), scratch_path("other"));
    scratch_write_text("log", "MAILBOX c\n");
    run_ms(10);
    assert_string_equal(told(), "[a ");
    assert_int_equal(write(fd, "MAILBOX b\n", 10), 10);
    close(fd);
    run_ms(20);
    assert_string_equal(told(), "b ][c ]");
    assert_string_equal(content_of("other"), "MAILBOX a\nMAILBOX b\n");
    assert_int_equal(stats().foreign, 1);
}

static void a_foreign_log_run_is_left_alone_until_it_stands_still(void **state)
{
    (void)state;
    follow_with((struct tailer_options){ .takeover_ms = 600 });
    run_ms(5);
    daemon_appends("MAILBOX a\n");
    owner.settled = false;
    run_ms(5);
    rename(scratch_path("log"), scratch_path("log-run"));
    run_ms(50);
    owner.settled = true;
    assert_said("<4>");
    assert_said("log-run appeared: another sync_client or squatter reads this log");
    run_ms(100);
    assert_string_equal(told(), "[a ]");
    assert_true(exists("log-run"));
    int fd = open(scratch_path("log-run"), O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, "MAILBOX b\n", 10), 10);
    close(fd);
    run_ms(200);
    assert_true(exists("log-run"));
    assert_string_equal(told(), "");
    daemon_appends("MAILBOX c\n");
    run_ms(20);
    assert_string_equal(told(), "[c ]");
    run_until_gone("log-run");
    assert_string_equal(told(), "[a b ]");
    assert_false(exists("log-run"));
    assert_said("was left alone: taking it over");
    assert_int_equal(times_said("Reprocessing"), 1);
}

static void a_log_that_grows_beyond_its_limit_is_moved_aside(void **state)
{
    (void)state;
    owner.settled = false;
    follow_with((struct tailer_options){ .grow_bytes = 25, .rotate_ms = 200 });
    daemon_appends("MAILBOX a\nMAILBOX b\nMAILBOX c\n");
    run_ms(50);
    assert_false(exists("log-run"));
    run_ms(200);
    assert_string_equal(content_of("log-run"), "MAILBOX a\nMAILBOX b\nMAILBOX c\n");
    assert_false(exists("log"));
    daemon_appends("MAILBOX e\nMAILBOX f\nMAILBOX g\n");
    run_ms(250);
    assert_string_equal(told(), "[a b c [e f g ");
    assert_string_equal(content_of("log"), "MAILBOX e\nMAILBOX f\nMAILBOX g\n");
    owner.settled = true;
    run_ms(250);
    assert_string_equal(told(), "]]");
    assert_false(exists("log-run"));
    assert_int_equal(stats().rotations, 1);
    assert_int_equal(times_said("Reprocessing"), 0);
}

static void a_log_is_not_moved_aside_as_long_as_nothing_would_be_gained(void **state)
{
    (void)state;
    owner.settled = false;
    owner.not_worth = true;
    follow_with((struct tailer_options){ .grow_bytes = 5, .grow_ms = 1, .rotate_ms = 1 });
    for (int i = 0; i < 20; i++) {
        daemon_appends("MAILBOX a\n");
        run_ms(5);
    }
    assert_int_equal(stats().rotations, 0);
    owner.not_worth = false;
    run_ms(5);
    assert_int_equal(stats().rotations, 1);
}

static void a_log_that_is_never_at_rest_is_moved_aside_and_one_that_waits_is_not(void **state)
{
    (void)state;
    owner.settled = false;
    follow_with((struct tailer_options){ .grow_ms = 1100, .rotate_ms = 50 });
    daemon_appends("MAILBOX a\n");
    run_ms(1300);
    assert_int_equal(stats().rotations, 0);
    for (int i = 0; i < 15; i++) {
        daemon_appends("MAILBOX b\n");
        run_ms(10);
    }
    assert_int_equal(stats().rotations, 1);
    owner.settled = true;
    run_ms(20);
    assert_int_equal(owner.open, 0);
}

static void the_age_of_what_waits_is_known_after_a_restart(void **state)
{
    (void)state;
    struct timespec hour_ago[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = time(NULL) - 3600 } };
    owner.settled = false;
    follow();
    daemon_appends("MAILBOX a\n");
    run_ms(20);
    assert_true(stats().oldest_ms < 3000000);
    tailer_free(tailer);
    assert_int_equal(utimensat(AT_FDCWD, scratch_path(".sync-reader.lock"), hour_ago, 0), 0); /* as if it had been then */
    owner.open = 0;
    follow();
    run_ms(20);
    assert_true(stats().oldest_ms >= 3600000);
    tailer_free(tailer); /* and again: it was noted */
    owner.open = 0;
    follow();
    run_ms(20);
    assert_true(stats().oldest_ms >= 3590000);
    owner.settled = true;
    run_ms(50);
    owner.settled = false;
    daemon_appends("MAILBOX b\n");
    run_ms(20);
    assert_true(stats().oldest_ms < 3000000);
}

/* Segments of a log in which a record keeps failing: it is in the newest one, whatever becomes of the others. */
static int newest;
static bool nothing_fails;

static int begin_newest(void *ctx, void *source)
{
    (void)ctx;
    (void)source;
    return ++newest;
}

static void take_nothing(void *ctx, void *source, int slot, const struct action *a)
{
    (void)ctx;
    (void)source;
    (void)slot;
    (void)a;
}

static bool all_but_the_newest(void *ctx, int slot)
{
    (void)ctx;
    return nothing_fails || slot != newest;
}

static void end_nothing(void *ctx, int slot)
{
    (void)ctx;
    (void)slot;
}

static int64_t ms_until_rotations(uint64_t n)
{
    int64_t begun = test_now_ns();
    while (stats().rotations < n) {
        daemon_appends("MAILBOX b\n");
        run_ms(1);
    }
    return (test_now_ns() - begun) / 1000000;
}

static void a_log_that_is_never_empty_is_moved_aside_less_and_less_often(void **state)
{
    (void)state;
    struct tailer_options o = {
        .hooks = { NULL, begin_newest, take_nothing, all_but_the_newest, NULL, end_nothing },
        .compact_ms = 1, .grow_ms = 20, .rotate_ms = 1,
    };
    tailer = tailer_new(&o);
    assert_ok(tailer_add(tailer, scratch, NULL));
    ms_until_rotations(1);
    assert_true(ms_until_rotations(2) >= 40);
    assert_true(ms_until_rotations(3) >= 80);
    assert_true(ms_until_rotations(4) >= 160);
    nothing_fails = true; /* it is empty once, and begins anew */
    daemon_appends("MAILBOX b\n");
    for (int i = 0; i < 5000 && stats().truncations == 0; i++)
        run_ms(1);
    nothing_fails = false;
    ms_until_rotations(5);
    assert_true(ms_until_rotations(6) >= 40);
}

static void a_foreign_log_run_is_never_replaced(void **state)
{
    (void)state;
    owner.settled = false;
    follow_with((struct tailer_options){ .grow_bytes = 5, .rotate_ms = 1 });
    run_ms(5);
    scratch_write_text("log-run", "MAILBOX theirs\n");
    daemon_appends("MAILBOX a\n");
    run_ms(50);
    assert_string_equal(content_of("log-run"), "MAILBOX theirs\n");
    assert_string_equal(content_of("log"), "MAILBOX a\n");
}

static void a_log_that_is_removed_is_settled_and_begun_anew(void **state)
{
    (void)state;
    follow_with((struct tailer_options){ .compact_ms = 1000 });
    daemon_appends("MAILBOX a\n");
    run_ms(5);
    unlink(scratch_path("log"));
    run_ms(5);
    daemon_appends("MAILBOX b\n");
    run_ms(5);
    assert_string_equal(told(), "[a ][b ");
}

static void a_log_emptied_by_another_is_read_from_its_beginning(void **state)
{
    (void)state;
    owner.settled = false;
    follow();
    daemon_appends("MAILBOX a\nMAILBOX b\n");
    run_ms(5);
    assert_int_equal(truncate(scratch_path("log"), 0), 0);
    daemon_appends("MAILBOX c\n");
    run_ms(5);
    assert_string_equal(told(), "[a b c ");
    assert_said("was truncated by somebody else");
}

static void a_second_follower_is_told_who_has_the_log(void **state)
{
    char pid[32];
    struct stat st;
    struct tailer_options o = { .hooks = hooks };
    struct tailer *second = tailer_new(&o);
    (void)state;
    follow();
    snprintf(pid, sizeof pid, "process %ld ", (long)getpid());
    struct err *e = tailer_add(second, scratch, NULL);
    assert_non_null(e);
    assert_int_equal(e->kind, ERR_LOCKED);
    assert_non_null(strstr(e->msg, "/.sync-reader.lock: locked"));
    assert_non_null(strstr(e->msg, pid));
    err_free(e);
    assert_int_equal(stat(scratch_path(".sync-reader.lock"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    tailer_remove(tailer, scratch);
    assert_ok(tailer_add(second, scratch, NULL));
    tailer_free(second);
}

static void missing_folders_are_made_and_removed_ones_made_again(void **state)
{
    struct stat st;
    char path[128];
    struct tailer_options o = { .hooks = hooks, .compact_ms = 1 };
    (void)state;
    strcpy(path, scratch_path("sync/east"));
    mode_t old = umask(022);
    tailer = tailer_new(&o);
    assert_ok(tailer_add(tailer, path, "east:"));
    umask(old);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_ok(synclog_append(scratch_path("sync/east/log"), slice_str("MAILBOX a\n")));
    run_ms(20);
    assert_string_equal(told(), "[east:a ]");
    unlink(scratch_path("sync/east/log"));
    unlink(scratch_path("sync/east/.sync-reader.lock"));
    assert_int_equal(rmdir(path), 0);
    run_ms(2100);
    assert_true(exists("sync/east/.sync-reader.lock"));
    assert_ok(synclog_append(scratch_path("sync/east/log"), slice_str("MAILBOX b\n")));
    run_ms(20);
    assert_string_equal(told(), "[east:b ]");
}

static void many_folders_are_followed_at_once(void **state)
{
    struct tailer_options o = { .hooks = hooks, .compact_ms = 1 };
    (void)state;
    tailer = tailer_new(&o);
    assert_ok(tailer_add(tailer, scratch_path("1"), "1"));
    assert_ok(tailer_add(tailer, scratch_path("2"), "2"));
    assert_ok(tailer_add(tailer, scratch_path("3"), "3"));
    assert_ok(synclog_append(scratch_path("3/log"), slice_str("USER a\n")));
    assert_ok(synclog_append(scratch_path("1/log"), slice_str("USER b\n")));
    run_ms(20);
    const char *both = told();
    assert_int_equal(strlen(both), 10);
    assert_non_null(strstr(both, "[1b "));
    assert_non_null(strstr(both, "[3a "));
    tailer_remove(tailer, scratch_path("1"));
    assert_ok(synclog_append(scratch_path("1/log"), slice_str("USER c\n")));
    assert_ok(synclog_append(scratch_path("2/log"), slice_str("USER d\n")));
    run_ms(20);
    assert_string_equal(told(), "[2d ]");
    assert_false(tailer_stats(tailer, scratch_path("1"), &(struct tail_stats){ 0 }));
}

static void paced_hand_over_leaves_files_as_the_stock_client_does(void **state)
{
    (void)state;
    owner.settled = false;
    follow_with((struct tailer_options){ .paced_handover = true });
    daemon_appends("MAILBOX a\n");
    run_ms(50);
    assert_string_equal(told(), "[a ");
    assert_false(exists("log"));
    assert_string_equal(content_of("log-run"), "MAILBOX a\n");
    daemon_appends("MAILBOX b\n");
    run_ms(50);
    assert_string_equal(told(), "");
    assert_string_equal(content_of("log"), "MAILBOX b\n");
    owner.settled = true;
    run_ms(100);
    assert_string_equal(told(), "][b ]");
    assert_false(exists("log"));
    assert_false(exists("log-run"));
    assert_int_equal(times_said("Reprocessing"), 0);
}

static void paced_hand_overs_keep_their_distance(void **state)
{
    (void)state;
    int64_t start = test_now_ns();
    follow_with((struct tailer_options){ .paced_handover = true });
    for (int i = 0; i < 40; i++) {
        daemon_appends("MAILBOX a\n");
        run_ms(5);
    }
    run_ms(50);
    assert_in_range(stats().rotations, 3, (test_now_ns() - start) / 20000000 + 1);
    assert_int_equal(stats().records, 40);
    assert_false(exists("log"));
}

static void a_log_of_many_megabytes_is_read_whole(void **state)
{
    struct buf b = BUF_INIT;
    (void)state;
    for (int i = 0; i < 200000; i++)
        buf_printf(&b, "MAILBOX user.someone.%d\n", i);
    scratch_write("log", buf_ptr(&b), buf_len(&b));
    follow_with((struct tailer_options){ .rotate_ms = 60000 });
    for (int i = 0; i < 500 && stats().truncations == 0; i++)
        run_ms(10);
    assert_int_equal(stats().records, 200000);
    assert_string_equal(content_of("log"), "");
    buf_free(&b);
}

/* Statement 60 of the specification: within 20 ms on a machine that is not busy; the figures are told. Here it
 * counts that most are not left to the look of once a second. */
static int64_t record_ns;

static void note_time(void *ctx, void *source, int slot, const struct action *a)
{
    (void)ctx;
    (void)source;
    (void)slot;
    (void)a;
    record_ns = test_now_ns();
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

enum { SAMPLES = 200 };
static int64_t written_ns[SAMPLES];

static void *write_slowly(void *ctx)
{
    for (int i = 0; i < SAMPLES; i++) {
        test_sleep_ms(2);
        __atomic_store_n(&written_ns[i], test_now_ns(), __ATOMIC_RELEASE);
        daemon_writes(ctx, "MAILBOX a\n");
    }
    return NULL;
}

static void a_record_is_handed_out_within_milliseconds(void **state)
{
    static int64_t took[SAMPLES];
    struct tailer_options o = { .hooks = hooks };
    pthread_t t;
    (void)state;
    o.hooks.record = note_time;
    tailer = tailer_new(&o);
    assert_ok(tailer_add(tailer, scratch, NULL));
    char path[128];
    strcpy(path, scratch_path("log"));
    pthread_create(&t, NULL, write_slowly, path);
    for (size_t n = 0; n < SAMPLES;) {
        struct pollfd p = { .fd = tailer_fd(tailer), .events = POLLIN };
        poll(&p, 1, tailer_next_ms(tailer));
        tailer_poll(tailer);
        if (stats().records > n) {
            n = stats().records;
            took[n - 1] = record_ns - __atomic_load_n(&written_ns[n - 1], __ATOMIC_ACQUIRE);
        }
    }
    pthread_join(t, NULL);
    qsort(took, SAMPLES, sizeof took[0], by_size);
    print_message("append to callback: median %lld us, 99 %% %lld us\n", (long long)took[SAMPLES / 2] / 1000,
                  (long long)took[SAMPLES * 99 / 100] / 1000);
    assert_in_range(took[SAMPLES / 2], 0, 300 * 1000000);
}

#define WITH_FOLDER(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(records_are_handed_out_and_the_settled_log_is_emptied_in_place),
        WITH_FOLDER(half_a_line_is_left_for_later),
        WITH_FOLDER(half_a_line_that_is_taken_back_leaves_no_trace),
        WITH_FOLDER(nothing_is_removed_before_it_is_settled),
        WITH_FOLDER(what_was_not_settled_is_read_again_by_the_next),
        WITH_FOLDER(a_record_written_just_before_the_truncation_is_not_lost),
        WITH_FOLDER(truncations_keep_their_distance),
        WITH_FOLDER(a_log_locked_by_another_holds_nobody_up),
        WITH_FOLDER(a_log_run_left_over_comes_first_and_goes_when_settled),
        WITH_FOLDER(a_left_over_log_run_that_ends_in_half_a_line_keeps_it_for_the_operator),
        WITH_FOLDER(a_writer_on_a_left_over_log_run_is_waited_for),
        WITH_FOLDER(nothing_is_read_while_no_slot_is_free),
        WITH_FOLDER(bad_lines_are_told_and_kept_and_cost_nothing_else),
        WITH_FOLDER(the_log_stays_while_bad_lines_cannot_be_kept),
        WITH_FOLDER(the_log_goes_on_while_more_bad_lines_than_memory_takes_cannot_be_kept),
        WITH_FOLDER(few_of_many_bad_lines_are_told),
        WITH_FOLDER(what_is_kept_of_bad_lines_is_bounded),
        WITH_FOLDER(a_line_that_is_too_long_is_kept_and_passed_over),
        WITH_FOLDER(a_log_renamed_by_another_is_read_to_its_end),
        WITH_FOLDER(a_foreign_log_run_is_left_alone_until_it_stands_still),
        WITH_FOLDER(a_log_that_grows_beyond_its_limit_is_moved_aside),
        WITH_FOLDER(a_log_is_not_moved_aside_as_long_as_nothing_would_be_gained),
        WITH_FOLDER(a_log_that_is_never_at_rest_is_moved_aside_and_one_that_waits_is_not),
        WITH_FOLDER(the_age_of_what_waits_is_known_after_a_restart),
        WITH_FOLDER(a_log_that_is_never_empty_is_moved_aside_less_and_less_often),
        WITH_FOLDER(a_foreign_log_run_is_never_replaced),
        WITH_FOLDER(a_log_that_is_removed_is_settled_and_begun_anew),
        WITH_FOLDER(a_log_emptied_by_another_is_read_from_its_beginning),
        WITH_FOLDER(a_second_follower_is_told_who_has_the_log),
        WITH_FOLDER(missing_folders_are_made_and_removed_ones_made_again),
        WITH_FOLDER(many_folders_are_followed_at_once),
        WITH_FOLDER(paced_hand_over_leaves_files_as_the_stock_client_does),
        WITH_FOLDER(paced_hand_overs_keep_their_distance),
        WITH_FOLDER(a_log_of_many_megabytes_is_read_whole),
        WITH_FOLDER(a_record_is_handed_out_within_milliseconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
