/*
 * The options of imapd.conf that replication reads (spec/store.md §1.3,
 * spec/operation.md §5.1), sorted as there. Cyrus knows some hundred more; to us they
 * are unknown keys, which harms nobody. sync_compress, sync_copyback and others are our own.
 */
#include "config/options.h"

/* Every backend of any version; the store refuses those that it cannot read. */
#define DB_WORDS "flat skiplist twoskip zeroskip quotalegacy sql twom"

#define STRING(n, d) { .name = n, .type = CONFIG_STRING, .def = d }
#define SWITCH(n, d) { .name = n, .type = CONFIG_SWITCH, .def = d }
#define INT(n, d) { .name = n, .type = CONFIG_INT, .def = d }
#define DURATION(n, d) { .name = n, .type = CONFIG_DURATION, .def = d }
#define DB(n, d) { .name = n, .type = CONFIG_WORD, .def = d, .words = DB_WORDS }
#define CHANNEL(n, t, d) { .name = n, .type = t, .def = d, .per_channel = true }

const struct config_option config_options[] = {
    /* places */
    STRING("configdirectory", NULL),
    STRING("defaultpartition", NULL),
    { .name = "metapartition_files", .type = CONFIG_WORDS, .def = "",
      .words = "header index cache expunge squat annotations lock dav archivecache" },
    SWITCH("archive_enabled", "no"),
    { .name = "archive_after", .type = CONFIG_DURATION, .def = "7d", .unit = 'd', .old_name = "archive_days" },
    { .name = "archive_maxsize", .type = CONFIG_BYTESIZE, .def = "1024K", .unit = 'K' },
    SWITCH("archive_keepflagged", "no"),
    SWITCH("object_storage_enabled", "no"),
    SWITCH("hashimapspool", "no"),
    SWITCH("fulldirhash", "no"),
    SWITCH("mailbox_legacy_dirs", "no"),
    STRING("mboxname_lockpath", NULL),
    STRING("mboxname_userpath", NULL),
    STRING("mboxlist_db_path", NULL),
    STRING("annotation_db_path", NULL),
    STRING("quota_db_path", NULL),
    STRING("conversations_db_path", NULL),
    STRING("sievedir", "/usr/sieve"),
    SWITCH("sieveusehomedir", "no"),
    STRING("sieve_folder", "#sieve"),
    /* names */
    SWITCH("unixhierarchysep", "yes"),
    SWITCH("altnamespace", "yes"),
    { .name = "virtdomains", .type = CONFIG_ENUM, .def = "off", .words = "off userid on" },
    STRING("defaultdomain", "internal"),
    STRING("userprefix", "Other Users"),
    STRING("sharedprefix", "Shared Folders"),
    STRING("altprefix", "Alt Folders"),
    STRING("deletedprefix", "DELETED"),
    { .name = "delete_mode", .type = CONFIG_ENUM, .def = "delayed", .words = "immediate delayed" },
    SWITCH("username_tolower", "yes"),
    STRING("calendarprefix", "#calendars"),
    STRING("addressbookprefix", "#addressbooks"),
    STRING("davdriveprefix", "#drive"),
    STRING("davnotificationsprefix", "#notifications"),
    STRING("jmapuploadfolder", "#jmap"),
    STRING("jmapsubmissionfolder", "#jmapsubmission"),
    STRING("jmappushsubscriptionfolder", "#jmappushsubscription"),
    STRING("notesmailbox", NULL),
    STRING("servername", NULL), /* config.c puts the host's name */
    /* databases */
    DB("mboxlist_db", "twoskip"),
    DB("annotation_db", "twoskip"),
    DB("quota_db", "quotalegacy"),
    DB("subscription_db", "flat"),
    DB("seenstate_db", "twoskip"),
    DB("conversations_db", "skiplist"),
    SWITCH("improved_mboxlist_sort", "no"),
    /* features */
    SWITCH("conversations", "no"),
    SWITCH("reverseacls", "no"),
    SWITCH("global_lock", "yes"),
    SWITCH("replicaonly", "no"),
    SWITCH("readonly", "no"),
    /* replication */
    CHANNEL("sync_host", CONFIG_STRING, NULL),
    CHANNEL("sync_port", CONFIG_STRING, NULL),
    CHANNEL("sync_authname", CONFIG_STRING, NULL),
    CHANNEL("sync_realm", CONFIG_STRING, NULL),
    CHANNEL("sync_password", CONFIG_STRING, NULL),
    CHANNEL("sync_shutdown_file", CONFIG_STRING, NULL),
    CHANNEL("sync_cache_db_path", CONFIG_STRING, NULL),
    DB("sync_cache_db", "twoskip"),
    CHANNEL("sync_replica_cache", CONFIG_SWITCH, "yes"),
    CHANNEL("sync_repeat_interval", CONFIG_DURATION, "1s"),
    CHANNEL("sync_try_imap", CONFIG_SWITCH, "yes"),
    CHANNEL("sync_timeout", CONFIG_DURATION, "30m"),
    CHANNEL("sync_reconnect_maxwait", CONFIG_DURATION, "20m"),
    CHANNEL("sync_batchsize", CONFIG_INT, "8192"),
    CHANNEL("sync_partition_map", CONFIG_STRING, NULL),
    CHANNEL("sync_delete_extra", CONFIG_SWITCH, "no"),
    CHANNEL("sync_connections", CONFIG_INT, "1"),
    SWITCH("sync_paced_handover", "no"),
    STRING("sync_metrics_listen", NULL),
    { .name = "sync_compress", .type = CONFIG_ENUM, .def = "auto", .words = "auto on off", .per_channel = true },
    { .name = "sync_copyback", .type = CONFIG_ENUM, .def = "auto", .words = "auto service private off",
      .per_channel = true },
    CHANNEL("sync_copyback_host", CONFIG_STRING, NULL),
    CHANNEL("sync_copyback_port", CONFIG_STRING, NULL),
    CHANNEL("sync_copyback_authname", CONFIG_STRING, NULL),
    CHANNEL("sync_copyback_realm", CONFIG_STRING, NULL),
    CHANNEL("sync_copyback_password", CONFIG_STRING, NULL),
    CHANNEL("sync_copyback_max_expunge", CONFIG_STRING, "100 and 10%"),
    STRING("temp_path", "/tmp"),
    SWITCH("sync_log", "no"),
    SWITCH("sync_log_chain", "no"),
    STRING("sync_log_channels", NULL),
    STRING("sync_log_unsuppressable_channels", "squatter"),
    STRING("sync_rightnow_channel", NULL),
    /* the connection */
    DURATION("client_timeout", "10s"),
    SWITCH("client_bind", "no"),
    STRING("client_bind_name", NULL),
    SWITCH("tcp_keepalive", "yes"),
    INT("tcp_keepalive_cnt", "6"),
    DURATION("tcp_keepalive_idle", "60"),
    DURATION("tcp_keepalive_intvl", "10"),
    STRING("force_sasl_client_mech", NULL),
    SWITCH("allowplaintext", "no"),
    { .name = "tls_client_ca_dir", .type = CONFIG_STRING, .old_name = "tls_ca_path" },
    { .name = "tls_client_ca_file", .type = CONFIG_STRING, .old_name = "tls_ca_file" },
    STRING("tls_client_cert", NULL),
    { .name = "tls_client_certs", .type = CONFIG_ENUM, .def = "optional", .words = "off optional require" },
    STRING("tls_client_key", NULL),
    STRING("tls_server_ca_dir", NULL),
    STRING("tls_server_ca_file", NULL),
    /* the process */
    STRING("cyrus_bindir", NULL),
    STRING("cyrus_user", NULL),
    STRING("cyrus_group", NULL),
    STRING("umask", "077"),
    STRING("syslog_prefix", NULL),
    STRING("syslog_facility", NULL),
    SWITCH("debug", "no"),
};

const size_t config_noptions = sizeof config_options / sizeof config_options[0];

const struct config_option *config_option_find(struct slice name, bool *old)
{
    for (size_t i = 0; i < config_noptions; i++) {
        const struct config_option *o = &config_options[i];
        *old = o->old_name && slice_eqs(name, o->old_name);
        if (*old || slice_eqs(name, o->name))
            return o;
    }
    return NULL;
}
