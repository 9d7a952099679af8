/*
 * Between mailbox.c, which opens, locks and closes a mailbox, and mailbox_records.c, which
 * reads its records. A struct mailbox belongs to the thread that opened it.
 */
#ifndef STORE_MAILBOX_INTERNAL_H
#define STORE_MAILBOX_INTERNAL_H

#include "store/index_format.h"
#include "store/store_internal.h"

struct mailbox {
    struct store *store;
    struct slice userid;       /* of the owner; n == 0: shared */
    struct mailbox_header *h;  /* in the caller's arena: it outlives the locks */
    struct index_header index;
    struct mblist *list;       /* as it was when the name lock was had; while opening only */
    const char *index_path;
    const char *annotations_path;
    struct namespace_lock namespace;
    int name_fd;
    int index_fd;
};

/* Up to n bytes at an offset; *got < n: the file ends there. */
struct err *mailbox_pread(int fd, const char *path, char *p, size_t n, uint64_t off, size_t *got);

#endif
