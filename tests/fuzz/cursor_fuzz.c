/* tests/fuzz/cursor_fuzz.c: base/cursor.h against a model that keeps nothing but a position.
 *
 * The input is a program and the bytes that it parses: one byte n, n instructions of two bytes
 * {operation, operand}, then the bytes. Whatever the program does, the cursor gives what the model
 * gives, never reads outside (AddressSanitizer watches: the bytes are copied to a block of their exact
 * size), and once failed stays failed. */
#include "base/cursor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "base/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

enum { OPERATIONS = 9, COPY_MAX = 512 };

struct model {
    const uint8_t *bytes;
    size_t size;
    size_t position;
    bool failed;
};

/* Where the next SIZE bytes are, or NULL. */
static const uint8_t *model_take(struct model *model, size_t size)
{
    if (model->failed || size > model->size - model->position) {
        model->failed = true;
        return NULL;
    }
    model->position += size;
    return model->bytes + model->position - size;
}

static uint64_t model_number(struct model *model, size_t size)
{
    const uint8_t *start = model_take(model, size);
    uint64_t value = 0;

    for (size_t i = size; start != NULL && i > 0; i--)
        value = value << 8 | start[i - 1];
    return value;
}

static void compare_take(struct cursor *cursor, struct model *model, size_t size)
{
    const uint8_t *expected = model_take(model, size);
    struct slice taken = cursor_take(cursor, size);

    INVARIANT(taken.size == (expected == NULL ? 0 : size));
    INVARIANT(taken.size == 0 || taken.data == expected);
}

static void compare_copy(struct cursor *cursor, struct model *model, size_t size)
{
    static const uint8_t zeros[COPY_MAX];
    const uint8_t *expected = size == 0 ? zeros : model_take(model, size);
    uint8_t copied[COPY_MAX];

    memset(copied, 0xee, sizeof(copied));
    cursor_copy(cursor, copied, size);
    INVARIANT(memcmp(copied, expected == NULL ? zeros : expected, size) == 0);
    INVARIANT(size == COPY_MAX || copied[size] == 0xee);
}

static void step(struct cursor *cursor, struct model *model, uint8_t operation, uint8_t operand)
{
    switch (operation % OPERATIONS) {
    case 0:
        INVARIANT(cursor_u8(cursor) == model_number(model, 1));
        break;
    case 1:
        INVARIANT(cursor_u16le(cursor) == model_number(model, 2));
        break;
    case 2:
        INVARIANT(cursor_u32le(cursor) == model_number(model, 4));
        break;
    case 3:
        INVARIANT(cursor_u64le(cursor) == model_number(model, 8));
        break;
    case 4:
        compare_copy(cursor, model, operand);
        break;
    case 5:
        compare_take(cursor, model, operand);
        break;
    case 6: /* lengths near the end of the address space */
        compare_take(cursor, model, SIZE_MAX - operand);
        break;
    case 7: /* what a parser does: a length, then that many bytes */
        INVARIANT(cursor_u16le(cursor) == model_number(model, 2));
        compare_take(cursor, model, operand);
        break;
    case 8: /* all that is left, and not a byte more */
        compare_take(cursor, model, cursor_left(cursor));
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    if (size == 0 || size - 1 < 2 * (size_t)input[0])
        return 0; /* no program */

    size_t count = input[0];
    const uint8_t *program = input + 1;
    size_t rest = size - 1 - 2 * count;
    uint8_t *bytes = memory_resize(NULL, rest, 1); /* of exactly that size, but for 0 */

    INVARIANT(bytes != NULL);
    if (rest > 0)
        memcpy(bytes, program + 2 * count, rest);

    struct model model = {.bytes = bytes, .size = rest};
    struct cursor cursor = cursor_of(slice_of(bytes, rest));

    for (size_t i = 0; i < count; i++) {
        step(&cursor, &model, program[2 * i], program[2 * i + 1]);
        INVARIANT(cursor_ok(&cursor) == !model.failed);
        INVARIANT(cursor_left(&cursor) == (model.failed ? 0 : rest - model.position));
        INVARIANT(cursor_end(&cursor) == (!model.failed && model.position == rest));
    }
    memory_free(bytes);
    return 0;
}
