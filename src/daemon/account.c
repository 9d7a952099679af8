/* What a sender writes down of itself (daemon/account.h). */
#include "daemon/account.h"

#include <stdio.h>
#include <time.h>

#include "fansync/clock.h"

enum { TICK_MS = 100 }; /* at least so often while bytes flow */

static bool is_connected_in(enum sender_state state)
{
    return state == SENDER_IDLE || state == SENDER_SENDING || state == SENDER_PAUSED;
}

void account_state(struct sender *s, enum sender_state state, int64_t until, const struct engine *e)
{
    struct sender_status *st = &s->status;
    int64_t now = time(NULL);
    pthread_mutex_lock(&s->guard);
    if (st->state != state || !st->since)
        st->since = now;
    st->state = state;
    st->until = until;
    st->quiet_since = 0;
    if (!is_connected_in(state))
        st->connected_since = 0;
    else if (!st->connected_since)
        st->connected_since = now;
    if (e)
        st->counters = engine_counters(e);
    pthread_mutex_unlock(&s->guard);
}

void account_tick(struct sender *s, bool waits, const struct engine *e)
{
    struct sender_status *st = &s->status;
    int64_t now = clock_ms();
    if (!waits && now - s->ticked_ms < TICK_MS)
        return;
    s->ticked_ms = now;
    pthread_mutex_lock(&s->guard);
    if (!waits)
        st->quiet_since = 0;
    else if (!st->quiet_since)
        st->quiet_since = time(NULL);
    st->counters = engine_counters(e);
    pthread_mutex_unlock(&s->guard);
}

void account_error(struct sender *s, const char *text)
{
    pthread_mutex_lock(&s->guard);
    snprintf(s->status.error, sizeof s->status.error, "%s", text);
    s->status.error_time = time(NULL);
    s->status.error_over = false;
    pthread_mutex_unlock(&s->guard);
}

void account_over(struct sender *s)
{
    pthread_mutex_lock(&s->guard);
    s->status.error_over = true;
    pthread_mutex_unlock(&s->guard);
}

void account_connected(struct sender *s)
{
    pthread_mutex_lock(&s->guard);
    s->status.reconnects++;
    s->status.error_over = true;
    pthread_mutex_unlock(&s->guard);
}

void account_spilled(struct sender *s, size_t records)
{
    pthread_mutex_lock(&s->guard);
    s->status.spilled += records;
    pthread_mutex_unlock(&s->guard);
}

void account_batch(struct sender *s, const struct account_sum *sum, bool paused)
{
    pthread_mutex_lock(&s->guard);
    s->status.batches++;
    s->status.done += sum->done;
    s->status.failed += sum->failed;
    s->status.locked += sum->locked;
    s->status.pauses += paused;
    pthread_mutex_unlock(&s->guard);
}
