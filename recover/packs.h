/* recover/packs.h: all packs of a data folder, read once: which there are, and where each record lies. Says by its teller what is
 * not as it should be, and goes on with the rest. Thread: main's; blocks. */
#ifndef RECOVER_PACKS_H
#define RECOVER_PACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/fs.h"
#include "format/codec.h"
#include "format/keys.h"
#include "recover/pack_scan.h"
#include "recover/spots.h"
#include "recover/teller.h"

#define PACKS_DIR "packs"

struct packs;

/* All borrowed. */
struct packs_options {
    struct fs *fs; /* the data folder */
    const struct keys *keys;
    struct codec_context *codec;
    const struct random_id
        *repository; /* NULL: not known; then packs of any are read, and seals tell them apart */
    struct teller *teller;
    uint64_t memory; /* bytes that the table of records may use */
    bool meta_only;  /* leave out the packs of blocks: quick, and enough to list */
    bool scan; /* read also sealed packs record by record: finds what an index does not name */
};

/* An envelope that lies in some pack. */
struct packs_envelope {
    struct random_id domain;
    struct ref ref;
};

/* STATUS_NOT_FOUND: there is no folder of packs. STATUS_EXHAUSTED: the table does not fit the memory it may use. */
NODISCARD enum status packs_open(const struct packs_options *options, struct packs **ret_packs,
                                 struct error *err);
void packs_free(struct packs *packs); /* NULL is fine */

/* One that was read. */
struct packs_about {
    const char *file_name;
    const struct random_id *name; /* by its header, or by its file's name; NULL: by neither */
    uint64_t size;
};

size_t packs_count(const struct packs *packs);
struct packs_about packs_about(const struct packs *packs, size_t pack);
uint64_t packs_bytes(const struct packs *packs); /* of all of them */

/* The file of PACK, open; good until the next call. */
NODISCARD enum status packs_file(struct packs *packs, size_t pack, struct fs_file **ret_file,
                                 struct error *err);

/* Each envelope once, by number. */
const struct packs_envelope *packs_envelopes(const struct packs *packs, size_t *ret_count);

/* The places of record NUMBER; NULL: in no pack. */
const struct spot *packs_find(const struct packs *packs, uint64_t number, size_t *ret_count);

/* The bytes at SPOT into RET_RECORD (cleared first), unchecked. */
NODISCARD enum status packs_read(struct packs *packs, const struct spot *spot,
                                 struct buffer *ret_record, struct error *err);

#endif
