/*
 * Phase 2: read the master's mailboxes of a unit, match them with the replica's and decide
 * what each needs (spec/algorithm.md §1.1, §2, §3). No network: every lock of a mailbox
 * is released before the next one is taken.
 */
#include "sync/fate.h"

#include "fansync/log.h"

/* Which of the entries take part (§1.1). */
static bool wanted(const struct unit *u, const struct mbentry *e)
{
    return mbentry_is_live(e) && (e->kind != 'f' || u->engine->sieve_mailbox);
}

static void take_entries(struct unit *u, const struct mbentry_list *all)
{
    struct slice inbox = names_inbox(&u->arena, store_names(u->engine->o.store), u->item->userid);
    u->entries.e = arena_array(&u->arena, all->n, sizeof *all->e);
    u->intermediates.e = arena_array(&u->arena, all->n, sizeof *all->e);
    u->entries.n = u->intermediates.n = 0;
    u->absent = true;
    for (size_t i = 0; i < all->n; i++) {
        if (slice_eq(all->e[i].name, inbox) && mbentry_is_live(&all->e[i]))
            u->absent = false;
        if (wanted(u, &all->e[i]))
            u->entries.e[u->entries.n++] = all->e[i];
        else if ((all->e[i].flags | MB_LEGACY) == (MB_INTERMEDIATE | MB_LEGACY))
            u->intermediates.e[u->intermediates.n++] = all->e[i];
    }
}

/* A user with a damaged entry fails in the end, but his other mailboxes go on. */
static struct err *user_entries(struct unit *u)
{
    struct mbentry_list all = { NULL, 0, 0 };
    struct err *damaged;
    u->whole = NULL;
    TRY(store_user_mailboxes(u->engine->o.store, &u->arena, u->item->userid, &all, &damaged));
    take_entries(u, &all);
    if (damaged && u->absent)
        return damaged; /* it may be the INBOX */
    if (damaged) {
        unit_fail(u, damaged);
        return NULL;
    }
    struct whole_list *whole = arena_alloc(&u->arena, sizeof *whole);
    whole->entries = all;
    u->whole = whole;
    return NULL;
}

static struct err *user_side(struct unit *u)
{
    TRY(user_entries(u));
    if (!unit_makes_sieve_mailbox(u))
        return NULL;
    TRY(user_entries(u));
    unit_tell_sieve_mailbox(u);
    return NULL;
}

static bool is_inbox(const struct unit *u, struct slice name)
{
    struct arena a = ARENA_INIT;
    struct mbname m = names_from_internal(&a, store_names(u->engine->o.store), name);
    bool is = m.localpart.n > 0 && m.nboxes == 0 && m.deleted_time == 0;
    arena_free(&a);
    return is;
}

/* A replica makes no folder for a user without INBOX, in whatever order they were named. */
static void put_inboxes_first(struct unit *u)
{
    struct mbentry *all = u->entries.e, *sorted = arena_array(&u->arena, u->entries.n, sizeof *sorted);
    size_t n = 0;
    for (int rest = 0; rest < 2; rest++)
        for (size_t i = 0; i < u->entries.n; i++)
            if (is_inbox(u, all[i].name) != rest)
                sorted[n++] = all[i];
    u->entries.e = sorted;
}

static struct err *named_entries(struct unit *u)
{
    const struct engine_item *item = u->item;
    u->entries.e = arena_array(&u->arena, item->nnames, sizeof *u->entries.e);
    for (size_t i = 0; i < item->nnames; i++) {
        struct mbentry *e = &u->entries.e[u->entries.n];
        struct slice moved_to;
        bool found;
        TRY(store_lookup(u->engine->o.store, &u->arena, item->names[i], e, &found));
        if (!found && fate_is_told(u, item->names[i], &moved_to) && !moved_to.n)
            log_msg(LOG_NOTICE, "SYNCNOTICE: attempt to UNMAILBOX without a tombstone: mailbox=<" SLICE_FMT "> ",
                    SLICE_ARG(item->names[i]));
        if (found && wanted(u, e))
            u->entries.n++;
        else if (found && mbentry_is_live(e) && e->kind == 'f' && !item->if_there)
            engine_skip(u->engine, "the replica takes no #sieve mailbox, scripts go with their user: mailbox=<" SLICE_FMT ">",
                        SLICE_ARG(e->name));
    }
    put_inboxes_first(u);
    return NULL;
}

static struct err *compute_sums(struct work *w, struct mailbox *mb)
{
    TRY(mailbox_compute_crcs(mb, &w->computed));
    w->wrong_sums = !sync_crcs_match(&w->computed, w->m->sync_crc, w->m->sync_crc_annot);
    return NULL;
}

/* Records and sums of an opened mailbox that differs. */
static struct err *load_records(struct work *w, struct mailbox *mb)
{
    struct unit *u = w->unit;
    w->have = diff_bounds(w->r);
    TRY(mailbox_records(mb, &u->arena, w->have.since_modseq, w->have.since_uid, &w->rec));
    u->engine->window_records += w->rec.n;
    w->sync_crc = w->m->sync_crc;
    w->sync_crc_annot = w->m->sync_crc_annot;
    bool other_form = (w->m->minor >= 20) != u->engine->long_thrid;
    if (u->attempt == 0 && !other_form)
        return NULL;
    TRY(compute_sums(w, mb));
    work_use_computed(w);
    return NULL;
}

void work_use_computed(struct work *w)
{
    w->sync_crc = w->computed.basic;
    w->sync_crc_annot = sync_crc_annot(&w->computed, w->unit->engine->long_thrid);
}

bool work_raises_foldermodseq(const struct work *w)
{
    const struct engine_options *o = &w->unit->engine->o;
    if (replica_is_intermediate(w->r))
        return false; /* a mailbox is made of it, and it has no records to compare */
    return w->r->foldermodseq > w->m->entry.foldermodseq && !o->force && o->connect_master;
}

/*
 * Sums differ and nothing else: an update has nothing newer to send, so either the master's stored sums are wrong,
 * which the records tell, or the records have to be compared.
 */
static struct err *look_behind_the_sums(struct work *w, struct mailbox *mb, enum mailbox_verdict *v)
{
    TRY(compute_sums(w, mb));
    if (sync_crcs_match(&w->computed, w->r->sync_crc, w->r->sync_crc_annot)) {
        *v = MAILBOX_UNCHANGED;
        return NULL;
    }
    log_msg(LOG_NOTICE, "SYNC_NOTICE: CRC failure on sync " SLICE_FMT ", recalculating counts and trying again",
            SLICE_ARG(w->entry->name));
    log_msg(LOG_ERR, "CRC failure on sync for " SLICE_FMT ", trying full update", SLICE_ARG(w->entry->name));
    return NULL;
}

/* The replica's counters are ahead, the records are the same: nothing can be lost, and without copyback nothing can
 * be done. */
static bool is_only_ahead(const struct work *w)
{
    const struct engine_options *o = &w->unit->engine->o;
    if (o->force || o->connect_master || w->m->sync_crc == 0 || w->r->sync_crc == 0)
        return false;
    struct mailbox_header merged = diff_merged_header(w->m, w->r);
    return diff_mailbox(&merged, w->type, w->r, o->reverseacls, NULL) == MAILBOX_UNCHANGED;
}

static struct err *verdict(struct work *w, struct mailbox *mb, enum mailbox_verdict *v, const char **what)
{
    *v = diff_mailbox(w->m, w->type, w->r, w->unit->engine->o.reverseacls, what);
    if (*v == MAILBOX_SUMS)
        return look_behind_the_sums(w, mb, v);
    if (*v == MAILBOX_AHEAD && is_only_ahead(w))
        *v = MAILBOX_UNCHANGED;
    return NULL;
}

static struct err *decide(struct work *w, struct mailbox *mb)
{
    struct unit *u = w->unit;
    const char *what;
    enum mailbox_verdict v;
    w->m = mailbox_header(mb);
    w->type = mbentry_wire_type(&u->arena, &w->m->entry);
    TRY(verdict(w, mb, &v, &what));
    bool mismatch = map_get(&u->mismatch, w->entry->name) != NULL;
    if (w->r && (v == MAILBOX_UNCHANGED || v == MAILBOX_UPDATE) && work_raises_foldermodseq(w)) {
        v = MAILBOX_AHEAD;
        what = "FOLDERMODSEQ";
    }
    if (v == MAILBOX_UNCHANGED && !mismatch)
        return NULL;
    if (w->r && w->r->remembered && v != MAILBOX_UPDATE)
        return err_new(ERR_CHANGED, "the cache may be wrong about the replica: %s", what);
    if (w->r && (v != MAILBOX_UPDATE || mismatch)) {
        log_msg(LOG_NOTICE, "SYNCNOTICE: comparing all records: mailbox=<" SLICE_FMT "> because=<%s>",
                SLICE_ARG(w->entry->name), mismatch ? "CRC" : what);
        w->state = WORK_COMPARE;
        return NULL;
    }
    TRY(load_records(w, mb));
    w->part = work_next_part(w);
    /* Forced, a replica would lower its counters below what it got meanwhile. */
    w->guard = w->r && (u->attempt == 0 || u->engine->o.force) && w->r->highestmodseq != 0 && w->have.since_uid > 0;
    w->state = WORK_SEND;
    return NULL;
}

/*
 * It lived when the list was read. What is deleted at once is logged before the list says so, under the owner's namespace
 * lock, for which the opening has waited: no other record follows. So what the replica has is looked at once more.
 */
static struct err *deleted_meanwhile(const struct work *w, struct err *gone)
{
    struct err *err = w->r ? err_new(ERR_CHANGED, "%s, and the replica has it", gone->msg) : NULL;
    err_free(gone);
    return err;
}

static void plan_mailbox(struct work *w)
{
    struct unit *u = w->unit;
    struct mailbox *mb;
    struct err *err;

    const char *poison = map_get(&u->poison, w->entry->name);
    if (poison) {
        work_fail(w, err_new(ERR_DENIED, "%s", poison));
        return;
    }
    err = store_mailbox_open(u->engine->o.store, &u->arena, w->entry->name, &mb);
    if (err && err->kind == ERR_NONEXISTENT)
        err = deleted_meanwhile(w, err);
    else if (!err) {
        err = decide(w, mb);
        store_mailbox_close(mb);
    }
    if (err) {
        if (!error_may_pass(err->kind))
            log_msg(LOG_ERR, "IOERROR: mailbox open failed: mboxname=<" SLICE_FMT "> error=<%s>",
                    SLICE_ARG(w->entry->name), err->msg);
        work_fail(w, err);
    }
}

bool unit_keeps_name(struct unit *u, const struct folder_match *m)
{
    struct fate fate;
    if (m->r || !m->occupant)
        return false;
    struct err *err = fate_of(u, m->occupant, &fate);
    bool unread = err != NULL;
    err_free(err); /* told already when the names were planned */
    return unread || fate.kind == FATE_HERE || (m->occupant->last_uid > 0 && !u->engine->o.force);
}

/* A rename that the replica has refused: mostly because the name is another mailbox's. */
static struct err *refusal(const struct work *w, const struct err *refused, struct slice from)
{
    const struct replica_mailbox *r = w->match.occupant;
    if (!r)
        return err_wrap(err_copy(refused), "rename from " SLICE_FMT, SLICE_ARG(from));
    return err_new(refused->kind, "rename from " SLICE_FMT ": the replica has another mailbox under the new name "
                   "(uniqueid " SLICE_FMT "), and nothing here tells that it was deleted. If nobody wants it, delete it "
                   "there, or run once with sync_delete_extra: %s", SLICE_ARG(from), SLICE_ARG(r->uniqueid),
                   refused->msg);
}

/* What the replica would answer is logged in its words, which scripts look for. Its sum of no messages is 0. */
static struct err *name_is_taken(const struct work *w, const struct replica_mailbox *occupant)
{
    if (w->unit->attempt > 0 || !w->unit->retry) /* else it is to be moved away first */
        log_msg(LOG_ERR, "MAILBOX received NO response: IMAP_MAILBOX_MOVED Mailbox Moved: mailbox=<" SLICE_FMT ">",
                SLICE_ARG(w->entry->name));
    return err_new(ERR_MOVED, "the replica has another mailbox %s under this name (uniqueid " SLICE_FMT ", here " SLICE_FMT ")",
                   occupant->sync_crc ? "with messages" : "that has had messages", SLICE_ARG(occupant->uniqueid),
                   SLICE_ARG(w->entry->uniqueid));
}

/*
 * The replica has it under another name, and the rename could not be planned. It is not sent: a replica
 * refuses the uniqueid under a second name, and one of 3.6 or 3.12 ends without an answer if it is a #sieve mailbox's.
 */
static struct err *not_renamed(const struct work *w)
{
    return err_new(ERR_CHANGED, "the replica has it as " SLICE_FMT ", which has not been renamed yet",
                   SLICE_ARG(w->match.r->name));
}

/* A replica without that partition, or one of 3.12.4 that is to move an INBOX: the mailbox is brought up to date
 * where it is. */
static void fail_unmoved(struct work *w, const struct err *refused)
{
    const struct replica_mailbox *r = w->match.r;
    struct slice forced = slice_str(w->unit->engine->o.partition), wanted = forced.n ? forced : w->entry->partition;
    struct slice hint = partition_hint(&w->unit->arena, wanted, refused, true);
    log_msg(LOG_ERR, "do_folders(): failed to rename: " SLICE_FMT " -> " SLICE_FMT " ", SLICE_ARG(r->name),
            SLICE_ARG(w->entry->name));
    unit_fail(w->unit, err_new(refused->kind, SLICE_FMT ": the replica does not move it to partition " SLICE_FMT ", it is "
                               "kept up to date on " SLICE_FMT " there: %s" SLICE_FMT, SLICE_ARG(r->name), SLICE_ARG(wanted), SLICE_ARG(r->partition),
                               refused->msg, SLICE_ARG(hint)));
}

/* True if the mailbox can be brought up to date in place. */
static bool placed(struct work *w)
{
    const struct folder_match *f = &w->match;
    const struct err *refused = map_get(&w->unit->refused, w->entry->uniqueid);
    if (refused && f->r && !f->renamed) {
        fail_unmoved(w, refused);
    } else if (refused) {
        struct slice from = f->r ? f->r->name : slice_str("its present name");
        log_msg(LOG_ERR, "do_folders(): failed to rename: " SLICE_FMT " -> " SLICE_FMT " ", SLICE_ARG(from),
                SLICE_ARG(w->entry->name));
        work_fail(w, refusal(w, refused, from));
        return false;
    }
    const char *astray = w->unit->astray ? w->unit->astray[w - w->unit->work] : NULL;
    if (astray) {
        work_fail(w, err_new(ERR_MOVED, "%s", astray));
        return false;
    }
    if (unit_keeps_name(w->unit, f)) {
        work_fail(w, name_is_taken(w, f->occupant));
        return false;
    }
    if (f->renamed) {
        work_fail(w, not_renamed(w));
        return false;
    }
    return true;
}

/* When a first try has failed; or if nothing else would ask, and nothing else be done. */
static bool seeks_all(const struct unit *u)
{
    return u->attempt > 0 || u->item->if_there;
}

/* The uniqueids of the mailboxes that the replica may have under a name that was not asked for. */
static void find_sought(struct unit *u, const struct folder_matches *f)
{
    u->sought = arena_array(&u->arena, f->n, sizeof *u->sought);
    for (size_t i = 0; i < f->n; i++) {
        struct slice id = u->entries.e[i].uniqueid;
        bool renamed = seeks_all(u);
        if (f->match[i].r || id.n == 0 || map_get(&u->asked_ids, id))
            continue;
        struct err *err = renamed ? NULL : store_was_renamed(u->engine->o.store, id, &renamed);
        if (err)
            unit_fail(u, err);
        else if (renamed)
            u->sought[u->nsought++] = id;
    }
}

/*
 * A server before 3.6 ends when it is asked for a uniqueid that it does not know (seen with 3.2.6). It is asked for the
 * names that the mailbox had, as far as the master's list remembers.
 */
static void seek_by_name(struct unit *u)
{
    struct err *err = store_former_names(u->engine->o.store, &u->arena, u->sought, u->nsought, &u->former);
    for (size_t i = 0; i < u->nsought; i++)
        map_put(&u->asked_ids, u->sought[i], u);
    if (err)
        unit_fail(u, err);
    u->nsought = u->former.n;
}

/*
 * Mailboxes that the replica may have under a name that was not asked for: those that were renamed
 * here, or, when a first try has failed, all that it seems not to have.
 */
static bool seek(struct unit *u, const struct folder_matches *f)
{
    bool by_name = session_capabilities(u->engine->session) & CAP_BEFORE_3_6;
    if (by_name && !seeks_all(u))
        return false;
    find_sought(u, f);
    if (by_name && u->nsought)
        seek_by_name(u);
    return u->nsought > 0;
}

/* The unit is given up if another mailbox has the INBOX's name there: then nothing of that user is
 * the master's to change. */
static bool find_own_inbox(struct unit *u, const struct folder_matches *f)
{
    struct slice inbox = names_inbox(&u->arena, store_names(u->engine->o.store), u->item->userid);
    size_t i = 0;
    while (i < f->n && !slice_eq(u->entries.e[i].name, inbox))
        i++;
    if (i < f->n && !unit_keeps_name(u, &f->match[i]) && !(f->match[i].r && f->match[i].renamed)) {
        identity_found(u, !f->match[i].r);
        return true;
    }
    const struct replica_mailbox *r = i < f->n ? f->match[i].occupant : NULL;
    unit_fail(u, err_new(ERR_MOVED, "the replica's " SLICE_FMT " is another mailbox (uniqueid " SLICE_FMT ", here "
                         SLICE_FMT "): nothing of this user is changed there until it is renamed or deleted",
                         SLICE_ARG(inbox), SLICE_ARG(r ? r->uniqueid : slice_str("unknown")),
                         SLICE_ARG(i < f->n ? u->entries.e[i].uniqueid : slice_str("unknown"))));
    return false;
}

static void plan_mailboxes(struct unit *u)
{
    struct slice partition = slice_str(u->engine->o.partition);
    struct folder_matches f = diff_folders(&u->arena, u->entries.e, u->entries.n, &u->replica.mailboxes, partition);
    if (seek(u, &f) || identity_seeks_trees(u, &f) || unit_seeks_homes(u, &f))
        return; /* what is elsewhere on the replica first; then everything is planned anew */
    unit_plan_folders(u, &f);
    if (unit_wants_folders(u))
        return; /* names first; then everything is asked and planned anew */
    if (u->item->kind == ITEM_USER && !find_own_inbox(u, &f))
        return;
    u->nwork = u->entries.n;
    u->work = arena_array(&u->arena, u->nwork, sizeof *u->work);
    for (size_t i = 0; i < u->nwork; i++) {
        struct work *w = &u->work[i];
        w->unit = u;
        w->entry = &u->entries.e[i];
        w->match = f.match[i];
        w->r = f.match[i].r;
        /* Messages are looked for on the partition that the mailbox has there. */
        w->partition = w->r && w->r->partition.n ? w->r->partition : partition.n ? partition : w->entry->partition;
        if ((w->r || !u->item->if_there) && placed(w))
            plan_mailbox(w);
    }
}

void unit_plan(struct unit *u)
{
    struct err *err = NULL;
    u->planned = true;
    if (!u->asked)
        return;
    if (u->item->kind == ITEM_META || u->item->kind == ITEM_SUB || u->item->kind == ITEM_SEEN)
        identity_find(u);
    if (item_is_single(u->item) || u->item->kind == ITEM_META)
        return;
    if (u->item->kind == ITEM_USER)
        err = user_side(u);
    else if (u->item->kind == ITEM_MAILBOXES)
        err = named_entries(u);
    if (err) {
        unit_fail(u, err);
        return;
    }
    if (u->absent) {
        log_progress("Does not exist locally " SLICE_FMT, SLICE_ARG(u->item->userid));
        return;
    }
    /* From here on the entries tell where things are on the replica. */
    for (size_t i = 0; i < u->entries.n; i++)
        u->entries.e[i].partition = partition_there(&u->engine->partitions, u->entries.e[i].partition);
    plan_mailboxes(u);
}
