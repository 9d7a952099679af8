/* Making the columns of fansync/snapshot.h. Pure; any thread. */
#include "fansync/snapshot.h"

#include <string.h>

void records_make(struct arena *a, size_t n, struct records *out)
{
    memset(out, 0, sizeof *out);
    out->n = n;
#define COLUMN(c) out->c = arena_array(a, n, sizeof *out->c)
    COLUMN(uid);
    COLUMN(modseq);
    COLUMN(last_updated);
    COLUMN(internaldate);
    COLUMN(size);
    COLUMN(flags);
    COLUMN(userflags);
    COLUMN(guid);
    COLUMN(cid);
    COLUMN(savedate);
    COLUMN(createdmodseq);
#undef COLUMN
}
