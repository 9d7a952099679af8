/*
 * GUIDs and checksums of fansync/guid.h. SHA-1 is OpenSSL's, CRC-32 is libdeflate's
 * (ten times faster than zlib's on records of a hundred bytes).
 */
#include "fansync/guid.h"

#include <libdeflate.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "fansync/mem.h"

static const char hex_digits[] = "0123456789abcdef";

void guid_format(const struct guid *g, char out[GUID_HEX + 1])
{
    for (int i = 0; i < GUID_SIZE; i++) {
        out[2 * i] = hex_digits[g->b[i] >> 4];
        out[2 * i + 1] = hex_digits[g->b[i] & 15];
    }
    out[GUID_HEX] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool guid_parse(struct slice hex, struct guid *g)
{
    struct guid out;
    if (hex.n != GUID_HEX)
        return false;
    for (size_t i = 0; i < GUID_SIZE; i++) {
        int hi = hex_value(hex.p[2 * i]), lo = hex_value(hex.p[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return false;
        out.b[i] = (uint8_t)(hi << 4 | lo);
    }
    *g = out;
    return true;
}

bool guid_is_null(const struct guid *g)
{
    static const struct guid null;
    return guid_eq(g, &null);
}

bool guid_eq(const struct guid *a, const struct guid *b)
{
    return memcmp(a->b, b->b, GUID_SIZE) == 0;
}

struct sha1 {
    EVP_MD_CTX *ctx;
    EVP_MD *md;
};

static void must(int ok)
{
    if (!ok)
        mem_overflow(); /* SHA-1 fails for want of memory only */
}

struct sha1 *sha1_new(void)
{
    struct sha1 *h = mem_alloc(sizeof *h);
    h->md = EVP_MD_fetch(NULL, "SHA1", NULL);
    h->ctx = EVP_MD_CTX_new();
    must(h->md && h->ctx && EVP_DigestInit_ex(h->ctx, h->md, NULL));
    return h;
}

void sha1_add(struct sha1 *h, const void *p, size_t n)
{
    must(EVP_DigestUpdate(h->ctx, p, n));
}

void sha1_final(struct sha1 *h, struct guid *out)
{
    must(EVP_DigestFinal_ex(h->ctx, out->b, NULL) && EVP_DigestInit_ex(h->ctx, h->md, NULL));
}

void sha1_free(struct sha1 *h)
{
    if (!h)
        return;
    EVP_MD_CTX_free(h->ctx);
    EVP_MD_free(h->md);
    free(h);
}

uint32_t crc32_add(uint32_t crc, const void *p, size_t n)
{
    return libdeflate_crc32(crc, p, n);
}
