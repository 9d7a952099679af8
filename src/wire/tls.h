/*
 * TLS as a filter between buffers: the socket stays with the transport. Belongs to one
 * thread; tls_library_init once per process before any other call.
 */
#ifndef FANSYNC_WIRE_TLS_H
#define FANSYNC_WIRE_TLS_H

#include <stdbool.h>

#include "fansync/buf.h"
#include "fansync/err.h"

struct tls_layer;

struct err *tls_library_init(void);
struct tls_layer *tls_new(void);
void tls_free(struct tls_layer *l);

/* Bytes from the socket. */
void tls_received(struct tls_layer *l, const void *p, size_t n);
/* One step of the handshake; whatever is to be sent goes to out. */
struct err *tls_handshake(struct tls_layer *l, struct buf *out, bool *done);
/* Encrypts all of p[0..n). */
struct err *tls_encrypt(struct tls_layer *l, const void *p, size_t n, struct buf *out);
/* Decrypts what was received, into plain; *closed when the peer has ended the stream.
 * Answers of the TLS layer itself go to out. */
struct err *tls_decrypt(struct tls_layer *l, struct buf *plain, struct buf *out, bool *closed);

#endif
