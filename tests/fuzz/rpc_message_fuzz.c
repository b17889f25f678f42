/* tests/fuzz/rpc_message_fuzz.c: received bytes as each of the messages that a server or a client reads: whatever they
 * are, unpacking ends within its budget, and what it gives can be packed again and freed. The first byte chooses
 * the type. */
#include "transport/rpc_message.h"

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/invariant.h"
#include "base/memory.h"
#include "base/slice.h"
#include "proto/tidemark/v1/agent.pb-c.h"
#include "proto/tidemark/v1/console.pb-c.h"
#include "proto/tidemark/v1/data.pb-c.h"
#include "transport/rpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCMessageDescriptor *const types[] = {
    &tidemark__v1__from_agent__descriptor,         &tidemark__v1__to_agent__descriptor,
    &tidemark__v1__upload_request__descriptor,     &tidemark__v1__upload_answer__descriptor,
    &tidemark__v1__commit_request__descriptor,     &tidemark__v1__commit_answer__descriptor,
    &tidemark__v1__list_points_answer__descriptor, &tidemark__v1__export_part__descriptor,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ProtobufCMessage *message = NULL;
    ProtobufCMessage *again = NULL;
    struct error err = {0};

    if (size == 0)
        return 0;
    const ProtobufCMessageDescriptor *type = types[data[0] % (sizeof(types) / sizeof(types[0]))];

    if (rpc_message_unpack(type, slice_of(data + 1, size - 1), &message, &err) != STATUS_OK) {
        INVARIANT(err.status == STATUS_INVALID && message == NULL);
        return 0;
    }
    size_t packed = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = memory_resize(NULL, packed + 1, 1);

    INVARIANT(bytes != NULL);
    INVARIANT(protobuf_c_message_pack(message, bytes) == packed);
    /* What is packed anew may be shorter, and its budget with it: it may be refused. */
    if (rpc_message_unpack(type, slice_of(bytes, packed), &again, &err) == STATUS_OK)
        INVARIANT(protobuf_c_message_get_packed_size(again) == packed);
    rpc_message_free(again);
    rpc_message_free(message);
    memory_free(bytes);
    return 0;
}
