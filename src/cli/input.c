/* Reading the names of -f (cli/input.h). Any thread. */
#include "cli/input.h"

#include <stdio.h>
#include <stdlib.h>

struct err *input_read(const char *path, struct arena *a, struct slice **names, size_t *n)
{
    struct err *err = NULL;
    char *line = NULL;
    size_t size = 0, cap = 0;
    ssize_t len;
    *names = NULL;
    *n = 0;
    FILE *f = fopen(path, "re");
    if (!f)
        return err_errno("Unable to open %s", path);
    while ((len = getline(&line, &size, f)) > 0) {
        size_t k = (size_t)len;
        k -= line[k - 1] == '\n';
        if (k == 0 || line[0] == '#')
            continue;
        *names = arena_grow(a, *names, *n, &cap, sizeof **names);
        (*names)[(*n)++] = arena_dup(a, slice_of(line, k));
    }
    if (ferror(f))
        err = err_errno("Unable to read %s", path);
    free(line);
    fclose(f);
    return err;
}
