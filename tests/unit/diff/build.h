/* Small builders for the diff core's tests: a master mailbox, what a replica that is in
 * step with it says, and records. */
#ifndef FANSYNC_TEST_DIFF_BUILD_H
#define FANSYNC_TEST_DIFF_BUILD_H

#include "fansync/diff.h"
#include "../test.h"

static inline struct mailbox_header master(void)
{
    struct mailbox_header m;
    memset(&m, 0, sizeof m);
    m.entry.name = slice_str("user.fred");
    m.entry.uniqueid = slice_str("id1");
    m.entry.partition = slice_str("default");
    m.entry.acl = slice_str("fred\tlrswipkxtecdan\t");
    m.entry.kind = 'e';
    m.entry.foldermodseq = 3;
    m.exists = 5;
    m.last_uid = 9;
    m.highestmodseq = 20;
    m.uidvalidity = 1000;
    m.recentuid = 9;
    m.recenttime = 50;
    m.options = MBOPT_POP3_NEW_UIDL;
    m.sync_crc = 77;
    m.sync_crc_annot = 88;
    return m;
}

static inline struct replica_mailbox in_step_with(const struct mailbox_header *m)
{
    struct replica_mailbox r;
    memset(&r, 0, sizeof r);
    r.name = m->entry.name;
    r.uniqueid = m->entry.uniqueid;
    r.partition = m->entry.partition;
    r.acl = m->entry.acl;
    r.options = slice_str("P");
    r.sync_crc = m->sync_crc;
    r.sync_crc_annot = m->sync_crc_annot;
    r.last_uid = m->last_uid;
    r.uidvalidity = m->uidvalidity;
    r.recentuid = m->recentuid;
    r.highestmodseq = m->highestmodseq;
    r.foldermodseq = m->entry.foldermodseq;
    r.recenttime = m->recenttime;
    r.pop3_last_login = m->pop3_last_login;
    r.pop3_show_after = m->pop3_show_after;
    return r;
}

/* n records, uid 1.., modseq as given. */
static inline struct records records_of(struct arena *a, size_t n, const uint64_t *modseq)
{
    struct records rec;
    records_make(a, n, &rec);
    for (size_t i = 0; i < n; i++) {
        rec.uid[i] = (uint32_t)i + 1;
        rec.modseq[i] = modseq[i];
    }
    return rec;
}

#endif
