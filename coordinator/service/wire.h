/* coordinator/service/wire.h: our values as messages of the protocol. What a message points at is borrowed from the value. */
#ifndef COORDINATOR_SERVICE_WIRE_H
#define COORDINATOR_SERVICE_WIRE_H

#include <protobuf-c/protobuf-c.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/slice.h"
#include "proto/tidemark/v1/common.pb-c.h"
#include "proto/tidemark/v1/console.pb-c.h"
#include "coordinator/service/points.h"
#include "coordinator/service/tasks.h"
#include "coordinator/store/store.h"
#include "format/statement.h"

ProtobufCBinaryData wire_bytes(struct slice bytes);
struct slice wire_slice(ProtobufCBinaryData bytes);

Tidemark__V1__LogHead wire_head(const struct store_head *head);
Tidemark__V1__Signed wire_signed(const struct signed_slice *what);
/* Is MESSAGE (NULL: not there) something signed, of at most BODY_MAX bytes? Then *ret_signed borrows from it.
 * STATUS_INVALID. */
NODISCARD enum status wire_check_signed(const Tidemark__V1__Signed *message, size_t body_max,
                                        struct signed_slice *ret_signed, struct error *err);
Tidemark__V1__Counts wire_counts(const struct task_counts *counts);
struct task_counts wire_task_counts(const Tidemark__V1__Counts *message); /* NULL: zeros */
Tidemark__V1__Point wire_point(const struct point_info *info);

/* A peer's failure as ours: its status if that is one, its sentence cut where it is too long. */
enum status wire_failure(const Tidemark__V1__Failure *failure, struct error *err);

#endif
