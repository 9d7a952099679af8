/* imapd.conf (fansync/config.h): each rule of spec/store.md §1.1 and §1.2, and the
 * overrides of channels (spec/operation.md §5.3, B.9). */
#include "fansync/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../test.h"
#include "fansync/buf.h"

#define CONFDIR "configdirectory: /var/c\n"

/* A folder for the files of a test. */
struct room {
    char dir[64];
    char path[96]; /* of the main file */
    struct config *c;
};

static int setup(void **state)
{
    struct room *r = calloc(1, sizeof *r);
    snprintf(r->dir, sizeof r->dir, "%s", "/tmp/test_config.XXXXXX");
    if (!mkdtemp(r->dir))
        return -1;
    snprintf(r->path, sizeof r->path, "%s/imapd.conf", r->dir);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct room *r = *state;
    char path[96];
    static const char *const names[] = { "imapd.conf", "more", "third" };
    config_free(r->c);
    unsetenv("CYRUS_PREFIX");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", r->dir, names[i]);
        unlink(path);
    }
    rmdir(r->dir);
    free(r);
    return 0;
}

static void write_bytes(struct room *r, const char *name, const char *p, size_t n)
{
    char path[96];
    snprintf(path, sizeof path, "%s/%s", r->dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    fclose(f);
}

static struct err *load(struct room *r, const char *text)
{
    config_free(r->c);
    write_bytes(r, "imapd.conf", text, strlen(text));
    return config_load(r->path, "sync_client", &r->c);
}

/* The text must be refused with these words, at that line of the main file. */
#define assert_refused(r, text, line, words)                                     \
    do {                                                                         \
        char place_[128];                                                        \
        snprintf(place_, sizeof place_, "%s:%d: ", (r)->path, line);             \
        struct err *refused_ = load(r, text);                                    \
        if (!refused_)                                                           \
            fail_msg("accepted: %s", text);                                      \
        if (refused_->kind != ERR_CONFIG || strncmp(refused_->msg, place_, strlen(place_)) != 0 || \
            !strstr(refused_->msg, words))                                       \
            fail_msg("got \"%s\", want \"%s%s\"", refused_->msg, place_, words); \
        err_free(refused_);                                                      \
    } while (0)

static void assert_host(struct room *r, const char *text, const char *host)
{
    assert_ok(load(r, text));
    assert_string_equal(config_string(r->c, "sync_host"), host);
}

/* ---- lines ---- */

static void a_backslash_before_the_newline_joins_lines_as_they_are(void **state)
{
    struct room *r = *state;
    assert_host(r, CONFDIR "sync_host: a.\\\nb.c\n", "a.b.c");
    assert_host(r, CONFDIR "sync_host: a\\\n  b\n", "a  b");
    assert_host(r, CONFDIR "sync_host: a\\b\n", "a\\b");
    assert_host(r, CONFDIR "sync_host: a\\ \n", "a\\");
    assert_host(r, CONFDIR "sync_host: a\\\\\nb\n", "a\\b");
    assert_host(r, CONFDIR "# note \\\nsync_host: x\nsync_host: y\n", "y");
}

static void a_backslash_at_the_end_of_the_file_joins_nothing(void **state)
{
    struct room *r = *state;
    assert_host(r, CONFDIR "sync_host: a\\\n", "a");
    assert_host(r, CONFDIR "sync_host: a\\", "a\\");
    assert_host(r, CONFDIR "sync_host: a", "a");
}

static void blank_lines_and_comments_are_ignored_but_not_behind_a_value(void **state)
{
    struct room *r = *state;
    assert_host(r, "\n \t \n  # x: y\n#\n" CONFDIR "  sync_host: a # b\n", "a # b");
}

static void keys_are_folded_and_blanks_around_the_value_removed(void **state)
{
    struct room *r = *state;
    assert_host(r, CONFDIR "Sync_HOST:a  b \t\r\n", "a  b");
    assert_ok(load(r, CONFDIR "Partition-Foo: /x\n"));
    assert_string_equal(config_overflow(r->c, "partition-foo"), "/x");
}

static void a_key_needs_its_colon_at_once(void **state)
{
    struct room *r = *state;
    assert_refused(r, CONFDIR "sync_host : a\n", 2, "invalid option name");
    assert_refused(r, CONFDIR "\nsync_host\n", 3, "invalid option name");
    assert_refused(r, CONFDIR ": a\n", 2, "invalid option name");
    assert_refused(r, CONFDIR "sync.host: a\n", 2, "invalid option name");
}

static void faults_are_placed_at_the_first_of_joined_lines(void **state)
{
    struct room *r = *state;
    assert_refused(r, CONFDIR "a: \\\n\\\nb\n\nx\n", 6, "invalid option name");
    assert_refused(r, CONFDIR "\ndebug: \\\nmaybe\n", 3, "debug: 'maybe' is not a switch");
}

static void an_empty_value_is_refused(void **state)
{
    struct room *r = *state;
    assert_refused(r, CONFDIR "sync_host:  \t\n", 2, "sync_host: empty option value");
    assert_refused(r, CONFDIR "whatever:\n", 2, "whatever: empty option value");
}

static void a_nul_byte_is_refused(void **state)
{
    struct room *r = *state;
    static const char text[] = CONFDIR "sync_host: a\0b\n";
    write_bytes(r, "imapd.conf", text, sizeof text - 1);
    assert_err(config_load(r->path, "sync_client", &r->c), ERR_CONFIG, "imapd.conf:2: a NUL byte");
}

static void lines_may_have_any_length(void **state)
{
    struct room *r = *state;
    struct buf b = BUF_INIT;
    buf_adds(&b, CONFDIR "sync_host: ");
    for (int i = 0; i < 100000; i++)
        buf_addc(&b, 'h');
    assert_ok(load(r, buf_cstr(&b)));
    assert_int_equal(strlen(config_string(r->c, "sync_host")), 100000);
    buf_free(&b);
}

/* ---- directives and files ---- */

static void an_included_file_is_as_if_pasted(void **state)
{
    struct room *r = *state;
    char text[256];
    write_bytes(r, "more", "sync_host: inner\n", 17);
    snprintf(text, sizeof text, CONFDIR "@Include:%s/more\nsync_port: 1\n", r->dir);
    assert_host(r, text, "inner");
    assert_string_equal(config_string(r->c, "sync_port"), "1");
}

static void a_fault_in_an_included_file_is_placed_there(void **state)
{
    struct room *r = *state;
    char text[256];
    write_bytes(r, "more", "\nsync_host: a\n", 14);
    snprintf(text, sizeof text, CONFDIR "sync_host: b\n@include: %s/more\n", r->dir);
    assert_err(load(r, text), ERR_CONFIG, "more:2: option 'sync_host' was specified twice");
}

static void a_file_is_included_only_once(void **state)
{
    struct room *r = *state;
    char text[512];
    write_bytes(r, "more", "a: b\n", 5);
    snprintf(text, sizeof text, CONFDIR "@include: %s/more\n@include: %s/more\n", r->dir, r->dir);
    assert_refused(r, text, 3, "/more' is included twice");
    snprintf(text, sizeof text, CONFDIR "@include: %s\n", r->path);
    assert_refused(r, text, 2, "is included twice");
}

static void other_directives_and_missing_files_are_refused(void **state)
{
    struct room *r = *state;
    assert_refused(r, CONFDIR "@exclude: x\n", 2, "invalid directive");
    assert_refused(r, CONFDIR "@include: /nonexistent/x\n", 2,
                   "can't open configuration file /nonexistent/x: No such file");
    assert_err(config_load("/nonexistent/imapd.conf", "sync_client", &r->c), ERR_CONFIG,
               "can't open configuration file /nonexistent/imapd.conf: No such file or directory");
    assert_null(r->c);
    assert_err(config_load(r->dir, "sync_client", &r->c), ERR_CONFIG, "Is a directory");
}

static void cyrus_prefix_is_tried_first(void **state)
{
    struct room *r = *state;
    write_bytes(r, "imapd.conf", CONFDIR, sizeof CONFDIR - 1);
    setenv("CYRUS_PREFIX", r->dir, 1);
    assert_ok(config_load("/imapd.conf", "sync_client", &r->c));
    config_free(r->c);
    assert_ok(config_load(r->path, "sync_client", &r->c)); /* not below it: as it stands */
}

static void the_configdirectory_is_required(void **state)
{
    struct room *r = *state;
    assert_err(load(r, "sync_host: a\n"), ERR_CONFIG, "configdirectory option not specified");
}

/* ---- what a key means ---- */

static void the_idents_own_setting_beats_the_generic_one_in_any_order(void **state)
{
    struct room *r = *state;
    assert_host(r, CONFDIR "sync_client_sync_host: mine\nsync_host: all\n", "mine");
    assert_host(r, CONFDIR "sync_host: all\nSYNC_client_sync_host: mine\n", "mine");
    assert_host(r, CONFDIR "imap_sync_host: other\nsync_host: all\n", "all");
}

static void a_generic_setting_behind_the_idents_own_is_not_even_read(void **state)
{
    struct room *r = *state;
    assert_ok(load(r, CONFDIR "sync_client_sync_timeout: 5\nsync_timeout: maybe\nsync_timeout: 6\n"));
    assert_int_equal(config_duration(r->c, "sync_timeout"), 5);
}

static void the_same_key_twice_is_refused(void **state)
{
    struct room *r = *state;
    assert_refused(r, CONFDIR "sync_host: a\nsync_host: a\n", 3, "option 'sync_host' was specified twice");
    assert_refused(r, CONFDIR "sync_client_debug: 1\nsync_client_debug: 1\n", 3, "'sync_client_debug' was");
    assert_refused(r, CONFDIR "foo: a\nFOO: b\n", 3, "option 'foo' was specified twice");
}

static void unknown_keys_are_kept_and_the_idents_own_found_first(void **state)
{
    struct room *r = *state;
    assert_ok(load(r, CONFDIR "sasl_mech_list: A\nsync_client_sasl_mech_list: B\nfoo: {configdirectory}/x\n"));
    assert_string_equal(config_overflow(r->c, "sasl_mech_list"), "B");
    assert_string_equal(config_overflow(r->c, "foo"), "{configdirectory}/x");
    assert_null(config_overflow(r->c, "bar"));
    assert_null(config_overflow(r->c, "sync_host"));
}

static void an_old_name_sets_the_option_unless_the_new_one_does(void **state)
{
    struct room *r = *state;
    assert_ok(load(r, CONFDIR "tls_ca_file: /old\n"));
    assert_string_equal(config_string(r->c, "tls_client_ca_file"), "/old");
    assert_ok(load(r, CONFDIR "tls_client_ca_file: /new\ntls_ca_file: /old\n"));
    assert_string_equal(config_string(r->c, "tls_client_ca_file"), "/new");
    assert_ok(load(r, CONFDIR "tls_ca_file: /old\ntls_client_ca_file: /new\n"));
    assert_string_equal(config_string(r->c, "tls_client_ca_file"), "/new");
    assert_refused(r, CONFDIR "tls_ca_file: /old\ntls_ca_file: /old\n", 3, "'tls_ca_file' was specified twice");
}

static void what_is_not_set_has_its_default(void **state)
{
    struct room *r = *state;
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    assert_ok(load(r, CONFDIR));
    assert_null(config_string(r->c, "sync_host"));
    assert_string_equal(config_string(r->c, "defaultdomain"), "internal");
    assert_string_equal(config_string(r->c, "mboxlist_db"), "twoskip");
    assert_string_equal(config_string(r->c, "sync_compress"), "auto");
    assert_string_equal(config_string(r->c, "servername"), host);
    assert_true(config_switch(r->c, "unixhierarchysep"));
    assert_false(config_switch(r->c, "hashimapspool"));
    assert_int_equal(config_int(r->c, "sync_batchsize"), 8192);
    assert_int_equal(config_duration(r->c, "sync_timeout"), 1800);
    assert_int_equal(config_duration(r->c, "sync_reconnect_maxwait"), 1200);
    assert_int_equal(config_duration(r->c, "archive_after"), 7 * 86400);
    assert_int_equal(config_int(r->c, "archive_maxsize"), 1024 * 1024);
}

/* ---- types ---- */

static void the_configdirectory_is_put_in_at_the_front_of_strings_only(void **state)
{
    struct room *r = *state;
    assert_ok(load(r, "sync_shutdown_file: {ConfigDirectory}/stop\nsync_host: a{configdirectory}\n" CONFDIR
                      "mboxlist_db_path: {configdirectory}\nsync_realm: {configdir\n"));
    assert_string_equal(config_string(r->c, "sync_shutdown_file"), "/var/c/stop");
    assert_string_equal(config_string(r->c, "sync_host"), "a{configdirectory}");
    assert_string_equal(config_string(r->c, "mboxlist_db_path"), "/var/c");
    assert_string_equal(config_string(r->c, "sync_realm"), "{configdir");
    assert_ok(load(r, "configdirectory: {configdirectory}/x\n"));
    assert_string_equal(config_string(r->c, "configdirectory"), "{configdirectory}/x");
}

#define SET(r, option, value) load(r, CONFDIR option ": " value "\n")

static void the_first_letters_decide_a_switch(void **state)
{
    struct room *r = *state;
    static const char *const on[] = { "1", "yes", "y", "t", "tru", "on", "12", "yep # c", "only" };
    static const char *const off[] = { "0", "no", "n", "f", "off", "of", "false", "offal" };
    static const char *const bad[] = { "ON", "Yup", "F", "o", "maybe", "-1", "2", "oO" };
    char text[128];
    for (size_t i = 0; i < sizeof on / sizeof on[0]; i++) {
        snprintf(text, sizeof text, CONFDIR "hashimapspool: %s\n", on[i]);
        assert_ok(load(r, text));
        assert_true(config_switch(r->c, "hashimapspool"));
    }
    for (size_t i = 0; i < sizeof off / sizeof off[0]; i++) {
        snprintf(text, sizeof text, CONFDIR "unixhierarchysep: %s\n", off[i]);
        assert_ok(load(r, text));
        assert_false(config_switch(r->c, "unixhierarchysep"));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(text, sizeof text, CONFDIR "debug: %s\n", bad[i]);
        assert_refused(r, text, 2, "is not a switch");
    }
}

static void an_int_is_a_c_number_of_32_bits(void **state)
{
    struct room *r = *state;
    static const struct {
        const char *text;
        int64_t value;
    } good[] = { { "0x10", 16 }, { "010", 8 }, { "-3", -3 }, { "2147483647", 2147483647 } };
    static const char *const bad[] = { "5x", "x", "5 6", "2147483648", "99999999999999999999", "0x", "-" };
    char text[128];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        snprintf(text, sizeof text, CONFDIR "sync_batchsize: %s\n", good[i].text);
        assert_ok(load(r, text));
        assert_int_equal(config_int(r->c, "sync_batchsize"), good[i].value);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(text, sizeof text, CONFDIR "sync_batchsize: %s\n", bad[i]);
        assert_refused(r, text, 2, "sync_batchsize: ");
    }
}

static void an_enum_is_a_word_of_its_list_after_on_and_off_are_made_one(void **state)
{
    struct room *r = *state;
    assert_ok(SET(r, "virtdomains", "yes"));
    assert_string_equal(config_string(r->c, "virtdomains"), "on");
    assert_ok(SET(r, "virtdomains", "f"));
    assert_string_equal(config_string(r->c, "virtdomains"), "off");
    assert_ok(SET(r, "virtdomains", "userid"));
    assert_string_equal(config_string(r->c, "virtdomains"), "userid");
    assert_refused(r, CONFDIR "virtdomains: USERID\n", 2, "virtdomains: 'USERID' is none of: off userid on");
    assert_refused(r, CONFDIR "virtdomains: off userid\n", 2, "is none of");
    assert_refused(r, CONFDIR "delete_mode: on\n", 2, "is none of");
    assert_refused(r, CONFDIR "sync_compress: 1x\n", 2, "is none of: auto on off");
}

static void a_word_and_a_list_of_words_come_from_theirs(void **state)
{
    struct room *r = *state;
    assert_ok(SET(r, "mboxlist_db", "skiplist"));
    assert_string_equal(config_string(r->c, "mboxlist_db"), "skiplist");
    assert_refused(r, CONFDIR "mboxlist_db: flatskip\n", 2, "mboxlist_db: 'flatskip' is none of");
    assert_ok(SET(r, "metapartition_files", "index \t header"));
    assert_string_equal(config_string(r->c, "metapartition_files"), "index header");
    assert_refused(r, CONFDIR "metapartition_files: index Header\n", 2, "'Header' is none of");
}

static void a_duration_adds_its_parts_up(void **state)
{
    struct room *r = *state;
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {
        { "5", 5 },       { "-5", -5 },          { "1h30m5s", 5405 }, { "1h30", 3630 },
        { "2d", 172800 }, { "-1m1", -61 },       { "0", 0 },          { "1s1s", 2 },
        { "2147483647", 2147483647 },
    };
    static const char *const bad[] = { "5m 3s", "5M", "5x", "m", "-", "--5", "+5", "5-5", "2147483648",
                                       "99999999d", "99999999999999999999", "999999999999999999d" };
    char text[128];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        snprintf(text, sizeof text, CONFDIR "sync_timeout: %s\n", good[i].text);
        assert_ok(load(r, text));
        assert_int_equal(config_duration(r->c, "sync_timeout"), good[i].value);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(text, sizeof text, CONFDIR "sync_timeout: %s\n", bad[i]);
        assert_refused(r, text, 2, "sync_timeout: ");
    }
    assert_ok(SET(r, "archive_after", "2"));
    assert_int_equal(config_duration(r->c, "archive_after"), 2 * 86400);
    assert_ok(SET(r, "archive_days", "3"));
    assert_int_equal(config_duration(r->c, "archive_after"), 3 * 86400);
}

static void a_bytesize_has_a_unit_or_the_options_own(void **state)
{
    struct room *r = *state;
    static const struct {
        const char *text;
        int64_t value;
    } good[] = { { "2", 2048 },       { "2M", 2 << 20 }, { "1 GiB", 1 << 30 }, { "512 B", 512 },
                 { "3KB", 3 * 1024 }, { "-1K", -1024 } };
    static const char *const bad[] = { "2X", "M", "2 M x", "2MM", "9999999999G", "-", "1.5M" };
    char text[128];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        snprintf(text, sizeof text, CONFDIR "archive_maxsize: %s\n", good[i].text);
        assert_ok(load(r, text));
        assert_int_equal(config_int(r->c, "archive_maxsize"), good[i].value);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(text, sizeof text, CONFDIR "archive_maxsize: %s\n", bad[i]);
        assert_refused(r, text, 2, "archive_maxsize: ");
    }
}

static void the_default_partition_is_folded_and_plain(void **state)
{
    struct room *r = *state;
    assert_ok(SET(r, "defaultpartition", "Part1"));
    assert_string_equal(config_string(r->c, "defaultpartition"), "part1");
    assert_err(SET(r, "defaultpartition", "a-b"), ERR_CONFIG, "defaultpartition: 'a-b' has other characters");
}

/* ---- channels ---- */

static void a_channels_setting_beats_the_plain_one(void **state)
{
    struct room *r = *state;
    assert_ok(load(r, CONFDIR "sync_host: all\nsync_client_sync_host: ours\neast_sync_host: e\n"
                              "sync_client_east_sync_port: 1\neast_sync_port: 2\nsync_port: 3\n"
                              "east_sync_timeout: 2m\n"));
    assert_ok(config_check_channel(r->c, "east"));
    assert_string_equal(config_channel_string(r->c, "east", "sync_host"), "e");
    assert_string_equal(config_channel_string(r->c, "west", "sync_host"), "ours");
    assert_string_equal(config_channel_string(r->c, NULL, "sync_host"), "ours");
    assert_string_equal(config_channel_string(r->c, "east", "sync_port"), "1");
    assert_string_equal(config_channel_string(r->c, "west", "sync_port"), "3");
    assert_int_equal(config_channel_duration(r->c, "east", "sync_timeout"), 120);
    assert_int_equal(config_channel_duration(r->c, "west", "sync_timeout"), 1800);
    assert_int_equal(config_channel_int(r->c, "east", "sync_batchsize"), 8192);
}

static void channel_names_match_without_regard_to_case(void **state)
{
    struct room *r = *state;
    assert_ok(load(r, CONFDIR "East_sync_host: e\n"));
    assert_string_equal(config_channel_string(r->c, "EAST", "sync_host"), "e");
    assert_string_equal(config_channel_string(r->c, "east", "sync_host"), "e");
}

static void overrides_are_typed_like_plain_options(void **state)
{
    struct room *r = *state;
    assert_ok(load(r, CONFDIR "sync_try_imap: no\na_sync_try_imap: yes\nb_sync_try_imap: on\n"
                              "c_sync_shutdown_file: {configdirectory}/c\n"
                              "sync_client_d_sync_host: {configdirectory}/s\n"));
    assert_true(config_channel_switch(r->c, "a", "sync_try_imap"));
    assert_true(config_channel_switch(r->c, "b", "sync_try_imap"));
    assert_false(config_channel_switch(r->c, "c", "sync_try_imap"));
    assert_string_equal(config_channel_string(r->c, "c", "sync_shutdown_file"), "/var/c/c");
    assert_string_equal(config_channel_string(r->c, "d", "sync_host"), "/var/c/s");
}

static void an_override_is_read_as_its_option_is(void **state)
{
    struct room *r = *state;
    assert_ok(load(r, "configdirectory: /var/c\nsync_compress: auto\neast_sync_compress: no\n"
                      "sync_client_west_sync_compress: yes\n"));
    assert_ok(config_check_channel(r->c, "east"));
    assert_string_equal(config_channel_string(r->c, "east", "sync_compress"), "off");
    assert_string_equal(config_channel_string(r->c, "west", "sync_compress"), "on");
    assert_string_equal(config_channel_string(r->c, NULL, "sync_compress"), "auto");
}

static void a_malformed_override_is_refused_when_its_channel_is_used(void **state)
{
    struct room *r = *state;
    assert_ok(load(r, CONFDIR "\na_sync_repeat_interval: soon\nsync_repeat_interval: 4\n"
                              "b_sync_compress: perhaps\n"));
    assert_ok(config_check_channel(r->c, "west"));
    assert_ok(config_check_channel(r->c, NULL));
    assert_err(config_check_channel(r->c, "A"), ERR_CONFIG,
               "imapd.conf:3: a_sync_repeat_interval: sync_repeat_interval: 'soon' is not a duration");
    assert_err(config_check_channel(r->c, "b"), ERR_CONFIG, "imapd.conf:5: b_sync_compress");
    assert_int_equal(config_channel_duration(r->c, "a", "sync_repeat_interval"), 4);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_backslash_before_the_newline_joins_lines_as_they_are),
        TEST(a_backslash_at_the_end_of_the_file_joins_nothing),
        TEST(blank_lines_and_comments_are_ignored_but_not_behind_a_value),
        TEST(keys_are_folded_and_blanks_around_the_value_removed),
        TEST(a_key_needs_its_colon_at_once),
        TEST(faults_are_placed_at_the_first_of_joined_lines),
        TEST(an_empty_value_is_refused),
        TEST(a_nul_byte_is_refused),
        TEST(lines_may_have_any_length),
        TEST(an_included_file_is_as_if_pasted),
        TEST(a_fault_in_an_included_file_is_placed_there),
        TEST(a_file_is_included_only_once),
        TEST(other_directives_and_missing_files_are_refused),
        TEST(cyrus_prefix_is_tried_first),
        TEST(the_configdirectory_is_required),
        TEST(the_idents_own_setting_beats_the_generic_one_in_any_order),
        TEST(a_generic_setting_behind_the_idents_own_is_not_even_read),
        TEST(the_same_key_twice_is_refused),
        TEST(unknown_keys_are_kept_and_the_idents_own_found_first),
        TEST(an_old_name_sets_the_option_unless_the_new_one_does),
        TEST(what_is_not_set_has_its_default),
        TEST(the_configdirectory_is_put_in_at_the_front_of_strings_only),
        TEST(the_first_letters_decide_a_switch),
        TEST(an_int_is_a_c_number_of_32_bits),
        TEST(an_enum_is_a_word_of_its_list_after_on_and_off_are_made_one),
        TEST(a_word_and_a_list_of_words_come_from_theirs),
        TEST(a_duration_adds_its_parts_up),
        TEST(a_bytesize_has_a_unit_or_the_options_own),
        TEST(the_default_partition_is_folded_and_plain),
        TEST(a_channels_setting_beats_the_plain_one),
        TEST(channel_names_match_without_regard_to_case),
        TEST(overrides_are_typed_like_plain_options),
        TEST(an_override_is_read_as_its_option_is),
        TEST(a_malformed_override_is_refused_when_its_channel_is_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
