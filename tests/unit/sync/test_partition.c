/* Partitions of the replica: their names there, and which are set aside (sync/partition.h). */
#include "../test.h"

#include "fansync/engine.h"
#include "sync/partition.h"

static struct slice two = { "two", 3 };

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_map_gives_other_names),
        cmocka_unit_test(what_is_no_map_is_refused),
        cmocka_unit_test(one_user_alone_sets_no_partition_aside),
        cmocka_unit_test(a_server_that_says_that_there_is_none_is_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
