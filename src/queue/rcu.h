/*
 * What the files of this room include of liburcu, and how the thread sanitizer is told what
 * liburcu orders: its shared libraries are not instrumented, so without these two it would
 * report correct code. They are empty in any other build.
 */
#ifndef FANSYNC_QUEUE_RCU_H
#define FANSYNC_QUEUE_RCU_H

#include <urcu/urcu-memb.h>
#include <urcu/rculfhash.h>
#include <urcu/wfcqueue.h>

#if defined(__SANITIZE_THREAD__)
#define QUEUE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define QUEUE_TSAN 1
#endif
#endif

#ifdef QUEUE_TSAN
void __tsan_acquire(void *);
void __tsan_release(void *);
/* What was done to p before handing_over is visible after handed_over. */
#define handing_over(p) __tsan_release(p)
#define handed_over(p) __tsan_acquire(p)
#else
#define handing_over(p) ((void)(p))
#define handed_over(p) ((void)(p))
#endif

/* A read section. Its end is handed over to the callbacks that free: what happens in a
 * section comes before every callback that had to wait for it. */
extern char queue_grace;

static inline void read_begin(void)
{
    urcu_memb_read_lock();
}

static inline void read_end(void)
{
    handing_over(&queue_grace);
    urcu_memb_read_unlock();
}

/* At the head of a callback. */
static inline void after_grace(void *p)
{
    handed_over(&queue_grace);
    handed_over(p);
}

#endif
