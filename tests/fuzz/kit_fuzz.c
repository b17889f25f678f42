/* tests/fuzz/kit_fuzz.c: format/kit.h. What is accepted is encoded, with our own words for people, and decoded to the same values.
 * The input is tried as it is, with a right line of its sum behind it, and as the PEM for a kit. */
#include "format/kit.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/hash.h"
#include "base/invariant.h"
#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum { SUMMED_MAX = 2 * KIT_FILE_MAX };

static void assert_same(const struct kit *kit)
{
    struct kit read;
    struct buffer first;
    struct buffer second;
    struct error err = {0};

    buffer_init(&first, SUMMED_MAX);
    buffer_init(&second, SUMMED_MAX);
    kit_encode(kit, &first);
    if (first.size <= KIT_FILE_MAX) { /* our words may be more than the input's */
        INVARIANT(kit_decode(buffer_slice(&first), &read, &err) == STATUS_OK);
        kit_encode(&read, &second);
        INVARIANT(slice_equal(buffer_slice(&first), buffer_slice(&second)));
        INVARIANT(strcmp(read.made, kit->made) == 0 && read.key.wrapped == kit->key.wrapped);
    }
    buffer_deinit(&second);
    buffer_deinit(&first);
}

static void try_text(struct slice text)
{
    struct kit kit;
    struct error err = {0};
    enum status st = kit_decode(text, &kit, &err);

    if (st == STATUS_OK)
        assert_same(&kit);
    else
        INVARIANT(st == STATUS_CORRUPT || st == STATUS_UNSUPPORTED);
}

static void try_pem(struct slice text)
{
    struct kit kit = {.made = "2026-11-23"};
    struct buffer taken;
    struct error err = {0};

    buffer_init(&taken, KIT_CA_MAX);

    enum status st = kit_agents_ca(text, &taken, &err);

    kit.agents_ca = buffer_slice(&taken);
    if (st == STATUS_OK)
        assert_same(&kit);
    else
        INVARIANT(st == STATUS_INVALID);
    buffer_deinit(&taken);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct buffer summed;
    char line[32];

    try_text(slice_of(input, size));
    try_pem(slice_of(input, size));
    buffer_init(&summed, SUMMED_MAX);
    buffer_put(&summed, slice_of(input, size));
    if (text_format(line, sizeof(line), "crc %08x\n", hash_crc32c(0, slice_of(input, size))))
        buffer_put(&summed, slice_of_text(line));
    try_text(buffer_slice(&summed));
    buffer_deinit(&summed);
    return 0;
}
