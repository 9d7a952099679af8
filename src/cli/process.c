/*
 * Setting up and ending the process (cli/process.h). Main thread only, but for the
 * signal handlers, which touch nothing but two flags.
 */
#include "cli/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "cli/hard_end.h"
#include "fansync/buf.h"
#include "fansync/log.h"

/* FANSYNC_SYSLOG_FACILITY, FANSYNC_SYSLOG_PREFIX and FANSYNC_CYRUS_USER come from configure:
 * what the Cyrus of this system has built in. */
#define IDENT "sync_client"

/* Written by the handler, read by every thread that waits. */
static atomic_int stop_signal, stop_sender, hangup_signal, tell_signal;

_Noreturn void process_fatal(int status, const char *fmt, ...)
{
    struct buf b = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    log_stderr("Fatal error: %s", buf_cstr(&b));
    log_msg(LOG_ERR, "Fatal error: %s", buf_cstr(&b));
    fflush(NULL);
    _exit(status); /* the callers' objects are nobody's to free any more */
}

/* ---- descriptors and background ---- */

/* Closed ones would be taken by our files and written to by accident. */
static void fill_descriptors(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= 2);
    if (fd > 2)
        close(fd);
}

/* A caller that waits for the end of our output (ssh, a pipe) must not wait for a daemon. */
static void let_go_of_output(void)
{
    int fd = open("/dev/null", O_RDWR);
    for (int i = 0; fd >= 0 && i <= 2; i++)
        dup2(fd, i);
    if (fd > 2)
        close(fd);
}

/*
 * The child stays in the process group: that is how the Cyrus master ends it. Nothing is
 * checked before the fork: a status other than 0 of an entry of START would keep the
 * whole mail server from starting (§1.4).
 */
void process_begin(const struct options *o)
{
    if (o->mode == MODE_ROLLING && o->background && !o->input_file && !getenv("CYRUS_ISDAEMON")) {
        pid_t pid = fork();
        if (pid < 0) {
            perror("fork");
            exit(1);
        }
        if (pid > 0)
            _exit(0);
        if (!o->verbose)
            let_go_of_output();
    }
    fill_descriptors();
}

/* ---- configuration, syslog, user ---- */

int process_facility(const char *name)
{
    static const struct {
        const char *name;
        int facility;
    } known[] = {
        { "daemon", LOG_DAEMON }, { "mail", LOG_MAIL },     { "news", LOG_NEWS },     { "user", LOG_USER },
        { "local0", LOG_LOCAL0 }, { "local1", LOG_LOCAL1 }, { "local2", LOG_LOCAL2 }, { "local3", LOG_LOCAL3 },
        { "local4", LOG_LOCAL4 }, { "local5", LOG_LOCAL5 }, { "local6", LOG_LOCAL6 }, { "local7", LOG_LOCAL7 },
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcasecmp(name, known[i].name) == 0)
            return known[i].facility;
    return -1;
}

/* c NULL: it could not be read, and that has to be logged. */
static void open_syslog(const struct options *o, const struct config *c)
{
    const char *prefix = getenv("CYRUS_SYSLOG_PREFIX");
    const char *name = c ? config_string(c, "syslog_facility") : NULL;
    int facility = process_facility(name ? name : FANSYNC_SYSLOG_FACILITY);
    struct buf ident = BUF_INIT;
    if (!prefix && c)
        prefix = config_string(c, "syslog_prefix");
    if (!prefix)
        prefix = FANSYNC_SYSLOG_PREFIX;
    buf_printf(&ident, "%s%s%s", prefix, *prefix ? "/" : "", IDENT);
    log_open(buf_cstr(&ident), facility < 0 ? process_facility(FANSYNC_SYSLOG_FACILITY) : facility,
             o->verbose > 1);
    buf_free(&ident);
    if (facility < 0)
        log_msg(LOG_ERR, "config error: syslog facility %s not recognised", name);
    if (!c || !config_switch(c, "debug"))
        setlogmask(LOG_UPTO(LOG_INFO));
}

static const char *setting(const struct config *c, const char *variable, const char *option)
{
    const char *value = getenv(variable);
    return value ? value : config_string(c, option);
}

/* Started by anybody but root: stays as it is; the files' permissions decide. */
static struct err *become_cyrus(const struct config *c)
{
    const char *name = setting(c, "CYRUS_USER", "cyrus_user");
    const char *group_name = setting(c, "CYRUS_GROUP", "cyrus_group");
    if (geteuid() != 0)
        return NULL;
    if (!name)
        name = FANSYNC_CYRUS_USER;
    const struct passwd *user = getpwnam(name);
    if (!user)
        return err_new(ERR_CONFIG, "no entry in /etc/passwd for user %s", name);
    const struct group *group = group_name ? getgrnam(group_name) : NULL;
    if (group_name && !group)
        return err_new(ERR_CONFIG, "no entry in /etc/group for group %s", group_name);
    uid_t uid = user->pw_uid;
    gid_t gid = group ? group->gr_gid : user->pw_gid;
    if (initgroups(name, gid) < 0 || setgid(gid) < 0 || setuid(uid) < 0)
        return err_errno("unable to become user %s", name);
    return NULL;
}

struct err *process_parse_umask(const char *text, mode_t *out)
{
    char *end;
    unsigned long v = strtoul(text, &end, 8);
    if (end == text || *end || v > 0777)
        return err_new(ERR_CONFIG, "umask: '%s' is not an octal number up to 777", text);
    *out = (mode_t)v;
    return NULL;
}

/* A core, or another process of the same user, would have the passwords. Nothing that we start needs more rights
 * than we have: the master's own sync_server runs as the same user. */
static void give_up_privileges(bool debug)
{
    if (prctl(PR_SET_DUMPABLE, debug ? 1L : 0L, 0L, 0L, 0L) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) < 0)
        log_msg(LOG_WARNING, "prctl: %s", strerror(errno)); /* an old kernel: as it was */
}

/* Each channel has some ten descriptors: the customary 1024 would do for 64 channels only. */
static void raise_descriptors(void)
{
    const rlim_t wanted = 65536;
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) < 0 || l.rlim_cur >= wanted)
        return;
    l.rlim_cur = l.rlim_max < wanted ? l.rlim_max : wanted;
    setrlimit(RLIMIT_NOFILE, &l); /* refused: it stays as it is */
}

struct config *process_configure(const struct options *o)
{
    struct config *c;
    mode_t mask;
    struct err *err = config_load(o->config_file, IDENT, &c);
    open_syslog(o, c);
    log_progress_to(o->verbose > 0, o->verbose_logging);
    if (!err)
        err = process_parse_umask(config_string(c, "umask"), &mask);
    if (err)
        process_fatal(EX_CONFIG, "%s", err->msg);
    err = become_cyrus(c);
    if (err) {
        log_msg(LOG_ERR, "%s", err->msg);
        process_fatal(EX_USAGE, "must run as the Cyrus user");
    }
    umask(mask);
    give_up_privileges(config_switch(c, "debug"));
    raise_descriptors();
    return c;
}

void process_delay(int seconds)
{
    if (seconds <= 0)
        return;
    log_stderr("Waiting for %d seconds for gdb attach...", seconds);
    sleep((unsigned)seconds);
}

/* ---- signals ---- */

static void on_stop(int sig, siginfo_t *info, void *context)
{
    (void)context;
    int before = errno;
    stop_sender = info->si_pid;
    stop_signal = sig;
    hard_end_told();
    errno = before;
}

static void on_notice(int sig)
{
    atomic_store(sig == SIGHUP ? &hangup_signal : &tell_signal, 1);
}

void process_catch_signals(void)
{
    static const int stops[] = { SIGTERM, SIGINT, SIGQUIT };
    /* Without SA_RESTART: waits have to end. */
    struct sigaction stop = { .sa_sigaction = on_stop, .sa_flags = SA_SIGINFO | (int)SA_RESETHAND };
    struct sigaction notice = { .sa_handler = on_notice };
    struct sigaction ignore = { .sa_handler = SIG_IGN };
    sigset_t watched;
    sigemptyset(&watched);
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++)
        sigaddset(&watched, stops[i]);
    hard_end_watch(&watched, EX_TEMPFAIL);
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++)
        sigaction(stops[i], &stop, NULL);
    sigaction(SIGHUP, &notice, NULL);
    sigaction(SIGUSR1, &notice, NULL);
    sigaction(SIGUSR2, &ignore, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGCHLD, &ignore, NULL); /* the kernel reaps (daemon/private_server.c) */
}

const atomic_int *process_stop_flag(void)
{
    return &stop_signal;
}

atomic_int *process_hangup_flag(void)
{
    return &hangup_signal;
}

atomic_int *process_tell_flag(void)
{
    return &tell_signal;
}

/* A process's command line, arguments separated by blanks; empty if it is gone. */
static void command_line(pid_t pid, struct buf *out)
{
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%ld/cmdline", (long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, line, sizeof line);
    if (fd >= 0)
        close(fd);
    while (n > 0 && line[n - 1] == '\0')
        n--;
    for (ssize_t i = 0; i < n; i++)
        buf_addc(out, line[i] == '\0' ? ' ' : line[i]);
}

int process_stopped(void)
{
    pid_t sender = (pid_t)stop_sender;
    struct buf who = BUF_INIT;
    if (sender == 0 || sender == getppid()) { /* 0: a key of the terminal */
        log_msg(LOG_NOTICE, "graceful shutdown");
    } else {
        command_line(sender, &who);
        log_msg(LOG_NOTICE, "graceful shutdown initiated by unexpected process %ld (%s)", (long)sender,
                buf_cstr(&who));
    }
    buf_free(&who);
    return EX_TEMPFAIL;
}
