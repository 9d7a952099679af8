/* The clock that only goes forward, for waits, ages and time limits; not for dates. Any thread. */
#ifndef FANSYNC_CLOCK_H
#define FANSYNC_CLOCK_H

#include <stdint.h>

#define CLOCK_SECOND_NS INT64_C(1000000000)

int64_t clock_ns(void);
int64_t clock_ms(void);
int64_t clock_s(void);

#endif
