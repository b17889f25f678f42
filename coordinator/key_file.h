/* coordinator/key_file.h: the files that open a repository, its key and its recovery kits, and the folder of the repository, by
 * paths of the machine. All block. */
#ifndef COORDINATOR_KEY_FILE_H
#define COORDINATOR_KEY_FILE_H

#include <stdbool.h>

#include "base/attr.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/fs.h"
#include "base/named_file.h"
#include "format/key_text.h"
#include "format/keys.h"
#include "format/kit.h"
#include "format/repository.h"

/* The key file at PATH, in either form. STATUS_PRECONDITION: it is for others to read too. STATUS_INVALID, STATUS_CORRUPT: it
 * is no key file, or damaged. STATUS_NOT_FOUND. The caller wipes *ret_key. */
NODISCARD enum status key_file_read(const char *path, struct key_text *ret_key, struct error *err);

/* The kit at PATH; *ret_kit borrows from TEXT, a buffer of KIT_FILE_MAX, initialized. The caller wipes both. */
NODISCARD enum status kit_file_read(const char *path, struct buffer *text, struct kit *ret_kit,
                                    struct error *err);

/* The certificates of CAs in the file PATH, appended to TARGET: see kit_agents_ca(). */
NODISCARD enum status agents_ca_read(const char *path, struct buffer *target, struct error *err);

/* A place for a new file WHAT ("key file") at PATH, which opens the repository in the folder DIR, which is there.
 * STATUS_EXISTS: something is there. STATUS_INVALID: it lies inside DIR: whoever takes the repository would take it too. The
 * caller's (named_file_close). */
NODISCARD enum status key_file_place(const char *path, const char *what, const char *dir,
                                     struct named_file *ret_place, struct error *err);

/* STATUS_PRECONDITION: PLACE, of a kit, lies on the file system of the folder DIR: what takes the one takes the other. */
NODISCARD enum status kit_file_check_apart(const struct named_file *place, const char *dir,
                                           struct error *err);

/* What a repository begins with. */
struct key_files {
    const struct named_file *key;
    struct slice key_text;
    const struct named_file *kit;
    struct slice kit_text;
};

/* The key's file, then the kit's, then what MAKE(ARG) does: each durable before the next begins. After a failure those of the
 * files are gone again that this call has made. STATUS_EXISTS: one of them was there. */
NODISCARD enum status key_files_make(const struct key_files *files,
                                     enum status (*make)(void *arg, struct error *err), void *arg,
                                     struct error *err);

/* KEY's text in place of what the file at PLACE has, durably: at every moment, also across a power cut, there is the one or the
 * other, whole. See fs_replace(). */
NODISCARD enum status key_file_replace(const struct named_file *place, const struct key_text *key,
                                       struct error *err);

/* What the repository in the folder DIR says of itself. */
NODISCARD enum status repository_file_read(const char *dir, struct repository *ret_repository,
                                           struct error *err);

/* The folder DIR, made, durably, if it is not there: then *ret_made. */
NODISCARD enum status data_folder_make(const char *dir, bool *ret_made, struct error *err);

/* Takes it back, unless there is something in it. */
void data_folder_remove(const char *dir);

#endif
