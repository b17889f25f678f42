#include "tests/log_world.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/test.h"

static const struct random_id writer = {{'w'}};

void log_world_init(struct log_world *world, struct fs *fs, uint64_t seed)
{
    static const struct repository_key key = {{7}};
    struct error err = {0};

    *world = (struct log_world){.random = random_seeded_of(seed)};
    world->clock = clock_manual_new();
    assert_int_equal(pipe(world->log_fds), 0);
    assert_int_equal(fcntl(world->log_fds[0], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(fcntl(world->log_fds[1], F_SETFL, O_NONBLOCK), 0);
    ASSERT_OK(log_sink_new(world->log_fds[1], LOG_TEXT, LOG_INFO, clock_manual_source(world->clock),
                           &world->sink, &err),
              &err);
    world->log = log_of(world->sink);
    ASSERT_OK(keys_new(&key, &world->keys, &err), &err);
    world->world = (struct store_log_world){
        .fs = fs,
        .keys = world->keys,
        .random = &world->random.source,
        .log = &world->log,
    };
}

void log_world_deinit(struct log_world *world)
{
    keys_free(world->keys);
    log_sink_free(world->sink);
    clock_manual_free(world->clock);
    (void)close(world->log_fds[0]); /* only lines for the test */
    (void)close(world->log_fds[1]);
}

const char *log_world_lines(struct log_world *world)
{
    ssize_t got = read(world->log_fds[0], world->lines, sizeof(world->lines) - 1);

    world->lines[got > 0 ? got : 0] = '\0';
    return world->lines;
}

enum status log_world_create(struct log_world *world, struct error *err)
{
    enum status st = fs_make_dir(world->world.fs, LOG_DIR, err);

    if (st == STATUS_OK)
        st = fs_sync_dir(world->world.fs, "", err);
    if (st == STATUS_OK)
        st = store_log_create(&world->world, &writer, LOG_WORLD_SPACE, log_history_time(1), err);
    return st;
}

static enum status add_entry(void *arg, const struct log_entry_header *header, struct slice body,
                             struct error *err)
{
    return log_state_add(arg, header, body, err);
}

enum status log_world_open(struct log_world *world, struct log_state **ret_state,
                           struct store_log **ret_log, struct error *err)
{
    struct log_state *state = NULL;
    enum status st = log_state_new(&state, err);

    if (st == STATUS_OK)
        st = store_log_open(&world->world, add_entry, state, ret_log, err);
    if (st != STATUS_OK) {
        log_state_free(state);
        return st;
    }
    *ret_state = state;
    return STATUS_OK;
}

enum status log_world_audit(struct store_log *log, struct log_state **ret_state, struct error *err)
{
    struct log_state *state = NULL;
    enum status st = log_state_new(&state, err);

    if (st == STATUS_OK)
        st = store_log_audit(log, add_entry, state, err);
    if (st != STATUS_OK) {
        log_state_free(state);
        return st;
    }
    *ret_state = state;
    return STATUS_OK;
}

enum status log_world_append(struct store_log *log, struct log_state *state, uint8_t type,
                             struct slice body, struct error *err)
{
    struct log_entry_header header;
    enum status st = log_state_reserve(state, type, body, err);

    if (st == STATUS_OK)
        st = store_log_append(log, type, body, log_history_time(store_log_sequence(log) + 1),
                              &header, err);
    if (st == STATUS_OK)
        st = log_state_add(state, &header, body, err);
    return st;
}

struct log_history log_world_history(struct log_world *world, uint64_t seed)
{
    struct log_history history = log_history_of(seed);
    struct sign_key *signer = NULL;
    struct error err = {0};

    ASSERT_OK(keys_log_signer(world->keys, &writer, &signer, &err), &err);
    sign_key_public(signer, history.public_key);
    sign_key_free(signer);
    history.spaces[history.space_count++] = LOG_WORLD_SPACE;
    history.first_free = 1;
    history.sequence = 1;
    return history;
}

struct hash_digest log_state_digest(const struct log_state *state)
{
    struct hash_digest digest;
    struct buffer items;
    struct error err = {0};

    buffer_init(&items, HISTORY_ITEMS_MAX);
    log_state_items(state, &items);
    ASSERT_OK(hash_sha256(buffer_slice(&items), &digest, &err), &err);
    buffer_deinit(&items);
    return digest;
}
