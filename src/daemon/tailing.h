/*
 * The tailing thread: one for all logs of the process. It reads the records of every folder
 * (fansync/tail.h) and pushes each as an action into the queue of every line that the folder
 * feeds: its own channel's, or for a hub's log several. Made by rolling.c.
 */
#ifndef FANSYNC_DAEMON_TAILING_H
#define FANSYNC_DAEMON_TAILING_H

#include <stddef.h>
#include "daemon/line.h"
#include "fansync/store.h"
#include "fansync/tail.h"

struct tailing;

/* store: for the names' owners. paced: the stock client's hand-over by log-run. */
struct err *tailing_new(struct store *store, bool paced, struct tailing **out);
/* For the acks of the lines: what they settle is looked at. */
int tailing_settled_fd(const struct tailing *t);
/* Before tailing_start; the lines outlive the tailing. ERR_LOCKED: another process of ours follows
 * that folder. */
struct err *tailing_add(struct tailing *t, const char *folder, struct line *const *lines, size_t n);
struct err *tailing_start(struct tailing *t);
/* Asks the thread to end and waits for it; logs keep what was not settled. */
void tailing_stop(struct tailing *t);
/* After the senders have ended, so that what they have confirmed last leaves the logs; before the lines are
 * freed. Reads nothing. */
void tailing_free(struct tailing *t);

struct tailing_status {
    const char *folder;
    struct tail_stats stats;
};
/* What the thread wrote down last, at most a second ago; any thread. False: no such folder. */
bool tailing_status(struct tailing *t, size_t i, struct tailing_status *out);

#endif
