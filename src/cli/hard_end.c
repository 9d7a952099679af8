/*
 * The watching thread of hard_end.h. It owns nothing and touches nothing of the rest; the main thread
 * starts it and ends it.
 */
#include "cli/hard_end.h"

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "fansync/log.h"

enum { LAST_WORDS_MS = 200 };

/* Written before the thread starts. */
static int told_fd = -1, off_fd = -1, pending_fd = -1, exit_status;
static pthread_t watcher;
static bool watching;

static void *last_words(void *ctx)
{
    (void)ctx;
    log_msg(LOG_NOTICE, "ended %d seconds after the signal without waiting for what still went on; what was not "
            "confirmed is kept in the logs", HARD_END_MS / 1000);
    return NULL;
}

/* syslog may hang too. */
static _Noreturn void end(void)
{
    const struct timespec while_it_speaks = { 0, LAST_WORDS_MS * 1000000L };
    pthread_t speaker;
    if (pthread_create(&speaker, NULL, last_words, NULL) == 0)
        nanosleep(&while_it_speaks, NULL);
    _exit(exit_status);
}

static void *watch(void *ctx)
{
    struct pollfd signal[] = {
        { .fd = told_fd, .events = POLLIN }, { .fd = pending_fd, .events = POLLIN }, { .fd = off_fd, .events = POLLIN },
    };
    struct pollfd off = { .fd = off_fd, .events = POLLIN };
    (void)ctx;
    while (poll(signal, sizeof signal / sizeof *signal, -1) < 0)
        ;
    if (poll(&off, 1, HARD_END_MS) == 0)
        end();
    return NULL;
}

static bool open_all(const sigset_t *signals)
{
    told_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    off_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pending_fd = signalfd(-1, signals, SFD_CLOEXEC | SFD_NONBLOCK);
    return told_fd >= 0 && off_fd >= 0 && pending_fd >= 0;
}

void hard_end_watch(const sigset_t *signals, int status)
{
    sigset_t all, before;
    exit_status = status;
    if (!open_all(signals)) {
        log_msg(LOG_WARNING, "no descriptor is left to watch for signals: a signal may have to wait");
        return;
    }
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    watching = pthread_create(&watcher, NULL, watch, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void hard_end_told(void)
{
    const eventfd_t one = 1;
    if (told_fd >= 0 && write(told_fd, &one, sizeof one) < 0)
        return; /* told already */
}

void hard_end_off(void)
{
    if (!watching)
        return;
    eventfd_write(off_fd, 1);
    pthread_join(watcher, NULL);
    watching = false;
}
