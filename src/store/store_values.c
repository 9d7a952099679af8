/*
 * The two numbers of a mailbox's header that lie in its owner's files: XCONVMODSEQ in the
 * conversations database (spec/store.md §6.6), RACLMODSEQ in the counters file (§6.5);
 * and the reading of files that are always read whole. The mailbox snapshot calls; any
 * thread. Both numbers exist only with the option conversations.
 */
#include "store/store_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>
#include "store/db_internal.h"

#define SMALL_FILE 65536
#define READ_SIZE 4096

struct err *store_read_small(const char *path, struct buf *out, bool *found)
{
    struct err *e = NULL;
    ssize_t n = READ_SIZE; /* less comes at the end only */
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    *found = fd >= 0;
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? NULL : err_errno("%s: cannot open", path);
    while (!e && (n == READ_SIZE || n < 0)) {
        n = read(fd, buf_reserve(out, READ_SIZE), READ_SIZE);
        if (n < 0 && errno != EINTR)
            e = err_errno("%s: cannot read", path);
        else if (n > 0)
            buf_added(out, (size_t)n);
        if (!e && buf_len(out) > SMALL_FILE)
            e = err_new(ERR_CORRUPT, "%s: is too long to be what it should be", path);
    }
    close(fd);
    return e;
}

/* ---- conversations ---- */

struct err *store_xconvmodseq(struct store *s, const struct mbentry *e, uint64_t *out)
{
    struct arena a = ARENA_INIT;
    const char *path = NULL;
    struct err *err = NULL;
    *out = 0;
    if (!s->conversations || e->kind == 's')
        return NULL;
    struct mbname m = names_from_internal(&a, &s->names, e->name);
    if (m.localpart.n && !m.deleted_time) {
        err = store_user_file(s, &a, &m, "conversations", &path);
        if (!err)
            err = folder_modseq_get(&s->folder_modseqs, path, s->text_conversations, e, out);
    }
    arena_free(&a);
    return err;
}

/* ---- counters ---- */

#define HIGHEST_AT 8
#define RACL_AT 88
#define TRAILER 8 /* uidvalidity and CRC */
#define FIRST_VERSION_WITH_RACL 4

/* By version: the whole length, trailer included. */
static const size_t COUNTERS_LENGTH[] = { 48, 56, 64, 88, 104, 120, 200, 232, 264, 296 };

struct counters {
    uint64_t highest;
    uint64_t racl;
};

static struct err *parse_counters(struct slice b, struct counters *out)
{
    if (b.n < COUNTERS_LENGTH[0])
        return err_new(ERR_CORRUPT, "offset %zu: is cut off", b.n);
    uint32_t version = be32(b.p + 4);
    if (version >= sizeof COUNTERS_LENGTH / sizeof *COUNTERS_LENGTH)
        return err_new(ERR_NOTSUPPORTED, "offset 4: counters of version %" PRIu32, version);
    size_t length = COUNTERS_LENGTH[version];
    if (b.n != length)
        return err_new(ERR_CORRUPT, "offset %zu: is %zu bytes long instead of %zu", b.n, b.n, length);
    if (crc32_add(0, b.p, length - 4) != be32(b.p + length - 4))
        return err_new(ERR_CORRUPT, "offset %zu: the checksum is wrong", length - 4);
    out->highest = be64(b.p + HIGHEST_AT);
    if (version >= FIRST_VERSION_WITH_RACL)
        out->racl = be64(b.p + RACL_AT);
    return NULL;
}

static struct err *read_counters(struct store *s, struct arena *a, const struct mbname *m, struct counters *out)
{
    const char *path = NULL;
    struct buf b = BUF_INIT;
    bool found = false;
    TRY(store_user_file(s, a, m, "counters", &path));
    struct err *e = store_read_small(path, &b, &found);
    if (!e && found)
        e = parse_counters(buf_slice(&b), out);
    buf_free(&b);
    return e ? err_wrap(e, "%s", path) : NULL;
}

struct err *store_raclmodseq(struct store *s, const struct mbentry *e, uint64_t *out)
{
    struct arena a = ARENA_INIT;
    struct counters c = { 0, 0 };
    struct err *err = NULL;
    if (s->conversations) {
        struct mbname m = names_from_internal(&a, &s->names, e->name);
        if (m.localpart.n && !m.deleted_time && m.nboxes == 0)
            err = read_counters(s, &a, &m, &c);
    }
    *out = c.racl;
    arena_free(&a);
    return err;
}

struct err *store_owner_modseq(struct store *s, struct slice name, uint64_t *out)
{
    struct arena a = ARENA_INIT;
    struct counters c = { 0, 0 };
    struct err *err = NULL;
    if (s->conversations) {
        struct mbname m = names_from_internal(&a, &s->names, name);
        if (m.localpart.n)
            err = read_counters(s, &a, &m, &c);
    }
    *out = c.highest;
    arena_free(&a);
    return err;
}
