/*
 * What a plan deletes and renames on the replica (sync/folders.c), with a mailbox list in memory. Told as
 * "del NAME;" and "ren FROM TO;", in the order in which they are sent.
 */
#include "../test.h"

#include "fake_list.h"
#include "fake_session.h"
#include "sync/unit.h"

static struct engine engine;
static struct engine_item item;
static struct unit unit;

#include "unit_end.h"
static struct replica_mailbox there[8];
static struct mbentry here[8];
static struct whole_list whole;
static struct map told;        /* deletions that records tell of */
static const char *runs;       /* the run brings this name up to date too, or NULL */
static const char *not_locked; /* the owner's lock of this name cannot be had */
static bool remembered;
static struct mailbox_header former; /* what is here under the name, of a mailbox that can be opened */
static bool cannot_be_opened;
static int open_mailboxes; /* an open one holds Cyrus's locks */

/* ---- in place of the engine and the store ---- */

void unit_fail(struct unit *u, struct err *err)
{
    err_free(u->err);
    u->err = err;
}

struct err *unit_lock_owner(struct unit *u, struct slice name)
{
    (void)u;
    return not_locked && slice_eqs(name, not_locked) ? err_new(ERR_LOCKED, "%s is locked", not_locked) : NULL;
}

bool engine_runs(struct engine *e, struct slice name)
{
    (void)e;
    return runs && slice_eqs(name, runs);
}

bool engine_remembers(struct engine *e, const struct replica_mailbox *r)
{
    (void)e;
    (void)r;
    return remembered;
}

static const char *known_tree; /* whose INBOX was asked for, and is its owner's */
static const char *sought_tree;
static const char *lacks_tree;

bool identity_seeks_tree(struct unit *u, struct slice inbox)
{
    (void)u;
    sought_tree = slice_eqs(inbox, "user.b") ? "user.b" : "another";
    return !known_tree;
}

bool identity_of_tree(struct unit *u, struct slice inbox)
{
    (void)u;
    return known_tree && slice_eqs(inbox, known_tree);
}

bool identity_lacks_tree(struct unit *u, struct slice inbox)
{
    (void)u;
    return lacks_tree && slice_eqs(inbox, lacks_tree);
}

static char forgotten[128];

void engine_forget_name(struct engine *e, struct slice name)
{
    (void)e;
    size_t n = strlen(forgotten);
    snprintf(forgotten + n, sizeof forgotten - n, SLICE_FMT " ", SLICE_ARG(name));
}

struct err *store_mailbox_open(struct store *s, struct arena *a, struct slice name, struct mailbox **out)
{
    (void)s;
    (void)a;
    *out = (struct mailbox *)&former;
    open_mailboxes += !cannot_be_opened;
    return cannot_be_opened ? err_new(ERR_CORRUPT, SLICE_FMT " cannot be read", SLICE_ARG(name)) : NULL;
}

const struct mailbox_header *mailbox_header(const struct mailbox *mb)
{
    return (const struct mailbox_header *)mb;
}

void store_mailbox_close(struct mailbox *mb)
{
    (void)mb;
    open_mailboxes--;
}

struct slice mbentry_wire_type(struct arena *a, const struct mbentry *e)
{
    (void)a;
    (void)e;
    return slice_of("", 0);
}

/* ---- what a test says ---- */

static int set_up(void **state)
{
    (void)state;
    list_clear();
    session.capabilities = CAP_SIEVE_MAILBOX;
    engine = (struct engine){ .o = { .store = &list }, .session = &session };
    item = (struct engine_item){ .kind = ITEM_USER, .userid = slice_str("a"), .deleted = &told };
    unit = (struct unit){ .engine = &engine, .item = &item };
    unit.replica.mailboxes.m = there;
    unit.entries.e = here;
    runs = not_locked = NULL;
    remembered = cannot_be_opened = false;
    forgotten[0] = '\0';
    former = (struct mailbox_header){ .createdmodseq = 0 };
    return 0;
}

static void free_refusal(void *ctx, struct slice id, void *err)
{
    (void)ctx;
    (void)id;
    err_free(err);
}

static int tear_down(void **state)
{
    (void)state;
    map_each(&unit.refused, free_refusal, NULL);
    map_free(&unit.refused);
    map_free(&unit.roots);
    map_free(&told);
    err_free(unit.err);
    arena_free(&unit.arena);
    arena_free(&unit.keep);
    session_clear();
    assert_int_equal(open_mailboxes, 0);
    return 0;
}

/* A mailbox that the master has, in its list and in the unit. */
static struct mbentry *add_here(const char *name, const char *uniqueid)
{
    struct mbentry *e = &here[unit.entries.n++];
    *e = *list_add(name, uniqueid, 0);
    e->partition = slice_str("default");
    return e;
}

static struct replica_mailbox *add_there(const char *name, const char *uniqueid)
{
    struct replica_mailbox *r = &there[unit.replica.mailboxes.n++];
    *r = (struct replica_mailbox){ .name = slice_str(name), .uniqueid = slice_str(uniqueid),
                                   .partition = slice_str("default"), .uidvalidity = 7, .last_uid = 3 };
    return r;
}

static void plan_is(const char *want)
{
    char got[256] = "";
    unit.ndoomed = unit.nrenames = 0;
    struct folder_matches f =
        diff_folders(&unit.arena, here, unit.entries.n, &unit.replica.mailboxes, slice_of("", 0));
    unit_plan_folders(&unit, &f);
    for (size_t i = unit.ndoomed; i-- > 0;)
        snprintf(got + strlen(got), sizeof got - strlen(got), "del " SLICE_FMT ";", SLICE_ARG(unit.doomed[i]->name));
    for (size_t i = 0; i < unit.nrenames; i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "ren " SLICE_FMT " " SLICE_FMT ";",
                 SLICE_ARG(unit.renames[i].from), SLICE_ARG(unit.renames[i].to));
    assert_string_equal(got, want);
    assert_int_equal(unit_wants_folders(&unit), *want != '\0');
}

/* ---- what is only on the replica ---- */

static void only_what_is_known_to_be_deleted_is_deleted_children_first(void **state)
{
    (void)state;
    add_here("user.a", "ida");
    add_there("user.a", "ida");
    add_there("user.a.x", "idx")->quotaroot = slice_str("user.a.x");
    add_there("user.a.x.y", "idy");
    add_there("user.a.z", "idz")->quotaroot = slice_str("user.a.z");
    list_add("user.a.x", "idx", MB_DELETED);
    list_add("user.a.x.y", "idy", MB_DELETED);
    plan_is("del user.a.x.y;del user.a.x;");
    no_error();
    assert_non_null(map_get(&unit.roots, slice_str("user.a.x")));
    assert_null(map_get(&unit.roots, slice_str("user.a.z")));
}

static void what_a_record_put_into_the_deleted_tree_is_moved_there(void **state)
{
    (void)state;
    struct slice to = slice_str("DELETED.user.a.x.5F5E100A");
    add_there("user.a.x", "idx");
    list_add("user.a.x", "another", 0);
    map_put(&told, slice_str("user.a.x"), &to);
    plan_is("ren user.a.x DELETED.user.a.x.5F5E100A;");
    assert_slice(unit.renames[0].partition, "default");
    assert_int_equal(unit.renames[0].uidvalidity, 7);
    add_there("DELETED.user.a.x.5F5E100A", "third"); /* what the record means is there already */
    plan_is("del user.a.x;");
}

static void copies_in_the_deleted_tree_are_each_hosts_own(void **state)
{
    (void)state;
    add_there("DELETED.user.a.x.5F5E100A", "idx");
    list_add("DELETED.user.a.x.5F5E100A", "idx", MB_DELETED);
    plan_is("");
}

static void what_exists_here_under_another_name_is_left_alone(void **state)
{
    (void)state;
    add_there("user.a.x", "idx");
    list_add("user.b.x", "idx", 0);
    plan_is("");
    no_error();
}

static void a_replica_that_cannot_be_asked_for_ids_has_it_moved_by_who_meets_it(void **state)
{
    struct folder_matches f;
    (void)state;
    add_there("user.a.x", "idx");
    list_add("user.b.x", "idx", 0);
    session.capabilities = CAP_BEFORE_3_6;
    unit.attempt = 1;
    plan_is(""); /* whose tree it is, is not known */
    f = diff_folders(&unit.arena, unit.entries.e, unit.entries.n, &unit.replica.mailboxes, slice_of("", 0));
    assert_true(unit_seeks_homes(&unit, &f));
    assert_string_equal(sought_tree, "user.b");
    known_tree = "user.b";
    assert_false(unit_seeks_homes(&unit, &f));
    plan_is("ren user.a.x user.b.x;");
    list.e[0].name = slice_str("user.b"); /* an INBOX is moved where there is none */
    plan_is("");
    lacks_tree = "user.b";
    plan_is("ren user.a.x user.b;");
    lacks_tree = NULL;
    list.e[0].name = slice_str("DELETED.user.b.x.5F5E100A"); /* nobody's tree */
    sought_tree = NULL;
    plan_is("ren user.a.x DELETED.user.b.x.5F5E100A;");
    assert_false(unit_seeks_homes(&unit, &f));
    assert_null(sought_tree);
    list.e[0].name = slice_str("user.b.x");
    list.e[0].flags = MB_REMOTE;
    plan_is("");
    list.e[0].flags = 0;
    session.capabilities = 0;
    plan_is("");
    assert_false(unit_seeks_homes(&unit, &f));
    known_tree = NULL;
    no_error();
}

static void an_extra_mailbox_goes_on_demand_only_and_only_for_a_whole_list(void **state)
{
    (void)state;
    struct mbentry entries[] = { { .name = slice_str("user.a.left"), .uniqueid = slice_str("idleft") } };
    whole.entries = (struct mbentry_list){ entries, 1, 1 };
    add_there("user.a.x", "idx");
    add_there("user.a.i", "idi")->type = slice_str("ei");
    plan_is("");
    engine.o.delete_extra = true;
    plan_is(""); /* no list */
    unit.whole = &whole;
    plan_is("del user.a.x;");
    add_there("user.a.left", "idleft"); /* in the list, though not in the plan */
    plan_is("del user.a.x;");
    no_error();
}

static void a_list_that_cannot_be_read_deletes_nothing(void **state)
{
    (void)state;
    engine.o.delete_extra = true;
    unit.whole = &whole;
    whole.entries.n = 0;
    add_there("user.a.x", "idx");
    list_add("user.a.x", "idx", MB_DELETED);
    list.damaged = "user.a.x";
    plan_is("");
    fails_with(ERR_CORRUPT, "user.a.x");
}

static void what_the_cache_says_is_asked_before_it_is_deleted_or_renamed(void **state)
{
    (void)state;
    add_there("user.a.x", "idx")->remembered = true;
    list_add("user.a.x", "idx", MB_DELETED);
    plan_is("");
    fails_with(ERR_CHANGED, "user.a.x");
    unit.replica.mailboxes.n = 0;
    add_there("user.a.y", "idy")->remembered = true;
    add_here("user.a.z", "idy");
    plan_is("");
    fails_with(ERR_CHANGED, "user.a.y");
}

static void a_deletion_that_was_refused_is_told_and_not_repeated(void **state)
{
    (void)state;
    add_there("user.a.x", "idx");
    list_add("user.a.x", "idx", MB_DELETED);
    map_put(&unit.refused, slice_str("idx"), err_new(ERR_IO, "refused"));
    plan_is("");
    fails_with(ERR_IO, "deletion of user.a.x: refused");
}

/* ---- what has another name or partition there ---- */

static void what_has_another_name_or_partition_is_renamed(void **state)
{
    (void)state;
    add_here("user.a.new", "idx")->uidvalidity = 9;
    add_here("user.a.y", "idy")->partition = slice_str("two");
    add_there("user.a.old", "idx")->quotaroot = slice_str("user.a.old");
    add_there("user.a.y", "idy");
    item.kind = ITEM_MAILBOXES;
    struct slice names[] = { slice_str("user.a.new"), slice_str("user.a.old"), slice_str("user.a.y") };
    item.names = names;
    item.nnames = 3;
    plan_is("ren user.a.old user.a.new;ren user.a.y user.a.y;");
    no_error();
    assert_int_equal(unit.renames[0].uidvalidity, 9);
    assert_slice(unit.renames[0].uniqueid, "idx");
    assert_slice(unit.renames[1].partition, "two");
    assert_non_null(map_get(&unit.roots, slice_str("user.a.old")));
    engine.o.partition = "three";
    plan_is("ren user.a.old user.a.new;ren user.a.y user.a.y;");
    assert_slice(unit.renames[0].partition, "three");
}

static void names_of_others_are_touched_alone_and_under_their_lock(void **state)
{
    (void)state;
    add_here("user.a.x", "idx");
    add_there("user.b.x", "idx");
    plan_is("");
    fails_with(ERR_CHANGED, "user.b.x has to be renamed first");
    err_free(unit.err);
    unit.err = NULL;
    unit.attempt = 1;
    plan_is("ren user.b.x user.a.x;");
    no_error();
    not_locked = "user.b.x";
    plan_is("");
    fails_with(ERR_LOCKED, "user.b.x");
}

static void a_rename_that_was_refused_is_not_repeated(void **state)
{
    (void)state;
    add_here("user.a.new", "idx");
    add_there("user.a.old", "idx");
    map_put(&unit.refused, slice_str("idx"), err_new(ERR_IO, "refused"));
    plan_is("");
}

/* ---- what has a name that is needed ---- */

static void a_dead_mailbox_makes_room(void **state)
{
    (void)state;
    add_here("user.a.x", "new");
    add_there("user.a.x", "old");
    list_add("user.a.x.y", "old", MB_DELETED);
    plan_is("del user.a.x;");
    no_error();
}

static void an_unknown_mailbox_with_messages_keeps_its_name(void **state)
{
    (void)state;
    add_here("user.a.x", "new");
    struct replica_mailbox *r = add_there("user.a.x", "old");
    plan_is("");
    r->last_uid = 0; /* one without is replaced by a later replica itself */
    plan_is("");
    session.capabilities = 0; /* not by one before 3.6 */
    plan_is("del user.a.x;");
    r->last_uid = 3;
    plan_is("");
    engine.o.force = true; /* -O replaces it when the new one is made, too */
    plan_is("");
    no_error();
}

static void for_a_rename_an_empty_one_goes_and_with_force_a_filled_one(void **state)
{
    (void)state;
    add_here("user.a.x", "new");
    add_there("user.a.y", "new");
    struct replica_mailbox *r = add_there("user.a.x", "old");
    plan_is("ren user.a.y user.a.x;"); /* the replica's to refuse */
    r->last_uid = 0;
    plan_is("del user.a.x;ren user.a.y user.a.x;");
    r->last_uid = 3;
    engine.o.force = true;
    plan_is("del user.a.x;ren user.a.y user.a.x;");
    no_error();
}

static void an_extra_occupant_goes_on_demand(void **state)
{
    (void)state;
    struct mbentry entries[] = { { .name = slice_str("user.a.x"), .uniqueid = slice_str("new") } };
    whole.entries = (struct mbentry_list){ entries, 1, 1 };
    add_here("user.a.x", "new");
    add_there("user.a.x", "old");
    engine.o.delete_extra = true;
    plan_is("");
    unit.whole = &whole;
    plan_is("del user.a.x;");
}

static void an_occupant_that_lives_here_is_moved_where_the_run_goes(void **state)
{
    (void)state;
    add_here("user.a.x", "new");
    add_there("user.a.x", "old");
    struct mbentry *e = list_add("user.b.x", "old", 0);
    unit.attempt = 1;
    plan_is("");
    assert_false(unit.waits);
    no_error();
    runs = "user.b.x";
    plan_is("ren user.a.x user.b.x;");
    assert_true(unit.waits);
    unit.waits = false;
    e->flags = MB_REMOTE; /* nothing of it is ours to move */
    plan_is("");
    assert_false(unit.waits);
}

static void an_occupant_that_the_unit_has_itself_is_renamed_once(void **state)
{
    (void)state;
    add_here("user.a.x", "idy");
    add_here("user.a.y", "idx");
    add_there("user.a.x", "idx");
    add_there("user.a.y", "idy");
    runs = "user.a.y";
    plan_is("ren user.a.y user.a.y-swap-idy;ren user.a.x user.a.y;ren user.a.y-swap-idy user.a.x;");
}

static void an_occupant_whose_move_was_refused_stays(void **state)
{
    (void)state;
    add_here("user.a.x", "new");
    add_there("user.a.x", "old");
    list_add("user.a.z", "old", MB_DELETED);
    map_put(&unit.refused, slice_str("old"), err_new(ERR_IO, "refused"));
    plan_is("");
    no_error();
}

static void an_occupant_that_cannot_be_looked_up_stays(void **state)
{
    (void)state;
    add_here("user.a.x", "new");
    add_there("user.a.x", "old");
    list_add("user.a.z", "old", MB_DELETED);
    list.damaged = "user.a.z";
    plan_is("");
    fails_with(ERR_CORRUPT, "user.a.z");
}

/* ---- former lives ---- */

static void a_mailbox_made_again_with_its_old_uniqueid_replaces_the_one_that_was_deleted(void **state)
{
    (void)state;
    struct slice nowhere = slice_of("", 0);
    struct slice to = slice_str("DELETED.user.a.x.5F5E100A");
    add_here("user.a.x", "idx");
    struct replica_mailbox *r = add_there("user.a.x", "idx");
    plan_is("");
    map_put(&told, slice_str("user.a.x"), &nowhere);
    plan_is("del user.a.x;");
    former.createdmodseq = r->createdmodseq = 5; /* one life */
    former.uidvalidity = r->uidvalidity;
    plan_is("");
    former.createdmodseq = r->createdmodseq = 1; /* says nothing: without conversations all have it */
    plan_is("del user.a.x;");
    former.createdmodseq = r->createdmodseq = 5;
    former.uidvalidity++;
    plan_is("del user.a.x;");
    map_put(&told, slice_str("user.a.x"), &to); /* that one is in the deleted tree, with its own uniqueid */
    plan_is("");
    map_put(&told, slice_str("user.a.x"), &nowhere);
    cannot_be_opened = true;
    plan_is("");
    no_error();
}

/* ---- sending ---- */

static void plan_both(void)
{
    add_here("user.a.new", "idn");
    add_there("user.a.old", "idn");
    add_there("user.a.x", "idx");
    list_add("user.a.x", "idx", MB_DELETED);
    plan_is("del user.a.x;ren user.a.old user.a.new;");
}

static void deletions_go_before_renames_and_both_are_forgotten(void **state)
{
    (void)state;
    plan_both();
    assert_ok(unit_send_folders(&unit));
    assert_sent("APPLY UNMAILBOX user.a.x\n"
                "APPLY RENAME %(OLDMBOXNAME user.a.old NEWMBOXNAME user.a.new PARTITION default UIDVALIDITY 0)\n");
    assert_string_equal(forgotten, "user.a.x user.a.old user.a.new ");
}

static void children_are_deleted_first_whatever_the_order_of_the_answer(void **state)
{
    (void)state;
    static const char *const names[] = { "user.a.x.y", "user.a", "user.a.*", "user.a.x", "user.a.x y" };
    for (size_t i = 0; i < 5; i++) {
        add_there(names[i], names[i]);
        list_add(names[i], names[i], MB_DELETED);
    }
    struct folder_matches f = diff_folders(&unit.arena, here, 0, &unit.replica.mailboxes, slice_of("", 0));
    unit_plan_folders(&unit, &f);
    assert_ok(unit_send_folders(&unit));
    assert_sent("APPLY UNMAILBOX user.a.x.y\nAPPLY UNMAILBOX \"user.a.x y\"\nAPPLY UNMAILBOX user.a.x\n"
                "APPLY UNMAILBOX \"user.a.*\"\nAPPLY UNMAILBOX user.a\n");
}

static void scripts_that_go_one_by_one_follow_the_user_who_is_renamed(void **state)
{
    (void)state;
    add_here("user.b", "ida");
    add_here("user.b.x", "idx");
    add_there("user.a", "ida");
    add_there("user.a.x", "idx");
    item.userid = slice_str("b");
    unit.attempt = 1;
    plan_is("ren user.a user.b;ren user.a.x user.b.x;");
    assert_ok(unit_send_folders(&unit));
    assert_sent("APPLY RENAME %(OLDMBOXNAME user.a NEWMBOXNAME user.b PARTITION default UIDVALIDITY 0)\n"
                "APPLY RENAME %(OLDMBOXNAME user.a.#sieve NEWMBOXNAME user.b.#sieve PARTITION default UIDVALIDITY 0)\n"
                "APPLY RENAME %(OLDMBOXNAME user.a.x NEWMBOXNAME user.b.x PARTITION default UIDVALIDITY 0)\n");
    buf_clear(&session.sent);
    engine.sieve_mailbox = true; /* they are a mailbox like any other */
    unit.ndoomed = 0;
    assert_ok(unit_send_folders(&unit));
    assert_sent("APPLY RENAME %(OLDMBOXNAME user.a NEWMBOXNAME user.b PARTITION default UIDVALIDITY 0)\n"
                "APPLY RENAME %(OLDMBOXNAME user.a.x NEWMBOXNAME user.b.x PARTITION default UIDVALIDITY 0)\n");
}

static void a_replica_that_can_is_told_which_mailbox_is_meant_and_locally_on_demand(void **state)
{
    (void)state;
    session.capabilities |= CAP_UNMAILBOX_ID;
    engine.o.local_only = true;
    plan_both();
    assert_ok(unit_send_folders(&unit));
    assert_sent("APPLY LOCAL_UNMAILBOX %(MBOXNAME user.a.x UNIQUEID idx UIDVALIDITY 7)\n"
                "APPLY LOCAL_RENAME %(OLDMBOXNAME user.a.old NEWMBOXNAME user.a.new PARTITION default UIDVALIDITY 0)\n");
}

static void a_refusal_is_kept_by_uniqueid_what_is_gone_is_none_and_a_lost_session_fails_the_unit(void **state)
{
    (void)state;
    plan_both();
    session.refused = "APPLY RENAME";
    session.kind = ERR_NONEXISTENT;
    assert_ok(unit_send_folders(&unit));
    assert_null(map_get(&unit.refused, slice_str("idn")));
    session.kind = ERR_MOVED;
    assert_ok(unit_send_folders(&unit));
    assert_ok(unit_send_folders(&unit)); /* the first refusal stays */
    assert_non_null(map_get(&unit.refused, slice_str("idn")));
    assert_null(map_get(&unit.refused, slice_str("idx")));
    no_error();
    session.dies = true;
    session.kind = ERR_IO;
    assert_ok(unit_send_folders(&unit));
    fails_with(ERR_IO, "refused");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_what_is_known_to_be_deleted_is_deleted_children_first),
        TEST(what_a_record_put_into_the_deleted_tree_is_moved_there),
        TEST(copies_in_the_deleted_tree_are_each_hosts_own),
        TEST(what_exists_here_under_another_name_is_left_alone),
        TEST(a_replica_that_cannot_be_asked_for_ids_has_it_moved_by_who_meets_it),
        TEST(an_extra_mailbox_goes_on_demand_only_and_only_for_a_whole_list),
        TEST(a_list_that_cannot_be_read_deletes_nothing),
        TEST(what_the_cache_says_is_asked_before_it_is_deleted_or_renamed),
        TEST(a_deletion_that_was_refused_is_told_and_not_repeated),
        TEST(what_has_another_name_or_partition_is_renamed),
        TEST(names_of_others_are_touched_alone_and_under_their_lock),
        TEST(a_rename_that_was_refused_is_not_repeated),
        TEST(a_dead_mailbox_makes_room),
        TEST(an_unknown_mailbox_with_messages_keeps_its_name),
        TEST(for_a_rename_an_empty_one_goes_and_with_force_a_filled_one),
        TEST(an_extra_occupant_goes_on_demand),
        TEST(an_occupant_that_lives_here_is_moved_where_the_run_goes),
        TEST(an_occupant_that_the_unit_has_itself_is_renamed_once),
        TEST(an_occupant_whose_move_was_refused_stays),
        TEST(an_occupant_that_cannot_be_looked_up_stays),
        TEST(a_mailbox_made_again_with_its_old_uniqueid_replaces_the_one_that_was_deleted),
        TEST(deletions_go_before_renames_and_both_are_forgotten),
        TEST(children_are_deleted_first_whatever_the_order_of_the_answer),
        TEST(scripts_that_go_one_by_one_follow_the_user_who_is_renamed),
        TEST(a_replica_that_can_is_told_which_mailbox_is_meant_and_locally_on_demand),
        TEST(a_refusal_is_kept_by_uniqueid_what_is_gone_is_none_and_a_lost_session_fails_the_unit),
    };
    return cmocka_run_group_tests_name("sync: folders", tests, NULL, NULL);
}
