#include "tests/support/lmdb_damage.h"

#include "base/cursor.h"
#include "base/slice.h"
#include "tests/support/test.h"

enum { PAGE_SIZE = 4096, HEADER_SIZE = 16, LEAF = 0x02, MANY = 20 };

#define FIRST ((uint64_t)2 * PAGE_SIZE) /* behind the meta pages */

/* A page begins with its number (8 bytes), padding (2), flags (2), where the entries' offsets of 2 bytes each end (2), and
 * where the entries begin (2): struct MDB_page of LMDB 0.9, mdb.c. */
static bool is_big_leaf(const uint8_t *page)
{
    struct cursor cursor = cursor_of(slice_of(page, HEADER_SIZE));

    (void)cursor_u64le(&cursor); /* number */
    (void)cursor_u16le(&cursor); /* padding */
    uint16_t flags = cursor_u16le(&cursor);
    uint16_t lower = cursor_u16le(&cursor);

    return flags == LEAF && lower > HEADER_SIZE + 2 * MANY;
}

size_t lmdb_damage_leaves(struct fs *fs, const char *path)
{
    static const uint8_t zeros[PAGE_SIZE];
    struct fs_file *file = NULL;
    uint8_t page[PAGE_SIZE];
    struct error err = {0};
    uint64_t size = 0;
    size_t count = 0;

    ASSERT_OK(fs_open(fs, path, FS_WRITE, &file, &err), &err);
    ASSERT_OK(fs_size(file, &size, &err), &err);
    for (uint64_t at = FIRST; at < size; at += PAGE_SIZE) {
        ASSERT_OK(fs_read_exactly_at(file, at, page, PAGE_SIZE, &err), &err);
        if (!is_big_leaf(page))
            continue;
        ASSERT_OK(fs_write_at(file, at, slice_of(zeros, PAGE_SIZE), &err), &err);
        count++;
    }
    fs_close(file);
    return count;
}
