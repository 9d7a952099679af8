/* The session with the master's own server (sync/master.c): when it is opened, kept, dropped and told of. */
#include "../test.h"

#include <syslog.h>

#include "fake_session.h"
#include "fansync/log.h"
#include "sync/unit.h"

static struct engine engine;
static unsigned opened, closed, warned;
static bool dead, refuses;

bool session_dead(const struct session *s)
{
    (void)s;
    return dead;
}

void session_close(struct session *s)
{
    assert_ptr_equal(s, &session);
    closed++;
}

struct err *session_drain(struct session *s)
{
    (void)s;
    return NULL;
}

void log_msg(int priority, const char *fmt, ...)
{
    (void)fmt;
    warned += priority == LOG_WARNING;
}

static struct err *connect_master(void *ctx, struct session **out)
{
    (void)ctx;
    opened++;
    if (refuses)
        return err_new(ERR_CONNECT, "nobody there");
    *out = &session;
    dead = false;
    return NULL;
}

static int set_up(void **state)
{
    (void)state;
    engine = (struct engine){ .o = { .connect_master = connect_master, .no_master = "none" } };
    opened = closed = warned = 0;
    dead = refuses = false;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    session_clear();
    return 0;
}

static void a_session_is_kept_while_it_lives(void **state)
{
    (void)state;
    assert_true(master_session(&engine));
    assert_true(master_session(&engine));
    assert_int_equal(opened, 1);
    assert_int_equal(closed, 0);
    dead = true;
    assert_true(master_session(&engine)); /* the dead one is closed, once, and a new one opened */
    assert_int_equal(opened, 2);
    assert_int_equal(closed, 1);
    engine_rest(&engine);
    assert_null(engine.master);
    assert_int_equal(closed, 2);
    engine_rest(&engine);
    assert_int_equal(closed, 2);
}

static void a_dead_session_leaves_nothing_behind_if_no_other_is_to_be_had(void **state)
{
    (void)state;
    assert_true(master_session(&engine));
    dead = refuses = true;
    assert_false(master_session(&engine));
    assert_int_equal(closed, 1);
    assert_null(engine.master);
}

static void that_there_is_none_is_told_once(void **state)
{
    (void)state;
    engine.o.connect_master = NULL;
    assert_false(master_session(&engine));
    assert_false(master_session(&engine));
    assert_int_equal(warned, 1);
}

static void what_fails_again_after_it_worked_is_told_again(void **state)
{
    (void)state;
    refuses = true;
    assert_false(master_session(&engine));
    assert_false(master_session(&engine));
    assert_int_equal(opened, 2);
    assert_int_equal(warned, 1);
    refuses = false;
    assert_true(master_session(&engine));
    master_drop(&engine);
    refuses = true;
    assert_false(master_session(&engine));
    assert_int_equal(warned, 2);
}

static void sieve_mailboxes_are_enabled_once_a_session(void **state)
{
    (void)state;
    assert_true(master_session(&engine));
    assert_ok(master_enable_sieve(&engine));
    assert_ok(master_enable_sieve(&engine));
    assert_sent("APPLY CAPABILITIES (SIEVE-MAILBOX)\n");
    dead = true;
    assert_true(master_session(&engine));
    assert_ok(master_enable_sieve(&engine));
    assert_sent("APPLY CAPABILITIES (SIEVE-MAILBOX)\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_session_is_kept_while_it_lives),
        TEST(a_dead_session_leaves_nothing_behind_if_no_other_is_to_be_had),
        TEST(that_there_is_none_is_told_once),
        TEST(what_fails_again_after_it_worked_is_told_again),
        TEST(sieve_mailboxes_are_enabled_once_a_session),
    };
    return cmocka_run_group_tests_name("sync: master", tests, NULL, NULL);
}
