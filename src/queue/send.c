/*
 * A sender's side of the queue: one thread a shard. Of the moves in queue.c's head comment
 * it makes all but those of an arriving record; only a sender moves an action out of a
 * state, so between its moves it owns what it holds.
 */
#include <stdlib.h>
#include <unistd.h>

#include "fansync/mem.h"
#include "queue/internal.h"

/* The next arrival, still queued, or NULL: there is none, or the producer is in the middle of
 * linking one. It then signals after that, so to give up for now misses nothing. */
static struct item *next_arrival(struct shard *s)
{
    if (s->next)
        return s->next;
    struct cds_wfcq_node *node = __cds_wfcq_dequeue_nonblocking(&s->head, &s->tail);
    if (!node || node == CDS_WFCQ_WOULDBLOCK)
        return NULL;
    s->next = caa_container_of(node, struct item, arrival);
    handed_over(s->next);
    return s->next;
}

/* The queued item with the smallest seq, or NULL. */
static struct item *take_queued(struct shard *s)
{
    const struct heap_entry *e = heap_first(&s->again);
    struct item *it = next_arrival(s);
    if (e && (!it || e->seq < it->seq))
        return heap_pop(&s->again);
    s->next = NULL;
    return it;
}

static struct item *take_due(struct shard *s, int64_t now_ns)
{
    const struct heap_entry *e = heap_first(&s->later);
    if (!e || e->key > now_ns)
        return NULL;
    count(&s->drained_later);
    return heap_pop(&s->later);
}

/* From queued or deferred to sending; its slots come over to us. */
static struct queue_item *claim(struct shard *s, struct item *it)
{
    /* acquire: we see what the pushes saw whose records we now stand for; release: the next
     * push that finds this sees what we did before */
    word_t w = atomic_exchange_explicit(&it->word, WORD_SENDING, memory_order_acq_rel);
    it->held = word_slots(w);
    it->pub.first_ns = atomic_load_explicit(&it->since_ns, memory_order_relaxed);
    it->pub.attempts = atomic_load_explicit(&it->attempts, memory_order_relaxed);
    count(&s->drained);
    return &it->pub;
}

size_t queue_drain(struct queue *q, unsigned shard, int64_t now_ns, struct queue_item **out, size_t max)
{
    struct shard *s = &q->shards[shard];
    struct item *it;
    size_t n = 0;
    while (n < (max + 1) / 2 && (it = take_due(s, now_ns)))
        out[n++] = claim(s, it);
    while (n < max && ((it = take_queued(s)) || (it = take_due(s, now_ns))))
        out[n++] = claim(s, it);
    return n;
}

/* Out of sending, taking in what has been pushed meanwhile: the slots come together again,
 * and of those that both had one hold is given back. */
static void leave(struct queue *q, struct item *it, word_t state)
{
    word_t w = atomic_load_explicit(&it->word, memory_order_relaxed);
    /* acq_rel: as in claim. A try fails only if a record has arrived */
    while (!atomic_compare_exchange_weak_explicit(&it->word, &w, state | word_slots(w) | it->held,
                                                  memory_order_acq_rel, memory_order_relaxed))
        ;
    acks_release_all(q->acks, word_slots(w) & it->held);
    it->held = 0;
}

static void again(struct shard *s, struct item *it)
{
    heap_push(&s->again, (struct heap_entry){ 0, it->seq, it });
}

void queue_put_back(struct queue *q, struct queue_item *item)
{
    struct item *it = caa_container_of(item, struct item, pub);
    struct shard *s = &q->shards[it->shard];
    leave(q, it, WORD_QUEUED);
    again(s, it);
    count(&s->put_back);
}

static void free_why(struct rcu_head *head)
{
    struct why *y = caa_container_of(head, struct why, rcu);
    after_grace(y);
    free(y);
}

static struct why *new_why(const char *text)
{
    size_t n = strnlen(text, QUEUE_WHY);
    struct why *y = mem_alloc(sizeof *y + n);
    y->n = n;
    memcpy(y->text, text, n);
    return y;
}

/* NULL: none. */
static void set_why(struct item *it, struct why *fresh)
{
    /* release: its text; acquire: what is freed was published by an earlier call of ours */
    struct why *old = atomic_exchange_explicit(&it->why, fresh, memory_order_acq_rel);
    if (!old)
        return;
    handing_over(old);
    urcu_memb_call_rcu(&old->rcu, free_why);
}

void queue_defer(struct queue *q, struct queue_item *item, int64_t not_before_ns, enum queue_try how, const char *why)
{
    struct item *it = caa_container_of(item, struct item, pub);
    struct shard *s = &q->shards[it->shard];
    atomic_store_explicit(&it->attempts, it->pub.attempts + (how != QUEUE_TRY_UNCOUNTED), memory_order_relaxed);
    atomic_store_explicit(&it->last_try, how, memory_order_relaxed);
    atomic_store_explicit(&it->due_ns, not_before_ns, memory_order_relaxed);
    set_why(it, new_why(why));
    leave(q, it, WORD_DEFERRED);
    heap_push(&s->later, (struct heap_entry){ not_before_ns, it->seq, it });
    count(&s->deferrals);
}

void queue_reschedule(struct queue *q, unsigned shard, const void *user, int64_t not_before_ns)
{
    struct heap *later = &q->shards[shard].later;
    for (size_t i = 0; i < later->n; i++)
        if (later->entries[i].item->pub.user == user) {
            later->entries[i].key = not_before_ns;
            atomic_store_explicit(&later->entries[i].item->due_ns, not_before_ns, memory_order_relaxed);
        }
    heap_order(later);
}

static void forget(struct queue *q, struct item *it)
{
    struct owner *o = it->owner;
    enum action_kind kind = it->pub.action.kind;
    read_begin();
    item_remove(q, it);
    read_end();
    owner_drop(q, o, kind); /* after it: who sees the item sees its owner */
}

/* To queued if it was pushed meanwhile, else to dead; true if dead. */
static bool confirm(struct item *it)
{
    word_t w = atomic_load_explicit(&it->word, memory_order_relaxed);
    word_t next;
    do {
        next = w & WORD_DIRTY ? WORD_QUEUED | word_slots(w) : WORD_DEAD;
        /* acquire: dirty_ns and dirty_seq; release: as in claim */
    } while (!atomic_compare_exchange_weak_explicit(&it->word, &w, next, memory_order_acq_rel,
                                                    memory_order_relaxed));
    return next == WORD_DEAD;
}

static void requeue(struct shard *s, struct item *it)
{
    it->seq = atomic_load_explicit(&it->dirty_seq, memory_order_relaxed);
    atomic_store_explicit(&it->since_ns, atomic_load_explicit(&it->dirty_ns, memory_order_relaxed),
                          memory_order_relaxed);
    atomic_store_explicit(&it->attempts, 0, memory_order_relaxed);
    set_why(it, NULL);
    again(s, it);
    count(&s->requeued);
}

void queue_done(struct queue *q, struct queue_item *item)
{
    struct item *it = caa_container_of(item, struct item, pub);
    struct shard *s = &q->shards[it->shard];
    uint32_t held = it->held;
    it->held = 0;
    if (confirm(it))
        forget(q, it);
    else
        requeue(s, it);
    count(&s->confirmed);
    acks_release_all(q->acks, held);
}

int64_t queue_next_due(const struct queue *q, unsigned shard)
{
    const struct heap_entry *e = heap_first(&q->shards[shard].later);
    return e ? e->key : -1;
}

int queue_fd(const struct queue *q, unsigned shard)
{
    return q->shards[shard].fd;
}

/* First the descriptor, then the flag: the other way round a push in between would signal,
 * we would swallow that, and the flag would keep all later pushes from signalling. */
void queue_clear(struct queue *q, unsigned shard)
{
    struct shard *s = &q->shards[shard];
    uint64_t n;
    ssize_t r = read(s->fd, &n, sizeof n); /* nothing to read: woken by something else */
    (void)r;
    /* acq_rel and an exchange: pairs with wake in push.c */
    atomic_exchange_explicit(&s->signalled, false, memory_order_acq_rel);
}
