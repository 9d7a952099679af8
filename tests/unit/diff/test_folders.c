/* Folder matching by uniqueid (spec/algorithm.md §2). */
#include "build.h"

static struct mbentry here(const char *name, const char *id)
{
    struct mbentry e;
    memset(&e, 0, sizeof e);
    e.name = slice_str(name);
    e.uniqueid = slice_str(id);
    e.partition = slice_str("default");
    return e;
}

static struct replica_mailbox there(const char *name, const char *id)
{
    struct replica_mailbox r;
    memset(&r, 0, sizeof r);
    r.name = slice_str(name);
    r.uniqueid = slice_str(id);
    r.partition = slice_str("default");
    return r;
}

static struct folder_matches match(struct arena *a, struct mbentry *m, size_t nm, struct replica_mailbox *r,
                                   size_t nr, const char *partition)
{
    struct replica_mailbox_list l = { r, nr, nr };
    return diff_folders(a, m, nm, &l, slice_str(partition));
}

static void the_uniqueid_alone_decides(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct mbentry m[] = { here("user.fred", "i1"), here("user.fred.new", "i2"), here("user.fred.b", "i3") };
    struct replica_mailbox r[] = { there("user.fred.old", "i2"), there("user.fred", "i1"), there("user.fred.x", "i9") };
    struct folder_matches f = match(&a, m, 3, r, 3, "");
    assert_ptr_equal(f.match[0].r, &r[1]);
    assert_false(f.match[0].renamed);
    assert_ptr_equal(f.match[1].r, &r[0]);
    assert_true(f.match[1].renamed);
    assert_null(f.match[2].r);
    assert_int_equal(f.nextra, 1);
    assert_ptr_equal(f.extra[0], &r[2]);
    arena_free(&a);
}

static void a_name_taken_by_another_uniqueid_is_noticed(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct mbentry m[] = { here("user.fred.a", "i1") };
    struct replica_mailbox r[] = { there("user.fred.a", "i2") };
    struct folder_matches f = match(&a, m, 1, r, 1, "");
    assert_null(f.match[0].r);
    assert_ptr_equal(f.match[0].occupant, &r[0]);
    assert_int_equal(f.nextra, 1);
    arena_free(&a);
}

static void another_partition_is_a_move_unless_it_is_the_wanted_one(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct mbentry m[] = { here("user.fred", "i1") };
    struct replica_mailbox r[] = { there("user.fred", "i1") };
    r[0].partition = slice_str("p2");
    assert_true(match(&a, m, 1, r, 1, "").match[0].moved);
    assert_false(match(&a, m, 1, r, 1, "p2").match[0].moved);
    r[0].partition = slice_str(""); /* an intermediate says none */
    assert_false(match(&a, m, 1, r, 1, "").match[0].moved);
    arena_free(&a);
}

static void two_mailboxes_with_one_uniqueid_match_once(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct mbentry m[] = { here("user.fred", "i1"), here("user.fred.copy", "i1") };
    struct replica_mailbox r[] = { there("user.fred", "i1"), there("user.fred.copy", "i1") };
    struct folder_matches f = match(&a, m, 2, r, 2, "");
    assert_ptr_equal(f.match[0].r, &r[0]);
    assert_null(f.match[1].r);
    assert_int_equal(f.nextra, 1);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_uniqueid_alone_decides),
        cmocka_unit_test(a_name_taken_by_another_uniqueid_is_noticed),
        cmocka_unit_test(another_partition_is_a_move_unless_it_is_the_wanted_one),
        cmocka_unit_test(two_mailboxes_with_one_uniqueid_match_once),
    };
    return cmocka_run_group_tests_name("diff: folders", tests, NULL, NULL);
}
