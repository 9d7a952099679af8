/* Records by uid, of both sides. */
#include "build.h"

static void every_uid_of_the_master_is_found_and_no_other(void **state)
{
    const uint64_t modseq[] = { 4, 5, 6, 7, 8 };
    struct arena a = ARENA_INIT;
    (void)state;
    for (size_t n = 0; n <= 5; n++) {
        struct records rec = records_of(&a, n, modseq);
        for (size_t i = 0; i < n; i++)
            rec.uid[i] *= 10;
        for (uint32_t uid = 0; uid <= 60; uid++)
            assert_int_equal(diff_find_record(&rec, uid), uid && uid % 10 == 0 && uid <= 10 * n ? uid / 10 - 1 : SIZE_MAX);
    }
    arena_free(&a);
}

static void every_uid_of_the_replica_is_found_and_no_other(void **state)
{
    struct replica_record r[5];
    (void)state;
    for (size_t n = 0; n <= 5; n++) {
        const struct replica_records l = { .r = r, .n = n };
        for (size_t i = 0; i < n; i++)
            r[i] = (struct replica_record){ .uid = 10 * (uint32_t)(i + 1) };
        for (uint32_t uid = 0; uid <= 60; uid++)
            assert_ptr_equal(diff_find_theirs(&l, uid), uid && uid % 10 == 0 && uid <= 10 * n ? &r[uid / 10 - 1] : NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_uid_of_the_master_is_found_and_no_other),
        cmocka_unit_test(every_uid_of_the_replica_is_found_and_no_other),
    };
    return cmocka_run_group_tests_name("diff: find", tests, NULL, NULL);
}
