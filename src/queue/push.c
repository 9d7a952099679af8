/*
 * The producer's side of the queue: one thread, the tailer. Of the moves in queue.c's head
 * comment it makes those of an arriving record: a new action, one more record for an action
 * that waits, the dirty mark on one that is being sent.
 */
#include <stdlib.h>
#include <unistd.h>

#include "fansync/hash.h"
#include "fansync/mem.h"
#include "queue/internal.h"

enum { LOOK_EVERY = 64 }; /* new actions, for a look whether the tables are crowded */

static unsigned long action_hash(const struct action *a)
{
    return (unsigned long)hash_bytes(hash_bytes((uint64_t)a->kind, a->a), a->b);
}

static int is_live_and_equal(struct cds_lfht_node *node, const void *key)
{
    struct item *it = caa_container_of(node, struct item, node);
    const struct action *a = key, *mine = &it->pub.action;
    bool same = mine->kind == a->kind && slice_eq(mine->a, a->a) && slice_eq(mine->b, a->b);
    /* relaxed: only a hint, join decides. A dead one is passed by: its sender removes it. */
    bool live = word_state(atomic_load_explicit(&it->word, memory_order_relaxed)) != WORD_DEAD;
    return same && live;
}

static struct item *find(struct queue *q, const struct action *a)
{
    struct cds_lfht_iter iter;
    cds_lfht_lookup(q->items, action_hash(a), is_live_and_equal, a, &iter);
    struct cds_lfht_node *node = cds_lfht_iter_get_node(&iter);
    return node ? caa_container_of(node, struct item, node) : NULL;
}

/* When and where in the order it will be queued again; no sender looks before it sees the mark. */
static void prepare_dirty(struct queue *q, struct item *it, int64_t now_ns)
{
    atomic_store_explicit(&it->dirty_ns, now_ns, memory_order_relaxed);
    atomic_store_explicit(&it->dirty_seq, q->seq, memory_order_relaxed);
}

/* Gives the record, and the holds that the caller has taken for it, to an action; false if
 * it is dead (or not queued, when that is asked for). Also a push that changes nothing in
 * the word writes it: a mere look could be of the past, and the sender already beyond. */
static bool join(struct queue *q, struct item *it, uint32_t slots, int64_t now_ns, bool only_queued)
{
    word_t w = atomic_load_explicit(&it->word, memory_order_relaxed);
    word_t next;
    do {
        if (word_state(w) == WORD_DEAD || (only_queued && word_state(w) != WORD_QUEUED))
            return false;
        next = w | slots;
        if (word_state(w) == WORD_SENDING) {
            if (!(w & WORD_DIRTY))
                prepare_dirty(q, it, now_ns);
            next |= WORD_DIRTY;
        }
        /* A try fails only if the sender has moved this very action meanwhile.
         * release: dirty_ns, dirty_seq, the holds and what the tailer has read come before */
    } while (!atomic_compare_exchange_weak_explicit(&it->word, &w, next, memory_order_release,
                                                    memory_order_relaxed));
    acks_release_all(q->acks, word_slots(w) & slots); /* these the action held already */
    return true;
}

static struct item *make_item(const struct action *a, struct owner *o)
{
    struct item *it = mem_alloc(sizeof *it + a->a.n + a->b.n);
    if (a->a.n)
        memcpy(it->bytes, a->a.p, a->a.n);
    if (a->b.n)
        memcpy(it->bytes + a->a.n, a->b.p, a->b.n);
    it->pub.action.kind = a->kind;
    it->pub.action.a = slice_of(it->bytes, a->a.n);
    it->pub.action.b = slice_of(it->bytes + a->a.n, a->b.n);
    it->owner = o;
    it->pub.owner = o ? o->name : slice_of("", 0);
    return it;
}

/* Wakes the sender if it may be asleep. The exchange comes after the enqueue: either it
 * finds the flag that the sender has cleared, and signals; or the sender's clearing finds
 * it, and with it what was enqueued. */
static void wake(struct shard *s)
{
    if (atomic_exchange_explicit(&s->signalled, true, memory_order_acq_rel))
        return;
    uint64_t one = 1;
    ssize_t n = write(s->fd, &one, sizeof one); /* cannot fail: the counter is next to zero */
    (void)n;
}

static void add(struct queue *q, const struct action *a, struct owner *o, uint32_t slots, int64_t now_ns)
{
    struct item *it = make_item(a, o);
    it->shard = o ? o->shard : owner_shard(q, it->pub.owner);
    it->seq = q->seq;
    atomic_init(&it->word, WORD_QUEUED | slots);
    atomic_init(&it->since_ns, now_ns);
    atomic_init(&it->attempts, 0);
    atomic_init(&it->last_try, QUEUE_TRY_UNCOUNTED);
    atomic_init(&it->due_ns, 0);
    atomic_init(&it->why, NULL);
    cds_lfht_node_init(&it->node);
    cds_wfcq_node_init(&it->arrival);
    count(&q->added); /* first, so that the gauges do not fall below zero */
    handing_over(it);
    cds_lfht_add(q->items, action_hash(a), &it->node); /* before the sender can remove it */
    struct shard *s = &q->shards[it->shard];
    cds_wfcq_enqueue(&s->head, &s->tail, &it->arrival);
    wake(s);
}

bool coverable(enum action_kind kind)
{
    switch (kind) {
    case ACTION_MAILBOX:
    case ACTION_META:
    case ACTION_QUOTA:
    case ACTION_ANNOTATION:
    case ACTION_SEEN:
    case ACTION_SUB:
        return true;
    default:
        return false;
    }
}

static bool too_many(const struct queue *q, struct owner *o)
{
    return q->collapse_above > 0 && atomic_load_explicit(&o->objects, memory_order_relaxed) >= q->collapse_above;
}

/* True if a USER action of the owner, queued already or now, takes the record. */
static bool cover(struct queue *q, struct owner *o, struct slice name, uint32_t slots, int64_t now_ns)
{
    const struct action user = { ACTION_USER, name, { NULL, 0 } };
    /* relaxed: only we add USER actions, so none means none */
    struct item *it = atomic_load_explicit(&o->users, memory_order_relaxed) ? find(q, &user) : NULL;
    bool collapse = too_many(q, o);
    if (it && join(q, it, slots, now_ns, !collapse))
        return true;
    if (collapse)
        add(q, &user, owner_hold(q, o, name, ACTION_USER), slots, now_ns);
    return collapse;
}

static enum queue_push_result push(struct queue *q, const struct action *a, struct slice name, uint32_t slots,
                                   int64_t now_ns)
{
    struct item *it = find(q, a);
    if (it && join(q, it, slots, now_ns, false))
        return QUEUE_MERGED;
    struct owner *o = NULL;
    if (name.n > 0) {
        o = owner_find(q, name);
        if (o && coverable(a->kind) && cover(q, o, name, slots, now_ns))
            return QUEUE_COVERED;
        o = owner_hold(q, o, name, a->kind);
    }
    add(q, a, o, slots, now_ns);
    return QUEUE_NEW;
}

enum queue_push_result queue_push(struct queue *q, const struct action *a, struct slice owner, uint32_t slots,
                                  int64_t now_ns)
{
    q->seq++;
    count(&q->pushed);
    acks_take_all(q->acks, slots); /* before any sender can release them */
    read_begin();
    enum queue_push_result r = push(q, a, owner, slots, now_ns);
    read_end();
    if (r == QUEUE_NEW && counted(&q->added) % LOOK_EVERY == 0)
        queue_grow(q);
    if (r == QUEUE_MERGED)
        count(&q->merged);
    else if (r == QUEUE_COVERED)
        count(&q->covered);
    return r;
}
