/*
 * The sync CRCs (spec/store.md §5.6): one sum for each live record, the mailbox's being the
 * XOR of them. They serve to check a mailbox, and to compare a record of the master with
 * one of a replica by two numbers. Pure; any thread.
 */
#ifndef FANSYNC_SYNC_CRC_H
#define FANSYNC_SYNC_CRC_H

#include "fansync/snapshot.h"

#define SYNC_CRC_ANNOT_START 12345678u

/*
 * Servers up to 3.12 count a thread id without leading zeros, later ones all 16 digits (spec/protocol.md 5.2): one
 * thread in sixteen makes two sums of the same records. Each side's own sum is in the form of its version.
 */
struct sync_crcs {
    uint32_t basic, annot;
    uint32_t annot_long; /* annot with thread ids of 16 digits */
};

/* annot in the form of a peer. */
static inline uint32_t sync_crc_annot(const struct sync_crcs *c, bool long_thrid)
{
    return long_thrid ? c->annot_long : c->annot;
}
/* The same sums? 0 is unknown and matches; either form of annot will do. */
bool sync_crcs_match(const struct sync_crcs *c, uint32_t basic, uint32_t annot);

/* Over all live records of rec, with the start value. */
struct sync_crcs sync_crc_compute(const struct mailbox_header *h, const struct records *rec);

/* Of record i alone, live or not, without start value. */
struct sync_crcs sync_crc_record(const struct mailbox_header *h, const struct records *rec, size_t i);

/* basic of record i as if it had that modseq and that time. */
uint32_t sync_crc_basic_as(const struct mailbox_header *h, const struct records *rec, size_t i, uint64_t modseq,
                           int64_t last_updated);

/* The parts, for records that come from elsewhere. flagcrc is the XOR of the flags' sums. */
uint32_t sync_crc_flag(struct slice name);
uint32_t sync_crc_basic(uint32_t uid, uint64_t modseq, int64_t last_updated, uint32_t flagcrc, int64_t internaldate,
                        const struct guid *guid);
uint32_t sync_crc_annotation(uint32_t uid, struct slice entry, struct slice userid, struct slice value);

#endif
