/*
 * A database that every thread looks into again and again, kept in memory while its file
 * stays what it was: annotations.db. Each look costs one stat then. The store makes one,
 * mailbox.c looks; any number of threads at the same time.
 */
#ifndef STORE_SHARED_DB_H
#define STORE_SHARED_DB_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include "fansync/err.h"
#include "store/db.h"

struct shared_db_kept {
    struct db *db;
    unsigned users; /* guarded */
};

struct shared_db {
    pthread_mutex_t guard;       /* of what follows */
    struct shared_db_kept *kept; /* the newest one in memory, or NULL */
    struct stat last;            /* the file when it was last looked into */
    uint64_t looks;              /* since it became what last says */
    bool loading;
};

/* A look: the database as it is now, until shared_db_put. */
struct shared_db_look {
    struct db *db;
    struct shared_db_kept *kept; /* NULL: db is this look's own */
};

void shared_db_init(struct shared_db *s);
void shared_db_destroy(struct shared_db *s);

/* path and text: the same at every call. A missing file is an empty database. A writer of
 * the database may have to wait for shared_db_put. */
struct err *shared_db_get(struct shared_db *s, const char *path, enum db_text_backend text,
                          struct shared_db_look *out);
void shared_db_put(struct shared_db *s, struct shared_db_look *look);

#endif
