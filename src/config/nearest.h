/* What somebody may have meant. Pure; any thread. */
#ifndef FANSYNC_CONFIG_NEAREST_H
#define FANSYNC_CONFIG_NEAREST_H

#include <stddef.h>

/* The candidate that differs from word by the fewest letters (put in, left out, changed); NULL if that are
 * more than two, or than a third of the word. */
const char *nearest_word(const char *word, const char *const *candidates, size_t n);

#endif
