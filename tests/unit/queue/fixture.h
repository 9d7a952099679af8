/* A queue with one log segment open, for the single-threaded tests of its rules. */
#ifndef FANSYNC_TEST_QUEUE_FIXTURE_H
#define FANSYNC_TEST_QUEUE_FIXTURE_H

#include "../test.h"

#include "fansync/queue.h"

#define NOW 1000

struct fixture {
    struct acks *acks;
    struct queue *q;
    unsigned slot;
};

static inline struct fixture fresh(unsigned shards, uint32_t collapse_above)
{
    struct fixture f = { NULL, NULL, 0 };
    f.acks = acks_new(-1);
    f.slot = (unsigned)acks_open(f.acks);
    struct queue_options o = { shards, collapse_above, f.acks, 64 };
    assert_ok(queue_new(&f.q, &o));
    return f;
}

static inline void finish(struct fixture *f)
{
    queue_free(f->q);
    acks_free(f->acks);
}

static inline enum queue_push_result push_slots(struct fixture *f, enum action_kind kind, const char *a, const char *owner,
                                         uint32_t slots, int64_t now)
{
    struct action action = { kind, slice_str(a), slice_str("") };
    return queue_push(f->q, &action, slice_str(owner), slots, now);
}

static inline enum queue_push_result push(struct fixture *f, enum action_kind kind, const char *a, const char *owner)
{
    return push_slots(f, kind, a, owner, 1u << f->slot, NOW);
}

static inline struct queue_item *drain_one(struct fixture *f, int64_t now)
{
    struct queue_item *item = NULL;
    return queue_drain(f->q, 0, now, &item, 1) ? item : NULL;
}

/* Drains the next one, which must be a. */
static inline struct queue_item *expect(struct fixture *f, const char *a)
{
    struct queue_item *item = drain_one(f, NOW);
    if (!item)
        fail_msg("nothing is queued, want \"%s\"", a);
    assert_slice(item->action.a, a);
    return item;
}

static inline void expect_nothing(struct fixture *f)
{
    struct queue_item *item = drain_one(f, NOW);
    if (item)
        fail_msg("got \"" SLICE_FMT "\", want nothing", SLICE_ARG(item->action.a));
}

#define unsettled(f) acks_unsettled((f)->acks, (f)->slot)

static inline int begin(void **state)
{
    (void)state;
    queue_thread_begin();
    return 0;
}

static inline int end(void **state)
{
    (void)state;
    queue_thread_end();
    return 0;
}

#endif
