#include "coordinator/store/pack_set.h"

#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "coordinator/store/pack_file.h"

enum { ROOM_LEAST = 16 };

void pack_set_init(struct pack_set *set, struct fs *fs)
{
    *set = (struct pack_set){.fs = fs};
}

static void close_pack(struct pack_set *set, struct pack *pack)
{
    if (pack->file == NULL)
        return;
    fs_close(pack->file);
    pack->file = NULL;
    for (size_t i = 0; i < set->open_count; i++) {
        if (set->open[i] == pack)
            set->open[i] = set->open[--set->open_count];
    }
}

void pack_set_deinit(struct pack_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        close_pack(set, set->packs[i]);
        memory_free(set->packs[i]);
    }
    memory_free(set->packs);
    *set = (struct pack_set){.fs = set->fs};
}

/* The index of the first pack at or behind NAME. */
static size_t index_of(const struct pack_set *set, const struct random_id *name)
{
    size_t low = 0;
    size_t high = set->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (memcmp(set->packs[middle]->name.bytes, name->bytes, RANDOM_ID_SIZE) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct pack *pack_set_find(const struct pack_set *set, const struct random_id *name)
{
    size_t index = index_of(set, name);

    if (index == set->count || !random_id_equal(&set->packs[index]->name, name))
        return NULL;
    return set->packs[index];
}

static enum status make_room(struct pack_set *set, struct error *err)
{
    if (set->count < set->room)
        return STATUS_OK;
    size_t room = set->room == 0 ? ROOM_LEAST : set->room * 2;
    struct pack **grown = memory_resize(set->packs, room, sizeof(struct pack *));

    if (grown == NULL)
        return error_set_no_memory(err, room * sizeof(struct pack *), "the list of packs");
    set->packs = grown;
    set->room = room;
    return STATUS_OK;
}

enum status pack_set_add(struct pack_set *set, const struct random_id *name, enum pack_class class,
                         struct pack **ret_pack, struct error *err)
{
    char path[PACK_PATH_SIZE];
    enum status st = make_room(set, err);

    if (st != STATUS_OK)
        return st;
    if (pack_set_find(set, name) != NULL) {
        pack_path(name, class, path);
        return error_set(err, STATUS_EXISTS, "%s: there is another pack of that name", path);
    }
    struct pack *pack = memory_new(1, sizeof(*pack));

    if (pack == NULL)
        return error_set_no_memory(err, sizeof(*pack), "a pack");
    size_t index = index_of(set, name);

    *pack = (struct pack){.name = *name, .class = class};
    memmove(set->packs + index + 1, set->packs + index,
            (set->count - index) * sizeof(struct pack *));
    set->packs[index] = pack;
    set->count++;
    *ret_pack = pack;
    return STATUS_OK;
}

void pack_set_remove(struct pack_set *set, struct pack *pack)
{
    size_t index = index_of(set, &pack->name);

    close_pack(set, pack);
    set->count--;
    memmove(set->packs + index, set->packs + index + 1,
            (set->count - index) * sizeof(struct pack *));
    memory_free(pack);
}

enum status pack_set_list(struct pack_set *set, struct error *err)
{
    struct fs_names names = {0};
    enum status st = fs_list(set->fs, PACK_DIR, &names, err);

    for (size_t i = 0; st == STATUS_OK && i < names.count; i++) {
        struct random_id name;
        enum pack_class class;
        struct pack *pack = NULL;

        if (pack_path_parse(names.names[i], &name, &class))
            st = pack_set_add(set, &name, class, &pack, err);
    }
    fs_names_deinit(&names);
    return st;
}

static void close_oldest(struct pack_set *set)
{
    struct pack *oldest = set->open[0];

    for (size_t i = 1; i < set->open_count; i++) {
        if (set->open[i]->last_used < oldest->last_used)
            oldest = set->open[i];
    }
    close_pack(set, oldest);
}

enum status pack_set_open(struct pack_set *set, struct pack *pack, struct fs_file **ret_file,
                          struct error *err)
{
    char path[PACK_PATH_SIZE];

    if (pack->file == NULL) {
        if (set->open_count == PACK_SET_OPEN_MAX)
            close_oldest(set);
        pack_path(&pack->name, pack->class, path);
        enum status st = fs_open(set->fs, path, FS_READ, &pack->file, err);

        if (st != STATUS_OK)
            return st;
        set->open[set->open_count++] = pack;
    }
    pack->last_used = ++set->uses;
    *ret_file = pack->file;
    return STATUS_OK;
}

/* The file of pack NAME, of which what lies at OFFSET is wanted. */
static enum status open_named(struct pack_set *set, const struct random_id *name, uint64_t offset,
                              struct fs_file **ret_file, struct error *err)
{
    struct pack *pack = pack_set_find(set, name);
    char text[RANDOM_ID_TEXT_SIZE];

    random_id_text(name, text);
    if (pack == NULL)
        return error_set(err, STATUS_CORRUPT,
                         "pack %s is missing: its record at %" PRIu64 " is lost", text, offset);
    enum status st = pack_set_open(set, pack, ret_file, err);

    if (st == STATUS_NOT_FOUND)
        return error_set(err, STATUS_CORRUPT, "pack %s is gone: its record at %" PRIu64 " is lost",
                         text, offset);
    return st;
}

enum status pack_set_read_bytes(struct pack_set *set, const struct random_id *name, uint64_t offset,
                                void *data, size_t length, struct error *err)
{
    struct fs_file *file = NULL;
    enum status st = open_named(set, name, offset, &file, err);

    return st == STATUS_OK ? fs_read_exactly_at(file, offset, data, length, err) : st;
}

enum status pack_set_read(struct pack_set *set, const struct place *place,
                          struct record_header *ret_header, struct buffer *ret_record,
                          struct error *err)
{
    struct fs_file *file = NULL;
    enum status st = open_named(set, &place->pack, place->offset, &file, err);

    if (st != STATUS_OK)
        return st;
    return pack_file_read(file, place->offset, place->length, ret_header, ret_record, err);
}
