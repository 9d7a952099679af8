/*
 * What the files of the queue share: the action as the queue holds it, its word, shards.
 * queue.c opens with the states and who may change them.
 */
#ifndef FANSYNC_QUEUE_INTERNAL_H
#define FANSYNC_QUEUE_INTERNAL_H

#include <stdatomic.h>
#include <stdbool.h>

#include "fansync/queue.h"
#include "queue/heap.h"
#include "queue/rcu.h"

/* The word of an action: its state, the dirty mark, and the slots of the records that it
 * stands for and that no sender has taken over. One word, so that one atomic move changes
 * all of it. */
typedef uint64_t word_t;
#define WORD_QUEUED ((word_t)0 << 32)
#define WORD_SENDING ((word_t)1 << 32)
#define WORD_DEFERRED ((word_t)2 << 32)
#define WORD_DEAD ((word_t)3 << 32)
#define WORD_STATE ((word_t)3 << 32)
#define WORD_DIRTY ((word_t)4 << 32) /* only with WORD_SENDING */

static inline word_t word_state(word_t w)
{
    return w & WORD_STATE;
}

static inline uint32_t word_slots(word_t w)
{
    return (uint32_t)w;
}

/* Of a user that has actions in the queue: shared by them, gone with the last. */
struct owner {
    struct cds_lfht_node node;
    struct rcu_head rcu;
    atomic_uint refs;    /* actions; 0: dead, a new one takes its place */
    atomic_uint objects; /* of these, how many a USER action would cover */
    atomic_uint users;   /* of these, USER actions: 0 or 1, and dead ones */
    unsigned shard;
    struct slice name;
    char bytes[];
};

/* Why an action was deferred. Read by queue_each in a read section, replaced by the sender, freed after a grace
 * period. */
struct why {
    struct rcu_head rcu;
    size_t n;
    char text[];
};

struct item {
    struct queue_item pub; /* written by the producer before it is published, then by the sender */
    struct cds_lfht_node node;
    struct cds_wfcq_node arrival;
    struct rcu_head rcu;
    _Atomic word_t word;
    struct owner *owner; /* NULL: nobody's */
    unsigned shard;
    /* of the sender */
    uint32_t held; /* slots taken over when it was handed out */
    uint64_t seq;  /* place in the order */
    /* of the sender, and read by queue_each */
    _Atomic int64_t since_ns;
    atomic_uint attempts;
    atomic_int last_try; /* enum queue_try */
    _Atomic int64_t due_ns;
    _Atomic(struct why *) why; /* or NULL */
    /* written by the producer before it sets the dirty mark, read by the sender after it */
    _Atomic int64_t dirty_ns;
    _Atomic uint64_t dirty_seq;
    char bytes[];
};

/* Counters have one writer each, so they need no locked instruction. */
typedef _Atomic uint64_t counter_t;

static inline void count(counter_t *c)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + 1, memory_order_relaxed);
}

static inline uint64_t counted(const counter_t *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}

struct shard {
    /* of both sides: arrivals, and whether the sender has been signalled since it last woke */
    _Alignas(64) struct cds_wfcq_tail tail;
    atomic_bool signalled;
    int fd;
    /* of the sender */
    _Alignas(64) struct __cds_wfcq_head head;
    struct item *next;  /* taken from the arrivals, still queued; or NULL */
    struct heap again;  /* put back or dirty, by seq */
    struct heap later;  /* deferred, by time */
    counter_t drained, drained_later, confirmed, requeued, put_back, deferrals;
};

struct queue {
    struct cds_lfht *items;
    struct cds_lfht *owners;
    struct acks *acks;
    uint32_t collapse_above;
    unsigned n_shards;
    /* of the producer */
    uint64_t seq;
    unsigned long buckets; /* of both tables */
    counter_t pushed, merged, covered, added;
    struct shard shards[];
};

/* owner.c */

/* Producer, in a read section: the record of that name if it has actions, else NULL. */
struct owner *owner_find(struct queue *q, struct slice name);
/* Producer, in a read section: counts one action more; o is what owner_find gave, a new one
 * is made if that is NULL or has died since. */
struct owner *owner_hold(struct queue *q, struct owner *o, struct slice name, enum action_kind kind);
/* Sender: one action less; the last one frees the record. o may be NULL. */
void owner_drop(struct queue *q, struct owner *o, enum action_kind kind);
unsigned owner_shard(const struct queue *q, struct slice name);
/* When all threads have stopped. */
void owner_free_all(struct queue *q);

/* queue.c: makes the tables larger if they are crowded. The producer, outside of a read section. */
void queue_grow(struct queue *q);

/* queue.c: takes it out of the table and frees it after a grace period. Its sender, once it
 * is dead, in a read section; or queue_free. */
void item_remove(struct queue *q, struct item *it);

/* push.c: whether a USER action of its owner does all that this one asks for. */
bool coverable(enum action_kind kind);

/* queue.c: calls fn with every item of the table and its word as it was at some moment. */
void item_each(struct queue *q, void (*fn)(void *ctx, struct item *it, word_t w), void *ctx);

#endif
