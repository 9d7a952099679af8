/* What brings a replica's sieve scripts into step: diff_sieve (fansync/diff.h). */
#include "../test.h"

#include "fansync/buf.h"
#include "fansync/diff.h"

#define EMPTY "da39a3ee5e6b4b0d3255bfef95601890afd80709"
#define NONE "0000000000000000000000000000000000000000"
#define G1 "1111111111111111111111111111111111111111"
#define G2 "2222222222222222222222222222222222222222"

static struct guid guid(const char *hex)
{
    struct guid g;
    assert_true(guid_parse(slice_str(hex), &g));
    return g;
}

static struct sieve_script script(const char *name, const char *g, int64_t time)
{
    return (struct sieve_script){ slice_str(name), slice_str("keep;"), guid(g), time, 0 };
}

static struct replica_script file(const char *name, const char *g, bool active)
{
    return (struct replica_script){ slice_str(name), guid(g), 100, active };
}

/* The plan as text, in the order in which it is sent. */
static void assert_plan(const struct sieve_script *here, size_t n, const char *active, const struct replica_script *there,
                        size_t m, const char *want)
{
    struct arena a = ARENA_INIT;
    struct buf b = BUF_INIT;
    const struct sieve_list h = { (struct sieve_script *)here, n, n, slice_str(active), true };
    const struct replica_script_list t = { (struct replica_script *)there, m, m };
    struct sieve_plan p = diff_sieve(&a, &h, &t);
    buf_adds(&b, p.deactivate ? "off;" : "");
    for (size_t i = 0; i < p.nput; i++)
        buf_printf(&b, "%sput " SLICE_FMT ";", p.put[i].remove_first ? "renew," : "", SLICE_ARG(p.put[i].s->name));
    if (p.activate.n)
        buf_printf(&b, "on " SLICE_FMT ";", SLICE_ARG(p.activate));
    for (size_t i = 0; i < p.nremove; i++)
        buf_printf(&b, "remove " SLICE_FMT ";", SLICE_ARG(p.remove[i]));
    assert_string_equal(buf_cstr(&b), want);
    buf_free(&b);
    arena_free(&a);
}

#define N(x) (sizeof(x) / sizeof *(x))

static void what_is_equal_needs_nothing(void **state)
{
    (void)state;
    const struct sieve_script here[] = { script("a", G1, 1), script("b", G2, 1) };
    const struct replica_script newer[] = { file("a.script", G1, false), file("b.script", G2, false),
                                            file("b.bc", NONE, true) };
    const struct replica_script older[] = { file("b.bc", G1, true), file("b.script", G2, false),
                                            file("a.script", G1, false), file("a.bc", G1, false) };
    assert_plan(here, N(here), "b", newer, N(newer), "");
    assert_plan(here, N(here), "b", older, N(older), "");
    assert_plan(NULL, 0, "", NULL, 0, "");
}

static void a_script_is_put_when_it_is_missing_or_differs(void **state)
{
    (void)state;
    const struct sieve_script here[] = { script("a", G1, 1), script("b", G2, 1) };
    const struct replica_script there[] = { file("b.script", G1, false) };
    assert_plan(here, N(here), "", there, N(there), "put a;put b;");
    assert_plan(here, N(here), "a", NULL, 0, "put a;put b;on a;");
}

/* The replica keeps the time that it was told with a script; which is the later one does not matter. */
static void without_a_guid_the_time_that_was_told_decides(void **state)
{
    (void)state;
    const struct sieve_script here[] = { script("a", G1, 100), script("b", G2, 101), script("c", G2, 99) };
    const struct replica_script there[] = { file("a.script", NONE, false), file("b.script", NONE, false),
                                            file("c.script", NONE, false) };
    assert_plan(here, N(here), "", there, N(there), "put b;put c;");
}

static void another_script_is_activated_before_the_old_one_goes(void **state)
{
    (void)state;
    const struct sieve_script here[] = { script("b", G2, 1) };
    const struct replica_script there[] = { file("a.script", G1, false), file("a.bc", NONE, true) };
    assert_plan(here, N(here), "b", there, N(there), "put b;on b;remove a.script;");
}

static void the_last_active_one_is_deactivated_first(void **state)
{
    (void)state;
    const struct sieve_script here[] = { script("b", G2, 1) };
    const struct replica_script newer[] = { file("a.script", G1, false), file("a.bc", NONE, true),
                                            file("b.script", G2, false) };
    const struct replica_script older[] = { file("a.bc", G1, true), file("a.script", G1, false) };
    assert_plan(here, N(here), "", newer, N(newer), "off;remove a.script;");
    assert_plan(NULL, 0, "", older, N(older), "off;remove a.bc;remove a.script;");
}

static void a_script_that_was_emptied_is_made_anew(void **state)
{
    (void)state;
    const struct sieve_script here[] = { script("a", G1, 1) };
    const struct replica_script there[] = { file("a.script", EMPTY, false), file("a.bc", NONE, true) };
    assert_plan(here, N(here), "a", there, N(there), "renew,put a;on a;");
    struct sieve_script empty = { slice_str("a"), slice_of("", 0), guid(EMPTY), 1, 0 };
    assert_plan(&empty, 1, "a", there, N(there), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_equal_needs_nothing),
        cmocka_unit_test(a_script_is_put_when_it_is_missing_or_differs),
        cmocka_unit_test(without_a_guid_the_time_that_was_told_decides),
        cmocka_unit_test(another_script_is_activated_before_the_old_one_goes),
        cmocka_unit_test(the_last_active_one_is_deactivated_first),
        cmocka_unit_test(a_script_that_was_emptied_is_made_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
