/*
 * The binary heap of heap.h. One sender's thread.
 */
#include "queue/heap.h"

#include <stdbool.h>
#include <stdlib.h>

#include "fansync/mem.h"

static bool before(const struct heap_entry *a, const struct heap_entry *b)
{
    return a->key != b->key ? a->key < b->key : a->seq < b->seq;
}

void heap_push(struct heap *h, struct heap_entry e)
{
    h->entries = mem_grow(h->entries, h->n, &h->cap, sizeof *h->entries);
    size_t i = h->n++;
    for (; i > 0 && before(&e, &h->entries[(i - 1) / 2]); i = (i - 1) / 2)
        h->entries[i] = h->entries[(i - 1) / 2];
    h->entries[i] = e;
}

const struct heap_entry *heap_first(const struct heap *h)
{
    return h->n ? &h->entries[0] : NULL;
}

/* Place i is free: e goes there, or below what is smaller. */
static void sink(struct heap *h, size_t i, struct heap_entry e)
{
    for (size_t child = 2 * i + 1; child < h->n; child = 2 * i + 1) {
        if (child + 1 < h->n && before(&h->entries[child + 1], &h->entries[child]))
            child++;
        if (!before(&h->entries[child], &e))
            break;
        h->entries[i] = h->entries[child];
        i = child;
    }
    h->entries[i] = e;
}

struct item *heap_pop(struct heap *h)
{
    if (h->n == 0)
        return NULL;
    struct item *first = h->entries[0].item;
    struct heap_entry last = h->entries[--h->n];
    sink(h, 0, last);
    return first;
}

void heap_order(struct heap *h)
{
    for (size_t i = h->n / 2; i-- > 0;)
        sink(h, i, h->entries[i]);
}

void heap_free(struct heap *h)
{
    free(h->entries);
    *h = (struct heap){ NULL, 0, 0 };
}
