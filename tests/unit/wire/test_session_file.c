/* Tests of session_file (fansync/session.h): what reaches the replica is what was promised. */
#include "fake_replica.h"

#include <fcntl.h>
#include <sys/stat.h>

static const char greeting[] = "* OK fake Cyrus sync server\r\n";

/* ---- the replica: keeps everything it is sent ---- */

struct received {
    struct buf bytes;
    size_t stop_at; /* then pauses until go is written to */
    int go[2];
};

static void keep_everything(struct fake *f)
{
    struct received *r = f->ctx;
    char byte;
    fake_say(f, greeting);
    for (;;) {
        char *p = buf_reserve(&r->bytes, 65536);
        ssize_t n = read(f->fd, p, 65536);
        if (n <= 0)
            return;
        buf_added(&r->bytes, (size_t)n);
        if (r->stop_at && buf_len(&r->bytes) >= r->stop_at) {
            r->stop_at = 0;
            (void)!read(r->go[0], &byte, 1);
        }
        if (n >= 3 && !memcmp(p + n - 3, ")\r\n", 3))
            fake_say(f, "OK success\r\n");
    }
}

/* ---- message files ---- */

static int file_with(struct slice content)
{
    char name[] = "/tmp/fansync-message-XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    unlink(name);
    assert_int_equal(write(fd, content.p, content.n), content.n);
    return fd;
}

static struct guid guid_of(struct slice content)
{
    struct guid g;
    struct sha1 *h = sha1_new();
    sha1_add(h, content.p, content.n);
    sha1_final(h, &g);
    sha1_free(h);
    return g;
}

static struct err *put(struct session *s, struct slice content, struct slice announced)
{
    struct guid g = guid_of(announced);
    int fd = file_with(content);
    struct err *e = session_file(s, LIT("default"), &g, announced.n, fd);
    close(fd);
    return e;
}

static void expect_file(struct buf *b, struct slice content)
{
    char hex[GUID_HEX + 1];
    struct guid g = guid_of(content);
    guid_format(&g, hex);
    buf_printf(b, "%%{default %s %zu}\r\n", hex, content.n);
    buf_add(b, content.p, content.n);
}

/* Does the buffer begin with what was expected? Shows only where it differs: messages are long. */
static void assert_received(struct buf *got, struct buf *want)
{
    size_t i = 0;
    while (i < buf_len(got) && i < buf_len(want) && buf_ptr(got)[i] == buf_ptr(want)[i])
        i++;
    if (i < buf_len(want))
        fail_msg("received %zu bytes, differing at %zu of %zu", buf_len(got), i, buf_len(want));
}

static struct buf *begin_message(struct session *s, struct seen *seen)
{
    struct buf *b = session_begin(s, "APPLY MESSAGE", NULL, NULL, see_answer, seen);
    buf_adds(b, "(");
    return b;
}

static struct buf large(size_t n)
{
    struct buf b = BUF_INIT;
    uint32_t x = 1;
    char *p = buf_reserve(&b, n);
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525 + 1013904223;
        p[i] = (char)(x >> 24);
    }
    buf_added(&b, n);
    return b;
}

/* ---- the tests ---- */

static void files_go_out_between_brackets_with_single_blanks(void **state)
{
    (void)state;
    struct fake f;
    struct received r = { .bytes = BUF_INIT };
    struct seen seen = { .text = BUF_INIT };
    struct buf want = BUF_INIT;
    fake_start(&f, true, keep_everything, &r);
    struct session *s = fake_session(&f);
    struct buf *b = begin_message(s, &seen);
    assert_ok(put(s, LIT("From: a\r\n\r\nx ("), LIT("From: a\r\n\r\nx (")));
    assert_ok(put(s, LIT(""), LIT("")));
    assert_ok(put(s, LIT("nul\0("), LIT("nul\0(")));
    buf_adds(b, ")");
    assert_ok(session_end(s));
    assert_ok(session_drain(s));
    assert_int_equal(seen.ok, 1);
    assert_int_equal(session_counters(s)->files, 3);
    assert_int_equal(session_counters(s)->file_bytes, 19);
    session_close(s);
    fake_stop(&f);
    buf_adds(&want, "APPLY MESSAGE (");
    expect_file(&want, LIT("From: a\r\n\r\nx ("));
    buf_adds(&want, " ");
    expect_file(&want, LIT(""));
    buf_adds(&want, " ");
    expect_file(&want, LIT("nul\0("));
    buf_adds(&want, ")\r\nEXIT\r\n");
    assert_received(&r.bytes, &want);
    buf_free(&want);
    buf_free(&r.bytes);
    buf_free(&seen.text);
}

static void a_file_with_another_sha1_or_length_is_left_out(void **state)
{
    (void)state;
    struct fake f;
    struct received r = { .bytes = BUF_INIT };
    struct seen seen = { .text = BUF_INIT };
    struct buf want = BUF_INIT, big = large(3000000), other = large(3000000);
    other.data[2999999] ^= 1;
    fake_start(&f, true, keep_everything, &r);
    struct session *s = fake_session(&f);
    struct buf *b = begin_message(s, &seen);
    assert_fails(put(s, LIT("abc"), LIT("abd")), ERR_CORRUPT, "has SHA-1 a9993e364706816aba3e25717850c26c9cd0d89d instead of");
    assert_ok(put(s, LIT("good"), LIT("good")));
    assert_fails(put(s, LIT("abc"), LIT("abcd")), ERR_CORRUPT, "has 3 bytes instead of 4");
    assert_fails(put(s, LIT("abcde"), LIT("abcd")), ERR_CORRUPT, "has at least 5 bytes instead of 4");
    assert_fails(put(s, buf_slice(&big), buf_slice(&other)), ERR_CORRUPT, "has SHA-1");
    assert_fails(put(s, slice_of(big.data, 2000000), buf_slice(&big)), ERR_CORRUPT, "has 2000000 bytes instead of 3000000");
    assert_fails(put(s, buf_slice(&big), slice_of(big.data, 2000000)), ERR_CORRUPT, "has at least 2000001 bytes");
    struct guid g = { { 0 } };
    assert_fails(session_file(s, LIT("default"), &g, 3, -1), ERR_IO, "read at offset 0");
    assert_fails(session_file(s, LIT("default"), &g, 3000000, -1), ERR_IO, "read at offset 0");
    assert_fails(session_file(s, LIT("default"), &g, 1ull << 32, -1), ERR_NOTSUPPORTED, "too large");
    assert_ok(put(s, LIT("also good"), LIT("also good")));
    buf_adds(b, ")");
    assert_ok(session_end(s));
    assert_ok(session_drain(s));
    assert_int_equal(seen.ok, 1);
    session_close(s);
    fake_stop(&f);
    buf_adds(&want, "APPLY MESSAGE (");
    expect_file(&want, LIT("good"));
    buf_adds(&want, " ");
    expect_file(&want, LIT("also good"));
    buf_adds(&want, ")\r\nEXIT\r\n");
    assert_received(&r.bytes, &want);
    buf_free(&want);
    buf_free(&big);
    buf_free(&other);
    buf_free(&r.bytes);
    buf_free(&seen.text);
}

static void a_large_file_is_streamed_in_bounded_memory(void **state)
{
    (void)state;
    struct fake f;
    struct received r = { .bytes = BUF_INIT };
    struct seen seen = { .text = BUF_INIT };
    struct buf want = BUF_INIT, big = large(20000000);
    fake_start(&f, true, keep_everything, &r);
    struct session *s = fake_session(&f);
    struct buf *b = begin_message(s, &seen);
    assert_ok(put(s, buf_slice(&big), buf_slice(&big)));
    assert_true(b->cap <= 1024 * 1024);
    assert_ok(put(s, LIT("small"), LIT("small")));
    buf_adds(b, ")");
    assert_ok(session_end(s));
    assert_ok(session_drain(s));
    session_close(s);
    fake_stop(&f);
    buf_adds(&want, "APPLY MESSAGE (");
    expect_file(&want, buf_slice(&big));
    buf_adds(&want, " ");
    expect_file(&want, LIT("small"));
    buf_adds(&want, ")\r\n");
    assert_received(&r.bytes, &want);
    buf_free(&want);
    buf_free(&big);
    buf_free(&r.bytes);
    buf_free(&seen.text);
}

/* ---- a file that changes while it is sent ---- */

struct meddler {
    struct received r;
    int fd;
    bool truncate;
};

static void *meddle(void *arg)
{
    struct meddler *m = arg;
    sleep(1); /* by now the client waits for the replica, in the middle of the file */
    if (m->truncate)
        assert_int_equal(ftruncate(m->fd, 19000000), 0);
    else
        assert_int_equal(pwrite(m->fd, "changed", 7, 19999000), 7);
    assert_int_equal(write(m->r.go[1], "x", 1), 1);
    return NULL;
}

static void send_while_it_changes(bool truncate)
{
    struct fake f;
    struct meddler m = { .r = { .bytes = BUF_INIT, .stop_at = 1000000 }, .truncate = truncate };
    struct seen seen = { .text = BUF_INIT };
    struct buf big = large(20000000);
    struct guid g = guid_of(buf_slice(&big));
    pthread_t thread;
    assert_int_equal(pipe(m.r.go), 0);
    m.fd = file_with(buf_slice(&big));
    fake_start(&f, true, keep_everything, &m.r);
    struct session *s = fake_session(&f);
    begin_message(s, &seen);
    pthread_create(&thread, NULL, meddle, &m);
    assert_fails(session_file(s, LIT("default"), &g, buf_len(&big), m.fd), ERR_IO, "changed while it was being sent");
    pthread_join(thread, NULL);
    assert_true(session_dead(s));
    assert_string_equal(buf_cstr(&seen.text), "io?\n");
    assert_fails(session_end(s), ERR_IO, "changed while");
    session_close(s);
    fake_stop(&f);
    assert_false(!memcmp(m.r.bytes.data + m.r.bytes.end - 6, "EXIT\r\n", 6)); /* it would be read as mail */
    close(m.fd);
    close(m.r.go[0]);
    close(m.r.go[1]);
    buf_free(&big);
    buf_free(&m.r.bytes);
    buf_free(&seen.text);
}

static void a_file_that_changes_while_it_is_sent_ends_the_session(void **state)
{
    (void)state;
    send_while_it_changes(false);
}

static void a_file_cut_short_while_it_is_sent_ends_the_session(void **state)
{
    (void)state;
    send_while_it_changes(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_go_out_between_brackets_with_single_blanks),
        cmocka_unit_test(a_file_with_another_sha1_or_length_is_left_out),
        cmocka_unit_test(a_large_file_is_streamed_in_bounded_memory),
        cmocka_unit_test(a_file_that_changes_while_it_is_sent_ends_the_session),
        cmocka_unit_test(a_file_cut_short_while_it_is_sent_ends_the_session),
    };
    alarm(120);
    assert_ok(session_library_init());
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_free(&logged);
    return failed;
}
