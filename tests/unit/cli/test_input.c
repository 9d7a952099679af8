/* The file of names for -f (cli/input.h; spec/operation.md §1.5.1). */
#include "cli/input.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../test.h"

struct file {
    char path[64];
    struct arena arena;
    struct slice *names;
    size_t n;
};

static int setup(void **state)
{
    struct file *f = calloc(1, sizeof *f);
    snprintf(f->path, sizeof f->path, "%s", "/tmp/test_input.XXXXXX");
    int fd = mkstemp(f->path);
    close(fd);
    *state = f;
    return fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    struct file *f = *state;
    unlink(f->path);
    arena_free(&f->arena);
    free(f);
    return 0;
}

static void read_text(struct file *f, const char *p, size_t n)
{
    FILE *out = fopen(f->path, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(p, 1, n, out), n);
    fclose(out);
    assert_ok(input_read(f->path, &f->arena, &f->names, &f->n));
}

#define READ(f, text) read_text(f, text, sizeof text - 1)

static void only_the_end_of_a_line_is_removed(void **state)
{
    struct file *f = *state;
    READ(f, "fred\n joe \n\tx#y\n");
    assert_int_equal(f->n, 3);
    assert_slice(f->names[0], "fred");
    assert_slice(f->names[1], " joe ");
    assert_slice(f->names[2], "\tx#y");
}

static void empty_lines_and_comments_are_left_out(void **state)
{
    struct file *f = *state;
    READ(f, "\n#a\nfred\n\n# b\n #c\n");
    assert_int_equal(f->n, 2);
    assert_slice(f->names[0], "fred");
    assert_slice(f->names[1], " #c");
}

static void a_last_line_without_newline_counts(void **state)
{
    struct file *f = *state;
    READ(f, "fred\njoe");
    assert_int_equal(f->n, 2);
    assert_slice(f->names[1], "joe");
}

static void an_empty_file_has_no_names(void **state)
{
    struct file *f = *state;
    READ(f, "");
    assert_int_equal(f->n, 0);
}

static void a_long_line_is_one_name(void **state)
{
    struct file *f = *state;
    char text[5001];
    memset(text, 'u', 5000);
    text[5000] = '\n';
    read_text(f, text, sizeof text);
    assert_int_equal(f->n, 1);
    assert_int_equal(f->names[0].n, 5000);
}

static void a_nul_byte_does_not_cut_a_name(void **state)
{
    struct file *f = *state;
    READ(f, "a\0b\nc\n");
    assert_int_equal(f->n, 2);
    assert_int_equal(f->names[0].n, 3);
    assert_slice(f->names[1], "c");
}

static void what_cannot_be_read_is_named(void **state)
{
    struct file *f = *state;
    assert_err(input_read("/nonexistent/f", &f->arena, &f->names, &f->n), ERR_NONEXISTENT,
               "Unable to open /nonexistent/f: No such file or directory");
    assert_err(input_read("/tmp", &f->arena, &f->names, &f->n), ERR_IO, "Unable to read /tmp: Is a directory");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_the_end_of_a_line_is_removed),
        TEST(empty_lines_and_comments_are_left_out),
        TEST(a_last_line_without_newline_counts),
        TEST(an_empty_file_has_no_names),
        TEST(a_long_line_is_one_name),
        TEST(a_nul_byte_does_not_cut_a_name),
        TEST(what_cannot_be_read_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
