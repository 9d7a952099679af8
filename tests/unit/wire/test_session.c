/* Tests of the pipelined session (fansync/session.h) against a scripted replica. */
#include "fake_replica.h"

static const char greeting[] = "* OK fake Cyrus sync server\r\n";

/* Says what ctx holds in answer to the first command, then closes its direction. */
static void say_and_close(struct fake *f)
{
    fake_say(f, greeting);
    fake_hear(f);
    struct slice *text = f->ctx;
    fwrite(text->p, 1, text->n, f->out);
    fflush(f->out);
    shutdown(f->fd, SHUT_WR);
    fake_until_end(f);
}

/* Three commands to a replica that says `text` and closes. Returns what was seen. */
static struct seen three_commands(struct slice text, struct err **drained)
{
    struct fake f;
    struct seen seen = { .text = BUF_INIT };
    fake_start(&f, true, say_and_close, &text);
    struct session *s = fake_session(&f);
    command(s, "GET USER", "a", &seen);
    command(s, "APPLY MAILBOX", "%(A 1)", &seen);
    command(s, "GET META", "c", &seen);
    *drained = session_drain(s);
    assert_true(!*drained == !session_dead(s));
    assert_int_equal(session_outstanding(s), 0);
    if (*drained) {
        struct err *again = session_drain(s);
        assert_non_null(again);
        assert_int_equal(again->kind, (*drained)->kind);
        err_free(again);
        session_begin(s, "NOOP", NULL, NULL, see_answer, &seen);
        again = session_end(s);
        assert_non_null(again);
        err_free(again);
    }
    session_close(s);
    fake_stop(&f);
    return seen;
}

static void assert_ends(struct slice text, const char *seen_text, enum err_kind kind, const char *message,
                        const char *log)
{
    struct err *e;
    struct seen seen = three_commands(text, &e);
    assert_string_equal(buf_cstr(&seen.text), seen_text);
    assert_fails(e, kind, message);
    if (!strcmp(log, ""))
        assert_int_equal(buf_len(&logged), 0);
    else if (!was_logged(log))
        fail_msg("logged: %s", buf_cstr(&logged));
    buf_free(&seen.text);
}

/* ---- pipelining ---- */

static void answer_each_get(struct fake *f)
{
    fake_say(f, greeting);
    for (const char *line; *(line = fake_hear(f)) && strcmp(line, "EXIT");) {
        fprintf(f->out, "* MAILBOX %%(MBOXNAME %s)\r\nOK success\r\n", line + 9);
        fflush(f->out);
    }
    fake_say(f, "OK Finished\r\n");
}

struct numbered {
    int n;
    int expected;
};

static void check_number(void *ctx, const struct answer *a)
{
    struct numbered *numbers = ctx;
    char want[32];
    struct slice name;
    snprintf(want, sizeof want, "user.%d", numbers->expected++);
    assert_null(a->err);
    assert_int_equal(a->nlines, 1);
    assert_true(dlist_str(a->lines[0], "MBOXNAME", &name) && slice_eqs(name, want));
    numbers->n++;
}

static void five_hundred_gets_are_answered_in_order_with_one_round_trip(void **state)
{
    (void)state;
    struct fake f;
    struct numbered numbers = { 0, 0 };
    fake_start(&f, true, answer_each_get, NULL);
    struct session *s = fake_session(&f);
    for (int i = 0; i < 500; i++) {
        struct buf *b = session_begin(s, "GET USER", NULL, NULL, check_number, &numbers);
        buf_printf(b, "user.%d", i);
        assert_ok(session_end(s));
    }
    assert_int_equal(session_outstanding(s), 500 - (size_t)numbers.n);
    assert_ok(session_drain(s));
    assert_int_equal(numbers.n, 500);
    assert_int_equal(session_counters(s)->commands, 500);
    assert_int_equal(session_counters(s)->round_trips, 1);
    assert_false(session_dead(s));
    session_close(s);
    fake_stop(&f);
}

enum { STUBBORN_LINES = 100000, STUBBORN_COMMANDS = 20000 };

/* Reads one command, then nothing more until a large answer has been taken. */
static void write_before_reading(struct fake *f)
{
    int small = 8192;
    setsockopt(f->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    if (f->is_path) /* over TCP so small a window would only be slow */
        setsockopt(f->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    fake_say(f, greeting);
    fake_hear(f);
    for (int i = 0; i < STUBBORN_LINES; i++)
        fputs("* MAILBOX %(MBOXNAME user.somebody.with.a.long.name.or.so UNIQUEID 0123456789abcdef)\r\n", f->out);
    fake_say(f, "OK success\r\n");
    for (int i = 1; i < STUBBORN_COMMANDS; i++)
        if (*fake_hear(f))
            fputs("OK success\r\n", f->out);
    fflush(f->out);
    fake_until_end(f);
}

static void two_full_socket_buffers_do_not_deadlock(void **state)
{
    (void)state;
    for (int path = 0; path < 2; path++) {
        struct fake f;
        struct seen seen = { .text = BUF_INIT };
        fake_start(&f, path, write_before_reading, NULL);
        struct session *s = fake_session(&f);
        for (int i = 0; i < STUBBORN_COMMANDS; i++) {
            struct buf *b = session_begin(s, "GET MAILBOXES", NULL, NULL, see_answer, &seen);
            buf_adds(b, "(");
            for (int j = 0; j < 10; j++)
                dlist_item_str(b, LIT("user.somebody.with.a.long.name.or.so"));
            buf_adds(b, ")");
            assert_true(buf_len(b) < 512 * 1024);
            assert_ok(session_end(s));
        }
        assert_ok(session_drain(s));
        assert_int_equal(seen.ok, STUBBORN_COMMANDS);
        session_close(s);
        fake_stop(&f);
        buf_free(&seen.text);
    }
}

static void errors_in_the_middle_stop_nothing_that_follows(void **state)
{
    (void)state;
    struct err *e;
    struct seen seen = three_commands(LIT("OK success\r\n* MAILBOX %(A 1)\r\nNO IMAP_SYNC_CHECKSUM Checksum Failure\r\n"
                                          "* LSUB (a b)\r\n* LSUB ()\r\nok yes\n"), &e);
    assert_ok(e);
    assert_string_equal(buf_cstr(&seen.text), "ok\nchecksum MAILBOX\nok LSUB LSUB\n");
    assert_true(was_logged("3:APPLY MAILBOX received NO response: IMAP_SYNC_CHECKSUM Checksum Failure\n"));
    buf_free(&seen.text);
}

static void the_token_of_a_no_is_compared_as_a_whole_word(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum err_kind kind;
    } table[] = {
        { "IMAP_INVALID_USER No Such User", ERR_INVALID_USER },
        { "IMAP_MAILBOX_NONEXISTENT No Such Mailbox", ERR_NONEXISTENT },
        { "IMAP_MAILBOX_LOCKED Mailbox locked", ERR_LOCKED },
        { "IMAP_MAILBOX_MOVED x", ERR_MOVED },
        { "IMAP_MAILBOX_NOTSUPPORTED x", ERR_NOTSUPPORTED },
        { "IMAP_SYNC_CHECKSUM Checksum Failure", ERR_CHECKSUM },
        { "IMAP_SYNC_CHANGED Changed since last sync", ERR_CHANGED },
        { "IMAP_SYNC_BADSIEVE x", ERR_BADSIEVE },
        { "IMAP_PROTOCOL_ERROR Protocol error", ERR_PROTOCOL },
        { "IMAP_PROTOCOL_BAD_PARAMETERS", ERR_BAD_PARAMETERS },
        { "IMAP_PROTOCOL_BAD_PARAMETERS x", ERR_BAD_PARAMETERS },
        { "IMAP_PERMISSION_DENIED x", ERR_DENIED },
        { "IMAP_MAILBOX_LOCKEDX", ERR_DENIED },
        { "Unknown error", ERR_DENIED },
        { "", ERR_DENIED },
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct buf text = BUF_INIT;
        struct err *e;
        buf_printf(&text, "OK 1\r\nNO %s\r\nOK 3\r\n", table[i].text);
        struct seen seen = three_commands(buf_slice(&text), &e);
        assert_ok(e);
        assert_int_equal(seen.ok, 2);
        assert_int_equal(seen.unknown, 0);
        assert_int_equal(seen.last, table[i].kind);
        buf_free(&seen.text);
        buf_free(&text);
    }
}

/* ---- pieces ---- */

/* The answer in two parts, split at *ctx. */
static const char split_text[] = "* LSUB (user.fred {5}\r\na\"\r\nb {3+}\r\n))) \"q\\\"q\")\r\nOK success\r\n"
                                 "NO IMAP_MAILBOX_LOCKED Mailbox locked\r\n";

static void say_split(struct fake *f)
{
    size_t at = *(size_t *)f->ctx;
    int on = 1;
    setsockopt(f->fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof on);
    fake_say(f, greeting);
    fake_hear(f);
    fwrite(split_text, 1, at, f->out);
    fflush(f->out);
    usleep(500);
    fake_say(f, split_text + at);
    fake_until_end(f);
}

static void check_split(void *ctx, const struct answer *a)
{
    int *n = ctx;
    const struct dlist *d = a->nlines ? a->lines[0]->first : NULL;
    assert_int_equal(a->nlines, 1);
    assert_int_equal(dlist_count(a->lines[0]), 4);
    assert_true(slice_eqs(d->next->str, "a\"\r\nb"));
    assert_true(slice_eqs(d->next->next->str, ")))"));
    assert_true(slice_eqs(d->next->next->next->str, "q\"q"));
    (*n)++;
}

static void an_answer_may_be_split_at_every_byte(void **state)
{
    (void)state;
    for (size_t at = 0; at < sizeof split_text; at++) {
        struct fake f;
        struct seen seen = { .text = BUF_INIT };
        int n = 0;
        fake_start(&f, true, say_split, &at);
        struct session *s = fake_session(&f);
        buf_adds(session_begin(s, "GET META", NULL, NULL, check_split, &n), "fred");
        assert_ok(session_end(s));
        command(s, "APPLY SUB", "%(A b)", &seen);
        assert_ok(session_drain(s));
        assert_int_equal(n, 1);
        assert_string_equal(buf_cstr(&seen.text), "locked\n");
        session_close(s);
        fake_stop(&f);
        buf_free(&seen.text);
    }
}

/* ---- ends ---- */

static void end_of_file_leaves_all_that_follows_unknown(void **state)
{
    (void)state;
    assert_ends(LIT("OK success\r\n"), "ok\nprotocol?\nprotocol?\n", ERR_PROTOCOL, "no response to APPLY MAILBOX",
                "3:IOERROR: zero length response: command=<APPLY MAILBOX> prot_error=<end of file reached>\n");
}

static void end_of_file_in_mid_answer_is_a_bad_response(void **state)
{
    (void)state;
    static const char *const texts[] = { "* MAILBOX %(A 1", "* MAILBOX %(A 1)\r\n", "OK succ", "* MAILBOX %(A {100}\r\nx", "*" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_ends(slice_str(texts[i]), "protocol?\nprotocol?\nprotocol?\n", ERR_PROTOCOL, "end of file reached",
                    "3:IOERROR: received bad response: command=<GET USER> response=<*> errmsg=<end of file reached>\n");
}

static void rubbish_ends_the_session(void **state)
{
    (void)state;
    static const char *const texts[] = { "220 smtp ready\r\n", "\r\n", "OK\r\n", "* \r\n", "* A\r\n", "* A (b\r\n", "* A b c\r\n",
                                         "* A %x\r\n", "+ go ahead\r\n", "** OK\r\n", "OKAY yes\r\n" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_ends(slice_str(texts[i]), "protocol?\nprotocol?\nprotocol?\n", ERR_PROTOCOL, "bad response to GET USER",
                    "3:IOERROR: received bad response: command=<GET USER> response=<");
    assert_ends(LIT("\0\0\0\n"), "protocol?\nprotocol?\nprotocol?\n", ERR_PROTOCOL, "bad response to GET USER",
                "3:IOERROR: received bad response: ");
}

static void a_bad_is_an_answer_to_its_own_command_only(void **state)
{
    (void)state;
    assert_ends(LIT("OK success\r\nBAD IMAP_PROTOCOL_ERROR Failed to parse APPLY line\r\nOK success\r\n"),
                "ok\nprotocol\nprotocol?\n", ERR_PROTOCOL, "APPLY MAILBOX received BAD",
                "3:IOERROR: received bad response: command=<APPLY MAILBOX> response=<BAD> "
                "errmsg=<IMAP_PROTOCOL_ERROR Failed to parse APPLY line>\n");
}

static void a_clean_bye_is_not_an_io_error(void **state)
{
    (void)state;
    assert_ends(LIT("OK success\r\nBYE shutting down\r\n"), "ok\nbye?\nbye?\n", ERR_BYE, "BYE shutting down", "");
}

static void a_fatal_error_is_told_and_ends_the_session(void **state)
{
    (void)state;
    assert_ends(LIT("OK success\r\n* Fatal error: [TOOBIG] Literal size exceeds fixed limit\r\n"),
                "ok\nprotocol?\nprotocol?\n", ERR_PROTOCOL,
                "in answer to APPLY MAILBOX: Fatal error: [TOOBIG] Literal size",
                "errmsg=<Fatal error: [TOOBIG] Literal size exceeds fixed limit>\n");
}

static void an_untagged_line_nobody_asked_for_ends_the_session(void **state)
{
    (void)state;
    struct fake f;
    struct seen seen = { .text = BUF_INIT };
    struct slice text = LIT("OK 1\r\n* MAILBOX %(A 1)\r\n");
    fake_start(&f, true, say_and_close, &text);
    struct session *s = fake_session(&f);
    command(s, "GET USER", "a", &seen);
    err_free(session_drain(s));
    assert_true(session_dead(s));
    assert_string_equal(buf_cstr(&seen.text), "ok\n");
    session_close(s);
    fake_stop(&f);
    buf_free(&seen.text);
}

static void refuse_capabilities(struct fake *f)
{
    fake_say(f, greeting);
    fake_hear(f);
    fake_say(f, "BAD IMAP_PROTOCOL_ERROR Unrecognized command\r\nOK Noop completed\r\n");
    fake_hear(f);
    assert_string_equal(fake_hear(f), "EXIT");
}

static void a_bad_to_the_capability_probe_is_survived(void **state)
{
    (void)state;
    struct fake f;
    struct seen seen = { .text = BUF_INIT };
    fake_start(&f, true, refuse_capabilities, NULL);
    struct session *s = fake_session(&f);
    command(s, "APPLY CAPABILITIES", "(SIEVE-MAILBOX)", &seen);
    command(s, "NOOP", "", &seen);
    assert_ok(session_drain(s));
    assert_string_equal(buf_cstr(&seen.text), "protocol\nok\n");
    assert_int_equal(buf_len(&logged), 0);
    session_close(s);
    fake_stop(&f);
    buf_free(&seen.text);
}

static void close_after_noop(struct fake *f)
{
    fake_say(f, greeting);
    assert_string_equal(fake_hear(f), "NOOP"); /* and no blank behind it */
}

static void a_noop_to_a_replica_that_went_away_fails_without_a_log_line(void **state)
{
    (void)state;
    struct fake f;
    struct seen seen = { .text = BUF_INIT };
    fake_start(&f, true, close_after_noop, NULL);
    struct session *s = fake_session(&f);
    command(s, "NOOP", "", &seen);
    struct err *e = session_drain(s);
    assert_fails(e, ERR_PROTOCOL, "no response to NOOP");
    assert_string_equal(buf_cstr(&seen.text), "protocol?\n");
    assert_int_equal(buf_len(&logged), 0);
    session_close(s);
    fake_stop(&f);
    buf_free(&seen.text);
}

static void say_bye_and_reset(struct fake *f)
{
    fake_say(f, greeting);
    fake_hear(f);
    fake_say(f, "BYE shutting down\r\n");
}

static void a_bye_is_read_though_writing_fails(void **state)
{
    (void)state;
    struct fake f;
    struct seen seen = { .text = BUF_INIT };
    fake_start(&f, true, say_bye_and_reset, NULL);
    struct session *s = fake_session(&f);
    command(s, "GET USER", "a", &seen);
    struct err *e = NULL;
    for (int i = 0; i < 100000 && !e; i++) {
        buf_adds(session_begin(s, "GET USER", NULL, NULL, NULL, NULL), "somebody.with.a.long.name.to.fill.the.buffers");
        e = session_end(s);
    }
    assert_fails(e ? e : session_drain(s), ERR_BYE, "BYE shutting down");
    session_close(s);
    fake_stop(&f);
    buf_free(&seen.text);
}

/* ---- waiting ---- */

static void say_nothing(struct fake *f)
{
    fake_say(f, greeting);
    fake_until_end(f);
}

static void silence_is_a_lost_connection(void **state)
{
    (void)state;
    struct fake f;
    struct seen seen = { .text = BUF_INIT };
    struct session *s;
    fake_start(&f, true, say_nothing, NULL);
    struct session_options o = fake_options(&f);
    o.timeout = 1;
    assert_ok(session_open(&o, &s));
    command(s, "GET USER", "a", &seen);
    assert_fails(session_drain(s), ERR_PROTOCOL, "idle for too long");
    assert_string_equal(buf_cstr(&seen.text), "protocol?\n");
    assert_true(was_logged("prot_error=<idle for too long>"));
    session_close(s);
    fake_stop(&f);
    buf_free(&seen.text);
}

static atomic_int stop_now;

static void stop_soon(struct fake *f)
{
    fake_say(f, greeting);
    fake_hear(f);
    usleep(50000);
    stop_now = 1;
    assert_string_equal(fake_hear(f), "EXIT");
}

/* Never a pause, until the client goes away. */
static void flood(struct fake *f)
{
    fake_say(f, greeting);
    fake_hear(f);
    fputs("* MAILBOX %(RECORD (", f->out);
    for (size_t i = 0; fputs("%(UID 1) ", f->out) >= 0; i++)
        if (i == 100000)
            stop_now = 1;
}

static struct err *ignore_item(void *ctx, const struct dlist *item)
{
    (void)ctx;
    (void)item;
    return NULL;
}

static void a_signal_is_heard_while_bytes_flow(void **state)
{
    (void)state;
    struct fake f;
    struct session *s;
    const struct dlist_hooks hooks = { .watch_key = "RECORD", .item = ignore_item };
    stop_now = 0;
    fake_start(&f, true, flood, NULL);
    struct session_options o = fake_options(&f);
    o.stop = &stop_now;
    assert_ok(session_open(&o, &s));
    buf_adds(session_begin(s, "GET FULLMAILBOX", NULL, &hooks, NULL, NULL), "a");
    assert_ok(session_end(s));
    assert_fails(session_drain(s), ERR_INTERRUPTED, "interrupted by a signal");
    session_close(s);
    fake_stop(&f);
}

/* One answer of so many items of eight bytes. */
static void say_items(struct fake *f)
{
    fake_say(f, greeting);
    fake_hear(f);
    fputs("* LSUB (", f->out);
    for (size_t i = 0; i < *(size_t *)f->ctx; i++)
        fputs("abcdefg ", f->out);
    fake_say(f, "a)\r\nOK success\r\n");
    fake_until_end(f);
}

static struct err *answer_of_items(const char *verb, size_t n, uint64_t allowed)
{
    struct fake f;
    fake_start(&f, true, say_items, &n);
    struct session *s = fake_session(&f);
    buf_adds(session_begin(s, verb, NULL, NULL, NULL, NULL), "a");
    session_allow(s, allowed);
    struct err *e = session_end(s);
    if (!e)
        e = session_drain(s);
    session_close(s);
    fake_stop(&f);
    return e;
}

static void an_answer_is_as_long_as_what_was_asked_for(void **state)
{
    (void)state;
    assert_ok(answer_of_items("APPLY SUB", 10000, 0)); /* well below: what an answer takes depends on how its bytes arrive */
    assert_fails(answer_of_items("APPLY SUB", 40000, 0), ERR_PROTOCOL, "the answer");
    assert_ok(answer_of_items("APPLY SUB", 40000, 1 << 20));
    assert_ok(answer_of_items("GET META", 40000, 0));
    assert_fails(answer_of_items("GET META", 3000000, 0), ERR_PROTOCOL, "the answer");
}

static void a_file_that_nobody_asked_for_ends_the_session(void **state)
{
    (void)state;
    struct err *e;
    struct seen seen = three_commands(
        LIT("* X %{default 0000000000000000000000000000000000000001 3}\r\nabc\r\nOK\r\n"), &e);
    assert_fails(e, ERR_PROTOCOL, "a file that was not asked for");
    buf_free(&seen.text);
}

static void a_signal_ends_the_wait_and_says_exit(void **state)
{
    (void)state;
    struct fake f;
    struct seen seen = { .text = BUF_INIT };
    struct session *s;
    stop_now = 0;
    fake_start(&f, true, stop_soon, NULL);
    struct session_options o = fake_options(&f);
    o.stop = &stop_now;
    assert_ok(session_open(&o, &s));
    command(s, "GET USER", "a", &seen);
    assert_fails(session_drain(s), ERR_INTERRUPTED, "interrupted");
    assert_string_equal(buf_cstr(&seen.text), "interrupted?\n");
    assert_int_equal(buf_len(&logged), 0);
    session_close(s);
    fake_stop(&f);
    buf_free(&seen.text);
}

/* ---- long commands ---- */

enum { LONG_ITEMS = 200000 };

/* Checks that the one command is a list of lists with the numbers in order, single blanks
 * between and none inside the brackets. */
static void read_long_command(struct fake *f)
{
    bool *good = f->ctx;
    char word[64];
    fake_say(f, greeting);
    *good = fscanf(f->in, "%63[^(](", word) == 1 && !strcmp(word, "GET MAILBOXES ");
    for (int i = 0; i < LONG_ITEMS && *good; i++) {
        char want[64];
        snprintf(want, sizeof want, "(user.%d", i);
        *good = (i == 0 || getc(f->in) == ' ') && fscanf(f->in, "%63[^)]", word) == 1 &&
                !strcmp(word, want) && getc(f->in) == ')';
    }
    *good = *good && !strcmp(fake_hear(f), ")");
    fake_say(f, "OK success\r\n");
    fake_until_end(f);
}

static void a_command_of_any_length_needs_bounded_memory(void **state)
{
    (void)state;
    struct fake f;
    bool good = false;
    struct seen seen = { .text = BUF_INIT };
    fake_start(&f, true, read_long_command, &good);
    struct session *s = fake_session(&f);
    struct buf *b = session_begin(s, "GET MAILBOXES", NULL, NULL, see_answer, &seen);
    assert_ok(session_flow(s));
    buf_adds(b, "(");
    for (int i = 0; i < LONG_ITEMS; i++) {
        char name[32];
        snprintf(name, sizeof name, "user.%d", i);
        buf_adds(b, i > 0 ? " (" : "(");
        assert_ok(session_flow(s));
        dlist_item_str(b, slice_str(name));
        buf_adds(b, ")");
        assert_true(buf_len(b) <= 512 * 1024);
    }
    buf_adds(b, ")");
    assert_ok(session_end(s));
    assert_ok(session_drain(s));
    assert_int_equal(seen.ok, 1);
    session_close(s);
    fake_stop(&f);
    assert_true(good);
    buf_free(&seen.text);
}

/* ---- hooks and arenas ---- */

enum { RECORDS = 100000 };

static void say_many_records(struct fake *f)
{
    fake_say(f, greeting);
    fake_hear(f);
    fputs("* MAILBOX %(MBOXNAME user.fred RECORD (", f->out);
    for (int i = 1; i <= RECORDS; i++)
        fprintf(f->out, "%s%%(UID %d MODSEQ 2 FLAGS (\\Seen \\Answered) GUID 920485a080442915b3167dd8c26396828a76a011)",
                i > 1 ? " " : "", i);
    fake_say(f, "))\r\nOK success\r\n");
    fake_until_end(f);
}

static struct err *count_record(void *ctx, const struct dlist *item)
{
    uint32_t *last = ctx, uid = 0;
    assert_true(dlist_u32(item, "UID", &uid));
    assert_int_equal(uid, *last + 1);
    *last = uid;
    return NULL;
}

static void a_hundred_thousand_records_pass_in_bounded_memory(void **state)
{
    (void)state;
    struct fake f;
    struct seen seen = { .text = BUF_INIT };
    struct arena arena = ARENA_INIT;
    uint32_t last = 0;
    struct dlist_hooks hooks = { &last, "RECORD", count_record, NULL };
    fake_start(&f, true, say_many_records, NULL);
    struct session *s = fake_session(&f);
    struct buf *b = session_begin(s, "GET FULLMAILBOX", &arena, &hooks, see_answer, &seen);
    buf_adds(b, "user.fred");
    assert_ok(session_end(s));
    assert_ok(session_drain(s));
    assert_int_equal(last, RECORDS);
    assert_string_equal(buf_cstr(&seen.text), "ok MAILBOX\n");
    assert_true(arena_used(&arena) < 4096);
    session_close(s);
    fake_stop(&f);
    arena_free(&arena);
    buf_free(&seen.text);
}

static struct err *refuse_record(void *ctx, const struct dlist *item)
{
    (void)ctx;
    (void)item;
    return err_new(ERR_CONFLICT, "a record that cannot be");
}

static void the_error_of_a_hook_ends_the_session_with_it(void **state)
{
    (void)state;
    struct fake f;
    struct seen seen = { .text = BUF_INIT };
    struct dlist_hooks hooks = { NULL, "RECORD", refuse_record, NULL };
    fake_start(&f, true, say_many_records, NULL);
    struct session *s = fake_session(&f);
    buf_adds(session_begin(s, "GET FULLMAILBOX", NULL, &hooks, see_answer, &seen), "user.fred");
    assert_ok(session_end(s));
    assert_fails(session_drain(s), ERR_CONFLICT, "answer to GET FULLMAILBOX: a record that cannot be");
    assert_string_equal(buf_cstr(&seen.text), "conflict?\n");
    session_close(s);
    fake_stop(&f);
    buf_free(&seen.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_hundred_gets_are_answered_in_order_with_one_round_trip),
        cmocka_unit_test(two_full_socket_buffers_do_not_deadlock),
        cmocka_unit_test(errors_in_the_middle_stop_nothing_that_follows),
        cmocka_unit_test(the_token_of_a_no_is_compared_as_a_whole_word),
        cmocka_unit_test(an_answer_may_be_split_at_every_byte),
        cmocka_unit_test(end_of_file_leaves_all_that_follows_unknown),
        cmocka_unit_test(end_of_file_in_mid_answer_is_a_bad_response),
        cmocka_unit_test(rubbish_ends_the_session),
        cmocka_unit_test(a_bad_is_an_answer_to_its_own_command_only),
        cmocka_unit_test(a_clean_bye_is_not_an_io_error),
        cmocka_unit_test(a_fatal_error_is_told_and_ends_the_session),
        cmocka_unit_test(an_untagged_line_nobody_asked_for_ends_the_session),
        cmocka_unit_test(a_bad_to_the_capability_probe_is_survived),
        cmocka_unit_test(a_noop_to_a_replica_that_went_away_fails_without_a_log_line),
        cmocka_unit_test(a_bye_is_read_though_writing_fails),
        cmocka_unit_test(silence_is_a_lost_connection),
        cmocka_unit_test(a_signal_ends_the_wait_and_says_exit),
        cmocka_unit_test(a_signal_is_heard_while_bytes_flow),
        cmocka_unit_test(an_answer_is_as_long_as_what_was_asked_for),
        cmocka_unit_test(a_file_that_nobody_asked_for_ends_the_session),
        cmocka_unit_test(a_command_of_any_length_needs_bounded_memory),
        cmocka_unit_test(a_hundred_thousand_records_pass_in_bounded_memory),
        cmocka_unit_test(the_error_of_a_hook_ends_the_session_with_it),
    };
    alarm(120); /* a deadlock is a failure */
    assert_ok(session_library_init());
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_free(&logged);
    return failed;
}
