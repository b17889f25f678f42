#include "tests/support/index_memory.h"

#include <string.h>

#include "base/cursor.h"
#include "base/invariant.h"
#include "tests/support/double_heap.h"

/* What an apply, or a clear (no record, no cover, CLEARS), did. */
struct step {
    struct index_record *records;
    size_t record_count;
    struct index_cover *covers;
    size_t cover_count;
    bool clears;
};

struct index_memory {
    struct index index;
    struct random_id repository;
    bool bound;
    bool refuses;
    struct index_record *records; /* one for each number */
    size_t record_count;
    struct index_cover *covers;
    size_t cover_count;
    struct step *steps;
    size_t step_count;
};

static struct index_memory *memory_of(struct index *index)
{
    return (struct index_memory *)index; /* its first member */
}

static const struct index_memory *memory_of_const(const struct index *index)
{
    return (const struct index_memory *)index;
}

static struct index_record *find_number(struct index_memory *memory, uint64_t number)
{
    for (size_t i = 0; i < memory->record_count; i++) {
        if (memory->records[i].number == number)
            return &memory->records[i];
    }
    return NULL;
}

static enum status memory_find(struct index *index, const struct random_id *domain,
                               const struct id *ids, size_t count, uint64_t *ret_numbers,
                               struct error *err)
{
    const struct index_memory *memory = memory_of(index);

    (void)err; /* cannot fail */
    for (size_t i = 0; i < count; i++) {
        ret_numbers[i] = 0;
        /* The first that came keeps the id. */
        for (size_t j = memory->record_count; j > 0; j--) {
            const struct index_record *record = &memory->records[j - 1];

            if (id_equal(&record->id, &ids[i]) && random_id_equal(&record->domain, domain))
                ret_numbers[i] = record->number;
        }
    }
    return STATUS_OK;
}

static enum status memory_find_places(struct index *index, const uint64_t *numbers, size_t count,
                                      struct place *ret_places, struct error *err)
{
    (void)err; /* cannot fail */
    for (size_t i = 0; i < count; i++) {
        const struct index_record *record = find_number(memory_of(index), numbers[i]);
        struct cursor id = {0};

        ret_places[i] = (struct place){.length = 0};
        if (record == NULL)
            continue;
        id = cursor_of(slice_of(record->id.bytes, ID_SIZE));
        ret_places[i] = record->place;
        ret_places[i].id_bits = cursor_u32le(&id);
    }
    return STATUS_OK;
}

static void put_record(struct index_memory *memory, const struct index_record *record)
{
    struct index_record *there = find_number(memory, record->number);

    if (there != NULL) {
        there->place = record->place;
        return;
    }
    memory->records = double_resize(memory->records, memory->record_count + 1, sizeof(*record));
    memory->records[memory->record_count++] = *record;
}

static void put_cover(struct index_memory *memory, const struct index_cover *cover)
{
    for (size_t i = 0; i < memory->cover_count; i++) {
        if (random_id_equal(&memory->covers[i].pack, &cover->pack)) {
            memory->covers[i] = *cover;
            return;
        }
    }
    memory->covers = double_resize(memory->covers, memory->cover_count + 1, sizeof(*cover));
    memory->covers[memory->cover_count++] = *cover;
}

static void *copy_of(const void *items, size_t count, size_t size)
{
    void *copy = double_new(count + 1, size);

    if (count > 0)
        memcpy(copy, items, count * size);
    return copy;
}

static void do_step(struct index_memory *memory, const struct index_batch *batch, bool clears)
{
    memory->steps = double_resize(memory->steps, memory->step_count + 1, sizeof(struct step));
    memory->steps[memory->step_count++] = (struct step){
        .records = copy_of(batch->records, batch->record_count, sizeof(struct index_record)),
        .record_count = batch->record_count,
        .covers = copy_of(batch->covers, batch->cover_count, sizeof(struct index_cover)),
        .cover_count = batch->cover_count,
        .clears = clears,
    };
    if (clears) {
        memory->record_count = 0;
        memory->cover_count = 0;
    }
    for (size_t i = 0; i < batch->record_count; i++)
        put_record(memory, &batch->records[i]);
    for (size_t i = 0; i < batch->cover_count; i++)
        put_cover(memory, &batch->covers[i]);
}

static enum status memory_apply(struct index *index, const struct index_batch *batch,
                                struct error *err)
{
    if (memory_of(index)->refuses)
        return error_set(err, STATUS_UNAVAILABLE, "the index refuses");
    do_step(memory_of(index), batch, false);
    return STATUS_OK;
}

static enum status memory_flush(struct index *index, struct error *err)
{
    (void)index;
    (void)err; /* cannot fail: nothing is ever lost */
    return STATUS_OK;
}

static enum status memory_clear(struct index *index, struct error *err)
{
    const struct index_batch nothing = {0};

    (void)err; /* cannot fail */
    do_step(memory_of(index), &nothing, true);
    return STATUS_OK;
}

static enum status memory_last_number(struct index *index, uint32_t space, uint64_t *ret_number,
                                      struct error *err)
{
    const struct index_memory *memory = memory_of(index);
    uint64_t last = 0;

    (void)err; /* cannot fail */
    for (size_t i = 0; i < memory->record_count; i++) {
        uint64_t number = memory->records[i].number;

        if (number_space(number) == space && number > last)
            last = number;
    }
    *ret_number = last;
    return STATUS_OK;
}

static enum status memory_bind(struct index *index, const struct random_id *repository,
                               struct error *err)
{
    struct index_memory *memory = memory_of(index);
    bool other = memory->bound && !random_id_equal(&memory->repository, repository);

    memory->bound = true;
    memory->repository = *repository;
    return other ? memory_clear(index, err) : STATUS_OK;
}

static enum status memory_each_cover(struct index *index,
                                     enum status (*each)(void *arg, const struct index_cover *cover,
                                                         struct error *err),
                                     void *arg, struct error *err)
{
    const struct index_memory *memory = memory_of(index);
    enum status st = STATUS_OK;

    for (size_t i = 0; st == STATUS_OK && i < memory->cover_count; i++)
        st = each(arg, &memory->covers[i], err);
    return st;
}

static void memory_index_free(struct index *index)
{
    struct index_memory *memory = memory_of(index);

    for (size_t i = 0; i < memory->step_count; i++) {
        double_free(memory->steps[i].records);
        double_free(memory->steps[i].covers);
    }
    double_free(memory->steps);
    double_free(memory->records);
    double_free(memory->covers);
    double_free(memory);
}

static const struct index_ops memory_ops = {
    .find = memory_find,
    .find_places = memory_find_places,
    .apply = memory_apply,
    .flush = memory_flush,
    .last_number = memory_last_number,
    .bind = memory_bind,
    .each_cover = memory_each_cover,
    .clear = memory_clear,
    .free = memory_index_free,
};

struct index *index_memory_new(void)
{
    struct index_memory *memory = double_new(1, sizeof(*memory));

    memory->index.ops = &memory_ops;
    return &memory->index;
}

void index_memory_refuse(struct index *index, bool refuse)
{
    memory_of(index)->refuses = refuse;
}

size_t index_memory_applies(const struct index *index)
{
    return memory_of_const(index)->step_count;
}

struct index *index_memory_at(const struct index *index, size_t applies)
{
    const struct index_memory *memory = memory_of_const(index);
    struct index *copy = index_memory_new();

    INVARIANT(applies <= memory->step_count);
    memory_of(copy)->bound = memory->bound;
    memory_of(copy)->repository = memory->repository;
    for (size_t i = 0; i < applies; i++) {
        const struct step *step = &memory->steps[i];
        const struct index_batch batch = {
            .records = step->records,
            .record_count = step->record_count,
            .covers = step->covers,
            .cover_count = step->cover_count,
        };

        do_step(memory_of(copy), &batch, step->clears);
    }
    return copy;
}

size_t index_memory_count(const struct index *index)
{
    return memory_of_const(index)->record_count;
}
