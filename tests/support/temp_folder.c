#include "tests/support/temp_folder.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/fs_posix.h"
#include "base/invariant.h"
#include "base/text.h"

void temp_folder_make(char path[TEMP_FOLDER_SIZE])
{
    const char *dir = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe): nobody sets it */

    INVARIANT(
        text_format(path, TEMP_FOLDER_SIZE, "%s/tidemark-test-XXXXXX", dir == NULL ? "/tmp" : dir));
    INVARIANT(mkdtemp(path) != NULL);
}

void temp_folder_remove(const char *path)
{
    struct fs_names dirs = {0};
    struct fs *fs = NULL;
    struct error err = {0};

    INVARIANT(fs_posix_new(path, &fs, &err) == STATUS_OK);
    INVARIANT(fs_names_add(&dirs, "", &err) == STATUS_OK);
    for (size_t i = 0; i < dirs.count; i++) {
        struct fs_names names = {0};

        INVARIANT(fs_list(fs, dirs.names[i], &names, &err) == STATUS_OK);
        for (size_t k = 0; k < names.count; k++) {
            char inner[FS_PATH_SIZE];

            INVARIANT(text_format(inner, sizeof(inner), "%s%s%s", dirs.names[i], i == 0 ? "" : "/",
                                  names.names[k]));
            if (fs_remove(fs, inner, &err) != STATUS_OK) /* a folder with something in it */
                INVARIANT(fs_names_add(&dirs, inner, &err) == STATUS_OK);
        }
        fs_names_deinit(&names);
    }
    for (size_t i = dirs.count; i > 1; i--)
        INVARIANT(fs_remove(fs, dirs.names[i - 1], &err) == STATUS_OK);
    fs_names_deinit(&dirs);
    fs_free(fs);
    INVARIANT(rmdir(path) == 0);
}
