/* What the fuzz targets share (fuzz.h), and what they have in place of the log and of CRC-32. */
#include "fuzz.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fansync/guid.h"
#include "fansync/log.h"

bool fuzz_crc_is_zero;

/* The linker sends every call of crc32_add to __wrap_crc32_add (tests/fuzz/run). */
uint32_t __real_crc32_add(uint32_t crc, const void *p, size_t n);
uint32_t __wrap_crc32_add(uint32_t crc, const void *p, size_t n);
uint32_t __wrap_crc32_add(uint32_t crc, const void *p, size_t n)
{
    return fuzz_crc_is_zero ? 0 : __real_crc32_add(crc, p, n);
}

/* Formats what the program would log, so that a bad argument is seen, and drops it. */
void log_msg(int priority, const char *fmt, ...)
{
    char text[4096];
    va_list ap;
    (void)priority;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
}

void fuzz_fault(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: must hold: %s\n", file, line, what);
    abort();
}

void fuzz_same(struct slice x, struct slice y)
{
    if (slice_eq(x, y))
        return;
    fprintf(stderr, SLICE_FMT "\n" SLICE_FMT "\n", SLICE_ARG(x), SLICE_ARG(y));
    fuzz_fault("both texts are the same", __FILE__, __LINE__);
}

bool fuzz_refused(struct err *err)
{
    if (!err)
        return false;
    must(err->msg && *err->msg);
    err_free(err);
    return true;
}

uint8_t fuzz_byte(struct slice *in)
{
    uint8_t b = 0;
    if (in->n) {
        b = (uint8_t)*in->p;
        *in = slice_of(in->p + 1, in->n - 1);
    }
    return b;
}

struct slice fuzz_bytes(struct slice *in, size_t n)
{
    struct slice s = slice_of(in->p, n < in->n ? n : in->n);
    *in = slice_of(in->p + s.n, in->n - s.n);
    return s;
}

const char *fuzz_file(struct slice content)
{
    static char path[64], temp[80];
    snprintf(path, sizeof path, "/dev/shm/fansync-fuzz.%ld", (long)getpid());
    snprintf(temp, sizeof temp, "%s.NEW", path);
    int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must(fd >= 0 && (content.n == 0 || write(fd, content.p, content.n) == (ssize_t)content.n));
    close(fd);
    must(rename(temp, path) == 0);
    return path;
}

static void remove_file(void)
{
    unlink(fuzz_file(slice_of("", 0)));
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    signal(SIGPIPE, SIG_IGN);
    atexit(remove_file);
    return 0;
}
