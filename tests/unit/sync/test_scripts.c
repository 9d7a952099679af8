/* How new scripts travel after a refusal, and which one is named as the one at fault (sync/scripts.c). */
#include "../test.h"

#include "fake_list.h"
#include "sync/unit.h"

enum { RECORDS = 5 };

static struct engine engine;
static struct unit unit;
static struct mbentry entry;
static struct mailbox_header header;
static uint32_t uid[RECORDS] = { 1, 2, 4, 5, 7 }, flags[RECORDS];
static uint64_t modseq[RECORDS] = { 9, 9, 9, 9, 9 };
static struct work work;
static struct sieve_script script[] = { { .uid = 2 }, { .uid = 4 } };
static bool unreadable;

struct err *store_sieve(struct store *s, struct arena *a, struct slice userid, struct sieve_list *out)
{
    (void)s;
    (void)a;
    assert_slice(userid, "fred");
    *out = (struct sieve_list){ .s = script, .n = 2 };
    return unreadable ? err_new(ERR_IO, "unreadable") : NULL;
}

static int set_up(void **state)
{
    (void)state;
    list_clear();
    engine = (struct engine){ .o = { .store = &list, .batchsize = 1 } };
    unit = (struct unit){ .engine = &engine, .attempt = 1 };
    entry = (struct mbentry){ .name = slice_str("user.fred.#sieve"), .kind = 'f' };
    header = (struct mailbox_header){ .last_uid = 8, .highestmodseq = 9 };
    memset(flags, 0, sizeof flags);
    work = (struct work){ .unit = &unit, .entry = &entry, .m = &header,
                          .rec = { .n = RECORDS, .uid = uid, .flags = flags, .modseq = modseq } };
    script[0].name = slice_str("one");
    script[1].name = slice_str("two words");
    unreadable = false;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(&unit.arena);
    arena_free(&unit.keep);
    return 0;
}

/* The last uid of the next part, 0: all that is left. */
static uint32_t part_after(uint32_t since)
{
    work.have.since_uid = since;
    struct record_part p = work_next_part(&work);
    assert_int_equal(p.to_modseq, 9);
    return p.complete ? 0 : p.to_uid;
}

static void in_a_second_try_scripts_go_one_by_one_in_the_order_of_their_uids(void **state)
{
    (void)state;
    assert_int_equal(part_after(0), 1);
    assert_int_equal(part_after(1), 2);
    assert_int_equal(part_after(5), 0);
    assert_int_equal(part_after(7), 0);
}

static void what_is_expunged_goes_along_with_the_next_live_one(void **state)
{
    (void)state;
    flags[0] = REC_EXPUNGED;
    flags[2] = REC_EXPUNGED | REC_UNLINKED;
    assert_int_equal(part_after(0), 2);
    assert_int_equal(part_after(2), 5);
}

static void in_a_window_and_in_other_mailboxes_the_batch_size_decides(void **state)
{
    (void)state;
    unit.attempt = 0;
    engine.o.batchsize = 0;
    assert_int_equal(part_after(0), 0);
    unit.attempt = 1;
    entry.kind = 'e';
    assert_int_equal(part_after(0), 0);
    assert_null(work_script_at_fault(&work));
}

static void the_first_script_of_the_part_is_the_one_at_fault(void **state)
{
    (void)state;
    work.have.since_uid = 2;
    assert_non_null(strstr(work_script_at_fault(&work), "sieve script \"two words\" of fred (uid 4)"));
    unreadable = true;
    assert_non_null(strstr(work_script_at_fault(&work), "sieve script \"\" of fred (uid 4)"));
    work.have.since_uid = 7;
    assert_null(work_script_at_fault(&work));
    work.have.since_uid = 0;
    unit.attempt = 0;
    assert_null(work_script_at_fault(&work)); /* it may be any of them */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(in_a_second_try_scripts_go_one_by_one_in_the_order_of_their_uids),
        TEST(what_is_expunged_goes_along_with_the_next_live_one),
        TEST(in_a_window_and_in_other_mailboxes_the_batch_size_decides),
        TEST(the_first_script_of_the_part_is_the_one_at_fault),
    };
    return cmocka_run_group_tests_name("sync: scripts", tests, NULL, NULL);
}
