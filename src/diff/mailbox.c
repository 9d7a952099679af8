/*
 * Comparison of one mailbox's summary with the replica's (spec/algorithm.md §3): the
 * cheap test that decides between "nothing" and "one MAILBOX command". Pure.
 */
#include "fansync/diff.h"

#include <string.h>

static uint32_t option_bits(struct slice letters)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < letters.n; i++)
        switch (letters.p[i]) {
        case 'P': bits |= MBOPT_POP3_NEW_UIDL; break;
        case 'S': bits |= MBOPT_SHARED_SEEN; break;
        case 'D': bits |= MBOPT_DUPLICATE_DELIVER; break;
        case 'A': bits |= MBOPT_HAS_ALARMS; break;
        default: break; /* letters of later versions are not ours to compare */
        }
    return bits;
}

bool diff_annotations_equal(const struct annotation_list *x, const struct annotation_list *y)
{
    if (x->n != y->n)
        return false;
    for (size_t i = 0; i < x->n; i++)
        if (!slice_eq(x->a[i].entry, y->a[i].entry) || !slice_eq(x->a[i].userid, y->a[i].userid) ||
            !slice_eq(x->a[i].value, y->a[i].value))
            return false;
    return true;
}

/* Equal, or not said by one side: 0 matches everything. */
static bool same_or_unsaid(uint64_t x, uint64_t y)
{
    return x == y || x == 0 || y == 0;
}

/* "e", "" and a missing MBOXTYPE are the same plain mailbox. */
static bool types_equal(struct slice x, struct slice y)
{
    if (slice_eqs(x, "e"))
        x.n = 0;
    if (slice_eqs(y, "e"))
        y.n = 0;
    return slice_eq(x, y);
}

static const char *first_difference(const struct mailbox_header *m, struct slice type,
                                    const struct replica_mailbox *r, bool reverseacls)
{
    if (!types_equal(type, r->type))
        return "MBOXTYPE";
    if (m->last_uid != r->last_uid)
        return "LAST_UID";
    if (m->highestmodseq != r->highestmodseq)
        return "HIGHESTMODSEQ";
    if (m->uidvalidity != r->uidvalidity)
        return "UIDVALIDITY";
    if (m->recentuid != r->recentuid)
        return "RECENTUID";
    if (m->recenttime != r->recenttime)
        return "RECENTTIME";
    if (m->pop3_last_login != r->pop3_last_login)
        return "POP3_LAST_LOGIN";
    if (m->pop3_show_after != r->pop3_show_after)
        return "POP3_SHOW_AFTER";
    if (m->options != option_bits(r->options))
        return "OPTIONS";
    /* A replica keeps its own if that is higher: only a change of the master's can help. */
    if (r->foldermodseq != 0 && m->entry.foldermodseq > r->foldermodseq)
        return "FOLDERMODSEQ";
    if (!slice_eq(m->entry.acl, r->acl))
        return "ACL";
    if (reverseacls && !same_or_unsaid(m->raclmodseq, r->raclmodseq))
        return "RACLMODSEQ";
    /* A replica's own conversations may be ahead, which does no harm. */
    if (r->xconvmodseq != 0 && m->xconvmodseq > r->xconvmodseq)
        return "XCONVMODSEQ";
    if (!diff_annotations_equal(&m->annotations, &r->annotations))
        return "ANNOTATIONS";
    if (!same_or_unsaid(m->sync_crc, r->sync_crc))
        return "SYNC_CRC";
    if (!same_or_unsaid(m->sync_crc_annot, r->sync_crc_annot))
        return "SYNC_CRC_ANNOT";
    return NULL;
}

/* What the replica would refuse with CHECKSUM (§5.3 no. 6), found before it is asked. XCONVMODSEQ is not among
 * them: left out of a command, it is not looked at. */
const char *diff_replica_is_ahead(const struct mailbox_header *m, const struct replica_mailbox *r)
{
    if (r->highestmodseq > m->highestmodseq)
        return "HIGHESTMODSEQ";
    if (r->uidvalidity > m->uidvalidity)
        return "UIDVALIDITY";
    if (r->last_uid > m->last_uid)
        return "LAST_UID";
    return NULL;
}

struct mailbox_header diff_merged_header(const struct mailbox_header *m, const struct replica_mailbox *r)
{
    struct mailbox_header out = *m;
    if (r->highestmodseq > m->highestmodseq)
        out.highestmodseq = r->highestmodseq;
    if (r->uidvalidity > m->uidvalidity)
        out.uidvalidity = r->uidvalidity;
    if (r->last_uid > m->last_uid)
        out.last_uid = r->last_uid;
    if (r->foldermodseq > m->entry.foldermodseq)
        out.entry.foldermodseq = r->foldermodseq;
    return out;
}

enum mailbox_verdict diff_mailbox(const struct mailbox_header *m, struct slice type,
                                  const struct replica_mailbox *r, bool reverseacls, const char **what)
{
    const char *ignored;
    what = what ? what : &ignored;
    *what = NULL;
    if (!r) {
        *what = "new";
        return MAILBOX_UPDATE;
    }
    *what = first_difference(m, type, r, reverseacls);
    if (!*what)
        return MAILBOX_UNCHANGED;
    const char *ahead = diff_replica_is_ahead(m, r);
    if (ahead) {
        *what = ahead;
        return MAILBOX_AHEAD;
    }
    /* An empty replica holds nothing that could have been forgotten. */
    if (r->last_uid > 0 && m->deletedmodseq > r->highestmodseq) {
        *what = "DELETEDMODSEQ";
        return MAILBOX_FORGOTTEN;
    }
    return strncmp(*what, "SYNC_CRC", 8) == 0 ? MAILBOX_SUMS : MAILBOX_UPDATE;
}
