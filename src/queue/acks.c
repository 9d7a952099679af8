/*
 * Acknowledgement of log segments (fansync/acks.h). The tailer opens and closes
 * slots; the queue takes and releases them, senders in their own threads.
 *
 * Invariant 1 of the design rests on this: the count of a slot is above one from the first push
 * until nothing on the channel needs the segment any more.
 */
#include "fansync/acks.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "fansync/mem.h"

/* On a cache line of its own: several senders count at the same time. */
struct slot {
    _Alignas(64) atomic_long holds; /* 0: closed; the opener's is one of them */
};

struct acks {
    struct slot slots[ACKS_SLOTS];
    int fd;
};

struct acks *acks_new(int settled_fd)
{
    struct acks *a = aligned_alloc(_Alignof(struct acks), sizeof *a);
    if (!a)
        mem_overflow();
    for (unsigned i = 0; i < ACKS_SLOTS; i++)
        atomic_init(&a->slots[i].holds, 0);
    a->fd = settled_fd;
    return a;
}

void acks_free(struct acks *a)
{
    free(a);
}

int acks_open(struct acks *a)
{
    for (unsigned i = 0; i < ACKS_SLOTS; i++) {
        /* relaxed: only we open and close */
        if (atomic_load_explicit(&a->slots[i].holds, memory_order_relaxed) != 0)
            continue;
        atomic_store_explicit(&a->slots[i].holds, 1, memory_order_relaxed); /* nobody else has it yet */
        return (int)i;
    }
    return -1;
}

void acks_take(struct acks *a, unsigned slot)
{
    /* relaxed: who takes holds already, so this cannot be the move that matters; the hold
     * reaches another thread with the action that carries it */
    long before = atomic_fetch_add_explicit(&a->slots[slot].holds, 1, memory_order_relaxed);
    assert(before > 0);
    (void)before;
}

void acks_release(struct acks *a, unsigned slot)
{
    /* release: what was done for the records comes before; acquire, for the last one: it
     * answers for all others before it signals */
    long before = atomic_fetch_sub_explicit(&a->slots[slot].holds, 1, memory_order_acq_rel);
    assert(before > 1);
    if (before == 2 && a->fd >= 0) {
        uint64_t one = 1;
        /* fails only when the counter is full, and then it is readable already */
        ssize_t n = write(a->fd, &one, sizeof one);
        (void)n;
    }
}

void acks_take_all(struct acks *a, uint32_t slots)
{
    if (!a)
        return;
    for (; slots; slots &= slots - 1)
        acks_take(a, (unsigned)__builtin_ctz(slots));
}

void acks_release_all(struct acks *a, uint32_t slots)
{
    if (!a)
        return;
    for (; slots; slots &= slots - 1)
        acks_release(a, (unsigned)__builtin_ctz(slots));
}

long acks_unsettled(struct acks *a, unsigned slot)
{
    /* acquire: pairs with the releases of those who let go */
    return atomic_load_explicit(&a->slots[slot].holds, memory_order_acquire) - 1;
}

void acks_close(struct acks *a, unsigned slot)
{
    assert(acks_unsettled(a, slot) == 0);
    /* relaxed: nobody else has it any more */
    atomic_store_explicit(&a->slots[slot].holds, 0, memory_order_relaxed);
}
