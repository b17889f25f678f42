#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fs_posix.h"
#include "format/kit.h"
#include "format/repository.h"
#include "recover/unlock.h"
#include "tests/support/random_seeded.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test.h"

static const struct random_id ours = {{1, 2, 3}};
static const struct repository_key key = {{9, 8, 7}};

struct world {
    char folder[TEMP_FOLDER_SIZE];
    char kit[TEMP_FOLDER_SIZE + 16];
    char right[TEMP_FOLDER_SIZE + 16];
    char wrong[TEMP_FOLDER_SIZE + 16];
    struct fs *fs;
    struct teller teller;
};

static void write_file(struct world *world, const char *name, struct slice bytes)
{
    struct error err = {0};

    ASSERT_OK(fs_replace(world->fs, name, bytes, &err), &err);
}

/* A kit whose key is locked by the passphrase "right", cheaply. */
static void write_kit(struct world *world)
{
    const struct key_wrap_cost cost = {.n = 2, .r = 1, .p = 1};
    struct random_seeded random = random_seeded_of(3);
    struct kit kit = {.repository = ours, .made = "2026-11-23", .key = {.wrapped = true}};
    struct buffer text;
    struct error err = {0};

    buffer_init(&text, KIT_FILE_MAX);
    ASSERT_OK(key_wrap_seal(&ours, &key, &cost, slice_of_text("right"), &random.source,
                            &kit.key.wrap, &err),
              &err);
    kit_encode(&kit, &text);
    ASSERT_OK(buffer_check(&text, "the kit", &err), &err);
    write_file(world, "kit", buffer_slice(&text));
    buffer_deinit(&text);
}

static void new_world(struct world *world)
{
    struct error err = {0};

    *world = (struct world){.teller = {.out = tmpfile()}};
    assert_non_null(world->teller.out);
    world->teller.progress = show_progress_of(SHOW_NOTHING, world->teller.out, clock_system());
    temp_folder_make(world->folder);
    ASSERT_OK(fs_posix_new(world->folder, &world->fs, &err), &err);
    (void)snprintf(world->kit, sizeof(world->kit), "%s/kit", world->folder);
    (void)snprintf(world->right, sizeof(world->right), "%s/right", world->folder);
    (void)snprintf(world->wrong, sizeof(world->wrong), "%s/wrong", world->folder);
    write_kit(world);
    write_file(world, "right", slice_of_text("right\n"));
    write_file(world, "wrong", slice_of_text("wrong\n"));
}

static void free_world(struct world *world)
{
    (void)fclose(world->teller.out);
    fs_free(world->fs);
    temp_folder_remove(world->folder);
}

static void a_kit_opens_by_its_passphrase_alone(void **state)
{
    struct world world;
    struct unlocked unlocked = {.keys = NULL};
    struct error err = {0};

    (void)state;
    new_world(&world);
    struct unlock_options options = {.kit = world.kit, .passphrase_file = world.wrong};

    ASSERT_STATUS(STATUS_DENIED, unlock(&options, &unlocked, &err), &err);
    assert_null(unlocked.keys);
    options.passphrase_file = world.right;
    ASSERT_OK(unlock(&options, &unlocked, &err), &err);
    assert_true(unlocked.repository_known && random_id_equal(&unlocked.repository, &ours));
    assert_null(unlocked.agents_ca);
    unlocked_deinit(&unlocked);
    free_world(&world);
}

static void write_repository(struct world *world, const struct random_id *id,
                             const struct repository_key *of)
{
    struct repository repository = {.id = *id, .domain = {{5}}};
    struct keys *keys = NULL;
    struct buffer text;
    struct error err = {0};

    buffer_init(&text, REPOSITORY_FILE_MAX);
    ASSERT_OK(keys_new(of, &keys, &err), &err);
    keys_check(keys, repository.key_check);
    keys_free(keys);
    repository_encode(&repository, &text);
    write_file(world, "repository", buffer_slice(&text));
    buffer_deinit(&text);
}

static void another_repository_is_told_from_a_damaged_one(void **state)
{
    const struct random_id other = {{7}};
    const struct repository_key other_key = {{6}};
    struct world world;
    struct unlocked unlocked = {.keys = NULL};
    struct error err = {0};

    (void)state;
    new_world(&world);
    const struct unlock_options options = {.kit = world.kit, .passphrase_file = world.right};

    ASSERT_OK(unlock(&options, &unlocked, &err), &err);
    ASSERT_OK(unlock_compare(&unlocked, world.fs, &world.teller, &err), &err);
    assert_int_equal(world.teller.warnings, 1); /* there is none */
    assert_false(unlocked.compared);
    write_file(&world, "repository", slice_of_text("Tidemark repositori\n"));
    ASSERT_OK(unlock_compare(&unlocked, world.fs, &world.teller, &err), &err);
    assert_int_equal(world.teller.warnings, 2);
    write_repository(&world, &other, &key);
    ASSERT_STATUS(STATUS_PRECONDITION, unlock_compare(&unlocked, world.fs, &world.teller, &err),
                  &err);
    write_repository(&world, &ours, &other_key);
    ASSERT_STATUS(STATUS_PRECONDITION, unlock_compare(&unlocked, world.fs, &world.teller, &err),
                  &err);
    write_repository(&world, &ours, &key);
    ASSERT_OK(unlock_compare(&unlocked, world.fs, &world.teller, &err), &err);
    assert_true(unlocked.compared);
    unlocked_deinit(&unlocked);
    free_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kit_opens_by_its_passphrase_alone),
        cmocka_unit_test(another_repository_is_told_from_a_damaged_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
