/* tests/golden/golden_make.c: `golden_make OUT KEPT` writes the golden repository into the empty folder OUT, with the
 * credentials and signatures in KEPT (golden.h). */
#include <stdio.h>

#include "base/fs_posix.h"
#include "tests/golden/golden.h"

int main(int argc, char **argv)
{
    struct fs *out = NULL;
    struct fs *kept = NULL;
    struct error err = {0};

    if (argc != 3) {
        (void)fprintf(stderr, "usage: golden_make OUT KEPT\n");
        return 2;
    }
    if (fs_posix_new(argv[1], &out, &err) != STATUS_OK ||
        fs_posix_new(argv[2], &kept, &err) != STATUS_OK) {
        (void)fprintf(stderr, "%s\n", err.text);
        fs_free(out);
        return 1;
    }
    golden_write(out, kept);
    fs_free(out);
    fs_free(kept);
    return 0;
}
