/*
 * XCONVMODSEQ: the thread modseq of a folder, from its owner's conversations database
 * (spec/store.md §6.6). The database is large and the folders' rows in it are few, so those
 * of the users seen last are kept while their files stay what they were. The mailbox
 * snapshot asks, by store_xconvmodseq; any number of threads at the same time.
 */
#ifndef STORE_FOLDER_MODSEQ_H
#define STORE_FOLDER_MODSEQ_H

#include <pthread.h>
#include <stdint.h>
#include "fansync/arena.h"
#include "fansync/err.h"
#include "fansync/snapshot.h"
#include "store/db.h"

#define FOLDER_MODSEQ_USERS 64 /* kept at a time */

struct folder_modseqs; /* of one user */

struct folder_modseq_cache {
    pthread_mutex_t guard;
    struct folder_modseqs *user[FOLDER_MODSEQ_USERS];
};

void folder_modseq_init(struct folder_modseq_cache *c);
void folder_modseq_destroy(struct folder_modseq_cache *c);

/* 0: the database, which may be missing, has none. path: of the owner's database. */
struct err *folder_modseq_get(struct folder_modseq_cache *c, const char *path, enum db_text_backend text,
                              const struct mbentry *e, uint64_t *out);

#endif
