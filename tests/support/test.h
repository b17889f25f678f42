/* tests/support/test.h: what every test program includes: cmocka behind the headers that it needs, and
 * assertions in the terms of base/error.h. */
#ifndef TESTS_SUPPORT_TEST_H
#define TESTS_SUPPORT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/error.h"

/* Evaluates CALL, which fills ERR; prints the sentence if the status is another one. */
#define ASSERT_STATUS(EXPECTED, CALL, ERR)                                        \
    do {                                                                          \
        enum status assert_status_got = (CALL);                                   \
        if (assert_status_got != (EXPECTED))                                      \
            fail_msg("%s: %s, not %s: %s", #CALL, status_name(assert_status_got), \
                     status_name(EXPECTED), (ERR)->text);                         \
    } while (0)

#define ASSERT_OK(CALL, ERR) ASSERT_STATUS(STATUS_OK, CALL, ERR)

#endif
