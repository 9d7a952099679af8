/*
 * The configuration of fansync/config.h: decides what a key of imapd.conf means
 * (spec/store.md §1.1), keeps the known options as values and everything else as
 * overflow, and finds the overrides of a channel there (spec/operation.md §5.3).
 * Made by config_load on the main thread, afterwards never changed.
 */
#include "fansync/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "config/config_file.h"
#include "config/nearest.h"
#include "config/options.h"
#include "fansync/buf.h"
#include "fansync/map.h"
#include "fansync/mem.h"

static const char confdir_word[] = "{configdirectory}";

/* How a known option came to its value; the later beats the earlier. */
enum origin { FROM_DEFAULT, FROM_OLD_NAME, FROM_NAME, FROM_IDENT_OLD_NAME, FROM_IDENT_NAME };

struct setting {
    enum origin origin;
    struct config_value value;
};

struct overflow {
    char *key;
    char *value;
    const struct config_option *overrides; /* what it would be for a channel, or NULL */
    struct config_value parsed; /* as that option's */
    struct err *err; /* why it cannot be parsed, which counts when the channel is used */
    struct config_place place;
};

struct config {
    char *ident_; /* the ident, lower case, with the underscore behind it */
    struct config_files files;
    struct setting *settings; /* parallel to config_options */
    struct map overflow;      /* by key: struct overflow */
    struct overflow **list;   /* the same, to go through */
    size_t n, cap;
};

/* ---- reading ---- */

static struct err *set_option(struct config *c, const struct config_place *place, const char *key,
                              const struct config_option *o, enum origin origin, const char *text)
{
    struct setting *s = &c->settings[o - config_options];
    if (origin < s->origin)
        return NULL;
    if (origin == s->origin)
        return err_new(ERR_CONFIG, "%s:%zu: option '%s' was specified twice", place->file, place->line, key);
    struct config_value value;
    struct err *err = config_value_parse(o, text, &value);
    if (err)
        return err_wrap(err, "%s:%zu", place->file, place->line);
    free(s->value.text);
    *s = (struct setting){ origin, value };
    return NULL;
}

/* The option that a key overrides if what is before its name is a channel's. */
static const struct config_option *overridden(const char *key)
{
    for (size_t i = 0; i < config_noptions; i++) {
        const struct config_option *o = &config_options[i];
        size_t n = strlen(o->name), k = strlen(key);
        if (o->per_channel && k > n && key[k - n - 1] == '_' && strcmp(key + k - n, o->name) == 0)
            return o;
    }
    return NULL;
}

static struct err *add_overflow(struct config *c, const struct config_place *place, const char *key,
                                const char *value)
{
    if (map_get(&c->overflow, slice_str(key)))
        return err_new(ERR_CONFIG, "%s:%zu: option '%s' was specified twice", place->file, place->line, key);
    struct overflow *o = mem_alloc(sizeof *o);
    *o = (struct overflow){ .key = mem_strdup(key), .value = mem_strdup(value), .place = *place };
    o->overrides = overridden(key);
    if (o->overrides)
        o->err = err_wrap(config_value_parse(o->overrides, value, &o->parsed), "%s:%zu: %s", place->file, place->line, key);
    map_put(&c->overflow, slice_str(o->key), o);
    c->list = mem_grow(c->list, c->n, &c->cap, sizeof *c->list);
    c->list[c->n++] = o;
    return NULL;
}

static struct err *take_setting(void *ctx, const struct config_place *place, const char *key, const char *value)
{
    struct config *c = ctx;
    const struct config_option *o;
    size_t n = strlen(c->ident_);
    bool old;
    if (strncmp(key, c->ident_, n) == 0 && (o = config_option_find(slice_str(key + n), &old)))
        return set_option(c, place, key, o, old ? FROM_IDENT_OLD_NAME : FROM_IDENT_NAME, value);
    if ((o = config_option_find(slice_str(key), &old)))
        return set_option(c, place, key, o, old ? FROM_OLD_NAME : FROM_NAME, value);
    return add_overflow(c, place, key, value);
}

/* ---- what can be said only when everything is read ---- */

static struct setting *setting_of(const struct config *c, const char *name)
{
    bool old;
    const struct config_option *o = config_option_find(slice_str(name), &old);
    return o ? &c->settings[o - config_options] : NULL;
}

static void set_defaults(struct config *c)
{
    for (size_t i = 0; i < config_noptions; i++) {
        const struct config_option *o = &config_options[i];
        if (c->settings[i].origin != FROM_DEFAULT || !o->def)
            continue;
        struct err *err = config_value_parse(o, o->def, &c->settings[i].value);
        if (err) {
            fprintf(stderr, "default of %s\n", err->msg);
            abort();
        }
    }
    struct setting *server = setting_of(c, "servername");
    char host[256] = "";
    if (!server->value.text && gethostname(host, sizeof host - 1) == 0)
        server->value.text = mem_strdup(host);
}

/* Replaces "{configdirectory}" in front, in any case. */
static void expand(const char *confdir, char **text)
{
    size_t n = sizeof confdir_word - 1;
    if (!slice_caseeqs(slice_of(*text, strnlen(*text, n)), confdir_word))
        return;
    struct buf b = BUF_INIT;
    buf_printf(&b, "%s%s", confdir, *text + n);
    free(*text);
    *text = mem_strdup(buf_cstr(&b));
    buf_free(&b);
}

static void expand_all(struct config *c, const struct setting *confdir)
{
    const char *dir = confdir->value.text;
    for (size_t i = 0; i < config_noptions; i++) {
        struct setting *s = &c->settings[i];
        if (config_options[i].type != CONFIG_STRING || !s->value.text || s == confdir)
            continue;
        expand(dir, &s->value.text);
    }
    for (size_t i = 0; i < c->n; i++)
        if (c->list[i]->overrides && c->list[i]->overrides->type == CONFIG_STRING)
            expand(dir, &c->list[i]->parsed.text);
}

static struct err *check_partition(const char *path, char *name)
{
    for (char *p = name; name && *p; p++) {
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
        if (!((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9')))
            return err_new(ERR_CONFIG, "%s: defaultpartition: '%s' has other characters than letters and digits",
                           path, name);
    }
    return NULL;
}

static struct err *read_and_finish(struct config *c, const char *path)
{
    TRY(config_file_read(&c->files, path, take_setting, c));
    struct setting *confdir = setting_of(c, "configdirectory");
    if (!confdir->value.text)
        return err_new(ERR_CONFIG, "%s: configdirectory option not specified in configuration file", path);
    set_defaults(c);
    expand_all(c, confdir);
    return check_partition(path, setting_of(c, "defaultpartition")->value.text);
}

/* ---- the object ---- */

struct err *config_load(const char *path, const char *ident, struct config **out)
{
    struct config *c = mem_alloc(sizeof *c);
    struct buf b = BUF_INIT;
    buf_printf(&b, "%s_", ident);
    c->ident_ = mem_strdup(buf_cstr(&b));
    buf_free(&b);
    c->settings = mem_array(config_noptions, sizeof *c->settings);
    struct err *err = read_and_finish(c, path);
    if (err) {
        config_free(c);
        c = NULL;
    }
    *out = c;
    return err;
}

void config_free(struct config *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < config_noptions; i++)
        free(c->settings[i].value.text);
    for (size_t i = 0; i < c->n; i++) {
        free(c->list[i]->key);
        free(c->list[i]->value);
        free(c->list[i]->parsed.text);
        err_free(c->list[i]->err);
        free(c->list[i]);
    }
    map_free(&c->overflow);
    config_files_free(&c->files);
    free(c->list);
    free(c->settings);
    free(c->ident_);
    free(c);
}

/* ---- asking ---- */

const char *config_path(const struct config *c)
{
    return c->files.path[0];
}

static const struct config_option *known(const char *name, unsigned types)
{
    bool old;
    const struct config_option *o = config_option_find(slice_str(name), &old);
    if (!o || old || !(types & 1u << o->type)) {
        fprintf(stderr, "option %s is not in the table with that type\n", name);
        abort();
    }
    return o;
}

enum {
    TEXTS = 1 << CONFIG_STRING | 1 << CONFIG_ENUM | 1 << CONFIG_WORD | 1 << CONFIG_WORDS,
    SWITCHES = 1 << CONFIG_SWITCH,
    INTS = 1 << CONFIG_INT | 1 << CONFIG_BYTESIZE,
    DURATIONS = 1 << CONFIG_DURATION,
};

static const struct config_value *value_of(const struct config *c, const char *name, unsigned types)
{
    return &c->settings[known(name, types) - config_options].value;
}

const char *config_string(const struct config *c, const char *option)
{
    return value_of(c, option, TEXTS)->text;
}

bool config_switch(const struct config *c, const char *option)
{
    return value_of(c, option, SWITCHES)->number != 0;
}

int64_t config_int(const struct config *c, const char *option)
{
    return value_of(c, option, INTS)->number;
}

int64_t config_duration(const struct config *c, const char *option)
{
    return value_of(c, option, DURATIONS)->number;
}

static const struct overflow *find_overflow(const struct config *c, struct buf *key)
{
    return map_get(&c->overflow, buf_slice(key));
}

const char *config_overflow(const struct config *c, const char *key)
{
    struct buf b = BUF_INIT;
    buf_printf(&b, "%s%s", c->ident_, key);
    const struct overflow *o = find_overflow(c, &b);
    buf_free(&b);
    if (!o)
        o = map_get(&c->overflow, slice_str(key));
    return o ? o->value : NULL;
}

/* ---- channels ---- */

static const struct overflow *find_override(const struct config *c, const char *channel, const char *option)
{
    if (!channel)
        return NULL;
    struct buf b = BUF_INIT;
    buf_printf(&b, "%s%s_%s", c->ident_, channel, option);
    for (char *p = b.data + b.start; p < b.data + b.end; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    const struct overflow *o = find_overflow(c, &b);
    buf_consume(&b, strlen(c->ident_));
    if (!o)
        o = find_overflow(c, &b);
    buf_free(&b);
    return o;
}

static bool is_name_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-_.", c);
}

/* It is the name of a folder, and a word of lists. */
static struct err *check_name(const char *channel)
{
    bool good = *channel && *channel != '.';
    for (const char *p = channel; good && *p; p++)
        good = is_name_letter(*p);
    return good ? NULL : err_new(ERR_CONFIG, "\"%s\" cannot be the name of a channel: letters, digits, \"-\", \"_\" and "
                                 "\".\" can be in one, and it does not begin with a \".\"", channel);
}

/* What would be the option of the key, if it is one for that channel; NULL: it is for something else. */
static const char *option_part(const struct config *c, const char *channel, const char *key)
{
    size_t n = strlen(c->ident_), k = strlen(channel);
    if (strncmp(key, c->ident_, n) == 0)
        key += n;
    bool ours = strncasecmp(key, channel, k) == 0 && strncmp(key + k, "_sync_", 6) == 0;
    return ours ? key + k + 1 : NULL;
}

static struct err *unknown_option(const struct overflow *v, const char *option)
{
    const char **names = mem_array(config_noptions + 1, sizeof(char *));
    size_t n = 0;
    names[n++] = CONFIG_FANOUT;
    for (size_t i = 0; i < config_noptions; i++)
        if (config_options[i].per_channel)
            names[n++] = config_options[i].name;
    const char *meant = nearest_word(option, names, n);
    free(names);
    return err_new(ERR_CONFIG, "%s:%zu: %s: there is no option %s for a channel%s%s%s", v->place.file, v->place.line,
                   v->key, option, meant ? " (did you mean " : "", meant ? meant : "", meant ? "?)" : "");
}

struct err *config_check_channel(const struct config *c, const char *channel)
{
    if (channel)
        TRY(check_name(channel));
    for (size_t i = 0; i < c->n && channel; i++) {
        const char *option = option_part(c, channel, c->list[i]->key);
        if (option && !c->list[i]->overrides && strcmp(option, CONFIG_FANOUT) != 0)
            return unknown_option(c->list[i], option);
    }
    for (size_t i = 0; i < config_noptions; i++) {
        const struct config_option *o = &config_options[i];
        const struct overflow *v = o->per_channel ? find_override(c, channel, o->name) : NULL;
        if (v && v->err)
            return err_copy(v->err);
    }
    return NULL;
}

/* The override if there is a good one, else the plain value. */
static const struct config_value *channel_value(const struct config *c, const char *channel, const char *option,
                                                unsigned types)
{
    const struct config_option *o = known(option, types);
    const struct overflow *v = o->per_channel ? find_override(c, channel, option) : NULL;
    return v && !v->err ? &v->parsed : value_of(c, option, types);
}

const char *config_channel_string(const struct config *c, const char *channel, const char *option)
{
    return channel_value(c, channel, option, TEXTS)->text;
}

bool config_channel_switch(const struct config *c, const char *channel, const char *option)
{
    return channel_value(c, channel, option, SWITCHES)->number != 0;
}

int64_t config_channel_int(const struct config *c, const char *channel, const char *option)
{
    return channel_value(c, channel, option, INTS)->number;
}

int64_t config_channel_duration(const struct config *c, const char *channel, const char *option)
{
    return channel_value(c, channel, option, DURATIONS)->number;
}

void config_sync_path(const struct config *c, const char *channel, const char *file, struct buf *out)
{
    buf_printf(out, "%s/sync/", config_string(c, "configdirectory"));
    if (channel && *channel)
        buf_printf(out, "%s/", channel);
    buf_adds(out, file);
}
