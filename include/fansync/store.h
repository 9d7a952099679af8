/*
 * The master's mail store, read only (spec/store.md). Nothing here ever writes a file of
 * the store; lock files are created where Cyrus would create them.
 *
 * Threads: a struct store may be used by many threads at once. A struct mailbox (an open,
 * locked mailbox) and everything made from it belongs to the thread that opened it.
 *
 * Locks are Cyrus's, as open-file-description locks, in Cyrus's order (spec/store.md
 * §7.3): user sync lock, then namespace lock, then name lock, then cyrus.index, then
 * databases. They are held from store_mailbox_open to store_mailbox_close only; no caller
 * talks to the network in between. Waiting is bounded; ERR_BUSY when it takes too long.
 */
#ifndef FANSYNC_STORE_H
#define FANSYNC_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include "fansync/arena.h"
#include "fansync/config.h"
#include "fansync/err.h"
#include "fansync/guid.h"
#include "fansync/names.h"
#include "fansync/slice.h"
#include "fansync/snapshot.h"
#include "fansync/sync_crc.h"

struct store;

/* config must outlive the store. Fails if mailboxes.db cannot be read. */
struct err *store_open(const struct config *config, struct store **out);
void store_free(struct store *s);
const struct namespace_options *store_names(const struct store *s);

/* ---- the mailbox list ---- */

/* The MBOXTYPE the wire wants: kind and flags without 'l'; empty for a plain mail
 * mailbox (then the key is not sent). */
struct slice mbentry_wire_type(struct arena *a, const struct mbentry *e);

/* By internal name, current state of the file; *found false if there is no entry.
 * Tombstones and intermediates are found too. */
struct err *store_lookup(struct store *s, struct arena *a, struct slice name, struct mbentry *out,
                         bool *found);

/* A growing list in an arena, in mailbox-list order. */
struct mbentry_list {
    struct mbentry *e;
    size_t n;
    size_t cap;
};

/*
 * All entries of a user: INBOX, what is below it, then his deleted ones; every kind of
 * entry, the caller filters. Keyed by the database's order inside each of the three. An entry that
 * cannot be read is left out, and *damaged (the caller's to free) says which was the first: then
 * nothing may be concluded from what the list does not have. *damaged NULL: it is whole.
 */
struct err *store_user_mailboxes(struct store *s, struct arena *a, struct slice userid,
                                 struct mbentry_list *out, struct err **damaged);

/* By uniqueid: the present or last name of a mailbox; *found false for one that the list does not
 * know. A mailbox deleted for good is a tombstone until its name is used again. A tombstone is
 * given only if no mailbox has the uniqueid: the old name of a renamed one is a tombstone too. */
struct err *store_lookup_id(struct store *s, struct arena *a, struct slice uniqueid, struct mbentry *out,
                            bool *found);

/* Was the mailbox of that uniqueid renamed since it was made, as far as the list remembers? A
 * master before 3.6 remembers nothing. Cheap: one key. */
struct err *store_was_renamed(struct store *s, struct slice uniqueid, bool *out);
/* What the mailboxes are called now that had this name before, as far as the list remembers; copies in the deleted tree
 * are left out. In a. One pass over the list. */
struct err *store_present_names(struct store *s, struct arena *a, struct slice name, struct name_list *out)
    __attribute__((warn_unused_result));
/* The names that the mailboxes of these uniqueids had before, as far as the list remembers, in a. One pass over it. */
struct err *store_former_names(struct store *s, struct arena *a, const struct slice *uniqueid, size_t n,
                               struct name_list *out) __attribute__((warn_unused_result));

/* Every entry of the list whose internal name starts with prefix (may be empty). */
struct err *store_all_mailboxes(struct store *s, struct arena *a, struct slice prefix,
                                struct mbentry_list *out);

/* ---- one mailbox ---- */

struct mailbox;

/*
 * Opens and locks a mailbox by its current internal name and reads its header, its header file,
 * its mailbox annotations, conversations and counters values. The entry is looked up
 * again under the name lock. ERR_NONEXISTENT: gone, or not a readable local mailbox.
 * ERR_NOTSUPPORTED: index too old, unknown version. ERR_CORRUPT names file and offset.
 * Everything read lives in a.
 */
struct err *store_mailbox_open(struct store *s, struct arena *a, struct slice name, struct mailbox **out);
const struct mailbox_header *mailbox_header(const struct mailbox *m);

/*
 * Reads the records with modseq > since_modseq or uid > since_uid (expunged ones
 * included, uid 0 left out), with their stored annotations, checking every record's CRC
 * (of all records of the index, not only those wanted). A null GUID in a live record is
 * ERR_NOTSUPPORTED. since 0, 0: all. Columns live in a.
 */
struct err *mailbox_records(struct mailbox *m, struct arena *a, uint64_t since_modseq, uint32_t since_uid,
                            struct records *out);

/* The two sync CRCs computed from all live records (spec/store.md §5.6), not as stored. */
struct err *mailbox_compute_crcs(struct mailbox *m, struct sync_crcs *out);

/* Releases all locks; snapshots stay valid with their arena. */
void store_mailbox_close(struct mailbox *m);

/*
 * Opens a message's file for reading, without any lock, from what a snapshot says.
 * ERR_BUSY: it is gone (cleaned up since; take a new snapshot). ERR_CORRUPT: its length
 * is not the record's. The caller closes *fd. Content is not checked against the GUID
 * here: whoever reads it does.
 */
struct err *store_message_open(struct store *s, const struct mbentry *e, uint32_t uid, uint32_t flags,
                               uint64_t size, int *fd);

/* ---- a user's other things ---- */

struct err *store_subscriptions(struct store *s, struct arena *a, struct slice userid,
                                struct subscription_list *out);

/* The server's own annotations, sorted; without those that are files (/motd). */
struct err *store_server_annotations(struct store *s, struct arena *a, struct annotation_list *out);

struct err *store_seen(struct store *s, struct arena *a, struct slice userid, struct seen_list *out);

/* The highest modseq of all mailboxes of the owner of that mailbox, as his counters file says
 * (spec/store.md §6.5); 0 without conversations, and for shared mailboxes. */
struct err *store_owner_modseq(struct store *s, struct slice name, uint64_t *out);

/*
 * A user's sieve scripts, out of his #sieve mailbox, else out of his sieve folder, where
 * Cyrus kept them before 3.6 (spec/store.md §6.4).
 */
struct err *store_sieve(struct store *s, struct arena *a, struct slice userid, struct sieve_list *out);
/* Whether there are scripts in his sieve folder: of a user without a #sieve mailbox, those that were
 * not moved into one since Cyrus was upgraded from before 3.6. */
struct err *store_has_sieve_files(struct store *s, struct arena *a, struct slice userid, bool *out);
/* Does this Cyrus keep scripts as messages (3.6 and later)? */
struct err *store_has_sieve_mailboxes(struct store *s, bool *out);

/* *found false: no such root. */
struct err *store_quota(struct store *s, struct arena *a, struct slice root, struct quota *out, bool *found);

/* ---- the per-user sync lock (spec/operation.md §3.5) ---- */

struct user_lock;
/* host: the server string as configured; userid empty for shared mailboxes. wait false:
 * ERR_LOCKED at once if another client has it. */
struct err *store_user_lock(struct store *s, struct slice host, struct slice userid, bool wait,
                            struct user_lock **out);
void store_user_unlock(struct user_lock *l);

#endif
