/* What has become here of a mailbox of the replica: a test for each line of the table in sync/fate.c. */
#include "../test.h"

#include "fake_list.h"
#include "sync/fate.h"

static struct engine engine = { .o = { .store = &list } };
static struct map told; /* the records of the log */
static bool remembered; /* by the cache */
static struct unit unit;
static struct engine_item item;
static struct fate fate;

bool engine_remembers(struct engine *e, const struct replica_mailbox *r)
{
    (void)e;
    (void)r;
    return remembered;
}

static int set_up(void **state)
{
    (void)state;
    list_clear();
    remembered = false;
    item = (struct engine_item){ .kind = ITEM_USER, .deleted = &told };
    unit = (struct unit){ .engine = &engine, .item = &item };
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    map_free(&told);
    arena_free(&unit.arena);
    return 0;
}

static enum fate_kind fate_there(const char *name, const char *uniqueid, const char *type)
{
    struct replica_mailbox r = { .name = slice_str(name), .uniqueid = slice_str(uniqueid), .type = slice_str(type) };
    assert_ok(fate_of(&unit, &r, &fate));
    return fate.kind;
}

static enum fate_kind fate_of_x(void)
{
    return fate_there("user.a.x", "idx", "");
}

static void a_mailbox_of_the_uniqueid_exists_whatever_its_name(void **state)
{
    (void)state;
    list_add("user.a.y", "idx", 0);
    assert_int_equal(fate_of_x(), FATE_HERE);
    assert_slice(fate.here.name, "user.a.y");
    list.e[0].flags = MB_REMOTE;
    assert_int_equal(fate_of_x(), FATE_HERE);
}

static void a_tombstone_of_the_uniqueid_means_deleted(void **state)
{
    (void)state;
    list_add("user.a.y", "idx", MB_DELETED);
    assert_int_equal(fate_of_x(), FATE_DEAD);
}

static void an_intermediate_means_deleted_with_children(void **state)
{
    (void)state;
    list_add("user.a.x", "idx", MB_INTERMEDIATE);
    assert_int_equal(fate_of_x(), FATE_DEAD);
    assert_int_equal(fate_there("user.a.x", "idx", "ei"), FATE_UNKNOWN); /* one there too */
    assert_int_equal(fate_there("user.a.z", "idx", ""), FATE_DEAD); /* renamed before, which the replica does not know */
}

static void a_tombstone_under_the_name_counts_if_it_has_no_other_uniqueid(void **state)
{
    (void)state;
    list_add("user.a.x", "", MB_DELETED);
    assert_int_equal(fate_of_x(), FATE_DEAD);
    list.e[0].uniqueid = slice_str("another");
    assert_int_equal(fate_of_x(), FATE_UNKNOWN);
}

static void a_mailbox_that_took_the_name_means_deleted_if_a_record_or_the_cache_says_so(void **state)
{
    (void)state;
    struct slice into = slice_str("DELETED.user.a.x.1");
    struct slice none = slice_of("", 0);
    list_add("user.a.x", "another", 0);
    assert_int_equal(fate_of_x(), FATE_UNKNOWN);
    remembered = true;
    assert_int_equal(fate_of_x(), FATE_DEAD);
    assert_int_equal(fate.moved_to.n, 0);
    remembered = false;
    map_put(&told, slice_str("user.a.x"), &none);
    assert_int_equal(fate_of_x(), FATE_DEAD);
    assert_int_equal(fate.moved_to.n, 0);
    map_put(&told, slice_str("user.a.x"), &into);
    assert_int_equal(fate_of_x(), FATE_DEAD);
    assert_slice(fate.moved_to, "DELETED.user.a.x.1");
    list_add("DELETED.user.a.x.1", "another", MB_DELETED);
    assert_int_equal(fate_of_x(), FATE_DEAD);
    assert_slice(fate.moved_to, "DELETED.user.a.x.1");
    list.e[1].flags = 0; /* it is another one's place */
    assert_int_equal(fate_of_x(), FATE_DEAD);
    assert_int_equal(fate.moved_to.n, 0);
    list.damaged = "DELETED.user.a.x.1";
    const struct replica_mailbox r = { .name = slice_str("user.a.x"), .uniqueid = slice_str("idx") };
    assert_err(fate_of(&unit, &r, &fate), ERR_CORRUPT, "DELETED.user.a.x.1");
}

static void a_name_that_is_not_one_of_a_mailbox_of_ours_says_nothing(void **state)
{
    static const unsigned flags[] = { MB_INTERMEDIATE, MB_MOVING, MB_REMOTE, MB_RESERVED };
    (void)state;
    remembered = true;
    list_add("user.a.x", "another", 0);
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        list.e[0].flags = flags[i];
        assert_int_equal(fate_of_x(), FATE_UNKNOWN);
    }
}

static void of_what_the_list_does_not_have_only_a_record_tells_anything(void **state)
{
    (void)state;
    struct slice none = slice_of("", 0);
    remembered = true;
    assert_int_equal(fate_of_x(), FATE_UNKNOWN);
    map_put(&told, slice_str("user.a.x"), &none);
    assert_int_equal(fate_of_x(), FATE_DEAD);
}

static void another_ones_tombstone_or_an_intermediate_and_a_record_mean_deleted(void **state)
{
    (void)state;
    struct slice none = slice_of("", 0);
    static const unsigned flags[] = { MB_DELETED, MB_INTERMEDIATE };
    for (size_t i = 0; i < 2; i++) {
        list_clear();
        map_free(&told);
        list_add("user.a.x", "another", flags[i]);
        remembered = true;
        assert_int_equal(fate_of_x(), FATE_UNKNOWN);
        map_put(&told, slice_str("user.a.x"), &none);
        assert_int_equal(fate_of_x(), FATE_DEAD);
    }
}

static void a_name_of_the_replica_without_a_uniqueid_is_no_mailbox(void **state)
{
    (void)state;
    list_add("user.a.x", "", MB_DELETED);
    assert_int_equal(fate_there("user.a.x", "", "ei"), FATE_UNKNOWN);
}

static void a_list_that_cannot_be_read_is_an_error(void **state)
{
    (void)state;
    struct replica_mailbox r = { .name = slice_str("user.a.x"), .uniqueid = slice_str("idx") };
    list_add("user.a.y", "idx", 0);
    list.damaged = "user.a.y";
    assert_err(fate_of(&unit, &r, &fate), ERR_CORRUPT, "user.a.y");
    list_clear();
    list_add("user.a.x", "another", MB_DELETED);
    list.damaged = "user.a.x";
    assert_err(fate_of(&unit, &r, &fate), ERR_CORRUPT, "user.a.x");
}

static void without_records_no_name_is_told_of(void **state)
{
    (void)state;
    struct slice to = slice_str("rubbish");
    item.deleted = NULL;
    assert_false(fate_is_told(&unit, slice_str("user.a.x"), &to));
    assert_int_equal(to.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_mailbox_of_the_uniqueid_exists_whatever_its_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_tombstone_of_the_uniqueid_means_deleted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_intermediate_means_deleted_with_children, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_tombstone_under_the_name_counts_if_it_has_no_other_uniqueid, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_mailbox_that_took_the_name_means_deleted_if_a_record_or_the_cache_says_so, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_name_that_is_not_one_of_a_mailbox_of_ours_says_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(of_what_the_list_does_not_have_only_a_record_tells_anything, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_ones_tombstone_or_an_intermediate_and_a_record_mean_deleted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_name_of_the_replica_without_a_uniqueid_is_no_mailbox, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_list_that_cannot_be_read_is_an_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_records_no_name_is_told_of, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("sync: fate", tests, NULL, NULL);
}
