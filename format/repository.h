/* format/repository.h: the file `repository` of a data folder: what makes the folder a repository, which one, and
 * which key opens it. Text, so that a person who finds the folder knows what it is:
 *
 *     Tidemark repository
 *     version 0 build 3
 *     id 32 hexadecimal digits
 *     domain 32 hexadecimal digits
 *     key-check 64 hexadecimal digits
 *     crc 8 hexadecimal digits: CRC-32C of all lines before, line feeds included
 */
#ifndef FORMAT_REPOSITORY_H
#define FORMAT_REPOSITORY_H

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/slice.h"
#include "format/id.h"
#include "format/keys.h"

/* Until version 1 every change of any format raises the build, and no build reads another's repository. */
enum { FORMAT_VERSION = 0, FORMAT_BUILD = 3, REPOSITORY_FILE_MAX = 1024 };

struct repository {
    struct random_id id;
    struct random_id domain; /* the first deduplication domain; the log names the others */
    uint8_t key_check[KEYS_CHECK_SIZE];
};

/* Appends the file's text. */
void repository_encode(const struct repository *repository, struct buffer *target);

/* STATUS_UNSUPPORTED: another version or build; the sentence names both and says what to do. STATUS_CORRUPT: it
 * is no such file, or damaged. */
NODISCARD enum status repository_decode(struct slice text, struct repository *ret_repository,
                                        struct error *err);

#endif
