#include "coordinator/store/check_chunk.h"

#include "base/memory.h"
#include "coordinator/store/block_reader.h"
#include "coordinator/store/thing.h"

bool check_is_damage(enum status st)
{
    return block_is_damage(st) && st != STATUS_UNAVAILABLE; /* that is the whole store */
}

enum status check_chunk_new(struct check_chunk **ret_chunk, struct error *err)
{
    struct check_chunk *chunk = memory_new(1, sizeof(*chunk));

    if (chunk == NULL)
        return error_set_no_memory(err, sizeof(*chunk), "a part of a pack to check");
    buffer_init(&chunk->bytes, RECORD_SIZE_MAX);
    buffer_init(&chunk->stored, RECORD_PLAIN_MAX);

    enum status st = codec_context_new(&chunk->codec, err);

    if (st != STATUS_OK) {
        check_chunk_free(chunk);
        return st;
    }
    *ret_chunk = chunk;
    return STATUS_OK;
}

void check_chunk_free(struct check_chunk *chunk)
{
    if (chunk == NULL)
        return;
    codec_context_free(chunk->codec);
    buffer_deinit(&chunk->bytes);
    buffer_deinit(&chunk->stored);
    memory_free(chunk);
}

uint64_t check_chunk_end(const struct check_chunk *chunk)
{
    const struct check_piece *last = &chunk->pieces[chunk->count - 1];

    return last->offset + last->length;
}

/* ---- Reading: on the store's thread ---------------------------------------------------------- */

struct reading {
    struct check_chunk *chunk;
    struct store *store;
    const struct random_id *pack;
    uint64_t end;
};

static enum status read_bytes(const struct reading *reading, uint64_t offset, size_t size,
                              struct error *err)
{
    struct buffer *bytes = &reading->chunk->bytes;

    buffer_clear(bytes);

    uint8_t *target = buffer_extend(bytes, size);
    enum status st = buffer_check(bytes, "a part of a pack", err);

    if (st == STATUS_OK)
        st = store_read_pack(reading->store, reading->pack, offset, target, size, err);
    return st;
}

/* As much as can be read at OFFSET, up to CHECK_READ_SIZE; *ret_size 0: not even CHECK_READ_LEAST. */
static enum status read_some(const struct reading *reading, uint64_t offset, size_t *ret_size,
                             struct error *err)
{
    uint64_t left = reading->end - offset;
    size_t size = left < CHECK_READ_SIZE ? (size_t)left : CHECK_READ_SIZE;

    for (;;) {
        struct error damage = {0};
        enum status st = read_bytes(reading, offset, size, &damage);

        if (st == STATUS_OK || (check_is_damage(st) && size <= CHECK_READ_LEAST)) {
            *ret_size = st == STATUS_OK ? size : 0;
            return STATUS_OK;
        }
        if (!check_is_damage(st)) {
            *err = damage;
            return st;
        }
        size = size / 2 > CHECK_READ_LEAST ? size / 2 : CHECK_READ_LEAST;
    }
}

static struct check_piece *add_piece(struct check_chunk *chunk, uint64_t offset, uint64_t length)
{
    struct check_piece *piece = &chunk->pieces[chunk->count++];

    *piece = (struct check_piece){.offset = offset, .length = length};
    return piece;
}

static const struct store_domain *domain_of(const struct reading *reading,
                                            const struct record_header *header)
{
    const struct check_chunk *chunk = reading->chunk;
    const struct check_piece *before = chunk->count > 0 ? &chunk->pieces[chunk->count - 1] : NULL;

    if (before != NULL && before->domain != NULL &&
        random_id_equal(&before->domain->id, &header->domain))
        return before->domain;
    return store_find_domain(reading->store, &header->domain);
}

/* The record of HEADER begins at OFFSET, where the chunk has SIZE bytes. False: it is for the next chunk. */
static enum status add_record(const struct reading *reading, uint64_t offset, size_t size,
                              const struct record_header *header, bool *ret_taken,
                              struct error *err)
{
    struct check_chunk *chunk = reading->chunk;
    size_t length = record_size(header);
    enum check_wrong wrong = CHECK_RIGHT;

    *ret_taken = true;
    if (length > reading->end - offset) {
        length = (size_t)(reading->end - offset);
        wrong = CHECK_CUT_OFF;
    } else if (length > size) {
        struct error damage = {0};

        *ret_taken = chunk->count == 0;
        if (chunk->count > 0)
            return STATUS_OK;

        enum status st = read_bytes(reading, offset, length, &damage);

        if (check_is_damage(st)) {
            wrong = CHECK_UNREADABLE;
        } else if (st != STATUS_OK) {
            *err = damage;
            return st;
        }
    }

    const struct store_domain *domain = domain_of(reading, header);
    struct check_piece *piece = add_piece(chunk, offset, length);

    piece->header = *header;
    piece->domain = domain;
    piece->wrong = wrong;
    return STATUS_OK;
}

/* There is no record at AT of the chunk's SIZE bytes: up to where one may begin. */
static void add_gap(const struct reading *reading, size_t at, size_t size)
{
    struct check_chunk *chunk = reading->chunk;
    struct slice bytes = buffer_slice(&chunk->bytes);
    struct error none = {0};
    size_t found = 0;
    bool at_end = chunk->offset + size == reading->end;

    if (record_find(bytes, at + 1, &found, &none) != STATUS_OK) {
        found = size;
        if (!at_end && size - at >= RECORD_HEADER_SIZE)
            found = size - (RECORD_HEADER_SIZE - 1); /* one may lie across */
    }
    add_piece(chunk, chunk->offset + at, found - at)->wrong = CHECK_HEADER;
}

static enum status find_pieces(const struct reading *reading, size_t size, struct error *err)
{
    struct check_chunk *chunk = reading->chunk;
    bool at_end = chunk->offset + size == reading->end;
    size_t at = 0;

    while (at < size && chunk->count < CHECK_CHUNK_PIECES) {
        struct slice rest = slice_of(chunk->bytes.data + at, size - at);
        struct record_header header;
        struct error damage = {0};
        bool taken = true;

        if (rest.size < RECORD_HEADER_SIZE && !at_end && chunk->count > 0)
            break;
        if (rest.size >= RECORD_HEADER_SIZE &&
            record_decode_header(rest, &header, &damage) == STATUS_OK) {
            enum status st =
                add_record(reading, chunk->offset + at, rest.size, &header, &taken, err);

            if (st != STATUS_OK)
                return st;
        } else {
            add_gap(reading, at, size);
        }
        if (!taken)
            break;
        if (check_chunk_end(chunk) - chunk->offset > size)
            break; /* one large record, and nothing else */
        at = (size_t)(check_chunk_end(chunk) - chunk->offset);
    }
    return STATUS_OK;
}

enum status check_chunk_read(struct check_chunk *chunk, struct store *store,
                             const struct random_id *pack, uint64_t offset, uint64_t end,
                             struct error *err)
{
    const struct reading reading = {chunk, store, pack, end};
    size_t size = 0;

    chunk->offset = offset;
    chunk->count = 0;
    enum status st = read_some(&reading, offset, &size, err);

    if (st != STATUS_OK)
        return st;
    if (size == 0) {
        uint64_t left = end - offset;

        add_piece(chunk, offset, left < CHECK_READ_LEAST ? left : CHECK_READ_LEAST)->wrong =
            CHECK_UNREADABLE;
        return STATUS_OK;
    }
    return find_pieces(&reading, size, err);
}

/* ---- Proving: on a worker -------------------------------------------------------------------- */

/* ST, of looking at a record, as what is wrong with it; another failure stays one. */
static enum status judge(enum status st, enum check_wrong wrong, struct check_piece *piece)
{
    if (st != STATUS_CORRUPT && st != STATUS_UNSUPPORTED && st != STATUS_INVALID)
        return st;
    piece->wrong = wrong;
    return STATUS_OK;
}

static enum status prove_piece(struct check_chunk *chunk, struct check_piece *piece,
                               const struct keys *keys, bool keyless, struct error *err)
{
    struct slice record = slice_of(chunk->bytes.data + (piece->offset - chunk->offset),
                                   (size_t)piece->length); /* of this chunk */
    struct record_header header;
    struct error damage = {0};
    enum status st = record_check(record, &header, &damage);

    if (st != STATUS_OK) {
        st = judge(st, CHECK_PAYLOAD, piece);
    } else if (!keyless && piece->header.kind != KIND_PACK_INDEX) {
        if (piece->domain == NULL) {
            piece->wrong = CHECK_DOMAIN;
            return STATUS_OK;
        }
        st = record_open(keys, chunk->codec, record, &header, &chunk->stored, &damage);
        if (st != STATUS_OK) {
            st = judge(st, CHECK_SEAL, piece);
        } else {
            st = thing_check(piece->domain->id_key, header.kind, buffer_slice(&chunk->stored),
                             &header.id, &damage);
            if (st != STATUS_OK)
                st = judge(st, CHECK_CONTENT, piece);
        }
    }
    if (st != STATUS_OK)
        *err = damage;
    return st;
}

enum status check_chunk_prove(struct check_chunk *chunk, const struct keys *keys, bool keyless,
                              struct error *err)
{
    enum status st = STATUS_OK;

    for (size_t i = 0; st == STATUS_OK && i < chunk->count; i++)
        if (chunk->pieces[i].wrong == CHECK_RIGHT)
            st = prove_piece(chunk, &chunk->pieces[i], keys, keyless, err);
    return st;
}
