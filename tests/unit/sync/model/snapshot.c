/* A mailbox of the model in the project's own terms (fansync/snapshot.h). */
#include "model.h"

#include "fansync/mem.h"
#include "fansync/sync_crc.h"

static struct annotation_list annotations(struct arena *a, const struct model_annots *l)
{
    struct annotation_list out = { arena_array(a, l->n, sizeof *out.a), l->n };
    for (size_t i = 0; i < l->n; i++)
        out.a[i] = (struct annotation){ slice_str(l->a[i].entry), slice_str(l->a[i].userid),
                                        slice_str(l->a[i].value), l->a[i].modseq };
    return out;
}

void model_records(struct arena *a, const struct model_mailbox *m, uint64_t since_modseq, uint32_t since_uid,
                   struct records *out)
{
    records_make(a, m->n, out);
    out->annotations = arena_array(a, m->n, sizeof *out->annotations);
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++) {
        const struct model_record *r = &m->rec[i];
        if (r->modseq <= since_modseq && r->uid <= since_uid)
            continue;
        out->uid[n] = r->uid;
        out->modseq[n] = r->modseq;
        out->last_updated[n] = r->last_updated;
        out->internaldate[n] = r->internaldate;
        out->size[n] = r->size;
        out->flags[n] = r->flags;
        out->userflags[n][0] = r->userflags;
        out->guid[n] = r->guid;
        out->cid[n] = r->cid;
        out->savedate[n] = r->savedate;
        out->createdmodseq[n] = r->createdmodseq;
        out->annotations[n] = annotations(a, &r->annots);
        n++;
    }
    out->n = n;
}

static void fill_header(struct arena *a, const struct model_mailbox *m, struct mailbox_header *out)
{
    size_t live = model_live(m);
    *out = (struct mailbox_header){
        .entry = { slice_str(m->name), slice_str(m->uniqueid), slice_str(m->partition), slice_str(m->acl), 'e', 0,
                   m->uidvalidity, m->createdmodseq, m->foldermodseq },
        .minor = MODEL_MINOR, .num_records = (uint32_t)m->n, .exists = (uint32_t)live, .last_uid = m->last_uid,
        .uidvalidity = m->uidvalidity, .recentuid = m->recentuid,
        .options = m->options | (live ? 0 : MBOPT_POP3_NEW_UIDL), .highestmodseq = m->highestmodseq,
        .deletedmodseq = m->deletedmodseq, .createdmodseq = m->createdmodseq, .recenttime = m->recenttime,
        .last_appenddate = m->last_appenddate, .pop3_last_login = m->pop3_last_login,
        .pop3_show_after = m->pop3_show_after, .nuserflags = m->nuserflags,
        .userflags = arena_array(a, m->nuserflags, sizeof *out->userflags),
        .annotations = annotations(a, &m->annots),
    };
    for (size_t i = 0; i < m->nuserflags; i++)
        out->userflags[i] = slice_str(m->userflag[i]);
}

uint32_t model_annot_crc(const struct model_host *h, const struct sync_crcs *c)
{
    return sync_crc_annot(c, h->long_thrid);
}

struct sync_crcs model_crcs(const struct model_mailbox *m)
{
    struct arena a = ARENA_INIT;
    struct mailbox_header h;
    struct records rec;
    fill_header(&a, m, &h);
    model_records(&a, m, 0, 0, &rec);
    struct sync_crcs c = sync_crc_compute(&h, &rec);
    arena_free(&a);
    return c;
}

void model_header(struct arena *a, const struct model_host *h, const struct model_mailbox *m,
                  struct mailbox_header *out)
{
    fill_header(a, m, out);
    struct sync_crcs c = model_crcs(m);
    out->sync_crc = c.basic;
    out->sync_crc_annot = model_annot_crc(h, &c);
    if (h->conversations)
        out->xconvmodseq = m->xconvmodseq;
    const struct model_quota *q = model_is_deleted_name(m->name) ? NULL : model_quota_of(h, m->name);
    if (q)
        out->quotaroot = slice_str(q->root);
}
