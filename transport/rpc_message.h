/* transport/rpc_message.h: messages as bytes, and back. What comes in is a stranger's: unpacking costs no more
 * than 8 times its bytes and 64 KiB, because a few bytes can ask for much (an empty submessage is two bytes on
 * the wire and 50 in memory). Private to transport. Any thread. */
#ifndef TRANSPORT_RPC_MESSAGE_H
#define TRANSPORT_RPC_MESSAGE_H

#include <stddef.h>

#include <grpc/byte_buffer.h>
#include <protobuf-c/protobuf-c.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/slice.h"

/* *ret_buffer is the caller's (grpc_byte_buffer_destroy). STATUS_INVALID: more than MAX bytes. */
NODISCARD enum status rpc_message_pack(const ProtobufCMessage *message, size_t max,
                                       grpc_byte_buffer **ret_buffer, struct error *err);

/* *ret_message is the caller's (rpc_message_free). STATUS_INVALID: malformed, or it wants more memory than its
 * size allows. */
NODISCARD enum status rpc_message_unpack(const ProtobufCMessageDescriptor *type, struct slice bytes,
                                         ProtobufCMessage **ret_message, struct error *err);

/* The same for what gRPC has received. STATUS_INVALID also: compressed. */
NODISCARD enum status rpc_message_unpack_buffer(const ProtobufCMessageDescriptor *type,
                                                grpc_byte_buffer *buffer,
                                                ProtobufCMessage **ret_message, struct error *err);

#endif
