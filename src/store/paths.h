/*
 * Where things lie (spec/store.md §2.4-2.11). Names and ids from the store are hostile:
 * one that cannot be a path component is ERR_CORRUPT. Paths are NUL-terminated and live in
 * the arena given. A struct paths is immutable once made; any thread may call.
 */
#ifndef STORE_PATHS_H
#define STORE_PATHS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "fansync/arena.h"
#include "fansync/config.h"
#include "fansync/err.h"
#include "fansync/names.h"
#include "fansync/slice.h"
#include "fansync/snapshot.h"

struct paths {
    const struct config *config;
    const struct namespace_options *names;
    struct slice configdir;
    struct slice lockroot;
    struct slice userroot; /* of by-id user files */
    struct slice mailboxes;   /* mailboxes.db */
    struct slice annotations; /* the global annotations.db */
    struct slice quota_db;    /* when the quota backend is not quotalegacy */
    struct slice quota_dir;   /* when it is */
    struct slice conversations_dir; /* empty: beside the user's other files */
    mode_t umask;
    bool hashimapspool;
    bool fulldirhash;
    bool archive;
    struct arena arena; /* of the slices above, which end in NUL */
};

/* ERR_CONFIG if configdirectory is not set. config and names outlive *p. */
struct err *paths_init(struct paths *p, const struct config *config, const struct namespace_options *names);
void paths_free(struct paths *p);

char paths_hash(const struct paths *p, struct slice s);
/* Of an internal name below a root. */
struct err *paths_of_name(const struct paths *p, struct arena *a, struct slice root, struct slice name,
                          const char **out);
/* Of a uniqueid below a root. */
struct err *paths_of_id(struct arena *a, struct slice root, struct slice id, const char **out);

enum mailbox_file { FILE_HEADER, FILE_INDEX, FILE_ANNOTATIONS };
/* ERR_CONFIG if the entry's partition is not in the configuration. */
struct err *paths_mailbox_file(const struct paths *p, struct arena *a, const struct mbentry *e,
                               enum mailbox_file f, const char **out);
/* flags: the record's (REC_ARCHIVED chooses the archive partition). */
struct err *paths_message(const struct paths *p, struct arena *a, const struct mbentry *e, uint32_t uid,
                          uint32_t flags, const char **out);

/* Where a user's files are: by the uniqueid of his INBOX, or by his name. */
struct user_home {
    struct slice domain;
    struct slice localpart; /* n == 0: the shared mailboxes of the domain */
    struct slice uniqueid;  /* n == 0: by name */
};
/* suffix: "sub", "seen", "counters", "conversations". */
struct err *paths_user_file(const struct paths *p, struct arena *a, const struct user_home *u,
                            const char *suffix, const char **out);
/* The folder of a user's sieve scripts. */
struct err *paths_sieve(const struct paths *p, struct arena *a, const struct user_home *u, const char **out);
/* Of a quota root, backend quotalegacy. */
struct err *paths_quota_file(const struct paths *p, struct arena *a, struct slice root, const char **out);

/* As part of a lock's name: dots become '^'. */
struct slice paths_lock_part(struct arena *a, struct slice s);
/* Of a lock name, which may be no mailbox name at all; a '/' in it is a folder. */
struct err *paths_lock_file(const struct paths *p, struct arena *a, struct slice lockname,
                            const char **out);

#endif
