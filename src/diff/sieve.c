/*
 * What brings a replica's sieve scripts into step, where they are not a mailbox
 * (spec/algorithm.md §8.5, spec/commands.md §3.10, §5.4). Pure.
 *
 * A replica of 3.6 and later names each script as NAME.script and the active one once more as
 * NAME.bc; an older one names every file of the user's folder. Compiled files are never
 * compared: the replica makes them of the source.
 */
#include "fansync/diff.h"

#include "fansync/map.h"

static const struct guid EMPTY_SCRIPT = { { 0xda, 0x39, 0xa3, 0xee, 0x5e, 0x6b, 0x4b, 0x0d, 0x32, 0x55,
                                            0xbf, 0xef, 0x95, 0x60, 0x18, 0x90, 0xaf, 0xd8, 0x07, 0x09 } };

static bool has_suffix(struct slice s, const char *suffix)
{
    struct slice want = slice_str(suffix);
    return s.n > want.n && slice_eq(slice_of(s.p + s.n - want.n, want.n), want);
}

static struct slice script_name(struct slice file)
{
    if (has_suffix(file, ".script"))
        file.n -= strlen(".script");
    else if (has_suffix(file, ".bc"))
        file.n -= strlen(".bc");
    return file;
}

static bool same_script(const struct sieve_script *s, const struct replica_script *r)
{
    if (guid_is_null(&r->guid))
        return r->last_update == s->last_update; /* the replica keeps the time that it was told */
    return guid_eq(&r->guid, &s->guid);
}

/* Some versions empty a script that is replaced: one that is empty is made anew. */
static bool must_go_first(const struct sieve_script *s, const struct replica_script *r)
{
    return guid_eq(&r->guid, &EMPTY_SCRIPT) && s->content.n > 0;
}

static struct map by_name(const struct sieve_list *here)
{
    struct map m = MAP_INIT;
    for (size_t i = 0; i < here->n; i++)
        map_put(&m, here->s[i].name, &here->s[i]);
    return m;
}

/* Sources only, by the script's name. */
static struct map by_file(const struct replica_script_list *there)
{
    struct map m = MAP_INIT;
    for (size_t i = 0; i < there->n; i++)
        if (has_suffix(there->s[i].file, ".script"))
            map_put(&m, script_name(there->s[i].file), &there->s[i]);
    return m;
}

static struct slice active_name(const struct replica_script_list *there)
{
    for (size_t i = 0; i < there->n; i++)
        if (there->s[i].active)
            return script_name(there->s[i].file);
    return slice_of("", 0);
}

static void plan_puts(const struct sieve_list *here, const struct map *sources, struct slice *active,
                      struct sieve_plan *p)
{
    for (size_t i = 0; i < here->n; i++) {
        const struct sieve_script *s = &here->s[i];
        const struct replica_script *r = map_get(sources, s->name);
        if (r && same_script(s, r))
            continue;
        bool first = r && must_go_first(s, r);
        p->put[p->nput++] = (struct sieve_put){ s, first };
        if (first && slice_eq(*active, s->name))
            *active = slice_of("", 0); /* removing deactivates */
    }
}

struct sieve_plan diff_sieve(struct arena *a, const struct sieve_list *here, const struct replica_script_list *there)
{
    struct sieve_plan p = { .put = arena_array(a, here->n, sizeof *p.put), .activate = slice_of("", 0),
                            .remove = arena_array(a, there->n, sizeof *p.remove) };
    struct map names = by_name(here), sources = by_file(there);
    struct slice active = active_name(there);
    p.deactivate = active.n && here->active.n == 0;
    plan_puts(here, &sources, &active, &p);
    if (!slice_eq(active, here->active))
        p.activate = here->active;
    for (size_t i = 0; i < there->n; i++) {
        const struct replica_script *r = &there->s[i];
        /* Without a GUID a compiled file is but the mark of the active script. */
        bool mark = has_suffix(r->file, ".bc") && guid_is_null(&r->guid);
        if (!mark && !map_get(&names, script_name(r->file)))
            p.remove[p.nremove++] = r->file;
    }
    map_free(&names);
    map_free(&sources);
    return p;
}
