/* The bounds of bounds.h. Called by the session's pump and by its reader of answers. */
#include "bounds.h"

#include <string.h>

#include "session_internal.h"
#include "wait.h"
#include "fansync/clock.h"

#define MB ((uint64_t)1024 * 1024)

enum {
    /* Memory of an answer, for each byte of it: a mailbox's line takes 5 times its length. */
    MEMORY_A_BYTE = 8,
    /* The same where records are handed on one by one: what their taker keeps of each. */
    KEPT_A_BYTE = 1,
    LEAST_MEMORY = 1024 * 1024,
};
#define MOST_MEMORY (256 * MB) /* of all answers to a burst of commands, where they are kept whole */

uint64_t bounds_usual(const char *verb)
{
    static const struct {
        const char *verb;
        uint64_t bytes;
    } kinds[] = {
        { "GET FULLMAILBOX", 512 * MB }, /* 2 million records; they are handed on one by one */
        { "GET USER", 16 * MB },         /* 25,000 mailboxes, or what the caller announces */
        { "GET FETCH", MB },             /* and the message, which the caller announces */
        { "GET ", 16 * MB },
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strncmp(verb, kinds[i].verb, strlen(kinds[i].verb)) == 0)
            return kinds[i].bytes;
    return MB / 4;
}

uint64_t bounds_of_length(const char *verb, uint64_t length)
{
    return strncmp(verb, "GET ", 4) == 0 ? 64 * length : 2 * length;
}

/* ---- bytes and memory ---- */

static size_t arena_now(const struct session *s)
{
    const struct command *c = session_oldest(s);
    return arena_used(c->arena ? c->arena : &s->arena);
}

static uint64_t memory_of_answer(const struct session *s)
{
    size_t now = arena_now(s);
    size_t grown = now > s->bounds.memory_before ? now - s->bounds.memory_before : 0;
    return grown + dlist_reader_holds(s->reader) + s->nlines * sizeof *s->lines;
}

void bounds_begin(struct session *s)
{
    s->bounds.bytes = 0;
    s->bounds.memory_before = arena_now(s);
}

void bounds_took(struct session *s, size_t n)
{
    s->bounds.bytes += n;
}

static bool too_large(const struct session *s, uint64_t memory)
{
    const struct command *c = session_oldest(s);
    bool handed_on = c->has_hooks && c->hooks.item;
    if (handed_on)
        return memory > LEAST_MEMORY + KEPT_A_BYTE * c->most_bytes;
    uint64_t announced = c->most_bytes - bounds_usual(c->verb);
    return memory > LEAST_MEMORY + MEMORY_A_BYTE * c->most_bytes ||
           memory + s->bounds.memory > MOST_MEMORY + MEMORY_A_BYTE * announced;
}

struct err *bounds_check(const struct session *s)
{
    const struct bounds *b = &s->bounds;
    if (s->outstanding == 0)
        return NULL;
    uint64_t most = session_oldest(s)->most_bytes, memory = memory_of_answer(s);
    if (b->bytes > most)
        return err_new(ERR_PROTOCOL, "the answer is longer than the %llu bytes that it may have",
                       (unsigned long long)most);
    if (too_large(s, memory))
        return err_new(ERR_PROTOCOL, "the answer takes too much memory (%llu bytes)", (unsigned long long)memory);
    return NULL;
}

static uint64_t moved(const struct session *s)
{
    return s->t.bytes_in + s->t.bytes_out;
}

void bounds_end(struct session *s)
{
    struct bounds *b = &s->bounds;
    if (session_oldest(s)->arena && !session_oldest(s)->hooks.item)
        b->memory += memory_of_answer(s);
    b->waited_ms = 0;
    b->wait_began = clock_ms();
    b->moved_before = moved(s);
}

/* ---- time ---- */

void bounds_wait_begin(struct session *s)
{
    s->bounds.wait_began = clock_ms();
}

void bounds_wait_end(struct session *s)
{
    s->bounds.waited_ms += clock_ms() - s->bounds.wait_began;
    if (s->outstanding == 0)
        s->bounds.memory = 0;
}

int64_t bounds_deadline(const struct session *s)
{
    const struct bounds *b = &s->bounds;
    int64_t silence = wait_deadline(s->options.timeout);
    if (s->options.timeout <= 0)
        return silence;
    int64_t earned = (int64_t)((moved(s) - b->moved_before) / BOUNDS_FLOOR);
    int64_t late = b->wait_began - b->waited_ms + (s->options.timeout + earned) * 1000;
    return late < silence ? late : silence;
}
