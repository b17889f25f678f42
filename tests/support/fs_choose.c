#include "tests/support/fs_choose.h"

#include "base/invariant.h"
#include "tests/support/double_heap.h"
#include "tests/support/random_seeded.h"

/* The choices come in groups; of a group that is too large for the cap, some, evenly spread. */
enum { GROUP_WHOLE, GROUP_KINDS, GROUP_OWNERS, GROUP_SAMPLES, GROUP_SINGLES, GROUP_COUNT };

struct group {
    uint64_t count; /* choices in it */
    uint64_t take;  /* of them */
    uint64_t first;
};

/* What a random choice does with the atoms of one file or folder. */
enum fate { FATE_KEPT, FATE_LOST, FATE_PREFIX, FATE_SHORT_PREFIX, FATE_COINS, FATE_COUNT };

struct owner {
    uint64_t node;
    uint64_t count; /* atoms */
    enum fate fate; /* in the choice that is made now, as is what follows */
    uint64_t prefix;
    uint64_t seen;
};

struct fs_choose {
    const struct fs_atom *const *atoms;
    size_t count;
    struct fs_choose_limits limits;
    bool exhaustive;
    uint64_t total;
    uint64_t next;                            /* how many were given out */
    uint64_t mask;                            /* exhaustive: all from here on were */
    uint32_t above[FS_CHOOSE_EXHAUSTIVE_MAX]; /* exhaustive: atoms that make the ith superfluous */
    struct group groups[GROUP_COUNT];
    struct owner *owners;
    size_t owner_count;
    size_t *owner_of; /* of the ith atom, in OWNERS */
};

/* A growth shows nothing where a larger one, or a piece behind it, of the same write is kept. */
static uint32_t superfluous_by(const struct fs_choose *choose, size_t grow)
{
    const struct fs_atom *atom = choose->atoms[grow];
    uint32_t mask = 0;

    if (atom->kind != FS_ATOM_GROW)
        return 0;
    for (size_t i = grow + 1; i < choose->count && choose->atoms[i]->op == atom->op; i++) {
        if (choose->atoms[i]->offset + choose->atoms[i]->size >= atom->size)
            mask |= 1U << i;
    }
    return mask;
}

/* The next choice below MASK, downwards, that keeps nothing superfluous. */
static uint64_t next_mask(const struct fs_choose *choose, uint64_t mask)
{
    mask--;
    for (size_t i = choose->count; i > 0; i--) {
        if ((mask >> (i - 1) & 1) == 0 || (mask & choose->above[i - 1]) == 0)
            continue;
        /* Whatever is below it: the next one is without it. */
        mask = (mask >> (i - 1) << (i - 1)) - 1;
    }
    return mask;
}

static void plan_exhaustive(struct fs_choose *choose)
{
    choose->mask = (uint64_t)1 << choose->count;
    for (size_t i = 0; i < choose->count; i++)
        choose->above[i] = superfluous_by(choose, i);
    for (uint64_t mask = choose->mask; mask > 0; mask = next_mask(choose, mask))
        choose->total++;
}

/* Fills OWNERS and OWNER_OF. */
static void find_owners(struct fs_choose *choose)
{
    uint64_t last = 0;

    for (size_t i = 0; i < choose->count; i++)
        last = choose->atoms[i]->owner > last ? choose->atoms[i]->owner : last;
    size_t *index = double_new((size_t)last + 1, sizeof(*index)); /* of an owner, from 1 */

    choose->owners = double_new(choose->count, sizeof(*choose->owners));
    choose->owner_of = double_new(choose->count, sizeof(*choose->owner_of));
    for (size_t i = 0; i < choose->count; i++) {
        uint64_t node = choose->atoms[i]->owner;

        if (index[node] == 0) {
            choose->owners[choose->owner_count].node = node;
            choose->owner_count++;
            index[node] = choose->owner_count;
        }
        choose->owner_of[i] = index[node] - 1;
        choose->owners[index[node] - 1].count++;
    }
    double_free(index);
}

static void take(struct group *group, uint64_t most, struct random_seeded *random)
{
    group->take = group->count < most ? group->count : most;
    group->first = group->take < group->count ? random_seeded_below(random, group->count) : 0;
}

static void plan_some(struct fs_choose *choose)
{
    struct group *groups = choose->groups;
    struct random_seeded random = random_seeded_of(choose->limits.seed);
    uint64_t left = choose->limits.max_states == 0 ? UINT64_MAX : choose->limits.max_states;
    size_t names = 0;

    find_owners(choose);
    for (size_t i = 0; i < choose->count; i++)
        names += fs_atom_is_content(choose->atoms[i]->kind) ? 0 : 1;
    groups[GROUP_WHOLE].count = 2;
    groups[GROUP_KINDS].count = names > 0 && names < choose->count ? 2 : 0;
    groups[GROUP_OWNERS].count = choose->owner_count > 1 ? 2 * choose->owner_count : 0;
    groups[GROUP_SAMPLES].count = choose->limits.samples;
    groups[GROUP_SINGLES].count = 3 * (uint64_t)choose->count - 1;
    for (size_t i = 0; i < GROUP_COUNT; i++) {
        bool shares = i == GROUP_OWNERS || i == GROUP_SAMPLES;

        take(&groups[i], shares ? left / (i == GROUP_OWNERS ? 3 : 2) : left, &random);
        left -= groups[i].take;
        choose->total += groups[i].take;
    }
}

struct fs_choose *fs_choose_new(const struct fs_atom *const *atoms, size_t count,
                                const struct fs_choose_limits *limits)
{
    struct fs_choose *choose = double_new(1, sizeof(*choose));
    size_t grows = 0;

    INVARIANT(limits->exhaustive <= FS_CHOOSE_EXHAUSTIVE_MAX);
    INVARIANT(limits->max_states == 0 || limits->max_states >= FS_CHOOSE_LEAST);
    *choose = (struct fs_choose){.atoms = atoms, .count = count, .limits = *limits};
    for (size_t i = 0; i < count; i++)
        grows += atoms[i]->kind == FS_ATOM_GROW ? 1 : 0;
    choose->exhaustive = count - grows <= limits->exhaustive && count <= FS_CHOOSE_EXHAUSTIVE_MAX;
    if (choose->exhaustive)
        plan_exhaustive(choose);
    if (choose->exhaustive && limits->max_states != 0 && choose->total > limits->max_states) {
        choose->exhaustive = false;
        choose->total = 0;
    }
    if (!choose->exhaustive)
        plan_some(choose);
    return choose;
}

void fs_choose_free(struct fs_choose *choose)
{
    if (choose == NULL)
        return;
    double_free(choose->owners);
    double_free(choose->owner_of);
    double_free(choose);
}

uint64_t fs_choose_count(const struct fs_choose *choose)
{
    return choose->total;
}

/* One atom lost, one kept, or a beginning kept. */
static void choose_single(const struct fs_choose *choose, uint64_t index, bool *kept)
{
    const uint64_t n = choose->count;

    for (uint64_t i = 0; i < n; i++) {
        if (index < n)
            kept[i] = i != index;
        else if (index < 2 * n)
            kept[i] = i == index - n;
        else
            kept[i] = i <= index - 2 * n;
    }
}

static bool is_kept_at_random(struct owner *owner, const struct fs_atom *atom,
                              struct random_seeded *random)
{
    uint64_t rank = owner->seen;

    owner->seen++;
    switch (owner->fate) {
    case FATE_KEPT:
        return true;
    case FATE_LOST:
    case FATE_COUNT:
        return false;
    case FATE_PREFIX:
        return rank < owner->prefix;
    case FATE_SHORT_PREFIX: /* the file ends where the last piece does */
        return rank < owner->prefix && atom->kind != FS_ATOM_GROW;
    case FATE_COINS:
        return random_seeded_below(random, 2) == 1;
    }
    return false;
}

static void choose_at_random(struct fs_choose *choose, uint64_t index, bool *kept)
{
    struct random_seeded random =
        random_seeded_of(choose->limits.seed ^ ((index + 1) * 0x9e3779b97f4a7c15U));

    for (size_t i = 0; i < choose->owner_count; i++) {
        struct owner *owner = &choose->owners[i];

        owner->fate = (enum fate)random_seeded_below(&random, FATE_COUNT);
        owner->prefix = random_seeded_below(&random, owner->count + 1);
        owner->seen = 0;
    }
    for (size_t i = 0; i < choose->count; i++)
        kept[i] =
            is_kept_at_random(&choose->owners[choose->owner_of[i]], choose->atoms[i], &random);
}

/* The INDEXth of GROUP. */
static void choose_some(struct fs_choose *choose, size_t group, uint64_t index, bool *kept)
{
    if (group == GROUP_SINGLES) {
        choose_single(choose, index, kept);
        return;
    }
    if (group == GROUP_SAMPLES) {
        choose_at_random(choose, index, kept);
        return;
    }
    for (size_t i = 0; i < choose->count; i++) {
        if (group == GROUP_WHOLE)
            kept[i] = index == 0;
        else if (group == GROUP_KINDS)
            kept[i] = fs_atom_is_content(choose->atoms[i]->kind) == (index == 0);
        else
            kept[i] = (choose->owner_of[i] == index / 2) == (index % 2 == 0);
    }
}

bool fs_choose_next(struct fs_choose *choose, bool *kept)
{
    uint64_t index = choose->next;

    if (index == choose->total)
        return false;
    choose->next++;
    if (choose->exhaustive) {
        choose->mask = next_mask(choose, choose->mask);
        for (size_t i = 0; i < choose->count; i++)
            kept[i] = (choose->mask >> i & 1) != 0;
        return true;
    }
    size_t group = 0;

    while (index >= choose->groups[group].take) {
        index -= choose->groups[group].take;
        group++;
    }
    const struct group *from = &choose->groups[group];

    choose_some(choose, group, (from->first + index * from->count / from->take) % from->count,
                kept);
    return true;
}
