/*
 * The sync CRCs (spec/store.md §5.6): one sum for each live record, the mailbox's being the
 * XOR of them. They serve to check a mailbox, and to compare a record of the master with
 * one of a replica by two numbers. Pure; any thread.
 */
#ifndef FANSYNC_SYNC_CRC_H
#define FANSYNC_SYNC_CRC_H

#include "fansync/snapshot.h"

#define SYNC_CRC_ANNOT_START 12345678u

struct sync_crcs {
    uint32_t basic, annot;
};

/* Over all live records of rec, with the start value. */
struct sync_crcs sync_crc_compute(const struct mailbox_header *h, const struct records *rec);

/* Of record i alone, live or not, without start value. */
struct sync_crcs sync_crc_record(const struct mailbox_header *h, const struct records *rec, size_t i);

/* The parts, for records that come from elsewhere. flagcrc is the XOR of the flags' sums. */
uint32_t sync_crc_flag(struct slice name);
uint32_t sync_crc_basic(uint32_t uid, uint64_t modseq, int64_t last_updated, uint32_t flagcrc, int64_t internaldate,
                        const struct guid *guid);
uint32_t sync_crc_annotation(uint32_t uid, struct slice entry, struct slice userid, struct slice value);

#endif
