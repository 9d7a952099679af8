/* Telling the other channels (daemon/notify.h). */
#include "daemon/notify.h"

#include <string.h>

#include "fansync/action.h"
#include "fansync/buf.h"
#include "fansync/log.h"
#include "fansync/synclog.h"

static bool is_yes(const char *value)
{
    return value && (strcmp(value, "yes") == 0 || strcmp(value, "on") == 0 || strcmp(value, "1") == 0 ||
                     strcmp(value, "true") == 0 || strcmp(value, "t") == 0);
}

/* The service logs by itself. */
static bool is_chained(const struct config *c)
{
    const char *own = config_overflow(c, "synclocal_sync_log_chain");
    return own ? is_yes(own) : config_switch(c, "sync_log_chain");
}

/* The next element of a list separated by blanks. */
static bool next_word(const char **list, struct slice *word)
{
    const char *p = *list ? *list : "";
    p += strspn(p, " ");
    *word = slice_of(p, strcspn(p, " "));
    *list = p + word->n;
    return word->n > 0;
}

static bool contains(const char *list, struct slice word)
{
    struct slice w;
    while (next_word(&list, &w))
        if (slice_eq(w, word))
            return true;
    return false;
}

static void append(const struct config *c, struct slice channel, struct slice line)
{
    struct buf name = BUF_INIT, path = BUF_INIT;
    if (!slice_eqs(channel, "\"\""))
        buf_add(&name, channel.p, channel.n);
    config_sync_path(c, buf_cstr(&name), "log", &path);
    struct err *err = synclog_append(buf_cstr(&path), line);
    if (err)
        log_msg(LOG_ERR, "%s", err->msg);
    err_free(err);
    buf_free(&name);
    buf_free(&path);
}

void notify_channels(void *ctx, struct slice name)
{
    const struct notify *n = ctx;
    const struct action action = { ACTION_MAILBOX, name, { NULL, 0 } };
    const char *always = config_string(n->config, "sync_log_unsuppressable_channels");
    const char *list = config_string(n->config, "sync_log_channels");
    struct slice own = slice_str(n->channel && *n->channel ? n->channel : "\"\""), word;
    struct buf line = BUF_INIT;
    if (!list || is_chained(n->config) || !config_switch(n->config, "sync_log"))
        return;
    if (synclog_format(&line, &action))
        while (next_word(&list, &word))
            if (!slice_eq(word, own) && !contains(always, word))
                append(n->config, word, buf_slice(&line));
    buf_free(&line);
}
