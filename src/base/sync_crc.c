/* Computing sync CRCs (fansync/sync_crc.h). */
#include "fansync/sync_crc.h"

#include <ctype.h>
#include <stdio.h>

#include "fansync/guid.h"

uint32_t sync_crc_flag(struct slice name)
{
    char lower[512];
    uint32_t crc = 0;
    while (name.n) {
        size_t n = name.n < sizeof lower ? name.n : sizeof lower;
        for (size_t i = 0; i < n; i++)
            lower[i] = (char)tolower((unsigned char)name.p[i]);
        crc = crc32_add(crc, lower, n);
        name = slice_of(name.p + n, name.n - n);
    }
    return crc;
}

static uint32_t flags_crc(const struct mailbox_header *h, const struct records *rec, size_t i)
{
    static const struct { uint32_t bit; const char *name; } system_flags[] = {
        { REC_DELETED, "\\deleted" }, { REC_ANSWERED, "\\answered" }, { REC_FLAGGED, "\\flagged" },
        { REC_DRAFT, "\\draft" },     { REC_SEEN, "\\seen" },
    };
    uint32_t crc = 0;
    for (size_t k = 0; k < sizeof system_flags / sizeof *system_flags; k++)
        if (rec->flags[i] & system_flags[k].bit)
            crc ^= sync_crc_flag(slice_str(system_flags[k].name));
    for (size_t k = 0; k < h->nuserflags; k++)
        if (h->userflags[k].n && rec->userflags[i][k / 32] & (1u << (k % 32)))
            crc ^= sync_crc_flag(h->userflags[k]);
    return crc;
}

uint32_t sync_crc_basic(uint32_t uid, uint64_t modseq, int64_t last_updated, uint32_t flagcrc, int64_t internaldate,
                        const struct guid *guid)
{
    char text[200], hex[GUID_HEX + 1];
    guid_format(guid, hex);
    int n = snprintf(text, sizeof text, "%u %llu %lld (%u) %lld %s", uid, (unsigned long long)modseq,
                     (long long)last_updated, flagcrc, (long long)internaldate, hex);
    return crc32_add(0, text, (size_t)n);
}

uint32_t sync_crc_annotation(uint32_t uid, struct slice entry, struct slice userid, struct slice value)
{
    char start[16];
    int n = snprintf(start, sizeof start, "%u ", uid);
    uint32_t crc = crc32_add(0, start, (size_t)n);
    crc = crc32_add(crc, entry.p, entry.n);
    crc = crc32_add(crc, " ", 1);
    crc = crc32_add(crc, userid.p, userid.n);
    crc = crc32_add(crc, " ", 1);
    return crc32_add(crc, value.p, value.n);
}

static uint32_t virtual_crc(uint32_t uid, const char *name, const char *fmt, unsigned long long v)
{
    char entry[64], value[32];
    int ne = snprintf(entry, sizeof entry, "/vendor/cmu/cyrus-imapd/%s", name);
    int nv = snprintf(value, sizeof value, fmt, v);
    return sync_crc_annotation(uid, slice_of(entry, (size_t)ne), slice_of("", 0), slice_of(value, (size_t)nv));
}

static uint32_t annotations_crc(const struct records *rec, size_t i, bool long_thrid)
{
    uint32_t uid = rec->uid[i], crc = 0;
    for (size_t k = 0; rec->annotations && k < rec->annotations[i].n; k++) {
        const struct annotation *a = &rec->annotations[i].a[k];
        crc ^= sync_crc_annotation(uid, a->entry, a->userid, a->value);
    }
    if (rec->cid[i])
        crc ^= virtual_crc(uid, "thrid", long_thrid ? "%016llx" : "%llx", rec->cid[i]);
    if (rec->savedate[i])
        crc ^= virtual_crc(uid, "savedate", "%llu", (unsigned long long)rec->savedate[i]);
    if (rec->createdmodseq[i])
        crc ^= virtual_crc(uid, "createdmodseq", "%llu", rec->createdmodseq[i]);
    return crc;
}

uint32_t sync_crc_basic_as(const struct mailbox_header *h, const struct records *rec, size_t i, uint64_t modseq,
                           int64_t last_updated)
{
    return sync_crc_basic(rec->uid[i], modseq, last_updated, flags_crc(h, rec, i), rec->internaldate[i],
                          &rec->guid[i]);
}

struct sync_crcs sync_crc_record(const struct mailbox_header *h, const struct records *rec, size_t i)
{
    struct sync_crcs c = { sync_crc_basic_as(h, rec, i, rec->modseq[i], rec->last_updated[i]),
                           annotations_crc(rec, i, false), 0 };
    bool begins_with_zero = rec->cid[i] && rec->cid[i] >> 60 == 0;
    c.annot_long = begins_with_zero ? annotations_crc(rec, i, true) : c.annot;
    return c;
}

struct sync_crcs sync_crc_compute(const struct mailbox_header *h, const struct records *rec)
{
    struct sync_crcs sum = { 0, SYNC_CRC_ANNOT_START, SYNC_CRC_ANNOT_START };
    for (size_t i = 0; i < rec->n; i++) {
        if (rec->flags[i] & REC_EXPUNGED)
            continue;
        struct sync_crcs c = sync_crc_record(h, rec, i);
        sum.basic ^= c.basic;
        sum.annot ^= c.annot;
        sum.annot_long ^= c.annot_long;
    }
    if (h->minor < 13)
        sum.annot = sum.annot_long = 0; /* has none */
    return sum;
}

bool sync_crcs_match(const struct sync_crcs *c, uint32_t basic, uint32_t annot)
{
    bool same = c->basic == basic || c->basic == 0 || basic == 0;
    return same && (annot == 0 || c->annot == 0 || annot == c->annot || annot == c->annot_long);
}
