/* cyrus.index: header and records; and cyrus.header, from the same bytes. */
#include "fuzz.h"

#include "fansync/arena.h"
#include "store/header_file.h"
#include "store/index_format.h"

static void records(struct slice in, const struct index_header *h)
{
    must(h->record_size && h->start_offset <= in.n);
    must(h->num_records <= (in.n - h->start_offset) / h->record_size);
    for (uint32_t i = 0; i < h->num_records; i++) {
        const char *p = in.p + h->start_offset + (size_t)i * h->record_size;
        struct index_record r;
        uint32_t uid;
        uint64_t modseq;
        bool refused = fuzz_refused(index_check_record("index", h, i, p, &uid, &modseq));
        if (!fuzz_refused(index_parse_record("index", h, i, p, &r)))
            must(!refused && r.uid == uid && r.modseq == modseq);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct slice in = slice_of((const char *)data, n);
    struct index_header h;
    struct header_file f;
    struct arena a = ARENA_INIT;
    fuzz_crc_is_zero = !(fuzz_byte(&in) & 1);
    if (!fuzz_refused(index_parse_header("index", in.p, in.n, in.n, &h)))
        records(in, &h);
    if (!fuzz_refused(header_file_parse(&a, "header", in, &f)))
        must(f.nflags <= MAX_USER_FLAGS);
    arena_free(&a);
    return 0;
}
