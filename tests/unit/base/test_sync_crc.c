/* The sync CRCs, against the sums that a real server reported (spec/records.md §6). */
#include "../test.h"

#include "fansync/arena.h"
#include "fansync/sync_crc.h"

static const int64_t T = 1795442847;

static struct records three(struct arena *a)
{
    static const char *const guids[] = {
        "5544f3c87e8a35a5857e07da0863919d86ea0620",
        "e6fb7ae4ff8e5e8e39e871e1a27a14d0a3bcbbc6",
        "c71595e69fc303ca3b481eaebc2f97c9d673296b",
    };
    static const uint32_t flags[] = { 0, REC_ANSWERED | REC_SEEN, REC_ANSWERED | REC_DRAFT };
    struct records r;
    records_make(a, 3, &r);
    for (uint32_t i = 0; i < 3; i++) {
        r.uid[i] = i + 1;
        r.modseq[i] = r.createdmodseq[i] = i + 2;
        r.last_updated[i] = r.internaldate[i] = r.savedate[i] = T;
        r.flags[i] = flags[i];
        assert_true(guid_parse(slice_str(guids[i]), &r.guid[i]));
    }
    return r;
}

static struct mailbox_header header(uint32_t minor)
{
    struct mailbox_header h;
    memset(&h, 0, sizeof h);
    h.minor = minor;
    return h;
}

static void a_real_mailbox_has_the_sums_its_server_reported(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct mailbox_header h = header(17);
    struct records r = three(&a);
    struct sync_crcs c = sync_crc_compute(&h, &r);
    assert_int_equal(c.basic, 3380746606u);
    assert_int_equal(c.annot, 2182774863u);
    arena_free(&a);
}

static void an_empty_mailbox_and_one_of_expunged_records_only_have_the_start_values(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct mailbox_header h = header(17);
    struct records r = three(&a);
    for (int i = 0; i < 3; i++)
        r.flags[i] |= REC_EXPUNGED;
    struct sync_crcs c = sync_crc_compute(&h, &r);
    assert_true(c.basic == 0 && c.annot == SYNC_CRC_ANNOT_START);
    r.n = 0;
    c = sync_crc_compute(&h, &r);
    assert_true(c.basic == 0 && c.annot == SYNC_CRC_ANNOT_START);
    arena_free(&a);
}

/* 979321343 is the CRC-32 of "$label1"; flags count in lower case, by name and not by bit. */
static void user_flags_count_by_their_name_in_lower_case(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct mailbox_header h = header(17);
    struct slice names[40] = { { NULL, 0 } };
    struct records r = three(&a);
    names[3] = slice_str("$LABEL1");
    names[35] = slice_str("$label1");
    h.userflags = names;
    h.nuserflags = 40;
    r.userflags[0][0] = 1u << 3;
    uint32_t by_bit_3 = sync_crc_compute(&h, &r).basic;
    r.userflags[0][0] = 1u << 5; /* a bit without a name */
    assert_int_equal(sync_crc_compute(&h, &r).basic, 3380746606u);
    r.userflags[0][0] = 0;
    r.userflags[0][1] = 1u << 3;
    assert_int_equal(sync_crc_compute(&h, &r).basic, by_bit_3);
    assert_int_not_equal(by_bit_3, 3380746606u);
    arena_free(&a);
}

static void annotations_count_with_user_and_value(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct mailbox_header h = header(17);
    struct records r = three(&a);
    struct annotation note = { slice_str("/comment"), slice_str("fred"), slice_str("hi"), 9 };
    struct annotation_list rows[3] = { { NULL, 0 }, { &note, 1 }, { NULL, 0 } };
    r.annotations = rows;
    uint32_t crc = crc32_add(0, "2 /comment fred hi", 18);
    assert_int_equal(sync_crc_compute(&h, &r).annot, 2182774863u ^ crc);
    arena_free(&a);
}

static void thread_ids_make_two_sums_of_which_either_will_do(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct records r = three(&a);
    r.cid[0] = 0x0c23ff66a9de5339u;
    struct mailbox_header h = header(19);
    static const char unpadded[] = "1 /vendor/cmu/cyrus-imapd/thrid  c23ff66a9de5339";
    static const char padded[] = "1 /vendor/cmu/cyrus-imapd/thrid  0c23ff66a9de5339";
    struct sync_crcs c = sync_crc_compute(&h, &r);
    assert_int_equal(c.annot, 2182774863u ^ crc32_add(0, unpadded, sizeof unpadded - 1));
    assert_int_equal(c.annot_long, 2182774863u ^ crc32_add(0, padded, sizeof padded - 1));
    assert_int_equal(sync_crc_annot(&c, false), c.annot);
    assert_int_equal(sync_crc_annot(&c, true), c.annot_long);
    assert_true(sync_crcs_match(&c, c.basic, c.annot) && sync_crcs_match(&c, c.basic, c.annot_long));
    assert_true(sync_crcs_match(&c, 0, 0)); /* unknown */
    assert_false(sync_crcs_match(&c, c.basic ^ 1, c.annot) || sync_crcs_match(&c, c.basic, c.annot ^ 1));
    r.cid[0] = 0x1c23ff66a9de5339u; /* sixteen digits anyway */
    c = sync_crc_compute(&h, &r);
    assert_int_equal(c.annot, c.annot_long);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_real_mailbox_has_the_sums_its_server_reported),
        cmocka_unit_test(an_empty_mailbox_and_one_of_expunged_records_only_have_the_start_values),
        cmocka_unit_test(user_flags_count_by_their_name_in_lower_case),
        cmocka_unit_test(annotations_count_with_user_and_value),
        cmocka_unit_test(thread_ids_make_two_sums_of_which_either_will_do),
    };
    return cmocka_run_group_tests_name("base: sync crc", tests, NULL, NULL);
}
