/*
 * Bytes that somebody else chose, for a terminal or a log: what would command a terminal or forge a line is
 * written as \xHH. UTF-8 passes. Pure.
 */
#ifndef FANSYNC_ESCAPE_H
#define FANSYNC_ESCAPE_H

#include "fansync/buf.h"
#include "fansync/slice.h"

/* ESCAPE_LINES: line ends and tabs pass, for text that has lines. */
enum escape_what { ESCAPE_ALL, ESCAPE_LINES };

/* Appends text to out. Control bytes (C0, DEL, and C1 in their UTF-8 form) and bytes that are no UTF-8 are escaped. */
void escape_text(struct buf *out, struct slice text, enum escape_what what);

#endif
