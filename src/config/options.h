/*
 * What is known about options: their names, types and defaults (config_options.c), and
 * how a value's text is read (config_value.c). Inside the room only; pure, any thread.
 */
#ifndef FANSYNC_CONFIG_OPTIONS_H
#define FANSYNC_CONFIG_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "fansync/err.h"
#include "fansync/slice.h"

enum config_type { /* spec/store.md §1.2 */
    CONFIG_STRING,
    CONFIG_SWITCH,
    CONFIG_INT,
    CONFIG_ENUM,  /* one of words, after the spellings of on and off are made one */
    CONFIG_WORD,  /* STRINGLIST: one of words */
    CONFIG_WORDS, /* BITFIELD: any number of words */
    CONFIG_DURATION,
    CONFIG_BYTESIZE,
};

struct config_option {
    const char *name;
    enum config_type type;
    const char *def;      /* as text in a file; NULL: none */
    const char *words;    /* separated by blanks */
    char unit;            /* of a DURATION or BYTESIZE without one; 0: seconds, bytes */
    bool per_channel;     /* <channel>_<name> overrides it */
    const char *old_name; /* deprecated, or NULL */
};

extern const struct config_option config_options[];
extern const size_t config_noptions;

/* NULL: no known option. *old: it was found by its old name. */
const struct config_option *config_option_find(struct slice name, bool *old);

/* As an option's getter hands it out. */
struct config_value {
    char *text;     /* STRING, ENUM, WORD, WORDS; owned */
    int64_t number; /* SWITCH, INT, DURATION (seconds), BYTESIZE (bytes) */
};

/* Reads text as the option's type. The error's message begins with the option's name
 * and lacks file and line. */
struct err *config_value_parse(const struct config_option *o, const char *text, struct config_value *out);

#endif
