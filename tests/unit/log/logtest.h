/*
 * For the log's tests: a folder in memory, the messages that operators would read, and a
 * writer that does what Cyrus's daemons do.
 */
#ifndef TEST_LOGTEST_H
#define TEST_LOGTEST_H

#include "../store/scratch.h"

#include <errno.h>
#include <syslog.h>
#include <time.h>
#include "fansync/buf.h"

/* Everything sent to syslog, a message a line. log_msg calls one of these two. */
static struct buf messages;

void syslog(int priority, const char *fmt, ...);
void syslog(int priority, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_printf(&messages, "<%d>", priority);
    buf_vprintf(&messages, fmt, ap);
    buf_addc(&messages, '\n');
    va_end(ap);
}

void __syslog_chk(int priority, int flag, const char *fmt, ...);
void __syslog_chk(int priority, int flag, const char *fmt, ...)
{
    va_list ap;
    (void)flag;
    va_start(ap, fmt);
    buf_printf(&messages, "<%d>", priority);
    buf_vprintf(&messages, fmt, ap);
    buf_addc(&messages, '\n');
    va_end(ap);
}

static inline size_t times_said(const char *text)
{
    size_t n = 0;
    for (const char *p = buf_cstr(&messages); (p = strstr(p, text)) != NULL; p++)
        n++;
    return n;
}

#define assert_said(text)                                                       \
    do {                                                                        \
        if (!times_said(text))                                                  \
            fail_msg("\"%s\" not in: %s", text, buf_cstr(&messages));           \
    } while (0)

static inline int log_setup(void **state)
{
    (void)state;
    buf_clear(&messages);
    strcpy(scratch, "/dev/shm/fansync-log.XXXXXX");
    if (mkdtemp(scratch))
        return 0;
    strcpy(scratch, "/tmp/fansync-log.XXXXXX");
    return mkdtemp(scratch) ? 0 : -1;
}

static inline int log_teardown(void **state)
{
    buf_free(&messages);
    return scratch_teardown(state);
}

static inline int64_t test_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline void test_sleep_ms(long ms)
{
    struct timespec t = { ms / 1000, ms % 1000 * 1000000 };
    nanosleep(&t, NULL);
}

/* One record as Cyrus's daemons write it, without the fsync: 64 rounds of open, lock,
 * compare, and then giving up (false): the record is lost. A process's POSIX lock. */
static inline bool daemon_writes(const char *path, const char *record)
{
    for (int round = 0; round < 64; round++) {
        struct flock fl = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        struct stat open_st, path_st;
        int fd = open(path, O_WRONLY | O_APPEND | O_CREAT, 0640);
        if (fd < 0)
            return false;
        while (fcntl(fd, F_SETLKW, &fl) < 0)
            if (errno != EINTR)
                return false;
        bool same = fstat(fd, &open_st) == 0 && stat(path, &path_st) == 0 && open_st.st_ino == path_st.st_ino;
        bool done = same && write(fd, record, strlen(record)) == (ssize_t)strlen(record);
        fl.l_type = F_UNLCK;
        fcntl(fd, F_SETLK, &fl);
        close(fd);
        if (same)
            return done;
    }
    return false;
}

static inline const char *content_of(const char *name)
{
    static char text[4096];
    int fd = open(scratch_path(name), O_RDONLY);
    if (fd < 0)
        return NULL;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static inline bool exists(const char *name)
{
    return access(scratch_path(name), F_OK) == 0;
}

#endif
