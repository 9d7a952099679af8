/* Lines (daemon/line.h). */
#include "daemon/line.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fansync/acks.h"
#include "fansync/mem.h"

enum { COLLAPSE_ABOVE = 1000 }; /* waiting mailboxes of one user, beyond which he is synced whole */

const char *sender_state_name(enum sender_state s)
{
    switch (s) {
    case SENDER_CONNECTING: return "connecting";
    case SENDER_WAITING: return "waiting to connect";
    case SENDER_BLOCKED: return "blocked";
    case SENDER_IDLE: return "idle";
    case SENDER_SENDING: return "sending";
    case SENDER_PAUSED: return "paused";
    case SENDER_ENDED: return "ended";
    }
    return "";
}

static struct err *make_senders(struct line *l)
{
    l->senders = mem_array(l->o.connections, sizeof *l->senders);
    for (unsigned i = 0; i < l->o.connections; i++) {
        struct sender *s = &l->senders[i];
        s->line = l;
        s->shard = i;
        pthread_mutex_init(&s->guard, NULL);
        s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (s->wake_fd < 0)
            return err_errno("eventfd");
    }
    return NULL;
}

struct err *line_new(const struct channel *channel, const struct line_options *o, struct line **out)
{
    struct line *l = mem_alloc(sizeof *l);
    l->channel = *channel;
    l->o = *o;
    /* The pointer that was taken into the copied channel. */
    l->acks = acks_new(o->settled_fd);
    const struct queue_options q = {
        .shards = o->connections, .collapse_above = COLLAPSE_ABOVE, .acks = l->acks,
    };
    struct err *err = make_senders(l);
    if (!err)
        err = queue_new(&l->queue, &q);
    if (err) {
        line_free(l);
        return err;
    }
    *out = l;
    return NULL;
}

struct err *line_start(struct line *l)
{
    for (unsigned i = 0; i < l->o.connections; i++) {
        struct sender *s = &l->senders[i];
        atomic_fetch_add(&l->running, 1);
        int rc = pthread_create(&s->thread, NULL, sender_main, s);
        if (rc) {
            atomic_fetch_sub(&l->running, 1);
            return err_new(ERR_IO, "cannot start a thread: error %d", rc);
        }
        s->started = true;
    }
    return NULL;
}

static void wake(struct sender *s)
{
    eventfd_write(s->wake_fd, 1);
}

void line_end(struct line *l)
{
    atomic_store(&l->closing, 1);
    for (unsigned i = 0; i < l->o.connections; i++)
        wake(&l->senders[i]);
}

bool line_is_quiet(struct line *l)
{
    for (unsigned i = 0; i < l->o.connections; i++)
        if (line_sender_status(l, i).state == SENDER_SENDING)
            return false;
    return true;
}

void line_want_spill(struct line *l, uint32_t slots)
{
    for (unsigned i = 0; i < l->o.connections; i++) {
        struct sender *s = &l->senders[i];
        if ((atomic_fetch_or(&s->want_spill, slots) & slots) != slots)
            wake(s);
    }
}

struct sender_status line_sender_status(struct line *l, unsigned i)
{
    struct sender *s = &l->senders[i];
    pthread_mutex_lock(&s->guard);
    struct sender_status copy = s->status;
    pthread_mutex_unlock(&s->guard);
    return copy;
}

void line_join(struct line *l)
{
    for (unsigned i = 0; i < l->o.connections && l->senders; i++) {
        struct sender *s = &l->senders[i];
        if (s->started)
            pthread_join(s->thread, NULL);
        s->started = false;
    }
}

void line_free(struct line *l)
{
    if (!l)
        return;
    line_join(l);
    for (unsigned i = 0; i < l->o.connections && l->senders; i++) {
        struct sender *s = &l->senders[i];
        if (s->wake_fd >= 0)
            close(s->wake_fd);
        pthread_mutex_destroy(&s->guard);
    }
    queue_free(l->queue);
    acks_free(l->acks);
    channel_close(&l->channel);
    free(l->senders);
    free(l);
}
