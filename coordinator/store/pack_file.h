/* coordinator/store/pack_file.h: one pack's file: its name, reading it back checked, its seal. How packs are written is
 * pack_writer.h's, how one without a seal is read pack_scan.h's. Thread: the store's. */
#ifndef COORDINATOR_STORE_PACK_FILE_H
#define COORDINATOR_STORE_PACK_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/fs.h"
#include "base/random.h"
#include "base/slice.h"
#include "format/keys.h"
#include "format/pack.h"
#include "format/record.h"

#define PACK_DIR "packs"

enum { PACK_PATH_SIZE = 5 + 1 + 2 * RANDOM_ID_SIZE + 5 + 1 };

/* "packs/NAME.data" or "packs/NAME.meta". */
void pack_path(const struct random_id *name, enum pack_class class, char path[PACK_PATH_SIZE]);

/* The inverse, for a name in the folder. False: it is no pack's. */
bool pack_path_parse(const char *file_name, struct random_id *ret_name, enum pack_class *ret_class);

/* The record of LENGTH bytes at OFFSET into RET_RECORD (cleared first), its CRCs checked. STATUS_CORRUPT: damaged, or the
 * file is too short; the sentence names file and offset. */
NODISCARD enum status pack_file_read(struct fs_file *file, uint64_t offset, uint32_t length,
                                     struct record_header *ret_header, struct buffer *ret_record,
                                     struct error *err);

/* The footer at the end of FILE of SIZE bytes. STATUS_CORRUPT: none, the pack is not sealed, or it is damaged. */
NODISCARD enum status pack_file_footer(struct fs_file *file, uint64_t size,
                                       struct pack_footer *ret_footer, struct error *err);

/* The stored form of the index of pack NAME that FOOTER names (pack_entries_decode()) into RET_STORED (cleared first).
 * STATUS_CORRUPT: damaged, another pack's, or an entry cannot be or does not end before the index. */
NODISCARD enum status pack_file_entries(struct fs_file *file, const struct random_id *name,
                                        const struct pack_footer *footer, const struct keys *keys,
                                        struct buffer *ret_stored, struct error *err);

/* Writes index and footer of pack NAME at END, for records that are durable: ENTRIES is the index's stored form, not empty. The
 * footer is the file's last byte then, whatever a write that failed has left behind. Syncs nothing. */
NODISCARD enum status pack_file_seal(struct fs_file *file, const struct random_id *name,
                                     uint64_t end, struct slice entries, const struct keys *keys,
                                     struct random_source *random, struct error *err);

#endif
