#include "format/id.h"

#include <string.h>

#include "base/invariant.h"
#include "base/text.h"
#include "format/le.h"

static bool is_node(uint8_t kind)
{
    return kind > KIND_NODE && kind <= KIND_NODE + NODE_LEVEL_MAX;
}

bool kind_known(uint8_t kind)
{
    return (kind >= KIND_BLOCK && kind <= KIND_FILE_ROOT) || is_node(kind);
}

static const char *kind_name(uint8_t kind)
{
    switch (kind) {
    case KIND_BLOCK:
        return "block";
    case KIND_DISK_ROOT:
        return "disk root";
    case KIND_ENVELOPE:
        return "envelope";
    case KIND_BODY:
        return "body";
    case KIND_PACK_INDEX:
        return "pack index";
    case KIND_FILE_ROOT:
        return "file root";
    default:
        return NULL;
    }
}

void kind_text(uint8_t kind, char text[KIND_TEXT_SIZE])
{
    const char *name = kind_name(kind);
    bool fits = true;

    if (name != NULL)
        fits = text_format(text, KIND_TEXT_SIZE, "%s", name);
    else if (is_node(kind))
        fits = text_format(text, KIND_TEXT_SIZE, "node of level %d", kind - KIND_NODE);
    else
        fits = text_format(text, KIND_TEXT_SIZE, "unknown kind %u", (unsigned)kind);
    INVARIANT(fits);
}

enum status id_of(const struct hash_key *id_key, uint8_t kind, struct slice plain,
                  struct id *ret_id, struct error *err)
{
    uint8_t before[1 + 8] = {kind};

    le_put_u64(before + 1, plain.size);

    const struct slice parts[] = {slice_of(before, sizeof(before)), plain};
    struct hash_digest digest;
    enum status st = hash_hmac(id_key, parts, sizeof(parts) / sizeof(parts[0]), &digest, err);

    if (st != STATUS_OK)
        return error_wrap(err, "id of %zu bytes", plain.size);
    memcpy(ret_id->bytes, digest.bytes, ID_SIZE);
    return STATUS_OK;
}

bool id_is_hole(const struct id *id)
{
    return slice_is_zero(slice_of(id->bytes, ID_SIZE));
}

bool id_equal(const struct id *a, const struct id *b)
{
    return memcmp(a->bytes, b->bytes, ID_SIZE) == 0;
}

int id_compare(const struct id *a, const struct id *b)
{
    return memcmp(a->bytes, b->bytes, ID_SIZE);
}

void id_text(const struct id *id, char text[ID_TEXT_SIZE])
{
    text_hex(slice_of(id->bytes, ID_SIZE), text);
}

bool random_id_equal(const struct random_id *a, const struct random_id *b)
{
    return memcmp(a->bytes, b->bytes, RANDOM_ID_SIZE) == 0;
}

void random_id_text(const struct random_id *id, char text[RANDOM_ID_TEXT_SIZE])
{
    text_hex(slice_of(id->bytes, RANDOM_ID_SIZE), text);
}

uint64_t number_of(uint32_t space, uint64_t sequence)
{
    INVARIANT(space <= NUMBER_SPACE_MAX && sequence <= NUMBER_SEQUENCE_MAX);
    return (uint64_t)space << NUMBER_SEQUENCE_BITS | sequence;
}

uint32_t number_space(uint64_t number)
{
    return (uint32_t)(number >> NUMBER_SEQUENCE_BITS);
}

uint64_t number_sequence(uint64_t number)
{
    return number & NUMBER_SEQUENCE_MAX;
}
