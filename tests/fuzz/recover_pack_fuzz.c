/* tests/fuzz/recover_pack_fuzz.c: recover/packs.h: any bytes as the one pack of a folder, under the golden repository's key. It is
 * read; every envelope that it offers is proved or refused; and no place lies outside of the file. */
#include <stdio.h>

#include "base/clock.h"
#include "base/invariant.h"
#include "recover/packs.h"
#include "recover/things.h"
#include "tests/support/fs_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum { MEMORY = 16 * 1024 * 1024 };

static void put_pack(struct fs *fs, struct slice bytes)
{
    struct fs_file *file = NULL;
    struct error err = {0};

    INVARIANT(fs_make_dir(fs, PACKS_DIR, &err) == STATUS_OK);
    INVARIANT(fs_open(fs, PACKS_DIR "/found", FS_CREATE, &file, &err) == STATUS_OK);
    if (bytes.size > 0)
        INVARIANT(fs_write_at(file, 0, bytes, &err) == STATUS_OK);
    fs_close(file);
}

static void read_envelopes(struct packs *packs, const struct keys *keys,
                           struct codec_context *codec)
{
    struct things *things = NULL;
    struct buffer stored;
    struct error err = {0};
    size_t count = 0;
    const struct packs_envelope *envelopes = packs_envelopes(packs, &count);

    buffer_init(&stored, RECORD_PLAIN_MAX);
    INVARIANT(things_new(packs, keys, codec, &things, &err) == STATUS_OK);
    for (size_t i = 0; i < count; i++) {
        enum status st = things_read(things, &envelopes[i].domain, KIND_ENVELOPE, &envelopes[i].ref,
                                     &stored, &err);

        INVARIANT(st == STATUS_OK || things_lost(st));
        INVARIANT(things_has(things, &envelopes[i].ref));
    }
    things_free(things);
    buffer_deinit(&stored);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    struct repository_key key;
    struct teller teller = {.out = fopen("/dev/null", "w")}; /* allowed: warnings go nowhere */
    struct packs_options options = {.teller = &teller, .memory = MEMORY};
    struct codec_context *codec = NULL;
    struct keys *keys = NULL;
    struct packs *packs = NULL;
    struct error err = {0};

    INVARIANT(teller.out != NULL);
    for (size_t i = 0; i < sizeof(key.bytes); i++)
        key.bytes[i] = (uint8_t)i;
    teller.progress = show_progress_of(SHOW_NOTHING, teller.out, clock_system());
    INVARIANT(fs_memory_new(&options.fs, &err) == STATUS_OK);
    INVARIANT(keys_new(&key, &keys, &err) == STATUS_OK);
    INVARIANT(codec_context_new(&codec, &err) == STATUS_OK);
    put_pack(options.fs, slice_of(input, size));
    options.keys = keys;
    options.codec = codec;
    INVARIANT(packs_open(&options, &packs, &err) == STATUS_OK);
    read_envelopes(packs, keys, codec);
    packs_free(packs);
    codec_context_free(codec);
    keys_free(keys);
    fs_free(options.fs);
    (void)fclose(teller.out); /* nothing was to be kept */
    return 0;
}
