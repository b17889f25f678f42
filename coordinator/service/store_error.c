#include "coordinator/service/store_error.h"

#include <errno.h>

#include "coordinator/store/block_reader.h"

enum status store_error_explain(enum status status, struct error *err)
{
    if (status == STATUS_OK || err->kind != NATIVE_ERRNO ||
        (err->native != ENOSPC && err->native != EDQUOT))
        return status;
    return error_wrap(err, "the repository's file system is full; start the backup again when "
                           "there is room");
}

enum status store_error_check_generation(const struct store *store, uint64_t generation,
                                         struct error *err)
{
    if (store_generation(store) == generation)
        return STATUS_OK;
    return error_set(
        err, STATUS_ABORTED,
        "the repository had to let go of what it was sent: its disk has failed, or its "
        "caches were made anew; start the backup again");
}

bool store_error_is_damage(enum status status)
{
    return block_is_damage(status);
}
