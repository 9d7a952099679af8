/*
 * What a sender writes down of itself for the status (struct sender_status in daemon/line.h). The sender's thread
 * writes, under the sender's guard; the main thread copies, under the same (line_sender_status). Nothing here waits for
 * anything else, so the status is as new as the sender's last step, in the middle of a batch too:
 *
 *   account_state    at each change of what the thread does
 *   account_tick     while its session moves bytes, or waits for the replica
 *   account_error    at each fault; account_over when what was at fault works again
 *   account_batch    when a batch has been settled
 */
#ifndef FANSYNC_DAEMON_ACCOUNT_H
#define FANSYNC_DAEMON_ACCOUNT_H

#include "daemon/line.h"

/* until: wall clock, seconds; 0: nobody knows. engine: where counters are; NULL: it has none yet. */
void account_state(struct sender *s, enum sender_state state, int64_t until, const struct engine *e);
/* waits: nothing moves, the replica is waited for. */
void account_tick(struct sender *s, bool waits, const struct engine *e);
void account_error(struct sender *s, const char *text);
void account_over(struct sender *s);
void account_connected(struct sender *s);
void account_spilled(struct sender *s, size_t records);

/* What became of a batch's items. */
struct account_sum {
    uint64_t done, failed, locked;
};
void account_batch(struct sender *s, const struct account_sum *sum, bool paused);

#endif
