/* A replica's answers as plain structures (sync/state.h); lines as a real 3.6.1 writes them. */
#include "../test.h"

#include "sync/state.h"

static struct err *add(struct arena *a, struct replica_state *s, const char *key, const char *value)
{
    struct dlist *d;
    assert_ok(dlist_parse(a, slice_str(value), &d));
    d->key = slice_str(key);
    return state_add_line(a, s, d);
}

static const char mailbox[] =
    "%(UNIQUEID q9wq MBOXNAME user.u0000 SYNC_CRC 3380746606 SYNC_CRC_ANNOT 2182774863 LAST_UID 3 "
    "HIGHESTMODSEQ 4 RECENTUID 2 RECENTTIME 5 LAST_APPENDDATE 1795442847 POP3_LAST_LOGIN 6 POP3_SHOW_AFTER 7 "
    "UIDVALIDITY 1795442848 PARTITION default ACL \"u0000\tlrswipkxtecdan\t\" OPTIONS P QUOTAROOT user.u0000 "
    "CREATEDMODSEQ 1 FOLDERMODSEQ 8 XCONVMODSEQ 9 RACLMODSEQ 10 FUTURE (a %(b c)) "
    "ANNOTATIONS (%(ENTRY /b USERID \"\" MODSEQ 1 VALUE v1) %(ENTRY /a USERID u MODSEQ 2 VALUE \"v 2\")))";

static void a_mailbox_line_gives_every_field_and_annotations_in_order(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct replica_state s;
    memset(&s, 0, sizeof s);
    assert_ok(add(&a, &s, "MAILBOX", mailbox));
    assert_int_equal(s.mailboxes.n, 1);
    const struct replica_mailbox *m = &s.mailboxes.m[0];
    assert_slice(m->name, "user.u0000");
    assert_slice(m->uniqueid, "q9wq");
    assert_slice(m->partition, "default");
    assert_slice(m->acl, "u0000\tlrswipkxtecdan\t");
    assert_slice(m->options, "P");
    assert_slice(m->type, "");
    assert_true(m->sync_crc == 3380746606u && m->sync_crc_annot == 2182774863u);
    assert_true(m->last_uid == 3 && m->highestmodseq == 4 && m->recentuid == 2 && m->recenttime == 5);
    assert_true(m->pop3_last_login == 6 && m->pop3_show_after == 7 && m->uidvalidity == 1795442848u);
    assert_true(m->foldermodseq == 8 && m->xconvmodseq == 9 && m->raclmodseq == 10);
    assert_int_equal(m->annotations.n, 2);
    assert_slice(m->annotations.a[0].entry, "/a");
    assert_slice(m->annotations.a[0].value, "v 2");
    assert_slice(m->annotations.a[1].entry, "/b");
    arena_free(&a);
}

/* A peer may say LSUB as often as it likes. */
static void subscriptions_of_several_lines_are_all_kept(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct replica_state s;
    memset(&s, 0, sizeof s);
    for (int i = 0; i < 2000; i++)
        assert_ok(add(&a, &s, "LSUB", "(user.a user.b)"));
    assert_int_equal(s.subscriptions.n, 4000);
    assert_slice(s.subscriptions.name[0], "user.a");
    assert_slice(s.subscriptions.name[3999], "user.b");
    arena_free(&a);
}

static void what_is_written_of_a_mailbox_is_read_again(void **state)
{
    static const char text[] =
        "%(UNIQUEID id MBOXNAME user.a LAST_UID 1 HIGHESTMODSEQ 2 UIDVALIDITY 3 RECENTUID 4 RECENTTIME 5 ACL "
        "\"a\tlr\t\" OPTIONS P MBOXTYPE f PARTITION two QUOTAROOT user SYNC_CRC 6 SYNC_CRC_ANNOT 7 POP3_LAST_LOGIN 8 "
        "POP3_SHOW_AFTER 9 CREATEDMODSEQ 10 FOLDERMODSEQ 11 XCONVMODSEQ 12 RACLMODSEQ 13 ANNOTATIONS "
        "(%(ENTRY /a USERID \"\" MODSEQ 14 VALUE v1) %(ENTRY /b USERID u MODSEQ 15 VALUE v2)))";
    struct arena a = ARENA_INIT;
    struct buf b = BUF_INIT;
    struct replica_mailbox m = { .uidvalidity = 0 };
    struct dlist *d;
    (void)state;
    assert_ok(dlist_parse(&a, slice_str(text), &d));
    assert_ok(state_read_mailbox(&a, d, &m));
    state_write_mailbox(&b, &m);
    assert_string_equal(buf_cstr(&b), text);
    buf_free(&b);
    arena_free(&a);
}

static void what_a_mailbox_has_not_is_not_written(void **state)
{
    struct buf b = BUF_INIT;
    struct replica_mailbox m = { .uniqueid = slice_str("id"), .name = slice_str("user.a") };
    (void)state;
    state_write_mailbox(&b, &m);
    assert_null(strstr(buf_cstr(&b), "PARTITION"));
    assert_null(strstr(buf_cstr(&b), "QUOTAROOT"));
    assert_string_equal(strstr(buf_cstr(&b), "ANNOTATIONS"), "ANNOTATIONS ())");
    buf_free(&b);
}

static void an_intermediate_has_no_partition(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct replica_state s;
    memset(&s, 0, sizeof s);
    assert_ok(add(&a, &s, "MAILBOX",
                  "%(UNIQUEID i MBOXNAME user.a.b MBOXTYPE ei SYNC_CRC 0 LAST_UID 0 HIGHESTMODSEQ 0 RECENTUID 0 "
                  "RECENTTIME 0 LAST_APPENDDATE 0 POP3_LAST_LOGIN 0 POP3_SHOW_AFTER 0 UIDVALIDITY 0 PARTITION NIL "
                  "ACL \"\" OPTIONS \"\" CREATEDMODSEQ 3 FOLDERMODSEQ 21)"));
    assert_int_equal(s.mailboxes.m[0].partition.n, 0);
    assert_slice(s.mailboxes.m[0].type, "ei");
    assert_ok(add(&a, &s, "MAILBOX", /* of 3.12 */
                  "%(UNIQUEID NIL MBOXNAME user.a.c MBOXTYPE ei SYNC_CRC 0 LAST_UID 0 HIGHESTMODSEQ 0 RECENTUID 0 "
                  "RECENTTIME 0 LAST_APPENDDATE 0 POP3_LAST_LOGIN 0 POP3_SHOW_AFTER 0 UIDVALIDITY 0 PARTITION NIL "
                  "ACL \"\" OPTIONS \"\")"));
    assert_slice(s.mailboxes.m[1].uniqueid, "");
    assert_true(replica_is_intermediate(&s.mailboxes.m[1]));
    arena_free(&a);
}

static void a_mailbox_without_a_mandatory_key_is_a_protocol_error_that_names_it(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct replica_state s;
    memset(&s, 0, sizeof s);
    assert_err(add(&a, &s, "MAILBOX", "%(UNIQUEID i MBOXNAME user.a LAST_UID x)"), ERR_PROTOCOL, "user.a");
    assert_err(add(&a, &s, "MAILBOX", "%(MBOXNAME user.a)"), ERR_PROTOCOL, "UNIQUEID");
    assert_err(add(&a, &s, "MAILBOX", "(a b)"), ERR_PROTOCOL, "MAILBOX");
    assert_err(add(&a, &s, "SEEN", "%(UNIQUEID i)"), ERR_PROTOCOL, "SEEN");
    arena_free(&a);
}

static void quota_limits_are_read_under_old_and_new_names_and_none_is_unlimited(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct replica_state s;
    memset(&s, 0, sizeof s);
    assert_ok(add(&a, &s, "QUOTA", "%(ROOT user.a LIMIT 4294967295 MODSEQ 12)"));
    assert_ok(add(&a, &s, "QUOTA", "%(ROOT user.b LIMIT 7 STORAGE 7 MESSAGE 3 X-ANNOTATION-STORAGE 8 X-NUM-FOLDERS 9)"));
    assert_ok(add(&a, &s, "QUOTA", "%(ROOT user.c LIMIT 7 STORAGE 7 ANNOTATION-STORAGE 8 MAILBOX 9 X-NUM-FOLDERS 9)"));
    for (int i = 0; i < QUOTA_RESOURCES; i++)
        assert_int_equal(s.quotas.q[0].limit[i], QUOTA_UNLIMITED);
    assert_int_equal(s.quotas.q[1].limit[QUOTA_STORAGE], 7);
    assert_int_equal(s.quotas.q[1].limit[QUOTA_MESSAGE], 3);
    assert_int_equal(s.quotas.q[1].limit[QUOTA_ANNOTATION], 8);
    assert_int_equal(s.quotas.q[1].limit[QUOTA_FOLDERS], 9);
    assert_int_equal(s.quotas.q[2].limit[QUOTA_ANNOTATION], 8);
    assert_int_equal(s.quotas.q[2].limit[QUOTA_FOLDERS], 9);
    assert_int_equal(s.quotas.q[2].limit[QUOTA_MESSAGE], QUOTA_UNLIMITED);
    arena_free(&a);
}

static void subscriptions_seen_states_and_unknown_lines(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct replica_state s;
    memset(&s, 0, sizeof s);
    assert_ok(add(&a, &s, "LSUB", "(user.a \"user.a.b c\")"));
    assert_int_equal(s.subscriptions.n, 2);
    assert_slice(s.subscriptions.name[1], "user.a.b c");
    assert_ok(add(&a, &s, "SEEN", "%(UNIQUEID i LASTREAD 1 LASTUID 2 LASTCHANGE 3 SEENUIDS \"1:3,5:*\")"));
    assert_slice(s.seen.row[0].uids, "1:3,5:*");
    assert_ok(add(&a, &s, "FUTURE", "x"));
    arena_free(&a);
}

static void sieve_items_of_old_and_new_servers(void **state)
{
    (void)state;
    struct arena a = ARENA_INIT;
    struct replica_state s;
    memset(&s, 0, sizeof s);
    assert_ok(add(&a, &s, "SIEVE", "%(FILENAME x.script LAST_UPDATE 1795444181 GUID "
                  "1741a5f56c1cfc0f7ef3d0ad53bceb6518bfdfad ISACTIVE 0)"));
    assert_ok(add(&a, &s, "SIEVE", "%(FILENAME x.bc LAST_UPDATE 0 GUID "
                  "0000000000000000000000000000000000000000 ISACTIVE 1)"));
    assert_ok(add(&a, &s, "SIEVE", "%(FILENAME \"two words.script\")"));
    assert_int_equal(s.scripts.n, 3);
    assert_slice(s.scripts.s[0].file, "x.script");
    assert_true(s.scripts.s[0].last_update == 1795444181 && !guid_is_null(&s.scripts.s[0].guid));
    assert_true(!s.scripts.s[0].active && s.scripts.s[1].active && guid_is_null(&s.scripts.s[1].guid));
    assert_slice(s.scripts.s[2].file, "two words.script");
    assert_false(s.scripts.s[2].active);
    assert_err(add(&a, &s, "SIEVE", "%(GUID x)"), ERR_PROTOCOL, "FILENAME");
    assert_ok(add(&a, &s, "FUTURE", "x"));
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mailbox_line_gives_every_field_and_annotations_in_order),
        cmocka_unit_test(subscriptions_of_several_lines_are_all_kept),
        cmocka_unit_test(what_is_written_of_a_mailbox_is_read_again),
        cmocka_unit_test(what_a_mailbox_has_not_is_not_written),
        cmocka_unit_test(an_intermediate_has_no_partition),
        cmocka_unit_test(a_mailbox_without_a_mandatory_key_is_a_protocol_error_that_names_it),
        cmocka_unit_test(quota_limits_are_read_under_old_and_new_names_and_none_is_unlimited),
        cmocka_unit_test(subscriptions_seen_states_and_unknown_lines),
        cmocka_unit_test(sieve_items_of_old_and_new_servers),
    };
    return cmocka_run_group_tests_name("sync: state", tests, NULL, NULL);
}
