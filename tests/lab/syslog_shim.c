/* Preloaded into every program the laboratory runs: syslog(3) writes one line to the file
 * named by LAB_SYSLOG, so that no system log daemon is needed and tests see priorities:
 *
 *     <22>1700000000.123456 cyrus/imapd[4711]: login: ...
 *
 * Only what Cyrus and the client call is replaced. The file is opened for each line, because
 * daemons close their descriptors; O_APPEND keeps lines of several processes whole. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <syslog.h>
#include <unistd.h>

static const char *ident = "?";
static int default_facility = LOG_USER;
static int mask = 0xff;

void openlog(const char *name, int option, int facility)
{
    (void)option;
    if (name) ident = name;
    default_facility = facility;
}

void closelog(void)
{
}

int setlogmask(int new_mask)
{
    int old = mask;
    if (new_mask) mask = new_mask;
    return old;
}

void vsyslog(int priority, const char *format, va_list args)
{
    const char *path = getenv("LAB_SYSLOG");
    char line[16384];
    struct timeval now;
    int head, body, fd;

    if (!path || !(LOG_MASK(LOG_PRI(priority)) & mask)) return;
    if (!(priority & LOG_FACMASK)) priority |= default_facility;
    /* The message comes first: %m needs errno as the caller left it. */
    char text[sizeof(line) - 256];
    body = vsnprintf(text, sizeof(text), format, args);
    if (body < 0) return;
    gettimeofday(&now, NULL);
    head = snprintf(line, sizeof(line), "<%d>%ld.%06ld %.100s[%d]: ", priority, (long)now.tv_sec,
                    (long)now.tv_usec, ident, (int)getpid());
    body = (int)strlen(text);
    /* One line each: a message may end in a newline or hold some. */
    while (body > 0 && text[body - 1] == '\n') body--;
    for (int i = 0; i < body; i++) line[head + i] = text[i] == '\n' ? ' ' : text[i];
    line[head + body] = '\n';
    fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) return;
    if (write(fd, line, (size_t)(head + body + 1)) < 0) { /* nowhere to tell it */ }
    close(fd);
}

void syslog(int priority, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsyslog(priority, format, args);
    va_end(args);
}

void __vsyslog_chk(int priority, int flag, const char *format, va_list args)
{
    (void)flag;
    vsyslog(priority, format, args);
}

void __syslog_chk(int priority, int flag, const char *format, ...)
{
    va_list args;
    (void)flag;
    va_start(args, format);
    vsyslog(priority, format, args);
    va_end(args);
}
