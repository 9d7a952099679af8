/*
 * What the fuzz targets share (fuzz.c). A target is one LLVMFuzzerTestOneInput that calls a parser with whatever bytes
 * libFuzzer makes up, and asserts what must hold besides "no crash": the same result whole and in pieces, from memory
 * and from the disk, there and back. tests/fuzz/run builds and runs them.
 */
#ifndef FANSYNC_FUZZ_H
#define FANSYNC_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fansync/err.h"
#include "fansync/slice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Ends the process with a message, so that libFuzzer keeps the input. */
#define must(condition)                                 \
    do {                                                \
        if (!(condition))                               \
            fuzz_fault(#condition, __FILE__, __LINE__); \
    } while (0)
void fuzz_fault(const char *what, const char *file, int line) __attribute__((noreturn));

/* The same for two texts, which are printed if they differ. */
void fuzz_same(struct slice x, struct slice y);

/* An error has words, and is freed. True if there was one. */
bool fuzz_refused(struct err *err);

/* The first byte or number of the input, taken off it; 0 when it has ended. */
uint8_t fuzz_byte(struct slice *in);
/* At most n bytes. */
struct slice fuzz_bytes(struct slice *in, size_t n);

/* A file with this content, always the same path, made anew as one that is renamed into place. */
const char *fuzz_file(struct slice content);

/* Whether checksums of files are right whatever is stored (crc32_add gives 0): else no change of a byte would get past
 * them. Sums of 0 in the input are wanted then. */
extern bool fuzz_crc_is_zero;

#endif
