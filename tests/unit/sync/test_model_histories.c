/*
 * Random histories of two hosts through the real engine (model/history.h): the two sides meet,
 * nothing is lost, nothing is doubled, and the master changes by its own server's hand only.
 *
 * FANSYNC_HISTORIES says how many, or FANSYNC_SECONDS for how long; FANSYNC_SEED with which the first begins, else
 * it is a fresh one, which is printed. A history that fails is made short and printed in the form in which old ones are kept below. FANSYNC_LOG prints what the
 * engine said of it, and of a whole run how often what happened.
 */
#include "../test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "fansync/session.h"
#include "model/history.h"

/* ---- kept histories: each once showed a fault, or shows that one would be noticed ---- */

#define OPS(...) .op = (const struct op[]){ __VA_ARGS__ }, \
                 .n = sizeof((const struct op[]){ __VA_ARGS__ }) / sizeof(struct op)

static const struct history kept[] = {
    { .name = "expunged on the master, with a modseq that the replica has reached by itself", .mode = TWO_WAY,
      OPS({ OP_EXPUNGE, MASTER, 0, 0, 885, 0 }, { OP_APPEND, REPLICA, 0, 0, 78, 0 }) },
    { .name = "a message comes to the replica between the summary and the comparison", .mode = TWO_WAY,
      OPS({ OP_APPEND, REPLICA, 0, 1, 65, 0 }, { OP_APPEND, REPLICA, 0, 1, 71, 3 }, { OP_SYNC, MASTER, 0, 0, 0, 0 }) },
    { .name = "forced: a message comes to the replica between two tries", .mode = FORCED,
      OPS({ OP_EXPUNGE, REPLICA, 0, 0, 386, 0 }, { OP_APPEND, REPLICA, 0, 0, 1, 10 },
          { OP_APPEND, MASTER, 0, 0, 74, 0 }, { OP_APPEND, MASTER, 0, 1, 75, 0 },
          { OP_EXPUNGE, REPLICA, 1, 0, 192, 0 }, { OP_SYNC, MASTER, 0, 0, 0, 0 }) },
    { .name = "forced: flags change on the replica between the comparison and the update", .mode = FORCED,
      OPS({ OP_KEYWORD, REPLICA, 0, 1, 334, 10 }, { OP_ACL, MASTER, 0, 0, 293, 0 }, { OP_APPEND, MASTER, 0, 1, 76, 0 },
          { OP_FLAG, REPLICA, 0, 1, 158, 0 }, { OP_FLAG, MASTER, 1, 0, 821, 0 }, { OP_SYNC, MASTER, 0, 0, 0, 0 }) },
    { .name = "forced: a folder whose name is wanted for another is not renamed yet", .mode = FORCED,
      OPS({ OP_DELAYED, MASTER, 0, 1, 48, 0 }, { OP_APPEND, REPLICA, 0, 1, 65, 0 }, { OP_CREATE, MASTER, 0, 1, 211, 0 },
          { OP_LOCKED, MASTER, 0, 0, 0, 4 }, { OP_SYNC, MASTER, 0, 0, 0, 0 }) },
    { .name = "killed between the master's change and the expunges on the replica", .mode = TWO_WAY,
      OPS({ OP_APPEND, REPLICA, 0, 1, 2, 0 }, { OP_APPEND, REPLICA, 0, 1, 1, 0 }, { OP_EXPUNGE, REPLICA, 0, 1, 14, 2 },
          { OP_APPEND, MASTER, 0, 1, 84, 0 }, { OP_KILL, MASTER, 0, 0, 0, 9 }, { OP_SYNC, MASTER, 0, 0, 0, 0 }) },
    { .name = "a difference that the sums do not show", .mode = NO_COPYBACK,
      OPS({ OP_APPEND, REPLICA, 0, 0, 2, 0 }, { OP_APPEND, REPLICA, 0, 0, 3, 0 }, { OP_COPY, MASTER, 1, 0, 565, 0 },
          { OP_APPEND, MASTER, 0, 1, 73, 0 }, { OP_APPEND, MASTER, 0, 0, 2, 0 }, { OP_APPEND, MASTER, 0, 0, 3, 0 }) },
    { .name = "expunged on the replica while it is asked", .mode = TWO_WAY,
      OPS({ OP_EXPUNGE, REPLICA, 0, 0, 532, 6 }, { OP_FLAG, REPLICA, 0, 0, 695, 0 }, { OP_SYNC, MASTER, 0, 0, 0, 0 }) },
    { .name = "two messages under one uid", .mode = TWO_WAY,
      OPS({ OP_APPEND, MASTER, 0, 0, 2, 0 }, { OP_APPEND, REPLICA, 0, 0, 73, 0 }) },
    { .name = "the replica has forgotten what it expunged", .mode = TWO_WAY,
      OPS({ OP_EXPUNGE, REPLICA, 0, 1, 434, 0 }, { OP_FORGET, REPLICA, 0, 1, 309, 0 }) },
    { .name = "the master has forgotten what it expunged, at the very modseq of the replica's change", .mode = TWO_WAY,
      OPS({ OP_EXPUNGE, REPLICA, 0, 0, 963, 0 }, { OP_SYNC, MASTER, 0, 0, 0, 0 }, { OP_FLAG, REPLICA, 0, 0, 811, 0 },
          { OP_EXPUNGE, MASTER, 0, 0, 753, 0 }, { OP_FORGET, MASTER, 0, 0, 295, 0 }) },
    { .name = "a stale message of the replica changes before it is expunged", .mode = TWO_WAY,
      OPS({ OP_EXPUNGE, MASTER, 0, 0, 239, 0 }, { OP_FORGET, MASTER, 0, 0, 95, 0 }, { OP_APPEND, REPLICA, 0, 0, 2, 0 },
          { OP_KEYWORD, REPLICA, 0, 0, 464, 4 }, { OP_SYNC, MASTER, 0, 0, 0, 0 }) },
    { .name = "flags changed on the replica", .mode = TWO_WAY, OPS({ OP_FLAG, REPLICA, 1, 0, 86, 0 }) },
    { .name = "killed before the original is expunged, then the copy is flagged; the replica's clock is ahead", .mode = TWO_WAY,
      .skew = 20,
      OPS({ OP_APPEND, MASTER, 0, 0, 70, 0 }, { OP_APPEND, REPLICA, 0, 0, 71, 0 }, { OP_KILL, MASTER, 0, 0, 0, 13 },
          { OP_SYNC, MASTER, 0, 0, 0, 0 }, { OP_FLAG, MASTER, 0, 0, 33, 0 }) },
    { .name = "killed before the original is expunged, then its flags change and the copy's uid is used there", .mode = TWO_WAY,
      OPS({ OP_APPEND, MASTER, 0, 0, 70, 0 }, { OP_APPEND, REPLICA, 0, 0, 71, 0 }, { OP_KILL, MASTER, 0, 0, 0, 13 },
          { OP_SYNC, MASTER, 0, 0, 0, 0 }, { OP_FLAG, REPLICA, 0, 0, 25, 0 }, { OP_APPEND, REPLICA, 0, 0, 72, 0 },
          { OP_APPEND, REPLICA, 0, 0, 73, 0 }) },
    { .name = "the replica's own conversations number a folder higher", .mode = ONE_WAY, .conversations = true,
      OPS({ OP_COPY, MASTER, 0, 1, 708, 0 }, { OP_SYNC, MASTER, 0, 0, 0, 0 }, { OP_FLAG, MASTER, 0, 0, 8, 0 },
          { OP_FLAG, MASTER, 0, 1, 28, 0 }, { OP_SYNC, MASTER, 0, 0, 0, 0 }, { OP_ACL, MASTER, 0, 0, 1, 0 }) },
    { .name = "conversations on the replica and a mailbox that goes in parts", .mode = ONE_WAY, .conversations = true,
      .batchsize = 1,
      OPS({ OP_APPEND, MASTER, 0, 0, 70, 0 }, { OP_APPEND, MASTER, 0, 0, 71, 0 }, { OP_APPEND, MASTER, 0, 0, 73, 0 },
          { OP_APPEND, MASTER, 0, 0, 74, 0 }) },
    { .name = "thread ids that begin with a zero, and a replica that counts it", .mode = ONE_WAY, .long_thrid = true,
      OPS({ OP_FLAG, MASTER, 0, 0, 8, 0 }, { OP_SYNC, MASTER, 0, 0, 0, 0 }, { OP_APPEND, MASTER, 0, 1, 71, 0 }) },
    { .name = "the same after changes on both", .mode = TWO_WAY, .long_thrid = true,
      OPS({ OP_FLAG, REPLICA, 0, 0, 8, 0 }, { OP_APPEND, MASTER, 0, 0, 71, 0 }, { OP_APPEND, REPLICA, 0, 0, 74, 0 }) },
    { .name = "a flag set and taken back on the replica, without copyback", .mode = NO_COPYBACK,
      OPS({ OP_FLAG, REPLICA, 0, 0, 8, 0 }, { OP_FLAG, REPLICA, 0, 0, 8, 0 }, { OP_APPEND, MASTER, 0, 0, 71, 0 },
          { OP_FLAG, MASTER, 0, 0, 17, 0 }) },
    { .name = "two messages under one uid, and the master is ahead, without copyback", .mode = NO_COPYBACK,
      OPS({ OP_APPEND, REPLICA, 0, 0, 71, 0 }, { OP_FLAG, MASTER, 0, 0, 8, 0 }, { OP_FLAG, MASTER, 0, 0, 16, 0 },
          { OP_FLAG, MASTER, 0, 0, 0, 0 }, { OP_APPEND, MASTER, 0, 0, 70, 0 }) },
    { .name = "a record that is expunged when its mailbox goes in parts", .mode = ONE_WAY, .batchsize = 2,
      OPS({ OP_APPEND, MASTER, 0, 0, 74, 0 }, { OP_APPEND, MASTER, 0, 0, 77, 0 }, { OP_APPEND, MASTER, 0, 0, 82, 0 },
          { OP_EXPUNGE, MASTER, 0, 0, 688, 0 }) },
    { .name = "a chain of renamed users, the first made again", .mode = ONE_WAY,
      OPS({ OP_RENAME_USER, MASTER, 1, 0, 612, 0 }, { OP_RENAME_USER, MASTER, 0, 0, 882, 0 },
          { OP_CREATE, MASTER, 0, 0, 178, 0 }) },
    { .name = "the replica is locked before the original is expunged, then nobody to tell the master, then deleted",
      .mode = TWO_WAY,
      OPS({ OP_APPEND, MASTER, 0, 1, 2, 0 }, { OP_APPEND, REPLICA, 0, 1, 68, 0 }, { OP_FLAG, MASTER, 0, 1, 629, 0 },
          { OP_LOCKED, MASTER, 0, 1, 0, 12 }, { OP_SYNC, MASTER, 0, 0, 0, 0 }, { OP_ALONE, MASTER, 0, 1, 0, 10 },
          { OP_SYNC, MASTER, 0, 0, 0, 0 }, { OP_DELETE_USER, MASTER, 0, 0, 947, 0 }) },
    { .name = "killed before the original is expunged, then nobody to tell the master, then deleted", .mode = TWO_WAY,
      OPS({ OP_APPEND, MASTER, 0, 0, 64, 0 }, { OP_APPEND, REPLICA, 0, 0, 67, 0 }, { OP_KILL, MASTER, 0, 1, 0, 10 },
          { OP_SYNC, MASTER, 0, 0, 0, 0 }, { OP_ALONE, MASTER, 0, 0, 0, 26 }, { OP_SYNC, MASTER, 0, 0, 0, 0 },
          { OP_DELETE_USER, MASTER, 0, 1, 113, 0 }) },
    { .name = "forced: a message comes to the replica when others are expunged there", .mode = FORCED,
      OPS({ OP_EXPUNGE, REPLICA, 0, 0, 606, 0 }, { OP_EXPUNGE, MASTER, 0, 0, 123, 0 },
          { OP_KEYWORD, REPLICA, 0, 0, 408, 0 }, { OP_FLAG, REPLICA, 0, 0, 251, 0 },
          { OP_EXPUNGE, MASTER, 0, 0, 233, 0 }, { OP_APPEND, REPLICA, 0, 0, 3, 6 }, { OP_SYNC, MASTER, 0, 0, 0, 0 }) },
    { .name = "forced: the same where the master has forgotten what it expunged", .mode = FORCED,
      OPS({ OP_APPEND, REPLICA, 0, 0, 66, 6 }, { OP_EXPUNGE, MASTER, 0, 0, 727, 0 },
          { OP_FORGET, MASTER, 0, 0, 43, 0 }, { OP_SYNC, MASTER, 0, 0, 0, 0 }) },
    { .name = "forced: deleted on the master while its expunges are made good", .mode = FORCED,
      OPS({ OP_DELETE, MASTER, 0, 1, 974, 6 }, { OP_ANNOTATE, REPLICA, 0, 1, 306, 0 },
          { OP_EXPUNGE, MASTER, 0, 1, 803, 0 }, { OP_SYNC, MASTER, 0, 0, 0, 0 }) },
    { .name = "annotations changed on the replica, and expunges on the master", .mode = TWO_WAY,
      OPS({ OP_EXPUNGE, MASTER, 0, 1, 614, 0 }, { OP_ANNOTATE, REPLICA, 0, 1, 117, 0 }) },
};

static void kept_histories_end_in_equal_sides(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        const char *bad = history_run(&kept[i]);
        if (bad)
            fail_msg("%s: %s", kept[i].name, bad);
    }
}

/* ---- random ones ---- */

static void report(const struct history *h, const char *bad)
{
    printf("%s\n", bad);
    history_print(h);
    if (getenv("FANSYNC_LOG"))
        printf("%s", history_log());
}

static void report_counters(const struct history_counters *c)
{
    printf("passes %lu, copybacks %lu, conflicts %lu, kills %lu, cuts %lu, stuck %lu, collisions %lu\n", c->passes,
           c->copybacks, c->conflicts, c->kills, c->cuts, c->stuck, c->collisions);
    printf("quiet after 1, 2, 3, 4 passes: %lu %lu %lu %lu\n", c->quiet[1], c->quiet[2], c->quiet[3], c->quiet[4]);
}

static unsigned long number(const char *name, unsigned long otherwise)
{
    const char *s = getenv(name);
    return s && *s ? strtoul(s, NULL, 10) : otherwise;
}

/* Below 2^48, so that no two runs are likely to meet. */
static unsigned long fresh_seed(void)
{
    uint64_t seed = 0;
    if (getrandom(&seed, 6, 0) != 6)
        abort();
    return (unsigned long)seed;
}

/* Of the machine: time() is the model's own. */
static unsigned long now_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (unsigned long)t.tv_sec;
}

/* Whether one more history is wanted. */
static bool goes_on(unsigned long k, unsigned long begun)
{
    unsigned long seconds = number("FANSYNC_SECONDS", 0);
    return seconds ? now_seconds() - begun < seconds : k < number("FANSYNC_HISTORIES", 1000);
}

static void random_histories_end_in_equal_sides(void **state)
{
    (void)state;
    unsigned long seed = number("FANSYNC_SEED", fresh_seed()), begun = now_seconds(), k = 0;
    for (; goes_on(k, begun); k++) {
        struct op room[MOST_OPS];
        struct history h;
        alarm(60); /* a history that hangs */
        history_random(seed + k, &h, room);
        const char *bad = history_run(&h);
        if (!bad)
            continue;
        printf("seed %lu: %s\n", seed + k, bad);
        history_shrink(&h, room);
        bad = history_run(&h);
        report(&h, bad ? bad : "does not fail again");
        fail_msg("seed %lu fails", seed + k);
    }
    alarm(0);
    print_message("%lu histories, from seed %lu\n", k, seed);
    if (getenv("FANSYNC_LOG"))
        report_counters(&history_counters);
}

static int begin(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    err_free(session_library_init());
    history_begin();
    return 0;
}

static int end(void **state)
{
    (void)state;
    history_end();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept_histories_end_in_equal_sides),
        cmocka_unit_test(random_histories_end_in_equal_sides),
    };
    return cmocka_run_group_tests_name("sync: histories of two hosts", tests, begin, end);
}
