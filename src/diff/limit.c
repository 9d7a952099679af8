/* The text of a limit on expunges (fansync/diff.h), as imapd.conf has it. Pure. */
#include "fansync/diff.h"

static bool read_number(struct slice s, uint32_t *out)
{
    uint64_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(s.p[i] - '0');
        if (n > UINT32_MAX)
            return false;
    }
    *out = (uint32_t)n;
    return s.n > 0;
}

static struct slice next_word(struct slice *text)
{
    size_t from = 0, to;
    while (from < text->n && text->p[from] == ' ')
        from++;
    for (to = from; to < text->n && text->p[to] != ' ';)
        to++;
    struct slice word = slice_of(text->p + from, to - from);
    *text = slice_of(text->p + to, text->n - to);
    return word;
}

/* "100", "10%", "and" */
static bool read_word(struct slice word, struct expunge_limit *out)
{
    if (slice_caseeqs(word, "and"))
        return true;
    if (word.p[word.n - 1] == '%')
        return read_number(slice_of(word.p, word.n - 1), &out->percent) && out->percent <= 100;
    return read_number(word, &out->messages);
}

bool diff_read_limit(const char *text, struct expunge_limit *out)
{
    struct slice rest = slice_str(text), word;
    *out = (struct expunge_limit){ .set = true };
    if (slice_caseeqs(rest, "no")) {
        out->set = false;
        return true;
    }
    bool any = false;
    while ((word = next_word(&rest)).n > 0) {
        if (!read_word(word, out))
            return false;
        any |= !slice_caseeqs(word, "and");
    }
    return any;
}
