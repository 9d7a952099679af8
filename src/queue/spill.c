/*
 * Spilling (fansync/queue.h): a sender lets go of segments whose actions it still has. Only the
 * shard's sender frees its items, so what it has collected stays valid until it goes on.
 *
 * A record that is pushed between the two steps joins an action whose record has just been
 * written to another log: that one is read after it, so the slot may go although the newer
 * record came from it.
 */
#include <stdlib.h>

#include "fansync/mem.h"
#include "queue/internal.h"

struct waiting_item {
    struct item *item;
    uint32_t slots;
};

struct queue_waiting {
    struct waiting_item *w;
    size_t n, cap;
    unsigned shard;
    uint32_t slots;
    void (*fn)(void *ctx, const struct action *a);
    void *ctx;
};

/* A slot that a push sets at this moment is left for the next time. */
static void collect(void *ctx, struct item *it, word_t w)
{
    struct queue_waiting *l = ctx;
    bool waits = word_state(w) == WORD_QUEUED || word_state(w) == WORD_DEFERRED;
    if (it->shard != l->shard || !waits || !(word_slots(w) & l->slots))
        return;
    l->w = mem_grow(l->w, l->n, &l->cap, sizeof *l->w);
    l->w[l->n++] = (struct waiting_item){ it, word_slots(w) & l->slots };
    l->fn(l->ctx, &it->pub.action);
}

struct queue_waiting *queue_waiting(struct queue *q, unsigned shard, uint32_t slots,
                                    void (*fn)(void *ctx, const struct action *a), void *ctx)
{
    struct queue_waiting *l = mem_alloc(sizeof *l);
    *l = (struct queue_waiting){ NULL, 0, 0, shard, slots, fn, ctx };
    item_each(q, collect, l);
    return l;
}

void queue_waiting_end(struct queue *q, struct queue_waiting *l, bool spilled)
{
    for (size_t i = 0; i < l->n && spilled; i++) {
        struct item *it = l->w[i].item;
        /* release: what was written comes before whoever sees the segment settled; a push that
         * exchanges the word in between keeps the state and may add slots */
        word_t w = atomic_fetch_and_explicit(&it->word, ~(word_t)l->w[i].slots, memory_order_acq_rel);
        acks_release_all(q->acks, word_slots(w) & l->w[i].slots);
    }
    free(l->w);
    free(l);
}
