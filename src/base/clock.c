/* The monotonic clock (fansync/clock.h). */
#include "fansync/clock.h"

#include <time.h>

int64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * CLOCK_SECOND_NS + t.tv_nsec;
}

int64_t clock_ms(void)
{
    return clock_ns() / 1000000;
}

int64_t clock_s(void)
{
    return clock_ns() / CLOCK_SECOND_NS;
}
