/*
 * The ledger (model.h): every message that a user has put into a mailbox, and whether a user has
 * expunged it. From it check.c knows what must be live in the end. Guarded by the world's lock.
 */
#include "model.h"

#include "fansync/mem.h"

struct ledger ledger;

void ledger_clear(void)
{
    ledger.n = 0;
}

static struct ledger_entry *find(const char *uniqueid, const struct guid *g)
{
    for (size_t i = 0; i < ledger.n; i++)
        if (ledger.e[i].uniqueid == uniqueid && guid_eq(&ledger.e[i].guid, g))
            return &ledger.e[i];
    ledger.e = mem_grow(ledger.e, ledger.n, &ledger.cap, sizeof *ledger.e);
    ledger.e[ledger.n] = (struct ledger_entry){ .uniqueid = uniqueid, .guid = *g };
    return &ledger.e[ledger.n++];
}

void ledger_born(const struct model_mailbox *m, const struct guid *g, int side)
{
    find(m->uniqueid, g)->born[side]++;
}

void ledger_killed(const struct model_mailbox *m, const struct guid *g)
{
    find(m->uniqueid, g)->killed = true;
}

bool ledger_is_killed(const struct model_mailbox *m, const struct guid *g)
{
    return find(m->uniqueid, g)->killed;
}

void ledger_given_up(const struct model_mailbox *m, const struct guid *g)
{
    find(m->uniqueid, g)->given_up = true;
}

void ledger_flagged(const struct model_mailbox *m, const struct model_record *r, int side)
{
    struct ledger_entry *e = find(m->uniqueid, &r->guid);
    e->flagged[side] = true;
    e->flags = r->flags;
}
