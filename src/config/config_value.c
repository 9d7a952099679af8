/*
 * From a value's text to a switch, a number or a word (spec/store.md §1.2). Used by
 * config.c for plain options and overrides alike. Pure; any thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/options.h"
#include "fansync/buf.h"
#include "fansync/config.h"
#include "fansync/mem.h"

static struct err *bad_value(const struct config_option *o, const char *text, const char *is_not)
{
    return err_new(ERR_CONFIG, "%s: '%s' is not %s", o->name, text, is_not);
}

/* The first one or two characters decide; capitals are no spelling of anything. */
static struct err *parse_switch(const struct config_option *o, const char *text, int64_t *out)
{
    bool off = strchr("0nf", text[0]) || (text[0] == 'o' && text[1] == 'f');
    bool on = strchr("1yt", text[0]) || (text[0] == 'o' && text[1] == 'n');
    if (!text[0] || (!off && !on))
        return bad_value(o, text, "a switch");
    *out = on;
    return NULL;
}

static struct err *parse_int(const struct config_option *o, const char *text, int64_t *out)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 0);
    if (end == text || *end)
        return bad_value(o, text, "a number");
    if (errno || v < INT32_MIN || v > INT32_MAX)
        return bad_value(o, text, "a number of 32 bits");
    *out = v;
    return NULL;
}

/* Takes decimal digits off *p; false if there are none or too many. */
static bool take_number(const char **p, int64_t *out)
{
    const char *start = *p;
    int64_t v = 0;
    for (; **p >= '0' && **p <= '9'; (*p)++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, **p - '0', &v))
            return false;
    *out = v;
    return *p != start;
}

static int64_t seconds_of(char unit)
{
    switch (unit) {
    case 'd': return 86400;
    case 'h': return 3600;
    case 'm': return 60;
    case 's': return 1;
    default: return 0;
    }
}

struct err *config_parse_duration(const char *text, char unit, int64_t *out)
{
    const char *p = text;
    bool negative = *p == '-';
    int64_t sum = 0, n;
    p += negative;
    do {
        if (!take_number(&p, &n))
            return err_new(ERR_CONFIG, "'%s' is not a duration", text);
        int64_t seconds = *p ? seconds_of(*p++) : seconds_of(unit);
        if (!seconds)
            return err_new(ERR_CONFIG, "'%s' is not a duration", text);
        if (__builtin_mul_overflow(n, seconds, &n) || __builtin_add_overflow(sum, n, &sum) || sum > INT32_MAX)
            return err_new(ERR_CONFIG, "'%s' is not a duration of 32 bits", text);
    } while (*p);
    *out = negative ? -sum : sum;
    return NULL;
}

/* K, M, G as a shift; -1: no such unit. */
static int shift_of(char unit)
{
    switch (unit) {
    case 'k': case 'K': return 10;
    case 'm': case 'M': return 20;
    case 'g': case 'G': return 30;
    default: return -1;
    }
}

static struct err *parse_bytesize(const struct config_option *o, const char *text, int64_t *out)
{
    const char *p = text;
    bool negative = *p == '-';
    int64_t n;
    p += negative;
    if (!take_number(&p, &n))
        return bad_value(o, text, "a size");
    int shift = *p || !o->unit ? 0 : shift_of(o->unit);
    while (*p == ' ' || *p == '\t')
        p++;
    if (shift_of(*p) >= 0) {
        shift = shift_of(*p++);
        p += *p == 'i';
    }
    p += *p == 'B' || *p == 'b';
    if (*p)
        return bad_value(o, text, "a size");
    if (__builtin_mul_overflow(n, (int64_t)1 << shift, &n))
        return bad_value(o, text, "a size of 64 bits");
    *out = negative ? -n : n;
    return NULL;
}

static bool one_of(struct slice word, const char *words)
{
    while (*words) {
        size_t n = strcspn(words, " ");
        if (slice_eq(word, slice_of(words, n)))
            return true;
        words += n;
        words += strspn(words, " ");
    }
    return false;
}

static struct err *parse_word(const struct config_option *o, const char *text, char **out)
{
    if (!one_of(slice_str(text), o->words))
        return err_new(ERR_CONFIG, "%s: '%s' is none of: %s", o->name, text, o->words);
    *out = mem_strdup(text);
    return NULL;
}

static struct err *parse_enum(const struct config_option *o, const char *text, char **out)
{
    if (one_of(slice_str(text), "1 yes t true on"))
        text = "on";
    else if (one_of(slice_str(text), "0 no f false off"))
        text = "off";
    return parse_word(o, text, out);
}

/* Kept as the words with one blank between two. */
static struct err *parse_words(const struct config_option *o, const char *text, char **out)
{
    struct buf b = BUF_INIT;
    for (const char *p = text + strspn(text, " \t"); *p; p += strspn(p, " \t")) {
        struct slice word = slice_of(p, strcspn(p, " \t"));
        if (!one_of(word, o->words)) {
            buf_free(&b);
            return err_new(ERR_CONFIG, "%s: '" SLICE_FMT "' is none of: %s", o->name, SLICE_ARG(word), o->words);
        }
        if (buf_len(&b))
            buf_addc(&b, ' ');
        buf_add(&b, word.p, word.n);
        p += word.n;
    }
    *out = mem_strdup(buf_cstr(&b));
    buf_free(&b);
    return NULL;
}

struct err *config_value_parse(const struct config_option *o, const char *text, struct config_value *out)
{
    *out = (struct config_value){ NULL, 0 };
    switch (o->type) {
    case CONFIG_STRING:
        out->text = mem_strdup(text);
        return NULL;
    case CONFIG_SWITCH: return parse_switch(o, text, &out->number);
    case CONFIG_INT: return parse_int(o, text, &out->number);
    case CONFIG_ENUM: return parse_enum(o, text, &out->text);
    case CONFIG_WORD: return parse_word(o, text, &out->text);
    case CONFIG_WORDS: return parse_words(o, text, &out->text);
    case CONFIG_DURATION:
        return err_wrap(config_parse_duration(text, o->unit ? o->unit : 's', &out->number), "%s", o->name);
    case CONFIG_BYTESIZE: return parse_bytesize(o, text, &out->number);
    }
    return NULL;
}
