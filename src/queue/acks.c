/*
 * Acknowledgement of log segments (fansync/acks.h). The tailer opens, seals and closes
 * slots; the queues take and release them, senders in their own threads.
 *
 * Invariant 1 of the design rests on this: the count of a slot is above zero from the open
 * until nothing on any channel needs the segment any more.
 */
#include "fansync/acks.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fansync/mem.h"

enum slot_state { SLOT_CLOSED, SLOT_OPEN, SLOT_SEALED };

/* On a cache line of its own: several senders count at the same time. */
struct slot {
    _Alignas(64) atomic_long holds;
    _Atomic enum slot_state state; /* changed by the opener only */
};

struct acks {
    struct slot slots[ACKS_SLOTS];
    int fd;
};

struct err *acks_new(struct acks **out)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return err_errno("eventfd");
    struct acks *a = aligned_alloc(_Alignof(struct acks), sizeof *a);
    if (!a)
        mem_overflow();
    for (unsigned i = 0; i < ACKS_SLOTS; i++) {
        atomic_init(&a->slots[i].holds, 0);
        atomic_init(&a->slots[i].state, SLOT_CLOSED);
    }
    a->fd = fd;
    *out = a;
    return NULL;
}

void acks_free(struct acks *a)
{
    if (!a)
        return;
    close(a->fd);
    free(a);
}

static enum slot_state state_of(struct acks *a, unsigned slot)
{
    /* relaxed: the opener reads its own writes; to others it is of the past anyway */
    return atomic_load_explicit(&a->slots[slot].state, memory_order_relaxed);
}

static void set_state(struct acks *a, unsigned slot, enum slot_state state)
{
    atomic_store_explicit(&a->slots[slot].state, state, memory_order_relaxed);
}

int acks_open(struct acks *a)
{
    for (unsigned i = 0; i < ACKS_SLOTS; i++) {
        if (state_of(a, i) != SLOT_CLOSED)
            continue;
        atomic_store_explicit(&a->slots[i].holds, 1, memory_order_relaxed); /* nobody else has it yet */
        set_state(a, i, SLOT_OPEN);
        return (int)i;
    }
    return -1;
}

void acks_seal(struct acks *a, unsigned slot)
{
    assert(state_of(a, slot) == SLOT_OPEN);
    set_state(a, slot, SLOT_SEALED);
    acks_release(a, slot);
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
    assert(before > 0);
    if (before == 1) {
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
    /* acquire: pairs with the releases, see acks_settled */
    long holds = atomic_load_explicit(&a->slots[slot].holds, memory_order_acquire);
    return state_of(a, slot) == SLOT_OPEN ? holds - 1 : holds;
}

bool acks_settled(struct acks *a, unsigned slot)
{
    return state_of(a, slot) == SLOT_SEALED && acks_unsettled(a, slot) == 0;
}

void acks_close(struct acks *a, unsigned slot)
{
    assert(state_of(a, slot) != SLOT_CLOSED && acks_unsettled(a, slot) == 0);
    set_state(a, slot, SLOT_CLOSED);
}

int acks_fd(const struct acks *a)
{
    return a->fd;
}

void acks_clear(struct acks *a)
{
    uint64_t n;
    ssize_t r = read(a->fd, &n, sizeof n); /* nothing to read: clear already */
    (void)r;
}
