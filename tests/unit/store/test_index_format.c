/* cyrus.index of every version from 12 to 20, whole and damaged (spec/store.md §5). */
#include "index_build.h"

static void every_version_gives_every_field(void **state)
{
    (void)state;
    for (uint32_t minor = 12; minor <= 20; minor++) {
        struct index_image im = build_index(minor, 3);
        struct index_header h;
        struct index_record r;
        assert_ok(index_parse_header("f", bytes(&im, 0), im.header_size, im.n, &h));
        assert_int_equal(h.minor, minor);
        assert_int_equal(h.num_records, 3);
        assert_int_equal(h.exists, 1001);
        assert_int_equal(h.options, 5);
        assert_int_equal(h.highestmodseq, 1003);
        assert_int_equal(h.deletedmodseq, 1004);
        assert_int_equal(h.header_file_crc, 1005);
        assert_int_equal(h.sync_crc, 1006);
        assert_int_equal(h.sync_crc_annot, minor >= 13 ? 1007 : 0);
        assert_int_equal(h.createdmodseq, minor >= 16 ? 1008 : 0);
        assert_int_equal(h.last_appenddate, 1009);
        assert_int_equal(h.last_uid, 1010);
        assert_int_equal(h.pop3_last_login, 1011);
        assert_int_equal(h.uidvalidity, 1012);
        assert_int_equal(h.recentuid, 1013);
        assert_int_equal(h.recenttime, 1014);
        assert_int_equal(h.pop3_show_after, minor >= 13 ? 1015 : 0);
        assert_ok(index_parse_record("f", &h, 1, bytes(&im, im.header_size + im.record_size), &r));
        assert_int_equal(r.uid, 20);
        assert_int_equal(r.internaldate, 2001);
        assert_int_equal(r.internaldate_nsec, minor == 20 ? 77 : 0);
        assert_true(r.size == (minor == 20 ? ((uint64_t)1 << 32) + 2002 : 2002));
        assert_int_equal(r.last_updated, 2003);
        assert_int_equal(r.flags, 0x14);
        assert_int_equal(r.userflags[0], 3000);
        assert_int_equal(r.userflags[3], 3003);
        assert_int_equal(r.savedate, minor >= 15 ? 2004 : 0);
        assert_int_equal(r.guid.b[19], 0xab);
        assert_int_equal(r.modseq, 2006);
        assert_int_equal(r.cid, minor >= 13 ? 2006 : 0);
        assert_int_equal(r.createdmodseq, minor >= 16 ? 2007 : 0);
        assert_int_equal(r.basecid, minor == 20 ? 2009 : 0);
        free(im.p);
    }
}

/* Header and fourth record of a mailbox that Cyrus 3.6.1 wrote. */
static void a_real_mailbox_reads_as_its_server_says(void **state)
{
    (void)state;
    static const uint32_t header[] = {
        0x00000001, 0x00000000, 0x00000011, 0x000000a0, 0x00000070, 0x00000013, 0x6b0432bb, 0x00000014,
        0x00000000, 0x00000871, 0x00000000, 0x6b0432bb, 0x00000000, 0x00000005, 0x00000004, 0x00000001,
        0x00000000, 0x00000000, 0x00000024, 0x00000000, 0x0000001c, 0x00000013, 0x00000000, 0x6b043d30,
        0xeb194f9c, 0x6ff703c8, 0x00000014, 0x6b0432bc, 0x00000000, 0x0000003f, 0x866cc8d5, 0x0000000e,
        0x00000000, 0x00000001, 0x6b0432bc, 0x00000000, 0x00000000, 0x00000000, 0x00000000, 0xe08212a0,
    };
    static const uint32_t record[] = {
        0x00000004, 0x63b2ab24, 0x63b21e80, 0x00000070, 0x00000068, 0x63b2ab24, 0x0000058c, 0x6b0432bc,
        0x00000003, 0x00000003, 0x00000000, 0x00000000, 0x00000000, 0x6b0432bb, 0x0000000b, 0x84f29129,
        0xaa1d7dee, 0xc666f826, 0x7f6b2231, 0xb939cbc7, 0x00000000, 0x00000019, 0x00000000, 0x00000000,
        0x00000000, 0x00000005, 0x99aa5fd2, 0x9f5babd0,
    };
    unsigned char h[160], r[112];
    struct index_header ih;
    struct index_record ir;
    for (size_t i = 0; i < 40; i++)
        put32(h + 4 * i, header[i]);
    for (size_t i = 0; i < 28; i++)
        put32(r + 4 * i, record[i]);
    assert_ok(index_parse_header("f", (char *)h, sizeof h, 160 + 19 * 112, &ih));
    assert_int_equal(ih.num_records, 19);
    assert_int_equal(ih.exists, 19);
    assert_int_equal(ih.highestmodseq, 36);
    assert_int_equal(ih.deletedmodseq, 28);
    assert_int_equal(ih.sync_crc, 0x6ff703c8);
    assert_int_equal(ih.sync_crc_annot, 0x866cc8d5);
    assert_ok(index_parse_record("f", &ih, 3, (char *)r, &ir));
    assert_int_equal(ir.uid, 4);
    assert_int_equal(ir.modseq, 25);
    assert_int_equal(ir.createdmodseq, 5);
    assert_int_equal(ir.flags, 3);
    assert_int_equal(ir.size, 112);
}

static void an_index_cut_at_any_length_is_an_error_that_names_the_file(void **state)
{
    (void)state;
    for (uint32_t minor = 12; minor <= 20; minor += 4) {
        struct index_image im = build_index(minor, 2);
        for (size_t n = 0; n < im.n; n++) {
            struct index_header h;
            size_t got = n < im.header_size ? n : im.header_size;
            assert_err(index_parse_header("the/file", bytes(&im, 0), got, n, &h), ERR_CORRUPT, "the/file: offset");
        }
        free(im.p);
    }
}

static void bytes_behind_the_last_record_are_ignored(void **state)
{
    (void)state;
    struct index_image im = build_index(17, 2);
    struct index_header h;
    assert_ok(index_parse_header("f", bytes(&im, 0), im.header_size, im.n + 50, &h));
    free(im.p);
}

static void any_flipped_bit_of_a_header_is_an_error(void **state)
{
    (void)state;
    for (uint32_t minor = 12; minor <= 20; minor++) {
        struct index_image im = build_index(minor, 1);
        for (size_t bit = 0; bit < 8 * im.header_size; bit++) {
            struct index_header h;
            im.p[bit / 8] ^= (unsigned char)(1 << bit % 8);
            struct err *e = index_parse_header("f", bytes(&im, 0), im.header_size, im.n, &h);
            if (!e)
                fail_msg("minor %u, bit %zu: not noticed", minor, bit);
            err_free(e);
            im.p[bit / 8] ^= (unsigned char)(1 << bit % 8);
        }
        free(im.p);
    }
}

static void any_flipped_bit_of_a_record_is_an_error_that_names_it(void **state)
{
    (void)state;
    for (uint32_t minor = 12; minor <= 20; minor++) {
        struct index_image im = build_index(minor, 2);
        struct index_header h;
        size_t off = im.header_size + im.record_size;
        assert_ok(index_parse_header("f", bytes(&im, 0), im.header_size, im.n, &h));
        for (size_t bit = 8 * off; bit < 8 * im.n; bit++) {
            struct index_record r;
            im.p[bit / 8] ^= (unsigned char)(1 << bit % 8);
            assert_err(index_parse_record("f", &h, 1, bytes(&im, off), &r), ERR_CORRUPT, "index record 2");
            im.p[bit / 8] ^= (unsigned char)(1 << bit % 8);
        }
        free(im.p);
    }
}

static void versions_without_guids_or_of_the_future_are_not_supported(void **state)
{
    (void)state;
    for (uint32_t minor = 0; minor < 40; minor++) {
        struct index_image im = build_index(17, 0);
        struct index_header h;
        if (minor >= 12 && minor <= 20) {
            free(im.p);
            continue;
        }
        put32(im.p + 8, minor);
        seal_header(&im);
        assert_err(index_parse_header("f", bytes(&im, 0), im.header_size, im.n, &h), ERR_NOTSUPPORTED, "version");
        free(im.p);
    }
}

static void a_record_count_that_overflows_is_an_error(void **state)
{
    (void)state;
    struct index_image im = build_index(17, 1);
    struct index_header h;
    put32(im.p + 20, 0xffffffff);
    seal_header(&im);
    assert_err(index_parse_header("f", bytes(&im, 0), im.header_size, im.n, &h), ERR_CORRUPT, "shorter");
    free(im.p);
}

static void a_header_that_gives_itself_another_length_is_an_error(void **state)
{
    (void)state;
    struct index_image im = build_index(17, 1);
    struct index_header h;
    put32(im.p + 12, im.header_size - 4);
    seal_header(&im);
    assert_err(index_parse_header("f", bytes(&im, 0), im.header_size, im.n, &h), ERR_CORRUPT, "header of an unexpected size");
    free(im.p);
}

static void highestmodseq_zero_counts_as_one(void **state)
{
    (void)state;
    struct index_image im = build_index(17, 0);
    struct index_header h;
    put64(im.p + 68, 0);
    seal_header(&im);
    assert_ok(index_parse_header("f", bytes(&im, 0), im.header_size, im.n, &h));
    assert_int_equal(h.highestmodseq, 1);
    free(im.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_version_gives_every_field),
        cmocka_unit_test(a_real_mailbox_reads_as_its_server_says),
        cmocka_unit_test(an_index_cut_at_any_length_is_an_error_that_names_the_file),
        cmocka_unit_test(bytes_behind_the_last_record_are_ignored),
        cmocka_unit_test(any_flipped_bit_of_a_header_is_an_error),
        cmocka_unit_test(any_flipped_bit_of_a_record_is_an_error_that_names_it),
        cmocka_unit_test(versions_without_guids_or_of_the_future_are_not_supported),
        cmocka_unit_test(a_record_count_that_overflows_is_an_error),
        cmocka_unit_test(a_header_that_gives_itself_another_length_is_an_error),
        cmocka_unit_test(highestmodseq_zero_counts_as_one),
    };
    return cmocka_run_group_tests_name("store: index format", tests, NULL, NULL);
}
