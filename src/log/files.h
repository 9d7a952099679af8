/*
 * What reader and writer of a log need of the file system: locks that exclude the daemons'
 * fcntl locks, and whether a name still means the file that is open. Used by all of
 * src/log; any thread. Locks are of the open file description (F_OFD_*), so that closing
 * another descriptor of the same file drops nothing.
 */
#ifndef FANSYNC_LOG_FILES_H
#define FANSYNC_LOG_FILES_H

#include <stdbool.h>
#include <stdint.h>
#include "fansync/err.h"
#include "fansync/slice.h"

void files_sleep_ms(int64_t ms);

/* Tries for the exclusive lock of the whole file: 0, or -1 and errno (EAGAIN: taken). */
int files_try_lock(int fd);
/* The same for wait_ms; ERR_BUSY, naming path, if it stayed taken. */
struct err *files_lock(int fd, int64_t wait_ms, const char *path) __attribute__((warn_unused_result));
/* A shared lock instead, for which reading is enough: waits for whoever is just writing. */
struct err *files_lock_shared(int fd, int64_t wait_ms, const char *path) __attribute__((warn_unused_result));
void files_unlock(int fd);

/* FOLDER/NAME; the caller frees it. */
char *files_path(const char *folder, const char *name);

/* True if path names the file that is open as fd. */
bool files_same(int fd, const char *path);

/* Makes the folders above path that are missing, 0755 less the umask. */
struct err *files_make_folders(const char *path) __attribute__((warn_unused_result));

/* Writes everything; false and errno on failure. */
bool files_write_all(int fd, struct slice bytes);

#endif
