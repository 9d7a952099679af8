/*
 * Annotation rows (spec/store.md §5.7), of a mailbox (annotations.db) and of its messages
 * (cyrus.annotations), from databases that are open already. Any thread.
 */
#ifndef FANSYNC_STORE_ANNOT_H
#define FANSYNC_STORE_ANNOT_H

#include "fansync/arena.h"
#include "fansync/err.h"
#include "fansync/snapshot.h"
#include "store/db.h"

/* Rows whose first key part is owner_key (a uniqueid, or a name in 3.2); userid is the
 * mailbox's owner, for the token that stands for him. Everything is copied to a. */
struct err *annot_mailbox(struct arena *a, struct db *d, struct slice owner_key, struct slice userid,
                          struct annotation_list *out);

/* All rows of messages, sorted by uid, entry, userid. */
struct message_annotation {
    uint32_t uid;
    struct annotation a;
};
struct message_annotations {
    struct message_annotation *row;
    size_t n;
};
struct err *annot_messages(struct arena *a, struct db *d, struct slice userid, struct message_annotations *out);

/* The rows of one uid; the list is the caller's, the bytes are shared with all. */
struct annotation_list annot_of_uid(struct arena *a, const struct message_annotations *all, uint32_t uid);

/* One more shared row, of modseq 0, in its place; entry and value are borrowed. */
void annot_add(struct arena *a, struct annotation_list *l, struct slice entry, struct slice value);

#endif
