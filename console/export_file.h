/* console/export_file.h: a disk that comes in parts, into a file. Nothing is believed: the opening part is
 * checked as console/export_check.h says, every block is unpacked and hashed on workers, and the block tree
 * grows over the hashes again. Only if its root is the one that the host signed does the file get its name.
 *
 * Until then it is NAME.part, as long as the disk, sparse: what no part names stays a hole. However it ends,
 * NAME.part is gone. Memory is bounded: a few parts, each with one block unpacked.
 *
 * Thread: the loop's; files and blocks are worked on by POOL. */
#ifndef CONSOLE_EXPORT_FILE_H
#define CONSOLE_EXPORT_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/fs.h"
#include "base/loop.h"
#include "base/pool.h"
#include "proto/tidemark/v1/console.pb-c.h"
#include "console/export_check.h"

struct export_file;

struct export_file_events {
    /* There is room for a part: export_file_put(), from here or later. */
    void (*wants_part)(void *owner);
    /* Once, the last thing: STATUS_OK: NAME is there, proved and durable. Else NAME.part is gone, and NAME is
     * what it was (unless only the folder's sync failed: the sentence says so). The owner calls
     * export_file_free() in it or later. */
    void (*ended)(void *owner, enum status status, const struct error *err);
};

/* All is borrowed until ended(). */
struct export_file_options {
    struct loop *loop;
    struct pool *pool;
    struct fs *fs;     /* of the folder */
    const char *name;  /* in it, at most 250 bytes */
    bool replace;      /* NAME, if it is there; else STATUS_EXISTS ends the export */
    const char *point; /* the digits that were asked for */
    const char *agents_ca_pem;
    const struct export_file_events *events;
    void *owner;
};

/* wants_part() comes soon, for the opening part. */
NODISCARD enum status export_file_new(const struct export_file_options *options,
                                      struct export_file **ret_file, struct error *err);

/* PART is taken (rpc_message_free), once for each wants_part(). */
void export_file_put(struct export_file *file, Tidemark__V1__ExportPart *take_part);

/* No further part will come: ends the export with ERR. No effect once the last part is there. */
void export_file_stop(struct export_file *file, const struct error *err);

/* How far it is, holes included; zeros before the opening part. */
void export_file_progress(const struct export_file *file, uint64_t *ret_done, uint64_t *ret_total);

/* What was proved; NULL before the opening part is. Good as long as FILE. */
const struct export_disk *export_file_disk(const struct export_file *file);

/* After ended(). NULL is fine. */
void export_file_free(struct export_file *file);

#endif
