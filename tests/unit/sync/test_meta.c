/*
 * What a user has besides mailboxes (sync/meta.c), and records of one object (sync/single.c): which commands
 * follow from both sides' states, and which answers fail the unit.
 */
#include "../test.h"

#include "fake_list.h"
#include "fake_session.h"
#include "sync/unit.h"

static struct engine engine;
static struct engine_item item;
static struct unit unit;

#include "unit_end.h"
static struct identity identity;
static struct work work[4];
static struct mailbox_header header[4];

/* ---- the master's side ---- */

static struct quota quota[4];
static size_t nquota;
static struct slice subscribed[4];
static struct subscription_list subscriptions;
static struct seen_row row[4];
static struct seen_list seen;
static struct annotation annotation[4];
static struct annotation_list annotations;
static const char *unreadable; /* "quota", "subscriptions", ... */
static bool dropped_from_cache;

static struct err *read_it(const char *what)
{
    return unreadable && strcmp(unreadable, what) == 0 ? err_new(ERR_CORRUPT, "%s cannot be read", what) : NULL;
}

struct err *store_quota(struct store *s, struct arena *a, struct slice root, struct quota *out, bool *found)
{
    (void)s;
    (void)a;
    *found = false;
    for (size_t i = 0; i < nquota && !*found; i++)
        if (slice_eq(quota[i].root, root)) {
            *out = quota[i];
            *found = true;
        }
    return read_it("quota");
}

struct err *store_subscriptions(struct store *s, struct arena *a, struct slice userid, struct subscription_list *out)
{
    (void)s;
    (void)a;
    assert_slice(userid, "a");
    *out = subscriptions;
    return read_it("subscriptions");
}

struct err *store_seen(struct store *s, struct arena *a, struct slice userid, struct seen_list *out)
{
    (void)s;
    (void)a;
    assert_slice(userid, "a");
    *out = seen;
    return read_it("seen");
}

static bool moved_on; /* the INBOX has another name now */

struct err *store_present_names(struct store *s, struct arena *a, struct slice name, struct name_list *out)
{
    static struct slice now = { "user.b", 6 };
    (void)s;
    (void)a;
    assert_slice(name, "user.a");
    *out = (struct name_list){ &now, moved_on, 1 };
    return read_it("former names");
}

struct err *store_server_annotations(struct store *s, struct arena *a, struct annotation_list *out)
{
    (void)s;
    (void)a;
    *out = annotations;
    return read_it("annotations");
}

/* ---- in place of the rest of the engine ---- */

void unit_fail(struct unit *u, struct err *err)
{
    err_free(u->err);
    u->err = err;
}

struct err *unit_sieve(struct unit *u)
{
    buf_adds(&u->engine->session->sent, "(scripts)\n");
    return NULL;
}

void unit_state_answered(void *ctx, const struct answer *a)
{
    (void)a;
    ((struct unit *)ctx)->asked = true;
}

struct err *identity_ask(struct unit *u)
{
    buf_adds(&u->engine->session->sent, "(whose?)\n");
    return NULL;
}

bool engine_remembers(struct engine *e, const struct replica_mailbox *r)
{
    (void)e;
    (void)r;
    return false;
}

void cache_drop_tree(struct cache_changes *l, struct slice name)
{
    (void)l;
    assert_slice(name, "user.a");
    dropped_from_cache = true;
}

/* ---- what a test says ---- */

static int set_up(void **state)
{
    (void)state;
    list_clear();
    engine = (struct engine){ .o = { .store = &list }, .session = &session };
    item = (struct engine_item){ .kind = ITEM_USER, .userid = slice_str("a") };
    identity = (struct identity){ .userid = slice_str("a") };
    unit = (struct unit){ .engine = &engine, .item = &item, .identity = &identity, .work = work };
    memset(work, 0, sizeof work);
    nquota = 0;
    subscriptions = (struct subscription_list){ subscribed, 0 };
    seen = (struct seen_list){ row, 0 };
    annotations = (struct annotation_list){ annotation, 0 };
    unreadable = NULL;
    dropped_from_cache = false;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    map_free(&unit.roots);
    err_free(unit.err);
    arena_free(&unit.arena);
    session_clear();
    return 0;
}

static struct quota limits(const char *root, int64_t storage, int64_t folders)
{
    return (struct quota){ slice_str(root), { storage, QUOTA_UNLIMITED, QUOTA_UNLIMITED, folders }, 0 };
}

static void add_work(const char *quotaroot)
{
    struct mailbox_header *m = &header[unit.nwork];
    *m = (struct mailbox_header){ .quotaroot = slice_str(quotaroot) };
    work[unit.nwork++].m = m;
}

static void add_root_there(const char *root, int64_t storage)
{
    static struct quota q[4];
    unit.replica.quotas.q = q;
    q[unit.replica.quotas.n++] = limits(root, storage, QUOTA_UNLIMITED);
}

static void sends(const char *want)
{
    assert_ok(unit_meta(&unit));
    assert_sent(want);
}

/* ---- quotas ---- */

#define NO_LIMIT "LIMIT 4294967295"

static void a_limit_that_differs_is_sent_once(void **state)
{
    (void)state;
    quota[nquota++] = limits("user.a", 100, 9);
    quota[nquota++] = limits("user.a.x", 50, QUOTA_UNLIMITED);
    quota[nquota++] = limits("user.a.y", QUOTA_UNLIMITED, QUOTA_UNLIMITED);
    quota[1].modseq = 12;
    add_work("user.a");
    add_work("user.a");
    add_work("user.a.x");
    unit.nwork++; /* one that could not be read */
    add_root_there("user.a", 99);
    sends("APPLY QUOTA %(ROOT user.a LIMIT 100 STORAGE 100 MAILBOX 9 X-NUM-FOLDERS 9)\n"
          "APPLY QUOTA %(ROOT user.a.x LIMIT 50 STORAGE 50 MODSEQ 12)\n"
          "(scripts)\n");
    no_error();
}

static void every_limit_has_its_names_and_its_bounds(void **state)
{
    (void)state;
    item.kind = ITEM_QUOTA;
    item.object = slice_str("user.a");
    quota[nquota++] = (struct quota){ slice_str("user.a"), { UINT32_MAX - 1ll, UINT32_MAX, 1ll << 40, 0 }, 0 };
    sends("APPLY QUOTA %(ROOT user.a LIMIT 4294967294 STORAGE 4294967294 MESSAGE 4294967294 "
          "ANNOTATION-STORAGE 4294967294 X-ANNOTATION-STORAGE 4294967294 MAILBOX 0 X-NUM-FOLDERS 0)\n");
    quota[0] = limits("user.a", QUOTA_UNLIMITED, QUOTA_UNLIMITED);
    sends("APPLY QUOTA %(ROOT user.a " NO_LIMIT ")\n");
}

static void an_equal_limit_is_not_sent_but_for_its_own_record(void **state)
{
    (void)state;
    quota[nquota++] = limits("user.a", 100, QUOTA_UNLIMITED);
    add_work("user.a");
    add_root_there("user.a", 100);
    sends("(scripts)\n");
    item.kind = ITEM_QUOTA;
    item.object = slice_str("user.a");
    sends("APPLY QUOTA %(ROOT user.a LIMIT 100 STORAGE 100)\n");
    item.object = slice_str("user.none");
    sends("APPLY UNQUOTA user.none\n");
}

static void a_root_there_goes_only_if_the_masters_list_has_none_of_the_name(void **state)
{
    (void)state;
    quota[nquota++] = limits("user.a.x", 100, QUOTA_UNLIMITED);
    add_work("user.a.gone"); /* named by a mailbox, and unset since */
    add_root_there("user.a.old", 1);
    add_root_there("user.a.x", 1); /* no mailbox names it: perhaps one could not be read */
    add_root_there("user.a.gone", 1);
    sends("APPLY UNQUOTA user.a.gone\nAPPLY UNQUOTA user.a.old\n(scripts)\n");
    no_error();
}

static void roots_of_mailboxes_that_went_are_looked_at_once(void **state)
{
    (void)state;
    quota[nquota++] = limits("user.a.here", 100, QUOTA_UNLIMITED);
    add_root_there("user.a.both", 1);
    map_put(&unit.roots, slice_str("user.a.both"), &unit);
    map_put(&unit.roots, slice_str("user.a.here"), &unit);
    sends("APPLY UNQUOTA user.a.both\n(scripts)\n");
    add_work("user.a.named"); /* which no mailbox of the replica names any more */
    sends("APPLY UNQUOTA user.a.both\n(scripts)\n");
    map_put(&unit.roots, slice_str("user.a.named"), &unit);
    sends("APPLY UNQUOTA user.a.named\nAPPLY UNQUOTA user.a.both\n(scripts)\n");
    map_free(&unit.roots);
    map_put(&unit.roots, slice_str("user.a.both"), &unit);
    item.kind = ITEM_MAILBOXES;
    sends("APPLY UNQUOTA user.a.both\n");
}

/* A root may lie there under the name, of which only a mailbox would tell. */
static void a_mailbox_that_is_new_there_gets_no_old_root(void **state)
{
    static struct mbentry entry[4];
    static struct replica_mailbox there;
    (void)state;
    quota[nquota++] = limits("user.a.x", 100, QUOTA_UNLIMITED);
    const char *names[] = { "user.a.new", "user.a.old", "user.a.x", "user.a.no root?" };
    for (size_t i = 0; i < 4; i++) {
        add_work("");
        entry[i].name = slice_str(names[i]);
        work[i].entry = &entry[i];
    }
    work[1].r = &there;
    unit.replica.mailboxes.n = 1;
    sends("APPLY UNQUOTA user.a.new\n(scripts)\n");
    unit.replica.mailboxes.n = 0; /* the whole user is new */
    sends("(scripts)\n");
    no_error();
}

static void quotas_that_cannot_be_read_change_nothing(void **state)
{
    (void)state;
    unreadable = "quota";
    add_work("user.a");
    sends("(scripts)\n");
    fails_with(ERR_CORRUPT, "quota cannot be read");
    err_free(unit.err);
    unit.err = NULL;
    unit.nwork = 0;
    add_root_there("user.a.x", 1);
    map_put(&unit.roots, slice_str("user.a.y"), &unit);
    sends("(scripts)\n");
    fails_with(ERR_CORRUPT, "quota cannot be read");
}

/* ---- subscriptions, seen states ---- */

static void subscriptions_become_the_masters(void **state)
{
    (void)state;
    struct slice there[] = { slice_str("user.a.x"), slice_str("user.a.y") };
    unit.replica.subscriptions = (struct subscription_list){ there, 2 };
    subscribed[subscriptions.n++] = slice_str("user.a.y");
    subscribed[subscriptions.n++] = slice_str("user.a.z");
    sends("APPLY SUB %(USERID a MBOXNAME user.a.z)\nAPPLY UNSUB %(USERID a MBOXNAME user.a.x)\n(scripts)\n");
    unreadable = "subscriptions";
    sends("(scripts)\n");
    fails_with(ERR_CORRUPT, "subscriptions");
}

static void seen_states_that_differ_are_sent_and_none_is_unset(void **state)
{
    (void)state;
    struct seen_row there[] = { { .uniqueid = slice_str("same"), .lastuid = 3, .uids = slice_str("1:3") },
                                { .uniqueid = slice_str("other"), .lastuid = 3, .uids = slice_str("1:3") },
                                { .uniqueid = slice_str("only there"), .lastuid = 3 } };
    unit.replica.seen = (struct seen_list){ there, 3 };
    row[seen.n++] = there[0];
    row[seen.n] = there[1];
    row[seen.n++].uids = slice_str("1:2");
    row[seen.n++] = (struct seen_row){ slice_str("new"), 5, 6, 7, slice_str("9") };
    sends("(scripts)\n"
          "APPLY SEEN %(USERID a UNIQUEID other LASTREAD 0 LASTUID 3 LASTCHANGE 0 SEENUIDS 1:2)\n"
          "APPLY SEEN %(USERID a UNIQUEID new LASTREAD 5 LASTUID 6 LASTCHANGE 7 SEENUIDS 9)\n");
    unreadable = "seen";
    sends("(scripts)\n");
    no_error(); /* told, and the user's other things go on */
}

static void without_an_identity_nothing_of_the_user_is_changed(void **state)
{
    (void)state;
    unit.identity = NULL;
    add_root_there("user.a.x", 1);
    subscribed[subscriptions.n++] = slice_str("user.a.z");
    row[seen.n++] = (struct seen_row){ .uniqueid = slice_str("id") };
    sends("");
    item.kind = ITEM_SUB;
    sends("");
    item.kind = ITEM_SEEN;
    item.object = slice_str("id");
    sends("");
}

static void settings_alone_bring_no_quotas(void **state)
{
    (void)state;
    item.kind = ITEM_META;
    add_root_there("user.a.x", 1);
    subscribed[subscriptions.n++] = slice_str("user.a.z");
    sends("APPLY SUB %(USERID a MBOXNAME user.a.z)\n(scripts)\n");
}

/* ---- answers ---- */

static void a_refusal_fails_the_unit_but_not_of_what_is_gone_or_a_users_seen_state(void **state)
{
    (void)state;
    subscribed[subscriptions.n++] = slice_str("user.a.z");
    row[seen.n++] = (struct seen_row){ .uniqueid = slice_str("id"), .uids = slice_str("1") };
    session.refused = "APPLY";
    session.kind = ERR_NONEXISTENT;
    assert_ok(unit_meta(&unit));
    no_error();
    session.refused = "APPLY SEEN";
    session.kind = ERR_IO;
    assert_ok(unit_meta(&unit));
    no_error();
    session.dies = true;
    assert_ok(unit_meta(&unit));
    fails_with(ERR_IO, "refused");
    err_free(unit.err);
    unit.err = NULL;
    session.dies = false;
    session.refused = "APPLY SUB";
    assert_ok(unit_meta(&unit));
    fails_with(ERR_IO, "refused");
}

static void the_record_of_a_seen_state_fails_with_its_refusal(void **state)
{
    (void)state;
    item.kind = ITEM_SEEN;
    item.object = slice_str("id");
    row[seen.n++] = (struct seen_row){ .uniqueid = slice_str("id"), .uids = slice_str("1") };
    session.refused = "APPLY SEEN";
    session.kind = ERR_IO;
    assert_ok(unit_meta(&unit));
    fails_with(ERR_IO, "refused");
    buf_clear(&session.sent);
    sends(""); /* what has failed already sends no more */
}

/* ---- records of one object ---- */

static void a_subscription_is_sent_as_it_is_here(void **state)
{
    (void)state;
    item.kind = ITEM_SUB;
    item.object = slice_str("user.a.x");
    subscribed[subscriptions.n++] = slice_str("user.a.x");
    subscribed[subscriptions.n++] = slice_str("user.a.y");
    sends("APPLY SUB %(USERID a MBOXNAME user.a.x)\n");
    item.object = slice_str("user.a.z");
    sends("APPLY UNSUB %(USERID a MBOXNAME user.a.z)\n");
    unreadable = "subscriptions";
    sends("");
    fails_with(ERR_CORRUPT, "subscriptions");
}

static void a_seen_state_that_is_not_here_is_left_alone(void **state)
{
    (void)state;
    item.kind = ITEM_SEEN;
    item.object = slice_str("id2");
    row[seen.n++] = (struct seen_row){ .uniqueid = slice_str("id1"), .uids = slice_str("1") };
    sends("");
    row[seen.n++] = (struct seen_row){ .uniqueid = slice_str("id2"), .uids = slice_str("2") };
    sends("APPLY SEEN %(USERID a UNIQUEID id2 LASTREAD 0 LASTUID 0 LASTCHANGE 0 SEENUIDS 2)\n");
    unreadable = "seen";
    sends("");
    fails_with(ERR_CORRUPT, "seen");
}

static struct annotation an(const char *entry, const char *userid, const char *value)
{
    return (struct annotation){ slice_str(entry), slice_str(userid), slice_str(value), 0 };
}

static void the_servers_annotations_become_the_masters(void **state)
{
    (void)state;
    struct annotation there[] = { an("/d", "", "old"), an("/c", "u", "same"), an("/e", "", "gone"), an("/c", "", "gone") };
    unit.replica.annotations = (struct annotation_list){ there, 4 };
    annotation[annotations.n++] = an("/b", "", "new");
    annotation[annotations.n++] = an("/c", "u", "same");
    annotation[annotations.n++] = an("/d", "", "newer");
    item = (struct engine_item){ .kind = ITEM_ANNOTATIONS };
    sends("APPLY ANNOTATION %(MBOXNAME \"\" ENTRY /b USERID \"\" VALUE new)\n"
          "APPLY UNANNOTATION %(MBOXNAME \"\" ENTRY /c USERID \"\")\n"
          "APPLY ANNOTATION %(MBOXNAME \"\" ENTRY /d USERID \"\" VALUE newer)\n"
          "APPLY UNANNOTATION %(MBOXNAME \"\" ENTRY /e USERID \"\")\n");
    annotation[annotations.n++] = an("/z", "", "last");
    unit.replica.annotations.n = 0;
    annotations.a += 3;
    annotations.n = 1;
    sends("APPLY ANNOTATION %(MBOXNAME \"\" ENTRY /z USERID \"\" VALUE last)\n");
    unreadable = "annotations";
    unit.replica.annotations.n = 4;
    sends("");
    fails_with(ERR_CORRUPT, "annotations");
}

static void what_is_one_object_asks_what_it_needs(void **state)
{
    (void)state;
    static const enum engine_item_kind kinds[] = { ITEM_SUB, ITEM_SEEN, ITEM_UNUSER, ITEM_ANNOTATIONS, ITEM_QUOTA };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        item.kind = kinds[i];
        assert_true(item_is_single(&item));
        unit.asked = false;
        assert_ok(single_ask(&unit));
        assert_int_equal(unit.asked, i >= 2);
    }
    assert_sent("(whose?)\n(whose?)\nGET USER a\nGET ANNOTATION \"\"\n");
    item.kind = ITEM_META;
    assert_false(item_is_single(&item));
    item.kind = ITEM_USER;
    assert_false(item_is_single(&item));
    item.kind = ITEM_MAILBOXES;
    assert_false(item_is_single(&item));
}

/* ---- the deletion of a user ---- */

static struct replica_mailbox there[2];

static void unuser(void)
{
    item.kind = ITEM_UNUSER;
    there[0] = (struct replica_mailbox){ .name = slice_str("user.a"), .uniqueid = slice_str("ida") };
    there[1] = (struct replica_mailbox){ .name = slice_str("user.a.x"), .uniqueid = slice_str("idx") };
    unit.replica.mailboxes = (struct replica_mailbox_list){ there, 2, 2 };
}

static void a_user_without_an_inbox_here_is_deleted_there(void **state)
{
    (void)state;
    unuser();
    sends("APPLY UNUSER a\n");
    list_add("user.a", "ida", MB_DELETED);
    list_add("user.a.x", "idx", MB_DELETED);
    there[0].name = slice_str("DELETED.user.a.6B06AD59"); /* is his own, where it should be */
    list_add("DELETED.user.a.6B06AD59", "ida", 0);
    engine.o.local_only = true;
    assert_false(dropped_from_cache);
    engine.o.cache = (struct cache *)&engine;
    sends("APPLY LOCAL_UNUSER a\n");
    assert_true(dropped_from_cache);
    list.e[0].flags = MB_INTERMEDIATE;
    sends("APPLY LOCAL_UNUSER a\n");
    no_error();
}

static void settings_of_the_user_who_has_the_inbox_now_are_not_deleted(void **state)
{
    struct slice name = slice_str("user.a");
    (void)state;
    unuser();
    unit.replica.mailboxes.n = 0;
    unit.replica.subscriptions = (struct subscription_list){ &name, 1 };
    sends("APPLY UNUSER a\n");
    moved_on = true;
    sends("");
    unit.replica.subscriptions.n = 0; /* a replica does not tell all that it deletes */
    sends("");
    session.capabilities = CAP_BEFORE_3_6; /* there the settings of both go by name */
    sends("APPLY UNUSER a\n");
    session.capabilities = 0;
    unit.replica.mailboxes.n = 2; /* a mailbox has to go, and the settings are sent again afterwards */
    sends("APPLY UNUSER a\n");
    unit.replica.mailboxes.n = 0;
    unreadable = "former names";
    sends("");
    fails_with(ERR_CORRUPT, "former names");
    moved_on = false;
}

static void a_folder_that_is_still_here_stays_there(void **state)
{
    struct slice name = slice_str("user.a.x");
    (void)state;
    unuser();
    list_add("user.a", "ida", MB_DELETED);
    list_add("user.a.x", "idx", 0);
    unit.replica.subscriptions = (struct subscription_list){ &name, 1 };
    sends("APPLY UNSUB %(USERID a MBOXNAME user.a.x)\n");
    session.capabilities = CAP_BEFORE_3_6;
    sends("APPLY UNSUB %(USERID a MBOXNAME user.a.x)\n(scripts)\n");
    session.capabilities = 0;
    moved_on = true;
    sends("");
    moved_on = false;
    list.e[1].flags = MB_REMOTE; /* it is on another server */
    sends("APPLY UNSUB %(USERID a MBOXNAME user.a.x)\n");
    no_error();
}

static void what_no_record_says_takes_no_copies_of_the_deleted_tree(void **state)
{
    struct slice name = slice_str("user.a.x");
    (void)state;
    unuser();
    item.keep_copies = true;
    unit.replica.mailboxes.n = 0;
    unit.replica.subscriptions = (struct subscription_list){ &name, 1 };
    subscribed[subscriptions.n++] = slice_str("user.a.y"); /* nothing is added */
    sends("APPLY UNUSER a\n");
    session.capabilities = CAP_BEFORE_3_6;
    sends("APPLY UNSUB %(USERID a MBOXNAME user.a.x)\n(scripts)\n");
    unreadable = "subscriptions";
    sends("(scripts)\n");
    fails_with(ERR_CORRUPT, "subscriptions");
}

static void a_user_who_is_here_again_is_not_deleted(void **state)
{
    (void)state;
    unuser();
    list_add("user.a", "new", 0);
    sends("");
    fails_with(ERR_BUSY, "made again");
    list.e[0].flags = MB_REMOTE; /* on another server, he is a user all the same */
    err_free(unit.err);
    unit.err = NULL;
    sends("");
    fails_with(ERR_BUSY, "made again");
}

static void a_user_whose_folder_has_another_name_here_is_not_deleted(void **state)
{
    (void)state;
    unuser();
    list_add("user.b.x", "idx", 0);
    sends("");
    fails_with(ERR_MOVED, "user.a.x is user.b.x here");
}

static void a_user_is_not_deleted_after_a_list_that_cannot_be_read(void **state)
{
    (void)state;
    unuser();
    list_add("user.a", "ida", MB_DELETED);
    list.damaged = "user.a";
    sends("");
    fails_with(ERR_CORRUPT, "user.a");
    err_free(unit.err);
    unit.err = NULL;
    list_clear();
    list_add("user.b.x", "idx", MB_DELETED);
    list.damaged = "user.b.x";
    sends("");
    fails_with(ERR_CORRUPT, "user.b.x");
}

static void nobody_is_deleted_without_a_name(void **state)
{
    (void)state;
    unuser();
    item.userid = slice_of("", 0);
    sends("");
    no_error();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_limit_that_differs_is_sent_once),
        TEST(every_limit_has_its_names_and_its_bounds),
        TEST(an_equal_limit_is_not_sent_but_for_its_own_record),
        TEST(a_root_there_goes_only_if_the_masters_list_has_none_of_the_name),
        TEST(roots_of_mailboxes_that_went_are_looked_at_once),
        TEST(a_mailbox_that_is_new_there_gets_no_old_root),
        TEST(quotas_that_cannot_be_read_change_nothing),
        TEST(subscriptions_become_the_masters),
        TEST(seen_states_that_differ_are_sent_and_none_is_unset),
        TEST(without_an_identity_nothing_of_the_user_is_changed),
        TEST(settings_alone_bring_no_quotas),
        TEST(a_refusal_fails_the_unit_but_not_of_what_is_gone_or_a_users_seen_state),
        TEST(the_record_of_a_seen_state_fails_with_its_refusal),
        TEST(a_subscription_is_sent_as_it_is_here),
        TEST(a_seen_state_that_is_not_here_is_left_alone),
        TEST(the_servers_annotations_become_the_masters),
        TEST(what_is_one_object_asks_what_it_needs),
        TEST(a_user_without_an_inbox_here_is_deleted_there),
        TEST(settings_of_the_user_who_has_the_inbox_now_are_not_deleted),
        TEST(a_folder_that_is_still_here_stays_there),
        TEST(what_no_record_says_takes_no_copies_of_the_deleted_tree),
        TEST(a_user_who_is_here_again_is_not_deleted),
        TEST(a_user_whose_folder_has_another_name_here_is_not_deleted),
        TEST(a_user_is_not_deleted_after_a_list_that_cannot_be_read),
        TEST(nobody_is_deleted_without_a_name),
    };
    return cmocka_run_group_tests_name("sync: meta", tests, NULL, NULL);
}
