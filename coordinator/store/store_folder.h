/* coordinator/store/store_folder.h: the folder of a repository: making it, and reading the file that makes it one. Thread: the
 * store's; blocks. */
#ifndef COORDINATOR_STORE_STORE_FOLDER_H
#define COORDINATOR_STORE_STORE_FOLDER_H

#include "base/attr.h"
#include "base/error.h"
#include "base/fs.h"
#include "coordinator/store/store_log.h"
#include "format/keys.h"
#include "format/repository.h"

/* Could a repository be made here? Changes nothing, so it comes before the lock, which is a file. STATUS_EXISTS,
 * STATUS_PRECONDITION as in store_create(). */
NODISCARD enum status store_folder_check_free(struct fs *fs, struct error *err);

/* An empty folder that is no repository yet gets its folders and its log; last of all, durably, the file that makes it one,
 * the repository of ID (NULL: a random one). See store_create(). */
NODISCARD enum status store_folder_create(const struct store_log_world *world,
                                          const struct random_id *id, int64_t time_us,
                                          struct error *err);

/* After store_folder_create() failed: removes what it has made, as far as that can be done. */
void store_folder_take_back(struct fs *fs);

/* Reads and checks the file; KEYS are the right ones. See store_open() for the statuses. */
NODISCARD enum status store_folder_read(struct fs *fs, const struct keys *keys,
                                        struct repository *ret_repository, struct error *err);

#endif
