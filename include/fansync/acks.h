/*
 * Acknowledgement of log segments. A segment is a stretch of one sync log that the tailer
 * has read; it may be removed from disk only when every action read from it is settled on
 * every channel. Each open segment has a slot; a slot counts who still needs the segment:
 * the opener (until it seals it: it has read all of it) and, for every queue, each action
 * that stands for at least one record of it.
 *
 * Who may call what together:
 *
 *                 | opener (one thread at a time)  | any thread
 *   --------------+--------------------------------+------------------------------------
 *   acks_open     | yes                            | no
 *   acks_seal     | yes                            | no
 *   acks_close    | yes                            | no
 *   acks_clear    | yes                            | no
 *   acks_take     | while it has not sealed        | who holds the slot already
 *   acks_release  | yes                            | who took it, once for each take
 *   acks_unsettled| yes                            | yes, the value is of the past
 *   acks_fd       | yes                            | yes
 *
 * No call waits for another; acks_release makes a system call (it signals the descriptor)
 * only when it is the last of a slot.
 */
#ifndef FANSYNC_ACKS_H
#define FANSYNC_ACKS_H

#include <stdbool.h>
#include <stdint.h>
#include "fansync/err.h"

#define ACKS_SLOTS 32 /* so that a set of slots is one 32-bit mask */

struct acks;

/* Fails only when the process has no descriptor left. */
struct err *acks_new(struct acks **out);
void acks_free(struct acks *a);

/* A slot, held by the opener alone; -1 when all are in use. */
int acks_open(struct acks *a);

/* The opener has read all of the segment and gives up its hold: from here on the slot may
 * fall to zero, which makes acks_fd readable. */
void acks_seal(struct acks *a, unsigned slot);

/* One hold more, one less. A hold may be taken only by one who knows that the slot is held
 * already (the tailer between open and seal, or an action that holds it), so a slot that
 * has fallen to zero stays there. */
void acks_take(struct acks *a, unsigned slot);
void acks_release(struct acks *a, unsigned slot);
/* The same for every slot of a set; a may be NULL: nobody counts. */
void acks_take_all(struct acks *a, uint32_t slots);
void acks_release_all(struct acks *a, uint32_t slots);

/* How many holds there are beside the opener's. */
long acks_unsettled(struct acks *a, unsigned slot);
/* True if the segment is sealed and nobody holds it: whatever its holders did before they
 * released it (a spill to disk, say) is visible to the caller. */
bool acks_settled(struct acks *a, unsigned slot);

/* The slot may be opened again. Only when nobody but the opener holds it. */
void acks_close(struct acks *a, unsigned slot);

/* Readable when a slot has fallen to zero since the last acks_clear. Clear first, then look
 * at the slots: one that settles in between makes it readable again. */
int acks_fd(const struct acks *a);
void acks_clear(struct acks *a);

#endif
