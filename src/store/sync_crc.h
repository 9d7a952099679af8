/* The sync CRCs of a mailbox's live records (spec/store.md §5.6). Pure. */
#ifndef FANSYNC_STORE_SYNC_CRC_H
#define FANSYNC_STORE_SYNC_CRC_H

#include "fansync/snapshot.h"

#define SYNC_CRC_ANNOT_START 12345678u

struct sync_crcs {
    uint32_t basic, annot;
};

/* Over all records of rec; minor: the index version, which decides the virtual ones. */
struct sync_crcs sync_crc_compute(const struct mailbox_header *h, const struct records *rec);

#endif
