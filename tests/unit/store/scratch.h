/* For the store's tests: a folder of their own, and files in it. */
#ifndef TEST_SCRATCH_H
#define TEST_SCRATCH_H

#include "../test.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "fansync/slice.h"

static char scratch[64];

static inline int scratch_setup(void **state)
{
    (void)state;
    strcpy(scratch, "/tmp/fansync-store.XXXXXX");
    return mkdtemp(scratch) ? 0 : -1;
}

static inline int scratch_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline int scratch_teardown(void **state)
{
    (void)state;
    return nftw(scratch, scratch_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* The path of a name in the folder; the last few stay valid. */
static inline const char *scratch_path(const char *name)
{
    static char paths[8][512];
    static int next;
    char *p = paths[next++ % 8];
    snprintf(p, sizeof paths[0], "%s/%s", scratch, name);
    return p;
}

/* Writes a file as one that was renamed into place, the folders above it made. */
static inline const char *scratch_write(const char *name, const void *data, size_t n)
{
    const char *path = scratch_path(name);
    char temp[600];
    for (char *s = strchr(path + strlen(scratch) + 1, '/'); s; s = strchr(s + 1, '/')) {
        *s = '\0';
        mkdir(path, 0700);
        *s = '/';
    }
    snprintf(temp, sizeof temp, "%s.NEW", path);
    int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, n), (ssize_t)n);
    close(fd);
    assert_int_equal(rename(temp, path), 0);
    return path;
}

static inline const char *scratch_write_text(const char *name, const char *text)
{
    return scratch_write(name, text, strlen(text));
}

#endif
