/* tests/agent_tree_sample.h: the tree of a parent's disk, with all of its nodes: which of them a coordinator sends for
 * an offer, and which root the disk has with the changes. Whatever fails is a broken invariant. */
#ifndef TESTS_AGENT_TREE_SAMPLE_H
#define TESTS_AGENT_TREE_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/hash.h"
#include "agent/offer_tree.h"
#include "format/disk_root.h"
#include "format/id.h"
#include "format/tree.h"

enum {
    AGENT_TREE_BLOCKS = 20000, /* of 4 KiB; the last one is short: three levels */
    AGENT_TREE_NODES_MAX = 256,
};

struct agent_tree_sample {
    struct hash_key *id_key;
    struct disk_root root; /* the parent's */
    struct id root_id;

    struct {
        struct id id;
        uint8_t plain[NODE_PLAIN_SIZE];
    } * kept; /* the parent's nodes */

    size_t kept_count;

    struct tree_path *path; /* of the offers since the last restart, as is what follows */
    struct tree_builder *model;
    struct buffer nodes; /* that belong to the last offer */
};

/* Blocks 0 to 299, and each seventh from 16,384 on; holes between. */
void agent_tree_sample_make(struct agent_tree_sample *sample);
void agent_tree_sample_deinit(struct agent_tree_sample *sample);

/* The parent again, without a change. */
void agent_tree_sample_restart(struct agent_tree_sample *sample);

/* The next offer, ascending and within the disk: its nodes are in sample->nodes then. */
void agent_tree_sample_offer(struct agent_tree_sample *sample, const struct offer_entry *entries,
                             size_t count);

/* The root after all offers. Then only a restart. */
void agent_tree_sample_finish(struct agent_tree_sample *sample, struct id *ret_root_id);

#endif
