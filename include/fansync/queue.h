/*
 * The queue of a channel: the actions that wait for its senders, at most one for each
 * object. One producer (the tailer) pushes; what waits already is merged. Each sender
 * drains the shard that is its own and settles every item that it was given: done, put back
 * or deferred. No call takes a lock or waits for another thread.
 *
 * Who may call what together:
 *
 *                    | producer | sender of the shard | other threads
 *   -----------------+----------+---------------------+--------------
 *   queue_push       | yes      | no                  | no
 *   queue_drain      | no       | yes                 | no
 *   queue_done       | no       | yes                 | no
 *   queue_put_back   | no       | yes                 | no
 *   queue_defer      | no       | yes                 | no
 *   queue_reschedule | no       | yes                 | no
 *   queue_next_due   | no       | yes                 | no
 *   queue_clear      | no       | yes                 | no
 *   queue_fd         | yes      | yes                 | yes
 *   queue_each       | yes      | yes                 | yes
 *   queue_oldest_ns  | yes      | yes                 | yes
 *   queue_counters   | yes      | yes                 | yes
 *   queue_new, _free | no: before the threads start and after they have ended
 *
 * "Yes" means: at the same time as every other "yes" call of the table, of other threads.
 * There is one producer and one sender a shard at a time; who takes over from another
 * thread must happen after it (a join, a mutex). All but queue_fd and queue_counters need a
 * thread registered by queue_thread_begin.
 *
 * Order. Of each owner, items are handed out in the order of the oldest record that they
 * stand for, also after a put back or a push that came while the action was being sent.
 * A deferred action leaves the order.
 *
 * Sleeping without missing a wake-up: the sender
 *     1. drains, and works, until queue_drain gives nothing,
 *     2. polls queue_fd, until queue_next_due at the latest,
 *     3. calls queue_clear, and goes to 1.
 * It must never poll without a drain that gave nothing since the last queue_clear.
 */
#ifndef FANSYNC_QUEUE_H
#define FANSYNC_QUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include "fansync/acks.h"
#include "fansync/action.h"
#include "fansync/err.h"

struct queue;

struct queue_options {
    unsigned shards;         /* senders; at least 1 */
    uint32_t collapse_above; /* actions of one owner before they collapse to one USER action; 0: never */
    struct acks *acks;       /* borrowed; NULL: nobody counts segments */
    unsigned long buckets;   /* of the hash tables in the beginning, a power of two; 0: 64. They grow with what waits */
};

enum queue_push_result {
    QUEUE_NEW,     /* queued */
    QUEUE_MERGED,  /* an equal action takes the record: it waits, or is being sent and will be again */
    QUEUE_COVERED, /* a USER action of the owner takes the record */
};

/* What a sender is handed out. It stays the queue's; the sender reads it, and may write user,
 * from queue_drain until it settles the item. */
struct queue_item {
    struct action action;
    struct slice owner;
    int64_t first_ns;  /* arrival of the oldest record that is not confirmed */
    unsigned attempts; /* how often it has been deferred, and that counted, since it was last confirmed */
    void *user;        /* the sender's own; NULL at first, kept until queue_done removes the item */
};

/* Around the life of a thread that uses queues. */
void queue_thread_begin(void);
void queue_thread_end(void);

/* Fails when the process has no descriptors left. */
struct err *queue_new(struct queue **out, const struct queue_options *o);
/* When all its threads have stopped; the caller is registered. Actions that are left are
 * freed, but their segments are not released: they are not settled, the log must stay. */
void queue_free(struct queue *q);

/* Copies the strings. owner: the user that the action belongs to, empty for shared mailboxes;
 * it follows from the action (equal actions have equal owners). slots: segments that the
 * record came from, which the caller holds during the call. A system call is made only to
 * wake a sender that sleeps.
 * USER covers MAILBOX, META, QUOTA, ANNOTATION, SEEN and SUB of its owner while it is queued
 * (not when it is being sent, nor deferred). With collapse_above actions of these kinds of
 * one owner in the queue, the next one becomes a USER action. RENAME, UNMAILBOX and UNUSER
 * are never covered. */
enum queue_push_result queue_push(struct queue *q, const struct action *a, struct slice owner, uint32_t slots,
                                  int64_t now_ns);

/* Up to max items for the shard's sender, which must settle each: deferred ones that are due
 * (at most half of max while others wait), then in order. */
size_t queue_drain(struct queue *q, unsigned shard, int64_t now_ns, struct queue_item **out, size_t max);

/* The replica has confirmed it: its segments are released. Pushed again meanwhile: it is
 * queued again; else it is gone, and so is the item. */
void queue_done(struct queue *q, struct queue_item *item);
/* Not done, and not its fault (session lost, shutting down): queued again at its old place. */
void queue_put_back(struct queue *q, struct queue_item *item);
/* What the try was, after which an item is deferred. All but one that does not count make attempts + 1. */
enum queue_try { QUEUE_TRY_UNCOUNTED, QUEUE_TRY_LOCKED, QUEUE_TRY_FAILED };

/* Failed or locked: not handed out before that time, whatever is pushed. why: for whoever looks
 * (queue_view); copied, cut at QUEUE_WHY bytes. */
#define QUEUE_WHY 256
void queue_defer(struct queue *q, struct queue_item *item, int64_t not_before_ns, enum queue_try how, const char *why);
/* Every deferred item of the shard whose user is that one is due at that time, in their order. */
void queue_reschedule(struct queue *q, unsigned shard, const void *user, int64_t not_before_ns);
/* When the earliest deferred item is due; -1: none is deferred. */
int64_t queue_next_due(const struct queue *q, unsigned shard);

/*
 * Spilling: a segment is to be removed from disk although actions that hold it still wait. The
 * sender's two steps: queue_waiting hands every waiting action of the shard that holds one of
 * the slots to fn (each once; the slices live as long as the call), and after they have been
 * written to another log queue_waiting_end gives the slots back, or keeps them if that failed.
 * An action that is being sent keeps its slots. Nothing else may be called in between.
 */
struct queue_waiting;
struct queue_waiting *queue_waiting(struct queue *q, unsigned shard, uint32_t slots,
                                    void (*fn)(void *ctx, const struct action *a), void *ctx);
void queue_waiting_end(struct queue *q, struct queue_waiting *w, bool spilled);

/* Readable when something was pushed to the shard while its sender slept. */
int queue_fd(const struct queue *q, unsigned shard);
void queue_clear(struct queue *q, unsigned shard);

enum queue_state { QUEUE_QUEUED, QUEUE_SENDING, QUEUE_SENDING_DIRTY, QUEUE_DEFERRED };
const char *queue_state_name(enum queue_state s);

struct queue_view {
    struct action action;
    struct slice owner;
    enum queue_state state;
    int64_t first_ns;
    unsigned attempts;
    unsigned shard;
    enum queue_try last_try; /* before the first one: QUEUE_TRY_UNCOUNTED */
    int64_t due_ns;   /* QUEUE_DEFERRED: when it is tried again */
    struct slice why; /* QUEUE_DEFERRED: as it was deferred; empty if it has just changed */
};

/* Calls fn for every action, in no order; fn must be short (memory is not freed meanwhile)
 * and must not call the queue. The slices live as long as the call. */
void queue_each(struct queue *q, void (*fn)(void *ctx, const struct queue_view *v), void *ctx);

/* The arrival of the oldest record that is not confirmed, or -1; looks at every action. */
int64_t queue_oldest_ns(struct queue *q);

/* Each number is right, but they are not read at one instant. */
struct queue_counters {
    uint64_t pushed, merged, covered;                     /* calls of queue_push; of these */
    uint64_t drained, confirmed, requeued, put_back, deferrals; /* requeued: confirmed, but pushed meanwhile */
    uint64_t queued, sending, deferred;                   /* actions now */
};
struct queue_counters queue_counters(const struct queue *q);

#endif
