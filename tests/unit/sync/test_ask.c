/* The questions of a unit and their answers (sync/ask.c). */
#include "../test.h"

#include "fake_list.h"
#include "fake_session.h"
#include "sync/unit.h"

static struct engine engine;
static struct engine_item item;
static struct unit unit;
static const char *cached;  /* the name that the cache knows */
static const char *cached_as; /* as what */
static const char *told;    /* a name of whose deletion a record tells */
static uint64_t allowed;

/* ---- in place of the engine, the cache and the store ---- */

void unit_fail(struct unit *u, struct err *err)
{
    err_free(u->err);
    u->err = err;
}

bool item_is_single(const struct engine_item *i)
{
    return i->kind == ITEM_QUOTA;
}

struct err *single_ask(struct unit *u)
{
    buf_adds(&u->engine->session->sent, "(single)\n");
    return NULL;
}

struct err *identity_ask(struct unit *u)
{
    buf_adds(&u->engine->session->sent, "(whose?)\n");
    return NULL;
}

bool engine_is_denied(struct engine *e, const struct err *err)
{
    (void)e;
    return err->kind == ERR_DENIED;
}

struct err *engine_denied(const struct engine *e)
{
    (void)e;
    return err_new(ERR_AUTH, "no administrator");
}

bool fate_is_told(const struct unit *u, struct slice name, struct slice *moved_to)
{
    (void)u;
    *moved_to = slice_of("", 0);
    return told && slice_eqs(name, told);
}

bool cache_get(struct cache *c, struct arena *a, struct slice name, struct replica_mailbox *out)
{
    (void)c;
    (void)a;
    if (!cached || !slice_eqs(name, cached))
        return false;
    *out = (struct replica_mailbox){ .name = slice_str(cached_as), .uniqueid = slice_str("id") };
    return true;
}

struct err *store_user_mailboxes(struct store *s, struct arena *a, struct slice userid, struct mbentry_list *out,
                                 struct err **damaged)
{
    (void)s;
    (void)a;
    (void)userid;
    out->n = 3;
    *damaged = err_new(ERR_CORRUPT, "one entry");
    return NULL;
}

void session_allow(struct session *s, uint64_t bytes)
{
    (void)s;
    allowed += bytes;
}

const char *session_peer(const struct session *s)
{
    (void)s;
    return "peer";
}

/* ---- what a test says ---- */

static int set_up(void **state)
{
    (void)state;
    engine = (struct engine){ .o = { .store = &list, .cache = (struct cache *)&engine }, .session = &session };
    item = (struct engine_item){ .kind = ITEM_USER, .userid = slice_str("a") };
    unit = (struct unit){ .engine = &engine, .item = &item };
    cached = told = NULL;
    allowed = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    map_free(&unit.asked_ids);
    err_free(unit.err);
    arena_free(&unit.arena);
    session_clear();
    return 0;
}

static void answer(const char *key, const char *value)
{
    assert_ok(dlist_parse(&unit.arena, slice_str(value), &session.line_of_answer));
    session.line_of_answer->key = slice_str(key);
}

static void asks(const char *want)
{
    unit.asked = false;
    unit.replica.mailboxes.n = 0;
    assert_ok(unit_ask(&unit));
    assert_sent(want);
}

/* ---- questions ---- */

static void every_kind_of_item_asks_its_question(void **state)
{
    (void)state;
    asks("GET USER a\n");
    assert_true(unit.asked);
    item.kind = ITEM_META;
    asks("GET META a\n(whose?)\n");
    item.kind = ITEM_QUOTA;
    asks("(single)\n");
    item.kind = ITEM_MAILBOXES;
    asks("");
    assert_true(unit.asked); /* there is nothing to ask */
}

static void a_second_try_allows_for_a_long_answer(void **state)
{
    (void)state;
    asks("GET USER a\n");
    assert_int_equal(allowed, 0);
    unit.attempt = 1;
    asks("GET USER a\n");
    assert_int_equal(allowed, 3 * 2048);
}

static void uniqueids_that_are_sought_are_asked_once(void **state)
{
    (void)state;
    struct slice ids[] = { slice_str("id1"), slice_str("id2") };
    unit.sought = ids;
    unit.nsought = 2;
    assert_ok(unit_ask_ids(&unit));
    assert_sent("GET UNIQUEIDS (id1 id2)\n");
    assert_non_null(map_get(&unit.asked_ids, ids[0]));
    assert_non_null(map_get(&unit.asked_ids, ids[1]));
}

static void what_the_cache_knows_is_not_asked_in_the_first_try(void **state)
{
    (void)state;
    struct slice names[] = { slice_str("user.a.x"), slice_str("user.a.y") };
    item = (struct engine_item){ .kind = ITEM_MAILBOXES, .names = names, .nnames = 2 };
    cached = cached_as = "user.a.x";
    asks("GET MAILBOXES (user.a.y)\n");
    assert_int_equal(unit.replica.mailboxes.n, 1);
    assert_true(unit.replica.mailboxes.m[0].remembered);
    item.nnames = 1;
    asks("");
    assert_true(unit.asked);
    cached_as = "user.a.z"; /* a cache that is wrong */
    asks("GET MAILBOXES (user.a.x)\n");
    assert_int_equal(unit.replica.mailboxes.n, 0);
    cached_as = "user.a.x";
    told = "user.a.x"; /* what is to be deleted is not taken from memory */
    asks("GET MAILBOXES (user.a.x)\n");
    told = NULL;
    unit.fresh = true;
    asks("GET MAILBOXES (user.a.x)\n");
    unit.fresh = false;
    unit.attempt = 1;
    asks("GET MAILBOXES (user.a.x)\n");
    unit.attempt = 0;
    engine.o.cache = NULL;
    asks("GET MAILBOXES (user.a.x)\n");
}

/* ---- answers ---- */

static void lines_of_an_answer_join_the_replicas_state(void **state)
{
    (void)state;
    answer("LSUB", "(user.a.x user.a.y)");
    asks("GET USER a\n");
    assert_true(unit.asked);
    assert_null(unit.err);
    assert_int_equal(unit.replica.subscriptions.n, 2);
}

static void a_user_who_is_not_there_is_an_answer(void **state)
{
    (void)state;
    session.refused = "GET";
    session.kind = ERR_NONEXISTENT;
    asks("GET USER a\n");
    assert_true(unit.asked);
    assert_null(unit.err);
}

static void a_refusal_is_none(void **state)
{
    (void)state;
    session.refused = "GET";
    session.kind = ERR_IO;
    asks("GET USER a\n");
    assert_false(unit.asked);
    assert_string_equal(unit.err->msg, "refused");
    session.kind = ERR_DENIED;
    asks("GET USER a\n");
    assert_false(unit.asked);
    assert_string_equal(unit.err->msg, "no administrator");
}

static void a_line_that_cannot_be_understood_names_the_peer(void **state)
{
    (void)state;
    answer("MAILBOX", "(rubbish)");
    asks("GET USER a\n");
    assert_false(unit.asked);
    assert_int_equal(unit.err->kind, ERR_PROTOCOL);
    assert_non_null(strstr(unit.err->msg, "peer: MAILBOX"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_kind_of_item_asks_its_question),
        TEST(a_second_try_allows_for_a_long_answer),
        TEST(uniqueids_that_are_sought_are_asked_once),
        TEST(what_the_cache_knows_is_not_asked_in_the_first_try),
        TEST(lines_of_an_answer_join_the_replicas_state),
        TEST(a_user_who_is_not_there_is_an_answer),
        TEST(a_refusal_is_none),
        TEST(a_line_that_cannot_be_understood_names_the_peer),
    };
    return cmocka_run_group_tests_name("sync: ask", tests, NULL, NULL);
}
