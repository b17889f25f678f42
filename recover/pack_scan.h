/* recover/pack_scan.h: what is in one pack, found as docs/format.md says: by its own index where it is sealed, else record by record,
 * stepping over damage. Believes nothing but sums and seals. Thread: main's; blocks. */
#ifndef RECOVER_PACK_SCAN_H
#define RECOVER_PACK_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/fs.h"
#include "format/codec.h"
#include "format/keys.h"
#include "format/pack.h"

/* What the first and the last bytes of a file say. */
struct pack_scan_head {
    uint64_t size;
    bool sound;                /* the header is: what follows was read from it */
    struct pack_header header; /* else zeros */
    bool sealed;               /* there is a footer that can be right */
    struct pack_footer footer;
};

/* Fails only where the file cannot be read. */
NODISCARD enum status pack_scan_head(struct fs_file *file, struct pack_scan_head *ret_head,
                                     struct error *err);

typedef enum status pack_scan_each(void *arg, const struct pack_entry *entry, struct error *err);

/* Stretches of a file that are no record: [FROM, TO). */
typedef void pack_scan_gap(void *arg, uint64_t from, uint64_t to);

/* A pack that is sealed, and what opens its index. All borrowed. */
struct pack_scan_sealed {
    struct fs_file *file;
    const struct random_id *name;
    const struct keys *keys;
    struct codec_context *codec;
};

/* Calls EACH for every record that the index of PACK names. STATUS_CORRUPT: there is no such index, or it is
 * damaged; EACH was not called then. */
NODISCARD enum status pack_scan_index(const struct pack_scan_sealed *pack,
                                      const struct pack_scan_head *head, pack_scan_each *each,
                                      void *arg, struct error *err);

/* Calls EACH for every sound header from the pack's start on, in order; of its payload it is only known that the file is long enough.
 * GAP (may be NULL) hears of what is no record. An index and a footer at the end are neither. */
NODISCARD enum status pack_scan_records(struct fs_file *file, const struct pack_scan_head *head,
                                        pack_scan_each *each, pack_scan_gap *gap, void *arg,
                                        struct error *err);

#endif
