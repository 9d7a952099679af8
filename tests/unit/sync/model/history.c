/*
 * Running a history (history.h): its edits on the two hosts, its passes through the real engine
 * over real sockets, then passes without edits until nothing is sent any more.
 */
#include "history.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fansync/engine.h"
#include "fansync/log.h"
#include "fansync/mem.h"
#include "server.h"

static const int64_t clock_start = 1600000000;

struct history_counters history_counters;

static struct model_host host[2] = { { .label = "master", .side = MASTER }, { .label = "replica", .side = REPLICA } };
static struct model_host before[2];
static struct model_server server[2];
static char folder[64];
static char why[1024];

static const char *say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static const char *say(const char *fmt, ...)
{
    char text[sizeof why]; /* an argument may be why itself */
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    strcpy(why, text);
    return why;
}

/* ---- the log, instead of syslog ---- */

static struct buf logged;

void log_msg(int priority, const char *fmt, ...)
{
    va_list ap;
    (void)priority;
    va_start(ap, fmt);
    buf_vprintf(&logged, fmt, ap);
    va_end(ap);
    buf_addc(&logged, '\n');
}

void log_progress(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&logged, fmt, ap);
    va_end(ap);
    buf_addc(&logged, '\n');
}

bool log_progress_wanted(void)
{
    return true;
}

const char *history_log(void)
{
    return buf_cstr(&logged);
}

/* ---- the servers ---- */

void history_begin(void)
{
    snprintf(folder, sizeof folder, "/tmp/fansync-model-XXXXXX");
    if (!mkdtemp(folder)) {
        perror(folder);
        exit(1);
    }
    model_server_start(&server[MASTER], folder, &host[MASTER], &host[REPLICA], true);
    model_server_start(&server[REPLICA], folder, &host[REPLICA], &host[MASTER], false);
}

void history_end(void)
{
    for (int side = MASTER; side <= REPLICA; side++) {
        model_server_stop(&server[side]);
        model_host_free(&host[side]);
        model_host_free(&before[side]);
    }
    rmdir(folder);
    buf_free(&logged);
    free(ledger.e);
    ledger = (struct ledger){ 0 };
}

/* ---- one pass ---- */

struct pass {
    const struct history *history;
    struct model_pass plan;
    enum err_kind kind[MODEL_USERS];
    bool failed[MODEL_USERS], done[MODEL_USERS];
    bool ended; /* the whole run, without a session */
    char err[MODEL_USERS][256];
};

static struct err *connect_to(void *ctx, struct session **out)
{
    const struct model_server *s = ctx;
    struct session_options o = { .server = s->path, .connect_timeout = 20, .timeout = 20 };
    model_lock();
    bool refused = model_pass.dead || (s->is_master && model_pass.alone);
    model_unlock();
    if (refused)
        return err_new(ERR_CONNECT, "nobody answers");
    return session_open(&o, out);
}

static void done(void *ctx, const struct engine_item *item, const struct err *err)
{
    struct pass *p = ctx;
    for (unsigned u = 0; u < MODEL_USERS; u++) {
        if (!slice_eqs(item->userid, model_user(u)))
            continue;
        p->done[u] = true;
        p->failed[u] = err != NULL;
        p->kind[u] = err ? err->kind : ERR_IO;
        snprintf(p->err[u], sizeof p->err[u], "%s", err ? err->msg : "");
    }
}

static void count(const struct engine *e)
{
    struct engine_counters c = engine_counters(e);
    history_counters.passes++;
    history_counters.copybacks += c.copybacks;
    history_counters.conflicts += c.conflicts;
    history_counters.kills += model_pass.dead;
    history_counters.cuts += model_pass.cut_at && model_pass.commands >= model_pass.cut_at;
}

static void run_engine(struct pass *p)
{
    const struct history *h = p->history;
    struct store *store = model_store_new(&host[MASTER]);
    struct engine_options o = {
        .store = store, .server = "model", .force = h->mode == FORCED, .batchsize = h->batchsize,
        .connect = connect_to, .connect_ctx = &server[REPLICA], .temp_path = folder,
        .no_master = "this history has no copyback",
    };
    if (h->mode == ONE_WAY || h->mode == TWO_WAY) {
        o.connect_master = connect_to;
        o.connect_master_ctx = &server[MASTER];
    }
    struct engine_item items[MODEL_USERS];
    for (unsigned u = 0; u < MODEL_USERS; u++)
        items[u] = (struct engine_item){ .kind = ITEM_USER, .userid = slice_str(model_user(u)) };
    struct engine *e = engine_new(&o);
    struct err *err = engine_run(e, items, MODEL_USERS, done, p);
    p->ended = err != NULL;
    err_free(err);
    model_lock();
    count(e);
    model_unlock();
    engine_free(e);
    model_store_free(store);
}

/*
 * A move to another partition that was refused does not hold back the mailbox's content. When it is made later, the replica
 * sets FOLDERMODSEQ to what the content has reached, above the master's, which copyback raises then.
 */
static bool may_move_late(const struct history *h)
{
    bool moves = false, refused = false;
    for (size_t i = 0; i < h->n; i++) {
        moves |= h->op[i].kind == OP_PARTITION;
        refused |= h->op[i].kind == OP_LOCKED;
    }
    return moves && refused;
}

static const char *check_pass(const struct pass *p)
{
    bool forced = p->history->mode == FORCED;
    const char *bad = model_violated();
    if (!bad && p->history->mode == ONE_WAY && model_pass.applied[MASTER] && !may_move_late(p->history))
        bad = "one-way, and the master was changed";
    server_check_host(&host[REPLICA]);
    bad = bad ? bad : check_monotonic(&before[MASTER], &host[MASTER], false);
    bad = bad ? bad : check_monotonic(&before[REPLICA], &host[REPLICA], forced);
    bad = bad ? bad : model_violated();
    bool disturbed = model_pass.dead || model_pass.cut_at || model_pass.lose_at;
    if (!bad && p->ended && !disturbed)
        bad = "the engine gives up";
    for (unsigned u = 0; u < MODEL_USERS && !bad; u++)
        if (!p->done[u] && !p->ended)
            bad = say("%s was not reported", model_user(u));
    return bad;
}

static const char *run_pass(struct pass *p)
{
    log_msg(0, "---- a pass");
    model_lock();
    model_pass = p->plan;
    model_pass.host[MASTER] = &host[MASTER];
    model_pass.host[REPLICA] = &host[REPLICA];
    model_unlock();
    run_engine(p);
    model_lock();
    const char *bad = check_pass(p);
    for (int side = MASTER; side <= REPLICA; side++)
        model_host_copy(&before[side], &host[side]);
    model_unlock();
    return bad;
}

/* ---- the end ---- */

static bool is_conflict(enum err_kind kind)
{
    return kind == ERR_CONFLICT || kind == ERR_MOVED;
}

static const char *check_user(const struct pass *p, unsigned user)
{
    const char *userid = model_user(user);
    enum history_mode mode = p->history->mode;
    const struct model_mailbox *inbox = model_box(&host[MASTER], model_box_name(user, 0));
    if (!inbox)
        return NULL; /* only a record of his deletion, which a history has not, would say what is to be done */
    const struct model_mailbox *there = model_box(&host[REPLICA], inbox->name);
    if (there && there->uniqueid != inbox->uniqueid && p->failed[user]) {
        history_counters.stuck++;
        return NULL; /* the name is another user's there, of whom nothing tells here: nothing is touched */
    }
    bool merged = mode == ONE_WAY || mode == TWO_WAY;
    bool stuck = check_is_stuck(&host[MASTER], &host[REPLICA], userid);
    history_counters.stuck += stuck;
    if (p->failed[user] && !stuck && (merged || !is_conflict(p->kind[user])))
        return say("%s fails: %s", userid, p->err[user]);
    if (!merged && p->failed[user])
        return mode == NO_COPYBACK && !stuck ? check_arrived(&host[MASTER], &host[REPLICA], userid) : NULL;
    /* After edits on both, each side has expunged one uid in its own way, which no server changes. */
    enum equality exact = mode == ONE_WAY ? EQUAL_HISTORY : merged ? EQUAL_COUNTERS :
                          mode == FORCED ? EQUAL_CONTENTS : EQUAL_TO_USERS;
    return check_equal(&host[MASTER], &host[REPLICA], userid, exact);
}

/* Whatever the clocks say. But a change in the middle of a pass, or after a copyback that was cut off before the replica
 * heard of it, may meet the master's at the same modseq; then the master's is taken. */
static bool replicas_flags_count(const struct history *h)
{
    for (size_t i = 0; i < h->n; i++)
        if (h->op[i].kind > OP_SYNC || (h->op[i].side == REPLICA && h->op[i].at))
            return false;
    return h->mode == TWO_WAY;
}

static const char *check_end(const struct pass *p)
{
    const struct history *h = p->history;
    const char *bad = check_ledger(&host[MASTER], &host[REPLICA], h->mode);
    if (!bad)
        bad = check_flags(&host[MASTER], &host[REPLICA], replicas_flags_count(h));
    for (unsigned u = 0; u < MODEL_USERS && !bad; u++)
        bad = check_user(p, u);
    return bad;
}

static bool is_quiet(const struct pass *p)
{
    bool failed = false;
    for (unsigned u = 0; u < MODEL_USERS; u++)
        failed |= p->failed[u];
    return failed || model_pass.applied[MASTER] + model_pass.applied[REPLICA] == 0;
}

/* Passes without edits: one brings both sides together, the next has nothing to send. One more where
 * servers raise modseqs that the master has to follow, and where copyback has touched a thread that another folder, done
 * before, has messages of. */
static const char *settle(const struct history *h)
{
    const char *bad = NULL;
    struct pass p;
    unsigned most = 2u + h->raises_folders + (h->conversations && h->mode == TWO_WAY);
    for (unsigned pass = 1; pass <= most; pass++) {
        p = (struct pass){ .history = h };
        bad = run_pass(&p);
        if (bad)
            return bad;
        bad = check_end(&p);
        if (bad || !is_quiet(&p))
            continue;
        history_counters.quiet[pass]++;
        return NULL;
    }
    bool merged = h->mode == ONE_WAY || h->mode == TWO_WAY;
    if (!bad && !merged)
        return NULL; /* what may not be raised on the master is sent anew each time */
    return say("after %u passes: %s", most, bad ? bad : "something is still sent");
}

/* ---- the whole ---- */

static void begin_hosts(const struct history *h)
{
    buf_clear(&logged);
    model_lock();
    model_set_clock(2 * clock_start);
    model_clear_violation();
    ledger_clear();
    for (int side = MASTER; side <= REPLICA; side++) {
        model_host_free(&host[side]);
        model_host_free(&before[side]);
        host[side].skew = side == REPLICA ? h->skew : 0;
        host[side].serial = 0;
        host[side].forced = false;
        host[side].raises_folders = h->raises_folders;
        host[side].conversations = h->conversations;
        host[side].long_thrid = h->long_thrid && side == REPLICA;
        host[side].unmailbox_id = h->unmailbox_id;
    }
    for (unsigned u = 0; u < 2; u++)
        for (unsigned box = 0; box < 2; box++) {
            model_edit(&host[MASTER], &(struct op){ OP_CREATE, MASTER, u, box, 0, 0 });
            for (unsigned k = 0; k < 3; k++)
                model_edit(&host[MASTER], &(struct op){ OP_APPEND, MASTER, u, box, 4 + k + 8 * u + 4 * box, 0 });
        }
    model_unlock();
}

static void forget_box(int side, const char *uniqueid)
{
    struct model_mailbox *b = model_box_of_id(&before[side], uniqueid);
    if (b)
        model_drop_box(&before[side], b);
}

/* A mailbox that is removed on the replica begins anew. */
static void forget_before(const struct op *op)
{
    const struct model_host *h = &host[op->side];
    for (size_t i = 0; i < h->nbox && op->kind == OP_EXPIRE; i++)
        if (model_is_deleted_name(h->box[i]->name))
            forget_box(op->side, h->box[i]->uniqueid);
    const char *name = model_box_name(op->user, op->box);
    struct model_mailbox *m = op->kind == OP_DELETE ? model_box(&host[op->side], name) : NULL;
    if (m && op->box % MODEL_BOXES)
        forget_box(op->side, m->uniqueid);
}

static void plan_op(struct model_pass *plan, const struct op *op)
{
    if (op->kind == OP_KILL)
        plan->kill_at = op->at;
    else if (op->kind == OP_CUT)
        plan->cut_at = op->at;
    else if (op->kind == OP_LOSE)
        plan->lose_at = op->at;
    else if (op->kind == OP_LOCKED)
        plan->locked_at = op->at;
    else if (op->kind == OP_ALONE)
        plan->alone = true;
    else if (op->kind == OP_DAMAGE)
        plan->damaged = model_box_name(op->user, op->box);
    else if (plan->nlate < PASS_EDITS)
        plan->late[plan->nlate++] = op;
}

static const char *run_ops(const struct history *h)
{
    struct pass p = { .history = h };
    for (size_t i = 0; i < h->n; i++) {
        const struct op *op = &h->op[i];
        if (op->kind == OP_SYNC) {
            const char *bad = run_pass(&p);
            if (bad)
                return say("pass at op %zu: %s", i, bad);
            p = (struct pass){ .history = h };
        } else if (op->at || op->kind >= OP_EDITS) {
            plan_op(&p.plan, op);
        } else {
            model_lock();
            forget_before(op);
            model_edit(&host[op->side], op);
            model_unlock();
        }
    }
    return NULL;
}

/* Where nobody disturbs the passes, no update of a replica that only we change is refused. Its own conversations
 * may: they number a folder while another one is brought up to date. */
static const char *check_refusals(const struct history *h)
{
    bool calm = h->mode == ONE_WAY && !h->conversations;
    for (size_t i = 0; i < h->n; i++)
        calm = calm && h->op[i].kind <= OP_SYNC && h->op[i].at == 0;
    return calm && strstr(history_log(), "IMAP_SYNC_") ? "an update of a one-way history is refused" : NULL;
}

const char *history_run(const struct history *h)
{
    begin_hosts(h);
    struct pass first = { .history = h };
    const char *bad = run_pass(&first);
    bad = bad ? bad : run_ops(h);
    bad = bad ? bad : settle(h);
    return bad ? bad : check_refusals(h);
}
