/*
 * The lock that keeps two clients of one replica off the same user (spec/operation.md
 * §3.5, spec/store.md §7.2). The engine takes it before anything of the user is read and
 * holds it while it talks to the replica; the only lock for which that is so.
 */
#include "store/store_internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "fansync/mem.h"

struct user_lock {
    int global; /* $GLOBAL, shared: demanded before any exclusive name lock since 3.12 */
    int fd;
};

static struct err *lock_by_name(struct store *s, struct arena *a, struct slice name, enum lock_mode mode,
                                bool wait, int *fd)
{
    const char *path = NULL;
    TRY(paths_lock_file(&s->paths, a, name, &path));
    struct err *e = lock_file(&s->paths, path, mode, wait ? LOCK_WAIT_MS : 0, fd);
    if (!wait && err_take(&e, ERR_BUSY))
        return err_new(ERR_LOCKED, "%s: locked by another client", path);
    return e;
}

static struct err *take(struct store *s, struct arena *a, struct slice host, struct slice userid, bool wait,
                        struct user_lock *l)
{
    const char *parent_holds = getenv("CYRUS_HAVELOCK_GLOBAL");
    struct slice name = arena_printf(a, "*S*" SLICE_FMT "*" SLICE_FMT, SLICE_ARG(paths_lock_part(a, host)),
                                     SLICE_ARG(paths_lock_part(a, userid)));
    if (!parent_holds || strcmp(parent_holds, "1") != 0)
        TRY(lock_by_name(s, a, slice_str("$GLOBAL"), LOCK_SHARED, wait, &l->global));
    return lock_by_name(s, a, name, LOCK_EXCLUSIVE, wait, &l->fd);
}

struct err *store_user_lock(struct store *s, struct slice host, struct slice userid, bool wait,
                            struct user_lock **out)
{
    struct arena a = ARENA_INIT;
    struct user_lock *l = mem_alloc(sizeof *l);
    *l = (struct user_lock){ -1, -1 };
    struct err *e = take(s, &a, host, userid, wait, l);
    arena_free(&a);
    *out = l;
    if (e) {
        store_user_unlock(l);
        *out = NULL;
    }
    return e;
}

void store_user_unlock(struct user_lock *l)
{
    if (!l)
        return;
    if (l->fd >= 0)
        close(l->fd);
    if (l->global >= 0)
        close(l->global);
    free(l);
}
