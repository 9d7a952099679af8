/*
 * Allocation that cannot fail as far as callers are concerned. A replication client
 * that runs out of memory has nothing better to do than to end and be restarted: the
 * log it works from is still on disk.
 */
#include "fansync/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

_Noreturn void mem_overflow(void)
{
    static const char text[] = "Fatal error: out of memory";
    fprintf(stderr, "%s\n", text);
    syslog(LOG_ERR, "%s", text);
    exit(71); /* EX_OSERR */
}

void *mem_alloc(size_t n)
{
    void *p = calloc(1, n ? n : 1);
    if (!p)
        mem_overflow();
    return p;
}

void *mem_array(size_t n, size_t size)
{
    void *p = calloc(n ? n : 1, size ? size : 1);
    if (!p)
        mem_overflow();
    return p;
}

void *mem_realloc(void *p, size_t n)
{
    p = realloc(p, n ? n : 1);
    if (!p)
        mem_overflow();
    return p;
}

char *mem_strndup(const char *s, size_t n)
{
    char *p = mem_alloc(n + 1);
    memcpy(p, s, n);
    return p;
}

char *mem_strdup(const char *s)
{
    return mem_strndup(s, strlen(s));
}

void *mem_grow(void *array, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return array;
    size_t want = *cap ? *cap * 2 : 8;
    size_t bytes;
    if (want < *cap || __builtin_mul_overflow(want, size, &bytes))
        mem_overflow();
    *cap = want;
    return mem_realloc(array, bytes);
}
