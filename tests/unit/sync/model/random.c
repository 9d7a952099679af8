/* Making histories by chance, making failing ones short, and printing them (history.h). */
#include "history.h"

#include <stdio.h>
#include <string.h>

static const char *const kind_names[] = {
    "OP_APPEND", "OP_COPY", "OP_FLAG", "OP_KEYWORD", "OP_ANNOTATE", "OP_EXPUNGE", "OP_UNLINK", "OP_FORGET",
    "OP_METADATA", "OP_CREATE", "OP_DELETE", "OP_DELAYED", "OP_RENAME", "OP_ACL", "OP_OPTIONS", "OP_SELECT",
    "OP_POP3", "OP_VALIDITY", "OP_QUOTA", "OP_SUB", "OP_SEEN", "OP_GIVE", "OP_RENAME_USER", "OP_DELETE_USER",
    "OP_EXPIRE", "OP_PARTITION", "OP_SYNC", "OP_KILL", "OP_CUT", "OP_LOSE",
    "OP_LOCKED", "OP_ALONE", "OP_DAMAGE",
};
static const char *const mode_names[] = { "ONE_WAY", "TWO_WAY", "NO_COPYBACK", "FORCED" };

/* splitmix64: every seed is as good as the next. */
static uint64_t next(uint64_t *s)
{
    uint64_t z = *s += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static unsigned below(uint64_t *s, unsigned n)
{
    return (unsigned)(next(s) % n);
}

/* How often each kind of edit comes. */
static const struct { enum op_kind kind; unsigned weight; } weights[] = {
    { OP_APPEND, 24 }, { OP_COPY, 5 },     { OP_FLAG, 16 },  { OP_KEYWORD, 6 }, { OP_ANNOTATE, 6 }, { OP_EXPUNGE, 14 },
    { OP_UNLINK, 3 },  { OP_FORGET, 5 },   { OP_METADATA, 3 }, { OP_CREATE, 4 }, { OP_DELETE, 1 }, { OP_DELAYED, 2 },
    { OP_RENAME, 3 },  { OP_ACL, 2 },      { OP_OPTIONS, 1 }, { OP_SELECT, 1 },  { OP_POP3, 1 },   { OP_VALIDITY, 1 },
    { OP_QUOTA, 2 },   { OP_SUB, 2 },      { OP_SEEN, 2 },  { OP_GIVE, 2 },     { OP_RENAME_USER, 1 },
    { OP_DELETE_USER, 1 }, { OP_EXPIRE, 1 }, { OP_PARTITION, 2 },
};

static enum op_kind random_kind(uint64_t *s)
{
    unsigned sum = 0, k = 0;
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++)
        sum += weights[i].weight;
    for (unsigned at = below(s, sum); at >= weights[k].weight; k++)
        at -= weights[k].weight;
    return weights[k].kind;
}

/*
 * A replica's folder that is removed and made again in the middle of a pass has a new history. Recent
 * values, those of POP3 and the uidvalidity change without a new modseq: no SINCE_* of a copyback
 * notices, and the older ones are written back.
 */
static bool may_come_late(const struct op *op, enum history_mode mode)
{
    if ((op->kind == OP_DELETE || op->kind == OP_DELETE_USER) && mode == TWO_WAY)
        return false; /* a copyback at that very moment makes the folder anew: no SINCE_* prevents it */
    bool unnoticed = op->kind == OP_SELECT || op->kind == OP_POP3 || op->kind == OP_VALIDITY;
    return op->side == MASTER ? !unnoticed : op->kind <= OP_METADATA;
}

/* New messages are each their own, but a few that both sides may get. */
static struct op random_edit(uint64_t *s, enum history_mode mode, unsigned serial)
{
    struct op op = { random_kind(s), MASTER, 0, below(s, 3) == 0 ? below(s, 4) : below(s, 2), below(s, 1000), 0 };
    if (mode != ONE_WAY)
        op.side = (int)below(s, 2);
    else if (op.kind == OP_UNLINK || op.kind == OP_FORGET)
        op.side = (int)below(s, 2); /* every host cleans up by itself */
    op.user = below(s, 5) == 0;
    if (op.kind == OP_APPEND)
        op.arg = below(s, 5) == 0 ? 1 + below(s, 3) : 64 + serial;
    if (op.kind == OP_RENAME)
        op.arg = 1 + below(s, 3);
    if (op.side == REPLICA && (op.kind == OP_CREATE || op.kind == OP_RENAME)) {
        op.box = op.kind == OP_CREATE ? 4 + below(s, 2) : op.box;
        op.arg = 4 + below(s, 2); /* names that the master does not use */
    }
    if (op.kind == OP_GIVE)
        op.arg = 1 + below(s, 3);
    if (op.kind == OP_RENAME_USER || op.kind == OP_DELETE_USER)
        op.user = below(s, MODEL_USERS);
    if (op.side == REPLICA && (op.kind == OP_QUOTA || op.kind == OP_SUB || op.kind == OP_SEEN || op.kind == OP_GIVE ||
                               op.kind == OP_RENAME_USER || op.kind == OP_DELETE_USER || op.kind == OP_PARTITION))
        op.side = MASTER; /* the master's word is taken; what only the replica has may stay */
    return op;
}

static void add_pass(uint64_t *s, struct op *room, size_t *n)
{
    static const enum op_kind faults[] = { OP_KILL, OP_KILL, OP_KILL, OP_CUT, OP_CUT, OP_LOSE, OP_LOCKED, OP_ALONE,
                                           OP_DAMAGE };
    if (below(s, 2) == 0)
        room[(*n)++] = (struct op){ faults[below(s, 9)], 0, below(s, 2), below(s, 3), 0,
                                    1 + below(s, below(s, 2) ? 12 : 40) };
    room[(*n)++] = (struct op){ OP_SYNC, 0, 0, 0, 0, 0 };
}

void history_random(uint64_t seed, struct history *h, struct op *room)
{
    uint64_t s = seed;
    static const enum history_mode modes[] = { TWO_WAY, TWO_WAY, TWO_WAY, TWO_WAY, ONE_WAY, ONE_WAY, NO_COPYBACK,
                                               FORCED };
    *h = (struct history){ .mode = modes[below(&s, 8)], .op = room };
    h->batchsize = below(&s, 3) ? 0 : 1 + below(&s, 3);
    h->raises_folders = h->mode != ONE_WAY && below(&s, 4) == 0;
    h->unmailbox_id = below(&s, 3) == 0;
    h->conversations = below(&s, 2) == 0;
    h->long_thrid = below(&s, 4) == 0;
    h->skew = (int)below(&s, 3) ? 0 : (int)below(&s, 41) - 20;
    unsigned edits = 1 + below(&s, below(&s, 2) ? 10 : 40);
    bool races = below(&s, 3) == 0;
    for (unsigned k = 0; k < edits; k++) {
        struct op op = random_edit(&s, h->mode, k);
        if (races && may_come_late(&op, h->mode) && below(&s, 6) == 0)
            op.at = 1 + below(&s, 20);
        room[h->n++] = op;
        if (h->n + 4 < MOST_OPS && below(&s, 8) == 0)
            add_pass(&s, room, &h->n);
        if (h->n + 4 >= MOST_OPS)
            break;
    }
    if (below(&s, 2))
        add_pass(&s, room, &h->n);
}

/* ---- making short ---- */

static bool still_fails(const struct history *h)
{
    return history_run(h) != NULL;
}

static bool try_without(struct history *h, struct op *room, size_t i, size_t count)
{
    struct op kept[MOST_OPS];
    size_t n = h->n;
    memcpy(kept, room, n * sizeof *room);
    memmove(&room[i], &room[i + count], (n - i - count) * sizeof *room);
    h->n = n - count;
    if (still_fails(h))
        return true;
    memcpy(room, kept, n * sizeof *room);
    h->n = n;
    return false;
}

void history_shrink(struct history *h, struct op *room)
{
    bool shorter = true;
    for (size_t count = h->n / 2; count > 1; count /= 2)
        for (size_t i = 0; i + count <= h->n;)
            if (!try_without(h, room, i, count))
                i += count;
    while (shorter) {
        shorter = false;
        for (size_t i = h->n; i-- > 0;)
            shorter |= try_without(h, room, i, 1);
    }
    struct history plain = *h;
    plain.skew = 0;
    if (still_fails(&plain))
        h->skew = 0;
    plain = *h;
    plain.raises_folders = false;
    if (still_fails(&plain))
        h->raises_folders = false;
    plain = *h;
    plain.unmailbox_id = false;
    if (still_fails(&plain))
        h->unmailbox_id = false;
    plain = *h;
    plain.conversations = false;
    if (still_fails(&plain))
        h->conversations = false;
    plain = *h;
    plain.long_thrid = false;
    if (still_fails(&plain))
        h->long_thrid = false;
    plain = *h;
    plain.batchsize = 0;
    if (still_fails(&plain))
        h->batchsize = 0;
}

void history_print(const struct history *h)
{
    printf("    { .name = \"...\", .mode = %s, .batchsize = %u, .skew = %d, .raises_folders = %d, .unmailbox_id = %d,\n"
           "      .conversations = %d, .long_thrid = %d,\n      OPS(",
           mode_names[h->mode], h->batchsize, h->skew, h->raises_folders, h->unmailbox_id, h->conversations,
           h->long_thrid);
    for (size_t i = 0; i < h->n; i++) {
        const struct op *o = &h->op[i];
        printf("%s{ %s, %s, %u, %u, %u, %u }", i ? ",\n          " : "", kind_names[o->kind],
               o->side == MASTER ? "MASTER" : "REPLICA", o->user, o->box, o->arg, o->at);
    }
    printf(") },\n");
}
