/* The small things that everything stands on: slices, arenas, buffers, errors, maps, GUIDs. */
#include "../test.h"

#include <errno.h>
#include <stdio.h>

#include "fansync/arena.h"
#include "fansync/buf.h"
#include "fansync/guid.h"
#include "fansync/map.h"
#include "fansync/slice.h"

static void slices_compare_as_bytes_and_the_shorter_comes_first(void **state)
{
    (void)state;
    assert_true(slice_eq(slice_of("a\0b", 3), slice_of("a\0b", 3)));
    assert_false(slice_eq(slice_of("a\0b", 3), slice_of("a\0c", 3)));
    assert_true(slice_cmp(slice_str("ab"), slice_str("abc")) < 0);
    assert_true(slice_cmp(slice_str("\xff"), slice_str("a")) > 0);
    assert_true(slice_caseeqs(slice_str("NiL"), "nil"));
    assert_false(slice_caseeqs(slice_str("nill"), "nil"));
}

static void arena_memory_is_zeroed_also_after_a_reset(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    for (int round = 0; round < 3; round++) {
        for (size_t n = 1; n < 20000; n = n * 3 + 1) {
            unsigned char *p = arena_alloc(&a, n);
            assert_int_equal((uintptr_t)p % 16, 0);
            for (size_t i = 0; i < n; i++)
                assert_int_equal(p[i], 0);
            memset(p, 0xee, n);
        }
        arena_reset(&a);
        assert_int_equal(arena_used(&a), 0);
    }
    arena_free(&a);
}

static void an_array_that_grows_in_an_arena_keeps_its_elements(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    int *v = NULL;
    size_t cap = 0;
    for (int i = 0; i < 1000; i++) {
        v = arena_grow(&a, v, (size_t)i, &cap, sizeof *v);
        v[i] = i;
    }
    for (int i = 0; i < 1000; i++)
        assert_int_equal(v[i], i);
    arena_free(&a);
}

static void a_buffer_used_as_a_queue_does_not_creep(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    for (int i = 0; i < 100000; i++) {
        buf_printf(&b, "%06d", i);
        if (i >= 10) {
            char want[8];
            snprintf(want, sizeof want, "%06d", i - 10);
            assert_memory_equal(buf_ptr(&b), want, 6);
            buf_consume(&b, 6);
        }
    }
    assert_int_equal(buf_len(&b), 60);
    assert_true(b.cap < 4096);
    buf_free(&b);
}

static void numbers_are_written_in_full(void **state)
{
    (void)state;
    struct buf b = BUF_INIT;
    buf_add_u64(&b, 0);
    buf_addc(&b, ' ');
    buf_add_u64(&b, UINT64_MAX);
    assert_string_equal(buf_cstr(&b), "0 18446744073709551615");
    buf_free(&b);
}

static void errors_carry_kind_and_words_through_wrapping(void **state)
{
    (void)state;
    struct err *e = err_wrap(err_wrap(err_new(ERR_CORRUPT, "offset %d", 7), "file"), "mailbox");
    assert_string_equal(e->msg, "mailbox: file: offset 7");
    assert_int_equal(e->kind, ERR_CORRUPT);
    assert_false(err_take(&e, ERR_IO));
    assert_true(err_take(&e, ERR_CORRUPT));
    assert_null(e);
    assert_null(err_wrap(NULL, "x"));
    errno = ENOENT;
    assert_err(err_errno("open %s", "f"), ERR_NONEXISTENT, "open f: No such file");
    errno = EACCES;
    assert_err(err_errno("open %s", "f"), ERR_IO, "Permission denied");
}

static void a_map_finds_what_was_put_and_nothing_else(void **state)
{
    (void)state;
    struct map m = MAP_INIT;
    static char keys[5000][16];
    assert_null(map_get(&m, slice_str("x")));
    for (int i = 0; i < 5000; i++) {
        snprintf(keys[i], sizeof keys[i], "key%d", i);
        assert_true(map_put(&m, slice_str(keys[i]), keys[i]));
    }
    assert_false(map_put(&m, slice_str(keys[7]), keys[8]));
    for (int i = 0; i < 5000; i++)
        assert_ptr_equal(map_get(&m, slice_str(keys[i])), keys[i == 7 ? 8 : i]);
    assert_null(map_get(&m, slice_str("key5000")));
    assert_null(map_get(&m, slice_of("key1\0", 5)));
    map_free(&m);
}

static void guids_and_checksums_are_the_known_ones(void **state)
{
    (void)state;
    struct guid g, h;
    char hex[GUID_HEX + 1];
    struct sha1 *s = sha1_new();
    sha1_add(s, "ab", 2);
    sha1_add(s, "c", 1);
    sha1_final(s, &g);
    guid_format(&g, hex);
    assert_string_equal(hex, "a9993e364706816aba3e25717850c26c9cd0d89d");
    sha1_final(s, &g); /* the object starts anew */
    guid_format(&g, hex);
    assert_string_equal(hex, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    sha1_free(s);
    assert_true(guid_parse(slice_str("DA39A3EE5E6B4B0D3255BFEF95601890AFD80709"), &h));
    assert_true(guid_eq(&g, &h));
    assert_false(guid_parse(slice_str("da39a3ee5e6b4b0d3255bfef95601890afd8070"), &h));
    assert_false(guid_parse(slice_str("za39a3ee5e6b4b0d3255bfef95601890afd80709"), &h));
    assert_int_equal(crc32_add(0, "123456789", 9), 0xCBF43926);
    assert_int_equal(crc32_add(crc32_add(0, "1234", 4), "56789", 5), 0xCBF43926);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slices_compare_as_bytes_and_the_shorter_comes_first),
        cmocka_unit_test(arena_memory_is_zeroed_also_after_a_reset),
        cmocka_unit_test(an_array_that_grows_in_an_arena_keeps_its_elements),
        cmocka_unit_test(a_buffer_used_as_a_queue_does_not_creep),
        cmocka_unit_test(numbers_are_written_in_full),
        cmocka_unit_test(errors_carry_kind_and_words_through_wrapping),
        cmocka_unit_test(a_map_finds_what_was_put_and_nothing_else),
        cmocka_unit_test(guids_and_checksums_are_the_known_ones),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
