/*
 * The users that have actions in a queue: how many, for the collapse, and their name, once.
 * The producer makes and holds a record, the sender of the user's shard drops it. A record
 * that has fallen to zero is dead and is never held again, so that the sender may remove it
 * without asking the producer: who finds a dead one makes a new one.
 */
#include <stdlib.h>

#include "fansync/hash.h"
#include "fansync/mem.h"
#include "queue/internal.h"

static unsigned long name_hash(struct slice name)
{
    return (unsigned long)hash_bytes(0, name);
}

unsigned owner_shard(const struct queue *q, struct slice name)
{
    return (unsigned)(hash_bytes(1, name) % q->n_shards);
}

static int is_live_of_name(struct cds_lfht_node *node, const void *key)
{
    struct owner *o = caa_container_of(node, struct owner, node);
    /* relaxed: only a hint, owner_hold decides */
    return slice_eq(o->name, *(const struct slice *)key) && atomic_load_explicit(&o->refs, memory_order_relaxed) > 0;
}

struct owner *owner_find(struct queue *q, struct slice name)
{
    struct cds_lfht_iter iter;
    cds_lfht_lookup(q->owners, name_hash(name), is_live_of_name, &name, &iter);
    struct cds_lfht_node *node = cds_lfht_iter_get_node(&iter);
    return node ? caa_container_of(node, struct owner, node) : NULL;
}

static struct owner *add(struct queue *q, struct slice name)
{
    struct owner *o = mem_alloc(sizeof *o + name.n);
    memcpy(o->bytes, name.p, name.n);
    o->name = slice_of(o->bytes, name.n);
    o->shard = owner_shard(q, name);
    atomic_init(&o->refs, 1);
    atomic_init(&o->objects, 0);
    atomic_init(&o->users, 0);
    cds_lfht_node_init(&o->node);
    handing_over(o);
    cds_lfht_add(q->owners, name_hash(name), &o->node);
    return o;
}

/* False if it has died. */
static bool hold(struct owner *o)
{
    unsigned refs = atomic_load_explicit(&o->refs, memory_order_relaxed);
    while (refs > 0)
        /* relaxed: the record's content never changes */
        if (atomic_compare_exchange_weak_explicit(&o->refs, &refs, refs + 1, memory_order_relaxed,
                                                  memory_order_relaxed))
            return true;
    return false;
}

/* Where actions of that kind are counted, or NULL. Relaxed: the producer, who adds, compares
 * with a limit; the sender, who subtracts, does so late. */
static atomic_uint *count_of(struct owner *o, enum action_kind kind)
{
    if (kind == ACTION_USER)
        return &o->users;
    return coverable(kind) ? &o->objects : NULL;
}

struct owner *owner_hold(struct queue *q, struct owner *o, struct slice name, enum action_kind kind)
{
    if (!o || !hold(o))
        o = add(q, name);
    atomic_uint *n = count_of(o, kind);
    if (n)
        atomic_fetch_add_explicit(n, 1, memory_order_relaxed);
    return o;
}

static void free_owner(struct rcu_head *head)
{
    struct owner *o = caa_container_of(head, struct owner, rcu);
    after_grace(o);
    free(o);
}

void owner_drop(struct queue *q, struct owner *o, enum action_kind kind)
{
    if (!o)
        return;
    atomic_uint *n = count_of(o, kind);
    if (n)
        atomic_fetch_sub_explicit(n, 1, memory_order_relaxed);
    /* acq_rel: the last one frees what the others have used */
    if (atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) > 1)
        return;
    read_begin();
    cds_lfht_del(q->owners, &o->node);
    read_end();
    handing_over(o);
    urcu_memb_call_rcu(&o->rcu, free_owner);
}

void owner_free_all(struct queue *q)
{
    struct cds_lfht_iter iter;
    struct cds_lfht_node *node;
    read_begin();
    cds_lfht_for_each(q->owners, &iter, node) {
        struct owner *o = caa_container_of(node, struct owner, node);
        cds_lfht_del(q->owners, &o->node);
        handing_over(o);
        urcu_memb_call_rcu(&o->rcu, free_owner);
    }
    read_end();
}
