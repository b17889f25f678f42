#include "coordinator/service/wire.h"

/* protobuf-c has no const; nothing writes to a message that is packed. */
static void *without_const(const void *pointer)
{
    union {
        const void *from;
        void *to;
    } both = {.from = pointer};

    return both.to;
}

ProtobufCBinaryData wire_bytes(struct slice bytes)
{
    return (ProtobufCBinaryData){.len = bytes.size, .data = without_const(bytes.data)};
}

struct slice wire_slice(ProtobufCBinaryData bytes)
{
    return slice_of(bytes.data, bytes.len);
}

Tidemark__V1__LogHead wire_head(const struct store_head *head)
{
    Tidemark__V1__LogHead message = TIDEMARK__V1__LOG_HEAD__INIT;

    message.writer = wire_bytes(slice_of(head->writer.bytes, sizeof(head->writer.bytes)));
    message.sequence = head->sequence;
    message.hash = wire_bytes(slice_of(head->hash.bytes, sizeof(head->hash.bytes)));
    return message;
}

Tidemark__V1__Signed wire_signed(const struct signed_slice *what)
{
    Tidemark__V1__Signed message = TIDEMARK__V1__SIGNED__INIT;

    message.body = wire_bytes(what->body);
    message.signature = wire_bytes(what->signature);
    message.certificate = wire_bytes(what->certificate);
    return message;
}

enum status wire_check_signed(const Tidemark__V1__Signed *message, size_t body_max,
                              struct signed_slice *ret_signed, struct error *err)
{
    if (message == NULL)
        return error_set(err, STATUS_INVALID, "what is to be signed is missing");
    if (message->body.len == 0 || message->body.len > body_max ||
        message->signature.len != SIGN_SIZE || message->certificate.len == 0 ||
        message->certificate.len > SIGN_CERTIFICATE_MAX)
        return error_set(err, STATUS_INVALID,
                         "a body of %zu bytes with a signature of %zu and a certificate of %zu "
                         "is nothing that a host has signed",
                         message->body.len, message->signature.len, message->certificate.len);
    *ret_signed = (struct signed_slice){.body = wire_slice(message->body),
                                        .signature = wire_slice(message->signature),
                                        .certificate = wire_slice(message->certificate)};
    return STATUS_OK;
}

Tidemark__V1__Counts wire_counts(const struct task_counts *counts)
{
    Tidemark__V1__Counts message = TIDEMARK__V1__COUNTS__INIT;

    message.disk_size = counts->disk_size;
    message.to_read = counts->to_read;
    message.read = counts->read;
    message.sent = counts->sent;
    message.new_blocks = counts->new_blocks;
    message.stored = counts->stored;
    message.elapsed_us = counts->elapsed_us;
    return message;
}

struct task_counts wire_task_counts(const Tidemark__V1__Counts *message)
{
    if (message == NULL)
        return (struct task_counts){0};
    return (struct task_counts){.disk_size = message->disk_size,
                                .to_read = message->to_read,
                                .read = message->read,
                                .sent = message->sent,
                                .new_blocks = message->new_blocks,
                                .stored = message->stored,
                                .elapsed_us = message->elapsed_us};
}

Tidemark__V1__Point wire_point(const struct point_info *info)
{
    Tidemark__V1__Point message = TIDEMARK__V1__POINT__INIT;

    message.point = wire_bytes(slice_of(info->envelope.id.bytes, sizeof(info->envelope.id.bytes)));
    message.time_us = info->time_us;
    message.host = without_const(info->host);
    message.disk = without_const(info->disk);
    message.size = info->size;
    message.consistency = without_const(info->consistency);
    message.reason = without_const(info->reason);
    message.sequence = info->sequence;
    return message;
}

enum status wire_failure(const Tidemark__V1__Failure *failure, struct error *err)
{
    enum status status = STATUS_UNKNOWN;

    if (failure->status > STATUS_OK && failure->status <= STATUS_UNAUTHENTICATED)
        status = (enum status)failure->status;
    return error_set(err, status, "%s", failure->text);
}
