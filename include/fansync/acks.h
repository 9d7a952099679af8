/*
 * Acknowledgement of log segments, for one channel. A segment is a stretch of one sync log that
 * the tailer has read; it may be removed from disk only when every action read from it is
 * settled on every channel that it feeds. For each of these channels it has a slot; a slot counts who
 * still needs the segment there: the opener (until it closes it), and each action of the channel's
 * queue that stands for at least one record of it.
 *
 * The opener is the one producer: nobody else adds holds but on behalf of an action that has one. So
 * when it finds none but its own, there will be none until it reads on, and it may remove what it has
 * read. docs/model/queue.pml is this, with the wake-up.
 *
 * Who may call what together:
 *
 *                 | opener (one thread at a time)  | any thread
 *   --------------+--------------------------------+------------------------------------
 *   acks_open     | yes                            | no
 *   acks_close    | yes                            | no
 *   acks_take     | while it has the slot open     | who holds the slot already
 *   acks_release  | yes                            | who took it, once for each take
 *   acks_unsettled| yes                            | yes, the value is of the past
 *
 * No call waits for another; acks_release makes a system call (it signals the descriptor)
 * only when it leaves a slot to its opener alone.
 */
#ifndef FANSYNC_ACKS_H
#define FANSYNC_ACKS_H

#include <stdbool.h>
#include <stdint.h>

#define ACKS_SLOTS 32 /* so that a set of slots is one 32-bit mask */

struct acks;

/*
 * settled_fd: an eventfd, borrowed, which becomes readable when a slot has been left to its opener
 * alone since it was last read; -1: nobody waits. Read it first, then look at the slots: one that settles
 * in between makes it readable again.
 */
struct acks *acks_new(int settled_fd);
void acks_free(struct acks *a);

/* A slot, held by the opener alone; -1 when all are in use. */
int acks_open(struct acks *a);

/* One hold more, one less. A hold may be taken only by one who knows that the slot is held
 * already (the opener, or an action that holds it). */
void acks_take(struct acks *a, unsigned slot);
void acks_release(struct acks *a, unsigned slot);
/* The same for every slot of a set; a may be NULL: nobody counts. */
void acks_take_all(struct acks *a, uint32_t slots);
void acks_release_all(struct acks *a, uint32_t slots);

/* How many holds there are beside the opener's. 0, for the opener: all is settled, and whatever the holders
 * did before they let go (a spill to disk, say) is visible to it. */
long acks_unsettled(struct acks *a, unsigned slot);

/* The slot may be opened again. Only when nobody but the opener holds it. */
void acks_close(struct acks *a, unsigned slot);

#endif
