/*
 * Two channels, their senders, a tailer and a watcher at once. The model: every object has a
 * version that the tailer raises before it pushes; a sender reads it after the drain, as a
 * sync reads the store, and notes it as confirmed before queue_done. When a segment is
 * settled, every record of it must be confirmed on both channels; at the end everything is.
 */
#include "threads.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    CHANNELS = 2,
    SHARDS = 2,
    OWNERS = 60,
    OBJECTS = 10,        /* of an owner, plus one for the USER action itself */
    RENAMES = 1200,      /* of an owner: each is pushed once, and tells of the order */
    SEGMENT = 400,       /* records */
    RECORDS = 200 * 1000
};

struct object {
    atomic_uint confirmed; /* the version */
    atomic_bool sending;
};

/* What a channel's senders note; a user's part is written by one of them. */
struct channel {
    struct queue *q;
    struct object objects[OWNERS][OBJECTS + 1];
    atomic_bool renamed[OWNERS][RENAMES];
    unsigned rename_next[OWNERS];              /* the next that was never handed out */
    unsigned put_back[OWNERS][64], n_put_back[OWNERS]; /* renames that wait again */
};

struct sender {
    pthread_t thread;
    struct channel *channel;
    unsigned shard, seed;
};

struct record {
    unsigned owner, object, version; /* object > OBJECTS: a rename, version is its number */
};

struct segment {
    struct record records[SEGMENT];
    unsigned n;
    bool open;
};

static struct channel channels[CHANNELS];
static atomic_uint versions[OWNERS][OBJECTS + 1]; /* the store */
static struct segment segments[ACKS_SLOTS];
static struct acks *acks;
static atomic_bool stop;
static int settled_fd, stop_fd;

/* The last number in it. */
static unsigned number(struct slice s)
{
    unsigned n = 0;
    for (size_t i = 0; i < s.n; i++)
        n = s.p[i] >= '0' && s.p[i] <= '9' ? n * 10 + (unsigned)(s.p[i] - '0') : 0;
    return n;
}

/* ---- senders ---- */

static char mark_put_back, mark_deferred; /* for item->user */

static void forget_put_back(struct channel *c, unsigned owner, unsigned n)
{
    unsigned *waiting = c->put_back[owner], *n_waiting = &c->n_put_back[owner], at = 0;
    for (unsigned i = 1; i < *n_waiting; i++)
        if (waiting[i] < waiting[at])
            at = i;
    must(*n_waiting > 0 && waiting[at] == n); /* the oldest of them */
    waiting[at] = waiting[--*n_waiting];
}

/* Renames are handed out in the order of pushing: those put back first, then the next fresh
 * one. One that was deferred has left the order. */
static void check_order(struct channel *c, unsigned owner, unsigned n, const void *mark)
{
    if (mark == &mark_put_back)
        forget_put_back(c, owner, n);
    else if (mark != &mark_deferred)
        must(c->n_put_back[owner] == 0 && n == c->rename_next[owner]++);
}

/* What a sync has seen of the store: of one object, or of all when it is a user's. */
struct sight {
    unsigned owner, object, seen[OBJECTS + 1];
};

static void look(struct sight *s, unsigned object)
{
    s->seen[object] = atomic_load_explicit(&versions[s->owner][object], memory_order_relaxed);
}

static void handed_out(struct channel *c, const struct queue_item *item, struct sight *s)
{
    s->owner = number(item->owner);
    must(item->owner.n > 0 && s->owner < OWNERS);
    if (item->action.kind == ACTION_RENAME) {
        s->object = OBJECTS + 1;
        check_order(c, s->owner, number(item->action.b), item->user);
        return;
    }
    s->object = item->action.kind == ACTION_USER ? OBJECTS : number(item->action.a);
    must(!atomic_exchange(&c->objects[s->owner][s->object].sending, true));
    look(s, s->object);
    for (unsigned i = 0; s->object == OBJECTS && i < OBJECTS; i++)
        look(s, i);
}

static void confirm(struct channel *c, const struct sight *s, unsigned object)
{
    atomic_uint *p = &c->objects[s->owner][object].confirmed;
    if (atomic_load_explicit(p, memory_order_relaxed) < s->seen[object])
        atomic_store_explicit(p, s->seen[object], memory_order_relaxed);
}

static void confirmed(struct channel *c, const struct queue_item *item, const struct sight *s)
{
    if (s->object > OBJECTS) {
        must(!atomic_exchange(&c->renamed[s->owner][number(item->action.b)], true));
        return;
    }
    confirm(c, s, s->object);
    for (unsigned i = 0; s->object == OBJECTS && i < OBJECTS; i++)
        confirm(c, s, i);
}

static void settle(struct sender *me, struct queue_item *item, const struct sight *s)
{
    struct channel *c = me->channel;
    unsigned dice = rnd(&me->seed, 100);
    if (s->object <= OBJECTS)
        must(atomic_exchange(&c->objects[s->owner][s->object].sending, false));
    if (dice < 70) {
        confirmed(c, item, s);
        queue_done(c->q, item);
    } else if (dice < 90 && c->n_put_back[s->owner] < 64) {
        if (s->object > OBJECTS && item->user != &mark_deferred) {
            c->put_back[s->owner][c->n_put_back[s->owner]++] = number(item->action.b);
            item->user = &mark_put_back;
        }
        queue_put_back(c->q, item);
    } else {
        item->user = &mark_deferred;
        queue_defer(c->q, item, now_ns() + rnd(&me->seed, 2000) * 1000, QUEUE_TRY_FAILED, "because");
    }
}

/* False when it is to end. */
static bool sleep_until_woken(struct sender *me)
{
    struct queue *q = me->channel->q;
    struct pollfd p[2] = { { queue_fd(q, me->shard), POLLIN, 0 }, { stop_fd, POLLIN, 0 } };
    int64_t due = queue_next_due(q, me->shard);
    int64_t wait = due < 0 ? PATIENCE : (due - now_ns()) / 1000000 + 1;
    int n = poll(p, 2, wait < 0 ? 0 : (int)wait);
    must(n > 0 || due >= 0);
    queue_clear(q, me->shard);
    return !atomic_load(&stop);
}

static void *send_all(void *arg)
{
    struct sender *me = arg;
    struct queue_item *items[16];
    struct sight sights[16];
    queue_thread_begin();
    do {
        size_t n;
        while ((n = queue_drain(me->channel->q, me->shard, now_ns(), items, 1 + rnd(&me->seed, 16))) > 0) {
            for (size_t i = 0; i < n; i++)
                handed_out(me->channel, items[i], &sights[i]);
            if (rnd(&me->seed, 4) == 0)
                usleep(rnd(&me->seed, 100)); /* leaves room for pushes to what is being sent */
            for (size_t i = 0; i < n; i++)
                settle(me, items[i], &sights[i]);
        }
    } while (sleep_until_woken(me));
    queue_thread_end();
    return NULL;
}

/* ---- the watcher ---- */

static void watch_one(void *ctx, const struct queue_view *v)
{
    unsigned *n = ctx;
    must(v->owner.n > 0 && number(v->owner) < OWNERS);
    must(v->first_ns > 0 && queue_state_name(v->state));
    ++*n;
}

static void *watch(void *arg)
{
    (void)arg;
    queue_thread_begin();
    while (!atomic_load(&stop)) {
        unsigned n = 0;
        for (int i = 0; i < CHANNELS; i++) {
            queue_each(channels[i].q, watch_one, &n);
            struct queue_counters c = queue_counters(channels[i].q);
            must(c.pushed <= RECORDS && c.queued <= RECORDS);
        }
        usleep(500);
    }
    queue_thread_end();
    return NULL;
}

/* ---- the tailer ---- */

static void check_record(const struct record *r)
{
    for (int i = 0; i < CHANNELS; i++) {
        if (r->object > OBJECTS)
            must(atomic_load(&channels[i].renamed[r->owner][r->version]));
        else
            must(atomic_load(&channels[i].objects[r->owner][r->object].confirmed) >= r->version);
    }
}

/* Every segment that is settled must be, record for record. */
static unsigned retire(void)
{
    unsigned left = 0;
    eventfd_t ignored;
    eventfd_read(settled_fd, &ignored);
    for (unsigned slot = 0; slot < ACKS_SLOTS; slot++) {
        struct segment *g = &segments[slot];
        if (!g->open)
            continue;
        if (acks_unsettled(acks, slot) > 0) {
            left++;
            continue;
        }
        for (unsigned i = 0; i < g->n; i++)
            check_record(&g->records[i]);
        g->open = false;
        acks_close(acks, slot);
    }
    return left;
}

static void wait_for_acks(void)
{
    struct pollfd p = { settled_fd, POLLIN, 0 };
    must(poll(&p, 1, PATIENCE) == 1);
}

static unsigned open_segment(void)
{
    int slot;
    retire();
    while ((slot = acks_open(acks)) < 0) {
        wait_for_acks();
        retire();
    }
    segments[slot].open = true;
    segments[slot].n = 0;
    return (unsigned)slot;
}

static void push_record(const struct record *r, unsigned slot)
{
    static const enum action_kind kinds[] = { ACTION_MAILBOX, ACTION_MAILBOX, ACTION_SEEN, ACTION_META };
    char owner[16], a[32], b[16] = "";
    snprintf(owner, sizeof owner, "u%u", r->owner);
    enum action_kind kind = r->object < OBJECTS ? kinds[r->object % 4] : ACTION_USER;
    snprintf(a, sizeof a, "%s.%u", owner, r->object); /* equal actions have equal owners */
    if (r->object == OBJECTS) {
        snprintf(a, sizeof a, "u%u", r->owner);
    } else if (r->object > OBJECTS) {
        kind = ACTION_RENAME;
        snprintf(b, sizeof b, "%u", r->version);
    }
    struct action action = { kind, slice_str(a), slice_str(b) };
    for (int i = 0; i < CHANNELS; i++)
        queue_push(channels[i].q, &action, slice_str(owner), 1u << slot, now_ns());
}

/* A random record: the store changes first, then the log tells. */
static struct record make_record(unsigned *seed, unsigned *renames)
{
    /* some owners are busy, so that their actions merge and collapse */
    struct record r = { rnd(seed, rnd(seed, 2) ? OWNERS : 3), rnd(seed, OBJECTS), 0 };
    unsigned dice = rnd(seed, 100);
    if (dice < 10 && renames[r.owner] < RENAMES) {
        r.object = OBJECTS + 1;
        r.version = renames[r.owner]++;
        return r;
    }
    if (dice == 99)
        r.object = OBJECTS;
    r.version = 1 + atomic_fetch_add_explicit(&versions[r.owner][r.object], 1, memory_order_relaxed);
    return r;
}

static void push_all(unsigned records, unsigned *renames)
{
    unsigned seed = 4711;
    for (unsigned done = 0; done < records;) {
        unsigned slot = open_segment();
        struct segment *g = &segments[slot];
        for (; g->n < SEGMENT && done < records; done++) {
            g->records[g->n] = make_record(&seed, renames);
            push_record(&g->records[g->n++], slot);
            if (rnd(&seed, 2000) == 0)
                usleep(rnd(&seed, 3000)); /* the queues run empty, senders sleep */
        }
    }
    while (retire() > 0)
        wait_for_acks();
}

static void end_threads(struct sender *senders, pthread_t watcher)
{
    uint64_t one = 1;
    atomic_store(&stop, true);
    must(write(stop_fd, &one, sizeof one) == sizeof one);
    for (int i = 0; i < CHANNELS * SHARDS; i++)
        pthread_join(senders[i].thread, NULL);
    pthread_join(watcher, NULL);
}

static void check_the_end(const struct channel *c, const unsigned *renames)
{
    for (unsigned o = 0; o < OWNERS; o++) {
        for (unsigned i = 0; i <= OBJECTS; i++)
            assert_true(c->objects[o][i].confirmed >= versions[o][i]);
        for (unsigned i = 0; i < renames[o]; i++)
            assert_true(c->renamed[o][i]);
    }
    struct queue_counters n = queue_counters(c->q);
    assert_int_equal(n.pushed, RECORDS);
    assert_int_equal(n.queued + n.sending + n.deferred, 0);
    assert_int_equal(queue_oldest_ns(c->q), -1);
    assert_true(n.merged > 0 && n.requeued > 0 && n.put_back > 0 && n.deferrals > 0 && n.covered > 0);
    print_message("  %lu pushed: %lu merged, %lu covered; %lu drained: %lu confirmed, %lu again, %lu put back, "
                  "%lu deferred\n",
                  n.pushed, n.merged, n.covered, n.drained, n.confirmed, n.requeued, n.put_back, n.deferrals);
}

static void nothing_is_lost_and_nothing_settles_early_whatever_senders_do(void **state)
{
    (void)state;
    static struct sender senders[CHANNELS * SHARDS];
    static unsigned renames[OWNERS];
    pthread_t watcher;
    stop_fd = eventfd(0, EFD_CLOEXEC);
    settled_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    acks = acks_new(settled_fd);
    for (unsigned i = 0; i < CHANNELS; i++) {
        struct queue_options o = { SHARDS, i * 4, acks, 256 }; /* the second channel collapses */
        assert_ok(queue_new(&channels[i].q, &o));
    }
    for (unsigned i = 0; i < CHANNELS * SHARDS; i++) {
        senders[i] = (struct sender){ 0, &channels[i / SHARDS], i % SHARDS, i };
        assert_int_equal(pthread_create(&senders[i].thread, NULL, send_all, &senders[i]), 0);
    }
    assert_int_equal(pthread_create(&watcher, NULL, watch, NULL), 0);
    push_all(RECORDS, renames);
    end_threads(senders, watcher);
    for (int i = 0; i < CHANNELS; i++) {
        check_the_end(&channels[i], renames);
        queue_free(channels[i].q);
    }
    acks_free(acks);
    close(settled_fd);
    close(stop_fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_and_nothing_settles_early_whatever_senders_do),
    };
    queue_thread_begin();
    int failed = cmocka_run_group_tests_name("queue stress", tests, NULL, NULL);
    queue_thread_end();
    return failed;
}
