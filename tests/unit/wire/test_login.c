/* Tests of the opening of a session: greeting, STARTTLS, AUTHENTICATE, COMPRESS. */
#include "fake_replica.h"

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <zlib.h>

static struct err *open_to(void (*serve)(struct fake *), void *ctx, bool is_path,
                           void (*set)(struct session_options *), struct session **s, struct fake *f)
{
    fake_start(f, is_path, serve, ctx);
    struct session_options o = fake_options(f);
    if (set)
        set(&o);
    return session_open(&o, s);
}

static void assert_refused(void (*serve)(struct fake *), void *ctx, void (*set)(struct session_options *),
                           enum err_kind kind, const char *text)
{
    struct fake f;
    struct session *s;
    assert_fails(open_to(serve, ctx, false, set, &s, &f), kind, text);
    fake_stop(&f);
}

static void say_text(struct fake *f)
{
    fake_say(f, f->ctx);
    shutdown(f->fd, SHUT_WR);
    fake_until_end(f);
}

/* ---- greeting ---- */

static void an_imap_greeting_is_named_at_once(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "* OK [CAPABILITY IMAP4rev1 LITERAL+ ID ENABLE AUTH=PLAIN SASL-IR] host Cyrus IMAP 3.6.1 server ready\r\n",
        "* OK mail.example.org Cyrus IMAP 3.2.6 server ready\r\n",
        "* OK [CAPABILITY IMAP4rev1] Dovecot ready.\r\n",
        "* PREAUTH [CAPABILITY IMAP4rev1] ready\r\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_refused(say_text, (void *)(uintptr_t)texts[i], NULL, ERR_CONNECT,
                       "this port speaks IMAP: replication over IMAP is not available in this version, use the "
                       "replica's csync port");
}

static void anything_but_a_greeting_is_no_connection(void **state)
{
    (void)state;
    assert_refused(say_text, "", NULL, ERR_CONNECT, "greeting: end of file reached");
    assert_refused(say_text, "* SASL PLAIN\r\n", NULL, ERR_CONNECT, "greeting: end of file reached");
    assert_refused(say_text, "220 smtp ready\r\n", NULL, ERR_CONNECT, "greeting: 220 smtp ready");
    assert_refused(say_text, "BYE shutting down\r\n", NULL, ERR_CONNECT, "greeting: BYE shutting down");
    assert_refused(say_text, "* Fatal error: no\r\n", NULL, ERR_CONNECT, "greeting: * Fatal error: no");
    char line[520]; /* lengths at which the line fills its buffer to the last byte among them */
    for (size_t n = 254; n <= 514; n += n == 258 ? 252 : 1) {
        memset(line, 'x', n);
        strcpy(line + n, "\n");
        assert_refused(say_text, line, NULL, ERR_CONNECT, "greeting: xxx");
    }
}

static void greet_with_all(struct fake *f)
{
    fake_say(f, "* sieve-mailbox\r\n* UNKNOWN x y\r\n* REPLICATION-ARCHIVE\n* COMPRESS DEFLATE\r\n"
                "* ok imap.example.org Cyrus sync server 3.8.2\r\n");
    assert_string_equal(fake_hear(f), "EXIT");
}

static void capabilities_are_read_without_regard_to_case(void **state)
{
    (void)state;
    struct fake f;
    struct session *s;
    assert_ok(open_to(greet_with_all, NULL, true, NULL, &s, &f));
    assert_int_equal(session_capabilities(s), CAP_SIEVE_MAILBOX | CAP_ARCHIVE | CAP_COMPRESS);
    assert_string_equal(session_peer(s), f.server);
    session_close(s);
    fake_stop(&f);
}

static void nobody_listening_is_no_connection(void **state)
{
    (void)state;
    struct session_options o = { .server = "127.0.0.1:1", .connect_timeout = 5 };
    struct session *s;
    assert_fails(session_open(&o, &s), ERR_CONNECT, "connect(127.0.0.1:1) failed: Connection refused");
    o.server = "127.0.0.1";
    o.port = "1";
    assert_fails(session_open(&o, &s), ERR_CONNECT, "connect(127.0.0.1:1) failed: ");
    o.server = "/nonexistent/socket";
    assert_fails(session_open(&o, &s), ERR_CONNECT, "connect(/nonexistent/socket) failed: No such file");
    o.server = "127.0.0.1:no-such-service";
    assert_fails(session_open(&o, &s), ERR_CONNECT, "getaddrinfo(127.0.0.1) failed: ");
}

static void stay_silent(struct fake *f)
{
    fake_until_end(f);
}

static void short_patience(struct session_options *o)
{
    o->connect_timeout = 1;
}

static void a_silent_peer_is_given_up_after_the_connect_timeout(void **state)
{
    (void)state;
    assert_refused(stay_silent, NULL, short_patience, ERR_CONNECT, "greeting: idle for too long");
}

/* ---- AUTHENTICATE ---- */

static void only_login(struct session_options *o)
{
    o->mechs = "cram-md5 login";
}

static void take_plain(struct fake *f)
{
    fake_say(f, "* SASL LOGIN PLAIN\r\n* OK fake Cyrus sync server\r\n");
    assert_string_equal(fake_hear(f), "AUTHENTICATE PLAIN AGN5cnVzAHNlY3JldA=="); /* \0cyrus\0secret */
    fake_say(f, "OK Success (no protection)\r\n");
    assert_string_equal(fake_hear(f), "EXIT");
}

static void take_login(struct fake *f)
{
    fake_say(f, "* SASL PLAIN LOGIN\r\n* OK fake Cyrus sync server\r\n");
    assert_string_equal(fake_hear(f), "AUTHENTICATE LOGIN");
    fake_say(f, "+ VXNlcm5hbWU6\r\n");
    assert_string_equal(fake_hear(f), "Y3lydXM=");
    fake_say(f, "+ UGFzc3dvcmQ6\r\n");
    assert_string_equal(fake_hear(f), "c2VjcmV0");
    fake_say(f, "OK Success (no protection)\r\n");
    assert_string_equal(fake_hear(f), "EXIT");
}

static void plain_sends_its_response_at_once_and_login_when_asked(void **state)
{
    (void)state;
    struct fake f;
    struct session *s;
    assert_ok(open_to(take_plain, NULL, false, NULL, &s, &f));
    session_close(s);
    fake_stop(&f);
    assert_ok(open_to(take_login, NULL, false, only_login, &s, &f));
    session_close(s);
    fake_stop(&f);
}

static void refuse_login(struct fake *f)
{
    fake_say(f, "* SASL PLAIN\r\n* OK fake Cyrus sync server\r\n");
    fake_hear(f);
    fake_say(f, "NO authentication failure\r\n");
    fake_until_end(f);
}

static void end_in_login(struct fake *f)
{
    fake_say(f, "* SASL PLAIN\r\n* OK fake Cyrus sync server\r\n");
    fake_hear(f);
}

static void a_refused_login_tells_the_replicas_reason(void **state)
{
    (void)state;
    assert_refused(refuse_login, NULL, NULL, ERR_AUTH, "couldn't authenticate to backend server: authentication failure");
    assert_refused(end_in_login, NULL, NULL, ERR_CONNECT, "AUTHENTICATE: ");
    assert_null(strstr(buf_cstr(&logged), "AGN5"));
    assert_refused(say_text, "* SASL GSSAPI PLAIN\r\n* OK fake Cyrus sync server\r\n", only_login, ERR_AUTH,
                   "couldn't authenticate to backend server: no mechanism available");
    assert_true(was_logged("did not offer cram-md5 login"));
    assert_refused(say_text, "* OK fake Cyrus sync server\r\n", NULL, ERR_AUTH, "no mechanism available");
}

/* ---- STARTTLS ---- */

static void offer_broken_tls(struct fake *f)
{
    fake_say(f, "* SASL PLAIN\r\n* STARTTLS\r\n* OK fake Cyrus sync server\r\n");
    assert_string_equal(fake_hear(f), "STARTTLS");
    fake_say(f, f->ctx);
    while (getc(f->in) != EOF) /* whatever comes, it is no login */
        ;
}

static void a_failed_starttls_never_falls_back_to_the_clear(void **state)
{
    (void)state;
    assert_refused(offer_broken_tls, "NO Starttls failed\r\n", NULL, ERR_CONNECT, "STARTTLS refused: NO Starttls failed");
    assert_refused(offer_broken_tls, "OK Begin TLS negotiation now\r\n* OK injected\r\n", NULL, ERR_CONNECT,
                   "unencrypted data behind the answer to STARTTLS");
}

static void answer_handshake_in_clear(struct fake *f)
{
    char hello[4096];
    fake_say(f, "* SASL PLAIN\r\n* STARTTLS\r\n* OK fake Cyrus sync server\r\n");
    fake_hear(f);
    fake_say(f, "OK Begin TLS negotiation now\r\n");
    assert_true(read(f->fd, hello, sizeof hello) > 5);
    assert_int_equal(hello[0], 22); /* a handshake record */
    fake_say(f, "NO Starttls failed\r\n");
    for (ssize_t n; (n = read(f->fd, hello, sizeof hello)) > 0;)
        assert_null(memmem(hello, (size_t)n, "AUTHENTICATE", 12));
}

static void a_failed_handshake_is_no_connection(void **state)
{
    (void)state;
    assert_refused(answer_handshake_in_clear, NULL, NULL, ERR_CONNECT, "TLS: handshake: ");
}

static SSL_CTX *server_context(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    assert_int_equal(SSL_CTX_use_certificate(ctx, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
    X509_free(cert);
    EVP_PKEY_free(key);
    return ctx;
}

static const char *tls_hear(SSL *ssl)
{
    static _Thread_local char line[4096];
    size_t n = 0;
    while (n < sizeof line - 1 && SSL_read(ssl, line + n, 1) == 1 && line[n++] != '\n')
        ;
    line[n] = '\0';
    line[strcspn(line, "\r\n")] = '\0';
    return line;
}

static void tls_say(SSL *ssl, const char *text)
{
    assert_true(SSL_write(ssl, text, (int)strlen(text)) > 0);
}

static void serve_tls(struct fake *f)
{
    fake_say(f, "* SASL PLAIN\r\n* STARTTLS\r\n* COMPRESS DEFLATE\r\n* OK fake Cyrus sync server\r\n");
    assert_string_equal(fake_hear(f), "STARTTLS");
    fake_say(f, "OK Begin TLS negotiation now\r\n");
    SSL *ssl = SSL_new(f->ctx);
    SSL_set_fd(ssl, f->fd);
    assert_int_equal(SSL_accept(ssl), 1);
    tls_say(ssl, "* SASL PLAIN\r\n* SIEVE-MAILBOX\r\n* OK fake Cyrus sync server\r\n");
    assert_string_equal(tls_hear(ssl), "AUTHENTICATE PLAIN AGN5cnVzAHNlY3JldA==");
    tls_say(ssl, "OK Success (tls protection)\r\n");
    for (const char *line; strcmp(line = tls_hear(ssl), "EXIT") != 0 && *line;)
        tls_say(ssl, "* LSUB (a)\r\nOK success\r\n");
    SSL_free(ssl);
}

static void a_password_goes_through_tls_where_it_is_offered(void **state)
{
    (void)state;
    struct fake f;
    struct session *s;
    struct seen seen = { .text = BUF_INIT };
    SSL_CTX *ctx = server_context();
    assert_ok(open_to(serve_tls, ctx, false, NULL, &s, &f));
    assert_true(was_logged("5:127.0.0.1:"));
    assert_true(was_logged("certificate of the replica is not verified"));
    assert_int_equal(session_capabilities(s), CAP_SIEVE_MAILBOX); /* the first greeting is forgotten */
    for (int i = 0; i < 2000; i++)
        command(s, "GET META", "somebody", &seen);
    assert_ok(session_drain(s));
    assert_int_equal(seen.ok, 2000);
    session_close(s);
    fake_stop(&f);
    SSL_CTX_free(ctx);
    buf_free(&seen.text);
}

/* ---- COMPRESS ---- */

static void require_compression(struct session_options *o)
{
    o->compress = COMPRESS_REQUIRE;
}

static void auto_compression(struct session_options *o)
{
    o->compress = COMPRESS_AUTO;
}

static void refuse_compression(struct fake *f)
{
    fake_say(f, "* OK fake Cyrus sync server\r\n");
    assert_string_equal(fake_hear(f), "COMPRESS DEFLATE");
    fake_say(f, "NO Unknown compression algorithm: DEFLATE\r\n");
    fake_until_end(f);
}

static void required_compression_that_is_refused_is_an_error(void **state)
{
    (void)state;
    struct fake f;
    struct session *s;
    struct err *e = open_to(refuse_compression, NULL, true, require_compression, &s, &f);
    assert_fails(e, ERR_NOTSUPPORTED, "Failed to enable compression to server '/tmp/");
    fake_stop(&f);
}

static void automatic_compression_spares_a_replica_on_this_host(void **state)
{
    (void)state;
    struct fake f;
    struct session *s;
    assert_ok(open_to(greet_with_all, NULL, true, auto_compression, &s, &f));
    session_close(s);
    fake_stop(&f);
}

/* Answers each line of a compressed stream, with one flush for each read. */
static void serve_deflate(struct fake *f)
{
    z_stream in = { 0 }, out = { 0 };
    static char raw[65536], text[1 << 20], reply[1 << 20];
    fake_say(f, "* COMPRESS DEFLATE\r\n* OK fake Cyrus sync server\r\n");
    assert_string_equal(fake_hear(f), "COMPRESS DEFLATE");
    fake_say(f, "OK DEFLATE active\r\n");
    inflateInit2(&in, -15);
    deflateInit2(&out, 9, Z_DEFLATED, -9, 8, Z_DEFAULT_STRATEGY);
    for (ssize_t n; (n = read(f->fd, raw, sizeof raw)) > 0;) {
        in.next_in = (Bytef *)raw;
        in.avail_in = (uInt)n;
        while (in.avail_in > 0) {
            struct buf answers = BUF_INIT;
            in.next_out = (Bytef *)text;
            in.avail_out = sizeof text;
            assert_int_equal(inflate(&in, Z_SYNC_FLUSH), Z_OK);
            size_t lines = 0;
            for (size_t i = 0; i < sizeof text - in.avail_out; i++)
                lines += text[i] == '\n';
            while (lines-- > 0)
                buf_adds(&answers, f->ctx);
            out.next_in = (Bytef *)answers.data;
            out.avail_in = (uInt)buf_len(&answers);
            do {
                out.next_out = (Bytef *)reply;
                out.avail_out = sizeof reply;
                deflate(&out, Z_SYNC_FLUSH);
                if (fwrite(reply, 1, sizeof reply - out.avail_out, f->out) == 0)
                    break;
            } while (out.avail_out == 0);
            fflush(f->out);
            buf_free(&answers);
        }
    }
    inflateEnd(&in);
    deflateEnd(&out);
}

static void a_compressed_session_works_like_a_plain_one(void **state)
{
    (void)state;
    struct fake f;
    struct session *s;
    struct seen seen = { .text = BUF_INIT };
    struct buf answer = BUF_INIT;
    buf_adds(&answer, "* LSUB (");
    for (int i = 0; i < 5000; i++) /* expands far more than any single read */
        dlist_item_str(&answer, LIT("user.somebody"));
    buf_adds(&answer, ")\r\nOK success\r\n");
    assert_ok(open_to(serve_deflate, (void *)(uintptr_t)buf_cstr(&answer), true, require_compression, &s, &f));
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 300; i++)
            command(s, "GET META", "somebody", &seen);
        assert_ok(session_drain(s));
    }
    assert_int_equal(seen.ok, 900);
    assert_int_equal(session_counters(s)->bytes_out, 900 * strlen("GET META somebody\r\n"));
    assert_int_equal(session_counters(s)->bytes_in, 900 * buf_len(&answer));
    session_close(s);
    fake_stop(&f);
    buf_free(&answer);
    buf_free(&seen.text);
}

static void break_the_stream(struct fake *f)
{
    fake_say(f, "* COMPRESS DEFLATE\r\n* OK fake Cyrus sync server\r\n");
    fake_hear(f);
    fake_say(f, "OK DEFLATE active\r\n");
    char c;
    assert_int_equal(read(f->fd, &c, 1), 1);
    fake_say(f, "\xff\xff\xff\xffOK success\r\n");
    fake_until_end(f);
}

static void broken_compressed_data_ends_the_session(void **state)
{
    (void)state;
    struct fake f;
    struct session *s;
    struct seen seen = { .text = BUF_INIT };
    assert_ok(open_to(break_the_stream, NULL, true, require_compression, &s, &f));
    command(s, "GET META", "somebody", &seen);
    assert_fails(session_drain(s), ERR_PROTOCOL, "broken compressed data");
    assert_string_equal(buf_cstr(&seen.text), "protocol?\n");
    session_close(s);
    fake_stop(&f);
    buf_free(&seen.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_imap_greeting_is_named_at_once),
        cmocka_unit_test(anything_but_a_greeting_is_no_connection),
        cmocka_unit_test(capabilities_are_read_without_regard_to_case),
        cmocka_unit_test(nobody_listening_is_no_connection),
        cmocka_unit_test(a_silent_peer_is_given_up_after_the_connect_timeout),
        cmocka_unit_test(plain_sends_its_response_at_once_and_login_when_asked),
        cmocka_unit_test(a_refused_login_tells_the_replicas_reason),
        cmocka_unit_test(a_failed_starttls_never_falls_back_to_the_clear),
        cmocka_unit_test(a_failed_handshake_is_no_connection),
        cmocka_unit_test(a_password_goes_through_tls_where_it_is_offered),
        cmocka_unit_test(required_compression_that_is_refused_is_an_error),
        cmocka_unit_test(automatic_compression_spares_a_replica_on_this_host),
        cmocka_unit_test(a_compressed_session_works_like_a_plain_one),
        cmocka_unit_test(broken_compressed_data_ends_the_session),
    };
    alarm(120);
    assert_ok(session_library_init());
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_free(&logged);
    return failed;
}
