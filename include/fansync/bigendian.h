/* Big-endian numbers, as Cyrus's files have them. Pure. */
#ifndef FANSYNC_BIGENDIAN_H
#define FANSYNC_BIGENDIAN_H

#include <stdint.h>

static inline uint32_t be32(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

static inline uint64_t be64(const char *p)
{
    return (uint64_t)be32(p) << 32 | be32(p + 4);
}

#endif
