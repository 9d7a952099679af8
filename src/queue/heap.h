/*
 * A heap of items, the smallest key first; among equal keys the smallest seq. Private to
 * one sender. Used by send.c for what was put back (by seq) and what is deferred (by time).
 */
#ifndef FANSYNC_QUEUE_HEAP_H
#define FANSYNC_QUEUE_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct item;

struct heap_entry {
    int64_t key;
    uint64_t seq;
    struct item *item;
};

struct heap {
    struct heap_entry *entries;
    size_t n, cap;
};

void heap_push(struct heap *h, struct heap_entry e);
/* NULL when it is empty; valid until the next push or pop. */
const struct heap_entry *heap_first(const struct heap *h);
/* The item of the first entry, which is removed; NULL when it is empty. */
struct item *heap_pop(struct heap *h);
/* Puts it in order after keys were changed. */
void heap_order(struct heap *h);
void heap_free(struct heap *h);

#endif
