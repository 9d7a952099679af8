/*
 * Chains: names that belong together because records say that one became the other. A union-find
 * over byte strings; a batch has one of mailbox names and one of owners' groups. Pure; everything
 * lives in the arena of whoever makes them.
 */
#ifndef FANSYNC_SYNC_CHAIN_H
#define FANSYNC_SYNC_CHAIN_H

#include "fansync/arena.h"
#include "fansync/map.h"

struct chain {
    struct chain *up; /* towards the head; NULL: this is the head */
    size_t members;
    void *user; /* the caller's, of a head; NULL at first */
};

struct chains {
    struct arena *arena;
    struct map of; /* name -> struct chain */
};

/* The head of the name's chain; a name that is new is a chain of its own. */
struct chain *chain_of(struct chains *c, struct slice name);
/* Makes one chain of both names'. To be called before anything is stored in user. */
void chain_join(struct chains *c, struct slice x, struct slice y);
void chains_free(struct chains *c);

#endif
