/*
 * Edits that concern whole users, or two of them (model.h): folders given away, users renamed,
 * deleted and made again, the deleted tree expired. What Cyrus does to subscriptions, seen states
 * and quota roots on the way is done here too.
 */
#include "model.h"

#include <stdio.h>
#include <string.h>

/* name with its first n bytes replaced by to. */
static const char *renamed(const char *name, size_t n, const char *to)
{
    char text[128];
    snprintf(text, sizeof text, "%s%s", to, name + n);
    return model_str(text);
}

static bool is_live_of(const char *name, const char *userid)
{
    return model_is_of_user(name, userid) && !model_is_deleted_name(name);
}

/* The first mailbox of the user that is not in the deleted tree. */
static struct model_mailbox *first_of(const struct model_host *h, const char *userid)
{
    for (size_t i = 0; i < h->nbox; i++)
        if (is_live_of(h->box[i]->name, userid))
            return h->box[i];
    return NULL;
}

void model_rename_settings(struct model_host *h, const char *from, const char *to)
{
    char old[32], new[32];
    snprintf(old, sizeof old, "user.%s", from);
    snprintf(new, sizeof new, "user.%s", to);
    for (size_t i = 0; i < h->nsub; i++)
        if (h->sub[i].userid == from) {
            h->sub[i].userid = to;
            if (is_live_of(h->sub[i].name, from))
                h->sub[i].name = renamed(h->sub[i].name, strlen(old), new);
        }
    for (size_t i = 0; i < h->nseen; i++)
        if (h->seen[i].userid == from)
            h->seen[i].userid = to;
}

static void rename_roots(struct model_host *h, const char *from, const char *to)
{
    for (size_t i = 0; i < h->nquota; i++)
        if (is_live_of(h->quota[i].root, from))
            h->quota[i].root = renamed(h->quota[i].root, strlen("user.") + strlen(from), renamed(to, 0, "user."));
}

/* To the first name that has no INBOX here. */
void model_rename_user(struct model_host *h, const char *from)
{
    unsigned k = 0;
    while (k < MODEL_USERS && model_box(h, model_box_name(k, 0)))
        k++;
    if (k == MODEL_USERS || first_of(h, model_user(k)) || !model_box(h, renamed(from, 0, "user.")))
        return;
    const char *to = model_user(k);
    for (struct model_mailbox *m; (m = first_of(h, from)) != NULL;) {
        m->foldermodseq = ++m->highestmodseq;
        model_move_box(h, m, renamed(m->name, strlen("user.") + strlen(from), renamed(to, 0, "user.")));
    }
    model_rename_settings(h, from, to);
    rename_roots(h, from, to);
}

void model_drop_settings(struct model_host *h, const char *userid)
{
    for (size_t i = 0; i < h->nsub; i++)
        if (h->sub[i].userid == userid)
            h->sub[i--] = h->sub[--h->nsub];
    for (size_t i = 0; i < h->nseen; i++)
        if (h->seen[i].userid == userid)
            h->seen[i--] = h->seen[--h->nseen];
    for (size_t i = 0; i < h->nquota; i++)
        if (is_live_of(h->quota[i].root, userid))
            h->quota[i--] = h->quota[--h->nquota];
}

void model_delete_user(struct model_host *h, const char *userid, bool at_once)
{
    for (struct model_mailbox *m; (m = first_of(h, userid)) != NULL;) {
        if (at_once)
            model_delete_box(h, m);
        else
            model_bury_box(h, m);
    }
    model_drop_settings(h, userid);
}

void model_give(struct model_host *h, struct model_mailbox *m, const struct op *op)
{
    const char *to = model_box_name(op->user + 1 + op->arg % 2, op->arg);
    const char *inbox = model_box_name(op->user + 1 + op->arg % 2, 0);
    if (op->arg % MODEL_BOXES == 0 || model_box(h, to) || !model_box(h, inbox))
        return;
    m->foldermodseq = ++m->highestmodseq;
    model_move_box(h, m, to);
}

void model_expire(struct model_host *h)
{
    for (size_t i = h->nbox; i-- > 0;)
        if (model_is_deleted_name(h->box[i]->name))
            model_delete_box(h, h->box[i]);
}
