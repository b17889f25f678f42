#include "transport/rpc_message.h"

#include <stdbool.h>
#include <string.h>

#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>

#include "base/invariant.h"
#include "base/memory.h"
#include "transport/rpc.h"
#include "transport/rpc_tags.h"

enum { BUDGET_FACTOR = 8, BUDGET_BASE = 64 * 1024 };

enum refusal { NOTHING_REFUSED, BUDGET_SPENT, NO_MEMORY };

struct budget {
    size_t left;
    enum refusal refusal;
};

static void *budget_new(void *data, size_t size)
{
    struct budget *budget = data;

    if (size > budget->left) {
        budget->refusal = BUDGET_SPENT;
        return NULL;
    }
    void *block = memory_resize(NULL, size, 1);

    if (block == NULL) {
        budget->refusal = NO_MEMORY;
        return NULL;
    }
    budget->left -= size;
    return block;
}

/* What is freed meanwhile is not given back: the budget bounds the work too. */
static void budget_free(void *data, void *block)
{
    (void)data;
    memory_free(block);
}

void rpc_message_free(ProtobufCMessage *message)
{
    ProtobufCAllocator allocator = {.alloc = budget_new, .free = budget_free};

    if (message != NULL)
        protobuf_c_message_free_unpacked(message, &allocator); /* allocates nothing */
}

enum status rpc_message_unpack(const ProtobufCMessageDescriptor *type, struct slice bytes,
                               ProtobufCMessage **ret_message, struct error *err)
{
    struct budget budget = {.left = BUDGET_BASE};
    ProtobufCAllocator allocator = {.alloc = budget_new,
                                    .free = budget_free,
                                    .allocator_data = &budget};

    INVARIANT(bytes.size <= (SIZE_MAX - BUDGET_BASE) / BUDGET_FACTOR);
    budget.left += bytes.size * BUDGET_FACTOR;
    ProtobufCMessage *message = protobuf_c_message_unpack(type, &allocator, bytes.size, bytes.data);

    if (message != NULL) {
        *ret_message = message;
        return STATUS_OK;
    }
    switch (budget.refusal) {
    case BUDGET_SPENT:
        return error_set(
            err, STATUS_INVALID,
            "a message of type %s and %zu bytes wants more memory than its size allows", type->name,
            bytes.size);
    case NO_MEMORY:
        return error_set_no_memory(err, bytes.size, "a message that was received");
    case NOTHING_REFUSED:
        break;
    }
    return error_set(err, STATUS_INVALID, "%zu bytes were received that are no message of type %s",
                     bytes.size, type->name);
}

enum status rpc_message_unpack_buffer(const ProtobufCMessageDescriptor *type,
                                      grpc_byte_buffer *buffer, ProtobufCMessage **ret_message,
                                      struct error *err)
{
    grpc_byte_buffer_reader reader;
    grpc_slice part;
    size_t size = grpc_byte_buffer_length(buffer);
    size_t done = 0;

    /* The filter that would unpack it is off: a few bytes could become many. */
    if (buffer->type != GRPC_BB_RAW || buffer->data.raw.compression != GRPC_COMPRESS_NONE)
        return error_set(err, STATUS_INVALID, "a message was received compressed");
    uint8_t *bytes = memory_resize(NULL, size > 0 ? size : 1, 1);

    if (bytes == NULL)
        return error_set_no_memory(err, size, "a message that was received");
    INVARIANT(grpc_byte_buffer_reader_init(&reader, buffer) != 0); /* raw: cannot fail */
    while (grpc_byte_buffer_reader_next(&reader, &part) != 0) {
        size_t length = GRPC_SLICE_LENGTH(part);

        INVARIANT(length <= size - done);
        if (length > 0)
            memcpy(bytes + done, GRPC_SLICE_START_PTR(part), length);
        done += length;
        grpc_slice_unref(part);
    }
    grpc_byte_buffer_reader_destroy(&reader);
    INVARIANT(done == size);
    enum status st = rpc_message_unpack(type, slice_of(bytes, size), ret_message, err);

    memory_free(bytes);
    return st;
}

/* From gRPC, on any thread, once the last user of BYTES is through. */
static void bytes_free(void *bytes)
{
    rpc_take_back(bytes);
    memory_free(bytes);
}

enum status rpc_message_pack(const ProtobufCMessage *message, size_t max,
                             grpc_byte_buffer **ret_buffer, struct error *err)
{
    size_t size = protobuf_c_message_get_packed_size(message);

    if (size > max)
        return error_set(err, STATUS_INVALID,
                         "a message of type %s has %zu bytes; the connection takes %zu at most",
                         message->descriptor->name, size, max);
    uint8_t *bytes = memory_resize(NULL, size > 0 ? size : 1, 1);

    if (bytes == NULL)
        return error_set_no_memory(err, size, "a message to be sent");
    INVARIANT(protobuf_c_message_pack(message, bytes) == size);
    rpc_give(bytes);
    grpc_slice slice = grpc_slice_new(bytes, size, bytes_free);

    *ret_buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return STATUS_OK;
}
