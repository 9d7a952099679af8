/* Tests of the deflate layer (src/wire/deflate.h): bounded, and nothing held back. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "wire/deflate.h"

static void expanding_stops_at_the_limit_and_goes_on(void **state)
{
    (void)state;
    struct deflate_layer *a = deflate_new(), *b = deflate_new();
    struct buf plain = BUF_INIT, packed = BUF_INIT, out = BUF_INIT;
    size_t total = 0;
    bool more;
    memset(buf_reserve(&plain, 1 << 20), 'x', 1 << 20);
    buf_added(&plain, 1 << 20);
    deflate_encode(a, buf_ptr(&plain), buf_len(&plain), true, &packed);
    assert_true(buf_len(&packed) < 16384);
    do {
        assert_null(deflate_decode(b, &packed, &out, 65536, &more));
        assert_true(buf_len(&out) < 65536 + 16384);
        assert_true(more || buf_len(&packed) == 0);
        assert_true(more == (buf_len(&out) >= 65536));
        total += buf_len(&out);
        buf_clear(&out);
    } while (more);
    assert_int_equal(total, 1 << 20);
    deflate_free(a);
    deflate_free(b);
    buf_free(&plain);
    buf_free(&packed);
    buf_free(&out);
}

static void what_is_held_back_comes_with_the_next_flush(void **state)
{
    (void)state;
    struct deflate_layer *a = deflate_new(), *b = deflate_new();
    struct buf packed = BUF_INIT, out = BUF_INIT;
    bool more;
    deflate_encode(a, "NOOP\r\n", 6, false, &packed);
    assert_true(deflate_holds_back(a));
    deflate_encode(a, "", 0, true, &packed);
    assert_false(deflate_holds_back(a));
    size_t n = buf_len(&packed);
    deflate_encode(a, "", 0, true, &packed); /* nothing new: not a byte */
    assert_int_equal(buf_len(&packed), n);
    assert_null(deflate_decode(b, &packed, &out, 65536, &more));
    assert_string_equal(buf_cstr(&out), "NOOP\r\n");
    deflate_free(a);
    deflate_free(b);
    buf_free(&packed);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expanding_stops_at_the_limit_and_goes_on),
        cmocka_unit_test(what_is_held_back_comes_with_the_next_flush),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
