/* agent/upload_answers.h: what a coordinator answers in an upload, checked before anything is done with it: nothing
 * that it says is believed but which blocks it wants. Pure. Any thread.
 * STATUS_INVALID throughout: no coordinator may answer that. */
#ifndef AGENT_UPLOAD_ANSWERS_H
#define AGENT_UPLOAD_ANSWERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/hash.h"
#include "proto/tidemark/v1/data.pb-c.h"
#include "agent/disk/disk.h"
#include "agent/offer_tree.h"
#include "agent/parent.h"
#include "format/disk_root.h"
#include "format/id.h"

/* What the upload of the disk of INFO begins with: the root that PARENT has (it fits the disk), else (NULL) one
 * of no blocks, of BLOCK_SIZE. STATUS_CORRUPT, STATUS_PRECONDITION: as parent_check_root(). */
NODISCARD enum status upload_answers_opened(const Tidemark__V1__UploadOpened *opened,
                                            const struct parent *parent,
                                            const struct disk_info *info, uint32_t block_size,
                                            const struct hash_key *id_key,
                                            struct disk_root *ret_root, struct error *err);

/* WANT is about the offer that begins with FIRST_SEQ: its nodes are appended to NODES. Which they are is the
 * tree's to say (offer_tree_add()). STATUS_EXHAUSTED: over the limit of NODES. */
NODISCARD enum status upload_answers_nodes(const Tidemark__V1__Want *want, uint64_t first_seq,
                                           struct buffer *nodes, struct error *err);

/* The last part of a want: its bitmap is one for these COUNT entries, and wants blocks only. */
NODISCARD enum status upload_answers_bitmap(const Tidemark__V1__Want *want,
                                            const struct offer_entry *entries, size_t count,
                                            struct error *err);
bool upload_answers_wants(const Tidemark__V1__Want *want, size_t entry);

/* STATUS_CORRUPT: the coordinator has another root than ROOT_ID. */
NODISCARD enum status upload_answers_closed(const Tidemark__V1__UploadClosed *closed,
                                            const struct id *root_id, struct error *err);

#endif
