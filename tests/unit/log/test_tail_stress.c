/*
 * The tailer against many writers that do what Cyrus's daemons do, being killed again and
 * again, and beside a stock reader (statements 57 to 59 of the specification). Each run: 8
 * writing processes, one reading; what the reader confirmed is then compared with what was
 * written.
 */
#include "logtest.h"

#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "fansync/synclog.h"
#include "fansync/tail.h"

enum { WRITERS = 8, EACH = 5000, BURST = 5, SLOTS = 64, KILLS = 24 };

/* Kills done; writers do not run ahead of them, so that each comes while records are written, however
 * slow the machine is. Shared by all processes. */
static atomic_uint *kills_done;

/* A writer: bursts, so that a run lasts for a second or two. Ends with 1 if a record was
 * given up. */
static void writer(int who)
{
    char line[64];
    for (int i = 0; i < EACH; i++) {
        snprintf(line, sizeof line, "MAILBOX w%d.%d\n", who, i);
        if (!daemon_writes(scratch_path("log"), line))
            _exit(1);
        if (i % BURST == 0)
            test_sleep_ms(1);
        while ((unsigned)i / (EACH / (KILLS + 1)) > atomic_load(kills_done))
            test_sleep_ms(1);
    }
    _exit(0);
}

/* The reader: a record is confirmed when it is in the file "read". Until then it is in
 * memory only, as one on its way to a replica is. */
static struct {
    struct buf unconfirmed;
    bool used[SLOTS];
    bool dirty[SLOTS];
} reader;

static int begin_segment(void *ctx, void *source)
{
    (void)ctx;
    (void)source;
    for (int i = 0; i < SLOTS; i++) {
        if (!reader.used[i]) {
            reader.used[i] = true;
            reader.dirty[i] = false;
            return i;
        }
    }
    return -1;
}

static void record(void *ctx, void *source, int slot, const struct action *a)
{
    (void)ctx;
    (void)source;
    buf_add(&reader.unconfirmed, a->a.p, a->a.n);
    buf_addc(&reader.unconfirmed, ';');
    reader.dirty[slot] = true;
}

static bool settled(void *ctx, int slot)
{
    (void)ctx;
    return !reader.dirty[slot];
}

static void end_segment(void *ctx, int slot)
{
    (void)ctx;
    reader.used[slot] = false;
}

/* A process killed within the write leaves half a name without ';', and a newline follows. */
static void confirm_all(int fd)
{
    size_t n = buf_len(&reader.unconfirmed);
    if (n > 0 && write(fd, buf_ptr(&reader.unconfirmed), n) != (ssize_t)n)
        _exit(2);
    buf_clear(&reader.unconfirmed);
    memset(reader.dirty, 0, sizeof reader.dirty);
}

static bool nothing_left(void)
{
    struct stat st;
    return !exists("log-run") && (stat(scratch_path("log"), &st) < 0 || st.st_size == 0);
}

static void read_until_told(const struct tailer_options *options)
{
    int64_t confirmed = test_now_ns();
    struct tailer *t = tailer_new(options);
    int fd = open(scratch_path("read"), O_WRONLY | O_APPEND | O_CREAT, 0600);
    struct err *e = tailer_add(t, scratch, NULL);
    if (e || fd < 0 || write(fd, "\n", 1) != 1)
        _exit(3);
    while (!exists("stop") || !nothing_left()) {
        struct pollfd p = { .fd = tailer_fd(t), .events = POLLIN };
        int ms = tailer_next_ms(t);
        poll(&p, 1, ms < 5 ? ms : 5);
        tailer_poll(t);
        if (test_now_ns() - confirmed > 3000000) { /* as a replica would take */
            confirm_all(fd);
            confirmed = test_now_ns();
        }
    }
    confirm_all(fd);
    tailer_free(t);
    buf_free(&reader.unconfirmed);
    close(fd);
    _exit(times_said("<3>") ? 4 : 0);
}

static pid_t start_reader(const struct tailer_options *options)
{
    pid_t pid = fork();
    if (pid == 0)
        read_until_told(options);
    return pid;
}

static unsigned char seen[WRITERS][EACH];

static void count_name(const char *p)
{
    int who, i, len = 0;
    if (sscanf(p, "w%d.%d;%n", &who, &i, &len) == 2 && len > 0 && who >= 0 && who < WRITERS && i >= 0 &&
        i < EACH && seen[who][i] < 255)
        seen[who][i]++;
}

/* Every name that ends in ';', begun after a ';' or a newline. */
static void count_file(const char *name)
{
    struct stat st;
    int fd = open(scratch_path(name), O_RDONLY);
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    char *text = calloc(1, (size_t)st.st_size + 1);
    assert_int_equal(read(fd, text, (size_t)st.st_size), st.st_size);
    close(fd);
    for (char *p = text; *p; p++)
        if (*p == 'w' && (p == text || p[-1] == ';' || p[-1] == '\n'))
            count_name(p);
    free(text);
}

static void check(bool duplicates_allowed)
{
    size_t missing = 0, twice = 0;
    for (int w = 0; w < WRITERS; w++)
        for (int i = 0; i < EACH; i++) {
            missing += seen[w][i] == 0;
            twice += seen[w][i] > 1;
        }
    print_message("%d records, %zu lost, %zu more than once\n", WRITERS * EACH, missing, twice);
    assert_int_equal(missing, 0);
    if (!duplicates_allowed)
        assert_int_equal(twice, 0);
}

static pid_t writers[WRITERS];

static void start_writers(bool kills)
{
    if (!kills_done)
        kills_done = mmap(NULL, sizeof *kills_done, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(kills_done != MAP_FAILED);
    atomic_store(kills_done, kills ? 0 : EACH);
    memset(seen, 0, sizeof seen);
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = fork();
        if (writers[i] == 0)
            writer(i);
    }
}

/* True when the last one is done; none may have given up. */
static bool writers_done(void)
{
    int status, left = 0;
    for (int i = 0; i < WRITERS; i++) {
        if (writers[i] && waitpid(writers[i], &status, WNOHANG) == writers[i]) {
            assert_int_equal(status, 0);
            writers[i] = 0;
        }
        left += writers[i] != 0;
    }
    return left == 0;
}

static void stop_reader(pid_t pid)
{
    int status;
    scratch_write_text("stop", "");
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void run(const struct tailer_options *options, bool kills)
{
    unsigned killed = 0;
    pid_t pid = start_reader(options);
    start_writers(kills);
    while (!writers_done()) {
        test_sleep_ms(7 + (long)killed * 11 % 31);
        if (kills) {
            kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
            killed++;
            atomic_store(kills_done, killed);
            pid = start_reader(options);
        }
    }
    stop_reader(pid);
    if (kills) {
        print_message("killed %u times\n", killed);
        assert_true(killed >= KILLS);
    }
    count_file("read");
    check(kills);
}

#define HOOKS { NULL, begin_segment, record, settled, NULL, end_segment }

/* Small limits, so that truncation and rotation happen many times in a second. */
static const struct tailer_options in_place = {
    .hooks = HOOKS, .compact_ms = 10, .grow_bytes = 32 * 1024, .rotate_ms = 50, .grow_ms = 300
};
static const struct tailer_options as_shipped = { .hooks = HOOKS };
static const struct tailer_options paced = { .hooks = HOOKS, .paced_handover = true };

static void in_place_every_record_is_read_once(void **state)
{
    (void)state;
    run(&as_shipped, false);
}

static void with_many_rotations_every_record_is_read_once(void **state)
{
    (void)state;
    run(&in_place, false);
}

static void by_paced_hand_over_every_record_is_read_once(void **state)
{
    (void)state;
    run(&paced, false);
}

static void a_reader_killed_at_any_instant_loses_nothing(void **state)
{
    (void)state;
    run(&in_place, true);
}

static void a_reader_killed_in_paced_hand_over_loses_nothing(void **state)
{
    (void)state;
    run(&paced, true);
}

/* The stock client's reader, with some patience between two rounds. */
static void add_foreign(void *ctx, const struct action *a)
{
    buf_add(ctx, a->a.p, a->a.n);
    buf_addc(ctx, ';');
}

static void stock_reader_takes_the_log(int fd)
{
    struct buf b = BUF_INIT;
    size_t bad;
    if (rename(scratch_path("log"), scratch_path("log-run")) < 0)
        return;
    struct err *e = synclog_read_file(scratch_path("log-run"), add_foreign, &b, &bad, NULL);
    if (e || bad || (buf_len(&b) > 0 && write(fd, buf_ptr(&b), buf_len(&b)) < 0))
        _exit(5);
    unlink(scratch_path("log-run"));
    buf_free(&b);
}

/* What it takes before ours sees it is its own to replicate. */
static void beside_a_stock_reader_nothing_is_lost(void **state)
{
    int fd = open(scratch_path("foreign"), O_WRONLY | O_APPEND | O_CREAT, 0600);
    struct tailer_options o = as_shipped;
    (void)state;
    pid_t pid = start_reader(&o);
    start_writers(false);
    while (!writers_done()) {
        test_sleep_ms(40);
        stock_reader_takes_the_log(fd);
    }
    stop_reader(pid);
    close(fd);
    count_file("read");
    count_file("foreign");
    check(true);
}

#define WITH_FOLDER(f) cmocka_unit_test_setup_teardown(f, log_setup, log_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(in_place_every_record_is_read_once),
        WITH_FOLDER(with_many_rotations_every_record_is_read_once),
        WITH_FOLDER(by_paced_hand_over_every_record_is_read_once),
        WITH_FOLDER(a_reader_killed_at_any_instant_loses_nothing),
        WITH_FOLDER(a_reader_killed_in_paced_hand_over_loses_nothing),
        WITH_FOLDER(beside_a_stock_reader_nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
