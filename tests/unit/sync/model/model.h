/*
 * A model of two Cyrus hosts, a master and a replica, in memory: what a host holds, and
 * what its users do to it. The store functions of fansync/store.h read the master
 * (store.c), csync servers on Unix sockets give access to both (server.c), histories
 * edit and compare them (history.h).
 *
 * One lock guards both hosts, `model_lock`; it is recursive, and an open mailbox of the
 * store holds it, as a real one holds its files' locks. Strings are interned: equal ones
 * are the same pointer, and nobody frees them.
 */
#ifndef FANSYNC_MODEL_H
#define FANSYNC_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "fansync/arena.h"
#include "fansync/guid.h"
#include "fansync/slice.h"
#include "fansync/snapshot.h"
#include "fansync/sync_crc.h"

enum { MODEL_FLAGS = 16, MODEL_ANNOTS = 6, MODEL_MINOR = 17 };
enum { MASTER, REPLICA };

struct model_annot {
    const char *entry, *userid, *value;
    uint64_t modseq;
};

struct model_annots { /* sorted by entry, then userid */
    size_t n;
    struct model_annot a[MODEL_ANNOTS];
};

struct model_record {
    uint32_t uid, size;
    uint32_t flags;     /* REC_* */
    uint32_t userflags; /* bits of the mailbox's table */
    uint64_t modseq, cid, createdmodseq;
    int64_t last_updated, internaldate, savedate;
    struct guid guid;
    struct model_annots annots;
};

struct model_mailbox {
    const char *name, *uniqueid, *partition, *acl;
    uint32_t uidvalidity, last_uid, recentuid, options;
    uint64_t highestmodseq, deletedmodseq, foldermodseq, createdmodseq, xconvmodseq;
    int64_t recenttime, last_appenddate, pop3_last_login, pop3_show_after;
    const char *userflag[MODEL_FLAGS];
    size_t nuserflags;
    struct model_annots annots;
    struct model_record *rec; /* ascending by uid */
    size_t n, cap;
};

struct model_tombstone {
    const char *name, *uniqueid;
};
struct model_sub {
    const char *userid, *name;
};
struct model_seen {
    const char *userid, *uniqueid, *uids;
    int64_t lastread, lastchange;
    uint32_t lastuid;
};
struct model_quota {
    const char *root;
    int64_t limit[QUOTA_RESOURCES];
};

struct model_host {
    const char *label; /* "master" or "replica" */
    int side;          /* MASTER or REPLICA */
    struct model_mailbox **box; /* sorted by name */
    size_t nbox, capbox;
    struct model_tombstone *tomb;
    size_t ntomb, captomb;
    struct model_tombstone *gone; /* all that there ever were: a new mailbox of the name hides the entry */
    size_t ngone, capgone;
    struct model_sub *sub; /* sorted by user, then name */
    size_t nsub, capsub;
    struct model_seen *seen;
    size_t nseen, capseen;
    struct model_quota *quota;
    size_t nquota, capquota;
    int64_t skew; /* of its clock */
    unsigned serial; /* of mailboxes made here */
    bool forced;  /* FORCE was said: stays on for the process */
    /* As servers of 3.6: annotations of a mailbox that change by APPLY raise its FOLDERMODSEQ */
    bool raises_folders;
    /* As later servers: UNMAILBOX says the uniqueid of the mailbox it means. */
    bool unmailbox_id;
    bool conversations; /* mailboxes have an XCONVMODSEQ */
    bool long_thrid;    /* 3.13 or later: sums with thread ids of 16 digits */
};

/* ---- the world ---- (host.c) */

void model_lock(void);
void model_unlock(void);
/* Mailboxes of the store that are open: no command may arrive at the master's own server. */
extern int model_open_mailboxes;

/* Seconds; every look at the clock of a host lets time pass. */
void model_set_clock(int64_t now);
int64_t model_now(struct model_host *h);

const char *model_intern(struct slice s);
const char *model_str(const char *s);

/* Message number id: its bytes (in a), its GUID. */
struct slice model_text(struct arena *a, unsigned id);
struct guid model_guid(unsigned id);
uint32_t model_size(unsigned id);
/* The bytes of a message by GUID; n == 0: no such message was ever made. */
struct slice model_text_of(struct arena *a, const struct guid *g);

/* The first thing that somebody did against the rules; kept until cleared. */
void model_violation(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
const char *model_violated(void); /* NULL: nothing */
void model_clear_violation(void);

/* ---- a host ---- (host.c) */

void model_host_free(struct model_host *h);
void model_host_copy(struct model_host *to, const struct model_host *from); /* to is freed first */
struct model_mailbox *model_box(const struct model_host *h, const char *name);
struct model_mailbox *model_box_of_id(const struct model_host *h, const char *uniqueid);
struct model_mailbox *model_add_box(struct model_host *h, const char *name, const char *uniqueid);
/* As a server deletes at once; a tombstone stays unless the name is in the deleted tree. */
void model_drop_box(struct model_host *h, struct model_mailbox *m);
void model_move_box(struct model_host *h, struct model_mailbox *m, const char *name);
const struct model_tombstone *model_tomb(const struct model_host *h, const char *name);
bool model_is_deleted_name(const char *name);
/* Whether a mailbox belongs to the user; deleted ones do. */
bool model_is_of_user(const char *name, const char *userid);
/* NULL: no limit above it. */
const struct model_quota *model_quota_of(const struct model_host *h, const char *name);
struct model_quota *model_quota(const struct model_host *h, const char *root);
struct model_quota *model_set_quota(struct model_host *h, const char *root);
void model_drop_quota(struct model_host *h, const char *root);
void model_set_sub(struct model_host *h, const char *userid, const char *name, bool on);
struct model_seen *model_set_seen(struct model_host *h, const char *userid, const char *uniqueid);

struct model_record *model_find(const struct model_mailbox *m, uint32_t uid);
struct model_record *model_append(struct model_mailbox *m, uint32_t uid); /* uid above all */
size_t model_live(const struct model_mailbox *m);
/* A record of a thread has changed: the folder's XCONVMODSEQ follows, and those of the owner's other folders with
 * messages of the thread. The replica numbers the others higher, as a server may that learns of the changes in
 * another order. */
void model_converse(struct model_host *h, struct model_mailbox *m, const struct model_record *r);
uint32_t model_userflag(struct model_mailbox *m, const char *name); /* its bit, made if new */
void model_annot_set(struct model_annots *l, const char *entry, const char *userid, const char *value,
                     uint64_t modseq); /* value NULL: removes it */
bool model_annots_equal(const struct model_annots *x, const struct model_annots *y);

/* ---- as the project sees it ---- (snapshot.c) */

void model_header(struct arena *a, const struct model_host *h, const struct model_mailbox *m,
                  struct mailbox_header *out);
void model_records(struct arena *a, const struct model_mailbox *m, uint64_t since_modseq, uint32_t since_uid,
                   struct records *out);
/* The sums of all live records. */
struct sync_crcs model_crcs(const struct model_mailbox *m);
/* annot in the form of the host */
uint32_t model_annot_crc(const struct model_host *h, const struct sync_crcs *c);

/* ---- the ledger: what became of every message ---- (ledger.c) */

struct ledger_entry {
    const char *uniqueid; /* of the mailbox */
    struct guid guid;
    unsigned born[2]; /* how often users have put it there, by side */
    bool killed;      /* a user has expunged it, on either side */
    bool given_up;    /* the algorithm may lose it */
    bool flagged[2];  /* a user has changed its flags or annotations, by side */
    uint32_t flags;   /* the system's, as they were then */
};
extern struct ledger {
    struct ledger_entry *e;
    size_t n, cap;
} ledger;
void ledger_clear(void);
void ledger_born(const struct model_mailbox *m, const struct guid *g, int side);
bool ledger_is_killed(const struct model_mailbox *m, const struct guid *g);
void ledger_killed(const struct model_mailbox *m, const struct guid *g);
void ledger_flagged(const struct model_mailbox *m, const struct model_record *r, int side);
void ledger_given_up(const struct model_mailbox *m, const struct guid *g);

/* ---- the master's store ---- (store.c) */

struct store;
struct store *model_store_new(struct model_host *master);
void model_store_free(struct store *s);

/* ---- what users and administrators do ---- (edits.c) */

enum op_kind {
    OP_APPEND,   /* message number arg */
    OP_COPY,     /* a message of folder arg into this one, on the same host */
    OP_FLAG,     /* a system flag of a message */
    OP_KEYWORD,  /* a user flag of a message */
    OP_ANNOTATE, /* a message */
    OP_EXPUNGE,  /* a message */
    OP_UNLINK,   /* the files of expunged messages are removed */
    OP_FORGET,   /* expunged records are cleaned up */
    OP_METADATA, /* an annotation of the folder */
    OP_CREATE,
    OP_DELETE,   /* at once; a tombstone stays */
    OP_DELAYED,  /* into the deleted tree */
    OP_RENAME,   /* to folder arg */
    OP_ACL,
    OP_OPTIONS,
    OP_SELECT,   /* recent values */
    OP_POP3,
    OP_VALIDITY, /* a higher uidvalidity */
    OP_QUOTA,
    OP_SUB,
    OP_SEEN,
    OP_GIVE,     /* a folder becomes folder arg of another user */
    OP_RENAME_USER, /* to a name that is free; of the master only */
    OP_DELETE_USER, /* at once or into the deleted tree; of the master only */
    OP_EXPIRE,   /* the deleted tree is emptied */
    OP_PARTITION, /* to the other partition; of the master only */
    OP_EDITS,    /* how many of the above there are */
    OP_SYNC = OP_EDITS, /* one pass of the engine over all users */
    OP_KILL,     /* the engine dies before the command number `at` of the next pass */
    OP_CUT,      /* the server's process ends before command number `at` of the next pass */
    OP_LOSE,     /* ... after it, and the answer is lost */
    OP_LOCKED,   /* the first command that changes something, from number `at` on, finds a lock */
    OP_ALONE,    /* the master's own server does not answer in the next pass */
    OP_DAMAGE,   /* the entry of a mailbox in the master's list cannot be read in the next pass */
    OP_KINDS,
};

/* at: 0 is at once, else when command number `at` of the next pass arrives at either server. */
struct op {
    enum op_kind kind;
    int side;
    unsigned user, box, arg, at;
};

enum { MODEL_USERS = 3, MODEL_BOXES = 6 }; /* the last user has nothing in the beginning */
const char *model_user(unsigned user);
const char *model_partition(unsigned n); /* of two */
const char *model_box_name(unsigned user, unsigned box);
/* One edit; what does not apply does nothing. */
void model_edit(struct model_host *h, const struct op *op);
/* As users delete: at once, and into the deleted tree. */
void model_delete_box(struct model_host *h, struct model_mailbox *m);
void model_bury_box(struct model_host *h, struct model_mailbox *m);

/* ---- whole users ---- (people.c) */

void model_give(struct model_host *h, struct model_mailbox *m, const struct op *op);
void model_rename_user(struct model_host *h, const char *from);
void model_delete_user(struct model_host *h, const char *userid, bool at_once);
void model_expire(struct model_host *h);
/* Subscriptions and seen states follow the INBOX. */
void model_rename_settings(struct model_host *h, const char *from, const char *to);
void model_drop_settings(struct model_host *h, const char *userid);

#endif
