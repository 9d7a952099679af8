/*
 * Mailbox names and where things lie on disk (spec/store.md §2). Names are converted
 * through their parts, never by text substitution. All functions are pure given the
 * immutable config; any thread may call.
 */
#ifndef FANSYNC_NAMES_H
#define FANSYNC_NAMES_H

#include <stdbool.h>
#include <stdint.h>
#include "fansync/arena.h"
#include "fansync/config.h"
#include "fansync/err.h"
#include "fansync/slice.h"

/* The parts of a name; slices live in the arena given to the parser. */
struct mbname {
    struct slice domain;    /* empty: none */
    uint32_t deleted_time;  /* 0: not a deleted mailbox */
    struct slice localpart; /* the user, literal dots; n == 0: shared */
    struct slice *boxes;    /* literal dots */
    size_t nboxes;
};

/* What the options say about names; made once from the config, immutable. */
struct namespace_options {
    bool unixhierarchysep;
    bool virtdomains;
    struct slice defaultdomain;
    struct slice deletedprefix;
};
void names_options(const struct config *c, struct namespace_options *out);

/* Internal ("user.fred.Work", "^" for a dot) and db form ("user\x1Ffred\x1FWork"). */
struct mbname names_from_internal(struct arena *a, const struct namespace_options *o, struct slice s);
struct mbname names_from_db(struct arena *a, const struct namespace_options *o, struct slice s);
struct slice names_to_internal(struct arena *a, const struct namespace_options *o, const struct mbname *m);
struct slice names_to_db(struct arena *a, const struct namespace_options *o, const struct mbname *m);

/* What an administrator types for -m ("user/j.doe@dom", separator by unixhierarchysep,
 * admin namespace without altnamespace); ERR_CONFIG if it can be no mailbox name. */
struct err *names_from_external(struct arena *a, const struct namespace_options *o, struct slice s,
                                struct slice *internal);

/* The user a mailbox belongs to ("j.doe", "joe@dom"), deleted mailboxes included; n == 0: shared. */
struct slice names_userid(struct arena *a, const struct mbname *m);
struct slice names_userid_of_internal(struct arena *a, const struct namespace_options *o, struct slice name);
/* The internal name of a user's INBOX. */
struct slice names_inbox(struct arena *a, const struct namespace_options *o, struct slice userid);

#endif
