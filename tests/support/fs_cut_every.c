#include "tests/support/fs_cut_every.h"

#include "tests/support/test.h"

typedef void check_state(void *arg, size_t upto, struct fs *fs, const char *state);

/* All states of one cut; returns how many. */
static uint64_t check_cut(struct fs_cut *cut, size_t upto, check_state *check, void *arg)
{
    struct fs *fs = NULL;
    uint64_t states = 0;
    struct error err = {0};

    ASSERT_OK(fs_cut_next(cut, &fs, &err), &err);
    while (fs != NULL) {
        check(arg, upto, fs, fs_cut_name(cut));
        fs_free(fs);
        states++;
        ASSERT_OK(fs_cut_next(cut, &fs, &err), &err);
    }
    return states;
}

uint64_t fs_cut_every(const struct fs_log *log, const struct fs_cut_options *options,
                      check_state *check, void *arg)
{
    struct fs_cuts *cuts = fs_cuts_new(log, options);
    uint64_t states = 0;

    for (size_t upto = 0; upto <= log->count; upto++) {
        struct fs_cut *cut = fs_cuts_at(cuts, upto);

        states += check_cut(cut, upto, check, arg);
        fs_cut_free(cut);
    }
    fs_cuts_free(cuts);
    return states;
}
