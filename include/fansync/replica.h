/*
 * Plain descriptions of what a replica said that it holds (spec/commands.md §2, §4.1).
 * The engine fills them from answers, the diff core compares them with snapshots.
 * Everything lives in the arena of whoever made it.
 */
#ifndef FANSYNC_REPLICA_H
#define FANSYNC_REPLICA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "fansync/slice.h"
#include "fansync/snapshot.h"

/* One MAILBOX line without its records. */
struct replica_mailbox {
    struct slice name;
    struct slice uniqueid;  /* empty: an intermediate of 3.12 */
    struct slice type;      /* MBOXTYPE as sent; empty: plain mail */
    struct slice partition; /* empty: not said (intermediates) */
    struct slice acl;
    struct slice options; /* letters */
    struct slice quotaroot; /* empty: none */
    uint32_t sync_crc;
    uint32_t sync_crc_annot;
    uint32_t last_uid;
    uint32_t uidvalidity;
    uint32_t recentuid;
    uint64_t highestmodseq;
    uint64_t createdmodseq; /* 0: not said */
    uint64_t foldermodseq; /* 0: not said */
    uint64_t xconvmodseq;  /* 0: not said */
    uint64_t raclmodseq;   /* 0: not said */
    int64_t recenttime;
    int64_t pop3_last_login;
    int64_t pop3_show_after;
    struct annotation_list annotations; /* sorted by entry, then userid */
    bool remembered; /* from the cache: the replica was not asked */
};

/* A name without a mailbox? */
static inline bool replica_is_intermediate(const struct replica_mailbox *m)
{
    return m->type.n && memchr(m->type.p, 'i', m->type.n);
}

struct replica_mailbox_list {
    struct replica_mailbox *m;
    size_t n;
    size_t cap;
};

struct replica_quota_list {
    struct quota *q;
    size_t n;
    size_t cap;
};

/* A file of sieve that the replica names: NAME.script, or NAME.bc of what is compiled. */
struct replica_script {
    struct slice file;
    struct guid guid; /* null: not said */
    int64_t last_update;
    bool active;
};

struct replica_script_list {
    struct replica_script *s;
    size_t n, cap;
};

/* The records of one mailbox (GET FULLMAILBOX) in one array, ascending by uid: what is
 * needed to compare them, a few dozen bytes each. */
struct replica_records {
    size_t n, cap;
    struct replica_record {
        uint32_t uid;
        bool expunged;
        uint32_t crc_basic, crc_annot; /* of the record alone (sync_crc.h) */
        uint64_t modseq;
        int64_t last_updated;
        struct guid guid;
    } *r;
};

/* One record of a replica with all that it says: only those are kept that the master lacks or
 * takes over. */
struct replica_detail {
    uint32_t uid;
    uint32_t flags; /* REC_*, of those that are replicated */
    uint64_t modseq;
    uint64_t size;
    uint64_t cid;
    uint64_t createdmodseq;
    int64_t last_updated;
    int64_t internaldate;
    int64_t savedate;
    struct guid guid;
    struct slice *userflags; /* by name */
    size_t nuserflags;
    struct annotation_list annotations; /* without the virtual ones; sorted */
};

struct replica_details { /* ascending by uid */
    struct replica_detail *d;
    size_t n, cap;
};

/* Everything a GET USER, GET META or GET MAILBOXES brought. */
struct replica_state {
    struct replica_mailbox_list mailboxes;
    struct replica_quota_list quotas;
    struct subscription_list subscriptions;
    size_t subscriptions_cap;
    struct seen_list seen;
    size_t seen_cap;
    struct annotation_list annotations; /* the server's own (GET ANNOTATION), as sent */
    size_t annotations_cap;
    struct replica_script_list scripts; /* only if the session has not enabled SIEVE-MAILBOX */
};

#endif
