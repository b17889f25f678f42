/* format/kit.h: the *recovery kit*: one printable page that opens a repository when nothing else is left. Text, ASCII, each
 * line ended by one line feed:
 *
 *     Tidemark recovery kit
 *     version 0 build 3
 *     # what this is, and what to do with it; any number of such lines, which programs pass over
 *     repository 32 hexadecimal digits
 *     made 2026-11-23
 *     key wrapped, or: key plain
 *     the key's file of that form (format/key_text.h), all its lines
 *     agents-ca N: bytes of PEM that follow; 0: none
 *     the certificates of the CA by which hosts were known: to prove what they have signed
 *     crc 8 digits: CRC-32C of all lines before
 *
 * Keys for ids are not in it: they follow from the repository's key and the domain that each record names. */
#ifndef FORMAT_KIT_H
#define FORMAT_KIT_H

#include <stddef.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"
#include "format/id.h"
#include "format/key_text.h"

enum { KIT_CA_MAX = 64 * 1024, KIT_FILE_MAX = 80 * 1024, KIT_DATE_SIZE = sizeof("2026-11-23") };

/* Its owner wipes it. */
struct kit {
    struct random_id repository;
    char made[KIT_DATE_SIZE]; /* the day, UTC */
    struct key_text key;      /* a wrapped one is of the same repository */
    struct slice agents_ca;   /* as kit_agents_ca() makes it; empty: none. Borrowed */
};

/* Appends the file's text. What kit_decode() would refuse is a broken invariant. */
void kit_encode(const struct kit *kit, struct buffer *target);

/* *RET_KIT borrows from TEXT. STATUS_CORRUPT: it is no kit, or damaged, or not typed exactly. STATUS_UNSUPPORTED: another
 * version or build. */
NODISCARD enum status kit_decode(struct slice text, struct kit *ret_kit, struct error *err);

/* Appends the certificates in PEM, each a CA's, and nothing else of it. STATUS_INVALID: there is none, or another. */
NODISCARD enum status kit_agents_ca(struct slice pem, struct buffer *target, struct error *err);

#endif
