/* Parsing cyrus.index (store/index_format.h). The tables are those of spec/store.md §5. */
#include "store/index_format.h"

#include <string.h>

#include "fansync/bigendian.h"

enum { NONE = 0 }; /* no field lies at offset 0 but a record's uid, which is not in the table */
enum { OLDEST = 12, NEWEST = 20, NANOSECONDS = 1000000000 };

struct header_layout {
    uint16_t size, record_size;
    uint16_t last_uid, uidvalidity, exists, options, recentuid;
    uint16_t highestmodseq, deletedmodseq, createdmodseq;
    uint16_t header_file_crc, sync_crc, sync_crc_annot;
    uint16_t last_appenddate, pop3_last_login, recenttime, pop3_show_after; /* ns in 8 bytes from minor 20 */
};

struct record_layout {
    uint16_t internaldate, size, last_updated, flags, userflags, savedate, guid, modseq, cid, createdmodseq, basecid;
};

static const struct header_layout *header_layout(uint32_t minor)
{
#define HEADER(sz, rs, ex, op, hm, dm, cm, show, annot)                                                        \
    { .size = sz, .record_size = rs, .last_uid = 28, .uidvalidity = 44, .exists = ex, .options = op,           \
      .recentuid = 104, .highestmodseq = hm, .deletedmodseq = dm, .createdmodseq = cm, .header_file_crc = 96,  \
      .sync_crc = 100, .sync_crc_annot = annot, .last_appenddate = 24, .pop3_last_login = 40,                  \
      .recenttime = 108, .pop3_show_after = show }
    static const struct header_layout v12 = HEADER(128, 96, 84, 60, 68, 76, NONE, NONE, NONE);
    static const struct header_layout v13 = HEADER(128, 104, 84, 60, 68, 76, NONE, 112, 120);
    static const struct header_layout v14 = HEADER(160, 104, 84, 60, 68, 76, NONE, 112, 120);
    static const struct header_layout v16 = HEADER(160, 112, 84, 60, 68, 76, 128, 112, 120);
    static const struct header_layout v19 = HEADER(160, 112, 60, 64, 72, 80, 128, 112, 120);
#undef HEADER
    static const struct header_layout v20 = {
        .size = 192, .record_size = 144, .last_uid = 88, .uidvalidity = 92, .exists = 60, .options = 64,
        .recentuid = 184, .highestmodseq = 72, .deletedmodseq = 80, .createdmodseq = 128, .header_file_crc = 96,
        .sync_crc = 100, .sync_crc_annot = 120, .last_appenddate = 24, .pop3_last_login = 40, .recenttime = 104,
        .pop3_show_after = 112,
    };
    static const struct header_layout *const by_minor[] = { &v12, &v13, &v14, &v14, &v16, &v16, &v16, &v19, &v20 };
    return minor >= OLDEST && minor <= NEWEST ? by_minor[minor - OLDEST] : NULL;
}

static const struct record_layout *record_layout(uint32_t minor)
{
#define RECORD(save, conv, created)                                                                            \
    { .internaldate = 4, .size = 12, .last_updated = 28, .flags = 32, .userflags = 36, .savedate = save,       \
      .guid = 60, .modseq = 80, .cid = conv, .createdmodseq = created, .basecid = NONE }
    static const struct record_layout v12 = RECORD(NONE, NONE, NONE);
    static const struct record_layout v13 = RECORD(NONE, 88, NONE);
    static const struct record_layout v15 = RECORD(52, 88, NONE);
    static const struct record_layout v16 = RECORD(52, 88, 96);
#undef RECORD
    static const struct record_layout v20 = {
        .internaldate = 8, .size = 24, .last_updated = 112, .flags = 36, .userflags = 40, .savedate = 120,
        .guid = 60, .modseq = 80, .cid = 88, .createdmodseq = 96, .basecid = 128,
    };
    static const struct record_layout *const by_minor[] = { &v12, &v13, &v13, &v15, &v16, &v16, &v16, &v16, &v20 };
    return by_minor[minor - OLDEST];
}

static struct err *bad(const char *path, uint64_t off, const char *what)
{
    return err_new(ERR_CORRUPT, "%s: offset %llu: %s", path, (unsigned long long)off, what);
}

static uint64_t field64(const char *p, uint16_t off)
{
    return off ? be64(p + off) : 0;
}

static uint32_t field32(const char *p, uint16_t off)
{
    return off ? be32(p + off) : 0;
}

static int64_t whole_seconds(int64_t ns)
{
    return ns / NANOSECONDS - (ns % NANOSECONDS < 0);
}

/* Seconds; stored as nanoseconds from minor 20 on. */
static int64_t field_time(const char *p, uint32_t minor, uint16_t off)
{
    if (minor < 20 || !off)
        return (int64_t)field32(p, off);
    return whole_seconds((int64_t)be64(p + off));
}

static uint32_t field_nanoseconds(const char *p, uint16_t off)
{
    int64_t ns = (int64_t)be64(p + off) % NANOSECONDS;
    return (uint32_t)(ns < 0 ? ns + NANOSECONDS : ns);
}

static struct err *check_layout(const char *path, const char *p, size_t n, uint64_t file_size,
                                const struct header_layout *l, struct index_header *h)
{
    /* A bug of one development version wrote minor 19 headers over records of 144 bytes. */
    bool odd_stride = h->minor == 19 && h->record_size == 144;
    if (n < l->size || h->start_offset != l->size)
        return bad(path, 12, "index header of an unexpected size");
    if (h->record_size != l->record_size && !odd_stride)
        return bad(path, 16, "index records of an unexpected size");
    if (be32(p + l->size - 4) != crc32_add(0, p, l->size - 4u))
        return bad(path, l->size - 4u, "index header CRC mismatch");
    if (file_size < h->start_offset + (uint64_t)h->num_records * h->record_size)
        return bad(path, file_size, "index is shorter than its header says");
    return NULL;
}

struct err *index_parse_header(const char *path, const char *p, size_t n, uint64_t file_size, struct index_header *h)
{
    memset(h, 0, sizeof *h);
    if (n < INDEX_BASE)
        return bad(path, n, "index ends inside its header");
    h->minor = be32(p + 8);
    h->start_offset = be32(p + 12);
    h->record_size = be32(p + 16);
    h->num_records = be32(p + 20);
    const struct header_layout *l = header_layout(h->minor);
    if (!l)
        return err_new(ERR_NOTSUPPORTED, "%s: index version %u is not supported (reconstruct -V max upgrades old ones)",
                       path, h->minor);
    TRY(check_layout(path, p, n, file_size, l, h));
    h->exists = field32(p, l->exists);
    h->last_uid = field32(p, l->last_uid);
    h->uidvalidity = field32(p, l->uidvalidity);
    h->options = field32(p, l->options);
    h->recentuid = field32(p, l->recentuid);
    h->sync_crc = field32(p, l->sync_crc);
    h->sync_crc_annot = field32(p, l->sync_crc_annot);
    h->header_file_crc = field32(p, l->header_file_crc);
    h->highestmodseq = field64(p, l->highestmodseq);
    if (h->highestmodseq == 0)
        h->highestmodseq = 1;
    h->deletedmodseq = field64(p, l->deletedmodseq);
    h->createdmodseq = field64(p, l->createdmodseq);
    h->last_appenddate = field_time(p, h->minor, l->last_appenddate);
    h->pop3_last_login = field_time(p, h->minor, l->pop3_last_login);
    h->recenttime = field_time(p, h->minor, l->recenttime);
    h->pop3_show_after = field_time(p, h->minor, l->pop3_show_after);
    return NULL;
}

/* A record's own length: the stride may be larger (check_layout). */
static uint32_t record_length(const struct index_header *h)
{
    return header_layout(h->minor)->record_size;
}

struct err *index_check_record(const char *path, const struct index_header *h, uint32_t index, const char *p,
                               uint32_t *uid, uint64_t *modseq)
{
    uint32_t len = record_length(h);
    uint64_t off = h->start_offset + (uint64_t)index * h->record_size;
    if (be32(p + len - 4) != crc32_add(0, p, len - 4))
        return err_new(ERR_CORRUPT, "%s: offset %llu: index record %u: CRC mismatch", path, (unsigned long long)off,
                       index + 1);
    *uid = be32(p);
    *modseq = be64(p + record_layout(h->minor)->modseq);
    return NULL;
}

struct err *index_parse_record(const char *path, const struct index_header *h, uint32_t index, const char *p,
                               struct index_record *r)
{
    const struct record_layout *l = record_layout(h->minor);
    memset(r, 0, sizeof *r);
    TRY(index_check_record(path, h, index, p, &r->uid, &r->modseq));
    r->flags = be32(p + l->flags);
    for (int i = 0; i < 4; i++)
        r->userflags[i] = be32(p + l->userflags + 4 * i);
    r->internaldate = field_time(p, h->minor, l->internaldate);
    r->last_updated = field_time(p, h->minor, l->last_updated);
    r->savedate = field_time(p, h->minor, l->savedate);
    r->size = h->minor >= 20 ? be64(p + l->size) : be32(p + l->size);
    r->cid = field64(p, l->cid);
    r->createdmodseq = field64(p, l->createdmodseq);
    r->basecid = field64(p, l->basecid);
    if (h->minor >= 20)
        r->internaldate_nsec = field_nanoseconds(p, l->internaldate);
    memcpy(r->guid.b, p + l->guid, GUID_SIZE);
    return NULL;
}
