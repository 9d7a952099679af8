/* A user's sieve scripts, out of a folder or out of a mailbox: store_sieve (fansync/store.h). */
#include "scratch.h"

#include "fansync/buf.h"
#include "fansync/store.h"
#include "index_build.h"

static struct arena arena;
static struct config *config;
static struct store *store;

/* Before 3.6, and since; "." stands for 0x1F. */
static const char old_list[] = "user.dot^ted\t%(A %(dot.ted lrs) I id-ted P default V 9 C 1 F 2 M 3)\n";
static const char new_list[] =
    "Nuser.alice\t%(T e I idalice P default V 9 C 1 F 2 M 3 A %(alice lrs))\n"
    "Nuser.alice.#sieve\t%(T f I idsieve P default V 9 C 1 F 2 M 3 A %(alice lrs))\n"
    "Nuser.bob\t%(T e I idbob P default V 9 C 1 F 2 M 3 A %(bob lrs))\n"
    "Iidalice\t%(T e N user.alice P default V 9 C 1 F 2 M 3 A %() H ())\n";

static void open_store(const char *list, bool dots, const char *more)
{
    char text[600], coded[1024];
    size_t n = strlen(list);
    assert_true(n < sizeof coded);
    for (size_t i = 0; i <= n; i++)
        coded[i] = dots && list[i] == '.' ? '\x1f' : list[i];
    snprintf(text, sizeof text, "configdirectory: %s\npartition-default: %s/p\nmboxlist_db: flat\n"
             "annotation_db: flat\nsievedir: %s/sieve\n%s", scratch, scratch, scratch, more);
    assert_ok(config_load(scratch_write_text("imapd.conf", text), "sync_client", &config));
    scratch_write_text("mailboxes.db", coded);
    assert_ok(store_open(config, &store));
}

static int close_store(void **state)
{
    store_free(store);
    config_free(config);
    arena_free(&arena);
    store = NULL;
    config = NULL;
    return scratch_teardown(state);
}

static void assert_scripts(const char *userid, const char *want)
{
    struct sieve_list l;
    struct buf b = BUF_INIT;
    assert_ok(store_sieve(store, &arena, slice_str(userid), &l));
    for (size_t i = 0; i < l.n; i++)
        buf_printf(&b, "%s" SLICE_FMT "=" SLICE_FMT ";", slice_eq(l.s[i].name, l.active) ? "*" : "",
                   SLICE_ARG(l.s[i].name), SLICE_ARG(l.s[i].content));
    assert_string_equal(l.known ? buf_cstr(&b) : "unknown", want);
    buf_free(&b);
}

static void scripts_of_a_folder_are_sources_and_a_link(void **state)
{
    (void)state;
    bool mailboxes;
    open_store(old_list, false, "");
    assert_scripts("dot.ted", "unknown"); /* no folder of anybody's scripts */
    scratch_write_text("sieve/d/dot.ted/one.script", "keep;");
    scratch_write_text("sieve/d/dot.ted/one.bc", "code");
    scratch_write_text("sieve/d/dot.ted/a b.script", "");
    scratch_write_text("sieve/d/dot.ted/rest.script.NEW", "x");
    scratch_write_text("sieve/d/dot.ted/.script", "x");
    assert_int_equal(symlink("/etc/passwd", scratch_path("sieve/d/dot.ted/link.script")), 0);
    assert_scripts("dot.ted", "a b=;one=keep;;");
    assert_int_equal(symlink("one.bc", scratch_path("sieve/d/dot.ted/defaultbc")), 0);
    assert_scripts("dot.ted", "a b=;*one=keep;;");
    assert_scripts("nobody", "");
    assert_ok(store_has_sieve_mailboxes(store, &mailboxes));
    assert_false(mailboxes);
    struct sieve_list l;
    struct guid keep;
    assert_ok(store_sieve(store, &arena, slice_str("dot.ted"), &l));
    assert_true(guid_parse(slice_str("1741a5f56c1cfc0f7ef3d0ad53bceb6518bdfdad"), &keep));
    assert_true(guid_eq(&l.s[1].guid, &keep));
}

static void scripts_in_home_directories_are_left_alone(void **state)
{
    (void)state;
    open_store(old_list, false, "sieveusehomedir: yes\n");
    scratch_write_text("sieve/d/dot.ted/one.script", "keep;");
    assert_scripts("dot.ted", "unknown");
}

static void a_folder_by_id_is_read_until_there_is_a_mailbox(void **state)
{
    (void)state;
    bool mailboxes;
    open_store(new_list, true, "");
    scratch_write_text("sieve/uuid/i/d/idbob/old.script", "stop;");
    assert_scripts("bob", "old=stop;;");
    assert_ok(store_has_sieve_mailboxes(store, &mailboxes));
    assert_true(mailboxes);
}

static bool has_files(const char *userid)
{
    bool any;
    assert_ok(store_has_sieve_files(store, &arena, slice_str(userid), &any));
    return any;
}

static void files_are_scripts_only_if_they_are_sources(void **state)
{
    (void)state;
    open_store(new_list, true, "");
    assert_false(has_files("bob")); /* no folder of anybody's scripts */
    scratch_write_text("sieve/uuid/i/d/idbob/one.bc", "code");
    assert_false(has_files("bob"));
    scratch_write_text("sieve/uuid/i/d/idbob/one.script", "");
    assert_true(has_files("bob"));
    assert_false(has_files("alice"));
}

#define FOLDER "p/uuid/i/d/idsieve/"

static const char header_text[] =
    "\xa1\x02\x8b\x0d"
    "Cyrus mailbox header\n\"The best thing about this system was that it had lots of goals.\"\n"
    "\t--Jim Morris on Andrew\n"
    "%(T f N user.alice.#sieve I idsieve A %(alice lrs))\n";

/* Records 0, 1, ... have uid 10, 20, ... */
static void put_message(struct index_image *im, uint32_t i, uint32_t flags, const char *text)
{
    unsigned char *r = im->p + im->header_size + i * im->record_size;
    char name[64];
    put32(r + 12, (uint32_t)strlen(text));
    put32(r + 32, flags);
    seal_record(im, i);
    snprintf(name, sizeof name, FOLDER "%u.", 10 * (i + 1));
    scratch_write_text(name, text);
}

static void scripts_of_a_mailbox_are_its_messages(void **state)
{
    (void)state;
    struct index_image im = build_index(17, 5);
    open_store(new_list, true, "");
    scratch_write(FOLDER "cyrus.header", header_text, sizeof header_text - 1);
    put32(im.p + 96, crc32_add(0, header_text, sizeof header_text - 1));
    put_message(&im, 0, REC_FLAGGED, "Subject: twice\r\n\r\nformer");
    put_message(&im, 1, REC_EXPUNGED, "Subject: gone\r\n\r\nstop;");
    put_message(&im, 2, REC_FLAGGED, "From: x\r\nsubject:  two\r\n words \r\nContent-Type: application/sieve;\r\n"
                "\tcharset=utf-8\r\n\r\n# Subject: no\r\n\r\nkeep;");
    put_message(&im, 3, 0, "From: x\r\n\r\nnameless");
    put_message(&im, 4, 0, "Subject: twice\r\n\r\nlatter");
    put32(im.p + 84, 4); /* that exist */
    seal_header(&im);
    scratch_write(FOLDER "cyrus.index", im.p, im.n);
    assert_scripts("alice", "twice=latter;*two words=# Subject: no\r\n\r\nkeep;;");
    free(im.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(scripts_of_a_folder_are_sources_and_a_link, scratch_setup, close_store),
        cmocka_unit_test_setup_teardown(scripts_in_home_directories_are_left_alone, scratch_setup, close_store),
        cmocka_unit_test_setup_teardown(a_folder_by_id_is_read_until_there_is_a_mailbox, scratch_setup, close_store),
        cmocka_unit_test_setup_teardown(files_are_scripts_only_if_they_are_sources, scratch_setup, close_store),
        cmocka_unit_test_setup_teardown(scripts_of_a_mailbox_are_its_messages, scratch_setup, close_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
