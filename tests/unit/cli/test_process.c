/* Parts of the process's set-up that need no process (cli/process.h). */
#include "../test.h"

#include <syslog.h>

#include "cli/process.h"

static void facilities_are_known_by_name(void **state)
{
    (void)state;
    assert_int_equal(process_facility("MAIL"), LOG_MAIL);
    assert_int_equal(process_facility("local6"), LOG_LOCAL6);
    assert_int_equal(process_facility("mai"), -1);
    assert_int_equal(process_facility(""), -1);
}

static void an_umask_is_an_octal_number(void **state)
{
    (void)state;
    mode_t mask;
    assert_ok(process_parse_umask("077", &mask));
    assert_int_equal(mask, 077);
    assert_ok(process_parse_umask("27", &mask));
    assert_int_equal(mask, 027);
    assert_err(process_parse_umask("9", &mask), ERR_CONFIG, "umask: '9'");
    assert_err(process_parse_umask("0x10", &mask), ERR_CONFIG, "umask: '0x10'");
    assert_err(process_parse_umask("7777", &mask), ERR_CONFIG, "umask: '7777'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facilities_are_known_by_name),
        cmocka_unit_test(an_umask_is_an_octal_number),
    };
    return cmocka_run_group_tests_name("cli: process", tests, NULL, NULL);
}
