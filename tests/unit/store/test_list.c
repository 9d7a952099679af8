/*
 * Tests of the open store: the mailbox list in its two forms, and a user's files
 * (fansync/store.h, src/store/store_internal.h). The databases are flat where their form
 * does not matter.
 */
#include "scratch.h"
#include "store/store_internal.h"

static struct arena arena;
static struct config *config;
static struct store *store;

static int close_store(void **state)
{
    (void)state;
    store_free(store);
    config_free(config);
    arena_free(&arena);
    store = NULL;
    config = NULL;
    return 0;
}

/* Writes the configuration and opens the store. */
static struct err *open_with(const char *more)
{
    char text[1024];
    snprintf(text, sizeof text,
             "configdirectory: %s\npartition-default: %s/p\nmboxlist_db: flat\nservername: here\n%s", scratch,
             scratch, more);
    assert_ok(config_load(scratch_write_text("imapd.conf", text), "sync_client", &config));
    return store_open(config, &store);
}

/* "." for 0x1F in what is written, so that tests can be read; "!" for 0x1D, "~" for 0x1E. */
static const char *coded(const char *text)
{
    static char out[8192];
    size_t n = strlen(text);
    assert_true(n < sizeof out);
    for (size_t i = 0; i <= n; i++)
        out[i] = text[i] == '.' ? '\x1f' : text[i] == '!' ? '\x1d' : text[i] == '~' ? '\x1e' : text[i];
    return out;
}

#define NEW_LIST                                                                                       \
    "AS~\t\n"                                                                                          \
    "Iid-alice\t%(T e N user.alice P default V 9 C 1 F 2 M 3 A %() H ())\n"                            \
    "NDELETED.user.alice.gone.6B0432BC\t%(T e I id-gone P default V 1 C 4 F 9 M 3 A %(alice lrs))\n"   \
    "Ndom!user.fred\t%(T el I id-fred P default V 1 C 4 F 9 M 3 A %())\n"                              \
    "Nuser.alice\t%(T e I id-alice P default V 9 C 1 F 2 M 3 A %(alice lrsw \"my team\" l -bob d))\n"  \
    "Nuser.alice.Work\t%(T c I id-work P default V 10 C 11 F 12 M 3 A %())\n"                          \
    "Nuser.alice.gone\t%(T ed I id-gone V 1 C 4 F 9 M 3)\n"                                            \
    "Nuser.alice2\t%(T eil I id-two C 4 F 9 M 3 A %())\n"                                              \
    "Nuser.far\t%(T e I id-far S there P default V 1 C 4 F 9 M 3 A %())\n"                             \
    "UGalice~group:a\t\nUGalice~group:b\t\nUGgroup:a~alice\t\n"

static void assert_user(const char *userid, const char *want)
{
    struct mbentry_list list = { NULL, 0, 0 };
    struct buf b = BUF_INIT;
    struct err *damaged;
    assert_ok(store_user_mailboxes(store, &arena, slice_str(userid), &list, &damaged));
    assert_null(damaged);
    for (size_t i = 0; i < list.n; i++)
        buf_printf(&b, SLICE_FMT ";", SLICE_ARG(list.e[i].name));
    assert_string_equal(buf_cstr(&b), want);
    buf_free(&b);
}

/* To be put back. */
static struct mblist *list(void)
{
    struct mblist *l = NULL;
    assert_ok(store_list_get(store, &l));
    return l;
}

static struct mbentry lookup(const char *name)
{
    struct mbentry e;
    bool found;
    assert_ok(store_lookup(store, &arena, slice_str(name), &e, &found));
    if (!found)
        fail_msg("%s: not found", name);
    return e;
}

static void the_new_list_is_read(void **state)
{
    (void)state;
    scratch_write_text("mailboxes.db", coded(NEW_LIST));
    assert_ok(open_with(""));
    assert_user("alice", "user.alice;user.alice.Work;user.alice.gone;DELETED.user.alice.gone.6B0432BC;");
    assert_user("fred@dom", "");
    assert_user("nobody", "");
    struct mbentry e = lookup("user.alice");
    assert_slice(e.uniqueid, "id-alice");
    assert_slice(e.partition, "default");
    assert_slice(e.acl, "alice\tlrsw\tmy team\tl\t-bob\td\t");
    assert_int_equal(e.uidvalidity, 9);
    assert_int_equal(e.createdmodseq, 1);
    assert_int_equal(e.foldermodseq, 2);
    assert_int_equal(e.flags, 0);
    assert_int_equal(e.kind, 'e');
    assert_int_equal(lookup("user.alice.Work").kind, 'c');
    assert_int_equal(lookup("user.alice.gone").flags, MB_DELETED);
    assert_int_equal(lookup("user.alice2").flags, MB_INTERMEDIATE | MB_LEGACY);
    assert_int_equal(lookup("user.far").flags, MB_REMOTE);
    bool found;
    assert_ok(store_lookup(store, &arena, slice_str("user.ali"), &e, &found));
    assert_false(found);
    struct mblist *l = list();
    assert_false(l->old_form);
    store_list_put(store, l);
}

static void an_id_that_nobody_can_have_gets_nothing_of_others(void **state)
{
    static const char *const IDS[] = { "", "al^ice", "x!user.alice", "a/b", "..!x" };
    struct mbentry_list list = { NULL, 0, 0 };
    struct subscription_list subs;
    struct seen_list seen;
    struct err *damaged;
    (void)state;
    scratch_write_text("mailboxes.db", coded(NEW_LIST));
    assert_ok(open_with(""));
    for (size_t i = 0; i < sizeof IDS / sizeof *IDS; i++) {
        assert_err(store_user_mailboxes(store, &arena, slice_str(IDS[i]), &list, &damaged), ERR_INVALID_USER, "is no user");
        assert_err(store_subscriptions(store, &arena, slice_str(IDS[i]), &subs), ERR_INVALID_USER, "is no user");
        assert_err(store_seen(store, &arena, slice_str(IDS[i]), &seen), ERR_INVALID_USER, "is no user");
    }
}

static void domains_are_found_where_there_are_any(void **state)
{
    (void)state;
    scratch_write_text("mailboxes.db", coded(NEW_LIST));
    assert_ok(open_with("virtdomains: userid\n"));
    assert_user("fred@dom", "dom!user.fred;");
    assert_user("fred", "");
}

static void all_mailboxes_can_be_limited_to_a_prefix(void **state)
{
    struct mbentry_list list = { NULL, 0, 0 };
    (void)state;
    scratch_write_text("mailboxes.db", coded(NEW_LIST));
    assert_ok(open_with(""));
    assert_ok(store_all_mailboxes(store, &arena, slice_str("user.alice."), &list));
    assert_int_equal(list.n, 2);
    list.n = 0;
    assert_ok(store_all_mailboxes(store, &arena, slice_str(""), &list));
    assert_int_equal(list.n, 7);
}

#define OLD_LIST                                                                                 \
    "$RACL\t\n$RACL$U$bob$user.alice\t\n"                                                        \
    "user.alice\t%(A %(alice lrs) I id-alice P default V 9 C 1 F 2 M 3)\n"                       \
    "user.alice.a.b\t%(A %(alice lrs) I id-ab P default T c V 9 C 1 F 2 M 3)\n"                  \
    "user.alice.a b\t%(A %(alice lrs) I id-a P default V 9 C 1 F 2 M 3)\n"                       \
    "user.dot^ted\t%(A %() I id-dot P default V 9 C 1 F 2 M 3)\n"

static void the_old_list_is_read_and_everything_in_it_is_by_name(void **state)
{
    (void)state;
    scratch_write_text("mailboxes.db", OLD_LIST);
    assert_ok(open_with(""));
    struct mblist *l = list();
    assert_true(l->old_form);
    store_list_put(store, l);
    assert_user("alice", "user.alice;user.alice.a.b;user.alice.a b;");
    assert_user("dot.ted", "user.dot^ted;");
    assert_int_equal(lookup("user.alice.a.b").flags, MB_LEGACY);
    assert_int_equal(lookup("user.alice.a.b").kind, 'c');
    assert_slice(lookup("user.alice.a b").acl, "alice\tlrs\t");
}

/* Both forms: the old name of a renamed mailbox is a tombstone of the same uniqueid. */
static void a_uniqueid_is_the_mailboxs_that_lives_whatever_tombstones_have_it(void **state)
{
    struct mbentry e;
    bool found;
    (void)state;
    scratch_write_text("mailboxes.db", "user.a\t%(I inbox P default)\nuser.a.new\t%(I id P default)\n"
                                       "user.a.old\t%(I id T ed)\nuser.a.x\t%(I dead T ed)\nuser.a.zz\t%(I id T ed)\n");
    assert_ok(open_with(""));
    assert_ok(store_lookup_id(store, &arena, slice_str("id"), &e, &found));
    assert_true(found && mbentry_is_live(&e));
    assert_slice(e.name, "user.a.new");
    assert_ok(store_lookup_id(store, &arena, slice_str("dead"), &e, &found));
    assert_true(found && mbentry_is_gone(&e));
    close_store(NULL);
    scratch_write_text("mailboxes.db", "user.a\t%(I inbox P default)\nuser.a.old\t%(I id T ed)\nuser.a.zz\t%(I id P default)\n");
    assert_ok(open_with(""));
    assert_ok(store_lookup_id(store, &arena, slice_str("id"), &e, &found));
    assert_slice(e.name, "user.a.zz");
}

static void a_malformed_acl_is_an_error_that_names_the_entry(void **state)
{
    struct mbentry e;
    bool found;
    (void)state;
    scratch_write_text("mailboxes.db", "user.a\t%(A %(alice (lrs) joe lr) I id P default)\n");
    assert_ok(open_with(""));
    assert_err(store_lookup(store, &arena, slice_str("user.a"), &e, &found), ERR_CORRUPT, "malformed ACL");
}

static void a_uniqueid_whose_name_is_nobodys_any_more_is_not_found(void **state)
{
    struct mbentry e;
    bool found;
    (void)state;
    scratch_write_text("mailboxes.db",
                       "Nuser\x1f" "a\t%(T e I other P default)\nNuser\x1f" "b\t%(T e I id P default)\n"
                       "Iexpired\t%(T e N DELETED\x1fuser\x1f" "a\x1f" "6B069EF9 P default)\n"
                       "Ireplaced\t%(T e N user\x1f" "a P default)\nIid\t%(T e N user\x1f" "b P default)\n"
                       "Idead\t%(T ed N user\x1f" "c)\n");
    assert_ok(open_with(""));
    assert_ok(store_lookup_id(store, &arena, slice_str("expired"), &e, &found));
    assert_false(found);
    assert_ok(store_lookup_id(store, &arena, slice_str("replaced"), &e, &found));
    assert_false(found);
    assert_ok(store_lookup_id(store, &arena, slice_str("id"), &e, &found));
    assert_true(found && mbentry_is_live(&e));
    assert_ok(store_lookup_id(store, &arena, slice_str("dead"), &e, &found));
    assert_true(found && mbentry_is_gone(&e));
}

static void former_names_are_known(void **state)
{
    bool renamed;
    (void)state;
    scratch_write_text("mailboxes.db", coded("Iid-a\t%(N user.a T e H ())\nIid-b\t%(N user.b T e H (%(N user.c T ed)))\n"
                                             "Nuser.a\t%(T e I id-a)\nNuser.b\t%(T e I id-b)\n"));
    assert_ok(open_with(""));
    assert_ok(store_was_renamed(store, slice_str("id-b"), &renamed));
    assert_true(renamed);
    assert_ok(store_was_renamed(store, slice_str("id-a"), &renamed));
    assert_false(renamed);
    assert_ok(store_was_renamed(store, slice_str("nobody"), &renamed));
    assert_false(renamed);
}

/* The present names, each with a blank. */
static void now_called(const char *name, const char *want)
{
    struct name_list now;
    struct buf got = BUF_INIT;
    assert_ok(store_present_names(store, &arena, slice_str(name), &now));
    for (size_t i = 0; i < now.n; i++)
        buf_printf(&got, SLICE_FMT " ", SLICE_ARG(now.name[i]));
    assert_string_equal(buf_cstr(&got), want);
    buf_free(&got);
}

static void what_had_a_name_is_found_by_its_history(void **state)
{
    (void)state;
    scratch_write_text("mailboxes.db", coded("Iid-b\t%(N user.b T e H (%(N user.c T ed)))\n"
                                             "Iid-d\t%(N user.d T e H (%(N user.c T ed) %(N user.d T ed)))\n"
                                             "Iid-x\t%(N user.x T ed H (%(N user.d T ed)))\n"
                                             "Iid-y\t%(N DELETED.user.e.6B06AD59 T e H (%(N user.e T ed)))\n"
                                             "Iid-z\t%(N user.z T e H damaged\nNuser.b\t%(T e I id-b)\n"));
    assert_ok(open_with(""));
    now_called("user.c", "user.b user.d ");
    now_called("user.b", "");
    now_called("user.d", ""); /* it lives under that name, or is deleted */
    now_called("user", "");
    now_called("user.e", ""); /* a copy in the deleted tree */
    now_called("user.z", "");
}

static void what_had_a_name_is_found_by_its_tombstone(void **state)
{
    (void)state;
    scratch_write_text("mailboxes.db", "DELETED.user.e.6B06AD59\t%(I ide P default)\nuser.a\t%(I ida T ed)\nuser.b\t%(I ida P default)\n"
                                       "user.c\t%(I idc T ed)\nuser.d\t%(T ed)\nuser.e\t%(I ide T ed)\nuser.f\t%(\n");
    assert_ok(open_with(""));
    now_called("user.a", "user.b ");
    now_called("user.b", "");
    now_called("user.c", "");
    now_called("user.d", "");
    now_called("user.e", "");
    now_called("user.f", "");
}

static void what_had_a_name_before_an_upgrade_is_found_too(void **state)
{
    (void)state;
    scratch_write_text("mailboxes.db", coded("Iid-a\t%(N user.b T e H (%(N user.a T ed)))\nIid-c\t%(N user.c T e)\n"
                                             "Nuser.a\t%(T ed I id-a)\nNuser.b\t%(T e I id-a)\n"
                                             "Nuser.c\t%(T e I id-c)\nNuser.old\t%(T ed I id-c)\n"));
    assert_ok(open_with(""));
    now_called("user.a", "user.b "); /* once, though both tell it */
    now_called("user.old", "user.c "); /* renamed before an upgrade to 3.6 */
}

static void former_names_are_those_of_tombstones_and_of_the_history(void **state)
{
    struct slice ids[] = { slice_str("id-a"), slice_str("id-b"), slice_str("id-h"), slice_str("nobody") };
    struct name_list names;
    (void)state;
    scratch_write_text("mailboxes.db", coded("Iid-a\t%(N user.a T e)\nIid-b\t%(N user.b T e H (%(N user.old T ed) %(N user.oldest T ed)))\n"
                                             "Iid-c\t%(N user.c T e H (%(N user.z T ed)))\nIid-h\t%(N user.h T e H (%(T e) damaged\n"
                                             "Ndamaged\t%(\n"
                                             "Nuser.a\t%(T e I id-a)\nNuser.b\t%(T e I id-b)\nNuser.c\t%(T ed I id-c)\n"
                                             "Nuser.old\t%(T ed I id-b)\nNuser.older\t%(T ed I id-b)\nNuser.x\t%(T ed)\n"));
    assert_ok(open_with(""));
    assert_ok(store_former_names(store, &arena, ids, 4, &names));
    assert_int_equal(names.n, 3);
    assert_true(slice_eqs(names.name[0], "user.old"));
    assert_true(slice_eqs(names.name[1], "user.older"));
    assert_true(slice_eqs(names.name[2], "user.oldest"));
}

/* One question, asked everywhere in the same words. */
static void what_is_remote_moving_or_reserved_is_neither_live_nor_gone(void **state)
{
    static const struct { unsigned flags; bool live, gone; } KINDS[] = {
        { 0, true, false },           { MB_LEGACY, true, false },        { MB_DELETED, false, true },
        { MB_INTERMEDIATE, false, true }, { MB_REMOTE, false, false },   { MB_MOVING, false, false },
        { MB_RESERVED, false, false }, { MB_MOVING | MB_REMOTE, false, false },
    };
    (void)state;
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) {
        struct mbentry e = { .flags = KINDS[i].flags };
        assert_int_equal(mbentry_is_live(&e), KINDS[i].live);
        assert_int_equal(mbentry_is_gone(&e), KINDS[i].gone);
    }
}

static void a_changed_list_is_noticed(void **state)
{
    struct mbentry_list list = { NULL, 0, 0 };
    struct mblist *first, *again, *changed;
    (void)state;
    scratch_write_text("mailboxes.db", coded("Iid\t%(N user.a T e)\nNuser.a\t%(T e I id)\n"));
    assert_ok(open_with(""));
    assert_user("a", "user.a;");
    assert_ok(store_list_get(store, &first));
    assert_ok(store_list_get(store, &again));
    assert_ptr_equal(first, again);
    scratch_write_text("mailboxes.db", coded("Iid\t%(N user.b T e)\nNuser.b\t%(T e I id)\n"));
    assert_ok(store_list_get(store, &changed));
    assert_ptr_not_equal(first, changed);
    assert_user("a", "");
    assert_user("b", "user.b;");
    assert_int_equal(first->names.n, 1); /* still readable for those who have it */
    store_list_put(store, first);
    store_list_put(store, again);
    store_list_put(store, changed);
    assert_ok(store_all_mailboxes(store, &arena, slice_str(""), &list));
    assert_int_equal(list.n, 1);
}

static void an_entry_that_cannot_be_read_is_left_out_and_told(void **state)
{
    static const char *const BAD[] = {
        "%(T e?d I x)",  "%(T e V 99999999999 I x)", "%(T e C -1 I x)", "%(T e A (a b) I x)",
        "0 default a\trs", "%(T e I x",              "",
    };
    char text[512];
    (void)state;
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        struct mbentry_list list = { NULL, 0, 0 };
        struct mbentry e;
        bool found;
        snprintf(text, sizeof text, "Iid\t%%(N user.a T e)\nNuser.a\t%%(T e I id)\nNuser.b\t%s\n"
                 "Nuser.b.c\t%%(T e I id-c)\n", BAD[i]);
        scratch_write_text("mailboxes.db", coded(text));
        assert_ok(open_with(""));
        assert_user("a", "user.a;");
        struct err *damaged;
        assert_ok(store_user_mailboxes(store, &arena, slice_str("b"), &list, &damaged));
        assert_true(damaged && (damaged->kind == ERR_CORRUPT || damaged->kind == ERR_NOTSUPPORTED));
        assert_non_null(strstr(damaged->msg, "b"));
        err_free(damaged);
        assert_int_equal(list.n, 1);
        assert_slice(list.e[0].name, "user.b.c");
        struct err *err = store_lookup(store, &arena, slice_str("user.b"), &e, &found);
        assert_non_null(err);
        err_free(err);
        list.n = 0;
        assert_ok(store_all_mailboxes(store, &arena, slice_str(""), &list));
        assert_int_equal(list.n, 2);
        close_store(NULL);
    }
}

static void a_missing_or_empty_list_is_an_error(void **state)
{
    (void)state;
    unlink(scratch_path("mailboxes.db"));
    assert_err(open_with(""), ERR_NONEXISTENT, "mailboxes.db");
    close_store(NULL);
    scratch_write_text("mailboxes.db", "");
    assert_err(open_with(""), ERR_CORRUPT, "mailboxes.db");
}

static void the_wires_type_has_no_l_and_is_empty_for_mail(void **state)
{
    (void)state;
    assert_slice(mbentry_wire_type(&arena, &(struct mbentry){ .kind = 'e', .flags = MB_LEGACY }), "");
    assert_slice(mbentry_wire_type(&arena, &(struct mbentry){ .kind = 'c' }), "c");
    assert_slice(mbentry_wire_type(&arena, &(struct mbentry){ .kind = 'e', .flags = MB_DELETED }), "ed");
}

/* ---- a user's files ---- */

static void usergroups_are_those_of_the_owner(void **state)
{
    (void)state;
    scratch_write_text("mailboxes.db", coded(NEW_LIST));
    assert_ok(open_with(""));
    struct mblist *l = list();
    assert_slice(store_list_usergroups(l, &arena, slice_str("alice")), "group:a\tgroup:b");
    assert_slice(store_list_usergroups(l, &arena, slice_str("alice2")), "");
    assert_slice(store_list_usergroups(l, &arena, slice_str("")), "");
    store_list_put(store, l);
}

static void assert_subs(const char *userid, const char *want)
{
    struct subscription_list list;
    struct buf b = BUF_INIT;
    assert_ok(store_subscriptions(store, &arena, slice_str(userid), &list));
    for (size_t i = 0; i < list.n; i++)
        buf_printf(&b, SLICE_FMT ";", SLICE_ARG(list.name[i]));
    assert_string_equal(buf_cstr(&b), want);
    buf_free(&b);
}

static void subscriptions_of_all_versions_are_internal_names(void **state)
{
    (void)state;
    scratch_write_text("mailboxes.db", coded(NEW_LIST));
    assert_ok(open_with(""));
    assert_subs("alice", "");
    scratch_write_text("user/uuid/i/d/id-alice/sub.db",
                       coded(".VER.\t2\nNINBOX\t\nNINBOX.Drafts\t\nNINBOX2.x\t\nNshared\t\nNuser.bob\t\n"));
    assert_subs("alice", "user.alice;user.alice.Drafts;user.alice2.x;shared;user.bob;");
    scratch_write_text("user/a/alice2.sub", "user.alice.Work\t\nuser.alice2\t\n"); /* legacy, version 0 */
    assert_subs("alice2", "user.alice.Work;user.alice2;");
    scratch_write_text("user/a/alice2.sub", coded(".VER.\t4\nNINBOX\t\n"));
    struct subscription_list list;
    assert_err(store_subscriptions(store, &arena, slice_str("alice2"), &list), ERR_NOTSUPPORTED, "alice2");
}

static void seen_rows_are_split_and_malformed_ones_left_out(void **state)
{
    struct seen_list list;
    (void)state;
    scratch_write_text("mailboxes.db", coded(NEW_LIST));
    assert_ok(open_with("seenstate_db: flat\n"));
    scratch_write_text("user/uuid/i/d/id-alice/seen.db",
                       "id1\t1 1795437971 5 1795437972 1:2,5\nid2\t1 7 4294967295 8 \nid3\t1 7 4294967296 8 1\n"
                       "id4\t2 7 1 8 1\nid5\t1 7 1\nid6\t1 7 1 8\n");
    assert_ok(store_seen(store, &arena, slice_str("alice"), &list));
    assert_int_equal(list.n, 3);
    assert_slice(list.row[0].uniqueid, "id1");
    assert_int_equal(list.row[0].lastread, 1795437971);
    assert_int_equal(list.row[0].lastuid, 5);
    assert_int_equal(list.row[0].lastchange, 1795437972);
    assert_slice(list.row[0].uids, "1:2,5");
    assert_int_equal(list.row[1].lastuid, 4294967295);
    assert_slice(list.row[1].uids, "");
    assert_slice(list.row[2].uids, "");
}

static void assert_quota(const char *content, int64_t storage, int64_t message, int64_t folders, uint64_t modseq)
{
    struct quota q;
    bool found;
    scratch_write_text("quota/a/user.alice", content);
    assert_ok(store_quota(store, &arena, slice_str("user.alice"), &q, &found));
    assert_true(found);
    assert_int_equal(q.limit[QUOTA_STORAGE], storage);
    assert_int_equal(q.limit[QUOTA_MESSAGE], message);
    assert_int_equal(q.limit[QUOTA_FOLDERS], folders);
    assert_int_equal(q.limit[QUOTA_ANNOTATION], QUOTA_UNLIMITED);
    assert_int_equal(q.modseq, modseq);
}

static void quotas_are_read_in_every_form(void **state)
{
    struct quota q;
    bool found;
    (void)state;
    scratch_write_text("mailboxes.db", coded(NEW_LIST));
    assert_ok(open_with(""));
    assert_ok(store_quota(store, &arena, slice_str("user.alice"), &q, &found));
    assert_false(found);
    assert_quota("%(S (2751 100000) M (24 5000) AS (59) NF (12) MODSEQ 46)\n", 100000, 5000, -1, 46);
    assert_quota("%(S (2751) NF (12 7) SCAN %(S (1)))\n", -1, -1, 7, 0);
    assert_quota("2751\n100\n", 100, -1, -1, 0);
    assert_quota("2751 100 M 3 50 NF 4 9\n", 100, 50, 9, 0);
    assert_quota("2751 -1\n", -1, -1, -1, 0);
    static const char *const BAD[] = { "%(S (1 2)", "%(S (1 2))", "\n", "x\n", "1\n", "%(S (1 x))\n", "%(S 1)\n" };
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        scratch_write_text("quota/a/user.alice", BAD[i]);
        assert_err(store_quota(store, &arena, slice_str("user.alice"), &q, &found), ERR_CORRUPT, "user.alice");
    }
    assert_err(store_quota(store, &arena, slice_str("user.a/../x"), &q, &found), ERR_CORRUPT, "path");
}

static void put(char *p, uint64_t v, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--, v >>= 8)
        p[i] = (char)(v & 0xff);
}

/* A counters file of a version. */
static void write_counters(uint32_t version, size_t length, uint64_t racl)
{
    char b[296] = { 0 };
    put(b + 4, version, 4);
    if (length > 96)
        put(b + 88, racl, 8);
    put(b + length - 4, crc32_add(0, b, length - 4), 4);
    scratch_write("user/uuid/i/d/id-alice/counters.db", b, length);
}

static void raclmodseq_comes_from_the_counters_of_an_inbox(void **state)
{
    uint64_t v = 1;
    (void)state;
    scratch_write_text("mailboxes.db", coded(NEW_LIST));
    assert_ok(open_with("conversations: yes\n"));
    struct mbentry inbox = lookup("user.alice"), other = lookup("user.alice.Work");
    assert_ok(store_raclmodseq(store, &inbox, &v));
    assert_int_equal(v, 0);
    write_counters(9, 296, 77);
    assert_ok(store_raclmodseq(store, &inbox, &v));
    assert_int_equal(v, 77);
    assert_ok(store_raclmodseq(store, &other, &v));
    assert_int_equal(v, 0);
    write_counters(5, 120, 78);
    assert_ok(store_raclmodseq(store, &inbox, &v));
    assert_int_equal(v, 78);
    write_counters(3, 88, 0);
    assert_ok(store_raclmodseq(store, &inbox, &v));
    assert_int_equal(v, 0);
    write_counters(9, 120, 1);
    assert_err(store_raclmodseq(store, &inbox, &v), ERR_CORRUPT, "counters.db");
    write_counters(10, 296, 1);
    assert_err(store_raclmodseq(store, &inbox, &v), ERR_NOTSUPPORTED, "version 10");
    scratch_write_text("user/uuid/i/d/id-alice/counters.db", "short");
    assert_err(store_raclmodseq(store, &inbox, &v), ERR_CORRUPT, "cut off");
}

static void xconvmodseq_is_looked_up_by_id_or_in_old_databases_by_name(void **state)
{
    static const char *const PATH = "user/uuid/i/d/id-alice/conversations.db";
    uint64_t v;
    (void)state;
    scratch_write_text("mailboxes.db", coded(NEW_LIST));
    assert_ok(open_with("conversations: yes\nconversations_db: flat\n"));
    struct mbentry inbox = lookup("user.alice"), deleted = lookup("DELETED.user.alice.gone.6B0432BC");
    assert_ok(store_xconvmodseq(store, &inbox, &v));
    assert_int_equal(v, 0);
    scratch_write_text(PATH, "$FOLDER_IDS\t(id-alice)\nFid-alice\t0 (123 4 0 4 0)\nFid-gone\t0 (9 1 1 1 1)\n");
    assert_ok(store_xconvmodseq(store, &inbox, &v));
    assert_int_equal(v, 123);
    assert_ok(store_xconvmodseq(store, &deleted, &v));
    assert_int_equal(v, 0);
    scratch_write_text(PATH, "$FOLDER_NAMES\t(user.alice)\nFuser.alice\t0 (45 4 0)\n");
    assert_ok(store_xconvmodseq(store, &inbox, &v));
    assert_int_equal(v, 45);
    scratch_write_text(PATH, "Fid-alice\t0 (x)\n");
    assert_err(store_xconvmodseq(store, &inbox, &v), ERR_CORRUPT, "Fid-alice");
    scratch_write_text(PATH, "Fid-alice\t0 (99999999999999999999 1)\n");
    assert_err(store_xconvmodseq(store, &inbox, &v), ERR_CORRUPT, "Fid-alice");
}

static void without_conversations_their_files_are_not_read(void **state)
{
    uint64_t v = 1;
    (void)state;
    scratch_write_text("mailboxes.db", coded(NEW_LIST));
    assert_ok(open_with("conversations_db: flat\n"));
    struct mbentry inbox = lookup("user.alice");
    scratch_write_text("user/uuid/i/d/id-alice/counters.db", "short");
    scratch_write_text("user/uuid/i/d/id-alice/conversations.db", "Fid-alice\t0 (5 1)\n");
    assert_ok(store_raclmodseq(store, &inbox, &v));
    assert_int_equal(v, 0);
    assert_ok(store_xconvmodseq(store, &inbox, &v));
    assert_int_equal(v, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_new_list_is_read, close_store),
        cmocka_unit_test_teardown(an_id_that_nobody_can_have_gets_nothing_of_others, close_store),
        cmocka_unit_test_teardown(domains_are_found_where_there_are_any, close_store),
        cmocka_unit_test_teardown(all_mailboxes_can_be_limited_to_a_prefix, close_store),
        cmocka_unit_test_teardown(the_old_list_is_read_and_everything_in_it_is_by_name, close_store),
        cmocka_unit_test_teardown(a_uniqueid_is_the_mailboxs_that_lives_whatever_tombstones_have_it, close_store),
        cmocka_unit_test_teardown(a_malformed_acl_is_an_error_that_names_the_entry, close_store),
        cmocka_unit_test_teardown(a_uniqueid_whose_name_is_nobodys_any_more_is_not_found, close_store),
        cmocka_unit_test_teardown(former_names_are_known, close_store),
        cmocka_unit_test_teardown(what_had_a_name_is_found_by_its_history, close_store),
        cmocka_unit_test_teardown(what_had_a_name_is_found_by_its_tombstone, close_store),
        cmocka_unit_test_teardown(what_had_a_name_before_an_upgrade_is_found_too, close_store),
        cmocka_unit_test_teardown(former_names_are_those_of_tombstones_and_of_the_history, close_store),
        cmocka_unit_test(what_is_remote_moving_or_reserved_is_neither_live_nor_gone),
        cmocka_unit_test_teardown(a_changed_list_is_noticed, close_store),
        cmocka_unit_test_teardown(an_entry_that_cannot_be_read_is_left_out_and_told, close_store),
        cmocka_unit_test_teardown(a_missing_or_empty_list_is_an_error, close_store),
        cmocka_unit_test_teardown(the_wires_type_has_no_l_and_is_empty_for_mail, close_store),
        cmocka_unit_test_teardown(usergroups_are_those_of_the_owner, close_store),
        cmocka_unit_test_teardown(subscriptions_of_all_versions_are_internal_names, close_store),
        cmocka_unit_test_teardown(seen_rows_are_split_and_malformed_ones_left_out, close_store),
        cmocka_unit_test_teardown(quotas_are_read_in_every_form, close_store),
        cmocka_unit_test_teardown(raclmodseq_comes_from_the_counters_of_an_inbox, close_store),
        cmocka_unit_test_teardown(xconvmodseq_is_looked_up_by_id_or_in_old_databases_by_name, close_store),
        cmocka_unit_test_teardown(without_conversations_their_files_are_not_read, close_store),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
