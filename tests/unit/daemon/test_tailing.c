/*
 * The tailing thread (daemon/tailing.h) with lines that have a queue but no senders: the test drains.
 * Waits are for events with a long limit; nothing is expected within a time.
 */
#include "../test.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/tailing.h"
#include "fansync/acks.h"
#include "fansync/config.h"
#include "fansync/mem.h"

enum { PATIENCE_MS = 30000, LINES = 2 };

struct scene {
    char folder[64];
    struct config *config;
    struct store *store;
    struct tailing *tailing;
    struct line line[LINES];
};

static char *in(struct scene *s, const char *name)
{
    static char path[4][160];
    static unsigned next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", s->folder, name);
    return p;
}

static void write_file(const char *path, const char *text, int flags)
{
    int fd = open(path, O_WRONLY | O_CREAT | flags, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void open_store(struct scene *s)
{
    char text[512];
    write_file(in(s, "mailboxes.db"), "user.a\t%(I id P default)\n", 0);
    snprintf(text, sizeof text, "configdirectory: %s\npartition-default: %s\nmboxlist_db: flat\n", s->folder, s->folder);
    write_file(in(s, "imapd.conf"), text, 0);
    assert_ok(config_load(in(s, "imapd.conf"), "sync_client", &s->config));
    assert_ok(store_open(s->config, &s->store));
}

static int set_up(void **state)
{
    struct scene *s = calloc(1, sizeof *s);
    strcpy(s->folder, "/dev/shm/fansync-tailing.XXXXXX");
    if (!mkdtemp(s->folder))
        return -1;
    open_store(s);
    assert_ok(tailing_new(s->store, false, &s->tailing));
    for (int i = 0; i < LINES; i++) {
        struct line *l = &s->line[i];
        char own[32];
        snprintf(own, sizeof own, "line%d/", i);
        l->channel.folder = mem_strdup(in(s, own));
        mkdir(l->channel.folder, 0700);
        snprintf(own, sizeof own, "line%d/log", i);
        l->channel.log = mem_strdup(in(s, own));
        l->acks = acks_new(tailing_settled_fd(s->tailing));
        const struct queue_options q = { .shards = 1, .acks = l->acks, .buckets = 64 };
        assert_ok(queue_new(&l->queue, &q));
    }
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct scene *s = *state;
    char command[128];
    tailing_free(s->tailing);
    for (int i = 0; i < LINES; i++) {
        queue_free(s->line[i].queue);
        acks_free(s->line[i].acks);
        free(s->line[i].channel.folder);
        free(s->line[i].channel.log);
    }
    store_free(s->store);
    config_free(s->config);
    snprintf(command, sizeof command, "rm -r %s", s->folder);
    int rc = system(command);
    free(s);
    return rc;
}

static void begin(struct scene *s, const char *folder, size_t nlines, size_t first)
{
    struct line *lines[LINES] = { &s->line[first], &s->line[LINES - 1] };
    assert_ok(tailing_add(s->tailing, folder, lines, nlines));
    assert_ok(tailing_start(s->tailing));
}

/* Waits for what was pushed, and confirms it. */
static void confirm(struct line *l, unsigned n)
{
    while (n > 0) {
        struct queue_item *item[8];
        struct pollfd p = { queue_fd(l->queue, 0), POLLIN, 0 };
        size_t k = queue_drain(l->queue, 0, 0, item, 8);
        for (size_t i = 0; i < k; i++, n--)
            queue_done(l->queue, item[i]);
        if (k == 0) {
            assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
            queue_clear(l->queue, 0);
        }
    }
}

static off_t size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? st.st_size : -1;
}

static void wait_for_size(const char *path, off_t size)
{
    for (int i = 0; i < PATIENCE_MS / 10 && size_of(path) != size; i++)
        poll(NULL, 0, 10);
    assert_int_equal(size_of(path), size);
}

static void fill_slots(struct line *l)
{
    while (acks_open(l->acks) >= 0)
        ;
}

static void a_confirmed_record_leaves_the_log(void **state)
{
    struct scene *s = *state;
    const char *log = in(s, "line0/log");
    begin(s, s->line[0].channel.folder, 1, 0);
    write_file(log, "MAILBOX user.a\n", 0);
    confirm(&s->line[0], 1);
    wait_for_size(log, 0);
}

static void a_hubs_record_leaves_the_log_when_every_line_has_confirmed_it(void **state)
{
    struct scene *s = *state;
    const char *log = in(s, "hub/log");
    mkdir(in(s, "hub"), 0700);
    begin(s, in(s, "hub/"), 2, 0);
    write_file(log, "MAILBOX user.a\nMAILBOX user.b\n", 0);
    confirm(&s->line[0], 2);
    assert_int_equal(size_of(log), 30);
    confirm(&s->line[1], 2);
    wait_for_size(log, 0);
}

/* Before, one pool of 32 slots served all: whoever had them starved the others. */
static void a_line_that_has_no_slot_left_does_not_hold_up_its_hub(void **state)
{
    struct scene *s = *state;
    char text[64] = { 0 };
    const char *log = in(s, "hub/log");
    mkdir(in(s, "hub"), 0700);
    fill_slots(&s->line[1]);
    begin(s, in(s, "hub/"), 2, 0);
    write_file(log, "MAILBOX user.a\nMAILBOX user.b\n", 0);
    confirm(&s->line[0], 2);
    wait_for_size(log, 0);
    int fd = open(s->line[1].channel.log, O_RDONLY);
    assert_true(read(fd, text, sizeof text - 1) > 0);
    close(fd);
    assert_string_equal(text, "MAILBOX user.a\nMAILBOX user.b\n");
}

/* Its own log waits; nothing is read that nobody could count. */
static void a_line_without_a_slot_reads_its_own_log_later(void **state)
{
    struct scene *s = *state;
    fill_slots(&s->line[0]);
    acks_close(s->line[0].acks, 3);
    begin(s, s->line[0].channel.folder, 1, 0);
    write_file(in(s, "line0/log"), "MAILBOX user.a\n", 0);
    confirm(&s->line[0], 1);
    wait_for_size(in(s, "line0/log"), 0);
    write_file(in(s, "line0/log"), "MAILBOX user.b\n", O_APPEND);
    confirm(&s->line[0], 1);
    wait_for_size(in(s, "line0/log"), 0);
}

static void a_line_without_any_slot_leaves_its_own_log_as_it_is(void **state)
{
    struct scene *s = *state;
    struct pollfd p = { queue_fd(s->line[0].queue, 0), POLLIN, 0 };
    fill_slots(&s->line[0]);
    begin(s, s->line[0].channel.folder, 1, 0);
    write_file(in(s, "line0/log"), "MAILBOX user.a\n", 0);
    tailing_stop(s->tailing); /* whatever it has done by now, it has pushed and written nothing */
    assert_int_equal(poll(&p, 1, 0), 0);
    assert_int_equal(size_of(in(s, "line0/log")), 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_confirmed_record_leaves_the_log, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_hubs_record_leaves_the_log_when_every_line_has_confirmed_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_line_that_has_no_slot_left_does_not_hold_up_its_hub, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_line_without_any_slot_leaves_its_own_log_as_it_is, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_line_without_a_slot_reads_its_own_log_later, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("daemon: tailing", tests, NULL, NULL);
}
