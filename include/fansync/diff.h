/*
 * The diff core: given what the master holds and what the replica says, what has to be
 * sent. Pure: no I/O, no locks, no globals, no time; the same input gives the same plan.
 * Any thread may call. The rules are those of spec/algorithm.md; each function names its
 * section.
 */
#ifndef FANSYNC_DIFF_H
#define FANSYNC_DIFF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "fansync/arena.h"
#include "fansync/err.h"
#include "fansync/replica.h"
#include "fansync/snapshot.h"
#include "fansync/sync_crc.h"

/* ---- folders (§2) ---- */

/* How one mailbox of the master stands to the replica. */
struct folder_match {
    const struct replica_mailbox *r; /* the replica's mailbox of the same uniqueid, or NULL */
    bool renamed;  /* it has another name there */
    bool moved;    /* it is on another partition there */
    /* Another mailbox that the replica has under this name; with r too, if r is under another one. */
    const struct replica_mailbox *occupant;
};

struct folder_matches {
    struct folder_match *match; /* parallel to the master's list */
    size_t n;
    /* mailboxes of the replica that no mailbox of the master matched, in its order */
    const struct replica_mailbox **extra;
    size_t nextra;
    const bool *matched; /* parallel to the replica's list */
};

/* Matches by uniqueid only. partition: where all mailboxes are wanted, or empty for the
 * master's own partition of each. The result lives in a. */
struct folder_matches diff_folders(struct arena *a, const struct mbentry *master, size_t n,
                                   const struct replica_mailbox_list *replica, struct slice partition);

/* One mailbox of the replica that gets another name, another partition, or both. */
struct rename_op {
    struct slice from;
    struct slice to;
    struct slice partition;
    uint32_t uidvalidity;
    struct slice uniqueid;
};

/*
 * Puts renames into an order in which every name is free when it is needed (§2.2). A cycle
 * (two names swapped) is broken through a name that no client makes: the result may be
 * longer than n. Targets taken by mailboxes that are not renamed are the replica's to refuse.
 * The result lives in a.
 */
struct rename_op *diff_order_renames(struct arena *a, const struct rename_op *ops, size_t n, size_t *nout);

/* ---- one mailbox ---- */

enum mailbox_verdict {
    MAILBOX_UNCHANGED, /* nothing to send */
    MAILBOX_UPDATE,    /* one MAILBOX (after its messages) brings the replica up to date */
    /* Only a full comparison of the records can tell what to do: */
    MAILBOX_FORGOTTEN, /* the master has forgotten expunged records that the replica may hold (§3.1 no. 3) */
    MAILBOX_AHEAD,     /* the replica's counters are higher than the master's */
    /* Nothing differs but the sums: the master's stored ones may be wrong. */
    MAILBOX_SUMS,
};

/*
 * The unchanged test (§3.2) and what precedes it. type is the master's MBOXTYPE. r NULL:
 * not on the replica. reverseacls: the option is on, so RACLMODSEQ counts. *what (may be NULL) gets the name of the first field that differs.
 */
enum mailbox_verdict diff_mailbox(const struct mailbox_header *m, struct slice type,
                                  const struct replica_mailbox *r, bool reverseacls, const char **what);

/* The master's header with the higher of both sides' counters: what may be said to a replica that is ahead while
 * the master stays as it is. */
struct mailbox_header diff_merged_header(const struct mailbox_header *m, const struct replica_mailbox *r);

/* Entries, userids and values; modseqs do not count. */
bool diff_annotations_equal(const struct annotation_list *x, const struct annotation_list *y);

/* A counter of the replica that is above the master's, so that it would refuse any update
 * (§5.3 no. 6); NULL if there is none. */
const char *diff_replica_is_ahead(const struct mailbox_header *m, const struct replica_mailbox *r);

/* Which records of a mailbox the replica lacks: those with modseq > since_modseq or
 * uid > since_uid (§5.2; both 0 for a mailbox that is new or an empty shell there:
 * spec/wire.md §4.4). */
struct record_bounds {
    uint64_t since_modseq;
    uint32_t since_uid;
};
struct record_bounds diff_bounds(const struct replica_mailbox *r);

/*
 * A part of a mailbox's records that is sent with one MAILBOX command (§4.3). complete:
 * it is all of them, or the last part. Records of rec with uid <= to_uid are sent, those
 * with a modseq > to_modseq only if they are new to the replica, and then with to_modseq, or with
 * their own if they are expunged.
 */
struct record_part {
    bool complete;
    uint32_t to_uid;
    uint64_t to_modseq;
};
/* batchsize: new records of a part; 0: no limit. The records are those of diff_bounds. */
struct record_part diff_part(const struct mailbox_header *m, const struct records *rec,
                             struct record_bounds replica, uint32_t batchsize);

/* Whether record i belongs into the part, and the modseq it travels with. */
bool diff_record_in_part(const struct records *rec, size_t i, struct record_bounds replica,
                         const struct record_part *part, uint64_t *modseq);

/* ---- looking up by uid (find.c); lists that ascend ---- */

/* The place of the record among the master's; SIZE_MAX if there is none. */
size_t diff_find_record(const struct records *rec, uint32_t uid);
/* The replica's record; NULL if there is none. */
const struct replica_record *diff_find_theirs(const struct replica_records *rrec, uint32_t uid);

/* ---- full comparison (§7.2) ---- */

/* What has to become of a record that the two sides do not agree on. The names in brackets
 * are the rows of the decision table. */
enum compare_row {
    ROW_NOTHING,      /* [S1 S5 R1 M1 M3] agree, or an ordinary update settles it */
    ROW_TAKE_FLAGS,   /* [S6] live on both, the replica's is newer */
    ROW_TOUCH,        /* [S7 M4] the master's has to be sent, but its modseq is too low for that */
    ROW_EXPUNGE_AGAIN, /* [S8] expunged on the master, with a modseq too low to be sent */
    ROW_EXPUNGE_HERE, /* [S9] expunged on the replica */
    ROW_RENUMBER,     /* [S2 S4 M2] the master's message needs a new uid */
    ROW_APPEND_HERE,  /* [R2] a message of the replica above the master's last uid */
    ROW_STALE,        /* [R3] of the replica only: the master expunged it and has forgotten */
    ROW_COPYBACK,     /* [R4 S3] a message of the replica only, below the master's last uid */
};

const char *compare_row_text(enum compare_row row);

struct compare_difference {
    enum compare_row row;
    uint32_t uid;
};

struct compare_result {
    struct compare_difference *d; /* in walk order; ROW_NOTHING left out */
    size_t n, cap;
};

/* Walks both lists; all of the master's records, expunged ones included. The result lives in a. */
struct compare_result diff_compare(struct arena *a, const struct mailbox_header *m, const struct records *rec,
                                   const struct replica_mailbox *r, const struct replica_records *rrec);

/* ---- what must not reach the master (fence.c) ---- */

/*
 * Whether what the replica says may become part of the master at all: modseqs of 63 bits and at most 2^32 above the
 * largest that the owner has here (floor: of his counters), uids with room for 2^24 more, no uidvalidity
 * in the future, no record beyond its own header's counters. Else ERR_CONFLICT, which names the number. now: seconds here.
 */
struct err *diff_fence(const struct mailbox_header *m, const struct replica_mailbox *r,
                       const struct replica_records *rrec, uint64_t floor, int64_t now);

/* How much a replica may have expunged on the master with one mailbox: refused is what exceeds both numbers. */
struct expunge_limit {
    bool set; /* false: no limit */
    uint32_t messages;
    uint32_t percent; /* of the master's messages */
};
/* A number, a percentage ("10%"), or both, with "and" between them or not; "no": no limit. False: something else. */
bool diff_read_limit(const char *text, struct expunge_limit *out);
/* ERR_CONFLICT, which names the number, if the rows expunge more. */
struct err *diff_brake(const struct mailbox_header *m, const struct compare_result *c,
                       const struct expunge_limit *limit);

/* ---- what may be sent although the master must stay as it is (withhold.c) ---- */

struct withheld {
    bool *also; /* records of the master to send whatever their modseq */
    bool *hold; /* and those that must not be sent */
    struct compare_result kept; /* rows that only a change of the master can settle */
    bool keeps_annotations;     /* those of the mailbox are the replica's, and differ */
};

/*
 * Of a comparison, everything that cannot lose anything of the replica's: new messages, expunges, and changes of
 * records that the replica provably has as the master once sent them. Records that differ in modseq and
 * LAST_UPDATED only lose nothing, and are left. The result lives in a.
 */
void diff_withhold(struct arena *a, const struct mailbox_header *m, const struct records *rec,
                   const struct replica_mailbox *r, const struct replica_records *rrec, const struct compare_result *c,
                   struct withheld *out);

/* ---- mending what the comparison found (§7.1, §7.7) ---- */

/* Whether the row needs what the replica's record says beyond the comparison. */
bool compare_row_wants_detail(enum compare_row row);

/* A record that the master does not have yet: where its message comes from. */
struct mend_message {
    size_t i;          /* in the records of the mend */
    uint32_t from_uid; /* the message's present uid */
    bool from_replica; /* on the replica, else on the master */
};

/* What one APPLY MAILBOX to the master's own server has to say, and what follows on the replica. */
struct mend {
    bool needed;             /* the master has to change at all */
    struct mailbox_header m; /* as it will be */
    struct records rec;      /* those to send, ascending: changed, then new ones */
    struct sync_crcs crc;    /* of the whole result */
    struct mend_message *messages;
    size_t nmessages;
    uint32_t *expunge; /* uids, on the replica once the master has confirmed */
    size_t nexpunge;
};

/*
 * Carries out the rows of a comparison on paper: changed records with fresh modseqs above both
 * sides and above floor (the highest modseq that the owner's counters know), new ones above
 * both sides' last uids. A message of the replica that was copied before, by a run that ended
 * before it could expunge the original, is not copied again (§10.1); what was changed on it since is taken over.
 * Only modseqs of one side are compared with each other for that, no times. now: seconds, for
 * LAST_UPDATED. details: of every uid whose row wants one; false if one is missing or is
 * another message than compared (the replica has changed). The result lives in a.
 */
bool diff_mend(struct arena *a, const struct mailbox_header *m, const struct records *rec,
               const struct replica_mailbox *r, const struct replica_records *rrec, const struct compare_result *c,
               const struct replica_details *details, uint64_t floor, int64_t now, struct mend *out);

/*
 * Of a comparison whose master must stay as it is: a message of the replica that was copied to the master before, and
 * not changed on the replica since, needs no change of the master any more (ROW_COPYBACK becomes ROW_STALE): else the update
 * would bring the copy beside the original. details: of what diff_may_be_copied says. The result lives in a.
 */
struct compare_result diff_settle_copied(struct arena *a, const struct records *rec,
                                         const struct replica_records *rrec, const struct compare_result *rows,
                                         const struct replica_details *details);

/* The rows, of which diff_settle_copied may settle some, as far as can be seen without details. The result lives in a. */
struct compare_result diff_may_be_copied(struct arena *a, const struct records *rec,
                                         const struct replica_records *rrec, const struct compare_result *rows);

/* A uid that the records have twice or out of order, which no server checks; 0 if none: look before sending. */
uint32_t mend_double(const struct mend *m);

/* ---- the rest of a user (§8.2 - §8.4) ---- */

/* Names in a but not in b, in a's order; the result lives in arena. */
struct subscription_list diff_names(struct arena *arena, const struct subscription_list *a,
                                    const struct subscription_list *b);

/* Limits of every resource equal; modseq and usage are not compared. */
bool diff_quota_equal(const struct quota *a, const struct quota *b);

bool diff_seen_equal(const struct seen_row *a, const struct seen_row *b);

/* What brings a replica's scripts into step (§8.5), in the order of the fields. */
struct sieve_plan {
    bool deactivate;
    struct sieve_put {
        const struct sieve_script *s;
        bool remove_first;
    } *put;
    size_t nput;
    struct slice activate; /* name, or empty */
    struct slice *remove;  /* names of files */
    size_t nremove;
};

/* here must be known; the result lives in a and refers to both. */
struct sieve_plan diff_sieve(struct arena *a, const struct sieve_list *here, const struct replica_script_list *there);

#endif
