/*
 * cyrus.index as bytes (spec/store.md §5.2 - §5.4): a table of field offsets per minor
 * version, and the parsing of one header and one record. Pure; any thread.
 */
#ifndef FANSYNC_STORE_INDEX_FORMAT_H
#define FANSYNC_STORE_INDEX_FORMAT_H

#include <stdbool.h>
#include <stdint.h>
#include "fansync/err.h"
#include "fansync/guid.h"

enum { INDEX_BASE = 24, INDEX_HEADER_MAX = 192 };

struct index_header {
    uint32_t minor;
    uint32_t start_offset, record_size, num_records;
    uint32_t exists, last_uid, uidvalidity, options, recentuid;
    uint32_t sync_crc, sync_crc_annot, header_file_crc;
    uint64_t highestmodseq, deletedmodseq, createdmodseq;
    int64_t last_appenddate, pop3_last_login, recenttime, pop3_show_after;
};

struct index_record {
    uint32_t uid, flags, userflags[4];
    int64_t internaldate, last_updated, savedate;
    uint32_t internaldate_nsec; /* minor 20 */
    uint64_t size, modseq, cid, createdmodseq, basecid;
    struct guid guid;
};

/* p: the first n bytes of the file (INDEX_HEADER_MAX are enough); file_size: of the whole
 * file. Errors are ERR_CORRUPT or ERR_NOTSUPPORTED and name path and offset. */
struct err *index_parse_header(const char *path, const char *p, size_t n, uint64_t file_size,
                               struct index_header *h);

/* p: the record_size bytes of record number index (from 0); its CRC is checked. */
struct err *index_parse_record(const char *path, const struct index_header *h, uint32_t index, const char *p,
                               struct index_record *r);

/* Only what decides whether a record is wanted. */
struct err *index_check_record(const char *path, const struct index_header *h, uint32_t index, const char *p,
                               uint32_t *uid, uint64_t *modseq);

#endif
