/*
 * Messages of fansync/log.h. syslog(3) is thread-safe; stderr and stdout lines are
 * written in one call each, so that lines of two threads do not mix.
 */
#include "fansync/log.h"

#include <stdio.h>
#include <unistd.h>

#include "fansync/buf.h"
#include "fansync/escape.h"
#include "fansync/mem.h"

static const char *log_ident = "sync_client"; /* set by log_open, before threads */
static bool log_to_stderr;
static _Thread_local const char *log_thread_tag;
static bool progress_stdout, progress_syslog;

void log_open(const char *ident, int facility, bool to_stderr)
{
    log_ident = mem_strdup(ident); /* openlog keeps the pointer */
    log_to_stderr = to_stderr;
    openlog(log_ident, LOG_PID, facility);
}

void log_tag(const char *tag)
{
    log_thread_tag = tag;
}

static void add_tag(struct buf *b)
{
    if (log_thread_tag)
        buf_printf(b, "[%s] ", log_thread_tag);
}

static void write_line(FILE *f, struct buf *line)
{
    buf_addc(line, '\n');
    fwrite(buf_ptr(line), 1, buf_len(line), f);
    fflush(f);
}

static void format(struct buf *out, const char *fmt, va_list ap)
{
    struct buf raw = BUF_INIT;
    buf_vprintf(&raw, fmt, ap);
    escape_text(out, buf_slice(&raw), ESCAPE_ALL);
    buf_free(&raw);
}

void log_stderr(const char *fmt, ...)
{
    struct buf b = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    format(&b, fmt, ap);
    va_end(ap);
    write_line(stderr, &b);
    buf_free(&b);
}

void log_msg(int priority, const char *fmt, ...)
{
    struct buf b = BUF_INIT;
    va_list ap;
    add_tag(&b);
    va_start(ap, fmt);
    format(&b, fmt, ap);
    va_end(ap);
    syslog(priority, "%s", buf_cstr(&b));
    if (log_to_stderr) {
        struct buf line = BUF_INIT;
        buf_printf(&line, "%s[%ld]: %s", log_ident, (long)getpid(), buf_cstr(&b));
        write_line(stderr, &line);
        buf_free(&line);
    }
    buf_free(&b);
}

void log_progress_to(bool to_stdout, bool to_syslog)
{
    progress_stdout = to_stdout;
    progress_syslog = to_syslog;
}

bool log_progress_wanted(void)
{
    return progress_stdout || progress_syslog;
}

void log_progress(const char *fmt, ...)
{
    if (!log_progress_wanted())
        return;
    struct buf b = BUF_INIT;
    va_list ap;
    add_tag(&b);
    va_start(ap, fmt);
    format(&b, fmt, ap);
    va_end(ap);
    if (progress_syslog)
        syslog(LOG_INFO, "%s", buf_cstr(&b));
    if (progress_stdout)
        write_line(stdout, &b);
    buf_free(&b);
}
