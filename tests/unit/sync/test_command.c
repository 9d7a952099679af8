/* The argument of APPLY MAILBOX as text (sync/command.c): every key, one blank between two words. */
#include "../test.h"

#include "fansync/buf.h"
#include "sync/command.h"

static struct arena arena;
static struct records rec;
static struct mailbox_header header;
static struct replica_mailbox there;
static struct mailbox_command command;
static struct slice userflags[] = { { "Work", 4 }, { "", 0 }, { "$Later", 6 } };
static struct annotation note = { { "/comment", 8 }, { "a", 1 }, { "hello", 5 }, 9 };

struct err *session_flow(struct session *s)
{
    (void)s;
    return NULL;
}

/* A plain record, one with everything, an expunged one. */
static int set_up(void **state)
{
    (void)state;
    records_make(&arena, 3, &rec);
    rec.annotations = arena_array(&arena, 3, sizeof *rec.annotations);
    for (size_t i = 0; i < 3; i++) {
        rec.uid[i] = (uint32_t)i + 1;
        rec.modseq[i] = i + 5;
        rec.last_updated[i] = (int64_t)i + 11;
        rec.internaldate[i] = (int64_t)i + 21;
        rec.size[i] = i + 31;
        rec.guid[i] = (struct guid){ { (unsigned char)(i + 1) } };
    }
    rec.flags[0] = REC_SEEN | REC_DRAFT;
    rec.flags[1] = REC_DELETED | REC_ANSWERED | REC_FLAGGED;
    rec.flags[2] = REC_EXPUNGED;
    rec.userflags[1][0] = 7; /* the second one has no name */
    rec.cid[1] = 0xabc;
    rec.savedate[1] = 99;
    rec.createdmodseq[1] = 4;
    rec.annotations[1] = (struct annotation_list){ &note, 1 };
    header = (struct mailbox_header){
        .entry = { .name = slice_str("user.a"), .uniqueid = slice_str("id"), .acl = slice_str("a"), .foldermodseq = 10 },
        .userflags = userflags, .nuserflags = 3, .last_uid = 3, .highestmodseq = 8, .uidvalidity = 41, .recentuid = 42,
        .recenttime = 43, .last_appenddate = 44, .pop3_last_login = 45, .pop3_show_after = 46, .xconvmodseq = 47,
        .raclmodseq = 48, .createdmodseq = 49, .deletedmodseq = 50, .quotaroot = slice_str("root"),
        .usergroups = slice_str("g"), .annotations = { &note, 1 },
    };
    there = (struct replica_mailbox){ .highestmodseq = 61, .sync_crc = 62, .sync_crc_annot = 63, .recentuid = 64,
                                      .recenttime = 65, .pop3_last_login = 66, .pop3_show_after = 67, .xconvmodseq = 46 };
    command = (struct mailbox_command){
        .m = &header, .rec = &rec, .type = slice_str("c"), .partition = slice_str("two"), .r = &there,
        .part = { true, 3, 8 }, .sync_crc = 71, .sync_crc_annot = 72,
    };
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static void writes(const char *want, uint64_t records)
{
    struct buf b = BUF_INIT;
    uint64_t n;
    assert_ok(mailbox_command_write(NULL, &b, &command, &n));
    assert_string_equal(buf_cstr(&b), want);
    assert_int_equal(n, records);
    buf_free(&b);
}

#define VENDOR "/vendor/cmu/cyrus-imapd/"
#define NOTE "%(ENTRY /comment USERID a MODSEQ 9 VALUE hello)"
#define ZEROS "00000000000000000000000000000000000000"
#define IDENTITY "%(UNIQUEID id MBOXNAME user.a MBOXTYPE c "
#define COMMON                                                                                                 \
    "UIDVALIDITY 41 PARTITION two ACL a OPTIONS \"\" QUOTAROOT root CREATEDMODSEQ 49 FOLDERMODSEQ 10 "         \
    "DELETEDMODSEQ 50 ANNOTATIONS (" NOTE ") USERFLAGS (Work $Later) "
#define FIRST                                                                                                  \
    "%(UID 1 MODSEQ 5 LAST_UPDATED 11 FLAGS (\\Draft \\Seen) INTERNALDATE 21 SIZE 31 GUID 01" ZEROS ")"
#define SECOND                                                                                                 \
    "%(UID 2 MODSEQ 6 LAST_UPDATED 12 FLAGS (\\Deleted \\Answered \\Flagged Work $Later) INTERNALDATE 22 SIZE 32 " \
    "GUID 02" ZEROS " ANNOTATIONS (" NOTE " %(ENTRY " VENDOR "thrid USERID \"\" MODSEQ 0 VALUE 0000000000000abc) "  \
    "%(ENTRY " VENDOR "savedate USERID \"\" MODSEQ 0 VALUE 99) "                                                \
    "%(ENTRY " VENDOR "createdmodseq USERID \"\" MODSEQ 0 VALUE 4)))"
#define THIRD                                                                                                  \
    "%(UID 3 MODSEQ 7 LAST_UPDATED 13 FLAGS (\\Expunged) INTERNALDATE 23 SIZE 33 GUID 03" ZEROS ")"
#define WHOLE                                                                                                  \
    IDENTITY "SYNC_CRC 71 SYNC_CRC_ANNOT 72 LAST_UID 3 HIGHESTMODSEQ 8 RECENTUID 42 RECENTTIME 43 "            \
    "LAST_APPENDDATE 44 POP3_LAST_LOGIN 45 POP3_SHOW_AFTER 46 XCONVMODSEQ 47 RACLMODSEQ 48 USERGROUPS g " COMMON

static void a_whole_mailbox_says_everything(void **state)
{
    (void)state;
    writes(WHOLE "RECORD (" FIRST " " SECOND " " THIRD "))", 3);
}

static void a_part_keeps_the_replicas_values_and_has_no_sums(void **state)
{
    (void)state;
    command.part = (struct record_part){ false, 2, 6 };
    writes(IDENTITY "SYNC_CRC 0 LAST_UID 2 HIGHESTMODSEQ 6 RECENTUID 64 RECENTTIME 65 LAST_APPENDDATE 0 "
           "POP3_LAST_LOGIN 66 POP3_SHOW_AFTER 67 " COMMON "RECORD (" FIRST " " SECOND "))", 2);
    command.r = NULL;
    rec.n = 0;
    writes(IDENTITY "SYNC_CRC 0 LAST_UID 2 HIGHESTMODSEQ 6 RECENTUID 0 RECENTTIME 0 LAST_APPENDDATE 0 "
           "POP3_LAST_LOGIN 0 POP3_SHOW_AFTER 0 " COMMON "RECORD ())", 0);
}

static void what_a_mailbox_has_not_is_not_said(void **state)
{
    (void)state;
    header = (struct mailbox_header){ .entry = header.entry, .xconvmodseq = 46 };
    header.entry.foldermodseq = 0;
    command.type = slice_of("", 0);
    rec.n = 0;
    writes("%(UNIQUEID id MBOXNAME user.a SYNC_CRC 71 SYNC_CRC_ANNOT 72 LAST_UID 0 HIGHESTMODSEQ 0 RECENTUID 0 "
           "RECENTTIME 0 LAST_APPENDDATE 0 POP3_LAST_LOGIN 0 POP3_SHOW_AFTER 0 UIDVALIDITY 0 PARTITION two ACL a "
           "OPTIONS \"\" USERFLAGS () RECORD ())", 0);
}

static void a_guard_names_the_state_that_the_replica_was_seen_in(void **state)
{
    (void)state;
    command.guard = true;
    rec.n = 0;
    writes(WHOLE "SINCE_MODSEQ 61 SINCE_CRC 62 SINCE_CRC_ANNOT 63 RECORD ())", 0);
}

static void records_that_the_replica_has_are_left_out_but_for_those_wanted_besides(void **state)
{
    bool also[] = { true, false, true }, hold[] = { true, false, false };
    (void)state;
    command.have = (struct record_bounds){ .since_modseq = 7, .since_uid = 3 };
    writes(WHOLE "RECORD ())", 0);
    command.also = also; /* what is expunged gets the highest modseq, so that it wins */
    writes(WHOLE "RECORD (" FIRST " %(UID 3 MODSEQ 8 LAST_UPDATED 13 FLAGS (\\Expunged) INTERNALDATE 23 SIZE 33 GUID 03"
           ZEROS ")))", 2);
    command.hold = hold;
    writes(WHOLE "RECORD (%(UID 3 MODSEQ 8 LAST_UPDATED 13 FLAGS (\\Expunged) INTERNALDATE 23 SIZE 33 GUID 03" ZEROS ")))", 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_whole_mailbox_says_everything),
        TEST(a_part_keeps_the_replicas_values_and_has_no_sums),
        TEST(what_a_mailbox_has_not_is_not_said),
        TEST(a_guard_names_the_state_that_the_replica_was_seen_in),
        TEST(records_that_the_replica_has_are_left_out_but_for_those_wanted_besides),
    };
    return cmocka_run_group_tests_name("sync: command", tests, NULL, NULL);
}
