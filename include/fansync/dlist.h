/*
 * dlist: the one syntax of Cyrus's wire (spec/wire.md §2) and of the values in its
 * databases (spec/store.md §4.2). This header has the tree, the reader (incremental:
 * fed with whatever bytes have arrived) and the writer. Pure: no I/O; one thread at a
 * time for each object.
 */
#ifndef FANSYNC_DLIST_H
#define FANSYNC_DLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "fansync/arena.h"
#include "fansync/buf.h"
#include "fansync/err.h"
#include "fansync/guid.h"
#include "fansync/slice.h"

enum dlist_type {
    DLIST_NIL,
    DLIST_STRING, /* atom, flag, quoted or literal: the same value */
    DLIST_LIST,   /* ( ... ) : children have no key */
    DLIST_KVLIST, /* %( ... ): children have keys */
    DLIST_FILE,   /* %{part guid size}: str holds the content, or is empty if a sink took it */
};

struct dlist {
    enum dlist_type type;
    struct slice key;      /* of a child of a KVLIST, or of the line; else empty */
    struct slice str;      /* STRING, FILE */
    struct slice partition; /* FILE */
    struct guid guid;       /* FILE: as announced, not computed */
    uint64_t size;          /* FILE: as announced */
    struct dlist *first;   /* LIST, KVLIST */
    struct dlist *next;    /* sibling */
};

/* ---- looking at a tree ---- */

/* The child of a KVLIST with that key (exact case; the first of several), or NULL. */
const struct dlist *dlist_get(const struct dlist *d, const char *key);
/* Values by type; false if absent, of another kind or out of range. Numbers are
 * decimal digits only. dlist_str refuses NIL. */
bool dlist_str(const struct dlist *d, const char *key, struct slice *out);
bool dlist_u32(const struct dlist *d, const char *key, uint32_t *out);
bool dlist_u64(const struct dlist *d, const char *key, uint64_t *out);
bool dlist_i64(const struct dlist *d, const char *key, int64_t *out); /* dates; leading '-' allowed */
bool dlist_guid(const struct dlist *d, const char *key, struct guid *out);
size_t dlist_count(const struct dlist *d);

/* ---- reading ---- */

/*
 * The incremental reader. It reads "key SP value", or a bare value, and builds a tree
 * in an arena. Feed it bytes until it says that the item is complete; it consumes
 * exactly the item's bytes. Limits: depth 64, one element of max_element bytes (files
 * excluded).
 *
 * item: if set, called for every child of a LIST under the key watch_key at depth 2
 * of the item (a RECORD's %(...) inside MAILBOX's %(...)), with the child's tree, which
 * is then forgotten: an answer with a million records needs the memory of one.
 * Returning an error ends the reading with it.
 *
 * file: if set, called with the pieces of a FILE's content instead of storing them.
 */
struct dlist_hooks {
    void *ctx;
    const char *watch_key;
    struct err *(*item)(void *ctx, const struct dlist *item);
    struct err *(*file)(void *ctx, const struct dlist *file, const void *p, size_t n);
};

struct dlist_reader;

enum dlist_status { DLIST_MORE, DLIST_DONE };

struct dlist_reader *dlist_reader_new(void);
void dlist_reader_free(struct dlist_reader *r);
/* Begins a new item whose tree will live in arena; hooks may be NULL. with_key: the
 * item is "key SP value" (a line), else a bare value. */
void dlist_reader_begin(struct dlist_reader *r, struct arena *arena, const struct dlist_hooks *hooks,
                        bool with_key, size_t max_element);
/* Consumes from p[0..n) and sets *used. DLIST_DONE: the item is complete, *used does not
 * include what follows it (the CR LF of a line is left). A value that is an atom ends
 * only when the byte behind it has been seen, which is not consumed. An error is
 * ERR_PROTOCOL and names the offset within the item. */
struct err *dlist_reader_feed(struct dlist_reader *r, const char *p, size_t n, size_t *used,
                              enum dlist_status *status);
struct dlist *dlist_reader_result(struct dlist_reader *r);
/* Bytes of memory of what is not in the caller's arena: a string that has not ended, an item of the hook. */
size_t dlist_reader_holds(const struct dlist_reader *r);

/* Parses one complete bare value held in memory, e.g. a database value; trailing bytes
 * are an error. The tree lives in arena and copies what it needs. Atoms may hold any
 * byte but blank, ')', CR, LF and NUL (spec/store.md §4.2). Errors are ERR_CORRUPT with
 * the offset. */
struct err *dlist_parse(struct arena *arena, struct slice text, struct dlist **out);

/* ---- writing ---- (spec/wire.md §2.2: forms chosen by the bytes) */

/* Atom, "quoted" or {n+} literal. For a value that ends the line; between brackets use
 * dlist_put_str and dlist_item_str, which also keep a literal that ends in '(' apart from
 * what follows. */
void dlist_write_str(struct buf *b, struct slice s);
/* " KEY value" pieces for a kvlist under construction: a blank is put in front unless
 * the buffer ends in '('. */
void dlist_put_list(struct buf *b, const char *key); /* " KEY (": the caller writes the items and the ')' */
void dlist_put_str(struct buf *b, const char *key, struct slice s);
void dlist_put_u64(struct buf *b, const char *key, uint64_t v);
void dlist_put_i64(struct buf *b, const char *key, int64_t v);
void dlist_put_guid(struct buf *b, const char *key, const struct guid *g);
/* One element of a list under construction, blank in front unless after '('. */
void dlist_item_str(struct buf *b, struct slice s);
void dlist_item_guid(struct buf *b, const struct guid *g);
/* An IMAP flag: bare, but quoted where it would be read as something else. */
void dlist_item_flag(struct buf *b, struct slice flag);

#endif
