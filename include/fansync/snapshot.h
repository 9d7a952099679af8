/*
 * Plain descriptions of what a master holds: a mailbox's header and records as columns,
 * and a user's subscriptions, seen states and quotas. The store fills them, the diff
 * core compares them, tests build them by hand. No ownership: everything lives in the arena of
 * whoever made it.
 */
#ifndef FANSYNC_SNAPSHOT_H
#define FANSYNC_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "fansync/arena.h"
#include "fansync/guid.h"
#include "fansync/slice.h"

enum {
    MB_DELETED = 1 << 0,      /* tombstone */
    MB_INTERMEDIATE = 1 << 1, /* a name without a mailbox */
    MB_LEGACY = 1 << 2,       /* paths by name */
    MB_MOVING = 1 << 3,
    MB_REMOTE = 1 << 4,
    MB_RESERVED = 1 << 5,
};

/* One entry (spec/store.md §4.3); slices live in the arena given to the look-up. */
struct mbentry {
    struct slice name;      /* internal */
    struct slice uniqueid;
    struct slice partition; /* empty for tombstones and intermediates */
    struct slice acl;       /* identifier TAB rights TAB ... */
    char kind;              /* 'e' mail, 'c' calendar, 'f' sieve, ... (spec/store.md §4.3) */
    unsigned flags;         /* MB_* */
    uint32_t uidvalidity;
    uint64_t createdmodseq;
    uint64_t foldermodseq;
};

/*
 * Is there a mailbox of ours under this name, one that can be opened here and now? Not if it is
 * a tombstone or an intermediate, not if it lies on another server (remote), is on its way
 * to one (moving), or is just being made (reserved: the log names it again when it stands).
 */
static inline bool mbentry_is_live(const struct mbentry *e)
{
    return (e->flags & (MB_DELETED | MB_INTERMEDIATE | MB_MOVING | MB_REMOTE | MB_RESERVED)) == 0;
}

/* Does the entry say that there is no mailbox of this name, here or on another server? Only
 * this is a word about deletion: an entry that is not live may be a mailbox all the same. */
static inline bool mbentry_is_gone(const struct mbentry *e)
{
    return (e->flags & (MB_DELETED | MB_INTERMEDIATE)) != 0;
}

enum { /* the index's flag word (spec/store.md §5.4) */
    REC_ANSWERED = 1u << 0,
    REC_FLAGGED = 1u << 1,
    REC_DELETED = 1u << 2,
    REC_DRAFT = 1u << 3,
    REC_SEEN = 1u << 4,
    REC_ARCHIVED = 1u << 29,
    REC_UNLINKED = 1u << 30,
    REC_EXPUNGED = 1u << 31,
};

enum { /* the index's option bits that are replicated; letters P S D A */
    MBOPT_POP3_NEW_UIDL = 1u << 0,
    MBOPT_SHARED_SEEN = 1u << 2,
    MBOPT_DUPLICATE_DELIVER = 1u << 3,
    MBOPT_HAS_ALARMS = 1u << 4,
    MBOPT_SYNCED = MBOPT_POP3_NEW_UIDL | MBOPT_SHARED_SEEN | MBOPT_DUPLICATE_DELIVER | MBOPT_HAS_ALARMS,
};

struct annotation {
    struct slice entry;
    struct slice userid; /* empty: shared; the owner's token is resolved */
    struct slice value;
    uint64_t modseq;
};

struct annotation_list {
    struct annotation *a; /* sorted by entry, then userid */
    size_t n;
};

/*
 * What the master holds of one mailbox, at one instant: header fields as the wire wants
 * them (spec/store.md §8.2) and, once loaded, the records as columns. Virtual annotations
 * (thrid, savedate, createdmodseq) are columns, not rows of annotations.
 */
struct mailbox_header {
    struct mbentry entry; /* name, uniqueid, partition, ACL, type, foldermodseq */
    uint32_t minor;       /* index version */
    uint32_t num_records;
    uint32_t exists;
    uint32_t last_uid;
    uint32_t uidvalidity;
    uint32_t recentuid;
    uint32_t options; /* MBOPT_SYNCED bits; P counts as set when exists is 0 */
    uint32_t sync_crc;       /* as stored */
    uint32_t sync_crc_annot; /* as stored */
    uint64_t highestmodseq;
    uint64_t deletedmodseq;
    uint64_t createdmodseq;
    uint64_t xconvmodseq; /* 0: not sent */
    uint64_t raclmodseq;  /* 0: not sent */
    int64_t recenttime;
    int64_t last_appenddate;
    int64_t pop3_last_login;
    int64_t pop3_show_after;
    struct slice quotaroot; /* empty: none */
    struct slice *userflags; /* by bit; n == 0: unused bit */
    size_t nuserflags;
    struct annotation_list annotations; /* of the mailbox */
    struct slice usergroups;            /* TAB-joined; empty: none */
};

/* Records as parallel arrays, ascending by uid. */
struct records {
    size_t n;
    uint32_t *uid;
    uint64_t *modseq;
    int64_t *last_updated;
    int64_t *internaldate;
    uint64_t *size;
    uint32_t *flags; /* REC_* */
    uint32_t (*userflags)[4];
    struct guid *guid;
    uint64_t *cid;
    int64_t *savedate;
    uint64_t *createdmodseq;
    struct annotation_list *annotations; /* stored rows only; NULL if no record has any */
};

/* n records of zeros, without annotations. */
void records_make(struct arena *a, size_t n, struct records *out);

struct subscription_list {
    struct slice *name; /* internal names, database order */
    size_t n;
};
struct name_list {
    struct slice *name; /* internal names */
    size_t n, cap;
};
struct seen_row {
    struct slice uniqueid;
    int64_t lastread;
    uint32_t lastuid;
    int64_t lastchange;
    struct slice uids;
};
struct seen_list {
    struct seen_row *row;
    size_t n;
};
/* A sieve script by the name its user gave it, without suffix. */
struct sieve_script {
    struct slice name;
    struct slice content;
    struct guid guid; /* SHA-1 of content */
    int64_t last_update;
    uint32_t uid; /* of its message; 0: it is a file */
};
struct sieve_list {
    struct sieve_script *s; /* sorted by name */
    size_t n, cap;
    struct slice active; /* name of one of them, or empty */
    bool known;          /* false: the scripts are kept where they are not replicated from */
};
enum quota_resource { QUOTA_STORAGE, QUOTA_MESSAGE, QUOTA_ANNOTATION, QUOTA_FOLDERS, QUOTA_RESOURCES };
#define QUOTA_UNLIMITED (-1)
struct quota {
    struct slice root;
    int64_t limit[QUOTA_RESOURCES]; /* QUOTA_UNLIMITED or the limit, storage in KiB */
    uint64_t modseq;
};

#endif
