/*
 * What users and administrators do to a host (model.h), with the effects on counters that Cyrus
 * gives each. Every edit is determined by its op and the host's state, so that a shorter list of
 * ops is a history too.
 */
#include "model.h"

#include <stdio.h>

#include "fansync/mem.h"

const char *model_user(unsigned user)
{
    static const char *const names[] = { "ann", "bob", "eve" };
    return model_str(names[user % MODEL_USERS]);
}

const char *model_partition(unsigned n)
{
    return model_str(n % 2 ? "two" : "default");
}

const char *model_box_name(unsigned user, unsigned box)
{
    static const char *const leaves[] = { "", ".A", ".B", ".C", ".D", ".E" };
    char name[64];
    snprintf(name, sizeof name, "user.%s%s", model_user(user), leaves[box % MODEL_BOXES]);
    return model_str(name);
}

static uint64_t dirty(struct model_mailbox *m)
{
    return ++m->highestmodseq;
}

/* Changes of the folder itself are numbered too. */
static void dirty_folder(struct model_mailbox *m)
{
    m->foldermodseq = dirty(m);
}

static struct model_record *pick_live(struct model_mailbox *m, unsigned arg)
{
    size_t live = model_live(m);
    if (live == 0)
        return NULL;
    size_t k = arg % live;
    for (size_t i = 0; i < m->n; i++)
        if (!(m->rec[i].flags & REC_EXPUNGED) && k-- == 0)
            return &m->rec[i];
    return NULL;
}

static void touch(struct model_host *h, struct model_mailbox *m, struct model_record *r)
{
    r->modseq = dirty(m);
    r->last_updated = model_now(h);
    model_converse(h, m, r);
}

static struct model_record *append(struct model_host *h, struct model_mailbox *m)
{
    struct model_record *r = model_append(m, ++m->last_uid);
    touch(h, m, r);
    r->createdmodseq = r->modseq;
    r->savedate = m->last_appenddate = r->internaldate = r->last_updated;
    return r;
}

static void edit_append(struct model_host *h, struct model_mailbox *m, unsigned id)
{
    struct model_record *r = append(h, m);
    r->guid = model_guid(id);
    r->size = model_size(id);
    r->cid = id % 3 ? id * 0x10001u : 0;
    r->flags = id % 4 ? 0 : REC_SEEN;
    model_converse(h, m, r);
    ledger_born(m, &r->guid, h->side);
}

static void edit_copy(struct model_host *h, struct model_mailbox *m, const struct op *op)
{
    struct model_mailbox *from = model_box(h, model_box_name(op->user, op->arg));
    struct model_record *source = from && from != m ? pick_live(from, op->arg / MODEL_BOXES) : NULL;
    if (!source)
        return;
    struct model_record *r = append(h, m);
    r->guid = source->guid;
    r->size = source->size;
    r->cid = source->cid;
    model_converse(h, m, r);
    r->internaldate = source->internaldate - 100; /* saved later than it arrived */
    ledger_born(m, &r->guid, h->side);
}

static void edit_flag(struct model_host *h, struct model_mailbox *m, unsigned arg)
{
    static const uint32_t bits[] = { REC_SEEN, REC_FLAGGED, REC_ANSWERED, REC_DELETED, REC_DRAFT };
    struct model_record *r = pick_live(m, arg / 8);
    if (!r)
        return;
    r->flags ^= bits[arg % 5];
    touch(h, m, r);
    ledger_flagged(m, r, h->side);
}

static void edit_keyword(struct model_host *h, struct model_mailbox *m, unsigned arg)
{
    static const char *const names[] = { "$Label1", "Junk", "NonJunk", "forwarded" };
    struct model_record *r = pick_live(m, arg / 8);
    if (!r)
        return;
    r->userflags ^= model_userflag(m, model_str(names[arg % 4]));
    touch(h, m, r);
    ledger_flagged(m, r, h->side);
}

static void set_annotation(struct model_annots *l, unsigned arg, const char *userid, uint64_t modseq)
{
    static const char *const values[] = { NULL, "one", "a longer value", "(" };
    model_annot_set(l, model_str(arg % 2 ? "/comment" : "/altsubject"), model_str(arg % 3 ? "" : userid),
                    values[arg / 2 % 4] ? model_str(values[arg / 2 % 4]) : NULL, modseq);
}

static void edit_annotate(struct model_host *h, struct model_mailbox *m, const struct op *op)
{
    struct model_record *r = pick_live(m, op->arg / 8);
    if (!r)
        return;
    touch(h, m, r);
    ledger_flagged(m, r, h->side);
    set_annotation(&r->annots, op->arg, model_user(op->user), r->modseq);
}

static void edit_expunge(struct model_host *h, struct model_mailbox *m, unsigned arg)
{
    struct model_record *r = pick_live(m, arg);
    if (!r)
        return;
    r->flags |= REC_EXPUNGED | REC_DELETED;
    touch(h, m, r);
    ledger_killed(m, &r->guid);
}

static void edit_unlink(struct model_mailbox *m)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->rec[i].flags & REC_EXPUNGED)
            m->rec[i].flags |= REC_UNLINKED;
}

static void edit_forget(struct model_mailbox *m, unsigned arg)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++) {
        const struct model_record *r = &m->rec[i];
        bool forget = (r->flags & REC_EXPUNGED) && (arg % 2 || (r->flags & REC_UNLINKED));
        if (forget && r->modseq > m->deletedmodseq)
            m->deletedmodseq = r->modseq;
        if (!forget)
            m->rec[n++] = *r;
    }
    m->n = n;
}

static void create(struct model_host *h, const char *name, const char *user)
{
    char id[32], acl[64];
    snprintf(id, sizeof id, "%c%04u", h->label[0], ++h->serial);
    struct model_mailbox *m = model_add_box(h, name, model_str(id));
    snprintf(acl, sizeof acl, "%s\tlrswipkxtecdan\t", user);
    m->acl = model_str(acl);
    m->partition = model_partition(0);
    m->uidvalidity = 1000 + h->serial;
    m->highestmodseq = m->createdmodseq = m->foldermodseq = 1;
}

/* On a replica its own messages go with it. */
void model_delete_box(struct model_host *h, struct model_mailbox *m)
{
    for (size_t i = 0; i < m->n; i++)
        ledger_given_up(m, &m->rec[i].guid);
    model_drop_box(h, m);
}

void model_bury_box(struct model_host *h, struct model_mailbox *m)
{
    char name[96];
    snprintf(name, sizeof name, "DELETED.%s.%X", m->name, 0x5F000000u + ++h->serial);
    dirty_folder(m);
    model_move_box(h, m, model_str(name));
}

static void edit_rename(struct model_host *h, struct model_mailbox *m, const struct op *op)
{
    const char *to = model_box_name(op->user, op->arg);
    if (op->arg % MODEL_BOXES == 0 || model_box(h, to))
        return;
    dirty_folder(m);
    model_move_box(h, m, to);
}

static void edit_acl(struct model_mailbox *m, const struct op *op)
{
    char acl[64];
    snprintf(acl, sizeof acl, "%s\tlrswipkxtecdan\tanyone\t%s\t", model_user(op->user), op->arg % 2 ? "lrs" : "lr");
    m->acl = model_str(op->arg % 3 ? acl : "ann\tlrs\t");
    dirty_folder(m);
}

static void edit_options(struct model_mailbox *m, unsigned arg)
{
    static const uint32_t bits[] = { MBOPT_POP3_NEW_UIDL, MBOPT_SHARED_SEEN, MBOPT_DUPLICATE_DELIVER };
    m->options ^= bits[arg % 3];
    dirty(m);
}

static void edit_quota(struct model_host *h, const struct op *op)
{
    const char *root = model_box_name(op->user, op->box % 2);
    if (op->arg % 4 == 0) {
        model_drop_quota(h, root);
        return;
    }
    struct model_quota *q = model_set_quota(h, root);
    q->limit[op->arg % 3] = 100 + op->arg;
}

static bool is_user(const struct model_host *h, unsigned user)
{
    return model_box(h, model_box_name(user, 0)) != NULL;
}

static void edit_seen(struct model_host *h, struct model_mailbox *m, const struct op *op)
{
    char uids[32];
    unsigned user = op->user + op->arg % 2;
    if (!is_user(h, user))
        return;
    struct model_seen *s = model_set_seen(h, model_user(user), m->uniqueid);
    snprintf(uids, sizeof uids, op->arg % 3 ? "1:%u" : "%u", op->arg % 9);
    s->lastread = s->lastchange = model_now(h);
    s->lastuid = m->last_uid;
    s->uids = model_str(uids);
}

static void edit_box(struct model_host *h, struct model_mailbox *m, const struct op *op)
{
    switch (op->kind) {
    case OP_APPEND: edit_append(h, m, op->arg); break;
    case OP_COPY: edit_copy(h, m, op); break;
    case OP_FLAG: edit_flag(h, m, op->arg); break;
    case OP_KEYWORD: edit_keyword(h, m, op->arg); break;
    case OP_ANNOTATE: edit_annotate(h, m, op); break;
    case OP_EXPUNGE: edit_expunge(h, m, op->arg); break;
    case OP_UNLINK: edit_unlink(m); break;
    case OP_FORGET: edit_forget(m, op->arg); break;
    case OP_METADATA:
        dirty_folder(m);
        set_annotation(&m->annots, op->arg, model_user(op->user), m->highestmodseq);
        break;
    case OP_ACL: edit_acl(m, op); break;
    case OP_OPTIONS: edit_options(m, op->arg); break;
    case OP_SELECT:
        m->recentuid = m->last_uid;
        m->recenttime = model_now(h);
        break;
    case OP_POP3:
        m->pop3_last_login = model_now(h);
        m->pop3_show_after = op->arg % 2 ? m->pop3_last_login - 50 : 0;
        break;
    case OP_VALIDITY: m->uidvalidity += 1 + op->arg % 7; break;
    case OP_SEEN: edit_seen(h, m, op); break;
    case OP_PARTITION:
        m->partition = model_partition(m->partition == model_partition(0));
        dirty_folder(m);
        break;
    default: break;
    }
}

/* Nobody has folders without an INBOX. */
static bool may_create(const struct model_host *h, const struct op *op)
{
    return op->box % MODEL_BOXES == 0 || is_user(h, op->user);
}

void model_edit(struct model_host *h, const struct op *op)
{
    const char *name = model_box_name(op->user, op->box);
    bool inbox = op->box % MODEL_BOXES == 0;
    model_lock();
    struct model_mailbox *m = model_box(h, name);
    if (op->kind == OP_CREATE && !m && may_create(h, op))
        create(h, name, model_user(op->user));
    else if (op->kind == OP_DELETE && m && !inbox)
        model_delete_box(h, m);
    else if (op->kind == OP_DELAYED && m && !inbox)
        model_bury_box(h, m);
    else if (op->kind == OP_RENAME && m && !inbox)
        edit_rename(h, m, op);
    else if (op->kind == OP_GIVE && m && !inbox)
        model_give(h, m, op);
    else if (op->kind == OP_RENAME_USER)
        model_rename_user(h, model_user(op->user));
    else if (op->kind == OP_DELETE_USER)
        model_delete_user(h, model_user(op->user), op->arg % 2);
    else if (op->kind == OP_EXPIRE)
        model_expire(h);
    else if (op->kind == OP_QUOTA && is_user(h, op->user))
        edit_quota(h, op);
    else if (op->kind == OP_SUB && is_user(h, op->user))
        model_set_sub(h, model_user(op->user), model_box_name(op->user, op->box), op->arg % 3 > 0);
    else if (m)
        edit_box(h, m, op);
    model_unlock();
}
