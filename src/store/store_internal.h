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
#include "store/lock.h"
#include "store/mblist.h"
#include "store/paths.h"

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
};

/* The current list, for reading until store_list_put. Costs one stat if nothing changed. */
struct err *store_list_get(struct store *s, struct mblist **out);
void store_list_put(struct store *s, struct mblist *l);

/* True if mailboxes.db has plain names as keys (Cyrus 3.2 to 3.4): then mailboxes'
 * annotations are keyed by name too (spec/store.md §5.7). */
struct err *store_is_old_form(struct store *s, bool *old);

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

/* XCONVMODSEQ of a mailbox (§6.6), RACLMODSEQ of an INBOX (§6.5); 0: none to send.
 * usergroups: TAB-joined groups of the mailbox's owner, empty if none (§4.4). */
struct err *store_xconvmodseq(struct store *s, const struct mbentry *e, uint64_t *out);
struct err *store_raclmodseq(struct store *s, const struct mbentry *e, uint64_t *out);
struct err *store_usergroups(struct store *s, struct arena *a, const struct mbentry *e, struct slice *out);

#endif
