/* tests/libraries_test.c: the libraries that the rooms to come are built on are there, link, and are at
 * least the versions that were measured (Debian 12's). */
#include <stdio.h>

#include <grpc/grpc.h>
#include <openssl/crypto.h>
#include <protobuf-c/protobuf-c.h>
#include <uv.h>
#include <zstd.h>

#include "tests/support/test.h"

static void grpc_core_is_of_version_1_51(void **state)
{
    (void)state;
    grpc_init();
    /* grpc_version_string() is the core's: 29 is what release 1.51 calls itself. */
    assert_memory_equal(grpc_version_string(), "29.", 3);
    grpc_shutdown();
}

static void the_others_are_at_least_as_new_as_what_was_measured(void **state)
{
    (void)state;
    assert_true(protobuf_c_version_number() >= 1004001);
    assert_true(ZSTD_versionNumber() >= 10504);
    assert_true(uv_version() >= (1U << 16 | 44U << 8));
    assert_int_equal(OPENSSL_version_major(), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grpc_core_is_of_version_1_51),
        cmocka_unit_test(the_others_are_at_least_as_new_as_what_was_measured),
    };

    return cmocka_run_group_tests_name("libraries", tests, NULL, NULL);
}
