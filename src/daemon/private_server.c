/*
 * The master's own sync_server as a child of ours (daemon/private_server.h), started as the Cyrus
 * master would: a listening Unix socket as descriptor 4, a place for status messages as descriptor 3,
 * the service's name in the environment.
 *
 * Each session has a server of its own: nothing is shared by the threads that need one, and no
 * thread has to end, count or reap what another one started.
 *
 *   state     what it is                                       moved on by
 *   none      the session has not been needed yet              the session's thread: private_server_open
 *   prepared  a socket listens, our connection is in its       the same thread, before the fork
 *             backlog, and its path is gone again
 *   starting  between fork and exec: a copy of one thread,     the child
 *             which may call what is async-signal-safe only
 *   serving   it has accepted our connection                   the session's thread, by ending the session:
 *                                                              idle, broken, or the end of the engine; or the
 *                                                              kernel, by closing the connection of a dead process
 *   ending    it finds the end of its input, or gets SIGTERM   the server
 *             because our thread is gone
 *   gone      reaped by the kernel: SIGCHLD is ignored         -
 *             (cli/process.c), so a process id of the past is
 *             never waited for, nor is a signal sent to it
 *
 * Who is connected to such a server is its administrator. Nobody else can be: the path exists only
 * in a folder of mode 0700, only until we are connected, before the server runs, and the server
 * takes one connection (-U 1). A server that is told to end finishes the command in hand: a Cyrus
 * process must not be killed while it changes a mailbox.
 */
#include "daemon/private_server.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "fansync/mem.h"

/* FANSYNC_CYRUS_BINDIR comes from configure. */
#define PROGRAM "sync_server"
#define SERVICE "synclocal" /* options of imapd.conf are looked up as synclocal_OPTION first */
/* Part of the name of a lock file that a service holds while it waits for a connection; the Cyrus
 * master numbers its services from 0. */
#define SERVICE_NUMBER "1000000"

enum {
    STATUS_FD = 3, /* where a service writes its states for the Cyrus master */
    LISTEN_FD = 4,
    FIRST_FREE = 5,
    LONGEST_WORDS = 400, /* of what it says on its standard error */
};

extern char **environ;

/* ---- the program ---- */

static bool is_program_in(struct slice folder, struct buf *path)
{
    buf_clear(path);
    buf_printf(path, SLICE_FMT "/" PROGRAM, SLICE_ARG(folder));
    return access(buf_cstr(path), X_OK) == 0;
}

static bool is_beside_us(struct buf *path)
{
    char exe[4096];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe);
    const char *slash = n > 0 ? memrchr(exe, '/', (size_t)n) : NULL;
    return slash && is_program_in(slice_of(exe, (size_t)(slash - exe)), path);
}

bool private_server_program(const struct config *config, struct buf *path)
{
    const char *configured = config_string(config, "cyrus_bindir");
    if (configured)
        return is_program_in(slice_str(configured), path);
    return is_beside_us(path) || is_program_in(slice_str(FANSYNC_CYRUS_BINDIR), path);
}

/* ---- prepared: a socket that only we are connected to ---- */

struct ends {
    int ours;     /* connected */
    int listener; /* with our connection in its backlog */
};

static struct err *connect_to(const struct sockaddr_un *address, int *out)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) == 0) {
        *out = fd;
        return NULL;
    }
    struct err *err = err_errno("cannot connect to a socket of our own");
    if (fd >= 0)
        close(fd);
    return err;
}

/* A path may be longer than an address can hold: it is reached through its folder's descriptor. */
static struct err *make_ends_in(const char *folder, int folder_fd, struct ends *e)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/s", folder_fd);
    e->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (e->listener < 0)
        return err_errno("socket");
    struct err *err = NULL;
    if (bind(e->listener, (const struct sockaddr *)&address, sizeof address) < 0 || listen(e->listener, 1) < 0)
        err = err_errno("%s: cannot listen there", folder);
    else
        err = connect_to(&address, &e->ours);
    unlink(address.sun_path);
    if (err)
        close(e->listener);
    return err;
}

static struct err *make_ends(const char *temp_path, struct ends *e)
{
    struct buf folder = BUF_INIT;
    buf_printf(&folder, "%s/fansync.XXXXXX", temp_path);
    buf_cstr(&folder);
    char *path = folder.data + folder.start;
    struct err *err = NULL;
    int fd = -1;
    if (!mkdtemp(path))
        err = err_errno("%s (temp_path): cannot make a folder there", temp_path);
    else if ((fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
        err = err_errno("%s: cannot open", path);
    else
        err = make_ends_in(path, fd, e);
    if (fd >= 0)
        close(fd);
    rmdir(path);
    buf_free(&folder);
    return err;
}

/* ---- starting ---- */

/* What the child needs; made before the fork, because it may not allocate. */
struct child {
    const char *program;
    const char **argv;
    char **env;
    int listener, words, null;
    pid_t parent;
};

static void close_from(unsigned first)
{
#ifdef SYS_close_range
    if (syscall(SYS_close_range, first, ~0u, 0u) == 0)
        return;
#endif
    struct rlimit most;
    if (getrlimit(RLIMIT_NOFILE, &most) == 0)
        for (rlim_t fd = first; fd < most.rlim_cur; fd++)
            close((int)fd);
}

/* Signals are still blocked: one that arrived meanwhile finds the default action. */
static void reset_signals(void)
{
    const struct sigaction plain = { .sa_handler = SIG_DFL };
    sigset_t none;
    for (int sig = 1; sig < NSIG; sig++)
        sigaction(sig, &plain, NULL); /* of some it cannot be set */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* The child, from fork to exec. A process group of its own: the Cyrus master and a terminal send
 * their signals to ours, and we still need the server for the mailbox in hand. */
static _Noreturn void run_server(const struct child *c)
{
    static const char failed[] = "cannot be executed";
    setpgid(0, 0);
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != c->parent)
        _exit(1);
    dup2(c->null, STDIN_FILENO);
    dup2(c->null, STDOUT_FILENO);
    dup2(c->words, STDERR_FILENO);
    dup2(c->null, STATUS_FD); /* nobody counts this service's processes */
    dup2(c->listener, LISTEN_FD);
    close_from(FIRST_FREE);
    reset_signals();
    execve(c->program, (char *const *)c->argv, c->env);
    ssize_t told = write(STDERR_FILENO, failed, sizeof failed - 1);
    _exit(told < 0 ? 126 : 127);
}

static struct err *fork_server(struct child *c)
{
    sigset_t all, before;
    c->parent = getpid();
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0)
        run_server(c);
    struct err *err = pid < 0 ? err_errno("%s: cannot fork", c->program) : NULL;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err;
}

/* Out of the way of the descriptors that the server expects. */
static struct err *move_up(int *fd)
{
    if (*fd >= FIRST_FREE)
        return NULL;
    int moved = fcntl(*fd, F_DUPFD_CLOEXEC, FIRST_FREE);
    if (moved < 0)
        return err_errno("cannot duplicate a descriptor");
    close(*fd);
    *fd = moved;
    return NULL;
}

static bool is_ours(const char *variable)
{
    return strncmp(variable, "CYRUS_SERVICE=", strlen("CYRUS_SERVICE=")) == 0 ||
           strncmp(variable, "CYRUS_ID=", strlen("CYRUS_ID=")) == 0;
}

/* Pointers into the present one; only the array is to be freed. */
static char **make_environment(void)
{
    static char service[] = "CYRUS_SERVICE=" SERVICE, number[] = "CYRUS_ID=" SERVICE_NUMBER;
    size_t n = 0, k = 0;
    while (environ[n])
        n++;
    char **env = mem_array(n + 3, sizeof *env);
    for (size_t i = 0; i < n; i++)
        if (!is_ours(environ[i]))
            env[k++] = environ[i];
    env[k++] = service;
    env[k] = number;
    return env;
}

static struct err *start_child(const char *program, const char *config_file, int *listener, int *words)
{
    const char *argv[] = { program, "-C", config_file, "-U", "1", NULL };
    struct child c = { .program = program, .argv = argv, .null = open("/dev/null", O_RDWR | O_CLOEXEC) };
    struct err *err = c.null < 0 ? err_errno("/dev/null: cannot open") : move_up(&c.null);
    if (!err)
        err = move_up(listener);
    if (!err)
        err = move_up(words);
    if (!err) {
        c.listener = *listener;
        c.words = *words;
        c.env = make_environment();
        err = fork_server(&c);
        free(c.env);
    }
    if (c.null >= 0)
        close(c.null);
    return err;
}

/* *ours: connected; *words: where it says what keeps it from serving. */
static struct err *start(const struct config *config, const char *program, int *ours, int *words)
{
    struct ends e;
    int pipe_ends[2];
    TRY(make_ends(config_string(config, "temp_path"), &e));
    struct err *err = pipe2(pipe_ends, O_CLOEXEC) < 0 ? err_errno("pipe") : NULL;
    if (!err) {
        fcntl(pipe_ends[0], F_SETFL, O_NONBLOCK);
        err = start_child(program, config_path(config), &e.listener, &pipe_ends[1]);
        close(pipe_ends[1]);
        if (err)
            close(pipe_ends[0]);
    }
    close(e.listener); /* the child has it: when that one ends, our connection does */
    if (err) {
        close(e.ours);
        return err;
    }
    *ours = e.ours;
    *words = pipe_ends[0];
    return NULL;
}

/* ---- serving ---- */

/* Puts into the error what the server has said before it ended, on one line. */
static struct err *with_words(struct err *err, int words)
{
    char text[LONGEST_WORDS];
    ssize_t n = read(words, text, sizeof text);
    while (n > 0 && strchr(" \r\n", text[n - 1]))
        n--;
    if (n <= 0)
        return err;
    for (ssize_t i = 0; i < n; i++)
        if ((unsigned char)text[i] < ' ')
            text[i] = ' ';
    struct err *all = err_new(err->kind, "%s (%.*s)", err->msg, (int)n, text);
    err_free(err);
    return all;
}

static struct err *open_session(const struct config *config, const char *program, const struct session_options *o,
                                struct session **out)
{
    int ours, words;
    TRY(start(config, program, &ours, &words));
    struct err *err = session_open_on(ours, program, o, out);
    if (err && err->kind != ERR_INTERRUPTED)
        err = with_words(err, words);
    close(words);
    return err;
}

struct err *private_server_open(const struct config *config, const struct session_options *o, struct session **out)
{
    struct buf program = BUF_INIT;
    struct err *err;
    if (private_server_program(config, &program))
        err = open_session(config, buf_cstr(&program), o, out);
    else
        err = err_new(ERR_CONNECT, "%s is not a program: cyrus_bindir has to name the folder of Cyrus's programs",
                      buf_cstr(&program));
    buf_free(&program);
    return err;
}
