/* agent/parent.h: may this backup go on from that restore point? A parent is trusted only where what hosts have
 * signed proves it, because a reference over the wrong tree is the one fault that no id shows (architecture,
 * section 3). Pure. Any thread. */
#ifndef AGENT_PARENT_H
#define AGENT_PARENT_H

#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/slice.h"
#include "proto/tidemark/v1/agent.pb-c.h"
#include "agent/disk/disk.h"
#include "format/disk_root.h"
#include "format/id.h"

/* What is known without the coordinator's word, or from its hello. */
struct parent_terms {
    const char *ca_pem; /* who signs the certificates of hosts */
    const struct hash_key *id_key;
    struct random_id repository;
    struct random_id vm;
};

/* A parent of one disk that is proved. */
struct parent {
    struct id point;
    struct id root; /* of the disk root */
    uint8_t identity[DISK_IDENTITY_SIZE];
    uint64_t size;
    char change_id[DISK_CHANGE_ID_SIZE]; /* not "" */
};

/* Statement and tracking record are signed by hosts that the CA vouches for (at the times that they state), are of
 * this repository, VM and point, and agree on the one disk; the point's id is that of an envelope with this
 * statement. STATUS_CORRUPT, STATUS_DENIED, STATUS_INVALID: they are not; reason parent_invalid. STATUS_EXHAUSTED,
 * STATUS_INTERNAL: it could not be found out. */
NODISCARD enum status parent_check(const struct parent_terms *terms,
                                   const Tidemark__V1__Parent *message, struct parent *ret_parent,
                                   struct error *err);

/* Is this the same disk? STATUS_PRECONDITION: another identity or size; reason disk_changed. */
NODISCARD enum status parent_check_disk(const struct parent *parent, const struct disk_info *info,
                                        struct error *err);

/* PLAIN is the disk root of the parent, and its sectors are the disk's. STATUS_CORRUPT: it is not; reason
 * parent_damaged. STATUS_PRECONDITION: other sectors; reason disk_changed. */
NODISCARD enum status parent_check_root(const struct parent *parent, const struct disk_info *info,
                                        const struct hash_key *id_key, struct slice plain,
                                        struct disk_root *ret_root, struct error *err);

#endif
