/*
 * A #sieve mailbox of which the replica cannot compile a script, because of an extension that it does not know or has
 * not enabled. A replica from 3.12 on refuses the whole command and does not say which script it is, an older one's
 * process dies of it. In a second try new scripts therefore go one by one, in the order of their uids: what is older
 * than the one at fault arrives, and it can be named. What is newer has to wait, since a replica takes no
 * message below its LAST_UID later. Called by the engine's thread.
 */
#include "sync/unit.h"

static bool is_new_script(const struct work *w, size_t i)
{
    return w->rec.uid[i] > w->have.since_uid && !(w->rec.flags[i] & (REC_EXPUNGED | REC_UNLINKED));
}

/* The first script that the replica lacks and the one behind it; the number of records: there is none. */
static size_t first_new(const struct work *w, size_t *second)
{
    size_t i = 0;
    while (i < w->rec.n && !is_new_script(w, i))
        i++;
    *second = i + 1;
    while (*second < w->rec.n && !is_new_script(w, *second))
        ++*second;
    return i;
}

struct record_part work_next_part(const struct work *w)
{
    size_t second, first;
    if (w->entry->kind != 'f' || w->unit->attempt == 0)
        return diff_part(w->m, &w->rec, w->have, w->unit->engine->o.batchsize);
    first = first_new(w, &second);
    if (second >= w->rec.n)
        return diff_part(w->m, &w->rec, w->have, 0);
    return (struct record_part){ .complete = false, .to_uid = w->rec.uid[first], .to_modseq = w->m->highestmodseq };
}

/* The name that the user gave it; empty: it cannot be read any more. */
static struct slice name_of(struct unit *u, struct slice owner, uint32_t uid)
{
    struct sieve_list l;
    struct slice name = slice_of("", 0);
    struct err *err = store_sieve(u->engine->o.store, &u->arena, owner, &l);
    for (size_t i = 0; i < l.n && !err; i++)
        if (l.s[i].uid == uid)
            name = l.s[i].name;
    err_free(err);
    return name;
}

const char *work_script_at_fault(struct work *w)
{
    struct unit *u = w->unit;
    size_t second, first;
    if (w->entry->kind != 'f' || u->attempt == 0 || (first = first_new(w, &second)) >= w->rec.n)
        return NULL;
    struct slice owner = names_userid_of_internal(&u->arena, store_names(u->engine->o.store), w->entry->name);
    struct slice name = name_of(u, owner, w->rec.uid[first]);
    return arena_printf(&u->keep, "the replica cannot compile the sieve script \"" SLICE_FMT "\" of " SLICE_FMT " (uid %u); scripts "
                        "that are newer wait for it. Delete or correct it here, or enable there what it requires "
                        "(sieve_extensions); the replica's log tells what that is",
                        SLICE_ARG(name), SLICE_ARG(owner), w->rec.uid[first]).p;
}
