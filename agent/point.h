/* agent/point.h: the id that a restore point of one disk has by its signed statement alone: so the host knows the
 * point's name without the coordinator's word. Pure. Any thread. */
#ifndef AGENT_POINT_H
#define AGENT_POINT_H

#include "base/attr.h"
#include "base/error.h"
#include "base/hash.h"
#include "format/id.h"
#include "format/statement.h"

/* The id of the envelope (format/manifest.h) over STATEMENT, which is of one disk, and SIGNED_STATEMENT, which is
 * the same one signed. STATUS_EXHAUSTED, STATUS_INTERNAL: no memory. */
NODISCARD enum status point_id(const struct hash_key *id_key, const struct statement *statement,
                               const struct signed_slice *signed_statement, struct id *ret_id,
                               struct error *err);

#endif
