/*
 * An open mailbox on a small store made by hand (fansync/store.h): what a snapshot holds, what damage
 * does, which locks exclude whom, and many threads at once.
 */
#include "scratch.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/wait.h>

#include "fansync/store.h"
#include "index_build.h"

enum { EXPUNGED_RECORD = 2 };

static const char header_text[] =
    "\xa1\x02\x8b\x0d"
    "Cyrus mailbox header\n\"The best thing about this system was that it had lots of goals.\"\n"
    "\t--Jim Morris on Andrew\n"
    "%(T e N user.alice I idalice Q user.alice A %(alice lrs) U (one NIL three))\n";

static const char list_text[] = "Iidalice\t%(T e N user\x1f" "alice P default V 9 C 1 F 2 M 3 A %() H ())\n"
                                "Nuser\x1f" "alice\t%(T e I idalice P default V 9 C 1 F 2 M 3 A %(alice lrs))\n";

static struct arena arena;
static struct config *config;
static struct store *store;

#define FOLDER "p/uuid/i/d/idalice/"

static void write_index(struct index_image *im)
{
    put32(im->p + 84, im->n > im->header_size ? 3 : 0);
    put32(im->p + 96, crc32_add(0, header_text, sizeof header_text - 1));
    seal_header(im);
    scratch_write(FOLDER "cyrus.index", im->p, im->n);
}

static int make_store(void **state)
{
    char text[600];
    if (scratch_setup(state))
        return -1;
    arena = (struct arena)ARENA_INIT;
    snprintf(text, sizeof text,
             "configdirectory: %s\npartition-default: %s/p\nmboxlist_db: flat\nannotation_db: flat\n"
             "archive_enabled: yes\narchivepartition-default: %s/a\n",
             scratch, scratch, scratch);
    assert_ok(config_load(scratch_write("imapd.conf", text, strlen(text)), "sync_client", &config));
    scratch_write("mailboxes.db", list_text, sizeof list_text - 1);
    scratch_write(FOLDER "cyrus.header", header_text, sizeof header_text - 1);
    struct index_image im = build_index(17, 4);
    put32(im.p + im.header_size + EXPUNGED_RECORD * im.record_size + 32, REC_EXPUNGED | REC_DELETED);
    seal_record(&im, EXPUNGED_RECORD);
    write_index(&im);
    free(im.p);
    assert_ok(store_open(config, &store));
    return 0;
}

static int drop_store(void **state)
{
    store_free(store);
    config_free(config);
    arena_free(&arena);
    return scratch_teardown(state);
}

static struct err *open_alice(struct arena *a, struct mailbox **m)
{
    return store_mailbox_open(store, a, slice_str("user.alice"), m);
}

static void a_snapshot_has_header_and_records(void **state)
{
    (void)state;
    struct mailbox *m;
    struct records r;
    assert_ok(open_alice(&arena, &m));
    const struct mailbox_header *h = mailbox_header(m);
    assert_ok(mailbox_records(m, &arena, 0, 0, &r));
    store_mailbox_close(m);
    assert_slice(h->entry.name, "user.alice");
    assert_slice(h->entry.acl, "alice\tlrs\t");
    assert_slice(h->quotaroot, "user.alice");
    assert_int_equal(h->nuserflags, 3);
    assert_slice(h->userflags[2], "three");
    assert_int_equal(h->last_uid, 1010);
    assert_int_equal(h->deletedmodseq, 1004);
    assert_int_equal(r.n, 4);
    assert_int_equal(r.uid[3], 40);
    assert_true(r.flags[EXPUNGED_RECORD] & REC_EXPUNGED);
}

static void only_newer_or_higher_records_are_read_but_all_are_checked(void **state)
{
    (void)state;
    struct mailbox *m;
    struct records r;
    assert_ok(open_alice(&arena, &m));
    assert_ok(mailbox_records(m, &arena, 2007, 40, &r)); /* modseqs are 2005 ... 2008 */
    assert_int_equal(r.n, 1);
    assert_int_equal(r.uid[0], 40);
    assert_ok(mailbox_records(m, &arena, 9999, 20, &r));
    assert_int_equal(r.n, 2);
    store_mailbox_close(m);

    struct index_image im = build_index(17, 4);
    im.p[im.header_size + 20] ^= 1; /* the first record, which is not wanted */
    write_index(&im);
    free(im.p);
    assert_ok(open_alice(&arena, &m));
    assert_err(mailbox_records(m, &arena, 2007, 40, &r), ERR_CORRUPT, "index record 1");
    store_mailbox_close(m);
}

static void uids_that_do_not_ascend_are_damage(void **state)
{
    (void)state;
    struct mailbox *m;
    struct records r;
    struct index_image im = build_index(17, 3);
    put32(im.p + im.header_size + 2 * im.record_size, 20);
    seal_record(&im, 2);
    write_index(&im);
    free(im.p);
    assert_ok(open_alice(&arena, &m));
    assert_err(mailbox_records(m, &arena, 0, 0, &r), ERR_CORRUPT, "uid 20 after uid 20");
    store_mailbox_close(m);
}

static void a_record_with_uid_0_is_left_out_and_a_null_guid_is_not_supported(void **state)
{
    (void)state;
    struct mailbox *m;
    struct records r;
    struct index_image im = build_index(17, 3);
    put32(im.p + im.header_size, 0);
    seal_record(&im, 0);
    write_index(&im);
    assert_ok(open_alice(&arena, &m));
    assert_ok(mailbox_records(m, &arena, 0, 0, &r));
    assert_int_equal(r.n, 2);
    store_mailbox_close(m);
    memset(im.p + im.header_size + im.record_size + 60, 0, GUID_SIZE);
    seal_record(&im, 1);
    write_index(&im);
    free(im.p);
    assert_ok(open_alice(&arena, &m));
    assert_err(mailbox_records(m, &arena, 0, 0, &r), ERR_NOTSUPPORTED, "no GUID");
    store_mailbox_close(m);
}

/* What open and read say of the index as it is on disk now. */
static struct err *read_index(struct arena *a, struct records *r)
{
    struct mailbox *m;
    TRY(open_alice(a, &m));
    struct err *e = mailbox_records(m, a, 0, 0, r);
    store_mailbox_close(m);
    return e;
}

static void an_index_cut_anywhere_is_an_error(void **state)
{
    (void)state;
    for (uint32_t minor = 12; minor <= 20; minor += 4) {
        struct index_image im = build_index(minor, 2);
        for (size_t n = 0; n < im.n; n++) {
            struct arena a = ARENA_INIT;
            struct records r;
            scratch_write(FOLDER "cyrus.index", im.p, n);
            assert_err(read_index(&a, &r), ERR_CORRUPT, "cyrus.index: offset");
            arena_free(&a);
        }
        free(im.p);
    }
}

static void an_index_with_any_bit_flipped_is_an_error(void **state)
{
    (void)state;
    for (uint32_t minor = 12; minor <= 20; minor += 4) {
        struct index_image im = build_index(minor, 2);
        for (size_t bit = 0; bit < 8 * im.n; bit++) {
            struct arena a = ARENA_INIT;
            struct records r;
            im.p[bit / 8] ^= (unsigned char)(1 << bit % 8);
            scratch_write(FOLDER "cyrus.index", im.p, im.n);
            im.p[bit / 8] ^= (unsigned char)(1 << bit % 8);
            struct err *e = read_index(&a, &r);
            if (!e || (e->kind != ERR_CORRUPT && e->kind != ERR_NOTSUPPORTED))
                fail_msg("minor %u, bit %zu: %s", minor, bit, e ? e->msg : "not noticed");
            err_free(e);
            arena_free(&a);
        }
        free(im.p);
    }
}

/* More than a block, of which some are left out. */
static void many_records_are_read_in_blocks(void **state)
{
    (void)state;
    struct mailbox *m;
    struct records r;
    struct index_image im = build_index(17, 1500);
    put32(im.p + im.header_size + 700 * im.record_size, 0);
    seal_record(&im, 700);
    write_index(&im);
    free(im.p);
    assert_ok(open_alice(&arena, &m));
    assert_ok(mailbox_records(m, &arena, 0, 0, &r));
    assert_int_equal(r.n, 1499);
    for (size_t i = 0; i < r.n; i++)
        assert_int_equal(r.modseq[i], 2005 + i + (i >= 700));
    assert_ok(mailbox_records(m, &arena, 2005 + 1300, 15000, &r));
    assert_int_equal(r.n, 199);
    assert_int_equal(r.uid[0], 13020);
    assert_int_equal(r.uid[198], 15000);
    assert_ok(mailbox_records(m, &arena, 9999, 15000, &r));
    assert_int_equal(r.n, 0);
    store_mailbox_close(m);
}

static const struct annotation *annotation_of(const struct records *r, size_t i, const char *entry)
{
    for (size_t k = 0; k < r->annotations[i].n; k++)
        if (slice_eqs(r->annotations[i].a[k].entry, entry))
            return &r->annotations[i].a[k];
    fail_msg("record %zu has no annotation %s", i, entry);
    return NULL;
}

/* NUL is 0xFF 0x80 in a flat database. */
#define NUL "\xff\x80"
#define NULS4 NUL NUL NUL NUL
#define VALUE_OF_2(v) NUL NUL NUL "\x02" NULS4 v NUL "text/plain" NUL NULS4 NULS4 NULS4 NUL NUL NUL "\x0b" NUL "\n"

static void annotations_are_attached_to_their_records(void **state)
{
    static const char text[] = "20" NUL "/comment" NUL "[.OwNeR.]" NUL "\t" VALUE_OF_2("hi");
    struct records r;
    (void)state;
    scratch_write(FOLDER "cyrus.annotations", text, sizeof text - 1);
    assert_ok(read_index(&arena, &r));
    assert_int_equal(r.n, 4);
    assert_int_equal(r.annotations[0].n, 0);
    assert_int_equal(r.annotations[1].n, 1);
    const struct annotation *note = annotation_of(&r, 1, "/comment");
    assert_slice(note->userid, "alice");
    assert_slice(note->value, "hi");
    assert_int_equal(note->modseq, 11);
}

static void what_only_version_20_has_in_its_records_becomes_annotations(void **state)
{
    static const char text[] = "20" NUL "/comment" NUL NUL "\t" VALUE_OF_2("hi");
    struct records r;
    (void)state;
    struct index_image im = build_index(20, 2);
    scratch_write(FOLDER "cyrus.annotations", text, sizeof text - 1);
    scratch_write(FOLDER "cyrus.index", im.p, im.n);
    free(im.p);
    assert_ok(read_index(&arena, &r));
    assert_int_equal(r.annotations[0].n, 2);
    assert_int_equal(r.annotations[1].n, 3);
    assert_slice(r.annotations[1].a[0].entry, "/comment");
    const struct annotation *nsec = annotation_of(&r, 1, "/vendor/cmu/cyrus-imapd/internaldate.nsec");
    assert_slice(nsec->value, "77");
    assert_int_equal(nsec->modseq, 0);
    assert_slice(annotation_of(&r, 0, "/vendor/cmu/cyrus-imapd/basethrid")->value, "00000000000007d9");
}

static void annotations_of_the_mailbox_follow_their_database(void **state)
{
    static const char other[] = "idalice2" NUL "/comment" NUL NUL "\t" VALUE_OF_2("no");
    static const char text[] = "idalice" NUL "/comment" NUL NUL "\t" VALUE_OF_2("ja");
    (void)state;
    for (int i = 0; i < 6; i++) {
        struct mailbox *m;
        bool ours = i / 2 == 1;
        if (i % 2 == 0)
            scratch_write("annotations.db", ours ? text : other, ours ? sizeof text - 1 : sizeof other - 1);
        assert_ok(open_alice(&arena, &m));
        assert_int_equal(mailbox_header(m)->annotations.n, ours);
        if (ours)
            assert_slice(mailbox_header(m)->annotations.a[0].value, "ja");
        store_mailbox_close(m);
    }
}

static void a_header_file_with_another_crc_is_used_all_the_same(void **state)
{
    (void)state;
    struct mailbox *m;
    char text[sizeof header_text];
    memcpy(text, header_text, sizeof text);
    memcpy(strstr(text, "three"), "THREE", 5);
    scratch_write(FOLDER "cyrus.header", text, sizeof text - 1);
    assert_ok(open_alice(&arena, &m));
    assert_slice(mailbox_header(m)->userflags[2], "THREE");
    store_mailbox_close(m);
}

static size_t open_descriptors(void)
{
    size_t n = 0;
    DIR *d = opendir("/proc/self/fd");
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void no_descriptor_is_left_open(void **state)
{
    (void)state;
    struct mailbox *m;
    size_t before = open_descriptors();
    assert_ok(open_alice(&arena, &m));
    store_mailbox_close(m);
    assert_int_equal(open_descriptors(), before);
    unlink(scratch_path(FOLDER "cyrus.header"));
    assert_err(open_alice(&arena, &m), ERR_IO, "cyrus.header");
    assert_int_equal(open_descriptors(), before);
}

static void missing_files_are_faults_and_not_deletions(void **state)
{
    (void)state;
    struct mailbox *m;
    unlink(scratch_path(FOLDER "cyrus.index"));
    assert_err(open_alice(&arena, &m), ERR_IO, "cyrus.index");
    struct index_image im = build_index(17, 1);
    write_index(&im);
    free(im.p);
    unlink(scratch_path(FOLDER "cyrus.header"));
    assert_err(open_alice(&arena, &m), ERR_IO, "cyrus.header");
}

static void a_mailbox_that_is_gone_or_being_deleted_does_not_exist(void **state)
{
    (void)state;
    struct mailbox *m;
    assert_err(store_mailbox_open(store, &arena, slice_str("user.bob"), &m), ERR_NONEXISTENT, "user.bob");
    struct index_image im = build_index(17, 1);
    put32(im.p + 60, 1u << 31);
    write_index(&im);
    free(im.p);
    assert_err(open_alice(&arena, &m), ERR_NONEXISTENT, "deleted");
}

static void the_empty_mailbox_shows_the_pop3_option(void **state)
{
    (void)state;
    struct mailbox *m;
    struct index_image im = build_index(17, 0);
    put32(im.p + 60, 0);
    write_index(&im);
    free(im.p);
    assert_ok(open_alice(&arena, &m));
    assert_int_equal(mailbox_header(m)->options, MBOPT_POP3_NEW_UIDL);
    store_mailbox_close(m);
}

/* Another process, as Cyrus is one, tries its POSIX locks. 0: got it. */
static int other_process_locks(const char *path, short type)
{
    pid_t pid = fork();
    if (pid == 0) {
        struct flock fl = { .l_type = type, .l_whence = SEEK_SET };
        int fd = open(path, O_RDWR);
        _exit(fd >= 0 && fcntl(fd, F_SETLK, &fl) == 0 ? 0 : 1);
    }
    int status;
    waitpid(pid, &status, 0);
    return WEXITSTATUS(status);
}

static void an_open_mailbox_keeps_writers_out_and_readers_in_until_it_is_closed(void **state)
{
    (void)state;
    static const char *const locks[] = { FOLDER "cyrus.index", "lock/idalice.lock", "lock/*U*alice.lock",
                                         "lock/*U*user/alice.lock" };
    struct mailbox *m;
    assert_ok(open_alice(&arena, &m));
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(other_process_locks(scratch_path(locks[i]), F_WRLCK), 1);
        assert_int_equal(other_process_locks(scratch_path(locks[i]), F_RDLCK), 0);
    }
    store_mailbox_close(m);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(other_process_locks(scratch_path(locks[i]), F_WRLCK), 0);
}

static void message_files_are_checked_for_their_length_and_absence_is_a_reason_to_look_again(void **state)
{
    (void)state;
    struct mbentry e;
    bool found;
    int fd;
    scratch_write(FOLDER "10.", "hello", 5);
    assert_ok(store_lookup(store, &arena, slice_str("user.alice"), &e, &found));
    assert_ok(store_message_open(store, &e, 10, 0, 5, &fd));
    close(fd);
    assert_err(store_message_open(store, &e, 10, 0, 6, &fd), ERR_CORRUPT, "5 bytes");
    assert_err(store_message_open(store, &e, 11, 0, 5, &fd), ERR_BUSY, "11.");
    assert_int_equal(symlink("10.", scratch_path(FOLDER "12.")), 0);
    assert_err(store_message_open(store, &e, 12, 0, 5, &fd), ERR_IO, "12.");
}

static void a_message_file_is_found_where_archiving_put_it(void **state)
{
    struct mbentry e;
    bool found;
    int fd;
    (void)state;
    scratch_write(FOLDER "10.", "hello", 5);
    scratch_write("a/uuid/i/d/idalice/20.", "archived", 8);
    assert_ok(store_lookup(store, &arena, slice_str("user.alice"), &e, &found));
    assert_ok(store_message_open(store, &e, 20, REC_ARCHIVED, 8, &fd));
    close(fd);
    assert_ok(store_message_open(store, &e, 20, 0, 8, &fd)); /* archived since the snapshot */
    close(fd);
    assert_ok(store_message_open(store, &e, 10, REC_ARCHIVED, 5, &fd)); /* brought back since */
    close(fd);
    assert_err(store_message_open(store, &e, 30, REC_ARCHIVED, 5, &fd), ERR_BUSY, "30.");
    assert_int_equal(mkfifo(scratch_path(FOLDER "40."), 0600), 0);
    assert_err(store_message_open(store, &e, 40, 0, 0, &fd), ERR_CORRUPT, "40.");
}

static void *read_often(void *arg)
{
    (void)arg;
    for (int i = 0; i < 200; i++) {
        struct arena a = ARENA_INIT;
        struct mailbox *m;
        struct records r;
        struct sync_crcs sums;
        assert_ok(open_alice(&a, &m));
        assert_ok(mailbox_records(m, &a, 0, 0, &r));
        assert_int_equal(r.n, 4);
        assert_ok(mailbox_compute_crcs(m, &sums));
        store_mailbox_close(m);
        arena_free(&a);
    }
    return NULL;
}

/* The list is replaced all the while, so that versions of it come and go under the readers. */
static void threads_share_a_store(void **state)
{
    (void)state;
    pthread_t t[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, read_often, NULL), 0);
    for (int i = 0; i < 50; i++) {
        scratch_write("mailboxes.db", list_text, sizeof list_text - 1);
        usleep(1000);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
}

#define ON_A_STORE(f) cmocka_unit_test_setup_teardown(f, make_store, drop_store)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_STORE(a_snapshot_has_header_and_records),
        ON_A_STORE(only_newer_or_higher_records_are_read_but_all_are_checked),
        ON_A_STORE(uids_that_do_not_ascend_are_damage),
        ON_A_STORE(a_record_with_uid_0_is_left_out_and_a_null_guid_is_not_supported),
        ON_A_STORE(an_index_cut_anywhere_is_an_error),
        ON_A_STORE(an_index_with_any_bit_flipped_is_an_error),
        ON_A_STORE(many_records_are_read_in_blocks),
        ON_A_STORE(annotations_are_attached_to_their_records),
        ON_A_STORE(what_only_version_20_has_in_its_records_becomes_annotations),
        ON_A_STORE(annotations_of_the_mailbox_follow_their_database),
        ON_A_STORE(a_header_file_with_another_crc_is_used_all_the_same),
        ON_A_STORE(no_descriptor_is_left_open),
        ON_A_STORE(missing_files_are_faults_and_not_deletions),
        ON_A_STORE(a_mailbox_that_is_gone_or_being_deleted_does_not_exist),
        ON_A_STORE(the_empty_mailbox_shows_the_pop3_option),
        ON_A_STORE(an_open_mailbox_keeps_writers_out_and_readers_in_until_it_is_closed),
        ON_A_STORE(message_files_are_checked_for_their_length_and_absence_is_a_reason_to_look_again),
        ON_A_STORE(a_message_file_is_found_where_archiving_put_it),
        ON_A_STORE(threads_share_a_store),
    };
    return cmocka_run_group_tests_name("store: mailbox", tests, NULL, NULL);
}
