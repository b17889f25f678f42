/* format/statement.h: what a host states by its signature: of a restore point, what it has read; of a reference
 * point, what it stands for (architecture, section 3). Little-endian; texts are {u16 length, UTF-8 without control
 * characters}.
 *
 *     statement: u8 version 0, repository 16, task 16, VM 16, i64 time (UTC microseconds), parent envelope's id 32
 *       (zeros: none), text host, text VM's name, u8 consistency, text reason (why read whole; empty: it was not),
 *       u16 number of disks (0 to 256), for each: text name, VirtualDiskId 16, u64 size, disk root's id 32; u16 number of
 *       files (0 to 64), for each: text name, u8 role, u64 size, file root's id 32. One disk or file at least
 *     tracking:  u8 version 0, repository 16, VM 16, envelope's id 32, i64 time, u16 number of disks, for each:
 *       VirtualDiskId 16, u64 size, disk root's id 32, text change id (RCT id, or what stands for it)
 */
#ifndef FORMAT_STATEMENT_H
#define FORMAT_STATEMENT_H

#include <stdint.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"
#include "format/id.h"
#include "format/sign.h"

enum {
    STATEMENT_NAME_SIZE = 255 + 1,
    STATEMENT_REASON_SIZE = 64 + 1,
    STATEMENT_CHANGE_ID_SIZE = 768 + 1, /* DISK_CHANGE_ID_SIZE of agent/disk/disk.h */
    STATEMENT_DISKS_MAX = 256,          /* four SCSI controllers of 64 */
    STATEMENT_FILES_MAX = 64,
    STATEMENT_SIZE_MAX = 128 * 1024,
    TRACKING_SIZE_MAX = 256 * 1024,
};

/* Published: never renumber. */
enum consistency { CONSISTENCY_CRASH = 1, CONSISTENCY_APPLICATION = 2 };

struct statement_disk {
    char name[STATEMENT_NAME_SIZE];
    uint8_t identity[16]; /* VirtualDiskId */
    uint64_t size;
    struct id root;
};

/* What a file of a VM's configuration is. Published: never renumber. */
enum file_role { FILE_VMCX = 1, FILE_VMRS = 2, FILE_VMGS = 3, FILE_OTHER = 4 };

struct statement_file {
    char name[STATEMENT_NAME_SIZE]; /* no two files of a statement have the same */
    enum file_role role;
    uint64_t size;
    struct id root;
};

struct statement {
    struct random_id repository;
    struct random_id task;
    struct random_id vm;
    int64_t time_us;
    struct id parent;
    char host[STATEMENT_NAME_SIZE];
    char vm_name[STATEMENT_NAME_SIZE];
    enum consistency consistency;
    char reason[STATEMENT_REASON_SIZE];
    struct statement_disk *disks; /* owned: statement_deinit() */
    uint16_t disk_count;
    struct statement_file *files; /* owned, as the disks */
    uint16_t file_count;
};

struct tracking_disk {
    uint8_t identity[16];
    uint64_t size;
    struct id root;
    char change_id[STATEMENT_CHANGE_ID_SIZE];
};

struct tracking {
    struct random_id repository;
    struct random_id vm;
    struct id point;
    int64_t time_us;
    struct tracking_disk *disks; /* owned: tracking_deinit() */
    uint16_t disk_count;
};

/* Appends the layout above. The caller knows that the values are valid. */
void statement_encode(const struct statement *statement, struct buffer *target);
void tracking_encode(const struct tracking *tracking, struct buffer *target);

/* STATUS_CORRUPT: not that layout, or values that cannot be; STATUS_EXHAUSTED: no memory. */
NODISCARD enum status statement_decode(struct slice bytes, struct statement *ret_statement,
                                       struct error *err);
NODISCARD enum status tracking_decode(struct slice bytes, struct tracking *ret_tracking,
                                      struct error *err);
void statement_deinit(struct statement *statement); /* zeroed is fine */
void tracking_deinit(struct tracking *tracking);

/* "crash", "application". */
const char *consistency_text(enum consistency consistency);

/* A body with its signature and the signing host's certificate (DER), all borrowed. Layout where it is kept:
 * {u32 body length, body, 64 signature, u16 certificate length, certificate}. */
struct signed_slice {
    struct slice body;
    struct slice signature;
    struct slice certificate;
};

void signed_encode(const struct signed_slice *what, struct buffer *target);
/* Takes it from the start of *CURSOR. STATUS_CORRUPT. */
struct cursor;
NODISCARD enum status signed_decode(struct cursor *cursor, struct signed_slice *ret_signed,
                                    struct error *err);

/* Is it signed in CONTEXT by a host that CA_PEM vouches for at TIME_US? Then the host's name.
 * STATUS_DENIED, STATUS_CORRUPT, STATUS_INVALID as in format/sign.h. */
NODISCARD enum status signed_check(const struct signed_slice *what, const char *context,
                                   const char *ca_pem, int64_t time_us,
                                   char ret_host[SIGN_NAME_SIZE], struct error *err);

#endif
