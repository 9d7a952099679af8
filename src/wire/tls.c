/*
 * The TLS layer on OpenSSL's memory BIOs: the transport does all socket I/O itself, in
 * one place, with its own signals and time limits. The certificate is not verified, as
 * in the program this one replaces (spec/operation.md §5.6); the login says so in the
 * log. Called by the transport; one thread for each layer, the context is shared.
 */
#include "tls.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#include "fansync/mem.h"

struct tls_layer {
    SSL *ssl;
    BIO *from_peer; /* both owned by ssl */
    BIO *to_peer;
};

static SSL_CTX *context; /* made once by tls_library_init, read-only afterwards */

static struct err *tls_fault(const char *what)
{
    char text[256];
    unsigned long code = ERR_get_error();
    ERR_error_string_n(code, text, sizeof text);
    ERR_clear_error();
    return err_new(ERR_PROTOCOL, "TLS: %s: %s", what, code ? text : "protocol violated");
}

struct err *tls_library_init(void)
{
    if (context)
        return NULL;
    context = SSL_CTX_new(TLS_client_method());
    if (!context)
        return tls_fault("no context");
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
    return NULL;
}

struct tls_layer *tls_new(void)
{
    struct tls_layer *l = mem_alloc(sizeof *l);
    l->ssl = SSL_new(context);
    l->from_peer = BIO_new(BIO_s_mem());
    l->to_peer = BIO_new(BIO_s_mem());
    if (!l->ssl || !l->from_peer || !l->to_peer)
        mem_overflow();
    BIO_set_mem_eof_return(l->from_peer, -1);
    SSL_set_bio(l->ssl, l->from_peer, l->to_peer);
    SSL_set_connect_state(l->ssl);
    return l;
}

void tls_free(struct tls_layer *l)
{
    if (!l)
        return;
    SSL_free(l->ssl);
    free(l);
}

static int at_most_int(size_t n)
{
    return n < INT_MAX ? (int)n : INT_MAX;
}

void tls_received(struct tls_layer *l, const void *p, size_t n)
{
    const char *from = p;
    while (n > 0) { /* a memory BIO takes everything */
        int taken = BIO_write(l->from_peer, from, at_most_int(n));
        if (taken <= 0)
            mem_overflow();
        from += taken;
        n -= (size_t)taken;
    }
}

static void collect(struct tls_layer *l, struct buf *out)
{
    size_t n;
    while ((n = BIO_ctrl_pending(l->to_peer)) > 0) {
        int got = BIO_read(l->to_peer, buf_reserve(out, n), at_most_int(n));
        if (got <= 0)
            return;
        buf_added(out, (size_t)got);
    }
}

struct err *tls_handshake(struct tls_layer *l, struct buf *out, bool *done)
{
    ERR_clear_error();
    int rc = SSL_do_handshake(l->ssl);
    collect(l, out);
    *done = rc == 1;
    if (*done || SSL_get_error(l->ssl, rc) == SSL_ERROR_WANT_READ)
        return NULL;
    return tls_fault("handshake");
}

struct err *tls_encrypt(struct tls_layer *l, const void *p, size_t n, struct buf *out)
{
    size_t written;
    ERR_clear_error();
    if (n > 0 && (SSL_write_ex(l->ssl, p, n, &written) != 1 || written != n))
        return tls_fault("write");
    collect(l, out);
    return NULL;
}

struct err *tls_decrypt(struct tls_layer *l, struct buf *plain, struct buf *out, bool *closed)
{
    enum { PIECE = 16384 }; /* the largest TLS record */
    size_t got;
    ERR_clear_error();
    *closed = false;
    while (SSL_read_ex(l->ssl, buf_reserve(plain, PIECE), PIECE, &got) == 1)
        buf_added(plain, got);
    int why = SSL_get_error(l->ssl, 0);
    collect(l, out);
    if (why == SSL_ERROR_ZERO_RETURN)
        *closed = true;
    else if (why != SSL_ERROR_WANT_READ)
        return tls_fault("read");
    return NULL;
}
