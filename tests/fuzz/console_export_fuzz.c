/* tests/fuzz/console_export_fuzz.c: console/export_file.h: a stream of parts made of a signed disk's real ones,
 * changed ones and any others. However it goes: the file is the disk that was signed, or nothing is there.
 *
 * The input is a row of {u8 what, u16le length, bytes}: what % 3 is 0: the real part number bytes[0]; 1: bytes
 * are a part as the wire would bring it; 2: the real part number bytes[0], of which block number bytes[1] has
 * its number moved by bytes[2], its codec set to bytes[3], and its data's byte u16le bytes[4] XORed with
 * bytes[6]. The row's end is the stream's. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/cursor.h"
#include "base/invariant.h"
#include "base/memory.h"
#include "transport/rpc.h"
#include "transport/rpc_message.h"
#include "console/export_file.h"
#include "tests/console_sample.h"
#include "tests/support/clock_manual.h"
#include "tests/support/fs_memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum { BLOCK = 4096, DISK = 11 * BLOCK + 512 };

struct fixture {
    struct console_host host;
    struct console_disk disk;
    struct console_sample sample;
};

struct run {
    const struct fixture *fixture;
    struct cursor cursor;
    struct loop *loop;
    struct export_file *file;
    bool ended;
    enum status status;
};

static struct fixture *fixture_new(void)
{
    struct fixture *fixture = memory_new(1, sizeof(*fixture));
    struct random_seeded random = random_seeded_of(1);

    INVARIANT(fixture != NULL);
    console_host_make(&fixture->host, "hv-01", TEST_VALID);
    console_disk_make(&fixture->disk, DISK, BLOCK, 3, &random);

    const struct console_sample_options options = {.host = &fixture->host,
                                                   .disk = &fixture->disk,
                                                   .time_us = CONSOLE_SAMPLE_TIME_US,
                                                   .blocks_in_part = 3};

    console_sample_make(&fixture->sample, &options);
    return fixture;
}

static Tidemark__V1__ExportPart *real_part(const struct run *run, uint8_t number)
{
    const struct console_sample *sample = &run->fixture->sample;

    return (Tidemark__V1__ExportPart *)console_sample_receive(
        &sample->parts[number % sample->count]->base);
}

static Tidemark__V1__ExportPart *changed_part(const struct run *run, struct slice bytes)
{
    struct cursor cursor = cursor_of(bytes);
    Tidemark__V1__ExportPart *part = real_part(run, cursor_u8(&cursor));
    uint8_t number = cursor_u8(&cursor);
    uint8_t distance = cursor_u8(&cursor);
    uint8_t codec = cursor_u8(&cursor);
    uint16_t offset = cursor_u16le(&cursor);
    uint8_t change = cursor_u8(&cursor);

    if (part->kind_case == TIDEMARK__V1__EXPORT_PART__KIND_BLOCKS) {
        Tidemark__V1__BlockData *block = part->blocks->blocks[number % part->blocks->n_blocks];

        block->seq += distance;
        block->codec = codec;
        block->data.data[offset % block->data.len] ^= change;
    }
    return part;
}

/* NULL: the stream has ended. */
static Tidemark__V1__ExportPart *next_part(struct run *run)
{
    uint8_t what = cursor_u8(&run->cursor);
    uint16_t length = cursor_u16le(&run->cursor);
    struct slice bytes = cursor_take(&run->cursor, length);
    ProtobufCMessage *message = NULL;
    struct error err = {0};

    if (!cursor_ok(&run->cursor))
        return NULL;
    if (what % 3 == 1) {
        if (rpc_message_unpack(&tidemark__v1__export_part__descriptor, bytes, &message, &err) !=
            STATUS_OK)
            return NULL; /* as the transport would end the call */
        return (Tidemark__V1__ExportPart *)message;
    }
    return what % 3 == 0 ? real_part(run, bytes.size == 0 ? 0 : bytes.data[0])
                         : changed_part(run, bytes);
}

static void wants_part(void *owner)
{
    struct run *run = owner;
    Tidemark__V1__ExportPart *part = next_part(run);
    struct error err = {0};

    if (part != NULL) {
        export_file_put(run->file, part);
        return;
    }
    (void)error_set(&err, STATUS_UNAVAILABLE, "the stream has ended");
    export_file_stop(run->file, &err);
}

static void file_ended(void *owner, enum status status, const struct error *err)
{
    struct run *run = owner;

    INVARIANT((status == STATUS_OK) == (err == NULL));
    run->ended = true;
    run->status = status;
    loop_stop(run->loop);
}

static void check_left(const struct run *run, struct fs *fs)
{
    struct fs_names names = {0};
    struct fs_file *file = NULL;
    uint64_t size = 0;
    uint8_t content[DISK];
    struct error err = {0};

    INVARIANT(fs_list(fs, "", &names, &err) == STATUS_OK);
    INVARIANT(names.count == (run->status == STATUS_OK ? 1 : 0));
    if (run->status == STATUS_OK) {
        INVARIANT(fs_open(fs, "disk.raw", FS_READ, &file, &err) == STATUS_OK);
        INVARIANT(fs_size(file, &size, &err) == STATUS_OK && size == DISK);
        INVARIANT(fs_read_exactly_at(file, 0, content, DISK, &err) == STATUS_OK);
        INVARIANT(memcmp(content, run->fixture->disk.content, DISK) == 0);
        fs_close(file);
    }
    fs_names_deinit(&names);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static const struct export_file_events events = {.wants_part = wants_part, .ended = file_ended};
    static struct fixture
        *fixture; /* made once a process: its keys take long, and nothing changes it */
    struct clock_manual *clock = clock_manual_new();
    struct run run = {.cursor = cursor_of(slice_of(input, size))};
    struct pool *pool = NULL;
    struct fs *fs = NULL;
    struct error err = {0};

    if (fixture == NULL)
        fixture = fixture_new();
    run.fixture = fixture;
    INVARIANT(loop_new(clock_manual_source(clock), &run.loop, &err) == STATUS_OK);
    INVARIANT(pool_new(run.loop, 2, &pool, &err) == STATUS_OK);
    INVARIANT(fs_memory_new(&fs, &err) == STATUS_OK);

    const struct export_file_options options = {.loop = run.loop,
                                                .pool = pool,
                                                .fs = fs,
                                                .name = "disk.raw",
                                                .point = fixture->sample.point_text,
                                                .agents_ca_pem = fixture->host.ca_pem,
                                                .events = &events,
                                                .owner = &run};

    INVARIANT(export_file_new(&options, &run.file, &err) == STATUS_OK);
    while (!run.ended)
        INVARIANT(loop_run(run.loop, &err) == STATUS_OK);
    export_file_free(run.file);
    check_left(&run, fs);
    pool_free(pool);
    loop_free(run.loop);
    fs_free(fs);
    clock_manual_free(clock);
    return 0;
}
