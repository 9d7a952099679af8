/* What somebody may have meant (config/nearest.h); called where an option is refused. */
#include "config/nearest.h"

#include <string.h>

enum { LONGEST = 63, MOST = 2 };

static size_t least(size_t x, size_t y)
{
    return x < y ? x : y;
}

/* Edit distance, row by row; both words fit. */
static size_t distance(const char *x, const char *y)
{
    size_t row[LONGEST + 1], ny = strlen(y);
    for (size_t k = 0; k <= ny; k++)
        row[k] = k;
    for (size_t i = 0; x[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t k = 0; k < ny; k++) {
            size_t changed = diagonal + (x[i] != y[k]);
            diagonal = row[k + 1];
            row[k + 1] = least(changed, least(row[k], diagonal) + 1);
        }
    }
    return row[ny];
}

const char *nearest_word(const char *word, const char *const *candidates, size_t n)
{
    const char *best = NULL;
    size_t bound = least(MOST, strlen(word) / 3) + 1;
    for (size_t i = 0; i < n && strlen(word) <= LONGEST; i++) {
        size_t d = strlen(candidates[i]) <= LONGEST ? distance(word, candidates[i]) : bound;
        if (d < bound) {
            bound = d;
            best = candidates[i];
        }
    }
    return best;
}
