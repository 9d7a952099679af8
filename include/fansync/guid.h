/*
 * Checksums that Cyrus keeps: the GUID of a message (SHA-1 of its file) and the CRC-32
 * of records and headers (spec/store.md §0.2). Any thread may call.
 */
#ifndef FANSYNC_GUID_H
#define FANSYNC_GUID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "fansync/slice.h"

#define GUID_SIZE 20
#define GUID_HEX 40

struct guid {
    uint8_t b[GUID_SIZE];
};

/* 40 lower-case hex digits and a NUL. */
void guid_format(const struct guid *g, char out[GUID_HEX + 1]);
/* Exactly 40 hex digits of either case; false leaves *g untouched. */
bool guid_parse(struct slice hex, struct guid *g);
bool guid_is_null(const struct guid *g);
bool guid_eq(const struct guid *a, const struct guid *b);

struct sha1;
struct sha1 *sha1_new(void);
void sha1_add(struct sha1 *h, const void *p, size_t n);
/* The digest; afterwards the object can be used for the next message. */
void sha1_final(struct sha1 *h, struct guid *out);
void sha1_free(struct sha1 *h);

/* The ordinary CRC-32 (zlib's), continued from crc; start with 0. */
uint32_t crc32_add(uint32_t crc, const void *p, size_t n);

#endif
