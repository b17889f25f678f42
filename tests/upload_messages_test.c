#include "coordinator/service/upload_messages.h"

#include <string.h>

#include "tests/support/test.h"

enum { BLOCKS = 100, ENTRIES = 3 };

/* An offer of three entries: block 5, holes 10 to 19, block 99. */
struct sample {
    Tidemark__V1__Offer offer;
    uint64_t blocks[ENTRIES];
    uint64_t holes[2];
    uint8_t ids[ENTRIES * ID_SIZE];
    struct upload_order order;
    struct upload_entry entries[ENTRIES];
};

static void sample_init(struct sample *sample)
{
    *sample = (struct sample){.blocks = {5, 10, 99}, .holes = {10}, .order = {.blocks = BLOCKS}};
    tidemark__v1__offer__init(&sample->offer);
    sample->ids[0] = 1;
    sample->ids[(size_t)2 * ID_SIZE] = 2;
    sample->offer.blocks = sample->blocks;
    sample->offer.n_blocks = ENTRIES;
    sample->offer.hole_counts = sample->holes;
    sample->offer.n_hole_counts = 1;
    sample->offer.ids = (ProtobufCBinaryData){.len = sizeof(sample->ids), .data = sample->ids};
}

static enum status check(struct sample *sample, struct error *err)
{
    return upload_check_offer(&sample->offer, &sample->order, sample->entries, err);
}

static void is_refused(struct sample *sample, const char *text)
{
    struct error err = {0};

    ASSERT_STATUS(STATUS_INVALID, check(sample, &err), &err);
    if (strstr(err.text, text) == NULL)
        fail_msg("%s", err.text);
}

static void an_offer_is_taken_apart(void **state)
{
    struct sample sample;
    struct error err = {0};

    (void)state;
    sample_init(&sample);
    ASSERT_OK(check(&sample, &err), &err);
    assert_int_equal(sample.entries[0].state, UPLOAD_OFFERED);
    assert_int_equal(sample.entries[1].state, UPLOAD_HOLES);
    assert_int_equal(sample.entries[1].count, 10);
    assert_int_equal(sample.entries[2].block, 99);
    assert_int_equal(sample.order.next_seq, ENTRIES);
    assert_int_equal(sample.order.next_block, BLOCKS);
}

static void order_is_kept_inside_an_offer_and_across(void **state)
{
    struct sample sample;

    (void)state;
    sample_init(&sample);
    sample.blocks[1] = 5;
    is_refused(&sample, "block 5 is offered after block 5");
    sample_init(&sample);
    sample.blocks[2] = 19; /* the last of the holes */
    is_refused(&sample, "block 19 is offered after block 19");
    sample_init(&sample);
    sample.order.next_block = 6;
    is_refused(&sample, "block 5 is offered after block 5");
    sample_init(&sample);
    sample.order.next_seq = 1;
    is_refused(&sample, "begins with entry 0, the next one is 1");
}

static void nothing_past_the_disk_is_taken(void **state)
{
    struct sample sample;

    (void)state;
    sample_init(&sample);
    sample.blocks[2] = BLOCKS;
    is_refused(&sample, "1 blocks from block 100 on are offered, the disk has 100");
    sample_init(&sample);
    sample.holes[0] = (uint64_t)BLOCKS - 10 + 1;
    is_refused(&sample, "the disk has 100");
    sample_init(&sample);
    sample.holes[0] = UINT64_MAX;
    is_refused(&sample, "the disk has 100");
    sample_init(&sample);
    sample.holes[0] = 0;
    is_refused(&sample, "0 blocks from block 10 on");
}

static void ids_and_counts_fit_the_entries(void **state)
{
    struct sample sample;

    (void)state;
    sample_init(&sample);
    sample.offer.ids.len--;
    is_refused(&sample, "bytes of ids");
    sample_init(&sample);
    sample.offer.n_hole_counts = 0;
    is_refused(&sample, "does not say how many holes begin at block 10");
    sample_init(&sample);
    sample.offer.n_hole_counts = 2;
    is_refused(&sample, "1 ranges of holes has 2 counts");
}

static void an_open_is_a_disk_and_perhaps_a_parent(void **state)
{
    Tidemark__V1__UploadOpen open = TIDEMARK__V1__UPLOAD_OPEN__INIT;
    struct upload_open checked;
    uint8_t root[ID_SIZE] = {7};
    struct error err = {0};

    (void)state;
    open.size = 1024 * 1024 + 512;
    open.block_size = 65536;
    open.logical_sector = 512;
    open.physical_sector = 4096;
    ASSERT_OK(upload_check_open(&open, &checked, &err), &err);
    assert_false(checked.on_parent);
    open.parent_root = (ProtobufCBinaryData){.len = ID_SIZE, .data = root};
    ASSERT_OK(upload_check_open(&open, &checked, &err), &err);
    assert_true(checked.on_parent);
    open.parent_root.len--;
    ASSERT_STATUS(STATUS_INVALID, upload_check_open(&open, &checked, &err), &err);
    open.parent_root.len = 0;
    open.block_size = 65537;
    ASSERT_STATUS(STATUS_INVALID, upload_check_open(&open, &checked, &err), &err);
    open.block_size = 0;
    ASSERT_STATUS(STATUS_INVALID, upload_check_open(&open, &checked, &err), &err);
    open.block_size = 65536;
    open.size = 0;
    ASSERT_STATUS(STATUS_INVALID, upload_check_open(&open, &checked, &err), &err);
    open.size = DISK_SIZE_MAX + 512;
    ASSERT_STATUS(STATUS_INVALID, upload_check_open(&open, &checked, &err), &err);
}

static void a_block_has_the_length_that_it_must_have(void **state)
{
    Tidemark__V1__BlockData block = TIDEMARK__V1__BLOCK_DATA__INIT;
    struct error err = {0};

    (void)state;
    block.data.len = 4096;
    ASSERT_OK(upload_check_block(&block, 4096, &err), &err);
    block.data.len = 4095;
    ASSERT_STATUS(STATUS_INVALID, upload_check_block(&block, 4096, &err), &err);
    block.codec = 1;
    ASSERT_OK(upload_check_block(&block, 4096, &err), &err);
    block.data.len = 4097;
    ASSERT_STATUS(STATUS_INVALID, upload_check_block(&block, 4096, &err), &err);
    block.data.len = 0;
    ASSERT_STATUS(STATUS_INVALID, upload_check_block(&block, 4096, &err), &err);
    block.codec = 256;
    ASSERT_STATUS(STATUS_UNSUPPORTED, upload_check_block(&block, 4096, &err), &err);
}

static void a_message_holds_a_mebibyte_of_blocks_at_most(void **state)
{
    Tidemark__V1__Blocks blocks = TIDEMARK__V1__BLOCKS__INIT;
    Tidemark__V1__BlockData block = TIDEMARK__V1__BLOCK_DATA__INIT;
    Tidemark__V1__BlockData *pointers[2] = {&block, &block};
    struct error err = {0};

    (void)state;
    blocks.blocks = pointers;
    ASSERT_STATUS(STATUS_INVALID, upload_check_blocks(&blocks, &err), &err);
    blocks.n_blocks = 2;
    block.data.len = UPLOAD_BLOCKS_BYTES_MAX / 2;
    ASSERT_OK(upload_check_blocks(&blocks, &err), &err);
    block.data.len++;
    ASSERT_STATUS(STATUS_INVALID, upload_check_blocks(&blocks, &err), &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_offer_is_taken_apart),
        cmocka_unit_test(order_is_kept_inside_an_offer_and_across),
        cmocka_unit_test(nothing_past_the_disk_is_taken),
        cmocka_unit_test(ids_and_counts_fit_the_entries),
        cmocka_unit_test(an_open_is_a_disk_and_perhaps_a_parent),
        cmocka_unit_test(a_block_has_the_length_that_it_must_have),
        cmocka_unit_test(a_message_holds_a_mebibyte_of_blocks_at_most),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
