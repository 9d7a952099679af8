/* Partitions of the replica: their names there, and which are set aside (sync/partition.h). */
#include "../test.h"

#include "fansync/engine.h"
#include "sync/partition.h"

#include <time.h>

static struct slice two = { "two", 3 };

/* In place of the system's: seconds. */
static time_t now = 1000;

int clock_gettime(clockid_t clock, struct timespec *t)
{
    (void)clock;
    *t = (struct timespec){ now, 0 };
    return 0;
}

static void strike(struct partitions *p, const char *text, bool alone)
{
    struct err *err = err_new(ERR_PROTOCOL, "%s", text);
    partition_failed(p, two, err, alone);
    err_free(err);
}

static void a_map_gives_other_names(void **state)
{
    struct partitions p = { .map = "big=default, old=new  default=x" };
    (void)state;
    assert_slice(partition_there(&p, slice_str("big")), "default");
    assert_slice(partition_there(&p, slice_str("old")), "new");
    assert_slice(partition_there(&p, slice_str("default")), "x");
    assert_slice(partition_there(&p, slice_str("small")), "small");
    p.map = NULL;
    assert_slice(partition_there(&p, slice_str("big")), "big");
}

static void what_is_no_map_is_refused(void **state)
{
    static const char *const bad[] = { "big", "big=", "=default", "a=b=c", "a=b c" };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_err(engine_check_partition_map(bad[i]), ERR_CONFIG, "sync_partition_map");
    assert_ok(engine_check_partition_map(NULL));
    assert_ok(engine_check_partition_map(" a=b,c=d "));
}

static void one_user_alone_sets_no_partition_aside(void **state)
{
    struct partitions p = { NULL, MAP_INIT, ARENA_INIT };
    (void)state;
    strike(&p, "Fatal error: something else", false); /* in a window nobody knows whose fault it is */
    strike(&p, "Fatal error: something else", true);
    assert_null(partition_aside(&p, two));
    partition_worked(&p, two); /* for the next user */
    strike(&p, "Fatal error: something else", true);
    strike(&p, "Fatal error: something else", true);
    assert_null(partition_aside(&p, two));
    strike(&p, "Fatal error: something else", true);
    assert_non_null(partition_aside(&p, two));
    assert_null(partition_aside(&p, slice_str("default")));
    partitions_free(&p);
}

static void a_server_that_says_that_there_is_none_is_believed(void **state)
{
    struct partitions p = { NULL, MAP_INIT, ARENA_INIT };
    (void)state;
    strike(&p, "Fatal error: Internal error: assertion failed: imap/dlist.c: 160: base != NULL", false);
    assert_non_null(strstr(partition_aside(&p, two), "may have no partition 'two'"));
    partitions_free(&p);
}

static void set_aside(struct partitions *p)
{
    for (int i = 0; i < 3 && !partition_aside(p, two); i++)
        strike(p, "Fatal error: something else", true);
    assert_non_null(partition_aside(p, two));
}

/* Nothing waits for longer than it has to when a disk was full for a moment. */
static void one_that_is_set_aside_is_tried_again_soon_and_then_less_often(void **state)
{
    static const time_t waits[] = { 1, 2, 4, 8, 16, 32, 60, 60, 1 };
    struct partitions p = { NULL, MAP_INIT, ARENA_INIT };
    (void)state;
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        if (i == 8)
            partition_worked(&p, two);
        set_aside(&p);
        now += waits[i] - 1;
        partitions_look(&p);
        assert_non_null(partition_aside(&p, two));
        now++;
        partitions_look(&p);
        assert_null(partition_aside(&p, two));
    }
    partitions_free(&p);
}

static void one_that_is_tried_again_counts_from_the_beginning(void **state)
{
    struct partitions p = { NULL, MAP_INIT, ARENA_INIT };
    (void)state;
    strike(&p, "Fatal error: something else", true);
    strike(&p, "Fatal error: something else", true);
    assert_non_null(partition_aside(&p, two));
    now += 1;
    partitions_look(&p);
    strike(&p, "Fatal error: something else", true);
    assert_null(partition_aside(&p, two));
    strike(&p, "Fatal error: something else", true);
    assert_non_null(partition_aside(&p, two));
    partitions_free(&p);
}

static struct slice hint(struct arena *a, const char *text, bool makes)
{
    struct err *err = err_new(ERR_IO, "%s", text);
    struct slice s = partition_hint(a, two, err, makes);
    err_free(err);
    return s;
}

static void only_an_error_that_a_partition_may_cause_gets_a_hint(void **state)
{
    static const char *const may[] = { "Fatal error: x", "NO Unknown error", "System I/O error", "Failed to parse APPLY line" };
    struct arena a = ARENA_INIT;
    (void)state;
    for (size_t i = 0; i < sizeof may / sizeof *may; i++) {
        assert_non_null(strstr(hint(&a, may[i], true).p, "may have no partition 'two'"));
        assert_non_null(strstr(hint(&a, may[i], false).p, "the disk of the replica's partition 'two'"));
    }
    assert_int_equal(hint(&a, "Mailbox has been moved", true).n, 0);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_map_gives_other_names),
        cmocka_unit_test(what_is_no_map_is_refused),
        cmocka_unit_test(one_user_alone_sets_no_partition_aside),
        cmocka_unit_test(a_server_that_says_that_there_is_none_is_believed),
        cmocka_unit_test(one_that_is_set_aside_is_tried_again_soon_and_then_less_often),
        cmocka_unit_test(one_that_is_tried_again_counts_from_the_beginning),
        cmocka_unit_test(only_an_error_that_a_partition_may_cause_gets_a_hint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
