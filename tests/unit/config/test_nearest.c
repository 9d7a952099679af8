/* What somebody may have meant (config/nearest.h). */
#include "../test.h"

#include "config/nearest.h"

static const char *meant(const char *word)
{
    static const char *const words[] = { "sync_fanout", "sync_host", "sync_port", "on" };
    return nearest_word(word, words, sizeof words / sizeof *words);
}

static void letters_put_in_left_out_changed_or_exchanged_are_seen_through(void **state)
{
    (void)state;
    assert_string_equal(meant("sync_fanuot"), "sync_fanout");
    assert_string_equal(meant("sync_fanot"), "sync_fanout");
    assert_string_equal(meant("sync_hosst"), "sync_host");
    assert_string_equal(meant("sync_hast"), "sync_host");
    assert_string_equal(meant("sync_host"), "sync_host");
}

static void what_is_like_nothing_is_not_guessed(void **state)
{
    char longer[200];
    (void)state;
    assert_null(meant("sync_colour"));
    assert_null(meant("of")); /* a third of two letters is none */
    assert_null(meant(""));
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    assert_null(meant(longer));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_put_in_left_out_changed_or_exchanged_are_seen_through),
        cmocka_unit_test(what_is_like_nothing_is_not_guessed),
    };
    return cmocka_run_group_tests_name("config: nearest", tests, NULL, NULL);
}
