/* The rows of cyrus.annotations and annotations.db: keys and values of the input, in a database made of them. */
#include "fuzz.h"

#include "../unit/store/twoskip_build.h"
#include "fansync/arena.h"
#include "store/annot.h"

enum { MOST_ROWS = 12 };

static bool has(struct twoskip *t, struct slice key)
{
    uint64_t next = ts_next(t, ts_before(t, 0, key));
    return next && slice_eq(ts_key(t, next), key);
}

static void look(struct db *d)
{
    struct arena a = ARENA_INIT;
    struct annotation_list l;
    struct message_annotations all;
    fuzz_refused(annot_mailbox(&a, d, slice_str("id"), slice_str("fred"), &l));
    if (!fuzz_refused(annot_messages(&a, d, slice_str("fred"), &all)))
        for (size_t i = 0; i < all.n; i++) {
            must(i == 0 || all.row[i - 1].uid <= all.row[i].uid);
            must(annot_of_uid(&a, &all, all.row[i].uid).n > 0);
        }
    arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct slice in = slice_of((const char *)data, n);
    struct twoskip t;
    struct db *d;
    ts_init(&t);
    for (size_t i = 0; i < MOST_ROWS && in.n; i++) {
        struct slice key = fuzz_bytes(&in, fuzz_byte(&in)), value = fuzz_bytes(&in, fuzz_byte(&in));
        uint64_t began = buf_len(&t.file);
        if (key.n == 0 || has(&t, key))
            continue;
        ts_add_bytes_open(&t, key, value, 1);
        ts_commit(&t, began);
    }
    if (!fuzz_refused(db_read(fuzz_file(buf_slice(&t.file)), DB_TEXT_REFUSED, 0, &d))) {
        look(d);
        db_free(d);
    }
    buf_free(&t.file);
    return 0;
}
