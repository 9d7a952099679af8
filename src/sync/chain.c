/* Chains of names (sync/chain.h). */
#include "sync/chain.h"

/* Every second member on the way is made to point further up, which keeps ways short. */
static struct chain *head_of(struct chain *c)
{
    for (; c->up; c = c->up)
        if (c->up->up)
            c->up = c->up->up;
    return c;
}

struct chain *chain_of(struct chains *c, struct slice name)
{
    struct chain *own = map_get(&c->of, name);
    if (own)
        return head_of(own);
    own = arena_alloc(c->arena, sizeof *own);
    own->members = 1;
    map_put(&c->of, arena_dup(c->arena, name), own);
    return own;
}

void chain_join(struct chains *c, struct slice x, struct slice y)
{
    struct chain *large = chain_of(c, x), *small = chain_of(c, y);
    if (large == small)
        return;
    if (large->members < small->members) {
        struct chain *other = large;
        large = small;
        small = other;
    }
    small->up = large;
    large->members += small->members;
}

void chains_free(struct chains *c)
{
    map_free(&c->of);
}
