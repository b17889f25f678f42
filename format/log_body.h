/* format/log_body.h: what each type of log entry says (format/log_entry.h), little-endian.
 *
 * Bodies (text: u16 length, UTF-8 without control characters):
 *     LOG_SPACE     u32 space, public key of the writer 65: the first entry of every writer. A later one of the same key
 *                   begins another space: numbers come from that one from here on
 *     LOG_NUMBERS   u64 first number, u64 count: reserved from here on
 *     LOG_POINT     task 16, domain 16, envelope: id 32, number 8; packs
 *     LOG_TRACKING  VM 16, the signed tracking record (format/statement.h)
 *     LOG_SUMMARY   u32 part, u32 parts, items: see below
 *     LOG_TRASH     task 16, i64 end of its grace: the point goes to the trash
 *     LOG_UNDELETE  task 16: out of it
 *     LOG_PURGE     task 16: the point is no more
 *     LOG_LOCK      task 16, i64 until when nobody may delete the point: a lock only ever grows; takes it out of the trash
 *     LOG_HOLD      task 16, u8 1: held, 0: let go, text why (empty when let go)
 *     LOG_TASK      task 16, VM 16, u32 epoch, u8 state, u32 length, that many bytes of detail: the task's newest state
 *     LOG_SESSION   task 16, disk (VirtualDiskId) 16, domain 16, u64 blocks, disk root: id 32, number 8; packs: a partial
 *                   tree. Blocks below `blocks` are decided and here, the rest is the parent's; it stays a root until the
 *                   task's point, or until an entry with id and number 0 (no packs, blocks 0) lets it go
 *     LOG_CONDEMN   u64 sweep, pack 16, u8 1: the last entry of this pack, u32 count, numbers of 8: its dead
 *     LOG_DOMAIN    domain 16, u8 state: 1 in use, 2 retired; text name
 *     LOG_ROLLBACK  writer 16, u64 sequence, hash 32: a head that was known elsewhere and is not in this log
 *     LOG_ACCEPT    u64 sequence of the LOG_ROLLBACK entry that an admin has accepted
 * "packs": u16 count, for each pack that was not sealed {name 16, u64 synced length}. Ends of graces and locks are in lock
 * time (architecture, section 8), microseconds.
 *
 * A *summary* holds all that still counts: PARTS entries behind one another, part 0 to PARTS - 1, the first of them the first
 * entry of its segment (a segment's first entry may be a repetition of it). Their items, one behind the other, none
 * divided, are entries as they were: {u8 type, u64 sequence, i64 time, u32 length, body}, by sequence. Whoever adds up a whole
 * summary's items and the entries behind it knows what whoever adds up the log from its first entry knows.
 */
#ifndef FORMAT_LOG_BODY_H
#define FORMAT_LOG_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/slice.h"
#include "format/id.h"
#include "format/log_entry.h"
#include "format/sign.h"
#include "format/statement.h"

/* Encoders append; decoders: STATUS_CORRUPT for anything but exactly that layout. Any thread. */

enum { LOG_POINT_PACKS_MAX = 256 };

struct log_space {
    uint32_t space; /* 1 to NUMBER_SPACE_MAX */
    uint8_t public_key[SIGN_PUBLIC_SIZE];
};

struct log_numbers {
    uint64_t first;
    uint64_t count; /* at least 1; within one space */
};

struct log_point_pack {
    struct random_id name;
    uint64_t synced;
};

/* The packs that were not sealed, and how much of each was on disk. */
struct log_packs {
    struct log_point_pack packs[LOG_POINT_PACKS_MAX];
    uint16_t count;
};

struct log_point {
    struct random_id task;
    struct random_id domain;
    struct ref envelope;
    struct log_packs packs;
};

struct log_tracking {
    struct random_id vm;
    struct signed_slice tracking; /* borrowed */
};

/* LOG_TRASH: the end of its grace; LOG_LOCK: the end of its lock. */
struct log_until {
    struct random_id task;
    int64_t until_us; /* lock time */
};

/* LOG_UNDELETE, LOG_PURGE. */
struct log_named {
    struct random_id task;
};

enum { LOG_HOLD_REASON_SIZE = 255 + 1, LOG_DOMAIN_NAME_SIZE = 255 + 1 };

struct log_hold {
    struct random_id task;
    bool held;
    char reason[LOG_HOLD_REASON_SIZE];
};

/* Published: never renumber (architecture, section 3). */
enum log_task_state {
    LOG_TASK_INTENDED = 1,
    LOG_TASK_FROZEN = 2,
    LOG_TASK_COMMITTED = 3,
    LOG_TASK_CONVERTED = 4,
    LOG_TASK_ENDED = 5, /* nothing is left to do for it */
};

enum { LOG_TASK_DETAIL_MAX = 64 * 1024 };

struct log_task {
    struct random_id task;
    struct random_id vm;
    uint32_t epoch;
    enum log_task_state state;
    struct slice detail; /* borrowed; what the state's owner noted, opaque here */
};

struct log_session {
    struct random_id task;
    uint8_t disk[16]; /* VirtualDiskId */
    struct random_id domain;
    uint64_t blocks;
    struct ref root; /* zeros: it lets the partial tree go */
    struct log_packs packs;
};

enum { LOG_CONDEMN_NUMBERS_MAX = 32 * 1024 }; /* of one entry; a pack may have several */

struct log_condemn {
    uint64_t sweep;
    struct random_id pack;
    bool last;
    uint32_t count;
    struct slice numbers; /* borrowed: COUNT x u64le, ascending, none 0 */
};

enum log_domain_state { LOG_DOMAIN_USED = 1, LOG_DOMAIN_RETIRED = 2 };

struct log_domain {
    struct random_id domain;
    enum log_domain_state state;
    char name[LOG_DOMAIN_NAME_SIZE]; /* 1 to 255 bytes */
};

struct log_rollback {
    struct random_id writer;
    uint64_t sequence;
    struct hash_digest hash;
};

struct log_accept {
    uint64_t sequence;
};

struct log_summary {
    uint32_t part;
    uint32_t parts;     /* 1 to LOG_SUMMARY_PARTS_MAX */
    struct slice items; /* borrowed; may be empty in the only part */
};

enum { LOG_SUMMARY_PARTS_MAX = 65536, LOG_SUMMARY_ITEM_HEAD_SIZE = 21 };

/* One item of a summary: an entry that still counts. */
struct log_item {
    uint8_t type; /* never LOG_SUMMARY */
    uint64_t sequence;
    int64_t time_us;
    struct slice body; /* borrowed */
};

void log_space_encode(const struct log_space *space, struct buffer *target);
void log_numbers_encode(const struct log_numbers *numbers, struct buffer *target);
void log_point_encode(const struct log_point *point, struct buffer *target);
void log_tracking_encode(const struct log_tracking *tracking, struct buffer *target);
void log_until_encode(const struct log_until *until, struct buffer *target);
void log_named_encode(const struct log_named *named, struct buffer *target);
void log_hold_encode(const struct log_hold *hold, struct buffer *target);
void log_task_encode(const struct log_task *task, struct buffer *target);
void log_session_encode(const struct log_session *session, struct buffer *target);
void log_condemn_encode(const struct log_condemn *condemn, struct buffer *target);
void log_domain_encode(const struct log_domain *domain, struct buffer *target);
void log_rollback_encode(const struct log_rollback *rollback, struct buffer *target);
void log_accept_encode(const struct log_accept *accept, struct buffer *target);
void log_summary_encode(const struct log_summary *summary, struct buffer *target);
void log_item_encode(const struct log_item *item, struct buffer *target);

NODISCARD enum status log_space_decode(struct slice body, struct log_space *ret_space,
                                       struct error *err);
NODISCARD enum status log_numbers_decode(struct slice body, struct log_numbers *ret_numbers,
                                         struct error *err);
NODISCARD enum status log_point_decode(struct slice body, struct log_point *ret_point,
                                       struct error *err);
NODISCARD enum status log_tracking_decode(struct slice body, struct log_tracking *ret_tracking,
                                          struct error *err);
NODISCARD enum status log_until_decode(struct slice body, struct log_until *ret_until,
                                       struct error *err);
NODISCARD enum status log_named_decode(struct slice body, struct log_named *ret_named,
                                       struct error *err);
NODISCARD enum status log_hold_decode(struct slice body, struct log_hold *ret_hold,
                                      struct error *err);
NODISCARD enum status log_task_decode(struct slice body, struct log_task *ret_task,
                                      struct error *err);
NODISCARD enum status log_session_decode(struct slice body, struct log_session *ret_session,
                                         struct error *err);
NODISCARD enum status log_condemn_decode(struct slice body, struct log_condemn *ret_condemn,
                                         struct error *err);
NODISCARD enum status log_domain_decode(struct slice body, struct log_domain *ret_domain,
                                        struct error *err);
NODISCARD enum status log_rollback_decode(struct slice body, struct log_rollback *ret_rollback,
                                          struct error *err);
NODISCARD enum status log_accept_decode(struct slice body, struct log_accept *ret_accept,
                                        struct error *err);
NODISCARD enum status log_summary_decode(struct slice body, struct log_summary *ret_summary,
                                         struct error *err);

/* Takes the next item from the start of *ITEMS (which is not empty). */
NODISCARD enum status log_item_take(struct slice *items, struct log_item *ret_item,
                                    struct error *err);

#endif
