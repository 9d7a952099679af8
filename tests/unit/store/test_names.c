/* Tests of names (fansync/names.h) and of where things lie (src/store/paths.h). */
#include "scratch.h"
#include "fansync/names.h"
#include "store/paths.h"

static struct arena arena;

static int free_arena(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static struct namespace_options options(bool unixhierarchysep, bool virtdomains)
{
    return (struct namespace_options){ unixhierarchysep, virtdomains, slice_str("internal"),
                                       slice_str("DELETED") };
}

/* ---- names ---- */

static void the_three_spellings_are_one_name(void **state)
{
    static const struct {
        const char *internal, *db, *userid, *inbox;
    } NAMES[] = {
        { "user.alice", "user\x1f" "alice", "alice", "user.alice" },
        { "user.alice.Work.Deep", "user\x1f" "alice\x1fWork\x1f" "Deep", "alice", "user.alice" },
        { "user.dot^ted", "user\x1f" "dot.ted", "dot.ted", "user.dot^ted" },
        { "shared.dept^x", "shared\x1f" "dept.x", "", NULL },
        { "dom.test!user.fred", "dom.test\x1duser\x1f" "fred", "fred@dom.test", "dom.test!user.fred" },
        { "DELETED.user.alice.gone.6B0432BC", "DELETED\x1fuser\x1f" "alice\x1fgone\x1f" "6B0432BC", "alice",
          "user.alice" },
        { "dom.test!DELETED.user.f^x.6B0432BC", "dom.test\x1d" "DELETED\x1fuser\x1f" "f.x\x1f" "6B0432BC",
          "f.x@dom.test", "dom.test!user.f^x" },
        { "user", "user", "", NULL },
        { "shared", "shared", "", NULL },
        { "DELETED.shared.6B0432BC", "DELETED\x1fshared\x1f" "6B0432BC", "", NULL },
    };
    struct namespace_options o = options(true, true);
    (void)state;
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        struct mbname m = names_from_internal(&arena, &o, slice_str(NAMES[i].internal));
        assert_slice(names_to_db(&arena, &o, &m), NAMES[i].db);
        assert_slice(names_to_internal(&arena, &o, &m), NAMES[i].internal);
        assert_slice(names_userid(&arena, &m), NAMES[i].userid);
        m = names_from_db(&arena, &o, slice_str(NAMES[i].db));
        assert_slice(names_to_internal(&arena, &o, &m), NAMES[i].internal);
        assert_slice(names_userid_of_internal(&arena, &o, slice_str(NAMES[i].internal)), NAMES[i].userid);
        if (NAMES[i].inbox)
            assert_slice(names_inbox(&arena, &o, slice_str(NAMES[i].userid)), NAMES[i].inbox);
    }
}

static void the_parts_of_a_deleted_name_are_told_apart(void **state)
{
    struct namespace_options o = options(true, false);
    (void)state;
    struct mbname m = names_from_internal(&arena, &o, slice_str("DELETED.user.alice.a^b.c.6B0432BC"));
    assert_int_equal(m.deleted_time, 0x6B0432BC);
    assert_slice(m.localpart, "alice");
    assert_int_equal(m.nboxes, 2);
    assert_slice(m.boxes[0], "a.b");
    assert_slice(m.boxes[1], "c");
    m = names_from_internal(&arena, &o, slice_str("DELETED.6B0432BC"));
    assert_int_equal(m.deleted_time, 0);
    assert_int_equal(m.nboxes, 2);
}

static void what_is_no_name_of_cyrus_belongs_to_nobody_and_comes_back_unchanged(void **state)
{
    static const char *const NAMES[] = { "DELETED.user.alice.gone.later", "DELETED.user.alice.06B0432B",
                                         "DELETED.user.alice.6b0432bc", "DELETED.user.alice.6B0432BC0",
                                         "user..x", "user.", ".", "a..b" };
    struct namespace_options o = options(true, false);
    (void)state;
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        struct mbname m = names_from_internal(&arena, &o, slice_str(NAMES[i]));
        assert_slice(names_to_internal(&arena, &o, &m), NAMES[i]);
        assert_slice(names_userid(&arena, &m), "");
    }
}

static void the_default_domain_is_dropped(void **state)
{
    struct namespace_options o = options(true, true);
    (void)state;
    struct mbname m = names_from_internal(&arena, &o, slice_str("internal!user.fred"));
    assert_slice(names_to_internal(&arena, &o, &m), "user.fred");
    assert_slice(names_inbox(&arena, &o, slice_str("fred@internal")), "user.fred");
}

static void without_virtual_domains_an_at_sign_is_part_of_the_user(void **state)
{
    struct namespace_options o = options(true, false);
    (void)state;
    assert_slice(names_inbox(&arena, &o, slice_str("joe@dom.test")), "user.joe@dom^test");
}

static void an_administrators_spelling_is_understood(void **state)
{
    static const struct {
        bool unixhierarchysep, virtdomains;
        const char *external, *internal; /* NULL: refused */
    } NAMES[] = {
        { true, false, "user/fred", "user.fred" },
        { true, false, "user/j.doe/Work", "user.j^doe.Work" },
        { true, true, "user/j.doe@dom.test", "dom.test!user.j^doe" },
        { true, true, "user/fred/Work@internal", "user.fred.Work" },
        { true, false, "user/joe@dom.test", "user.joe@dom^test" },
        { true, false, "DELETED/user/fred/x/6B0432BC", "DELETED.user.fred.x.6B0432BC" },
        { true, false, "shared/dept.x", "shared.dept^x" },
        { false, false, "user.fred.Work", "user.fred.Work" },
        { true, false, "user.fred", NULL }, /* the other separator */
        { true, false, "", NULL },
        { true, false, "user//fred", NULL },
        { true, false, "user/fred/", "user.fred" }, /* as the stock client */
        { true, false, "user/fred//", NULL },
        { false, false, "user.j^doe", "user.j^doe" },
        { true, false, "/user/fred", NULL },
        { true, false, "user/fr^ed", NULL },
        { true, false, "user/fr!ed", NULL },
        { true, false, "user/*", NULL },
        { true, false, "user/fred\n", NULL },
        { false, false, "user.fr/ed", NULL },
    };
    (void)state;
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        struct namespace_options o = options(NAMES[i].unixhierarchysep, NAMES[i].virtdomains);
        struct slice internal;
        struct err *e = names_from_external(&arena, &o, slice_str(NAMES[i].external), &internal);
        if (NAMES[i].internal) {
            assert_ok(e);
            assert_slice(internal, NAMES[i].internal);
        } else {
            assert_err(e, ERR_CONFIG, NAMES[i].external);
        }
    }
}

/* ---- paths ---- */

struct setup {
    struct config *config;
    struct namespace_options names;
    struct paths paths;
};

static struct setup *with_conf(const char *more)
{
    static struct setup s;
    char text[1024];
    snprintf(text, sizeof text, "configdirectory: /c\npartition-default: /p\nsievedir: /s\nservername: here\n%s",
             more);
    assert_ok(config_load(scratch_write_text("imapd.conf", text), "sync_client", &s.config));
    names_options(s.config, &s.names);
    assert_ok(paths_init(&s.paths, s.config, &s.names));
    return &s;
}

static void drop(struct setup *s)
{
    paths_free(&s->paths);
    config_free(s->config);
}

#define FULL "fulldirhash: yes\n"
#define HASHED "hashimapspool: yes\n"

static void hash_letters_are_those_of_cyrus(void **state)
{
    static const struct {
        const char *name;
        char plain, full;
    } LETTERS[] = {
        { "alice", 'a', 'L' },    { "bob", 'b', 'E' },     { "fred", 'f', 'E' },
        { "user", 'u', 'C' },     { "shared", 's', 'T' },  { "dom.test", 'd', 'J' },
        { "dot^ted", 'd', 'K' },  { "dot.ted", 'd', 'A' }, { "*U*", 'q', 'D' },
        { "$GLOBAL", 'q', 'W' },  { "Alice", 'a', 0 },     { "1alice", 'q', 0 },
    };
    (void)state;
    for (int full = 0; full < 2; full++) {
        struct setup *s = with_conf(full ? FULL : "");
        for (size_t i = 0; i < sizeof LETTERS / sizeof *LETTERS; i++)
            if (!full || LETTERS[i].full)
                assert_int_equal(paths_hash(&s->paths, slice_str(LETTERS[i].name)),
                                 full ? LETTERS[i].full : LETTERS[i].plain);
        drop(s);
    }
}

static void lock_files_lie_where_cyrus_makes_them(void **state)
{
    static const char *const CONFS[] = { "", HASHED, HASHED FULL };
    static const struct {
        const char *name, *path[3];
    } LOCKS[] = {
        { "*U*alice", { "/*U*alice.lock", "/q/*U*alice.lock", "/U/*U*alice.lock" } },
        { "*U*fred@dom^test",
          { "/*U*fred@dom^test.lock", "/q/*U*fred@dom^test.lock", "/I/*U*fred@dom^test.lock" } },
        { "*U*user.alice", { "/*U*user/alice.lock", "/a/*U*user/alice.lock", "/L/*U*user/alice.lock" } },
        { "*U*dom.test!user.fred",
          { "/domain/*U*dom.test/user/fred.lock", "/domain/q/*U*dom.test/f/user/fred.lock",
            "/domain/F/*U*dom.test/E/user/fred.lock" } },
        { "*U*", { "/*U*.lock", "/q/*U*.lock", "/D/*U*.lock" } },
        { "user.alice.Work", { "/user/alice/Work.lock", "/a/user/alice/Work.lock", "/L/user/alice/Work.lock" } },
        { "$GLOBAL", { "/$GLOBAL.lock", "/q/$GLOBAL.lock", "/W/$GLOBAL.lock" } },
        { "1ebmks88nbj8j1dbd2jnfmiu",
          { "/1ebmks88nbj8j1dbd2jnfmiu.lock", "/q/1ebmks88nbj8j1dbd2jnfmiu.lock", NULL } },
        { "*S*127^0^0^1*alice", { "/*S*127^0^0^1*alice.lock", "/q/*S*127^0^0^1*alice.lock", NULL } },
        { "*S*/run/sock*alice", { "/*S*/run/sock*alice.lock", NULL, NULL } },
    };
    (void)state;
    for (size_t c = 0; c < 3; c++) {
        struct setup *s = with_conf(CONFS[c]);
        for (size_t i = 0; i < sizeof LOCKS / sizeof *LOCKS; i++) {
            const char *path = NULL;
            assert_ok(paths_lock_file(&s->paths, &arena, slice_str(LOCKS[i].name), &path));
            assert_memory_equal(path, "/c/lock", 7);
            if (LOCKS[i].path[c])
                assert_string_equal(path + 7, LOCKS[i].path[c]);
        }
        drop(s);
    }
}

static void a_lock_never_leaves_its_folder(void **state)
{
    static const char *const NAMES[] = { "..!user.x", ".!user.x", "a/../..!user.x" };
    const char *path;
    (void)state;
    struct setup *s = with_conf("");
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        assert_err(paths_lock_file(&s->paths, &arena, slice_str(NAMES[i]), &path), ERR_CORRUPT, "lock");
    assert_err(paths_lock_file(&s->paths, &arena, slice_of("a\0b", 3), &path), ERR_CORRUPT, "lock");
    /* Elsewhere dots are separators. */
    assert_ok(paths_lock_file(&s->paths, &arena, slice_str("*S*/../../x*alice"), &path));
    assert_string_equal(path, "/c/lock/*S*///////x*alice.lock");
    drop(s);
}

static struct mbentry entry(const char *name, const char *id, unsigned flags)
{
    return (struct mbentry){ .name = slice_str(name), .uniqueid = slice_str(id),
                             .partition = slice_str("default"), .kind = 'e', .flags = flags };
}

static void assert_message(const struct setup *s, const struct mbentry *e, uint32_t flags, const char *want)
{
    const char *path = NULL;
    assert_ok(paths_message(&s->paths, &arena, e, 7, flags, &path));
    assert_string_equal(path, want);
}

static void messages_lie_by_id_or_by_name(void **state)
{
    const struct mbentry by_id = entry("user.alice", "1ebmks88", 0);
    const struct mbentry by_name = entry("user.dot^ted.A^b", "1ebmks88", MB_LEGACY);
    const struct mbentry deleted = entry("dom.test!DELETED.user.fred.x.6B043593", "1ebmks88", MB_LEGACY);
    (void)state;
    struct setup *s = with_conf("");
    assert_message(s, &by_id, 0, "/p/uuid/1/e/1ebmks88/7.");
    assert_message(s, &by_name, 0, "/p/user/dot^ted/A^b/7.");
    assert_message(s, &deleted, 0, "/p/domain/dom.test/DELETED/user/fred/x/6B043593/7.");
    drop(s);
    s = with_conf(HASHED FULL);
    assert_message(s, &by_id, 0, "/p/uuid/1/e/1ebmks88/7.");
    assert_message(s, &by_name, 0, "/p/A/user/dot^ted/A^b/7."); /* the letter of "dot.ted" */
    assert_message(s, &deleted, 0, "/p/domain/J/dom.test/C/DELETED/user/fred/x/6B043593/7.");
    drop(s);
}

static void archived_messages_need_flag_option_and_partition(void **state)
{
    const struct mbentry e = entry("user.alice", "1ebmks88", 0);
    (void)state;
    struct setup *s = with_conf("archivepartition-default: /a\n");
    assert_message(s, &e, REC_ARCHIVED, "/p/uuid/1/e/1ebmks88/7.");
    drop(s);
    s = with_conf("archivepartition-default: /a\narchive_enabled: yes\n");
    assert_message(s, &e, REC_ARCHIVED, "/a/uuid/1/e/1ebmks88/7.");
    assert_message(s, &e, REC_SEEN, "/p/uuid/1/e/1ebmks88/7.");
    drop(s);
    s = with_conf("archive_enabled: yes\n");
    assert_message(s, &e, REC_ARCHIVED, "/p/uuid/1/e/1ebmks88/7.");
    drop(s);
}

static void metadata_files_have_roots_of_their_own(void **state)
{
    const struct mbentry e = entry("user.alice", "1ebmks88", 0);
    const char *path = NULL;
    (void)state;
    struct setup *s = with_conf("metapartition-default: /m\nmetapartition_files: header index\n"
                                "metadir-index-default: /i\n");
    assert_ok(paths_mailbox_file(&s->paths, &arena, &e, FILE_HEADER, &path));
    assert_string_equal(path, "/m/uuid/1/e/1ebmks88/cyrus.header");
    assert_ok(paths_mailbox_file(&s->paths, &arena, &e, FILE_INDEX, &path));
    assert_string_equal(path, "/i/uuid/1/e/1ebmks88/cyrus.index");
    assert_ok(paths_mailbox_file(&s->paths, &arena, &e, FILE_ANNOTATIONS, &path));
    assert_string_equal(path, "/i/uuid/1/e/1ebmks88/cyrus.annotations");
    drop(s);
    s = with_conf("metapartition-default: /m\nmetapartition_files: header\n");
    assert_ok(paths_mailbox_file(&s->paths, &arena, &e, FILE_ANNOTATIONS, &path));
    assert_string_equal(path, "/p/uuid/1/e/1ebmks88/cyrus.annotations");
    drop(s);
}

static void hostile_names_and_ids_become_no_paths(void **state)
{
    static const char *const NAMES[] = { "user...", "user.a/b", "../etc", "", "user.", "a/../b!x" };
    static const char *const IDS[] = { "", "a", "../../x", "a.b", "ab/c" };
    const char *path = NULL;
    (void)state;
    struct setup *s = with_conf("");
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        struct mbentry e = entry(NAMES[i], "1ebmks88", MB_LEGACY);
        assert_err(paths_message(&s->paths, &arena, &e, 1, 0, &path), ERR_CORRUPT, "");
    }
    for (size_t i = 0; i < sizeof IDS / sizeof *IDS; i++) {
        struct mbentry e = entry("user.alice", IDS[i], 0);
        assert_err(paths_message(&s->paths, &arena, &e, 1, 0, &path), ERR_CORRUPT, "uniqueid");
    }
    struct mbentry e = entry("user.alice", "1ebmks88", 0);
    e.partition = slice_str("other");
    assert_err(paths_message(&s->paths, &arena, &e, 1, 0, &path), ERR_CONFIG, "partition-other");
    const struct user_home climber = { .localpart = slice_str("..") };
    assert_err(paths_user_file(&s->paths, &arena, &climber, "sub", &path), ERR_CORRUPT, "..");
    drop(s);
}

static void a_users_files_lie_by_the_id_of_his_inbox_or_by_his_name(void **state)
{
    const struct user_home by_id = { .localpart = slice_str("dot.ted"), .uniqueid = slice_str("1ebmks88") };
    const struct user_home by_name = { .localpart = slice_str("dot.ted") };
    const struct user_home in_domain = { .domain = slice_str("dom.test"), .localpart = slice_str("fred") };
    const struct user_home shared = { .domain = slice_str("dom.test") };
    const char *path = NULL;
    (void)state;
    struct setup *s = with_conf("");
    assert_ok(paths_user_file(&s->paths, &arena, &by_id, "sub", &path));
    assert_string_equal(path, "/c/user/uuid/1/e/1ebmks88/sub.db");
    assert_ok(paths_user_file(&s->paths, &arena, &by_name, "sub", &path));
    assert_string_equal(path, "/c/user/d/dot.ted.sub");
    assert_ok(paths_user_file(&s->paths, &arena, &in_domain, "seen", &path));
    assert_string_equal(path, "/c/domain/d/dom.test/user/f/fred.seen");
    assert_ok(paths_user_file(&s->paths, &arena, &shared, "counters", &path));
    assert_string_equal(path, "/c/domain/d/dom.test/shared.counters");
    drop(s);
    s = with_conf(FULL "conversations_db_path: /v\n");
    assert_ok(paths_user_file(&s->paths, &arena, &by_name, "sub", &path));
    assert_string_equal(path, "/c/user/A/dot.ted.sub");
    assert_ok(paths_user_file(&s->paths, &arena, &in_domain, "conversations", &path));
    assert_string_equal(path, "/v/fred@dom.test.conversations");
    drop(s);
}

static void quota_files_are_spread_by_what_follows_the_first_dot(void **state)
{
    static const struct {
        const char *conf, *root, *path;
    } QUOTAS[] = {
        { "", "user.alice", "/c/quota/a/user.alice" },
        { "", "user.dot^ted", "/c/quota/d/user.dot^ted" },
        { FULL, "user.dot^ted", "/c/quota/K/user.dot^ted" },
        { "", "dom.test!user.fred", "/c/domain/d/dom.test/quota/f/user.fred" },
        { "", "shared", "/c/quota/s/shared" },
        { "quota_db_path: /q/x.db\n", "user.alice", "/q/quota/a/user.alice" },
    };
    const char *path = NULL;
    (void)state;
    for (size_t i = 0; i < sizeof QUOTAS / sizeof *QUOTAS; i++) {
        struct setup *s = with_conf(QUOTAS[i].conf);
        assert_ok(paths_quota_file(&s->paths, &arena, slice_str(QUOTAS[i].root), &path));
        assert_string_equal(path, QUOTAS[i].path);
        drop(s);
    }
    struct setup *s = with_conf("");
    assert_err(paths_quota_file(&s->paths, &arena, slice_str("user.x/../../y"), &path), ERR_CORRUPT, "path");
    drop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_three_spellings_are_one_name, free_arena),
        cmocka_unit_test_teardown(the_parts_of_a_deleted_name_are_told_apart, free_arena),
        cmocka_unit_test_teardown(what_is_no_name_of_cyrus_belongs_to_nobody_and_comes_back_unchanged, free_arena),
        cmocka_unit_test_teardown(the_default_domain_is_dropped, free_arena),
        cmocka_unit_test_teardown(without_virtual_domains_an_at_sign_is_part_of_the_user, free_arena),
        cmocka_unit_test_teardown(an_administrators_spelling_is_understood, free_arena),
        cmocka_unit_test_teardown(hash_letters_are_those_of_cyrus, free_arena),
        cmocka_unit_test_teardown(lock_files_lie_where_cyrus_makes_them, free_arena),
        cmocka_unit_test_teardown(a_lock_never_leaves_its_folder, free_arena),
        cmocka_unit_test_teardown(messages_lie_by_id_or_by_name, free_arena),
        cmocka_unit_test_teardown(archived_messages_need_flag_option_and_partition, free_arena),
        cmocka_unit_test_teardown(metadata_files_have_roots_of_their_own, free_arena),
        cmocka_unit_test_teardown(hostile_names_and_ids_become_no_paths, free_arena),
        cmocka_unit_test_teardown(a_users_files_lie_by_the_id_of_his_inbox_or_by_his_name, free_arena),
        cmocka_unit_test_teardown(quota_files_are_spread_by_what_follows_the_first_dot, free_arena),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
