/*
 * The file of one message (spec/store.md §2.7, §5.4), opened from what a snapshot said and
 * without any lock. The sender of messages calls; any thread. The file may be archived,
 * brought back or cleaned up since the snapshot, but its content never changes.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store_internal.h"

static struct err *open_at(struct store *s, struct arena *a, const struct mbentry *e, uint32_t uid, uint32_t flags,
                           const char **path, int *fd)
{
    TRY(paths_message(&s->paths, a, e, uid, flags, path));
    *fd = open(*path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK); /* a fifo would never open else */
    return *fd < 0 ? err_errno("%s: cannot open", *path) : NULL;
}

static struct err *open_anywhere(struct store *s, struct arena *a, const struct mbentry *e, uint32_t uid,
                                 uint32_t flags, const char **path, int *fd)
{
    struct err *err = open_at(s, a, e, uid, flags, path, fd);
    if (s->paths.archive && err_take(&err, ERR_NONEXISTENT))
        err = open_at(s, a, e, uid, flags ^ REC_ARCHIVED, path, fd);
    if (err && err->kind == ERR_NONEXISTENT)
        err->kind = ERR_BUSY; /* cleaned up since; a new snapshot will not have it */
    return err;
}

static struct err *check_size(int fd, const char *path, uint64_t size)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_errno("%s: cannot stat", path);
    if (!S_ISREG(st.st_mode))
        return err_new(ERR_CORRUPT, "%s: is no file", path);
    if ((uint64_t)st.st_size != size)
        return err_new(ERR_CORRUPT, "%s: has %llu bytes, its record says %llu", path,
                       (unsigned long long)st.st_size, (unsigned long long)size);
    return NULL;
}

struct err *store_message_open(struct store *s, const struct mbentry *e, uint32_t uid, uint32_t flags, uint64_t size,
                               int *fd)
{
    struct arena a = ARENA_INIT;
    const char *path = NULL;
    struct err *err = open_anywhere(s, &a, e, uid, flags, &path, fd);
    if (!err) {
        err = check_size(*fd, path, size);
        if (err)
            close(*fd);
    }
    arena_free(&a);
    return err;
}
