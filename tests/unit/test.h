/* What every unit test includes: cmocka and the few headers that it wants before it. */
#ifndef FANSYNC_TEST_H
#define FANSYNC_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "fansync/err.h"

/* Fails with the error's own words. */
#define assert_ok(expr)                                  \
    do {                                                 \
        struct err *assert_ok_e_ = (expr);               \
        if (assert_ok_e_)                                \
            fail_msg("%s: %s", #expr, assert_ok_e_->msg); \
    } while (0)

/* The error must be of that kind and mention the text. */
#define assert_err(expr, k, text)                                                          \
    do {                                                                                   \
        struct err *assert_err_e_ = (expr);                                                \
        if (!assert_err_e_)                                                                \
            fail_msg("%s: succeeded", #expr);                                              \
        if (assert_err_e_->kind != (k) || !strstr(assert_err_e_->msg, text))               \
            fail_msg("%s: %s: %s", #expr, err_kind_name(assert_err_e_->kind), assert_err_e_->msg); \
        err_free(assert_err_e_);                                                           \
    } while (0)

#define assert_slice(s, text)                                                       \
    do {                                                                            \
        struct slice assert_slice_s_ = (s);                                         \
        if (!slice_eqs(assert_slice_s_, text))                                      \
            fail_msg("got \"" SLICE_FMT "\", want \"%s\"", SLICE_ARG(assert_slice_s_), text); \
    } while (0)

#endif
