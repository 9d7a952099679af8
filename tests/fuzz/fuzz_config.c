/* imapd.conf. What it includes is real: so an input with "@include" only counts as far as that line. */
#include "fuzz.h"

#include <string.h>

#include "fansync/config.h"

static void ask(const struct config *c)
{
    struct buf path = BUF_INIT;
    const char *channel = config_string(c, "sync_log_channels");
    fuzz_refused(config_check_channel(c, "east"));
    if (channel)
        fuzz_refused(config_check_channel(c, channel));
    must(config_duration(c, "sync_timeout") == config_duration(c, "sync_timeout"));
    config_channel_string(c, "east", "sync_host");
    config_channel_switch(c, "east", "sync_replica_cache");
    config_channel_int(c, "east", "sync_batchsize");
    config_channel_duration(c, "east", "sync_repeat_interval");
    config_overflow(c, "partition-default");
    config_sync_path(c, "east", "log", &path);
    must(buf_len(&path) > 0);
    buf_free(&path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct slice in = slice_of((const char *)data, n);
    const char *include = n ? memmem(in.p, in.n, "include", 7) : NULL;
    struct config *c;
    if (include)
        in.n = (size_t)(include - in.p);
    if (!fuzz_refused(config_load(fuzz_file(in), "sync_client", &c)))
        ask(c);
    else
        must(!c);
    config_free(c);
    return 0;
}
