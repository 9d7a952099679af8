/* Whether a file is what it was when it was read: its inode, size and times. Pure. */
#ifndef STORE_SAME_FILE_H
#define STORE_SAME_FILE_H

#include <stdbool.h>
#include <sys/stat.h>

static inline bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static inline bool stat_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           same_time(a->st_mtim, b->st_mtim) && same_time(a->st_ctim, b->st_ctim);
}

#endif
