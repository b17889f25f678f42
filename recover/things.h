/* recover/things.h: a thing that a tree or a manifest names, out of any pack that has it: its record's sums and seal hold, and
 * its id is that of its bytes. What is not so is never given out. Thread: main's; blocks. */
#ifndef RECOVER_THINGS_H
#define RECOVER_THINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/hash.h"
#include "format/codec.h"
#include "format/keys.h"
#include "recover/packs.h"

struct things;

/* All borrowed. */
NODISCARD enum status things_new(struct packs *packs, const struct keys *keys,
                                 struct codec_context *codec, struct things **ret_things,
                                 struct error *err);
void things_free(struct things *things); /* NULL is fine */

/* The stored form of the thing of KIND that REF (no hole) names in DOMAIN, proved, into RET_STORED (cleared first).
 * STATUS_NOT_FOUND: no pack has it. STATUS_CORRUPT: some have, all damaged; the sentence names the last one. Others: this
 * machine's trouble. */
NODISCARD enum status things_read(struct things *things, const struct random_id *domain,
                                  uint8_t kind, const struct ref *ref, struct buffer *ret_stored,
                                  struct error *err);

/* May a pack have it? By the table alone: nothing is read. */
bool things_has(const struct things *things, const struct ref *ref);

/* Proves the bytes of one RECORD, wherever they are from: STATUS_CORRUPT: a sum, the seal or the id is wrong. RET_STORED gets the
 * stored form. */
NODISCARD enum status things_prove(struct things *things, struct slice record,
                                   struct record_header *ret_header, struct buffer *ret_stored,
                                   struct error *err);

/* Is STATUS one that damage gives, or loss: nothing that another machine would do better? */
bool things_lost(enum status status);

#endif
