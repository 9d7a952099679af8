/* Allocation that ends the process with a message when memory runs out; any thread. */
#ifndef FANSYNC_MEM_H
#define FANSYNC_MEM_H

#include <stddef.h>

void *mem_alloc(size_t n); /* zeroed */
void *mem_array(size_t n, size_t size);
void *mem_realloc(void *p, size_t n);
char *mem_strdup(const char *s);
char *mem_strndup(const char *s, size_t n);
_Noreturn void mem_overflow(void);

/* Room for one more element in a growing array: if (n == *cap) doubles *cap. Returns
 * the (possibly moved) array. */
void *mem_grow(void *array, size_t n, size_t *cap, size_t size);

#endif
