/*
 * The two halves of the dlist reader share this: dlist_reader.c turns bytes into
 * strings and brackets, dlist_build.c turns those into the tree. Private to them; one
 * thread at a time for each reader.
 */
#ifndef FANSYNC_DLIST_BUILD_H
#define FANSYNC_DLIST_BUILD_H

#include "fansync/dlist.h"

enum { DLIST_MAX_DEPTH = 64 };

enum dlist_state {
    AT_KEY,        /* a key begins, or the bracket closes */
    AFTER_KEY,     /* the blank behind a key */
    AT_VALUE,      /* a value begins, or the bracket closes */
    AFTER_VALUE,   /* inside brackets: blank or ')' */
    AT_PERCENT,    /* behind '%': "%(" or "%{" */
    AT_PARTITION,  /* behind "%{" */
    AFTER_PARTITION,
    IN_ATOM,
    IN_QUOTED,
    IN_ESCAPE,     /* behind a backslash in quotes */
    LITERAL_SIZE,  /* the digits behind '{' */
    LITERAL_CLOSE, /* behind '+' */
    FILE_GUID,
    FILE_SIZE,
    HEADER_CR,     /* behind the '}' of a literal or a file */
    HEADER_LF,
    LITERAL_BYTES,
    FILE_BYTES,
    COMPLETE,
};

/* What the string being read is for. */
enum dlist_role { ROLE_KEY, ROLE_VALUE, ROLE_PARTITION };

struct dlist_frame { /* an open bracket */
    struct dlist *node;
    struct dlist **tail; /* where its next child goes */
};

struct dlist_reader {
    enum dlist_state state;
    enum dlist_role role;
    enum err_kind fault; /* kind of the errors: wire or database */
    struct arena *arena; /* the caller's */
    struct arena item_arena; /* of one watched item */
    struct dlist_hooks hooks;
    size_t max_element;
    uint64_t offset; /* of the piece being fed, within the item */
    size_t depth;
    struct dlist_frame stack[DLIST_MAX_DEPTH];
    bool watched;     /* inside the list whose items go to the hook: stack[1] */
    struct slice key; /* of the value to come */
    struct dlist *root;
    struct dlist *file; /* the FILE being read */
    uint64_t left;      /* bytes of literal or file to come */
    bool digits;        /* at least one digit of the size was seen */
    enum dlist_state body;    /* what follows the size: LITERAL_BYTES or FILE_BYTES */
    struct buf tok;     /* a string of which only a part has arrived */
};

/* An error at the byte `at` of the piece being fed. */
struct err *dlist_fault(const struct dlist_reader *r, size_t at, const char *what);
/* Where strings and nodes live at this point of the item. */
struct arena *dlist_build_arena(struct dlist_reader *r);
bool dlist_in_kvlist(const struct dlist_reader *r);
/* Sets the state for the next item of the open bracket. */
void dlist_expect_item(struct dlist_reader *r);
struct err *dlist_open_bracket(struct dlist_reader *r, size_t at, enum dlist_type type);
struct err *dlist_close_bracket(struct dlist_reader *r, size_t at);
/* A FILE begins; its partition, guid and size are still to come. */
void dlist_begin_file(struct dlist_reader *r);
struct err *dlist_file_done(struct dlist_reader *r);
/* A whole string has been read: a key, a value or a partition by r->role. */
struct err *dlist_string_done(struct dlist_reader *r, struct slice s, bool atom);

#endif
