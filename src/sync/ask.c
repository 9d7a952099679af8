/*
 * Phase 1: what does the replica hold? One GET a unit, all of a window written before the
 * first answer is read (spec/algorithm.md §1.2, §1.3).
 */
#include "sync/unit.h"

#include "fansync/log.h"
#include "sync/state.h"

static void answered(void *ctx, const struct answer *a)
{
    struct unit *u = ctx;
    if (a->err && a->err->kind == ERR_NONEXISTENT) {
        u->asked = true; /* nothing there yet */
        return;
    }
    if (a->err) {
        unit_fail(u, err_copy(a->err));
        return;
    }
    for (size_t i = 0; i < a->nlines; i++) {
        struct err *err = state_add_line(&u->arena, &u->replica, a->lines[i]);
        if (err) {
            unit_fail(u, err_wrap(err, "%s", session_peer(u->engine->session)));
            return;
        }
    }
    u->asked = true;
}

static void put_names(struct buf *b, const struct engine_item *item)
{
    buf_addc(b, '(');
    for (size_t i = 0; i < item->nnames; i++)
        dlist_item_str(b, item->names[i]);
    buf_addc(b, ')');
}

static void say_mailboxes(const struct engine_item *item)
{
    struct buf line = BUF_INIT;
    for (size_t i = 0; i < item->nnames; i++)
        buf_printf(&line, " " SLICE_FMT, SLICE_ARG(item->names[i]));
    log_progress("MAILBOXES%s", buf_cstr(&line));
    buf_free(&line);
}

struct err *unit_ask(struct unit *u)
{
    struct session *s = u->engine->session;
    const struct engine_item *item = u->item;
    if (item_is_single(item))
        return single_ask(u);
    const char *verb = item->kind == ITEM_USER ? "GET USER" : item->kind == ITEM_META ? "GET META"
                                                                                     : "GET MAILBOXES";
    if (item->kind == ITEM_MAILBOXES && item->nnames == 0) {
        u->asked = true;
        return NULL;
    }
    if (u->attempt == 0 && !u->announced) {
        u->announced = true;
        if (item->kind == ITEM_MAILBOXES)
            say_mailboxes(item);
        else
            log_progress("%s " SLICE_FMT, item->kind == ITEM_USER ? "USER" : "META",
                         SLICE_ARG(item->userid));
    }
    struct buf *b = session_begin(s, verb, &u->arena, NULL, answered, u);
    if (item->kind == ITEM_MAILBOXES)
        put_names(b, item);
    else
        dlist_write_str(b, item->userid);
    return session_end(s);
}
