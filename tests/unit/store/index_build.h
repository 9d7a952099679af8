/* Builds cyrus.index files byte by byte, from the offsets of spec/store.md §5.3 and §5.4, written
 * down here a second time and independently of the parser's tables. */
#ifndef FANSYNC_TEST_INDEX_BUILD_H
#define FANSYNC_TEST_INDEX_BUILD_H

#include <stdlib.h>

#include "../test.h"
#include "fansync/guid.h"
#include "store/index_format.h"

struct index_image {
    unsigned char *p;
    size_t n;
    uint32_t minor, header_size, record_size;
};

static inline void put32(unsigned char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(v >> (24 - 8 * i));
}

static inline void put64(unsigned char *p, uint64_t v)
{
    put32(p, (uint32_t)(v >> 32));
    put32(p + 4, (uint32_t)v);
}

static inline void seal_header(struct index_image *im)
{
    put32(im->p + im->header_size - 4, crc32_add(0, im->p, im->header_size - 4));
}

static inline void seal_record(struct index_image *im, uint32_t i)
{
    unsigned char *r = im->p + im->header_size + i * im->record_size;
    put32(r + im->record_size - 4, crc32_add(0, r, im->record_size - 4));
}

/* n records with uid 10, 20, ...; every field that exists has a value of its own. */
static inline struct index_image build_index(uint32_t minor, uint32_t n)
{
    struct index_image im = { .minor = minor };
    im.header_size = minor <= 13 ? 128 : minor == 20 ? 192 : 160;
    im.record_size = minor == 12 ? 96 : minor <= 15 ? 104 : minor == 20 ? 144 : 112;
    im.n = im.header_size + (size_t)n * im.record_size;
    im.p = calloc(1, im.n);
    unsigned char *h = im.p;
    const uint64_t ns = 1000000000u;
    put32(h, 7);
    put32(h + 8, minor);
    put32(h + 12, im.header_size);
    put32(h + 16, im.record_size);
    put32(h + 20, n);
    put32(h + (minor >= 19 ? 60 : 84), 1001);  /* exists */
    put32(h + (minor >= 19 ? 64 : 60), 1 | 4); /* options */
    put64(h + (minor >= 19 ? 72 : 68), 1003);  /* highestmodseq */
    put64(h + (minor >= 19 ? 80 : 76), 1004);  /* deletedmodseq */
    put32(h + 96, 1005);                       /* header file CRC */
    put32(h + 100, 1006);                      /* sync CRC */
    if (minor >= 13)
        put32(h + 120, 1007); /* annot CRC */
    if (minor >= 16)
        put64(h + 128, 1008); /* createdmodseq */
    if (minor == 20) {
        put64(h + 24, 1009 * ns + 5);
        put32(h + 88, 1010);
        put64(h + 40, 1011 * ns);
        put32(h + 92, 1012);
        put32(h + 184, 1013);
        put64(h + 104, 1014 * ns);
        put64(h + 112, 1015 * ns);
    } else {
        put32(h + 24, 1009);
        put32(h + 28, 1010);
        put32(h + 40, 1011);
        put32(h + 44, 1012);
        put32(h + 104, 1013);
        put32(h + 108, 1014);
        if (minor >= 13)
            put32(h + 112, 1015);
    }
    seal_header(&im);
    for (uint32_t i = 0; i < n; i++) {
        unsigned char *r = h + im.header_size + i * im.record_size;
        put32(r, 10 * (i + 1));
        if (minor == 20) {
            put64(r + 8, 2001 * ns + 77);
            put64(r + 24, ((uint64_t)1 << 32) + 2002);
            put64(r + 112, 2003 * ns);
            put32(r + 36, 0x14);
            put64(r + 120, 2004 * ns);
            put64(r + 128, 2009);
        } else {
            put32(r + 4, 2001);
            put32(r + 12, 2002);
            put32(r + 28, 2003);
            put32(r + 32, 0x14);
            if (minor >= 15)
                put32(r + 52, 2004);
        }
        for (uint32_t w = 0; w < 4; w++)
            put32(r + (minor == 20 ? 40 : 36) + 4 * w, 3000 + w);
        memset(r + 60, 0xab, GUID_SIZE);
        put64(r + 80, 2005 + i);
        if (minor >= 13)
            put64(r + 88, 2006);
        if (minor >= 16)
            put64(r + 96, 2007);
        seal_record(&im, i);
    }
    return im;
}

static inline const char *bytes(const struct index_image *im, size_t off)
{
    return (const char *)im->p + off;
}

#endif
