/*
 * Reading imapd.conf and its includes line by line (spec/store.md §1.1). Called by
 * config_load only, once, before threads start. Says where every fault is.
 */
#include "config/config_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fansync/buf.h"
#include "fansync/mem.h"

#define BLANKS " \t\r\n\v\f"
#define KEY_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

struct reader {
    struct config_files *files;
    config_setting_fn fn;
    void *ctx;
};

static struct err *read_file(struct reader *r, const struct config_place *from, const char *path);

static struct err *bad_line(const struct config_place *place, const char *what)
{
    return err_new(ERR_CONFIG, "%s:%zu: %s", place->file, place->line, what);
}

/* Cuts "key: value" in place; the line has no leading blanks. */
static struct err *split(const struct config_place *place, char *line, char **key, char **value)
{
    size_t n = strspn(line, KEY_CHARS);
    if (n == 0 || line[n] != ':')
        return bad_line(place, "invalid option name");
    line[n] = '\0';
    for (char *p = line; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    *key = line;
    *value = line + n + 1 + strspn(line + n + 1, BLANKS);
    size_t len = strlen(*value);
    while (len && strchr(BLANKS, (*value)[len - 1]))
        len--;
    if (!len)
        return err_new(ERR_CONFIG, "%s:%zu: %s: empty option value", place->file, place->line, *key);
    (*value)[len] = '\0';
    return NULL;
}

static struct err *include(struct reader *r, const struct config_place *place, const char *path)
{
    for (size_t i = 0; i < r->files->n; i++)
        if (strcmp(r->files->path[i], path) == 0)
            return err_new(ERR_CONFIG, "%s:%zu: '%s' is included twice", place->file, place->line, path);
    return read_file(r, place, path);
}

static struct err *one_line(struct reader *r, const struct config_place *place, char *line)
{
    char *key, *value;
    line += strspn(line, BLANKS);
    if (!*line || *line == '#')
        return NULL;
    if (*line != '@') {
        TRY(split(place, line, &key, &value));
        return r->fn(r->ctx, place, key, value);
    }
    TRY(split(place, line + 1, &key, &value));
    if (strcmp(key, "include") != 0)
        return bad_line(place, "invalid directive");
    return include(r, place, value);
}

/* CYRUS_PREFIX moves a whole installation; what is not there is looked for in place. */
static FILE *open_file(const char *path)
{
    const char *prefix = getenv("CYRUS_PREFIX");
    FILE *f = NULL;
    if (prefix) {
        struct buf b = BUF_INIT;
        buf_printf(&b, "%s%s", prefix, path);
        f = fopen(buf_cstr(&b), "re");
        buf_free(&b);
    }
    return f ? f : fopen(path, "re");
}

/* Appends one physical line without its newline, or without the backslash before it. */
static struct err *append(const struct config_place *place, struct buf *b, const char *line, size_t n,
                          bool *joined)
{
    if (memchr(line, '\0', n))
        return bad_line(place, "a NUL byte");
    *joined = n >= 2 && line[n - 1] == '\n' && line[n - 2] == '\\';
    if (*joined)
        n -= 2;
    else if (line[n - 1] == '\n')
        n--;
    buf_add(b, line, n);
    return NULL;
}

static struct err *read_lines(struct reader *r, FILE *f, const char *path)
{
    struct config_place place = { path, 1 };
    struct buf logical = BUF_INIT;
    struct err *err = NULL;
    char *line = NULL;
    size_t cap = 0, count = 0;
    bool joined = false;
    ssize_t n;
    while (!err && (n = getline(&line, &cap, f)) > 0) {
        count++;
        err = append(&place, &logical, line, (size_t)n, &joined);
        if (err || joined)
            continue;
        buf_cstr(&logical);
        err = one_line(r, &place, logical.data + logical.start);
        buf_clear(&logical);
        place.line = count + 1;
    }
    if (!err && ferror(f))
        err = err_new(ERR_CONFIG, "%s:%zu: %s", path, count + 1, strerror(errno));
    if (!err && joined) { /* the last line ended in a backslash */
        buf_cstr(&logical);
        err = one_line(r, &place, logical.data + logical.start);
    }
    free(line);
    buf_free(&logical);
    return err;
}

/* from: the line that includes it, NULL: none. */
static struct err *read_file(struct reader *r, const struct config_place *from, const char *path)
{
    struct config_files *fs = r->files;
    FILE *f = open_file(path);
    if (!f) {
        struct err *err = err_new(ERR_CONFIG, "can't open configuration file %s: %s", path, strerror(errno));
        return from ? err_wrap(err, "%s:%zu", from->file, from->line) : err;
    }
    fs->path = mem_grow(fs->path, fs->n, &fs->cap, sizeof *fs->path);
    const char *own = fs->path[fs->n++] = mem_strdup(path);
    struct err *err = read_lines(r, f, own);
    fclose(f);
    return err;
}

struct err *config_file_read(struct config_files *files, const char *path, config_setting_fn fn, void *ctx)
{
    struct reader r = { files, fn, ctx };
    return read_file(&r, NULL, path);
}

void config_files_free(struct config_files *files)
{
    for (size_t i = 0; i < files->n; i++)
        free(files->path[i]);
    free(files->path);
}
