#include "coordinator/store/proved.h"

#include <inttypes.h>
#include <string.h>

#include "base/cursor.h"
#include "base/hash.h"
#include "base/invariant.h"
#include "base/memory.h"

enum {
    VERSION = 0,
    HEADER_SIZE = 32,
    ENTRY_SIZE = 32,
    CRC_SIZE = 4,
    PAD_SIZE = 7,
    ROOM_FIRST = 64,
    FILE_SIZE_MAX = HEADER_SIZE + PROVED_PACKS_MAX * ENTRY_SIZE + CRC_SIZE,
};

static const char magic[8] = {'T', 'M', 'p', 'r', 'o', 'v', 'd', '\0'};

void proved_deinit(struct proved *proved)
{
    memory_free(proved->packs);
    *proved = (struct proved){0};
}

static int compare(const struct random_id *a, const struct random_id *b)
{
    return memcmp(a->bytes, b->bytes, RANDOM_ID_SIZE);
}

/* The first pack that does not come before NAME. */
static size_t position(const struct proved *proved, const struct random_id *name)
{
    size_t low = 0;
    size_t high = proved->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare(&proved->packs[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct proved_pack *proved_find(const struct proved *proved, const struct random_id *name)
{
    size_t at = position(proved, name);

    if (at == proved->count || !random_id_equal(&proved->packs[at].name, name))
        return NULL;
    return &proved->packs[at];
}

static enum status make_room(struct proved *proved, struct error *err)
{
    size_t room = proved->room == 0 ? ROOM_FIRST : 2 * proved->room;
    struct proved_pack *packs = NULL;

    if (proved->packs != NULL && proved->count < proved->room)
        return STATUS_OK;
    if (proved->count == PROVED_PACKS_MAX)
        return error_set(err, STATUS_EXHAUSTED, "more than %d packs that were proved",
                         PROVED_PACKS_MAX);
    packs = memory_resize(proved->packs, room, sizeof(*packs));
    if (packs == NULL)
        return error_set_no_memory(err, room * sizeof(*packs), "the packs that were proved");
    proved->packs = packs;
    proved->room = room;
    return STATUS_OK;
}

enum status proved_note(struct proved *proved, const struct proved_pack *pack, struct error *err)
{
    size_t at = position(proved, &pack->name);

    if (proved->packs == NULL || at == proved->count ||
        !random_id_equal(&proved->packs[at].name, &pack->name)) {
        enum status st = make_room(proved, err);

        if (st != STATUS_OK)
            return st;
        INVARIANT(proved->packs != NULL);
        for (size_t i = proved->count; i > at; i--)
            proved->packs[i] = proved->packs[i - 1];
        proved->count++;
    }
    proved->packs[at] = *pack;
    return STATUS_OK;
}

void proved_keep(struct proved *proved, bool (*is_there)(void *arg, const struct random_id *name),
                 void *arg)
{
    size_t kept = 0;

    for (size_t i = 0; i < proved->count; i++)
        if (is_there(arg, &proved->packs[i].name))
            proved->packs[kept++] = proved->packs[i];
    proved->count = kept;
}

/* ---- The file -------------------------------------------------------------------------------- */

void proved_encode(const struct proved *proved, const struct random_id *repository,
                   struct buffer *target)
{
    static const uint8_t pad[PAD_SIZE];
    size_t start = target->size;

    buffer_put(target, slice_of(magic, sizeof(magic)));
    buffer_put_u32le(target, VERSION);
    buffer_put_u32le(target, (uint32_t)proved->count); /* PROVED_PACKS_MAX */
    buffer_put(target, slice_of(repository->bytes, RANDOM_ID_SIZE));
    for (size_t i = 0; i < proved->count; i++) {
        const struct proved_pack *pack = &proved->packs[i];

        buffer_put(target, slice_of(pack->name.bytes, RANDOM_ID_SIZE));
        buffer_put_u64le(target, (uint64_t)pack->time_us);
        buffer_put_u8(target, pack->damaged);
        buffer_put(target, slice_of(pad, sizeof(pad)));
    }
    if (target->status == STATUS_OK)
        buffer_put_u32le(target,
                         hash_crc32c(0, slice_of(target->data + start, target->size - start)));
}

static enum status check_frame(struct slice bytes, struct error *err)
{
    if (bytes.size < (size_t)HEADER_SIZE + CRC_SIZE ||
        memcmp(bytes.data, magic, sizeof(magic)) != 0)
        return error_set(err, STATUS_CORRUPT, "not a list of proved packs");

    struct cursor crc = cursor_of(slice_of(bytes.data + bytes.size - CRC_SIZE, CRC_SIZE));

    if (cursor_u32le(&crc) != hash_crc32c(0, slice_of(bytes.data, bytes.size - CRC_SIZE)))
        return error_set(err, STATUS_CORRUPT, "the list of proved packs is damaged");
    return STATUS_OK;
}

static enum status take_pack(struct cursor *cursor, struct proved *proved, struct error *err)
{
    struct proved_pack pack = {.damaged = false};

    cursor_copy(cursor, pack.name.bytes, RANDOM_ID_SIZE);
    pack.time_us = (int64_t)cursor_u64le(cursor);

    uint8_t flags = cursor_u8(cursor);
    struct slice pad = cursor_take(cursor, PAD_SIZE);

    pack.damaged = flags == 1;
    if (!cursor_ok(cursor) || flags > 1 || !slice_is_zero(pad) ||
        (proved->count > 0 && compare(&proved->packs[proved->count - 1].name, &pack.name) >= 0))
        return error_set(err, STATUS_CORRUPT,
                         "the list of proved packs has an entry that cannot be");
    return proved_note(proved, &pack, err);
}

enum status proved_decode(struct slice bytes, const struct random_id *repository,
                          struct proved *ret_proved, struct error *err)
{
    struct proved proved = {0};
    struct random_id whose;
    enum status st = check_frame(bytes, err);

    if (st != STATUS_OK)
        return st;

    struct cursor cursor = cursor_of(slice_of(bytes.data, bytes.size - CRC_SIZE));

    cursor_take(&cursor, sizeof(magic));

    uint32_t version = cursor_u32le(&cursor);
    uint32_t count = cursor_u32le(&cursor);

    cursor_copy(&cursor, whose.bytes, RANDOM_ID_SIZE);
    if (version != VERSION)
        return error_set(err, STATUS_UNSUPPORTED, "the list of proved packs has version %" PRIu32,
                         version);
    if (!random_id_equal(&whose, repository))
        return error_set(err, STATUS_CORRUPT, "the list of proved packs is another repository's");
    if (count > PROVED_PACKS_MAX || cursor_left(&cursor) != (size_t)count * ENTRY_SIZE)
        return error_set(err, STATUS_CORRUPT, "the list of proved packs has another length");
    for (uint32_t i = 0; st == STATUS_OK && i < count; i++)
        st = take_pack(&cursor, &proved, err);
    if (st == STATUS_OK) {
        *ret_proved = proved;
        proved = (struct proved){0};
    }
    proved_deinit(&proved);
    return st;
}

static enum status read_file(struct fs *fs, struct buffer *bytes, struct error *err)
{
    struct fs_file *file = NULL;
    uint64_t size = 0;
    enum status st = fs_open(fs, PROVED_FILE, FS_READ, &file, err);

    if (st == STATUS_OK)
        st = fs_size(file, &size, err);
    if (st == STATUS_OK && (size == 0 || size > FILE_SIZE_MAX))
        st = error_set(err, STATUS_CORRUPT, "%s has %" PRIu64 " bytes", PROVED_FILE, size);
    if (st == STATUS_OK) {
        uint8_t *target = buffer_extend(bytes, (size_t)size);

        st = buffer_check(bytes, "the packs that were proved", err);
        if (st == STATUS_OK)
            st = fs_read_exactly_at(file, 0, target, (size_t)size, err);
    }
    fs_close(file);
    return st;
}

enum status proved_read(struct fs *fs, const struct random_id *repository,
                        struct proved *ret_proved, struct error *err)
{
    struct proved proved = {0};
    struct error damage = {0};
    struct buffer bytes;

    buffer_init(&bytes, FILE_SIZE_MAX);

    enum status st = read_file(fs, &bytes, &damage);

    if (st == STATUS_OK)
        st = proved_decode(buffer_slice(&bytes), repository, &proved, &damage);
    buffer_deinit(&bytes);
    if (st == STATUS_EXHAUSTED) {
        *err = damage;
        return st;
    }
    *ret_proved = proved; /* nothing, where it was missing, damaged or not to be read: a cache */
    return STATUS_OK;
}

enum status proved_write(struct fs *fs, const struct random_id *repository,
                         const struct proved *proved, struct error *err)
{
    struct buffer bytes;

    buffer_init(&bytes, FILE_SIZE_MAX);
    proved_encode(proved, repository, &bytes);

    enum status st = buffer_check(&bytes, "the packs that were proved", err);

    if (st == STATUS_OK)
        st = fs_replace(fs, PROVED_FILE, buffer_slice(&bytes), err);
    buffer_deinit(&bytes);
    return st;
}
