/*
 * Taking and leaving Cyrus's locks (spec/store.md §7). Called by everything in this room
 * that reads a file which Cyrus locks; any thread. F_OFD_SETLKW cannot time out and the
 * kernel looks for no deadlocks among these locks, so waiting is by trying again.
 */
#include "store/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fansync/clock.h"

#define FIRST_SLEEP_MS 1
#define LONGEST_SLEEP_MS 50
#define MOST_REPLACEMENTS 100 /* of a file between open and lock, before we give up */

static int try_lock(int fd, short type)
{
    struct flock fl = { .l_type = type, .l_whence = SEEK_SET };
    return fcntl(fd, F_OFD_SETLK, &fl);
}

static void sleep_ms(int64_t ms)
{
    struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };
    nanosleep(&t, NULL);
}

struct err *lock_fd(int fd, enum lock_mode mode, int64_t wait_ms, const char *what)
{
    short type = mode == LOCK_SHARED ? F_RDLCK : F_WRLCK;
    int64_t end = clock_ms() + wait_ms;
    for (int64_t ms = FIRST_SLEEP_MS;; ms = ms * 2 < LONGEST_SLEEP_MS ? ms * 2 : LONGEST_SLEEP_MS) {
        if (try_lock(fd, type) == 0)
            return NULL;
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN && errno != EACCES)
            return err_errno("%s: cannot lock", what);
        int64_t left = end - clock_ms();
        if (left <= 0)
            return err_new(ERR_BUSY, "%s: locked by another process (waited %lld ms)", what,
                           (long long)wait_ms);
        sleep_ms(ms < left ? ms : left);
    }
}

void lock_drop(int fd)
{
    try_lock(fd, F_UNLCK);
}

static bool same_file(int fd, const char *path)
{
    struct stat open_st, path_st;
    return fstat(fd, &open_st) == 0 && stat(path, &path_st) == 0 && open_st.st_dev == path_st.st_dev &&
           open_st.st_ino == path_st.st_ino;
}

struct err *lock_open(const char *path, int flags, enum lock_mode mode, int64_t wait_ms, int *fd)
{
    for (int i = 0; i < MOST_REPLACEMENTS; i++) {
        *fd = open(path, flags | O_CLOEXEC);
        if (*fd < 0)
            return err_errno("%s: cannot open", path);
        struct err *e = lock_fd(*fd, mode, wait_ms, path);
        if (!e && same_file(*fd, path))
            return NULL;
        close(*fd);
        *fd = -1;
        TRY(e);
    }
    return err_new(ERR_BUSY, "%s: is replaced faster than it can be locked", path);
}

/* Makes the folders above path that are missing. */
static struct err *make_folders(const struct paths *p, const char *path)
{
    char *folder = strdup(path);
    struct err *e = NULL;
    for (char *slash = folder ? strchr(folder + 1, '/') : NULL; slash && !e; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(folder, 0755 & ~p->umask) < 0 && errno != EEXIST)
            e = err_errno("%s: cannot make the folder", folder);
        *slash = '/';
    }
    free(folder);
    return e;
}

static int open_lock_file(const struct paths *p, const char *path)
{
    return open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666 & ~p->umask);
}

struct err *lock_file(const struct paths *p, const char *path, enum lock_mode mode, int64_t wait_ms, int *fd)
{
    *fd = open_lock_file(p, path);
    if (*fd < 0 && errno == ENOENT) {
        TRY(make_folders(p, path));
        *fd = open_lock_file(p, path);
    }
    if (*fd < 0)
        return err_errno("%s: cannot open the lock file", path);
    struct err *e = lock_fd(*fd, mode, wait_ms, path);
    if (e) {
        close(*fd);
        *fd = -1;
    }
    return e;
}

static struct err *lock_name_shared(const struct paths *p, struct slice name, int *fd)
{
    struct arena a = ARENA_INIT;
    const char *path = NULL;
    struct err *e = paths_lock_file(p, &a, name, &path);
    if (!e)
        e = lock_file(p, path, LOCK_SHARED, LOCK_WAIT_MS, fd);
    arena_free(&a);
    return e;
}

struct err *lock_mailbox_name(const struct paths *p, const struct mbentry *e, int *fd)
{
    struct slice name = e->flags & MB_LEGACY ? e->name : e->uniqueid;
    *fd = -1;
    /* A '/' may stand in the name of a lock, never in a mailbox's. */
    if (name.n == 0 || memchr(name.p, '/', name.n))
        return err_new(ERR_CORRUPT, "\"" SLICE_FMT "\" cannot be the name of a lock", SLICE_ARG(name));
    return lock_name_shared(p, name, fd);
}

/* A parent that holds the lock says so (cyr_withlock_run); its child then uses a name of
 * its own (spec/store.md §7.2). */
static const char *suffix_for(struct slice userid)
{
    const char *held = getenv("CYRUS_HAVELOCK_USER");
    return held && userid.n && slice_eqs(userid, held) ? "~" : "";
}

static struct err *lock_both_names(const struct paths *p, struct arena *a, const struct mbname *m,
                                   struct namespace_lock *l)
{
    struct slice userid = names_userid(a, m);
    const struct mbname inbox = { .domain = m->domain, .localpart = m->localpart };
    struct slice until_310 = paths_lock_part(a, userid);
    if (userid.n && memchr(userid.p, '/', userid.n))
        return err_new(ERR_CORRUPT, "\"" SLICE_FMT "\" cannot be a user", SLICE_ARG(userid));
    TRY(lock_name_shared(p, arena_printf(a, "*U*" SLICE_FMT "%s", SLICE_ARG(until_310), suffix_for(userid)),
                         &l->fd[0]));
    if (userid.n == 0)
        return NULL; /* the name for shared mailboxes is the same in all versions */
    struct slice since_312 = names_to_internal(a, p->names, &inbox);
    return lock_name_shared(
        p, arena_printf(a, "*U*" SLICE_FMT "%s", SLICE_ARG(since_312), suffix_for(userid)), &l->fd[1]);
}

struct err *lock_namespace(const struct paths *p, const struct mbname *m, struct namespace_lock *out)
{
    struct arena a = ARENA_INIT;
    *out = (struct namespace_lock)NAMESPACE_LOCK_INIT;
    struct err *e = lock_both_names(p, &a, m, out);
    if (e)
        lock_namespace_drop(out);
    arena_free(&a);
    return e;
}

void lock_namespace_drop(struct namespace_lock *l)
{
    for (int i = 1; i >= 0; i--) {
        if (l->fd[i] >= 0)
            close(l->fd[i]);
        l->fd[i] = -1;
    }
}
