/*
 * The queue of a channel, from the log to its retirement, for spin (tests/model/check).
 *
 * One object, one channel. A writer (Cyrus) changes the object and appends a record to the
 * log; record r says: the object has reached version r. The log has SEGMENTS segments. The
 * tailer pushes each record, and removes segments that it has read whole and that nobody holds but
 * itself; it sleeps until a record comes or a last hold is given up. The sender syncs the object (the
 * replica then has the version that the store had) or loses its session or defers; a reclaimer frees
 * dead items after a grace period; and up to KILLS times everything but the log, the store and the
 * replica is gone at any moment, and the log is read again.
 *
 * Each statement is one step of memory as in src/queue (the names are those of the code).
 * Claims, as assertions:
 *   - a segment is removed only when the replica has all that its records say,
 *   - a hold is taken only of a slot that its opener holds,
 *   - an item is handed out by one drain at a time, is queued once, and is used by nobody
 *     after it has been freed,
 *   - when nothing can move any more, the replica has everything, all segments are removed,
 *     and no item waits or has been forgotten in sending (this includes missed wake-ups).
 *
 * -DMUTANT=n breaks rule n, and spin must find an error:
 *   1 hold taken after the record is published    5 freed without a grace period
 *   2 no dirty mark                               6 queue_clear: flag before descriptor
 *   3 a merge looks and writes in two steps       7 a push merges with a dead item
 *   4 holds released at the drain                 8 put back without the slots held
 *   9 a segment removed before its last record is pushed
 *  10 acks_clear after the look
 */
#ifndef MUTANT
#define MUTANT 0
#endif
#ifndef KILLS
#define KILLS 1
#endif
#define RECORDS 3
#define SEGMENTS 2
#define ITEMS 3 /* enough: one that dies before, one that dies in, one made in a read section */
#define NONE 7

#define first_of(s) ((s) == 0 -> 1 : 3) /* records 1 and 2, record 3 */
#define last_of(s) ((s) == 0 -> 2 : 3)

#define FREE 0
#define QUEUED 1
#define SENDING 2
#define DEFERRED 3
#define DEAD 4

/* outlives a kill */
byte written; /* records in the log, and the store's version of the object */
byte replica; /* its version */
bit removed[SEGMENTS];

/* the process's memory */
byte state[ITEMS];
bit dirty[ITEMS];
byte slots[ITEMS]; /* state, dirty and slots are one word: read and changed together */
byte held[ITEMS];
bit in_table[ITEMS];
bit callback[ITEMS]; /* call_rcu */
bit waits[ITEMS];    /* ... for the read section that was open then */
bit reading;         /* the tailer is in a read section */
byte holds[SEGMENTS];
bit read_all[SEGMENTS]; /* of the tailer: no record of it is left to read */
bit settled_fd;         /* acks.c: somebody gave up a last hold */
byte arrived = NONE, again = NONE, later = NONE;
bit signalled, fd;
byte handed_out; /* how many items the sender has */

bit killed;
byte down;
#define THREADS 3 /* tailer, sender, reclaimer */

#define used(i) assert(state[i] != FREE)

inline forget_everything()
{
    d_step {
        i = 0;
        do
        :: i < ITEMS ->
            state[i] = FREE; dirty[i] = 0; slots[i] = 0; held[i] = 0;
            in_table[i] = 0; callback[i] = 0; waits[i] = 0; i++
        :: else -> break
        od;
        i = 0;
        do
        :: i < SEGMENTS -> holds[i] = 0; read_all[i] = 0; i++
        :: else -> break
        od;
        i = 0; reading = 0; arrived = NONE; again = NONE; later = NONE;
        signalled = 0; fd = 0; settled_fd = 0; handed_out = 0; down = 0; killed = 0
    }
}

active proctype killer()
{
    byte kills, i;
    do
    :: kills < KILLS -> kills++; killed = 1; down == THREADS; forget_everything()
    :: break
    od
}

active proctype writer()
{
    do
    :: written < RECORDS -> written++ /* the store first, then the log: one step for the tailer */
    :: else -> break
    od
}

/* acks_take, acks_release of one slot */
inline take(s) { atomic { assert(holds[s] > 0); holds[s]++ } }
inline release(s)
{
    atomic { assert(holds[s] > 1); holds[s]--; last = holds[s] == 1 };
    if
    :: atomic { last -> settled_fd = 1; last = 0 }
    :: else
    fi
}

inline release_all(set)
{
    if :: (set & 1) -> release(0) :: else fi;
    if :: (set & 2) -> release(1) :: else fi
}

/* ---- push.c ---- */

inline find()
{
    d_step {
        it = NONE;
        if
        :: in_table[0] && (state[0] != DEAD || MUTANT == 7) -> it = 0
        :: else ->
            if
            :: in_table[1] && (state[1] != DEAD || MUTANT == 7) -> it = 1
            :: else ->
                if
                :: in_table[2] && (state[2] != DEAD || MUTANT == 7) -> it = 2
                :: else
                fi
            fi
        fi
    }
}

inline look() { d_step { used(it); w_state = state[it]; w_dirty = dirty[it]; w_slots = slots[it] } }

/* joined: 1 yes, 0 it is dead */
inline join()
{
    look();
    do
    :: w_state == DEAD && MUTANT != 7 -> joined = 0; break
    :: MUTANT == 3 && w_state != DEAD ->
        atomic { state[it] = w_state; dirty[it] = w_dirty || w_state == SENDING; slots[it] = w_slots | bits };
        joined = 1;
        break
    :: else /* compare and exchange */ ->
        atomic {
            used(it);
            if
            :: state[it] == w_state && dirty[it] == w_dirty && slots[it] == w_slots ->
                slots[it] = w_slots | bits;
                if
                :: w_state == SENDING && MUTANT != 2 -> dirty[it] = 1
                :: else
                fi;
                joined = 1;
                break
            :: else -> w_state = state[it]; w_dirty = dirty[it]; w_slots = slots[it]
            fi
        }
    od;
    if
#if MUTANT != 1
    :: joined && (w_slots & bits) -> release(s)
#else
    :: atomic { joined && !(w_slots & bits) -> take(s) }
#endif
    :: else
    fi
}

inline wake()
{
    d_step { w_dirty = signalled; signalled = 1 };
    if
    :: atomic { !w_dirty -> fd = 1 }
    :: else
    fi
}

inline add()
{
    atomic { /* memory that nobody knows yet */
        if
        :: state[0] == FREE -> it = 0
        :: else ->
            if
            :: state[1] == FREE -> it = 1
            :: else -> assert(state[2] == FREE); it = 2
            fi
        fi;
        state[it] = QUEUED; dirty[it] = 0; slots[it] = bits; held[it] = 0
    };
    in_table[it] = 1;
    atomic { assert(arrived == NONE); arrived = it };
#if MUTANT == 1
    take(s);
#endif
    wake()
}

inline push()
{
#if MUTANT != 1
    take(s);
#endif
    reading = 1;
    find();
    if
    :: it != NONE -> join()
    :: else
    fi;
    if
    :: !joined -> add()
    :: else
    fi;
    d_step { reading = 0; waits[0] = 0; waits[1] = 0; waits[2] = 0; it = NONE; joined = 0; w_state = 0; w_dirty = 0; w_slots = 0 }
}

/* tailing.c and tail_retire.c. The look and what follows are one step: nobody else takes holds. */
inline look_at(x)
{
    if
    :: atomic { read_all[x] && holds[x] == 1 ->
            assert(!removed[x] && replica >= last_of(x));
            removed[x] = 1; read_all[x] = 0; holds[x] = 0 /* acks_close */ }
    :: else
    fi
}

inline look_at_all()
{
    look_at(0);
    look_at(1)
}

active proctype tailer()
{
    byte s, r, it, w_state, w_slots, bits;
    bit w_dirty, joined, last;
again_from_the_log:
    skip;
    d_step { s = 0; r = 0; it = NONE; w_state = 0; w_slots = 0; bits = 0; w_dirty = 0; joined = 0; last = 0 };
    {
        do
        :: s < SEGMENTS && removed[s] -> s++
        :: s < SEGMENTS && !removed[s] && r == 0 ->
            d_step { holds[s] = 1; r = first_of(s); bits = 1 << s } /* acks_open */
        :: s == SEGMENTS || (!removed[s] && r > 0) ->
#if MUTANT == 10
            look_at_all();
            settled_fd = 0;
#else
            settled_fd = 0; /* acks_clear */
            look_at_all();
#endif
            if
            :: s < SEGMENTS && written >= r ->
#if MUTANT == 9
                if
                :: r == last_of(s) -> read_all[s] = 1; look_at_all()
                :: else
                fi;
#endif
                push();
                if
                :: r == last_of(s) -> d_step { read_all[s] = 1; s++; r = 0 }
                :: else -> r++
                fi
            :: else -> /* sleeps */
                if
                :: settled_fd == 1
                :: s < SEGMENTS && written >= r
                fi
            fi
        od
    } unless { killed };
    down++;
    !killed;
    goto again_from_the_log
}

/* ---- send.c ---- */

inline claim()
{
    atomic {
        used(it);
        assert(state[it] == QUEUED || state[it] == DEFERRED);
        assert(handed_out == 0);
        handed_out++;
        held[it] = slots[it]; slots[it] = 0; dirty[it] = 0; state[it] = SENDING
    };
#if MUTANT == 4
    release_all(held[it]);
    held[it] = 0
#endif
}

/* queue_put_back and queue_defer */
inline leave(new_state, place)
{
    atomic {
        assert(state[it] == SENDING && handed_out == 1);
        handed_out--;
        both = slots[it] & held[it];
        if
        :: MUTANT != 8 -> slots[it] = slots[it] | held[it]
        :: else
        fi;
        dirty[it] = 0; held[it] = 0; state[it] = new_state
    };
    release_all(both);
    atomic { assert(place == NONE); place = it } /* private to the sender */
}

inline done()
{
    atomic {
        assert(state[it] == SENDING && handed_out == 1);
        handed_out--;
        both = held[it];
        held[it] = 0;
        if
        :: dirty[it] -> state[it] = QUEUED; dirty[it] = 0
        :: else -> state[it] = DEAD
        fi;
        w_state = state[it]
    };
    if
    :: w_state == DEAD ->
        in_table[it] = 0;
        d_step { callback[it] = 1; waits[it] = reading && MUTANT != 5 }
    :: else -> atomic { assert(again == NONE); again = it }
    fi;
    release_all(both)
}

active proctype sender()
{
    byte it, seen, both, w_state;
    bit last;
from_start:
    skip;
    d_step { it = NONE; seen = 0; both = 0; w_state = 0; last = 0 };
    {
        do
        :: d_step { again != NONE -> it = again; again = NONE } -> goto sync
        :: d_step { later != NONE -> it = later; later = NONE } -> goto sync /* due */
        :: d_step { again == NONE && arrived != NONE -> it = arrived; arrived = NONE } -> goto sync
        :: atomic { again == NONE && arrived == NONE -> goto asleep }
asleep:
            if
            :: fd == 1
            :: later != NONE /* until it is due */
            fi;
#if MUTANT == 6
            signalled = 0;
            fd = 0;
#else
            fd = 0;
            signalled = 0;
#endif
            goto next
sync:
            claim();
            seen = written; /* the snapshot */
            if
            :: leave(QUEUED, again)   /* session lost */
            :: leave(DEFERRED, later) /* locked */
            :: d_step { replica = (seen > replica -> seen : replica) }; done()
            fi;
next:
            skip;
            d_step { it = NONE; seen = 0; both = 0; w_state = 0 }
        od
    } unless { killed };
    down++;
    !killed;
    goto from_start
}

/* ---- memory ---- */

active proctype reclaimer()
{
from_start:
    {
        do
        :: d_step { callback[0] && !waits[0] -> callback[0] = 0; state[0] = FREE }
        :: d_step { callback[1] && !waits[1] -> callback[1] = 0; state[1] = FREE }
        :: d_step { callback[2] && !waits[2] -> callback[2] = 0; state[2] = FREE }
        od
    } unless { killed };
    down++;
    !killed;
    goto from_start
}

/* When nobody else can move. It says what a right end is, so pan is run without its own check. */
active proctype end_of_all()
{
    timeout ->
    assert(written == RECORDS && replica == RECORDS);
    assert(removed[0] && removed[1]);
    assert(holds[0] == 0 && holds[1] == 0);
    assert(state[0] == FREE && state[1] == FREE && state[2] == FREE);
    assert(arrived == NONE && again == NONE && later == NONE && handed_out == 0)
}
