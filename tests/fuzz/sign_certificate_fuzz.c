/* tests/fuzz/sign_certificate_fuzz.c: sign_certificate_check() and sign_certificate_der() of format/sign.h. The input is
 * taken as a certificate's DER and as PEM text. The CA is of the corpus's certificates: the first of them is believed,
 * and what is believed bears a printable name. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/invariant.h"
#include "base/memory.h"
#include "format/sign.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static const char ca_pem[] = "-----BEGIN CERTIFICATE-----\n"
                             "MIIBejCCASGgAwIBAgIUTkBJHLx4EP7Jyt5BNnyMttdr8r0wCgYIKoZIzj0EAwIw\n"
                             "EjEQMA4GA1UEAwwHRnV6eiBDQTAgFw0yNjExMjMxODIzMjRaGA8yMTI2MTAzMDE4\n"
                             "MjMyNFowEjEQMA4GA1UEAwwHRnV6eiBDQTBZMBMGByqGSM49AgEGCCqGSM49AwEH\n"
                             "A0IABKtGDXG3gAC4kVDx3WfzUOnHQP5L2DJpHbFioXD32avCPfcrbzKkmWNgrIC0\n"
                             "FcJ3p0kEuT/WpL3iWB4LqX3PNVqjUzBRMB0GA1UdDgQWBBRRzd2xtd+vxU+R1V5v\n"
                             "9OOg681jeTAfBgNVHSMEGDAWgBRRzd2xtd+vxU+R1V5v9OOg681jeTAPBgNVHRMB\n"
                             "Af8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQCIBKReftLiQ7tbX1kxvmtmhiEk4ts\n"
                             "hC7IJIBsF6hJVxLUAiAfz9pD9DR9l79bjZsUcgSbIQL/ZZknhCGGiodgr/l43w==\n"
                             "-----END CERTIFICATE-----\n";

enum { PEM_MAX = 64 * 1024 };

static void try_der(struct slice der)
{
    char name[SIGN_NAME_SIZE] = "";
    struct sign_public *public = NULL;
    struct error err = {0};
    int64_t within = INT64_C(1800000000) * 1000000; /* the corpus's certificates' time */
    enum status st = sign_certificate_check(der, ca_pem, within, name, &public, &err);

    INVARIANT(st == STATUS_OK || st == STATUS_DENIED || st == STATUS_INVALID);
    INVARIANT((st == STATUS_OK) == (public != NULL));
    if (st == STATUS_OK) {
        INVARIANT(name[0] != '\0');
        for (size_t i = 0; name[i] != '\0'; i++)
            INVARIANT(name[i] >= ' ' && name[i] <= '~');
    }
    sign_public_free(public);
}

static void try_pem(const uint8_t *input, size_t size)
{
    char *pem = memory_new(size + 1, 1);
    struct buffer der;
    struct error err = {0};

    INVARIANT(pem != NULL);
    if (size > 0)
        memcpy(pem, input, size);
    buffer_init(&der, SIGN_CERTIFICATE_MAX);
    if (sign_certificate_der(pem, &der, &err) == STATUS_OK)
        try_der(buffer_slice(&der));
    else
        INVARIANT(der.size == 0);
    buffer_deinit(&der);
    memory_free(pem);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    try_der(slice_of(input, size));
    if (size <= PEM_MAX)
        try_pem(input, size);
    return 0;
}
