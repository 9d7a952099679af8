/* The unchanged test of spec/algorithm.md §3.2: one test a field, and what must not count. */
#include "build.h"

static enum mailbox_verdict verdict(const struct mailbox_header *m, const struct replica_mailbox *r,
                                    const char **what)
{
    return diff_mailbox(m, slice_str(""), r, true, what);
}

static void assert_differs(const struct mailbox_header *m, const struct replica_mailbox *r, const char *field)
{
    const char *what;
    assert_int_equal(verdict(m, r, &what), MAILBOX_UPDATE);
    assert_string_equal(what, field);
}

static void a_mailbox_in_step_is_unchanged(void **state)
{
    (void)state;
    struct mailbox_header m = master();
    struct replica_mailbox r = in_step_with(&m);
    const char *what;
    assert_int_equal(verdict(&m, &r, &what), MAILBOX_UNCHANGED);
    assert_null(what);
}

static void a_mailbox_unknown_to_the_replica_is_sent(void **state)
{
    (void)state;
    struct mailbox_header m = master();
    assert_differs(&m, NULL, "new");
}

static void every_compared_field_alone_makes_a_difference(void **state)
{
    (void)state;
    struct mailbox_header m = master();
    struct replica_mailbox same = in_step_with(&m), r;
#define DIFFERS(change, field) r = same; r.change; assert_differs(&m, &r, field)
    DIFFERS(last_uid = 8, "LAST_UID");
    DIFFERS(highestmodseq = 19, "HIGHESTMODSEQ");
    DIFFERS(uidvalidity = 999, "UIDVALIDITY");
    DIFFERS(recentuid = 8, "RECENTUID");
    DIFFERS(recenttime = 49, "RECENTTIME");
    DIFFERS(pop3_last_login = 1, "POP3_LAST_LOGIN");
    DIFFERS(pop3_show_after = 1, "POP3_SHOW_AFTER");
    DIFFERS(options = slice_str("PS"), "OPTIONS");
    DIFFERS(foldermodseq = 2, "FOLDERMODSEQ");
    DIFFERS(acl = slice_str("fred\tlr\t"), "ACL");
    DIFFERS(type = slice_str("c"), "MBOXTYPE");
    m.raclmodseq = 5;
    DIFFERS(raclmodseq = 6, "RACLMODSEQ");
    m.xconvmodseq = 5;
    DIFFERS(raclmodseq = 5; r.xconvmodseq = 4, "XCONVMODSEQ");
#undef DIFFERS
}

static void sums_alone_are_told_apart(void **state)
{
    (void)state;
    struct mailbox_header m = master();
    struct replica_mailbox r = in_step_with(&m);
    const char *what;
    r.sync_crc = 78;
    assert_int_equal(verdict(&m, &r, &what), MAILBOX_SUMS);
    assert_string_equal(what, "SYNC_CRC");
    r = in_step_with(&m);
    r.sync_crc_annot = 89;
    assert_int_equal(verdict(&m, &r, &what), MAILBOX_SUMS);
    assert_string_equal(what, "SYNC_CRC_ANNOT");
    m.recentuid = 10; /* something that an update settles */
    assert_int_equal(verdict(&m, &r, &what), MAILBOX_UPDATE);
}

static void a_replicas_own_conversations_may_be_ahead(void **state)
{
    (void)state;
    struct mailbox_header m = master();
    struct replica_mailbox r = in_step_with(&m);
    m.xconvmodseq = 5;
    r.xconvmodseq = 6;
    assert_int_equal(verdict(&m, &r, NULL), MAILBOX_UNCHANGED);
    m.recentuid = 10;
    assert_int_equal(verdict(&m, &r, NULL), MAILBOX_UPDATE);
    assert_null(diff_replica_is_ahead(&m, &r));
    r = in_step_with(&m); /* a replica without conversations says none */
    assert_int_equal(verdict(&m, &r, NULL), MAILBOX_UNCHANGED);
}

static void zero_matches_every_crc_and_unsaid_values_are_not_compared(void **state)
{
    (void)state;
    struct mailbox_header m = master();
    struct replica_mailbox r = in_step_with(&m);
    r.sync_crc = r.sync_crc_annot = 0;
    r.foldermodseq = 0;
    m.raclmodseq = 4;
    r.options = slice_str("PZ"); /* a letter of a later version */
    r.type = slice_str("e");
    assert_int_equal(verdict(&m, &r, NULL), MAILBOX_UNCHANGED);
}

static void reverse_acl_counters_do_not_count_without_the_option(void **state)
{
    (void)state;
    struct mailbox_header m = master();
    struct replica_mailbox r = in_step_with(&m);
    m.raclmodseq = 4;
    r.raclmodseq = 5;
    assert_int_equal(diff_mailbox(&m, slice_str(""), &r, false, NULL), MAILBOX_UNCHANGED);
}

static void annotations_are_compared_by_entry_user_and_value_but_not_modseq(void **state)
{
    (void)state;
    struct mailbox_header m = master();
    struct replica_mailbox r = in_step_with(&m);
    struct annotation here = { slice_str("/comment"), slice_str(""), slice_str("x"), 5 };
    struct annotation there = here;
    there.modseq = 9;
    m.annotations = (struct annotation_list){ &here, 1 };
    assert_differs(&m, &r, "ANNOTATIONS");
    r.annotations = (struct annotation_list){ &there, 1 };
    assert_int_equal(verdict(&m, &r, NULL), MAILBOX_UNCHANGED);
    there.value = slice_str("y");
    assert_differs(&m, &r, "ANNOTATIONS");
}

static void a_replica_that_is_ahead_needs_a_full_comparison(void **state)
{
    (void)state;
    struct mailbox_header m = master();
    struct replica_mailbox same = in_step_with(&m), r = same;
    const char *what;
    r.highestmodseq = 21;
    assert_int_equal(verdict(&m, &r, &what), MAILBOX_AHEAD);
    assert_string_equal(what, "HIGHESTMODSEQ");
    r = same;
    r.uidvalidity = 1001;
    assert_int_equal(verdict(&m, &r, NULL), MAILBOX_AHEAD);
    r = same;
    r.last_uid = 10;
    assert_int_equal(verdict(&m, &r, NULL), MAILBOX_AHEAD);
}

static void expunges_forgotten_since_the_replicas_state_need_a_full_comparison(void **state)
{
    (void)state;
    struct mailbox_header m = master();
    struct replica_mailbox r = in_step_with(&m);
    r.highestmodseq = 10;
    m.deletedmodseq = 11;
    assert_int_equal(verdict(&m, &r, NULL), MAILBOX_FORGOTTEN);
    m.deletedmodseq = 10;
    assert_int_equal(verdict(&m, &r, NULL), MAILBOX_UPDATE);
}

static void an_empty_shell_on_the_replica_can_have_nothing_forgotten(void **state)
{
    (void)state;
    struct mailbox_header m = master();
    struct replica_mailbox r = in_step_with(&m);
    r.highestmodseq = 10;
    r.last_uid = 0;
    m.deletedmodseq = 11;
    assert_int_equal(verdict(&m, &r, NULL), MAILBOX_UPDATE);
}

static void a_merged_header_has_the_higher_of_each_counter(void **state)
{
    (void)state;
    struct mailbox_header m = master(), out;
    struct replica_mailbox r = in_step_with(&m);
    r.foldermodseq = m.entry.foldermodseq = 5;
    out = diff_merged_header(&m, &r);
    assert_memory_equal(&out, &m, sizeof m);
    r.highestmodseq++;
    r.uidvalidity++;
    r.last_uid++;
    r.foldermodseq++;
    out = diff_merged_header(&m, &r);
    assert_int_equal(out.highestmodseq, r.highestmodseq);
    assert_int_equal(out.uidvalidity, r.uidvalidity);
    assert_int_equal(out.last_uid, r.last_uid);
    assert_int_equal(out.entry.foldermodseq, r.foldermodseq);
    r.highestmodseq = r.foldermodseq = r.uidvalidity = r.last_uid = 0;
    out = diff_merged_header(&m, &r);
    assert_memory_equal(&out, &m, sizeof m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mailbox_in_step_is_unchanged),
        cmocka_unit_test(a_mailbox_unknown_to_the_replica_is_sent),
        cmocka_unit_test(every_compared_field_alone_makes_a_difference),
        cmocka_unit_test(sums_alone_are_told_apart),
        cmocka_unit_test(a_replicas_own_conversations_may_be_ahead),
        cmocka_unit_test(zero_matches_every_crc_and_unsaid_values_are_not_compared),
        cmocka_unit_test(reverse_acl_counters_do_not_count_without_the_option),
        cmocka_unit_test(annotations_are_compared_by_entry_user_and_value_but_not_modseq),
        cmocka_unit_test(a_replica_that_is_ahead_needs_a_full_comparison),
        cmocka_unit_test(expunges_forgotten_since_the_replicas_state_need_a_full_comparison),
        cmocka_unit_test(an_empty_shell_on_the_replica_can_have_nothing_forgotten),
        cmocka_unit_test(a_merged_header_has_the_higher_of_each_counter),
    };
    return cmocka_run_group_tests_name("diff: mailbox", tests, NULL, NULL);
}
