/*
 * What the queue costs an action, on one thread: `make bench/queue && bench/queue`.
 * Prints nanoseconds of a new push, a merged one, and of a drain with its confirmation.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "fansync/mem.h"
#include "fansync/queue.h"

enum { ACTIONS = 100 * 1000, OWNERS = 5000, BATCH = 64 };

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static char (*names)[40], (*owners)[16];

static double push_all(struct queue *q, unsigned slot)
{
    int64_t begun = now_ns();
    for (int i = 0; i < ACTIONS; i++) {
        struct action a = { ACTION_MAILBOX, slice_str(names[i]), { NULL, 0 } };
        queue_push(q, &a, slice_str(owners[i % OWNERS]), 1u << slot, begun);
    }
    return (double)(now_ns() - begun) / ACTIONS;
}

static double drain_all(struct queue *q)
{
    struct queue_item *items[BATCH];
    int64_t begun = now_ns();
    size_t n;
    while ((n = queue_drain(q, 0, begun, items, BATCH)) > 0)
        for (size_t i = 0; i < n; i++)
            queue_done(q, items[i]);
    return (double)(now_ns() - begun) / ACTIONS;
}

int main(void)
{
    struct acks *acks = acks_new(-1);
    struct queue *q = NULL;
    names = mem_array(ACTIONS, sizeof *names);
    owners = mem_array(OWNERS, sizeof *owners);
    for (int i = 0; i < OWNERS; i++)
        snprintf(owners[i], sizeof owners[i], "user%d", i);
    for (int i = 0; i < ACTIONS; i++)
        snprintf(names[i], sizeof names[i], "user.%s.folder%d", owners[i % OWNERS], i);
    queue_thread_begin();
    const struct queue_options o = { 1, 0, acks, 0 };
    struct err *e = queue_new(&q, &o);
    if (e) {
        fprintf(stderr, "%s\n", e->msg);
        return 1;
    }
    unsigned slot = (unsigned)acks_open(acks);
    for (int round = 0; round < 3; round++) {
        double fresh = push_all(q, slot), merged = push_all(q, slot);
        printf("push %.0f ns, merge %.0f ns, drain and done %.0f ns\n", fresh, merged, drain_all(q));
    }
    queue_free(q);
    acks_free(acks);
    queue_thread_end();
    free(names);
    free(owners);
    return 0;
}
