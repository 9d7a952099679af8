/* Annotation rows in a flat database, as Cyrus writes them (spec/store.md §5.7). */
#include "../test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fansync/buf.h"
#include "store/annot.h"

/* A flat database with the bytes that need it escaped. */
struct rows {
    struct buf text;
    char path[64];
};

static void add_escaped(struct buf *b, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        if (c == 0 || c == '\t' || c == '\r' || c == '\n')
            buf_addc(b, '\xff'), c |= 0x80;
        else if (c == 0xff)
            buf_addc(b, '\xff');
        buf_addc(b, (char)c);
    }
}

static void add_value(struct buf *b, const char *value, uint64_t modseq, unsigned char flags)
{
    size_t n = strlen(value);
    char fixed[8] = { (char)(n >> 24), (char)(n >> 16), (char)(n >> 8), (char)n };
    struct buf v = BUF_INIT;
    buf_add(&v, fixed, 8);
    buf_add(&v, value, n);
    buf_add(&v, "\0text/plain\0", 12);
    buf_add(&v, "\0\0\0\0\0\0\0", 8);
    for (int i = 56; i >= 0; i -= 8)
        buf_addc(&v, (char)(modseq >> i));
    buf_addc(&v, (char)flags);
    add_escaped(b, buf_ptr(&v), buf_len(&v));
    buf_free(&v);
}

/* key: parts separated by '|', which stands for NUL */
static void row(struct rows *r, const char *key, const char *value, uint64_t modseq, unsigned char flags)
{
    char k[200];
    size_t n = strlen(key);
    memcpy(k, key, n);
    for (size_t i = 0; i < n; i++)
        if (k[i] == '|')
            k[i] = '\0';
    add_escaped(&r->text, k, n);
    buf_addc(&r->text, '\t');
    add_value(&r->text, value, modseq, flags);
    buf_addc(&r->text, '\n');
}

static struct db *open_rows(struct rows *r)
{
    struct db *d;
    snprintf(r->path, sizeof r->path, "/tmp/fansync-annot-XXXXXX");
    int fd = mkstemp(r->path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, buf_ptr(&r->text), buf_len(&r->text)), (ssize_t)buf_len(&r->text));
    close(fd);
    struct err *e = db_read(r->path, DB_TEXT_FLAT, 0, &d);
    unlink(r->path);
    assert_ok(e);
    buf_free(&r->text);
    return d;
}

static void mailbox_rows_are_sorted_after_the_owner_is_known(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct annotation_list l;
    struct rows r = { .text = BUF_INIT };
    row(&r, "id1|/comment|[.OwNeR.]|", "mine", 7, 0);
    row(&r, "id1|/comment|bob|", "bob's", 8, 0);
    row(&r, "id1|/comment||", "shared", 9, 0);
    row(&r, "id1|/gone||", "x", 10, 1);
    row(&r, "id1|/empty||", "", 11, 0);
    row(&r, "id10|/comment||", "another mailbox", 12, 0);
    row(&r, "old key", "x", 1, 0);
    struct db *d = open_rows(&r);
    assert_ok(annot_mailbox(&a, d, slice_str("id1"), slice_str("zoe"), &l));
    assert_int_equal(l.n, 3);
    assert_slice(l.a[0].userid, "");
    assert_slice(l.a[0].value, "shared");
    assert_int_equal(l.a[0].modseq, 9);
    assert_slice(l.a[1].userid, "bob");
    assert_slice(l.a[2].userid, "zoe");
    assert_slice(l.a[2].value, "mine");
    db_free(d);
    arena_free(&a);
}

static void message_rows_are_found_by_uid(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct message_annotations all;
    struct rows r = { .text = BUF_INIT };
    row(&r, "10|/comment||", "ten", 3, 0);
    row(&r, "2|/comment|fred|", "two", 2, 0);
    row(&r, "2|/altsubject||", "other", 1, 0);
    row(&r, "0|/comment||", "no message", 1, 0);
    row(&r, "x|/comment||", "no number", 1, 0);
    struct db *d = open_rows(&r);
    assert_ok(annot_messages(&a, d, slice_str("fred"), &all));
    assert_int_equal(all.n, 3);
    struct annotation_list two = annot_of_uid(&a, &all, 2), ten = annot_of_uid(&a, &all, 10);
    assert_int_equal(two.n, 2);
    assert_slice(two.a[0].entry, "/altsubject");
    assert_slice(two.a[1].value, "two");
    assert_int_equal(ten.n, 1);
    assert_int_equal(annot_of_uid(&a, &all, 3).n, 0);
    db_free(d);
    arena_free(&a);
}

static void a_value_longer_than_its_row_is_an_error_that_names_the_entry(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct annotation_list l;
    struct rows r = { .text = BUF_INIT };
    add_escaped(&r.text, "id1\0/bad\0\0", 10);
    buf_addc(&r.text, '\t');
    add_escaped(&r.text, "\0\0\0\x09\0\0\0\0short", 13);
    buf_addc(&r.text, '\n');
    struct db *d = open_rows(&r);
    assert_err(annot_mailbox(&a, d, slice_str("id1"), slice_str("zoe"), &l), ERR_CORRUPT, "/bad");
    db_free(d);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mailbox_rows_are_sorted_after_the_owner_is_known),
        cmocka_unit_test(message_rows_are_found_by_uid),
        cmocka_unit_test(a_value_longer_than_its_row_is_an_error_that_names_the_entry),
    };
    return cmocka_run_group_tests_name("store: annotations", tests, NULL, NULL);
}
