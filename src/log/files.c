/* Locks, names and folders (log/files.h). Any thread. */
#include "log/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fansync/buf.h"
#include "fansync/clock.h"
#include "fansync/mem.h"

#define FIRST_SLEEP_MS 1
#define LONGEST_SLEEP_MS 5

void files_sleep_ms(int64_t ms)
{
    struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };
    nanosleep(&t, NULL);
}

static int set_lock(int fd, short type)
{
    struct flock fl = { .l_type = type, .l_whence = SEEK_SET };
    int r;
    do
        r = fcntl(fd, F_OFD_SETLK, &fl);
    while (r < 0 && errno == EINTR);
    return r;
}

static int try_lock(int fd, short type)
{
    int r = set_lock(fd, type);
    if (r < 0 && errno == EACCES)
        errno = EAGAIN;
    return r;
}

int files_try_lock(int fd)
{
    return try_lock(fd, F_WRLCK);
}

void files_unlock(int fd)
{
    set_lock(fd, F_UNLCK);
}

/* F_OFD_SETLKW cannot time out, so waiting is by trying again. */
static struct err *lock_within(int fd, short type, int64_t wait_ms, const char *path)
{
    int64_t end = clock_ms() + wait_ms;
    for (int64_t ms = FIRST_SLEEP_MS;; ms = ms * 2 < LONGEST_SLEEP_MS ? ms * 2 : LONGEST_SLEEP_MS) {
        if (try_lock(fd, type) == 0)
            return NULL;
        if (errno != EAGAIN)
            return err_errno("Failed to lock %s", path);
        if (clock_ms() >= end)
            return err_new(ERR_BUSY, "Failed to lock %s: locked by another process (waited %lld ms)", path,
                           (long long)wait_ms);
        files_sleep_ms(ms);
    }
}

struct err *files_lock(int fd, int64_t wait_ms, const char *path)
{
    return lock_within(fd, F_WRLCK, wait_ms, path);
}

struct err *files_lock_shared(int fd, int64_t wait_ms, const char *path)
{
    return lock_within(fd, F_RDLCK, wait_ms, path);
}

bool files_same(int fd, const char *path)
{
    struct stat open_st, path_st;
    return fstat(fd, &open_st) == 0 && stat(path, &path_st) == 0 && open_st.st_dev == path_st.st_dev &&
           open_st.st_ino == path_st.st_ino;
}

struct err *files_make_folders(const char *path)
{
    char *folder = mem_strdup(path);
    struct err *e = NULL;
    for (char *slash = strchr(folder + 1, '/'); slash && !e; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(folder, 0700) < 0 && errno != EEXIST)
            e = err_errno("%s: cannot make the folder", folder);
        *slash = '/';
    }
    free(folder);
    return e;
}

bool files_write_all(int fd, struct slice bytes)
{
    while (bytes.n > 0) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        bytes = slice_of(bytes.p + n, bytes.n - (size_t)n);
    }
    return true;
}

char *files_path(const char *folder, const char *name)
{
    struct buf b = BUF_INIT;
    buf_printf(&b, "%s/%s", folder, name);
    char *path = mem_strdup(buf_cstr(&b));
    buf_free(&b);
    return path;
}
