/* coordinator/store/check_found.h: what a check has found: what is wrong, and what that hurts. Values; capped, and the caps say
 * how much more there was. Thread: one at a time. */
#ifndef COORDINATOR_STORE_CHECK_FOUND_H
#define COORDINATOR_STORE_CHECK_FOUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/range.h"
#include "format/id.h"
#include "format/statement.h"

/* What is wrong with a record, or with a pack. */
enum check_wrong {
    CHECK_RIGHT,
    /* Of a record: */
    CHECK_HEADER,     /* its header is damaged */
    CHECK_PAYLOAD,    /* its payload is not what was written: its CRC is another one */
    CHECK_UNREADABLE, /* the disk cannot read it */
    CHECK_CUT_OFF,    /* the pack ends within it */
    CHECK_SEAL,       /* it was not sealed under the repository's keys, or does not unpack */
    CHECK_CONTENT,    /* it is not what its id stands for */
    CHECK_DOMAIN,     /* of a domain that the log does not know */
    CHECK_ANOTHER,    /* another record lies in its place */
    CHECK_ABSENT,     /* a point names it, and it is in no pack */
    CHECK_OTHER_ID,   /* a point names another thing by its number */
    CHECK_UNCACHED, /* it is sound, and the caches do not find it: nothing is lost, a rebuild is due */
    /* Of a pack: */
    CHECK_BETWEEN, /* bytes between records that belong to nothing */
    CHECK_PACK_MISSING,
    CHECK_PACK_SHORT, /* it ends before what was durable */
    CHECK_PACK_HEADER,
    CHECK_PACK_INDEX,
    CHECK_PACK_FOOTER,
};

/* "its payload is damaged": the middle of a sentence. */
const char *check_wrong_text(enum check_wrong wrong);

struct check_bad {
    enum check_wrong wrong;
    uint8_t kind;    /* 0: not known, or not a record */
    uint64_t number; /* 0: not known, or not a record */
    bool in_pack;    /* PACK, OFFSET and LENGTH say where */
    struct random_id pack;
    uint64_t offset;
    uint64_t length; /* bytes; 0: not known */
};

enum { CHECK_BAD_MAX = 10000, CHECK_HURT_MAX = 10000, CHECK_RANGES_MAX = 16 };

enum check_hurt_what {
    CHECK_HURT_DISK,
    CHECK_HURT_FILE,    /* of the VM's configuration */
    CHECK_HURT_POINT,   /* its manifest cannot be read, so nothing of it can be restored */
    CHECK_HURT_PARTIAL, /* an unfinished backup's disk: the next backup sends it anew */
};

/* What is lost of one disk of one point. Names are empty where the manifest cannot say them. */
struct check_hurt {
    enum check_hurt_what what;
    struct id point; /* its envelope's; of a partial tree zeros */
    struct random_id task;
    int64_t time_us;
    bool trashed;
    char vm[STATEMENT_NAME_SIZE];
    char host[STATEMENT_NAME_SIZE];
    unsigned disk; /* which one of the point's disks or files, from 0 */
    char name[STATEMENT_NAME_SIZE];
    uint64_t size;
    struct range ranges[CHECK_RANGES_MAX]; /* bytes of the disk; ascending, merged */
    size_t range_count;
    uint64_t more_ranges; /* behind those */
    uint64_t bytes;       /* hurt in all */
    uint64_t end;         /* of the last one, counted or not */
};

/* Zeroed: nothing. Pairs with check_found_deinit(). */
struct check_found {
    struct check_bad *bad;
    size_t bad_count;
    size_t bad_room;
    uint64_t bad_more; /* behind those */
    struct check_hurt *hurt;
    size_t hurt_count;
    size_t hurt_room;
    uint64_t hurt_more;
};

void check_found_deinit(struct check_found *found);

NODISCARD enum status check_found_add_bad(struct check_found *found, const struct check_bad *bad,
                                          struct error *err);
NODISCARD enum status check_found_add_hurt(struct check_found *found, const struct check_hurt *hurt,
                                           struct error *err);

/* RANGE (behind all before) of HURT's disk is lost; what lies behind its size does not count. */
void check_hurt_add(struct check_hurt *hurt, struct range range);

#endif
