/* What the tests with threads share. */
#ifndef FANSYNC_TEST_QUEUE_THREADS_H
#define FANSYNC_TEST_QUEUE_THREADS_H

#include "../test.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "fansync/queue.h"

#define PATIENCE (30 * 1000) /* ms; after that something has been lost */

/* cmocka's asserts belong to the main thread. */
#define must(cond)                                                        \
    do {                                                                  \
        if (!(cond)) {                                                    \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);    \
            abort();                                                      \
        }                                                                 \
    } while (0)

static inline unsigned rnd(unsigned *seed, unsigned below)
{
    *seed = *seed * 1103515245u + 12345u;
    return (*seed >> 16) % below;
}

static inline int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

#endif
