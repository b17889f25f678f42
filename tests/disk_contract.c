#include "tests/disk_contract.h"

#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "tests/support/loop_wait.h"
#include "tests/support/random_seeded.h"
#include "tests/support/test.h"

/* Not a multiple of 64 KiB, so that the last block is short. */
enum {
    SIZE = 3 * 1024 * 1024 + 7 * 4096,
    UNIT = 4096,
    MANY = DISK_IN_FLIGHT_MAX,
    ONE_TOO_MANY = MANY + 1,
};

/* ---- Opening, and one request at a time ------------------------------------------------------ */

struct waiting_open {
    struct disk_open open;
    struct loop *loop;
    bool done;
    enum status status;
    struct disk *disk;
    struct error err;
};

static void open_done(struct disk_open *open, enum status status, struct disk *disk,
                      const struct error *err)
{
    struct waiting_open *waiting = (struct waiting_open *)open; /* its first member */

    assert_false(waiting->done);
    assert_true((status == STATUS_OK) == (disk != NULL));
    assert_true((status == STATUS_OK) == (err == NULL));
    waiting->status = status;
    waiting->disk = disk;
    if (err != NULL)
        waiting->err = *err;
    waiting->done = true;
    loop_stop(waiting->loop);
}

static enum status await_open(struct disk_world *world, struct waiting_open *waiting,
                              struct disk **ret_disk, struct error *ret_err)
{
    waiting->open.done = open_done;
    waiting->loop = world->loop;
    disk_open_start(world->opener, &waiting->open);
    assert_false(waiting->done); /* never before the start has returned */
    loop_wait(world->loop, &waiting->done);
    *ret_disk = waiting->disk;
    *ret_err = waiting->err;
    return waiting->status;
}

enum status disk_contract_open(struct disk_world *world, const char *path, struct disk **ret_disk,
                               struct error *ret_err)
{
    struct waiting_open waiting = {.open = {.path = path, .kind = DISK_OPEN_FROZEN}};

    return await_open(world, &waiting, ret_disk, ret_err);
}

enum status disk_contract_make(struct disk_world *world, const char *path, uint64_t size,
                               uint32_t sector, struct disk **ret_disk, struct error *ret_err)
{
    struct waiting_open waiting = {
        .open = {.path = path, .kind = DISK_OPEN_NEW, .size = size, .logical_sector = sector}};

    memset(waiting.open.identity, 0x5a, sizeof(waiting.open.identity));
    return await_open(world, &waiting, ret_disk, ret_err);
}

struct waiting_io {
    struct disk_io io;
    struct loop *loop;
    bool done;
    unsigned calls;
    enum status status;
    struct error err;
};

static void io_done(struct disk_io *io, enum status status, const struct error *err)
{
    struct waiting_io *waiting = (struct waiting_io *)io; /* its first member */

    waiting->calls++;
    waiting->status = status;
    assert_true((status == STATUS_OK) == (err == NULL));
    if (err != NULL)
        waiting->err = *err;
    waiting->done = true;
    loop_stop(waiting->loop);
}

enum status disk_contract_io(struct disk_world *world, struct disk *disk, enum disk_io_kind kind,
                             uint64_t offset, void *data, size_t length, struct error *ret_err)
{
    struct waiting_io waiting = {
        .io = {.kind = kind, .offset = offset, .data = data, .length = length, .done = io_done},
        .loop = world->loop};

    disk_io_start(disk, &waiting.io);
    assert_int_equal(waiting.calls, 0); /* never before the start has returned */
    loop_wait(world->loop, &waiting.done);
    assert_int_equal(waiting.calls, 1);
    *ret_err = waiting.err;
    return waiting.status;
}

struct waiting_query {
    struct disk_query query;
    struct loop *loop;
    bool done;
    enum status status;
    struct error err;
};

static void query_done(struct disk_query *query, enum status status, const struct error *err)
{
    struct waiting_query *waiting = (struct waiting_query *)query; /* its first member */

    waiting->status = status;
    assert_true((status == STATUS_OK) == (err == NULL));
    if (err != NULL)
        waiting->err = *err;
    waiting->done = true;
    loop_stop(waiting->loop);
}

enum status disk_contract_query(struct disk_world *world, struct disk *disk, const char *since,
                                uint64_t offset, struct range_list *ranges,
                                uint64_t *ret_covered_to, struct error *ret_err)
{
    struct waiting_query waiting = {
        .query = {.offset = offset, .ranges = ranges, .done = query_done}, .loop = world->loop};

    assert_true(strlen(since) < sizeof(waiting.query.since));
    memcpy(waiting.query.since, since, strlen(since) + 1);
    disk_query_start(disk, &waiting.query);
    assert_false(waiting.done);
    loop_wait(world->loop, &waiting.done);
    *ret_covered_to = waiting.query.covered_to;
    *ret_err = waiting.err;
    return waiting.status;
}

struct waiting_close {
    struct loop_task task;
    struct loop *loop;
    bool done;
};

static void close_done(struct loop_task *task)
{
    struct waiting_close *waiting = (struct waiting_close *)task; /* its first member */

    waiting->done = true;
    loop_stop(waiting->loop);
}

void disk_contract_close(struct disk_world *world, struct disk *disk)
{
    struct waiting_close waiting = {.task = {.run = close_done}, .loop = world->loop};

    disk_close(disk, &waiting.task);
    assert_false(waiting.done);
    loop_wait(world->loop, &waiting.done);
}

/* ---- The world of one test ------------------------------------------------------------------- */

enum { OPEN_MAX = 8 };

/* The world, and beside it what its disk must contain: kept by the test itself. */
struct scene {
    const struct disk_world_ops *ops;
    uint32_t sector;
    struct disk_world *world;
    uint8_t *truth;
    struct disk *open[OPEN_MAX]; /* NULL: a free place */
    struct random_seeded random;
};

static int set_up(void **state)
{
    struct scene *scene = *state;

    scene->world = scene->ops->make_world(SIZE, scene->sector);
    scene->truth = memory_new(SIZE, 1);
    assert_non_null(scene->truth);
    return 0;
}

/* Closes what a test that failed has left open: or its world could not go, and the abort would hide what
 * the test has said. */
static int tear_down(void **state)
{
    struct scene *scene = *state;

    for (size_t i = 0; i < OPEN_MAX; i++) {
        if (scene->open[i] != NULL)
            disk_contract_close(scene->world, scene->open[i]);
        scene->open[i] = NULL;
    }
    scene->ops->free_world(scene->world);
    memory_free(scene->truth);
    return 0;
}

static struct disk *note_open(struct scene *scene, struct disk *disk)
{
    for (size_t i = 0; i < OPEN_MAX; i++) {
        if (scene->open[i] == NULL) {
            scene->open[i] = disk;
            return disk;
        }
    }
    fail_msg("more than %d disks are open", OPEN_MAX);
    return NULL;
}

/* DISK is closed, or about to be. */
static void note_closed(struct scene *scene, const struct disk *disk)
{
    for (size_t i = 0; i < OPEN_MAX; i++)
        if (scene->open[i] == disk)
            scene->open[i] = NULL;
}

static struct disk *freeze(struct scene *scene)
{
    char path[DISK_WORLD_PATH_SIZE];
    struct disk *disk = NULL;
    struct error err = {0};

    scene->ops->freeze(scene->world, path);
    ASSERT_OK(disk_contract_open(scene->world, path, &disk, &err), &err);
    return note_open(scene, disk);
}

static struct disk *make_disk(struct scene *scene)
{
    struct disk *disk = NULL;
    struct error err = {0};

    ASSERT_OK(disk_contract_make(scene->world, scene->world->new_path, SIZE, scene->sector, &disk,
                                 &err),
              &err);
    return note_open(scene, disk);
}

static void close_disk(struct scene *scene, struct disk *disk)
{
    note_closed(scene, disk);
    disk_contract_close(scene->world, disk);
}

static void guest_writes(struct scene *scene, uint64_t offset, size_t length)
{
    struct error err = {0};

    ASSERT_OK(random_bytes(&scene->random.source, scene->truth + offset, length, &err), &err);
    scene->ops->guest_write(scene->world, offset, slice_of(scene->truth + offset, length));
}

static void guest_trims(struct scene *scene, uint64_t offset, size_t length)
{
    memset(scene->truth + offset, 0, length);
    scene->ops->guest_trim(scene->world, offset, length);
}

/* COUNT writes and trims of whole sectors, of up to 64 KiB, anywhere. */
static void guest_works(struct scene *scene, unsigned count)
{
    size_t sector = scene->sector;

    for (unsigned i = 0; i < count; i++) {
        uint64_t sectors = SIZE / sector;
        uint64_t first = random_seeded_below(&scene->random, sectors);
        uint64_t most = 65536 / sector < sectors - first ? 65536 / sector : sectors - first;
        size_t length = (size_t)((1 + random_seeded_below(&scene->random, most)) * sector);

        if (random_seeded_below(&scene->random, 5) == 0)
            guest_trims(scene, first * sector, length);
        else
            guest_writes(scene, first * sector, length);
    }
}

static void assert_content(struct scene *scene, struct disk *disk, const uint8_t *truth)
{
    uint8_t *data = memory_new(SIZE, 1);
    struct error err = {0};

    assert_non_null(data);
    ASSERT_OK(disk_contract_io(scene->world, disk, DISK_READ, 0, data, SIZE, &err), &err);
    assert_memory_equal(data, truth, SIZE);
    memory_free(data);
}

/* ---- What a disk says of itself -------------------------------------------------------------- */

static void a_frozen_disk_names_its_state_and_itself(void **state)
{
    struct scene *scene = *state;
    struct disk *first = freeze(scene);
    const struct disk_info *info = disk_info(first);
    struct disk_info before = *info;

    assert_true(info->size == SIZE);
    assert_int_equal(info->logical_sector, scene->sector);
    assert_true(info->physical_sector >= info->logical_sector);
    assert_false(info->writable);
    assert_in_range(strlen(info->change_id), 1, DISK_CHANGE_ID_SIZE - 1);
    assert_false(slice_is_zero(slice_of(info->identity, sizeof(info->identity))));
    close_disk(scene, first);

    struct disk *second = freeze(scene);

    assert_memory_equal(disk_info(second)->identity, before.identity, sizeof(before.identity));
    assert_string_not_equal(disk_info(second)->change_id, before.change_id);
    close_disk(scene, second);
}

static void a_frozen_disk_stays_as_it_was_while_the_guest_writes_on(void **state)
{
    struct scene *scene = *state;
    uint8_t *then = memory_new(SIZE, 1);

    assert_non_null(then);
    guest_works(scene, 30);
    memcpy(then, scene->truth, SIZE);

    struct disk *frozen = freeze(scene);

    guest_works(scene, 30);
    assert_content(scene, frozen, then);

    struct disk *later = freeze(scene);

    assert_content(scene, later, scene->truth);
    assert_content(scene, frozen, then);
    close_disk(scene, frozen);
    close_disk(scene, later);
    memory_free(then);
}

/* ---- Requests -------------------------------------------------------------------------------- */

static void a_wrong_request_is_refused_with_a_sentence(void **state)
{
    struct scene *scene = *state;
    struct disk *disk = freeze(scene);
    uint32_t sector = disk_info(disk)->logical_sector;
    static uint8_t data[DISK_IO_MAX + 4096];

    const struct {
        uint64_t offset;
        size_t length;
        enum disk_io_kind kind;
        enum status expected;
    } rows[] = {
        {1, sector, DISK_READ, STATUS_INVALID},
        {sector / 2, sector, DISK_READ, STATUS_INVALID},
        {0, sector + 1, DISK_READ, STATUS_INVALID},
        {0, 0, DISK_READ, STATUS_INVALID},
        {0, DISK_IO_MAX + sector, DISK_READ, STATUS_INVALID},
        {SIZE, sector, DISK_READ, STATUS_RANGE},
        {SIZE - sector, 2 * (size_t)sector, DISK_READ, STATUS_RANGE},
        {UINT64_MAX - UINT64_MAX % sector, sector, DISK_READ, STATUS_RANGE},
        {0, sector, DISK_WRITE, STATUS_DENIED},
        {0, 0, DISK_FLUSH, STATUS_DENIED},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct error err = {0};

        ASSERT_STATUS(rows[i].expected,
                      disk_contract_io(scene->world, disk, rows[i].kind, rows[i].offset, data,
                                       rows[i].length, &err),
                      &err);
        assert_true(strlen(err.text) > 10);
    }
    close_disk(scene, disk);
}

/* Many requests at once. */
struct crowd {
    struct loop *loop;
    unsigned started;
    unsigned done;
    bool all_done;
    bool starting; /* or cancelling: no callback may come */
};

struct member {
    struct disk_io io;
    struct crowd *crowd;
    unsigned calls;
    enum status status;
    size_t length;
    uint8_t data[8192];
};

static void member_done(struct disk_io *io, enum status status, const struct error *err)
{
    struct member *member = (struct member *)io; /* its first member */
    struct crowd *crowd = member->crowd;

    assert_false(crowd->starting);
    assert_true((status == STATUS_OK) == (err == NULL));
    member->calls++;
    member->status = status;
    if (++crowd->done == crowd->started) {
        crowd->all_done = true;
        loop_stop(crowd->loop);
    }
}

static struct member *new_members(struct crowd *crowd, size_t count)
{
    struct member *members = memory_new(count, sizeof(*members));

    assert_non_null(members);
    for (size_t i = 0; i < count; i++)
        members[i].crowd = crowd;
    return members;
}

static void start_member(struct disk *disk, struct member *member, enum disk_io_kind kind,
                         uint64_t offset, size_t length)
{
    member->io.kind = kind;
    member->io.offset = offset;
    member->io.data = member->data;
    member->io.length = length;
    member->io.done = member_done;
    member->crowd->started++;
    member->crowd->starting = true;
    disk_io_start(disk, &member->io);
    member->crowd->starting = false;
}

/* Never answered from within the call. */
static void cancel_member(struct member *member)
{
    member->crowd->starting = true;
    disk_io_cancel(&member->io);
    member->crowd->starting = false;
}

static void many_reads_in_flight_each_bring_their_own_bytes_once(void **state)
{
    struct scene *scene = *state;
    struct crowd crowd = {.loop = scene->world->loop};
    struct member *members = new_members(&crowd, MANY);

    guest_works(scene, 60);

    struct disk *disk = freeze(scene);

    for (unsigned i = 0; i < MANY; i++) {
        uint64_t offset = random_seeded_below(&scene->random, SIZE / 4096 - 1) * 4096;

        start_member(disk, &members[i], DISK_READ, offset,
                     4096 * (size_t)(1 + random_seeded_below(&scene->random, 2)));
    }
    loop_wait(scene->world->loop, &crowd.all_done);
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(members[i].calls, 1);
        assert_int_equal(members[i].status, STATUS_OK);
        assert_memory_equal(members[i].data, scene->truth + members[i].io.offset,
                            members[i].io.length);
    }
    close_disk(scene, disk);
    memory_free(members);
}

static void one_request_too_many_is_refused_and_harms_no_other(void **state)
{
    struct scene *scene = *state;
    struct crowd crowd = {.loop = scene->world->loop};
    struct member *members = new_members(&crowd, ONE_TOO_MANY);
    struct disk *disk = freeze(scene);

    for (unsigned i = 0; i < ONE_TOO_MANY; i++)
        start_member(disk, &members[i], DISK_READ, (uint64_t)i * 4096, 4096);
    loop_wait(scene->world->loop, &crowd.all_done);
    for (unsigned i = 0; i < ONE_TOO_MANY; i++) {
        assert_int_equal(members[i].calls, 1);
        assert_int_equal(members[i].status, i < MANY ? STATUS_OK : STATUS_UNAVAILABLE);
    }
    close_disk(scene, disk);
    memory_free(members);
}

static void a_cancelled_request_comes_back_once(void **state)
{
    struct scene *scene = *state;
    struct crowd crowd = {.loop = scene->world->loop};
    struct member *members = new_members(&crowd, MANY);

    guest_works(scene, 60);

    struct disk *disk = freeze(scene);

    for (unsigned i = 0; i < MANY; i++)
        start_member(disk, &members[i], DISK_READ, (uint64_t)i * 4096, 4096);
    for (unsigned i = 0; i < MANY; i += 2)
        cancel_member(&members[i]);
    cancel_member(&members[0]); /* twice */
    loop_wait(scene->world->loop, &crowd.all_done);
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(members[i].calls, 1);
        if (i % 2 == 0 && members[i].status == STATUS_CANCELLED)
            continue;
        assert_int_equal(members[i].status, STATUS_OK);
        assert_memory_equal(members[i].data, scene->truth + members[i].io.offset, 4096);
    }
    cancel_member(&members[1]); /* late */
    close_disk(scene, disk);
    memory_free(members);
}

static void closing_waits_for_all_that_is_in_flight(void **state)
{
    struct scene *scene = *state;
    struct crowd crowd = {.loop = scene->world->loop};
    struct member *members = new_members(&crowd, MANY);
    struct disk *disk = freeze(scene);
    struct waiting_close waiting = {.task = {.run = close_done}, .loop = scene->world->loop};

    for (unsigned i = 0; i < MANY - 1; i++)
        start_member(disk, &members[i], DISK_READ, (uint64_t)i * 4096, 4096);
    start_member(disk, &members[MANY - 1], DISK_READ, 1, 4096); /* to be refused */
    note_closed(scene, disk);
    disk_close(disk, &waiting.task);
    loop_wait(scene->world->loop, &waiting.done);
    assert_int_equal(crowd.done, MANY);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(members[i].calls, 1);
    assert_int_equal(members[MANY - 1].status, STATUS_INVALID);
    memory_free(members);
}

struct closer {
    struct member member; /* first: one of the crowd */
    struct disk *disk;
    struct loop_task *on_closed;
};

static void close_from_done(struct disk_io *io, enum status status, const struct error *err)
{
    struct closer *closer = (struct closer *)io; /* its first member's first member */

    member_done(io, status, err);
    disk_close(closer->disk, closer->on_closed);
}

static void a_disk_may_be_closed_in_a_callback(void **state)
{
    struct scene *scene = *state;
    struct crowd crowd = {.loop = scene->world->loop};
    struct member *members = new_members(&crowd, MANY - 1);
    struct waiting_close waiting = {.task = {.run = close_done}, .loop = scene->world->loop};
    struct closer *closer = memory_new(1, sizeof(*closer));

    assert_non_null(closer);
    closer->member.crowd = &crowd;
    closer->disk = freeze(scene);
    closer->on_closed = &waiting.task;
    start_member(closer->disk, &closer->member, DISK_READ, 0, 4096);
    closer->member.io.done = close_from_done;
    for (unsigned i = 0; i < MANY - 1; i++)
        start_member(closer->disk, &members[i], DISK_READ, (uint64_t)i * 4096, 4096);
    note_closed(scene, closer->disk);
    loop_wait(scene->world->loop, &waiting.done);
    assert_int_equal(crowd.done, MANY);
    for (unsigned i = 0; i < MANY - 1; i++)
        assert_int_equal(members[i].calls, 1);
    memory_free(closer);
    memory_free(members);
}

static void a_wrong_request_that_is_cancelled_is_still_told_what_is_wrong(void **state)
{
    struct scene *scene = *state;
    struct crowd crowd = {.loop = scene->world->loop};
    struct member *member = new_members(&crowd, 1);
    struct disk *disk = freeze(scene);

    start_member(disk, member, DISK_READ, 1, 4096);
    cancel_member(member);
    loop_wait(scene->world->loop, &crowd.all_done);
    assert_int_equal(member->calls, 1);
    assert_int_equal(member->status, STATUS_INVALID);
    close_disk(scene, disk);
    memory_free(member);
}

static void a_cancelled_query_comes_back_once(void **state)
{
    struct scene *scene = *state;
    struct disk *disk = freeze(scene);
    struct range_list ranges;
    struct waiting_query waiting = {.query = {.ranges = &ranges, .done = query_done},
                                    .loop = scene->world->loop};

    range_list_init(&ranges, 10);
    disk_query_start(disk, &waiting.query);
    disk_query_cancel(&waiting.query);
    assert_false(waiting.done); /* not from within the call */
    loop_wait(scene->world->loop, &waiting.done);
    assert_true(waiting.status == STATUS_OK || waiting.status == STATUS_CANCELLED);
    disk_query_cancel(&waiting.query); /* late */
    close_disk(scene, disk);
    range_list_deinit(&ranges);
}

/* ---- Ranges ---------------------------------------------------------------------------------- */

/* All ranges of DISK with answers of at most LIMIT: marks in COVERED what they name. */
static void collect(struct scene *scene, struct disk *disk, const char *since, size_t limit,
                    uint8_t *covered)
{
    struct range_list ranges;
    uint64_t offset = 0;
    uint64_t end = 0;

    range_list_init(&ranges, limit);
    memset(covered, 0, SIZE);
    while (offset < SIZE) {
        uint64_t covered_to = 0;
        struct error err = {0};

        ASSERT_OK(disk_contract_query(scene->world, disk, since, offset, &ranges, &covered_to,
                                      &err),
                  &err);
        assert_true(covered_to > offset && covered_to <= SIZE);
        assert_true(ranges.count <= limit);
        for (size_t i = 0; i < ranges.count; i++) {
            const struct range *range = &ranges.ranges[i];

            assert_true(range->length > 0);
            assert_true(range->offset >= (i == 0 ? offset : end + 1));
            end = range->offset + range->length;
            assert_true(end <= covered_to);
            memset(covered + range->offset, 1, (size_t)range->length);
        }
        offset = covered_to;
    }
    range_list_deinit(&ranges);
}

static void all_that_is_not_zero_is_allocated(void **state)
{
    struct scene *scene = *state;
    static const size_t limits[] = {1, 2, 3, 1000};
    uint8_t *covered = memory_new(SIZE, 1);

    assert_non_null(covered);
    for (unsigned round = 0; round < 4; round++) {
        guest_works(scene, 8);

        struct disk *disk = freeze(scene);

        for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
            collect(scene, disk, "", limits[i], covered);
            for (size_t at = 0; at < SIZE; at++)
                assert_true(covered[at] || scene->truth[at] == 0);
        }
        close_disk(scene, disk);
    }
    memory_free(covered);
}

static void an_empty_disk_has_nothing_to_read(void **state)
{
    struct scene *scene = *state;
    struct disk *disk = freeze(scene);
    uint8_t *covered = memory_new(SIZE, 1);

    assert_non_null(covered);
    collect(scene, disk, "", 10, covered);
    assert_true(!scene->ops->exact_allocation || slice_is_zero(slice_of(covered, SIZE)));
    close_disk(scene, disk);
    memory_free(covered);
}

/* Keeps the frozen states of the past, and asks from each of them. */
static void all_that_changed_since_any_state_is_reported(void **state)
{
    enum { STATES = 5 };
    struct scene *scene = *state;
    static const size_t limits[] = {1, 2, 7, 1000};
    uint8_t *covered = memory_new(SIZE, 1);
    uint8_t *then[STATES];
    struct disk_info info[STATES];

    assert_non_null(covered);
    for (unsigned now = 0; now < STATES; now++) {
        guest_works(scene, now == 0 ? 40 : 6);
        then[now] = memory_new(SIZE, 1);
        assert_non_null(then[now]);
        memcpy(then[now], scene->truth, SIZE);

        struct disk *disk = freeze(scene);

        info[now] = *disk_info(disk);
        for (unsigned since = 0; since <= now; since++) {
            collect(scene, disk, info[since].change_id, limits[(now + since) % 4], covered);
            for (size_t at = 0; at < SIZE; at++)
                assert_true(covered[at] || then[since][at] == then[now][at]);
        }
        close_disk(scene, disk);
    }
    for (unsigned now = 0; now < STATES; now++)
        memory_free(then[now]);
    memory_free(covered);
}

static void nothing_changed_is_an_empty_answer(void **state)
{
    struct scene *scene = *state;
    uint8_t *covered = memory_new(SIZE, 1);

    assert_non_null(covered);
    guest_works(scene, 20);

    struct disk *before = freeze(scene);
    struct disk_info info = *disk_info(before);
    struct disk *now = freeze(scene);

    collect(scene, now, info.change_id, 10, covered);
    assert_true(!scene->ops->exact_changes || slice_is_zero(slice_of(covered, SIZE)));
    close_disk(scene, before);
    close_disk(scene, now);
    memory_free(covered);
}

static void a_state_that_is_not_known_is_not_found(void **state)
{
    struct scene *scene = *state;
    struct disk *before = freeze(scene);
    struct disk_info info = *disk_info(before);
    struct range_list ranges;
    uint64_t covered_to = 0;
    struct error err = {0};

    range_list_init(&ranges, 10);
    close_disk(scene, before);
    guest_works(scene, 3);

    struct disk *disk = freeze(scene);
    static const char *const unknown[] = {"0123456789abcdef0123456789abcdef", "nonsense",
                                          "../identity", "identity"};

    for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
        ASSERT_STATUS(STATUS_NOT_FOUND,
                      disk_contract_query(scene->world, disk, unknown[i], 0, &ranges, &covered_to,
                                          &err),
                      &err);
    scene->ops->forget(scene->world, info.change_id);
    ASSERT_STATUS(STATUS_NOT_FOUND,
                  disk_contract_query(scene->world, disk, info.change_id, 0, &ranges, &covered_to,
                                      &err),
                  &err);
    close_disk(scene, disk);
    range_list_deinit(&ranges);
}

static void a_query_past_the_end_is_refused(void **state)
{
    struct scene *scene = *state;
    struct disk *disk = freeze(scene);
    struct range_list ranges;
    uint64_t covered_to = 0;
    struct error err = {0};

    range_list_init(&ranges, 10);
    ASSERT_STATUS(STATUS_RANGE,
                  disk_contract_query(scene->world, disk, "", SIZE, &ranges, &covered_to, &err),
                  &err);
    close_disk(scene, disk);
    range_list_deinit(&ranges);
}

/* ---- New disks ------------------------------------------------------------------------------- */

static void what_is_written_to_a_new_disk_is_read_back(void **state)
{
    struct scene *scene = *state;
    struct crowd crowd = {.loop = scene->world->loop};
    struct member *members = new_members(&crowd, MANY);
    struct disk *disk = make_disk(scene);
    struct error err = {0};

    assert_true(disk_info(disk)->writable);
    assert_true(disk_info(disk)->size == SIZE);
    assert_content(scene, disk, scene->truth); /* all zero */
    /* Every third unit, in an order of chance, all in flight at once; the last one too. */
    for (unsigned i = 0; i < MANY; i++) {
        uint64_t unit = i == 0 ? SIZE / UNIT - 1 : (uint64_t)i * 3 - 3 + i % 2;
        uint8_t *truth = scene->truth + unit * UNIT;

        ASSERT_OK(random_bytes(&scene->random.source, truth, UNIT, &err), &err);
        memcpy(members[i].data, truth, UNIT);
        start_member(disk, &members[i], DISK_WRITE, unit * UNIT, UNIT);
    }
    loop_wait(scene->world->loop, &crowd.all_done);
    for (unsigned i = 0; i < MANY; i++) {
        assert_int_equal(members[i].calls, 1);
        assert_int_equal(members[i].status, STATUS_OK);
        assert_memory_equal(members[i].data, scene->truth + members[i].io.offset, UNIT);
    }
    ASSERT_OK(disk_contract_io(scene->world, disk, DISK_FLUSH, 0, NULL, 0, &err), &err);
    ASSERT_STATUS(STATUS_INVALID,
                  disk_contract_io(scene->world, disk, DISK_FLUSH, 0, NULL, UNIT, &err), &err);
    ASSERT_STATUS(STATUS_RANGE,
                  disk_contract_io(scene->world, disk, DISK_WRITE, SIZE, members[0].data, UNIT,
                                   &err),
                  &err);
    assert_content(scene, disk, scene->truth);
    close_disk(scene, disk);
    memory_free(members);
}

static void one_flush_at_a_time_is_in_flight(void **state)
{
    struct scene *scene = *state;
    struct crowd crowd = {.loop = scene->world->loop};
    struct member *members = new_members(&crowd, 2);
    struct disk *disk = make_disk(scene);
    struct error err = {0};

    for (unsigned i = 0; i < 2; i++)
        start_member(disk, &members[i], DISK_FLUSH, 0, 0);
    loop_wait(scene->world->loop, &crowd.all_done);
    assert_int_equal(members[0].status, STATUS_OK);
    assert_int_equal(members[1].status, STATUS_UNAVAILABLE);
    ASSERT_OK(disk_contract_io(scene->world, disk, DISK_FLUSH, 0, NULL, 0, &err), &err);
    close_disk(scene, disk);
    memory_free(members);
}

static void a_disk_that_cannot_be_is_refused(void **state)
{
    struct scene *scene = *state;
    const char *path = scene->world->new_path;

    static const struct {
        uint64_t size;
        uint32_t sector;
    } wrong[] = {{0, 512}, {1000, 512}, {4096 + 512, 4096}, {4096, 0}, {4096, 1024}, {4096, 8192}};
    struct disk *disk = NULL;
    struct error err = {0};

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        ASSERT_STATUS(STATUS_INVALID,
                      disk_contract_make(scene->world, path, wrong[i].size, wrong[i].sector, &disk,
                                         &err),
                      &err);
    ASSERT_STATUS(STATUS_NOT_FOUND, disk_contract_open(scene->world, path, &disk, &err), &err);
    disk = make_disk(scene);
    assert_int_equal(disk_info(disk)->logical_sector, scene->sector);

    struct disk *second = NULL;

    ASSERT_STATUS(STATUS_EXISTS,
                  disk_contract_make(scene->world, path, SIZE, scene->sector, &second, &err), &err);
    assert_content(scene, disk, scene->truth); /* and the first one is as it was */
    close_disk(scene, disk);
}

int disk_contract(const struct disk_world_ops *ops, uint32_t sector)
{
    struct scene scene = {.ops = ops, .sector = sector};
    char group[80];
    const struct CMUnitTest tests[] = {
#define CONTRACT(TEST) cmocka_unit_test_prestate_setup_teardown(TEST, set_up, tear_down, &scene)
        CONTRACT(a_frozen_disk_names_its_state_and_itself),
        CONTRACT(a_frozen_disk_stays_as_it_was_while_the_guest_writes_on),
        CONTRACT(a_wrong_request_is_refused_with_a_sentence),
        CONTRACT(many_reads_in_flight_each_bring_their_own_bytes_once),
        CONTRACT(one_request_too_many_is_refused_and_harms_no_other),
        CONTRACT(a_cancelled_request_comes_back_once),
        CONTRACT(closing_waits_for_all_that_is_in_flight),
        CONTRACT(a_disk_may_be_closed_in_a_callback),
        CONTRACT(a_wrong_request_that_is_cancelled_is_still_told_what_is_wrong),
        CONTRACT(a_cancelled_query_comes_back_once),
        CONTRACT(all_that_is_not_zero_is_allocated),
        CONTRACT(an_empty_disk_has_nothing_to_read),
        CONTRACT(all_that_changed_since_any_state_is_reported),
        CONTRACT(nothing_changed_is_an_empty_answer),
        CONTRACT(a_state_that_is_not_known_is_not_found),
        CONTRACT(a_query_past_the_end_is_refused),
        CONTRACT(what_is_written_to_a_new_disk_is_read_back),
        CONTRACT(one_flush_at_a_time_is_in_flight),
        CONTRACT(a_disk_that_cannot_be_is_refused),
#undef CONTRACT
    };

    assert_true(text_format(group, sizeof(group), "disk contract: %s, sectors of %" PRIu32,
                            ops->name, sector));
    scene.random = random_seeded_of(test_seed(group));
    return cmocka_run_group_tests_name(group, tests, NULL, NULL);
}
