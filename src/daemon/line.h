/*
 * A line: a channel at work in rolling mode, with its queue and its senders, one thread for
 * each connection. Made and ended by the main thread (rolling.c).
 *
 * Who does what:
 *   tailer thread  pushes into the queue; asks for a spill (line_want_spill)
 *   senders        drain their shard, run batches, settle items, spill; write their status
 *   main thread    asks to end (line_end), joins, reads status
 *
 * What is shared: the queue (fansync/queue.h says who may call what), closing, want_spill and
 * exit_status (atomics), and each sender's status (under its guard). Everything else is written
 * before the threads start.
 */
#ifndef FANSYNC_DAEMON_LINE_H
#define FANSYNC_DAEMON_LINE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "daemon/channel.h"
#include "fansync/batch.h"
#include "fansync/queue.h"

struct line_options {
    int64_t delay_ns;      /* least time between the beginnings of two batches of a sender */
    int64_t session_limit; /* seconds of a session before RESTART; 0: none */
    const char *shutdown_file; /* NULL: none */
    unsigned connections;
    bool tagged; /* one of several: its messages name the channel */
    int settled_fd; /* tailing_settled_fd */
    int ended_fd; /* an eventfd, signalled when a sender has ended */
    /* Set when one line has been told to end, or cannot go on: all do. A line that ended alone would
     * keep logs from being retired. */
    atomic_int *end_all;
};

enum sender_state {
    SENDER_CONNECTING,
    SENDER_WAITING, /* to connect again */
    SENDER_BLOCKED, /* the same, but somebody has to do something: the replica refuses us */
    SENDER_IDLE,
    SENDER_SENDING,
    SENDER_PAUSED,  /* nothing can be carried out at present (daemon/trouble.h) */
    SENDER_ENDED
};
const char *sender_state_name(enum sender_state s);

struct sender_status {
    enum sender_state state;
    /* Wall clock, seconds: */
    int64_t since, until;    /* of the state; 0: nobody knows until when */
    int64_t quiet_since;     /* SENDING: the replica is waited for; 0: bytes flow */
    int64_t connected_since; /* 0: not connected */
    uint64_t batches, done, failed, locked, reconnects, spilled, pauses;
    struct engine_counters counters;
    char error[256]; /* the last one; empty: none */
    int64_t error_time;
    bool error_over; /* what was at fault has worked since */
};

struct line;

struct sender {
    struct line *line;
    unsigned shard;
    pthread_t thread;
    bool started;
    int wake_fd; /* an eventfd: look at closing and want_spill */
    atomic_uint want_spill; /* slots whose waiting actions have to go to the line's own log */
    pthread_mutex_t guard;  /* of status */
    struct sender_status status; /* daemon/account.h */
    int64_t ticked_ms; /* its own: when it last wrote its counters down */
};

struct line {
    struct channel channel;
    struct line_options o;
    struct acks *acks; /* of what its queue holds; shared with no other line */
    struct queue *queue;
    struct sender *senders;
    atomic_int closing;     /* end after the batch in hand */
    atomic_int exit_status; /* of the process, as far as this line is concerned */
    atomic_uint running;    /* senders that have not ended */
};

/* The channel is taken over, also when it fails. */
struct err *line_new(const struct channel *channel, const struct line_options *o, struct line **out);
struct err *line_start(struct line *l);
/* Asks the senders to end; does not wait. Any thread. */
void line_end(struct line *l);
/* True if no sender is in the middle of a batch. */
bool line_is_quiet(struct line *l);
/* Waits for the senders. */
void line_join(struct line *l);
/* Frees all, after the senders and whoever pushes into the queue have ended. */
void line_free(struct line *l);
/* Any thread. */
void line_want_spill(struct line *l, uint32_t slots);
struct sender_status line_sender_status(struct line *l, unsigned i);

/* sender.c: the thread. */
void *sender_main(void *sender);

#endif
