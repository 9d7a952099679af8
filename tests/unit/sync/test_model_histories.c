/*
 * Random histories of two hosts through the real engine (model/history.h): the two sides meet,
 * nothing is lost, nothing is doubled, and the master changes by its own server's hand only.
 *
 * FANSYNC_HISTORIES says how many, FANSYNC_SEED with which the first begins. A history that fails
 * is made short and printed in the form in which old ones are kept below.
 */
#include "../test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fansync/session.h"
#include "model/history.h"

#define OPS(list) list, sizeof list / sizeof *list

static void report(const struct history *h, const char *bad)
{
    printf("%s\n", bad);
    history_print(h);
    if (getenv("FANSYNC_LOG"))
        printf("%s", history_log());
}

static unsigned long number(const char *name, unsigned long otherwise)
{
    const char *s = getenv(name);
    return s && *s ? strtoul(s, NULL, 10) : otherwise;
}

static void random_histories_end_in_equal_sides(void **state)
{
    (void)state;
    unsigned long n = number("FANSYNC_HISTORIES", 400), seed = number("FANSYNC_SEED", 1);
    for (unsigned long k = 0; k < n; k++) {
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
    if (getenv("FANSYNC_LOG"))
        printf("passes %lu, copybacks %lu, conflicts %lu, kills %lu, cuts %lu; quiet after %lu %lu %lu %lu %lu %lu\n",
               history_counters.passes, history_counters.copybacks, history_counters.conflicts, history_counters.kills,
               history_counters.cuts, history_counters.quiet[1], history_counters.quiet[2], history_counters.quiet[3],
               history_counters.quiet[4], history_counters.quiet[5], history_counters.quiet[6]);
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
        cmocka_unit_test(random_histories_end_in_equal_sides),
    };
    return cmocka_run_group_tests_name("sync: histories of two hosts", tests, begin, end);
}
