/*
 * The queue of a channel: what lives as long as it, and what other threads may see of it.
 * push.c is the producer's side, send.c the senders'.
 *
 * The states of an action, all in one atomic word with the slots of its records, and who
 * makes the move (P: the producer, one thread; S: the sender of its shard, one thread):
 *
 *   -        -> queued          P  queue_push of a new action
 *   queued   -> queued          P  merged: slots are added
 *   deferred -> deferred        P  merged: slots are added; it is not due earlier
 *   sending  -> sending, dirty  P  merged: slots are added, and sent again when it is done
 *   queued   -> sending         S  queue_drain: its slots become the sender's
 *   deferred -> sending         S  queue_drain, when it is due: the same
 *   sending  -> queued          S  queue_put_back, or queue_done of a dirty one
 *   sending  -> deferred        S  queue_defer
 *   sending  -> dead            S  queue_done of one that is not dirty: removed, freed after a
 *                                  grace period; a push that still sees it makes a new one
 *
 * A queued action is in exactly one of: the arrivals, the sender's `next`, its heap `again`;
 * a deferred one is in the heap `later`; one that is being sent is in none. Only the producer
 * enqueues to the arrivals and only the sender dequeues, so the arrivals are in the order of
 * seq, and an action cannot be queued twice.
 *
 * The interleavings that were feared, what keeps each harmless, and its test
 * (q: test_queue.c, o: test_queue_owner.c, t: test_queue_threads.c, s: test_queue_stress.c,
 * m: docs/model/queue.pml, a mutant):
 *
 * 1. The sender confirms between a push's setting a slot and its counting the hold: the
 *    segment would look settled with the record not counted. The push takes first, and gives back
 *    what the action held already. (s, m)
 * 2. A push finds an action queued and merges, while the sender takes it: the record would
 *    ride on a sync that began before it. The merge is an exchange of the whole word, which
 *    then sees `sending` and sets the dirty mark. (s, m) Also a merge that changes nothing in
 *    the word must write it, for the order: the sender's exchange then reads from it. (The
 *    orders themselves: t under the thread sanitizer. That x86 would do with a look, no test
 *    of ours can tell.)
 * 3. A push comes while the action is being sent: the dirty mark; done, put back and defer
 *    each take it in with the exchange by which they leave `sending`. (q, s, m)
 * 4. A push finds an action that dies under it. Its exchange sees `dead` and adds a new one;
 *    the look-up passes by dead ones, and the sender removes its node, not its key. (q, s, m)
 * 5. The sender removes an action before it is in the table. The table comes first, then the
 *    arrivals. (s)
 * 6. A look-up holds an action that is freed. Freed after a grace period only. (s under the
 *    sanitizers, m)
 * 7. A segment is removed while its records are still being pushed. Who pushes is who removes: it
 *    looks between two records, or when it has read all. (test_acks.c, s, m)
 * 8. A push signals between the sender's two steps of queue_clear: see there. (t, m)
 * 9. The last action of a user dies while a new one arrives: a record of zero actions is
 *    dead and a new one is made. (o, s)
 * 10. A session dies after a dirty mark, or an action is deferred twice with the same slot:
 *    the holds of both sides become one. (q, s)
 * 11. Actions are left when the process ends. Their segments stay held, so the log stays. (q, m)
 */
#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fansync/mem.h"
#include "queue/internal.h"

#define FIRST_BUCKETS 64
#define MOST_BUCKETS (1ul << 20) /* 16 MB for both tables; beyond, chains grow */
#define CROWDED 2 /* actions a bucket */

char queue_grace; /* an address for the thread sanitizer, see rcu.h */

void queue_thread_begin(void)
{
    urcu_memb_register_thread();
}

void queue_thread_end(void)
{
    urcu_memb_unregister_thread();
}

/* The thread that frees starts here, with all signals blocked: liburcu 0.13 does not do
 * that, and a handler must not run there. */
static void start_reclaimer(void)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    (void)urcu_memb_get_default_call_rcu_data();
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* The producer makes it larger (queue_grow): one that does so by itself can deadlock when it is destroyed, with
 * liburcu 0.13. */
static struct cds_lfht *new_table(unsigned long buckets)
{
    struct cds_lfht *t = cds_lfht_new_flavor(buckets, buckets, MOST_BUCKETS, 0, &urcu_memb_flavor, NULL);
    if (!t)
        mem_overflow();
    return t;
}

static struct err *init_shard(struct shard *s)
{
    __cds_wfcq_init(&s->head, &s->tail);
    atomic_init(&s->signalled, false);
    s->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return s->fd < 0 ? err_errno("eventfd") : NULL;
}

static void free_queue(struct queue *q)
{
    for (unsigned i = 0; i < q->n_shards; i++) {
        heap_free(&q->shards[i].again);
        heap_free(&q->shards[i].later);
        if (q->shards[i].fd >= 0)
            close(q->shards[i].fd);
    }
    cds_lfht_destroy(q->items, NULL);
    cds_lfht_destroy(q->owners, NULL);
    free(q);
}

struct err *queue_new(struct queue **out, const struct queue_options *o)
{
    assert(o->shards > 0);
    unsigned long buckets = o->buckets ? o->buckets : FIRST_BUCKETS;
    size_t size = sizeof(struct queue) + o->shards * sizeof(struct shard);
    struct queue *q = aligned_alloc(_Alignof(struct queue), size);
    if (!q)
        mem_overflow();
    memset(q, 0, size);
    q->n_shards = o->shards;
    q->collapse_above = o->collapse_above;
    q->acks = o->acks;
    q->buckets = buckets;
    q->items = new_table(buckets);
    q->owners = new_table(buckets);
    start_reclaimer();
    struct err *e = NULL;
    for (unsigned i = 0; i < q->n_shards; i++)
        if (e)
            q->shards[i].fd = -1;
        else
            e = init_shard(&q->shards[i]);
    if (e) {
        free_queue(q);
        return e;
    }
    *out = q;
    return NULL;
}

void queue_grow(struct queue *q)
{
    struct queue_counters c = queue_counters(q);
    if (q->buckets >= MOST_BUCKETS || c.queued + c.sending + c.deferred <= CROWDED * q->buckets)
        return;
    q->buckets *= 4;
    cds_lfht_resize(q->items, q->buckets);
    cds_lfht_resize(q->owners, q->buckets);
}

static void free_item(struct rcu_head *head)
{
    struct item *it = caa_container_of(head, struct item, rcu);
    after_grace(it);
    free(atomic_load_explicit(&it->why, memory_order_relaxed)); /* nobody else has the item */
    free(it);
}

void item_remove(struct queue *q, struct item *it)
{
    cds_lfht_del(q->items, &it->node);
    handing_over(it);
    urcu_memb_call_rcu(&it->rcu, free_item);
}

void queue_free(struct queue *q)
{
    if (!q)
        return;
    struct cds_lfht_iter iter;
    struct cds_lfht_node *node;
    read_begin();
    cds_lfht_for_each(q->items, &iter, node)
        item_remove(q, caa_container_of(node, struct item, node));
    read_end();
    owner_free_all(q);
    urcu_memb_barrier(); /* no callback may run after its queue is gone */
    free_queue(q);
}

const char *queue_state_name(enum queue_state s)
{
    static const char *const names[] = { "queued", "sending", "sending, again", "deferred" };
    return names[s];
}

static enum queue_state state_of(word_t w)
{
    if (word_state(w) == WORD_SENDING)
        return w & WORD_DIRTY ? QUEUE_SENDING_DIRTY : QUEUE_SENDING;
    return word_state(w) == WORD_DEFERRED ? QUEUE_DEFERRED : QUEUE_QUEUED;
}

void item_each(struct queue *q, void (*fn)(void *ctx, struct item *it, word_t w), void *ctx)
{
    struct cds_lfht_iter iter;
    struct cds_lfht_node *node;
    read_begin();
    cds_lfht_for_each(q->items, &iter, node) {
        struct item *it = caa_container_of(node, struct item, node);
        handed_over(it);
        /* relaxed: a picture of some moment; what never changes was ordered by the table */
        fn(ctx, it, atomic_load_explicit(&it->word, memory_order_relaxed));
    }
    read_end();
}

struct viewer {
    void (*fn)(void *ctx, const struct queue_view *v);
    void *ctx;
};

static void view(void *ctx, struct item *it, word_t w)
{
    const struct viewer *viewer = ctx;
    if (word_state(w) == WORD_DEAD)
        return;
    /* acquire: its text. It lives as long as this read section */
    const struct why *why = atomic_load_explicit(&it->why, memory_order_acquire);
    struct queue_view v = { it->pub.action, it->pub.owner, state_of(w),
                            atomic_load_explicit(&it->since_ns, memory_order_relaxed),
                            atomic_load_explicit(&it->attempts, memory_order_relaxed), it->shard,
                            (enum queue_try)atomic_load_explicit(&it->last_try, memory_order_relaxed),
                            atomic_load_explicit(&it->due_ns, memory_order_relaxed),
                            why ? slice_of(why->text, why->n) : slice_of("", 0) };
    viewer->fn(viewer->ctx, &v);
}

void queue_each(struct queue *q, void (*fn)(void *ctx, const struct queue_view *v), void *ctx)
{
    struct viewer viewer = { fn, ctx };
    item_each(q, view, &viewer);
}

static void older(void *ctx, const struct queue_view *v)
{
    int64_t *oldest = ctx;
    if (*oldest < 0 || v->first_ns < *oldest)
        *oldest = v->first_ns;
}

int64_t queue_oldest_ns(struct queue *q)
{
    int64_t oldest = -1;
    queue_each(q, older, &oldest);
    return oldest;
}

static uint64_t not_below_zero(uint64_t n)
{
    return (int64_t)n < 0 ? 0 : n;
}

struct queue_counters queue_counters(const struct queue *q)
{
    struct queue_counters c = { 0 };
    uint64_t drained_later = 0;
    for (unsigned i = 0; i < q->n_shards; i++) {
        const struct shard *s = &q->shards[i];
        c.drained += counted(&s->drained);
        drained_later += counted(&s->drained_later);
        c.confirmed += counted(&s->confirmed);
        c.requeued += counted(&s->requeued);
        c.put_back += counted(&s->put_back);
        c.deferrals += counted(&s->deferrals);
    }
    c.pushed = counted(&q->pushed);
    c.merged = counted(&q->merged);
    c.covered = counted(&q->covered);
    c.queued = not_below_zero(counted(&q->added) + c.requeued + c.put_back + drained_later - c.drained);
    c.sending = not_below_zero(c.drained - c.confirmed - c.put_back - c.deferrals);
    c.deferred = not_below_zero(c.deferrals - drained_later);
    return c;
}
