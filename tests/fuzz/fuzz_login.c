/* A replica's half of a login: greeting, SASL challenges, the answer to COMPRESS; also STARTTLS to one that has no TLS. */
#include "wire_peer.h"

#include "wire/login.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static char host[] = "127.0.0.1", peer[] = "127.0.0.1:2005", password[] = "secret";
    struct slice in = slice_of((const char *)data, n);
    uint8_t flags = fuzz_byte(&in);
    const char *mechs[] = { NULL, "PLAIN", "SCRAM-SHA-256 DIGEST-MD5", "CRAM-MD5 LOGIN" };
    struct session_options o = { .server = host, .authname = "repl", .password = password, .mechs = mechs[flags % 4],
                                 .connect_timeout = 5, .timeout = 5,
                                 .compress = (enum session_compress)(flags / 4 % 4) };
    struct endpoint ep = { .host = host, .is_path = flags & 32 };
    struct transport t;
    unsigned capabilities;
    int theirs;
    struct connection c = { wire_peer("", in, &theirs), flags & 16, peer };
    transport_init(&t, c.fd, NULL);
    fuzz_refused(login_run(&t, &ep, &c, &o, &capabilities));
    transport_close(&t);
    close(theirs);
    return 0;
}
