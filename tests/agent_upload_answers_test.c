/* tests/agent_upload_answers_test.c: what no coordinator may answer in an upload. The parent's root:
 * agent_parent_test.c; its nodes: agent_offer_tree_test.c. */
#include <string.h>

#include "agent/upload_answers.h"
#include "format/tree.h"
#include "tests/support/test.h"

enum { FIRST_SEQ = 512 };

static const struct offer_entry entries[] = {
    {.block = 1, .id = {{1}}},  {.block = 2, .holes = 9},   {.block = 20, .id = {{2}}},
    {.block = 21, .id = {{3}}}, {.block = 22, .id = {{4}}}, {.block = 23, .id = {{5}}},
    {.block = 24, .id = {{6}}}, {.block = 25, .id = {{7}}}, {.block = 26, .id = {{8}}},
};

static const size_t count = sizeof(entries) / sizeof(entries[0]);

static void bitmap_of_blocks_is_taken_and_read_from_its_lowest_bit(void **state)
{
    Tidemark__V1__Want want = TIDEMARK__V1__WANT__INIT;
    uint8_t bitmap[] = {0xfd, 0x01};
    struct error err = {0};

    (void)state;
    want.bitmap = (ProtobufCBinaryData){sizeof(bitmap), bitmap};
    ASSERT_OK(upload_answers_bitmap(&want, entries, count, &err), &err);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(upload_answers_wants(&want, i), i != 1);
}

static void bitmap_of_what_is_no_block_is_refused(void **state)
{
    Tidemark__V1__Want want = TIDEMARK__V1__WANT__INIT;
    uint8_t bitmap[] = {0, 0, 0};
    struct error err = {0};

    (void)state;
    want.bitmap = (ProtobufCBinaryData){1, bitmap};
    ASSERT_STATUS(STATUS_INVALID, upload_answers_bitmap(&want, entries, count, &err), &err);
    want.bitmap.len = 3;
    ASSERT_STATUS(STATUS_INVALID, upload_answers_bitmap(&want, entries, count, &err), &err);
    want.bitmap = (ProtobufCBinaryData){0, NULL};
    ASSERT_STATUS(STATUS_INVALID, upload_answers_bitmap(&want, entries, count, &err), &err);
    want.bitmap = (ProtobufCBinaryData){2, bitmap};
    bitmap[0] = 2; /* the holes */
    ASSERT_STATUS(STATUS_INVALID, upload_answers_bitmap(&want, entries, count, &err), &err);
    bitmap[0] = 0;
    bitmap[1] = 2; /* behind the last entry */
    ASSERT_STATUS(STATUS_INVALID, upload_answers_bitmap(&want, entries, count, &err), &err);
}

static void nodes_come_in_whole_and_within_their_limit(void **state)
{
    static uint8_t nodes[3 * NODE_PLAIN_SIZE];
    Tidemark__V1__Want want = TIDEMARK__V1__WANT__INIT;
    struct buffer taken = {0};
    uint8_t bit = 1;
    struct error err = {0};

    (void)state;
    buffer_init(&taken, sizeof(nodes));
    want.first_seq = FIRST_SEQ;
    want.nodes = (ProtobufCBinaryData){(size_t)2 * NODE_PLAIN_SIZE, nodes};
    want.more = true;
    ASSERT_OK(upload_answers_nodes(&want, FIRST_SEQ, &taken, &err), &err);
    want.nodes.len = NODE_PLAIN_SIZE;
    want.more = false;
    ASSERT_OK(upload_answers_nodes(&want, FIRST_SEQ, &taken, &err), &err);
    assert_int_equal(taken.size, sizeof(nodes));
    ASSERT_STATUS(STATUS_EXHAUSTED, upload_answers_nodes(&want, FIRST_SEQ, &taken, &err), &err);
    buffer_clear(&taken);
    ASSERT_STATUS(STATUS_INVALID, upload_answers_nodes(&want, FIRST_SEQ + 1, &taken, &err), &err);
    want.nodes.len--;
    ASSERT_STATUS(STATUS_INVALID, upload_answers_nodes(&want, FIRST_SEQ, &taken, &err), &err);
    want.more = true; /* and gives nothing: that could go on for ever */
    want.nodes.len = 0;
    ASSERT_STATUS(STATUS_INVALID, upload_answers_nodes(&want, FIRST_SEQ, &taken, &err), &err);
    want.nodes.len = NODE_PLAIN_SIZE;
    want.bitmap = (ProtobufCBinaryData){1, &bit};
    ASSERT_STATUS(STATUS_INVALID, upload_answers_nodes(&want, FIRST_SEQ, &taken, &err), &err);
    assert_int_equal(taken.size, 0);
    buffer_deinit(&taken);
}

static void root_that_was_not_asked_for_is_refused(void **state)
{
    const struct disk_info info = {.size = 8192, .logical_sector = 512, .physical_sector = 4096};
    Tidemark__V1__UploadOpened opened = TIDEMARK__V1__UPLOAD_OPENED__INIT;
    struct disk_root root = {0};
    uint8_t byte = 0;
    struct error err = {0};

    (void)state;
    ASSERT_OK(upload_answers_opened(&opened, NULL, &info, 4096, NULL, &root, &err), &err);
    assert_int_equal(root.size, 8192);
    assert_int_equal(root.block_size, 4096);
    opened.parent_root = (ProtobufCBinaryData){1, &byte};
    ASSERT_STATUS(STATUS_INVALID,
                  upload_answers_opened(&opened, NULL, &info, 4096, NULL, &root, &err), &err);
}

static void another_root_at_the_end_is_refused(void **state)
{
    Tidemark__V1__UploadClosed closed = TIDEMARK__V1__UPLOAD_CLOSED__INIT;
    struct id root_id = {{5}};
    struct id other = root_id;
    struct error err = {0};

    (void)state;
    closed.root = (ProtobufCBinaryData){ID_SIZE, other.bytes};
    ASSERT_OK(upload_answers_closed(&closed, &root_id, &err), &err);
    closed.root.len = ID_SIZE - 1;
    ASSERT_STATUS(STATUS_CORRUPT, upload_answers_closed(&closed, &root_id, &err), &err);
    closed.root.len = ID_SIZE;
    other.bytes[ID_SIZE - 1] ^= 1;
    ASSERT_STATUS(STATUS_CORRUPT, upload_answers_closed(&closed, &root_id, &err), &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bitmap_of_blocks_is_taken_and_read_from_its_lowest_bit),
        cmocka_unit_test(bitmap_of_what_is_no_block_is_refused),
        cmocka_unit_test(nodes_come_in_whole_and_within_their_limit),
        cmocka_unit_test(root_that_was_not_asked_for_is_refused),
        cmocka_unit_test(another_root_at_the_end_is_refused),
    };

    return cmocka_run_group_tests_name("agent_upload_answers", tests, NULL, NULL);
}
