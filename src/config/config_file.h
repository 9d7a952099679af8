/*
 * imapd.conf as text: from files to key and value (spec/store.md §1.1). Inside the room.
 */
#ifndef FANSYNC_CONFIG_FILE_H
#define FANSYNC_CONFIG_FILE_H

#include <stddef.h>
#include "fansync/err.h"

/* Where a setting stands; file lives as long as the config. */
struct config_place {
    const char *file;
    size_t line; /* the first, of joined ones */
};

/* key: lower case. Neither string is the callee's to keep. */
typedef struct err *(*config_setting_fn)(void *ctx, const struct config_place *place, const char *key,
                                         const char *value);

/* The paths read so far, which places point to. */
struct config_files {
    char **path;
    size_t n, cap;
};

/* Calls fn for each setting of the file and of what it includes, in order; ends with the
 * first error, fn's included. */
struct err *config_file_read(struct config_files *files, const char *path, config_setting_fn fn, void *ctx);
void config_files_free(struct config_files *files);

#endif
