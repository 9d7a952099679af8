/* Sieve scripts that go one by one, and those that are still files (sync/sieve.c). */
#include "../test.h"

#include "fake_list.h"
#include "fake_session.h"
#include "sync/unit.h"

static struct engine engine;
static struct engine_item item;
static struct unit unit;

#include "unit_end.h"
static struct whole_list whole;
static struct mbentry entry[2];
static struct sieve_script script[4];
static struct sieve_list scripts;
static struct replica_script there[4];
static bool files; /* scripts are still files */
static const char *unreadable;
static bool no_master, drain_fails, dropped;
static char changed[64]; /* what the other channels were told */

/* ---- in place of the engine and the store ---- */

void unit_fail(struct unit *u, struct err *err)
{
    err_free(u->err);
    u->err = err;
}

struct err *store_sieve(struct store *s, struct arena *a, struct slice userid, struct sieve_list *out)
{
    (void)s;
    (void)a;
    assert_slice(userid, "a");
    *out = scripts;
    return unreadable ? err_new(ERR_CORRUPT, "%s", unreadable) : NULL;
}

struct err *store_has_sieve_files(struct store *s, struct arena *a, struct slice userid, bool *out)
{
    (void)s;
    (void)a;
    assert_slice(userid, "a");
    *out = files;
    return unreadable ? err_new(ERR_CORRUPT, "%s", unreadable) : NULL;
}

bool master_session(struct engine *e)
{
    e->master = no_master ? NULL : &session;
    return !no_master;
}

void master_drop(struct engine *e)
{
    (void)e;
    dropped = true;
}

struct err *session_drain(struct session *s)
{
    (void)s;
    return drain_fails ? err_new(ERR_IO, "gone") : NULL;
}

static struct err *connect_master(void *ctx, struct session **out)
{
    (void)ctx;
    (void)out;
    return NULL;
}

static void changed_master(void *ctx, struct slice name)
{
    (void)ctx;
    snprintf(changed, sizeof changed, SLICE_FMT, SLICE_ARG(name));
}

/* ---- what a test says ---- */

static int set_up(void **state)
{
    (void)state;
    engine = (struct engine){ .o = { .store = &list, .connect_master = connect_master, .changed_master = changed_master },
                              .session = &session };
    item = (struct engine_item){ .kind = ITEM_USER, .userid = slice_str("a") };
    unit = (struct unit){ .engine = &engine, .item = &item, .whole = &whole };
    unit.entries.e = entry;
    unit.replica.scripts.s = there;
    scripts = (struct sieve_list){ .s = script, .known = true };
    files = no_master = drain_fails = dropped = false;
    unreadable = NULL;
    changed[0] = '\0';
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    err_free(unit.err);
    arena_free(&unit.arena);
    session_clear();
    return 0;
}

static void add_here(const char *name, const char *content)
{
    script[scripts.n++] = (struct sieve_script){ slice_str(name), slice_str(content), { { 1 } }, 7, 0 };
}

static struct replica_script *add_there(const char *file, unsigned char guid)
{
    struct replica_script *r = &there[unit.replica.scripts.n++];
    *r = (struct replica_script){ .file = slice_str(file), .guid = { { guid } } };
    return r;
}

static void sends(const char *want)
{
    assert_ok(unit_sieve(&unit));
    assert_sent(want);
}

/* ---- one by one ---- */

static void scripts_are_put_activated_and_removed_in_this_order(void **state)
{
    (void)state;
    add_here("new", "keep;");
    add_here("same", "keep;");
    scripts.active = slice_str("new");
    add_there("same.script", 1);
    add_there("old.script", 2);
    sends("APPLY SIEVE %(USERID a FILENAME new.script LAST_UPDATE 7 CONTENT keep;)\n"
          "APPLY ACTIVATE_SIEVE %(USERID a FILENAME new.bc)\n"
          "APPLY UNSIEVE %(USERID a FILENAME old.script)\n");
    assert_null(unit.err);
}

static void an_empty_script_is_removed_first_and_none_is_active_any_more(void **state)
{
    static const struct guid empty = { { 0xda, 0x39, 0xa3, 0xee, 0x5e, 0x6b, 0x4b, 0x0d, 0x32, 0x55,
                                         0xbf, 0xef, 0x95, 0x60, 0x18, 0x90, 0xaf, 0xd8, 0x07, 0x09 } };
    (void)state;
    add_here("x", "keep;");
    struct replica_script *r = add_there("x.script", 0);
    r->guid = empty;
    r->active = true;
    sends("APPLY UNACTIVATE_SIEVE %(USERID a)\n"
          "APPLY UNSIEVE %(USERID a FILENAME x.script)\n"
          "APPLY SIEVE %(USERID a FILENAME x.script LAST_UPDATE 7 CONTENT keep;)\n");
}

static void a_refused_script_fails_the_user_and_says_which(void **state)
{
    (void)state;
    add_here("new", "keep;");
    session.refused = "APPLY SIEVE";
    session.kind = ERR_BADSIEVE;
    assert_ok(unit_sieve(&unit));
    fails_with(ERR_BADSIEVE, "SIEVE a new.script: refused");
}

static void what_is_gone_already_is_no_refusal(void **state)
{
    (void)state;
    add_there("old.script", 2);
    session.refused = "APPLY UNSIEVE";
    session.kind = ERR_NONEXISTENT;
    sends("APPLY UNSIEVE %(USERID a FILENAME old.script)\n");
    assert_null(unit.err);
}

static void scripts_that_are_not_known_are_left_alone(void **state)
{
    (void)state;
    add_there("old.script", 2);
    scripts.known = false;
    sends("");
    assert_null(unit.err);
    unreadable = "scripts cannot be read";
    scripts.known = true;
    sends("");
    fails_with(ERR_CORRUPT, "scripts cannot be read");
}

/* ---- scripts that are still files, though both sides have mailboxes for them ---- */

static void where_scripts_are_a_mailbox_none_goes_alone(void **state)
{
    (void)state;
    engine.sieve_mailbox = true;
    add_here("new", "keep;");
    sends("");
    assert_null(unit.err);
    files = true;
    sends("");
    fails_with(ERR_DENIED, "still files");
    err_free(unit.err);
    unit.err = NULL;
    unreadable = "folder cannot be read";
    sends("");
    fails_with(ERR_CORRUPT, "folder cannot be read");
}

static void the_masters_own_server_moves_files_into_a_mailbox(void **state)
{
    (void)state;
    files = true;
    assert_false(unit_makes_sieve_mailbox(&unit)); /* this replica has no mailboxes for them */
    engine.sieve_mailbox = true;
    assert_true(unit_makes_sieve_mailbox(&unit));
    assert_sent("APPLY ACTIVATE_SIEVE %(USERID a FILENAME .bc)\n");
    assert_false(dropped);
    drain_fails = true;
    assert_true(unit_makes_sieve_mailbox(&unit));
    assert_true(dropped);
}

static void it_is_not_asked_without_need_or_leave(void **state)
{
    (void)state;
    engine.sieve_mailbox = true;
    assert_false(unit_makes_sieve_mailbox(&unit)); /* no files */
    files = true;
    unreadable = "folder cannot be read";
    assert_false(unit_makes_sieve_mailbox(&unit));
    unreadable = NULL;
    no_master = true;
    assert_false(unit_makes_sieve_mailbox(&unit));
    no_master = false;
    engine.o.force = true;
    assert_false(unit_makes_sieve_mailbox(&unit));
    sends("");
    fails_with(ERR_DENIED, "-O leaves the master as it is");
    engine.o.force = false;
    engine.o.connect_master = NULL;
    engine.o.no_master = "there is none";
    assert_false(unit_makes_sieve_mailbox(&unit));
    sends("");
    fails_with(ERR_DENIED, "there is none");
    engine.o.connect_master = connect_master;
    unit.whole = NULL; /* a mailbox may be in what could not be read */
    assert_false(unit_makes_sieve_mailbox(&unit));
    unit.whole = &whole;
    unit.absent = true;
    assert_false(unit_makes_sieve_mailbox(&unit));
    unit.absent = false;
    item.kind = ITEM_META;
    assert_false(unit_makes_sieve_mailbox(&unit));
    item.kind = ITEM_USER;
    unit.entries.n = 1;
    entry[0] = (struct mbentry){ .name = slice_str("user.a.#sieve"), .kind = 'f' };
    assert_false(unit_makes_sieve_mailbox(&unit));
    assert_sent("");
}

static void other_channels_hear_of_a_mailbox_that_was_made(void **state)
{
    (void)state;
    entry[0] = (struct mbentry){ .name = slice_str("user.a"), .kind = 'e' };
    entry[1] = (struct mbentry){ .name = slice_str("user.a.#sieve"), .kind = 'f' };
    unit.entries.n = 1;
    unit_tell_sieve_mailbox(&unit);
    assert_string_equal(changed, "");
    unit.entries.n = 2;
    unit_tell_sieve_mailbox(&unit);
    assert_string_equal(changed, "user.a.#sieve");
    engine.o.changed_master = NULL;
    unit_tell_sieve_mailbox(&unit);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(scripts_are_put_activated_and_removed_in_this_order),
        TEST(an_empty_script_is_removed_first_and_none_is_active_any_more),
        TEST(a_refused_script_fails_the_user_and_says_which),
        TEST(what_is_gone_already_is_no_refusal),
        TEST(scripts_that_are_not_known_are_left_alone),
        TEST(where_scripts_are_a_mailbox_none_goes_alone),
        TEST(the_masters_own_server_moves_files_into_a_mailbox),
        TEST(it_is_not_asked_without_need_or_leave),
        TEST(other_channels_hear_of_a_mailbox_that_was_made),
    };
    return cmocka_run_group_tests_name("sync: sieve", tests, NULL, NULL);
}
