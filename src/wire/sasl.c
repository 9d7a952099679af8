/*
 * libsasl2 as a client: service csync, no authorisation id, no security layer
 * (spec/wire.md §1.5). Called by login; any thread. Connections of libsasl are not
 * thread-safe in new, start and dispose, whatever mutexes it is given, hence the lock.
 */
#include "sasl.h"

#include <pthread.h>
#include <sasl/sasl.h>
#include <sasl/saslutil.h>
#include <stdlib.h>
#include <string.h>

#include "fansync/log.h"
#include "fansync/mem.h"

enum { N_CALLBACKS = 5, MAX_BASE64 = 21848 }; /* spec/wire.md §1.5 */

struct sasl_exchange {
    sasl_conn_t *conn;
    const struct session_options *options;
    sasl_secret_t *password;
    sasl_callback_t callbacks[N_CALLBACKS];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* around new, start and dispose */

/* ---- the library ---- */

static void *mutex_new(void)
{
    pthread_mutex_t *m = mem_alloc(sizeof *m);
    pthread_mutex_init(m, NULL);
    return m;
}

static int mutex_lock(void *m)
{
    return pthread_mutex_lock(m) == 0 ? SASL_OK : SASL_FAIL;
}

static int mutex_unlock(void *m)
{
    return pthread_mutex_unlock(m) == 0 ? SASL_OK : SASL_FAIL;
}

static void mutex_dispose(void *m)
{
    pthread_mutex_destroy(m);
    free(m);
}

static int library_log(void *context, int level, const char *text)
{
    (void)context;
    if (level == SASL_LOG_ERR) /* the levels above it are chatter, up to passwords */
        log_msg(LOG_NOTICE, "SASL: %s", text);
    return SASL_OK;
}

/* The library calls each callback with the arguments its id stands for. */
typedef int (*callback_fn)(void);

struct err *sasl_library_init(void)
{
    static const sasl_callback_t callbacks[] = {
        { SASL_CB_LOG, (callback_fn)(void (*)(void))library_log, NULL },
        { SASL_CB_LIST_END, NULL, NULL },
    };
    sasl_set_mutex(mutex_new, mutex_lock, mutex_unlock, mutex_dispose);
    int rc = sasl_client_init(callbacks);
    if (rc != SASL_OK)
        return err_new(ERR_CONFIG, "sasl_client_init: %s", sasl_errstring(rc, NULL, NULL));
    return NULL;
}

/* ---- callbacks ---- */

static const char *or_empty(const char *s)
{
    return s ? s : "";
}

static int get_name(void *context, int id, const char **result, unsigned *len)
{
    const struct sasl_exchange *x = context;
    *result = id == SASL_CB_AUTHNAME ? or_empty(x->options->authname) : "";
    if (len)
        *len = (unsigned)strlen(*result);
    return SASL_OK;
}

static int get_password(sasl_conn_t *conn, void *context, int id, sasl_secret_t **secret)
{
    const struct sasl_exchange *x = context;
    (void)conn;
    (void)id;
    *secret = x->password;
    return SASL_OK;
}

static int get_realm(void *context, int id, const char **available, const char **result)
{
    const struct sasl_exchange *x = context;
    (void)id;
    *result = x->options->realm;
    if (!*result && available)
        *result = available[0];
    *result = or_empty(*result);
    return SASL_OK;
}

static void set_callbacks(struct sasl_exchange *x)
{
    const sasl_callback_t all[N_CALLBACKS] = {
        { SASL_CB_AUTHNAME, (callback_fn)(void (*)(void))get_name, x },
        { SASL_CB_USER, (callback_fn)(void (*)(void))get_name, x },
        { SASL_CB_PASS, (callback_fn)(void (*)(void))get_password, x },
        { SASL_CB_GETREALM, (callback_fn)(void (*)(void))get_realm, x },
        { SASL_CB_LIST_END, NULL, NULL },
    };
    memcpy(x->callbacks, all, sizeof all);
}

static void set_password(struct sasl_exchange *x, const char *password)
{
    size_t n = strlen(password);
    x->password = mem_alloc(sizeof *x->password + n + 1);
    x->password->len = n;
    memcpy(x->password->data, password, n);
}

/* ---- the exchange ---- */

static struct err *sasl_fault(sasl_conn_t *conn, int rc)
{
    const char *text = conn ? sasl_errdetail(conn) : sasl_errstring(rc, NULL, NULL);
    return err_new(ERR_AUTH, "%s", text);
}

struct err *sasl_exchange_new(const struct session_options *o, const char *host, struct sasl_exchange **out)
{
    const sasl_security_properties_t props = { .min_ssf = 0, .max_ssf = 0 };
    struct sasl_exchange *x = mem_alloc(sizeof *x);
    x->options = o;
    set_callbacks(x);
    set_password(x, or_empty(o->password));
    pthread_mutex_lock(&lock);
    int rc = sasl_client_new("csync", host, NULL, NULL, x->callbacks, 0, &x->conn);
    pthread_mutex_unlock(&lock);
    if (rc == SASL_OK)
        rc = sasl_setprop(x->conn, SASL_SEC_PROPS, &props);
    if (rc != SASL_OK) {
        struct err *e = sasl_fault(x->conn, rc);
        sasl_exchange_free(x);
        return e;
    }
    *out = x;
    return NULL;
}

void sasl_exchange_free(struct sasl_exchange *x)
{
    if (!x)
        return;
    pthread_mutex_lock(&lock);
    sasl_dispose(&x->conn);
    pthread_mutex_unlock(&lock);
    explicit_bzero(x->password->data, x->password->len);
    free(x->password);
    free(x);
}

static struct err *encode(const char *p, unsigned n, struct buf *out)
{
    unsigned len = 0, room = (n + 2) / 3 * 4 + 1;
    if (n > MAX_BASE64 / 4 * 3)
        return err_new(ERR_AUTH, "the mechanism's message is too long");
    if (n == 0)
        return NULL;
    int rc = sasl_encode64(p, n, buf_reserve(out, room), room, &len);
    if (rc != SASL_OK)
        return sasl_fault(NULL, rc);
    buf_added(out, len);
    return NULL;
}

struct err *sasl_exchange_start(struct sasl_exchange *x, const char *mechs, const char **mech,
                                struct buf *initial)
{
    const char *message = NULL;
    unsigned n = 0;
    pthread_mutex_lock(&lock);
    int rc = sasl_client_start(x->conn, mechs, NULL, &message, &n, mech);
    pthread_mutex_unlock(&lock);
    if (rc != SASL_OK && rc != SASL_CONTINUE)
        return sasl_fault(x->conn, rc);
    if (message && n == 0)
        buf_adds(initial, "=");
    return encode(message, n, initial);
}

static struct err *step(struct sasl_exchange *x, const char *challenge, unsigned n, struct buf *response)
{
    const char *message = NULL;
    unsigned len = 0;
    int rc = sasl_client_step(x->conn, challenge, n, NULL, &message, &len);
    if (rc != SASL_OK && rc != SASL_CONTINUE)
        return sasl_fault(x->conn, rc);
    return encode(message, message ? len : 0, response);
}

struct err *sasl_exchange_step(struct sasl_exchange *x, struct slice challenge, struct buf *response)
{
    struct buf plain = BUF_INIT;
    unsigned n = 0;
    if (challenge.n > MAX_BASE64)
        return err_new(ERR_AUTH, "the replica's challenge is too long");
    unsigned room = (unsigned)challenge.n + 1;
    char *to = buf_reserve(&plain, room);
    int rc = challenge.n ? sasl_decode64(challenge.p, (unsigned)challenge.n, to, room, &n) : SASL_OK;
    struct err *e = rc == SASL_OK ? step(x, to, n, response) : sasl_fault(NULL, rc);
    buf_free(&plain);
    return e;
}
