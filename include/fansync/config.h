/*
 * imapd.conf as sync_client reads it (spec/store.md §1, spec/operation.md §5.2, §5.3):
 * includes, joined lines, prefixed keys, typed values, overrides per channel. Read once,
 * before threads start; afterwards immutable, so any thread may call the getters.
 * Returned strings live as long as the config.
 */
#ifndef FANSYNC_CONFIG_H
#define FANSYNC_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include "fansync/buf.h"
#include "fansync/err.h"

struct config;

/*
 * Reads path (and what it includes; under $CYRUS_PREFIX first if that is set). ident is the program's name in the
 * configuration: keys "<ident>_<option>" beat "<option>". Every known option's value is
 * checked now; an error is ERR_CONFIG and names file and line.
 */
struct err *config_load(const char *path, const char *ident, struct config **out);
void config_free(struct config *c);
/* The path that was given to config_load. */
const char *config_path(const struct config *c);

/* Known options (config_options.c lists them with type and default). Asking for one
 * that is not listed with that type ends the process: a programming error. */
const char *config_string(const struct config *c, const char *option); /* NULL: not set, no default */
bool config_switch(const struct config *c, const char *option);
int64_t config_int(const struct config *c, const char *option);
int64_t config_duration(const struct config *c, const char *option); /* seconds */

/*
 * The same with the overrides of a channel (NULL: no channel): sync_client_<C>_<option>,
 * then <C>_<option>, then the plain option. Channel names match without regard to case,
 * overrides are typed and {configdirectory} is expanded like in plain options
 * (spec/operation.md B.9). A malformed override is ERR_CONFIG when the configuration is
 * used for that channel: call config_check_channel first. It refuses what cannot be the name of a channel, too, and
 * <C>_sync_... that is no option: a slip of the pen would be passed over, and the channel have another value.
 */
struct err *config_check_channel(const struct config *c, const char *channel);

/* Of a hub, <C>_sync_fanout: the channels that its log feeds. */
#define CONFIG_FANOUT "sync_fanout"
const char *config_channel_string(const struct config *c, const char *channel, const char *option);
bool config_channel_switch(const struct config *c, const char *channel, const char *option);
int64_t config_channel_int(const struct config *c, const char *channel, const char *option);
int64_t config_channel_duration(const struct config *c, const char *channel, const char *option);

/* A key that is no known option ("partition-default", "sasl_mech_list"): looked up as
 * "<ident>_<key>" then "<key>", lower case. NULL if not set. */
const char *config_overflow(const struct config *c, const char *key);

/* "90", "1h", "2m30s", "-1": seconds; unit is that of a number without one. For what is typed elsewhere. */
struct err *config_parse_duration(const char *text, char unit, int64_t *out);

/* A file in a channel's sync folder (spec/operation.md §2.1), appended to out: the default
 * channel's for NULL and for "". */
void config_sync_path(const struct config *c, const char *channel, const char *file, struct buf *out);

#endif
