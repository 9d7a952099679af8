/* Channels (daemon/channel.h). */
#include "daemon/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fansync/buf.h"
#include "fansync/log.h"
#include "fansync/mem.h"

static char *path_of(const struct config *config, const char *channel, const char *file)
{
    struct buf path = BUF_INIT;
    config_sync_path(config, channel, file, &path);
    char *copy = mem_strdup(buf_cstr(&path));
    buf_free(&path);
    return copy;
}

/* The folder of a channel that no daemon has written to yet; its parent may be missing too. */
static void make_folder(const struct config *config, const char *folder)
{
    char *parent = path_of(config, NULL, "");
    if (mkdir(folder, 0755) < 0 && errno == ENOENT && (mkdir(parent, 0755) == 0 || errno == EEXIST))
        mkdir(folder, 0755);
    free(parent);
}

/* Beside the stock client's own cache where one is configured: that one is not ours to replace. */
static char *cache_path(const struct channel *c)
{
    const char *stock = config_channel_string(c->config, c->name, "sync_cache_db_path");
    struct buf path = BUF_INIT;
    if (stock)
        buf_printf(&path, "%s.fansync", stock);
    else
        config_sync_path(c->config, c->name, "replica.cache", &path);
    char *copy = mem_strdup(buf_cstr(&path));
    buf_free(&path);
    return copy;
}

static void open_cache(struct channel *c)
{
    char *path = cache_path(c);
    make_folder(c->config, c->folder);
    struct buf replica = BUF_INIT;
    buf_printf(&replica, "%s:%s", c->replica.session.server, c->replica.session.port ? c->replica.session.port : "");
    struct err *err = cache_open(path, buf_cstr(&replica), &c->cache);
    if (err) {
        log_msg(LOG_WARNING, "%s: doing without", err->msg);
        err_free(err);
    }
    buf_free(&replica);
    free(path);
}

static struct err *read_max_expunge(struct channel *c)
{
    const char *text = config_channel_string(c->config, c->name, "sync_copyback_max_expunge");
    if (diff_read_limit(text, &c->max_expunge))
        return NULL;
    return err_new(ERR_CONFIG, "sync_copyback_max_expunge: '%s' is not a number of messages, a percentage (10%%), both, or no",
                   text);
}

struct err *channel_open(struct channel *c, const struct config *config, struct store *store,
                         const struct channel_options *o)
{
    *c = (struct channel){ .config = config, .store = store, .o = *o, .name = o->connect.channel };
    TRY(read_max_expunge(c));
    TRY(engine_check_partition_map(config_channel_string(config, c->name, "sync_partition_map")));
    TRY(connector_init(&c->replica, config, &o->connect));
    connector_init_master(&c->master, config, &o->connect);
    c->folder = path_of(config, c->name, "");
    c->log = path_of(config, c->name, "log");
    c->notify = (struct notify){ config, c->name };
    if (o->cached && config_channel_switch(config, c->name, "sync_replica_cache"))
        open_cache(c);
    return NULL;
}

void channel_close(struct channel *c)
{
    cache_close(c->cache);
    free(c->folder);
    free(c->log);
}

struct engine *channel_engine(struct channel *c, struct err *(*connect)(void *ctx, struct session **out), void *ctx)
{
    int64_t batchsize = config_channel_int(c->config, c->name, "sync_batchsize");
    struct engine_options e = {
        .store = c->store,
        .server = c->replica.session.server,
        .channel = c->name,
        .force = c->o.no_copyback,
        .skip_locked = c->o.skip_locked,
        .local_only = c->o.local_only,
        .delete_extra = config_channel_switch(c->config, c->name, "sync_delete_extra"),
        .stage_to_archive = c->o.stage_to_archive,
        .partition = c->o.partition,
        .partition_map = config_channel_string(c->config, c->name, "sync_partition_map"),
        .authname = c->replica.session.authname,
        .batchsize = batchsize > 0 ? (uint32_t)batchsize : 0,
        .reverseacls = config_switch(c->config, "reverseacls"),
        .stop = c->o.connect.stop,
        .connect = connect,
        .connect_ctx = ctx,
        .connect_master = c->master.missing ? NULL : connect_master,
        .connect_master_ctx = &c->master,
        .no_master = c->master.missing,
        .max_expunge = c->max_expunge,
        .changed_master = notify_channels,
        .changed_master_ctx = &c->notify,
        .cache = c->cache,
        .skip_folder = c->folder,
        .temp_path = config_string(c->config, "temp_path"),
    };
    return engine_new(&e);
}
