/*
 * The order of renames (spec/algorithm.md §2.2): each one waits until the mailbox that has
 * its name has moved away; a cycle is opened by moving one member aside first. Pure.
 */
#include "fansync/diff.h"

#include "fansync/map.h"

struct orderer {
    struct arena *a;
    struct rename_op *out;
    size_t nout;
    struct map at; /* name -> the op whose mailbox still has that name */
};

struct pending {
    struct rename_op op;
    enum { WAITING, UNDER_WAY, ASIDE, DONE } state;
};

static void emit(struct orderer *o, const struct rename_op *op)
{
    o->out[o->nout++] = *op;
}

/* Beside the mailbox, so that it stays in its owner's tree (an INBOX is never in a cycle); the
 * uniqueid makes it a name that exists on neither side. */
static struct slice aside_name(struct arena *a, const struct rename_op *op)
{
    return arena_printf(a, SLICE_FMT "-swap-" SLICE_FMT, SLICE_ARG(op->from), SLICE_ARG(op->uniqueid));
}

static void move_aside(struct orderer *o, struct pending *p)
{
    struct rename_op first = p->op;
    first.to = aside_name(o->a, &p->op);
    emit(o, &first);
    p->op.from = first.to;
    p->state = ASIDE;
}

/* Follows the chain of occupied targets to its end, then works back. */
static void place(struct orderer *o, struct pending *start)
{
    struct pending *chain = start;
    size_t depth = 0;
    struct pending **stack = arena_array(o->a, o->at.n + 1, sizeof(struct pending *));
    while (chain && chain->state == WAITING) {
        chain->state = UNDER_WAY;
        stack[depth++] = chain;
        struct pending *occupant = slice_eq(chain->op.from, chain->op.to) ? NULL : map_get(&o->at, chain->op.to);
        if (occupant && occupant->state == UNDER_WAY)
            move_aside(o, occupant); /* a cycle has come round */
        chain = occupant;
    }
    while (depth > 0) {
        struct pending *p = stack[--depth];
        emit(o, &p->op);
        p->state = DONE;
    }
}

struct rename_op *diff_order_renames(struct arena *a, const struct rename_op *ops, size_t n, size_t *nout)
{
    struct orderer o = { a, arena_array(a, 2 * n, sizeof *o.out), 0, MAP_INIT };
    struct pending *p = arena_array(a, n, sizeof *p);
    for (size_t i = 0; i < n; i++) {
        p[i] = (struct pending){ ops[i], WAITING };
        map_put(&o.at, p[i].op.from, &p[i]);
    }
    for (size_t i = 0; i < n; i++)
        if (p[i].state == WAITING)
            place(&o, &p[i]);
    map_free(&o.at);
    *nout = o.nout;
    return o.out;
}
