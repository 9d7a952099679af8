/* Whose user it is (sync/identity.c), with a mailbox list in memory and what the replica is said to have. */
#include "../test.h"

#include "fake_list.h"
#include "fake_session.h"
#include "sync/unit.h"

static struct engine engine;
static struct engine_item item;
static struct unit unit;
static struct replica_mailbox there[2];
static struct mbentry here[4];
static const char *kept; /* a name that the replica's own mailbox keeps */

void unit_fail(struct unit *u, struct err *err)
{
    err_free(u->err);
    u->err = err;
}

void unit_state_answered(void *ctx, const struct answer *a)
{
    (void)a;
    ((struct unit *)ctx)->asked = true;
}

bool unit_keeps_name(struct unit *u, const struct folder_match *m)
{
    (void)u;
    return kept && m->occupant && slice_eqs(m->occupant->name, kept);
}

/* ---- what a test says ---- */

static int set_up(void **state)
{
    (void)state;
    list_clear();
    engine = (struct engine){ .o = { .store = &list }, .session = &session };
    item = (struct engine_item){ .kind = ITEM_META, .userid = slice_str("a") };
    unit = (struct unit){ .engine = &engine, .item = &item };
    unit.replica.mailboxes.m = there;
    unit.entries.e = here;
    kept = NULL;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    map_free(&unit.asked_trees);
    err_free(unit.err);
    arena_free(&unit.arena);
    session_clear();
    return 0;
}

static struct replica_mailbox *add_there(const char *name, const char *uniqueid)
{
    struct replica_mailbox *r = &there[unit.replica.mailboxes.n++];
    *r = (struct replica_mailbox){ .name = slice_str(name), .uniqueid = slice_str(uniqueid) };
    return r;
}

static void find(void)
{
    err_free(unit.err);
    unit.err = NULL;
    unit.identity = NULL;
    unit.absent = false;
    identity_find(&unit);
}

static void is_found(void)
{
    find();
    if (unit.err)
        fail_msg("%s", unit.err->msg);
    assert_non_null(unit.identity);
    assert_slice(unit.identity->userid, "a");
    assert_false(unit.identity->is_new);
    assert_false(unit.absent);
}

static void is_another(enum err_kind kind, const char *text)
{
    find();
    assert_null(unit.identity);
    assert_false(unit.absent);
    assert_non_null(unit.err);
    assert_int_equal(unit.err->kind, kind);
    if (!strstr(unit.err->msg, text))
        fail_msg("%s", unit.err->msg);
}

/* ---- settings of a user ---- */

static void the_inbox_is_asked_for_by_name(void **state)
{
    (void)state;
    assert_ok(identity_ask(&unit));
    assert_sent("GET MAILBOXES (user.a)\n");
    assert_true(unit.asked);
}

static void he_is_ours_if_his_inbox_has_our_uniqueid(void **state)
{
    (void)state;
    list_add("user.a", "ida", 0);
    add_there("user.b", "ida"); /* of the name, not of the uniqueid */
    is_another(ERR_MOVED, "no INBOX of a");
    add_there("user.a", "ida");
    is_found();
    there[1].uniqueid = slice_str("other");
    is_another(ERR_MOVED, "uniqueid of the INBOX other, here ida");
    there[1].type = slice_str("ei"); /* a name without a mailbox */
    is_another(ERR_MOVED, "no INBOX of a");
}

static void who_has_no_inbox_here_has_none_there(void **state)
{
    (void)state;
    is_found();
    add_there("user.a", "ida");
    is_another(ERR_MOVED, "here none");
    there[0].type = slice_str("ei");
    is_found();
}

static void one_whose_inbox_is_not_one_of_ours_is_absent(void **state)
{
    static const unsigned flags[] = { MB_DELETED, MB_INTERMEDIATE, MB_REMOTE, MB_MOVING, MB_RESERVED };
    (void)state;
    list_add("user.a", "ida", 0);
    add_there("user.a", "other");
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        list.e[0].flags = flags[i];
        find();
        assert_true(unit.absent);
        assert_null(unit.err);
        assert_null(unit.identity);
    }
}

static void a_list_that_cannot_be_read_identifies_nobody(void **state)
{
    (void)state;
    list_add("user.a", "ida", 0);
    add_there("user.a", "ida");
    list.damaged = "user.a";
    is_another(ERR_CORRUPT, "user.a");
    there[0].uniqueid = slice_str("other");
    is_another(ERR_CORRUPT, "user.a");
    unit.replica.mailboxes.n = 0;
    is_another(ERR_CORRUPT, "user.a");
}

/* ---- what a replica still has of a user of that name who was deleted ---- */

static bool asks_again(void)
{
    bool asked = false;
    unit.asked = false;
    assert_ok(identity_ask_again(&unit, &asked));
    assert_int_equal(asked, unit.asked);
    assert_sent(asked ? "GET META a\n" : "");
    return asked;
}

static void settings_of_a_user_who_is_new_are_asked_for_again(void **state)
{
    struct replica_state *r = &unit.replica;
    (void)state;
    item.kind = ITEM_USER;
    identity_found(&unit, true);
    assert_false(asks_again()); /* none was told */
    r->subscriptions.n = r->seen.n = r->scripts.n = 1;
    assert_true(asks_again());
    assert_int_equal(r->subscriptions.n + r->seen.n + r->scripts.n, 0);
    r->scripts.n = 1;
    assert_true(asks_again());
    r->seen.n = 1;
    item.kind = ITEM_META;
    assert_false(asks_again());
    item.kind = ITEM_USER;
    identity_found(&unit, false);
    assert_false(asks_again());
    unit.identity = NULL;
    assert_false(asks_again());
    assert_int_equal(r->seen.n, 1);
}

/* ---- mailboxes that are named alone ---- */

static void add_here(const char *name, const char *uniqueid)
{
    here[unit.entries.n++] = (struct mbentry){ .name = slice_str(name), .uniqueid = slice_str(uniqueid), .kind = 'e' };
}

static bool seeks(void)
{
    struct folder_matches f = diff_folders(&unit.arena, here, unit.entries.n, &unit.replica.mailboxes, slice_of("", 0));
    unit.ntrees = 0;
    return identity_seeks_trees(&unit, &f);
}

/* uniqueid: of the INBOX that the replica says to have; NULL: none. */
static void ask_trees(const char *name, const char *uniqueid)
{
    struct dlist *line = NULL;
    if (uniqueid) {
        struct slice text = arena_printf(&unit.arena, "%%(UNIQUEID %s MBOXNAME %s SYNC_CRC 0 LAST_UID 0 HIGHESTMODSEQ 1 "
                                         "RECENTUID 0 RECENTTIME 0 LAST_APPENDDATE 0 POP3_LAST_LOGIN 0 POP3_SHOW_AFTER 0 "
                                         "UIDVALIDITY 1 PARTITION default ACL \"\" OPTIONS \"\")", uniqueid, name);
        assert_ok(dlist_parse(&unit.arena, text, &line));
        line->key = slice_str("MAILBOX");
    }
    session.line_of_answer = line;
    assert_ok(identity_ask_trees(&unit));
}

static void a_new_folder_is_made_in_a_tree_of_the_same_user_only(void **state)
{
    (void)state;
    item.kind = ITEM_MAILBOXES;
    list_add("user.a", "ida", 0);
    add_here("user.a.x", "idx");
    add_here("user.a.y", "idy");
    assert_true(seeks());
    assert_int_equal(unit.ntrees, 1);
    assert_slice(unit.trees[0], "user.a");
    ask_trees("user.a", "ida");
    assert_sent("GET MAILBOXES (user.a)\n");
    assert_false(seeks());
    assert_null(unit.astray[0]);
    list.e[0].uniqueid = slice_str("another");
    assert_false(seeks());
    assert_non_null(strstr(unit.astray[0], "another one than here"));
    assert_non_null(unit.astray[1]);
    list.e[0].flags = MB_DELETED; /* the replica's to say */
    assert_false(seeks());
    assert_null(unit.astray[0]);
    list_clear();
    assert_false(seeks());
    assert_null(unit.astray[0]);
}

static void a_tree_without_an_inbox_takes_no_folder(void **state)
{
    (void)state;
    item.kind = ITEM_MAILBOXES;
    list_add("user.a", "ida", 0);
    add_here("user.a.x", "idx");
    assert_true(seeks());
    ask_trees("user.a", NULL);
    assert_false(seeks());
    assert_non_null(strstr(unit.astray[0], "no INBOX on the replica"));
    list.e[0].flags = MB_DELETED;
    assert_false(seeks());
    assert_non_null(strstr(unit.astray[0], "no INBOX, here or there"));
    session.capabilities = CAP_BEFORE_3_6; /* it may take one all the same */
    assert_false(seeks());
    assert_null(unit.astray[0]);
    list.e[0].flags = 0;
    list.damaged = "user.a";
    assert_false(seeks());
    assert_non_null(unit.astray[0]);
    assert_non_null(unit.err);
    assert_int_equal(unit.err->kind, ERR_CORRUPT);
}

static void a_tree_that_cannot_be_asked_for_fails_the_unit(void **state)
{
    (void)state;
    item.kind = ITEM_MAILBOXES;
    add_here("user.a.x", "idx");
    assert_true(seeks());
    session.refused = "GET MAILBOXES";
    session.kind = ERR_NONEXISTENT;
    ask_trees("user.a", NULL);
    assert_null(unit.err);
    session.kind = ERR_IO;
    ask_trees("user.a", "ida");
    assert_non_null(unit.err);
}

static void what_stays_where_it_is_or_is_nobodys_needs_no_tree(void **state)
{
    (void)state;
    item.kind = ITEM_MAILBOXES;
    add_here("user.a.x", "idx");
    add_there("user.a.x", "idx");
    add_here("user.a", "ida");
    add_here("pub.x", "idp");
    add_here("DELETED.user.a.x.5F5E100A", "idd");
    assert_false(seeks());
    there[0].name = slice_str("user.b.x");
    unit.entries.n = 1;
    assert_true(seeks()); /* renamed into it */
    item.kind = ITEM_USER;
    assert_false(seeks());
}

static void an_inbox_of_the_unit_itself_is_not_asked_for(void **state)
{
    (void)state;
    item.kind = ITEM_MAILBOXES;
    add_here("user.a", "ida");
    add_here("user.a.x", "idx");
    assert_false(seeks());
    assert_null(unit.astray[1]);
    add_there("user.a", "other"); /* it makes room */
    assert_false(seeks());
    assert_null(unit.astray[1]);
    kept = "user.a";
    assert_false(seeks());
    assert_non_null(strstr(unit.astray[1], "another one's"));
    kept = NULL;
    struct err *refused = err_new(ERR_MOVED, "refused");
    map_put(&unit.refused, slice_str("ida"), refused);
    assert_false(seeks());
    assert_non_null(unit.astray[1]);
    there[0].uniqueid = slice_str("ida"); /* it is there: what was refused is something else */
    assert_false(seeks());
    assert_null(unit.astray[1]);
    there[0].name = slice_str("user.b");
    assert_false(seeks());
    assert_non_null(unit.astray[1]);
    map_free(&unit.refused);
    err_free(refused);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_inbox_is_asked_for_by_name),
        TEST(he_is_ours_if_his_inbox_has_our_uniqueid),
        TEST(who_has_no_inbox_here_has_none_there),
        TEST(one_whose_inbox_is_not_one_of_ours_is_absent),
        TEST(a_list_that_cannot_be_read_identifies_nobody),
        TEST(settings_of_a_user_who_is_new_are_asked_for_again),
        TEST(a_new_folder_is_made_in_a_tree_of_the_same_user_only),
        TEST(a_tree_without_an_inbox_takes_no_folder),
        TEST(a_tree_that_cannot_be_asked_for_fails_the_unit),
        TEST(what_stays_where_it_is_or_is_nobodys_needs_no_tree),
        TEST(an_inbox_of_the_unit_itself_is_not_asked_for),
    };
    return cmocka_run_group_tests_name("sync: identity", tests, NULL, NULL);
}
