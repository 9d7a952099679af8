/*
 * What the files of this room share: the open store, its look at the mailbox list, and
 * the values of a user's files that a mailbox's snapshot needs. Immutable but for the
 * cached list, which the mutexes guard; any thread may call.
 */
#ifndef STORE_INTERNAL_H
#define STORE_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include "fansync/buf.h"
#include "fansync/store.h"
#include "store/db.h"
#include "store/folder_modseq.h"
#include "store/lock.h"
#include "store/mblist.h"
#include "store/paths.h"
#include "store/shared_db.h"

struct store {
    const struct config *config;
    struct namespace_options names;
    struct paths paths;
    bool conversations; /* the option */
    enum db_text_backend text_mboxlist;
    enum db_text_backend text_annotation;
    enum db_text_backend text_seen;
    enum db_text_backend text_subscription;
    enum db_text_backend text_conversations;
    enum db_text_backend text_quota;
    pthread_mutex_t guard; /* list and its count of users */
    pthread_mutex_t load;  /* one loader at a time; taken before guard */
    struct mblist *list;   /* the newest one read */
    struct shared_db annotations; /* the global one */
    struct folder_modseq_cache folder_modseqs;
};

/* The current list, for reading until store_list_put. Costs one stat if nothing changed. */
struct err *store_list_get(struct store *s, struct mblist **out);
void store_list_put(struct store *s, struct mblist *l);

/* As store_lookup, in a list that the caller holds. */
struct err *store_list_find(struct store *s, const struct mblist *l, struct arena *a, struct slice name,
                            struct mbentry *out, bool *found);

/* The groups of a user, TAB-joined; empty if none (spec/store.md §4.4). */
struct slice store_list_usergroups(const struct mblist *l, struct arena *a, struct slice userid);

/* The parts of a user's INBOX; ERR_INVALID_USER if nobody can have that id. */
struct err *store_inbox_of(struct store *s, struct arena *a, struct slice userid, struct mbname *out);

/* Where the files of a mailbox's owner are: a user without INBOX has them by name. */
struct err *store_user_home(struct store *s, struct arena *a, const struct mbname *m,
                            struct user_home *out);

/* The path of a file of the mailbox's owner; suffix as for paths_user_file. */
struct err *store_user_file(struct store *s, struct arena *a, const struct mbname *m, const char *suffix,
                            const char **path);

/* A small file that is replaced by rename, so that it needs no lock; not found is no error. */
struct err *store_read_small(const char *path, struct buf *out, bool *found);

/* XCONVMODSEQ of a mailbox (§6.6), RACLMODSEQ of an INBOX (§6.5); 0: none to send. */
struct err *store_xconvmodseq(struct store *s, const struct mbentry *e, uint64_t *out);
struct err *store_raclmodseq(struct store *s, const struct mbentry *e, uint64_t *out);

#endif
