/*
 * What the replica state cache costs: look-ups and commits of the shipped one (SQLite, src/sync/cache.c)
 * beside the least that LMDB, which it was before, needs for the same bytes. Prints CPU microseconds an
 * operation and the ratio; docs/decisions/cache.md has the figures that decided.
 *
 *   make bench/cache && bench/cache [mailboxes]         (needs liblmdb-dev; the program does not)
 */
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fansync/cache.h"
#include "fansync/mem.h"

enum { LOOKUPS = 200000, CHANGES = 20000, RUNS = 5 };

struct lmdb {
    MDB_env *env;
    MDB_dbi dbi;
};

static char folder[] = "/dev/shm/fansync-bench-XXXXXX";
static unsigned mailboxes = 100000;

static double cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void must(int rc)
{
    if (rc) {
        fprintf(stderr, "lmdb: %s\n", mdb_strerror(rc));
        exit(1);
    }
}

static struct slice name_of(unsigned i, char *room)
{
    int n = sprintf(room, "user.u%07u.Folder %u", i / 8, i % 8);
    return slice_of(room, (size_t)n);
}

static struct replica_mailbox mailbox_of(struct slice name, unsigned i)
{
    return (struct replica_mailbox){
        .name = name, .uniqueid = slice_str("8mpke3y9a1fnnv3qq15v8inm"), .partition = slice_str("default"),
        .acl = slice_str("u0000001\tlrswipkxtecdan\tanyone\tlr\t"), .options = slice_str("P"), .last_uid = i,
        .highestmodseq = 1000u + i, .uidvalidity = 1795442848, .sync_crc = i * 2654435761u, .sync_crc_annot = i,
        .foldermodseq = 1,
    };
}

/* ---- the shipped cache ---- */

static void put_ours(struct cache *c, struct cache_changes *l, unsigned first, unsigned n)
{
    char room[64];
    for (unsigned k = 0; k < n; k++) {
        struct slice name = name_of((first + k) % mailboxes, room);
        struct replica_mailbox m = mailbox_of(name, first + k);
        cache_put(l, name, &m);
    }
    cache_commit(c, l);
}

static double look_up_ours(struct cache *c)
{
    struct arena a = ARENA_INIT;
    char room[64];
    double before = cpu();
    for (unsigned k = 0; k < LOOKUPS; k++) {
        struct replica_mailbox m;
        if (!cache_get(c, &a, name_of((unsigned)rand() % mailboxes, room), &m))
            exit(1);
        arena_reset(&a);
    }
    double used = cpu() - before;
    arena_free(&a);
    return used / LOOKUPS;
}

/* ---- LMDB, with the bytes as they are: no reading of the value, no CRC ---- */

static void open_lmdb(struct lmdb *l)
{
    char path[128];
    MDB_txn *txn;
    snprintf(path, sizeof path, "%s/lmdb", folder);
    must(mdb_env_create(&l->env));
    must(mdb_env_set_mapsize(l->env, (size_t)4 << 30));
    must(mdb_env_open(l->env, path, MDB_NOSUBDIR | MDB_NOSYNC | MDB_NOTLS, 0600));
    must(mdb_txn_begin(l->env, NULL, 0, &txn));
    must(mdb_dbi_open(txn, NULL, 0, &l->dbi));
    must(mdb_txn_commit(txn));
}

static void put_lmdb(struct lmdb *l, unsigned first, unsigned n)
{
    char room[64], value[300];
    MDB_txn *txn;
    memset(value, 'v', sizeof value);
    must(mdb_txn_begin(l->env, NULL, 0, &txn));
    for (unsigned k = 0; k < n; k++) {
        struct slice name = name_of((first + k) % mailboxes, room);
        MDB_val key = { name.n, room }, data = { sizeof value, value };
        must(mdb_put(txn, l->dbi, &key, &data, 0));
    }
    must(mdb_txn_commit(txn));
}

static double look_up_lmdb(struct lmdb *l)
{
    char room[64];
    double before = cpu();
    for (unsigned k = 0; k < LOOKUPS; k++) {
        MDB_txn *txn;
        struct slice name = name_of((unsigned)rand() % mailboxes, room);
        MDB_val key = { name.n, room }, data;
        must(mdb_txn_begin(l->env, NULL, MDB_RDONLY, &txn));
        must(mdb_get(txn, l->dbi, &key, &data));
        mdb_txn_abort(txn);
    }
    return (cpu() - before) / LOOKUPS;
}

/* ---- comparing ---- */

static int by_value(const void *x, const void *y)
{
    const double *a = x, *b = y;
    return (*a > *b) - (*a < *b);
}

static double median(double *v)
{
    qsort(v, RUNS, sizeof *v, by_value);
    return v[RUNS / 2];
}

static void print(const char *what, double *ours, double *lmdb)
{
    double x = median(ours), y = median(lmdb);
    printf("%-34s %8.2f %8.2f %8.1f\n", what, x, y, x / y);
}

static void compare_commits(struct cache *c, struct cache_changes *changes, struct lmdb *l, unsigned size)
{
    double ours[RUNS], lmdb[RUNS];
    char what[64];
    for (int run = 0; run < RUNS; run++) {
        unsigned first = (unsigned)rand() % mailboxes;
        double t = cpu();
        for (unsigned k = 0; k < CHANGES; k += size)
            put_ours(c, changes, first + k, size);
        ours[run] = (cpu() - t) / CHANGES;
        t = cpu();
        for (unsigned k = 0; k < CHANGES; k += size)
            put_lmdb(l, first + k, size);
        lmdb[run] = (cpu() - t) / CHANGES;
    }
    snprintf(what, sizeof what, "change, commits of %u", size);
    print(what, ours, lmdb);
}

int main(int argc, char **argv)
{
    struct cache *c;
    struct cache_changes changes;
    struct lmdb l;
    char path[128];
    double ours[RUNS], lmdb[RUNS];
    if (argc > 1)
        mailboxes = (unsigned)atoi(argv[1]);
    if (mailboxes == 0 || !mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/cache", folder);
    struct err *err = cache_open(path, "bench", &c);
    if (err) {
        fprintf(stderr, "%s\n", err->msg);
        return 1;
    }
    cache_changes_init(&changes);
    open_lmdb(&l);
    put_ours(c, &changes, 0, mailboxes);
    put_lmdb(&l, 0, mailboxes);
    printf("%-34s %8s %8s %8s\n", "CPU us", "cache", "LMDB", "ratio");
    for (int run = 0; run < RUNS; run++) {
        ours[run] = look_up_ours(c);
        lmdb[run] = look_up_lmdb(&l);
    }
    print("look-up (ours: and reading it)", ours, lmdb);
    compare_commits(c, &changes, &l, 1);
    compare_commits(c, &changes, &l, 64);
    cache_changes_free(&changes);
    cache_close(c);
    mdb_env_close(l.env);
    fflush(stdout);
    execlp("rm", "rm", "-rf", folder, (char *)NULL);
    return 1;
}
