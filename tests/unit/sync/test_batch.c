/*
 * Batches of records (fansync/batch.h) with an engine that only takes down what it is given, and lets
 * fail what the test says. A run of the engine is told as "MAILBOXES x y; MAILBOXES z | USER a".
 */
#include "../test.h"

#include "fake_list.h"
#include "fansync/batch.h"
#include "fansync/buf.h"

/* ---- the engine ---- */

struct outcome {
    const char *item;   /* as told */
    enum err_kind kind; /* how it fails */
    const char *failed; /* MAILBOXES: the name that does, NULL: all */
    bool absent;        /* it does not fail: the user is not here */
    bool made;          /* it makes an INBOX; whether it fails besides is another one's to say */
};

static struct engine {
    struct buf ran;
    struct buf kept; /* the users whose copies in the deleted tree an UNUSER is to leave alone */
    struct outcome outcome[8];
    size_t n;
    bool no_sieve_mailboxes;
    const char *ends_at; /* the item before which no further work is possible */
    struct arena arena;
    struct map deleted; /* what the last items were told of deletions */
} engine;

bool engine_takes_sieve_mailboxes(const struct engine *e)
{
    return !e->no_sieve_mailboxes;
}

static void tell(struct buf *b, const struct engine_item *item)
{
    static const char *const words[] = { "USER", "MAILBOXES", "META", "QUOTA", "ANNOTATIONS", "SEEN", "SUB", "UNUSER" };
    buf_adds(b, words[item->kind]);
    for (size_t i = 0; i < item->nnames; i++)
        buf_printf(b, " " SLICE_FMT, SLICE_ARG(item->names[i]));
    if (item->userid.n)
        buf_printf(b, " " SLICE_FMT, SLICE_ARG(item->userid));
    if (item->object.n)
        buf_printf(b, " " SLICE_FMT, SLICE_ARG(item->object));
}

static void keep_deleted(void *ctx, struct slice name, void *value)
{
    struct engine *e = ctx;
    struct slice *to = arena_alloc(&e->arena, sizeof *to);
    *to = arena_dup(&e->arena, *(const struct slice *)value);
    map_put(&e->deleted, arena_dup(&e->arena, name), to);
}

static struct err *outcome_of(struct engine *e, const struct engine_item *item, const char *told)
{
    for (size_t i = 0; i < e->n; i++) {
        const struct outcome *o = &e->outcome[i];
        if (strcmp(o->item, told) != 0)
            continue;
        if (o->made) {
            *item->made_inbox = true;
            continue;
        }
        if (o->absent) {
            *item->absent = true;
            return NULL;
        }
        for (size_t k = 0; k < item->nnames; k++)
            item->failed[k] = !o->failed || slice_eqs(item->names[k], o->failed);
        return err_new(o->kind, "%s failed", told);
    }
    return NULL;
}

struct err *engine_run(struct engine *e, const struct engine_item *items, size_t n, engine_done_fn done, void *ctx)
{
    if (buf_len(&e->ran))
        buf_adds(&e->ran, " | ");
    for (size_t i = 0; i < n; i++) {
        struct buf told = BUF_INIT;
        tell(&told, &items[i]);
        if (e->ends_at && strcmp(buf_cstr(&told), e->ends_at) == 0) {
            buf_free(&told);
            return err_new(ERR_CONNECT, "no session");
        }
        buf_printf(&e->ran, "%s%s", i ? "; " : "", buf_cstr(&told));
        map_each(items[i].deleted, keep_deleted, e);
        if (items[i].kind == ITEM_UNUSER && items[i].keep_copies)
            buf_add(&e->kept, items[i].userid.p, items[i].userid.n);
        struct err *err = outcome_of(e, &items[i], buf_cstr(&told));
        done(ctx, &items[i], err);
        err_free(err);
        buf_free(&told);
    }
    return NULL;
}

/* ---- the master's list, besides look-ups ---- */

static bool is_before_3_6;

struct err *store_has_sieve_mailboxes(struct store *s, bool *out)
{
    (void)s;
    *out = !is_before_3_6;
    return NULL;
}

/* By the tombstones of the name. */
struct err *store_present_names(struct store *s, struct arena *a, struct slice name, struct name_list *out)
{
    *out = (struct name_list){ NULL, 0, 0 };
    for (size_t i = 0; i < s->n; i++) {
        if (!slice_eq(s->e[i].name, name))
            continue;
        if (s->damaged && slice_eqs(name, s->damaged))
            return err_new(ERR_CORRUPT, "mailboxes.db: entry %s cannot be read", s->damaged);
        for (size_t k = 0; k < s->n; k++)
            if (slice_eq(s->e[k].uniqueid, s->e[i].uniqueid) && mbentry_is_live(&s->e[k])) {
                out->name = arena_grow(a, out->name, out->n, &out->cap, sizeof *out->name);
                out->name[out->n++] = s->e[k].name;
            }
    }
    return NULL;
}

/* ---- what a test says ---- */

static struct batch *batch;
static struct batch_entry record[16];
static size_t nrecords;

static int set_up(void **state)
{
    (void)state;
    list_clear();
    engine = (struct engine){ .n = 0 };
    is_before_3_6 = false;
    nrecords = 0;
    batch = batch_new(&engine, &list);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    batch_free(batch);
    buf_free(&engine.ran);
    buf_free(&engine.kept);
    map_free(&engine.deleted);
    arena_free(&engine.arena);
    return 0;
}

static struct batch_entry *say(enum action_kind kind, const char *a, const char *b)
{
    record[nrecords] = (struct batch_entry){ .action = { kind, slice_str(a), slice_str(b) } };
    return &record[nrecords++];
}

static void let_fail(const char *item, enum err_kind kind)
{
    engine.outcome[engine.n++] = (struct outcome){ .item = item, .kind = kind };
}

static void let_fail_in(const char *item, const char *name)
{
    engine.outcome[engine.n++] = (struct outcome){ .item = item, .kind = ERR_IO, .failed = name };
}

static void let_be_absent(const char *item)
{
    engine.outcome[engine.n++] = (struct outcome){ .item = item, .absent = true };
}

static void let_make_an_inbox(const char *item)
{
    engine.outcome[engine.n++] = (struct outcome){ .item = item, .made = true };
}

static void run_is(const char *want)
{
    assert_ok(batch_run(batch, record, nrecords));
    assert_string_equal(buf_cstr(&engine.ran), want);
}

/* A letter a record: done, failed, locked (later), or pending. */
static void results_are(const char *want)
{
    static const char letters[] = { [BATCH_PENDING] = 'p', [BATCH_DONE] = 'd', [BATCH_LOCKED] = 'l', [BATCH_FAILED] = 'f' };
    char got[sizeof record / sizeof *record + 1] = "";
    for (size_t i = 0; i < nrecords; i++)
        got[i] = letters[record[i].result];
    assert_string_equal(got, want);
}

static void deleted_is(const char *name, const char *to)
{
    const struct slice *told = map_get(&engine.deleted, slice_str(name));
    if (!to) {
        assert_null(told);
        return;
    }
    assert_non_null(told);
    assert_slice(*told, to);
}

/* ---- records to items ---- */

static void every_kind_of_record_has_its_item_in_cyruss_order(void **state)
{
    (void)state;
    list_add("user.f", "idf", 0);
    say(ACTION_UNUSER, "h", "");
    say(ACTION_USER, "f", "");
    say(ACTION_META, "e", "");
    say(ACTION_SUB, "d", "user.d.x");
    say(ACTION_SEEN, "c", "idc");
    say(ACTION_ANNOTATION, "", "");
    say(ACTION_QUOTA, "user.b", "");
    say(ACTION_MAILBOX, "user.a", "");
    say(ACTION_ANNOTATION, "user.a.x", "");
    run_is("MAILBOXES user.a user.a.x | QUOTA user.b | ANNOTATIONS | SEEN c idc | SUB d user.d.x | META e | USER f | UNUSER h");
    results_are("ddddddddd");
}

static void mailboxes_go_together_by_owner_and_shared_ones_alone(void **state)
{
    (void)state;
    say(ACTION_MAILBOX, "user.a", "user.a.x");
    say(ACTION_MAILBOX, "pub", "");
    say(ACTION_MAILBOX, "user.b", "");
    say(ACTION_UNMAILBOX, "user.a.y", "");
    say(ACTION_MAILBOX, "pub.x", "");
    say(ACTION_MAILBOX, "user.a.x", "");
    run_is("MAILBOXES user.a user.a.x user.a.y; MAILBOXES pub; MAILBOXES user.b; MAILBOXES pub.x");
}

static void what_is_said_twice_is_done_once_and_confirmed_twice(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        say(ACTION_QUOTA, "user.a", "");
        say(ACTION_SUB, "a", "user.a.x");
        say(ACTION_SUB, "a", "user.a.y");
    }
    run_is("QUOTA user.a | SUB a user.a.x; SUB a user.a.y");
    results_are("dddddd");
}

static void words_that_are_divided_otherwise_are_not_the_same(void **state)
{
    (void)state;
    say(ACTION_SEEN, "a", "bc");
    say(ACTION_SEEN, "ab", "c");
    run_is("SEEN a bc; SEEN ab c");
}

static void a_chain_of_renames_is_one_item_with_all_its_owners(void **state)
{
    (void)state;
    say(ACTION_MAILBOX, "user.c", "");
    say(ACTION_RENAME, "pub", "pub2");
    say(ACTION_RENAME, "user.a.x", "user.b.x");
    say(ACTION_RENAME, "pub2", "user.b.y");
    say(ACTION_MAILBOX, "user.a", "");
    run_is("MAILBOXES user.c; MAILBOXES pub pub2 user.a.x user.b.x user.b.y user.a | QUOTA pub; QUOTA user.a.x; QUOTA pub2");
}

static void a_batch_knows_nothing_of_the_one_before(void **state)
{
    (void)state;
    say(ACTION_RENAME, "user.a", "user.b");
    say(ACTION_UNMAILBOX, "user.c", "");
    say(ACTION_META, "a", "");
    assert_ok(batch_run(batch, record, nrecords));
    buf_clear(&engine.ran);
    map_free(&engine.deleted);
    nrecords = 0;
    say(ACTION_MAILBOX, "user.a", "");
    say(ACTION_MAILBOX, "user.b", "");
    run_is("MAILBOXES user.a; MAILBOXES user.b");
    deleted_is("user.c", NULL);
    results_are("dd");
}

static void scripts_are_their_owners_where_they_go_one_by_one(void **state)
{
    (void)state;
    say(ACTION_MAILBOX, "user.a.#sieve", "");
    run_is("MAILBOXES user.a.#sieve");
    engine.no_sieve_mailboxes = true;
    buf_clear(&engine.ran);
    list_add("user.b.old", "idb", 0)->kind = 'f';
    list_add("user.b.plain", "idp", 0);
    nrecords = 0;
    say(ACTION_MAILBOX, "user.a.#sieve", "");
    say(ACTION_UNMAILBOX, "user.c.#sieve", "");
    say(ACTION_MAILBOX, "user.b.old", "");
    say(ACTION_MAILBOX, "user.b.plain", "");
    say(ACTION_MAILBOX, "user.a.x.#sieve", "");
    say(ACTION_MAILBOX, "#sieve", "");
    say(ACTION_UNMAILBOX, "DELETED.user.a.#sieve.5F5E100A", "");
    run_is("MAILBOXES user.b.plain; MAILBOXES user.a.x.#sieve DELETED.user.a.#sieve.5F5E100A; MAILBOXES #sieve | META a; META c; META b");
}

/* ---- what records say of deletions ---- */

static void a_deletion_is_told_of_all_names_that_the_mailbox_had(void **state)
{
    (void)state;
    say(ACTION_RENAME, "user.a.x", "user.a.y");
    say(ACTION_RENAME, "user.a.y", "user.a.z");
    say(ACTION_UNMAILBOX, "user.a.z", "");
    say(ACTION_RENAME, "user.b.x", "user.b.y");
    say(ACTION_RENAME, "user.b.y", "DELETED.user.b.y.5F5E100A");
    say(ACTION_RENAME, "user.c.x", "user.c.y");
    say(ACTION_MAILBOX, "user.c.z", "");
    assert_ok(batch_run(batch, record, nrecords));
    deleted_is("user.a.x", "");
    deleted_is("user.a.y", "");
    deleted_is("user.a.z", "");
    deleted_is("user.b.x", "DELETED.user.b.y.5F5E100A");
    deleted_is("user.b.y", "DELETED.user.b.y.5F5E100A");
    deleted_is("user.c.x", NULL);
    deleted_is("user.c.y", NULL);
    deleted_is("user.c.z", NULL);
}

static void what_took_a_deleted_ones_name_later_is_another_mailbox(void **state)
{
    (void)state;
    say(ACTION_UNMAILBOX, "user.a.x", "");
    say(ACTION_RENAME, "user.a.y", "user.a.x");
    assert_ok(batch_run(batch, record, nrecords));
    deleted_is("user.a.x", "");
    deleted_is("user.a.y", NULL);
}

/* ---- what covers what ---- */

static void larger_items_cover_smaller_ones_of_the_user(void **state)
{
    (void)state;
    list_add("user.b", "idb", 0);
    say(ACTION_SEEN, "a", "id");
    say(ACTION_SUB, "a", "user.a");
    say(ACTION_META, "a", "");
    say(ACTION_SEEN, "b", "id");
    say(ACTION_SUB, "b", "user.b");
    say(ACTION_META, "b", "");
    say(ACTION_USER, "b", "");
    say(ACTION_SEEN, "c", "id");
    say(ACTION_SUB, "c", "user.c");
    say(ACTION_META, "c", "");
    say(ACTION_USER, "c", "");
    say(ACTION_UNUSER, "c", "");
    say(ACTION_SUB, "d", "user.d");
    run_is("SUB d user.d | META a | USER b | UNUSER c");
    results_are("ddddddddddddd");
}

static void what_is_covered_shares_the_fate_of_the_larger_one(void **state)
{
    (void)state;
    list_add("user.b", "idb", 0);
    say(ACTION_SUB, "b", "user.b");
    say(ACTION_USER, "b", "");
    let_fail("USER b", ERR_IO);
    run_is("USER b");
    results_are("ff");
    assert_string_equal(record[0].why, "USER b failed");
}

static void a_user_who_is_not_here_covers_nothing(void **state)
{
    (void)state;
    list_add("user.a", "ida", MB_DELETED);
    list_add("user.c", "idc", MB_INTERMEDIATE);
    say(ACTION_META, "a", "");
    say(ACTION_USER, "a", "");
    say(ACTION_META, "c", "");
    say(ACTION_USER, "c", "");
    run_is("META a; META c | USER a; USER c");
}

static void a_user_that_failed_before_is_not_covered_by_his_deletion(void **state)
{
    (void)state;
    say(ACTION_USER, "a", "")->retry = true;
    say(ACTION_UNUSER, "a", "");
    run_is("USER a | UNUSER a");
}

/* It would be held by a job that does not run, and be tried again at once, without end. */
static void nothing_is_promoted_into_a_job_that_a_deletion_covers(void **state)
{
    (void)state;
    say(ACTION_MAILBOX, "user.a.x", "");
    say(ACTION_USER, "a", "");
    say(ACTION_QUOTA, "user.a", "");
    say(ACTION_UNUSER, "a", "");
    let_fail("MAILBOXES user.a.x", ERR_IO);
    let_fail("QUOTA user.a", ERR_IO);
    run_is("MAILBOXES user.a.x | QUOTA user.a | UNUSER a");
    results_are("fdfd");
}

static void the_deletion_of_a_user_who_is_here_compares_him(void **state)
{
    (void)state;
    list_add("user.a", "ida", 0);
    say(ACTION_UNUSER, "a", "");
    run_is("USER a");
    list.damaged = "user.a"; /* a list that cannot be read says nothing: his own look-up tells */
    buf_clear(&engine.ran);
    run_is("UNUSER a");
}

/* ---- how items end ---- */

static void a_failure_is_promoted_to_the_next_larger_item(void **state)
{
    (void)state;
    say(ACTION_SUB, "a", "user.a.x");
    say(ACTION_SEEN, "b", "id");
    say(ACTION_QUOTA, "user.c.x", "");
    say(ACTION_META, "d", "");
    let_fail("SUB a user.a.x", ERR_IO);
    let_fail("SEEN b id", ERR_IO);
    let_fail("QUOTA user.c.x", ERR_IO);
    let_fail("META d", ERR_IO);
    let_fail("META b", ERR_IO);
    run_is("QUOTA user.c.x | SEEN b id | SUB a user.a.x | META d; META b; META a | USER c; USER d; USER b");
    results_are("dddd");
}

static void where_nothing_larger_helps_it_has_failed(void **state)
{
    (void)state;
    list_add("user.g", "idg", 0);
    say(ACTION_QUOTA, "pub", "");
    say(ACTION_ANNOTATION, "", "");
    say(ACTION_META, "c", "");
    say(ACTION_META, "d", "");
    say(ACTION_META, "e", "");
    say(ACTION_SUB, "f", "user.f");
    say(ACTION_USER, "g", "");
    say(ACTION_UNUSER, "h", "");
    let_fail("QUOTA pub", ERR_IO);
    let_fail("ANNOTATIONS", ERR_IO);
    let_fail("META c", ERR_BYE);
    let_fail("META d", ERR_CONFLICT);
    let_fail("META e", ERR_INVALID_USER);
    let_fail("SUB f user.f", ERR_INVALID_USER);
    let_fail("USER g", ERR_IO);
    let_fail("UNUSER h", ERR_IO);
    run_is("QUOTA pub | ANNOTATIONS | SUB f user.f | META c; META d; META e; META f | USER g | UNUSER h");
    results_are("fffffdff");
    assert_string_equal(record[2].why, "META c failed");
    assert_string_equal(record[6].why, "USER g failed");
}

static void what_is_locked_or_to_be_skipped_is_for_later(void **state)
{
    (void)state;
    say(ACTION_META, "a", "");
    say(ACTION_META, "b", "");
    say(ACTION_META, "c", "");
    say(ACTION_UNUSER, "d", "");
    let_fail("META a", ERR_LOCKED);
    let_fail("META b", ERR_SKIPPED);
    let_fail("META c", ERR_BUSY);
    let_fail("UNUSER d", ERR_BUSY);
    run_is("META a; META b; META c | USER c | UNUSER d");
    results_are("lldl");
    assert_string_equal(record[0].why, "META a failed");
}

static void mailboxes_that_are_up_to_date_have_no_part_in_a_failure(void **state)
{
    (void)state;
    say(ACTION_MAILBOX, "user.a", "");
    say(ACTION_MAILBOX, "user.a.x", "");
    say(ACTION_MAILBOX, "user.a.y", "user.a.x");
    let_fail_in("MAILBOXES user.a user.a.x user.a.y", "user.a.x");
    let_fail("USER a", ERR_IO);
    run_is("MAILBOXES user.a user.a.x user.a.y | USER a");
    results_are("dff");
    assert_string_equal(record[1].why, "USER a failed");
}

static void mailboxes_that_failed_are_done_when_their_user_is(void **state)
{
    (void)state;
    say(ACTION_MAILBOX, "user.a", "");
    say(ACTION_MAILBOX, "user.a.x", "");
    let_fail("MAILBOXES user.a user.a.x", ERR_IO);
    run_is("MAILBOXES user.a user.a.x | USER a");
    results_are("dd");
}

static void a_shared_mailbox_has_no_user_to_mend_it(void **state)
{
    (void)state;
    say(ACTION_MAILBOX, "pub", "");
    say(ACTION_MAILBOX, "user.b", "");
    say(ACTION_MAILBOX, "user.c", "");
    let_fail("MAILBOXES pub", ERR_IO);
    let_fail("MAILBOXES user.b", ERR_CONFLICT);
    let_fail("MAILBOXES user.c", ERR_BYE);
    run_is("MAILBOXES pub; MAILBOXES user.b; MAILBOXES user.c");
    results_are("fff");
    assert_string_equal(record[0].why, "MAILBOXES pub failed");
}

static void a_chain_shares_its_failure_and_no_more(void **state)
{
    (void)state;
    say(ACTION_RENAME, "user.a.x", "user.a.y");
    say(ACTION_RENAME, "user.a.y", "pub");
    say(ACTION_MAILBOX, "user.a.x", "");
    say(ACTION_MAILBOX, "user.a", "");
    say(ACTION_RENAME, "user.a.v", "user.a.w");
    let_fail_in("MAILBOXES user.a.x user.a.y pub user.a user.a.v user.a.w", "pub");
    run_is("MAILBOXES user.a.x user.a.y pub user.a user.a.v user.a.w | QUOTA user.a.x; QUOTA user.a.y; QUOTA user.a.v");
    results_are("fffdd");
}

static void a_move_between_owners_is_done_when_both_are(void **state)
{
    (void)state;
    say(ACTION_RENAME, "user.a.x", "user.b.x");
    let_fail("MAILBOXES user.a.x user.b.x", ERR_IO);
    let_fail("USER a", ERR_IO);
    run_is("MAILBOXES user.a.x user.b.x | QUOTA user.a.x | USER a; USER b");
    results_are("f");
    assert_string_equal(record[0].why, "USER a failed");
}

static void a_failure_outweighs_a_lock(void **state)
{
    (void)state;
    say(ACTION_RENAME, "user.a.x", "user.b.x");
    let_fail("MAILBOXES user.a.x user.b.x", ERR_IO);
    let_fail("USER a", ERR_LOCKED);
    let_fail("USER b", ERR_IO);
    run_is("MAILBOXES user.a.x user.b.x | QUOTA user.a.x | USER a; USER b");
    results_are("f");
    assert_string_equal(record[0].why, "USER b failed");
}

/* ---- confirmed means compared ---- */

static void a_user_who_is_absent_confirms_his_own_record_only(void **state)
{
    (void)state;
    say(ACTION_USER, "a", "");
    say(ACTION_MAILBOX, "user.a", "");
    say(ACTION_META, "a", "");
    let_fail("MAILBOXES user.a", ERR_IO);
    let_be_absent("META a");
    let_be_absent("USER a");
    run_is("MAILBOXES user.a | META a | USER a");
    results_are("dff");
    assert_string_equal(record[1].why, "MAILBOXES user.a failed");
    assert_string_equal(record[2].why, "the user has no INBOX here");
}

static void the_data_of_a_renamed_user_are_sent_again_after_the_deletion(void **state)
{
    (void)state;
    list_add("user.a", "ida", MB_DELETED);
    list_add("user.b", "ida", 0);
    say(ACTION_UNUSER, "a", "");
    say(ACTION_UNUSER, "x", ""); /* who has left no trace */
    let_fail("META b", ERR_LOCKED);
    run_is("UNUSER a; UNUSER x | META b");
    results_are("ld");
}

static void all_who_have_had_the_name_have_their_data_sent_again(void **state)
{
    (void)state;
    list_add("user.a", "ida", MB_DELETED);
    list_add("user.b", "ida", 0);
    list_add("user.a", "idc", MB_DELETED);
    list_add("user.c", "idc", 0);
    list_add("pub", "idc", 0); /* which is nobody's */
    say(ACTION_UNUSER, "a", "");
    let_fail("META b", ERR_LOCKED);
    run_is("UNUSER a | META b; META c");
    results_are("l");
}

/* ---- a master that logs no UNUSER of a user who was deleted ---- */

static void the_settings_of_a_user_whose_inbox_is_deleted_go(void **state)
{
    (void)state;
    is_before_3_6 = true;
    list_add("user.a", "ida", MB_DELETED);
    list_add("user.b", "idb", 0);
    say(ACTION_MAILBOX, "user.a", "");
    say(ACTION_MAILBOX, "DELETED.user.a.6B06AD59", "");
    say(ACTION_MAILBOX, "DELETED.user.b.6B06AD59", ""); /* made again */
    say(ACTION_UNMAILBOX, "user.c", "");
    say(ACTION_UNMAILBOX, "user.d.x", "");
    say(ACTION_MAILBOX, "DELETED.user.d.x.6B06AD59", "");
    let_fail("META b", ERR_LOCKED);
    let_fail("UNUSER c", ERR_LOCKED);
    run_is("MAILBOXES user.a DELETED.user.a.6B06AD59; MAILBOXES DELETED.user.b.6B06AD59; MAILBOXES user.c; "
           "MAILBOXES user.d.x DELETED.user.d.x.6B06AD59 | META b | UNUSER a; UNUSER c");
    results_are("ddlldd");
    assert_string_equal(buf_cstr(&engine.kept), "ac");
}

static void a_record_of_a_deleted_user_counts_for_more_than_what_follows_from_others(void **state)
{
    (void)state;
    is_before_3_6 = true;
    say(ACTION_MAILBOX, "DELETED.user.a.6B06AD59", "");
    say(ACTION_UNUSER, "a", "");
    say(ACTION_UNUSER, "b", "");
    say(ACTION_MAILBOX, "DELETED.user.b.6B06AD59", "");
    run_is("MAILBOXES DELETED.user.a.6B06AD59; MAILBOXES DELETED.user.b.6B06AD59 | UNUSER a; UNUSER b");
    results_are("dddd");
    assert_string_equal(buf_cstr(&engine.kept), "");
}

static void a_master_that_logs_unuser_is_taken_at_its_word(void **state)
{
    (void)state;
    say(ACTION_MAILBOX, "DELETED.user.a.6B06AD59", "");
    say(ACTION_UNMAILBOX, "user.c", "");
    run_is("MAILBOXES DELETED.user.a.6B06AD59; MAILBOXES user.c");
    results_are("dd");
}

static void a_user_who_was_only_deleted_has_no_data_to_send(void **state)
{
    (void)state;
    list_add("user.a", "ida", MB_DELETED);
    say(ACTION_UNUSER, "a", "");
    say(ACTION_UNUSER, "x", "");
    run_is("UNUSER a; UNUSER x");
    results_are("dd");
}

static void a_list_that_cannot_be_read_confirms_no_deletion(void **state)
{
    (void)state;
    list_add("user.a", "ida", MB_DELETED);
    list.damaged = "user.a";
    say(ACTION_UNUSER, "a", "");
    run_is("UNUSER a");
    results_are("f");
    assert_non_null(strstr(record[0].why, "user.a cannot be read"));
}

static void without_a_session_what_was_not_tried_stays_pending(void **state)
{
    (void)state;
    say(ACTION_MAILBOX, "user.a", "");
    say(ACTION_META, "a", "");
    say(ACTION_META, "b", "");
    say(ACTION_QUOTA, "user.a", "");
    engine.ends_at = "META b";
    assert_err(batch_run(batch, record, nrecords), ERR_CONNECT, "no session");
    results_are("ddpd");
}

/* ---- an INBOX that the replica did not have ---- */

static void a_new_inbox_has_the_settings_of_its_owner_compared(void **state)
{
    (void)state;
    list_add("user.a", "ida", 0);
    list_add("user.b", "idb", 0);
    say(ACTION_MAILBOX, "user.a", "");
    say(ACTION_MAILBOX, "user.a.x", "");
    say(ACTION_MAILBOX, "user.b", "");
    let_make_an_inbox("MAILBOXES user.a user.a.x");
    let_fail("META a", ERR_LOCKED);
    run_is("MAILBOXES user.a user.a.x; MAILBOXES user.b | META a");
    results_are("lld");
}

static void a_new_inbox_whose_item_failed_has_them_compared_too(void **state)
{
    (void)state;
    list_add("user.a", "ida", 0);
    say(ACTION_MAILBOX, "user.a", "");
    let_make_an_inbox("MAILBOXES user.a");
    let_fail("MAILBOXES user.a", ERR_IO);
    run_is("MAILBOXES user.a | META a | USER a");
    results_are("d");
}

static void the_settings_of_a_new_inbox_are_compared_once(void **state)
{
    (void)state;
    list_add("user.a", "ida", 0);
    list_add("user.b", "idb", 0);
    say(ACTION_MAILBOX, "user.a", "");
    say(ACTION_META, "a", "");
    say(ACTION_USER, "a", "");
    say(ACTION_MAILBOX, "user.b", "");
    say(ACTION_META, "b", "");
    let_make_an_inbox("MAILBOXES user.a");
    let_make_an_inbox("MAILBOXES user.b");
    run_is("MAILBOXES user.a; MAILBOXES user.b | META b | USER a");
    results_are("ddddd");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_kind_of_record_has_its_item_in_cyruss_order),
        TEST(mailboxes_go_together_by_owner_and_shared_ones_alone),
        TEST(what_is_said_twice_is_done_once_and_confirmed_twice),
        TEST(words_that_are_divided_otherwise_are_not_the_same),
        TEST(a_chain_of_renames_is_one_item_with_all_its_owners),
        TEST(a_batch_knows_nothing_of_the_one_before),
        TEST(scripts_are_their_owners_where_they_go_one_by_one),
        TEST(a_deletion_is_told_of_all_names_that_the_mailbox_had),
        TEST(what_took_a_deleted_ones_name_later_is_another_mailbox),
        TEST(larger_items_cover_smaller_ones_of_the_user),
        TEST(what_is_covered_shares_the_fate_of_the_larger_one),
        TEST(a_user_who_is_not_here_covers_nothing),
        TEST(a_user_that_failed_before_is_not_covered_by_his_deletion),
        TEST(nothing_is_promoted_into_a_job_that_a_deletion_covers),
        TEST(the_deletion_of_a_user_who_is_here_compares_him),
        TEST(a_failure_is_promoted_to_the_next_larger_item),
        TEST(where_nothing_larger_helps_it_has_failed),
        TEST(what_is_locked_or_to_be_skipped_is_for_later),
        TEST(mailboxes_that_are_up_to_date_have_no_part_in_a_failure),
        TEST(mailboxes_that_failed_are_done_when_their_user_is),
        TEST(a_shared_mailbox_has_no_user_to_mend_it),
        TEST(a_chain_shares_its_failure_and_no_more),
        TEST(a_move_between_owners_is_done_when_both_are),
        TEST(a_failure_outweighs_a_lock),
        TEST(a_user_who_is_absent_confirms_his_own_record_only),
        TEST(the_data_of_a_renamed_user_are_sent_again_after_the_deletion),
        TEST(all_who_have_had_the_name_have_their_data_sent_again),
        TEST(the_settings_of_a_user_whose_inbox_is_deleted_go),
        TEST(a_record_of_a_deleted_user_counts_for_more_than_what_follows_from_others),
        TEST(a_master_that_logs_unuser_is_taken_at_its_word),
        TEST(a_user_who_was_only_deleted_has_no_data_to_send),
        TEST(a_list_that_cannot_be_read_confirms_no_deletion),
        TEST(a_new_inbox_has_the_settings_of_its_owner_compared),
        TEST(a_new_inbox_whose_item_failed_has_them_compared_too),
        TEST(the_settings_of_a_new_inbox_are_compared_once),
        TEST(without_a_session_what_was_not_tried_stays_pending),
    };
    return cmocka_run_group_tests_name("sync: batch", tests, NULL, NULL);
}
