#include "tests/bench/index_lmdb.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h> /* S_IRUSR, S_IWUSR */

#include <lmdb.h>

#include "base/cursor.h"
#include "base/invariant.h"
#include "base/memory.h"
#include "base/text.h"
#include "format/repository.h"

enum {
    DATABASES = 3,
    ID_KEY_SIZE = RANDOM_ID_SIZE + ID_SIZE,
    NUMBER_SIZE = 8,
    PLACE_SIZE = RANDOM_ID_SIZE + 8 + 4 + 4,
    COVER_SIZE = 8 + 1,
    ABOUT_SIZE = 4 + RANDOM_ID_SIZE,
};

/* The map is address space, not memory and not the file's size: so much that the file system is full before it is. Where
 * the process may not have it (ulimit -v, a sanitizer), half of it, and so on. */
#define MAP_MOST  ((size_t)1 << 40)
#define MAP_LEAST ((size_t)1 << 26)
#define ABOUT_KEY "about" /* packs have names of 16 bytes */
#define DATA_FILE INDEX_LMDB_DIR "/data.mdb"

struct index_lmdb {
    struct index index;
    struct fs *fs; /* of the data folder */
    const struct log *log;
    char *folder; /* the index's own, as a path of the machine: for LMDB, and for messages */
    uint8_t about[ABOUT_SIZE]; /* whose it is, since bind() */
    bool damaged;              /* was met since it was opened: it has no file any more */
    MDB_env *env;              /* NULL: not open */
    MDB_dbi ids;
    MDB_dbi places;
    MDB_dbi covers;
};

static struct index_lmdb *lmdb_of(struct index *index)
{
    return (struct index_lmdb *)index; /* its first member */
}

/* --- damage ------------------------------------------------------------------------------------ */

/* What LMDB says of itself has negative numbers, and but for those of limits they all mean that the file is not as it wrote
 * it; the rest is errno. Behind EIO nobody knows what is on the disk (base/fs.h, fs_sync). */
static bool is_damage(int result)
{
    return result == EIO || (result < 0 && result != MDB_MAP_FULL && result != MDB_TXN_FULL);
}

static enum status fail_by_errno(const struct index_lmdb *lmdb, int result, const char *what,
                                 struct error *err)
{
    if (result > 0)
        return error_set_errno(err, result, "index %s: %s", lmdb->folder, what);
    return error_set(err, STATUS_EXHAUSTED,
                     "index %s: %s: %s; allow the coordinator more address space (ulimit -v)",
                     lmdb->folder, what, mdb_strerror(result));
}

static enum status remove_file(const struct index_lmdb *lmdb, struct error *err)
{
    enum status st = fs_remove(lmdb->fs, DATA_FILE, err);

    if (st == STATUS_NOT_FOUND)
        return STATUS_OK;
    return st == STATUS_OK ? fs_sync_dir(lmdb->fs, INDEX_LMDB_DIR, err) : st;
}

/* Its file goes at once, so that the next start finds none, even if this process dies of the damage; what is open of it
 * lives on until it is closed. */
static void mark_damaged(struct index_lmdb *lmdb, const char *what, int result)
{
    struct error failure = {0};

    if (lmdb->damaged)
        return;
    lmdb->damaged = true;
    if (remove_file(lmdb, &failure) == STATUS_OK)
        log_error(lmdb->log,
                  "index %s is damaged (%s: %s): its file is removed, and the next start of the "
                  "coordinator makes it anew from the packs; until then no backup can be ended",
                  lmdb->folder, what, mdb_strerror(result));
    else
        log_error(lmdb->log,
                  "index %s is damaged (%s: %s), and its file cannot be removed (%s): remove that "
                  "folder while no coordinator runs; the next start makes it anew from the packs",
                  lmdb->folder, what, mdb_strerror(result), failure.text);
}

/* In use. Logs the first damage. */
static enum status fail(struct index_lmdb *lmdb, int result, const char *what, struct error *err)
{
    if (!is_damage(result))
        return fail_by_errno(lmdb, result, what, err);
    mark_damaged(lmdb, what, result);
    return error_set(err, STATUS_INTERNAL,
                     "index %s is damaged: %s: %s; the next start of the coordinator makes it anew "
                     "from the packs",
                     lmdb->folder, what, mdb_strerror(result));
}

static enum status check_open(const struct index_lmdb *lmdb, struct error *err)
{
    if (lmdb->env != NULL)
        return STATUS_OK;
    return error_set(err, STATUS_UNAVAILABLE, "index %s is not open: restart the coordinator",
                     lmdb->folder);
}

/* --- keys and values --------------------------------------------------------------------------- */

/* LMDB's type for what is written and for what is read is the same: it does not write through it. */
static MDB_val value_of(const void *bytes, size_t size)
{
    MDB_val value = {.mv_size = size};

    memcpy(&value.mv_data, &bytes, sizeof(bytes));
    return value;
}

static void put_be64(uint64_t value, uint8_t bytes[NUMBER_SIZE])
{
    for (unsigned i = 0; i < NUMBER_SIZE; i++)
        bytes[i] = (uint8_t)(value >> (56 - 8 * i));
}

static uint64_t get_be64(const uint8_t bytes[NUMBER_SIZE])
{
    uint64_t value = 0;

    for (unsigned i = 0; i < NUMBER_SIZE; i++)
        value = value << 8 | bytes[i];
    return value;
}

/* 0: it is no number, which last_number() finds out by its size. */
static uint64_t get_key(MDB_val key)
{
    return key.mv_size == NUMBER_SIZE ? get_be64(key.mv_data) : 0;
}

static void make_id_key(const struct random_id *domain, const struct id *id,
                        uint8_t key[ID_KEY_SIZE])
{
    memcpy(key, domain->bytes, RANDOM_ID_SIZE);
    memcpy(key + RANDOM_ID_SIZE, id->bytes, ID_SIZE);
}

static void put_le(uint64_t value, uint8_t *bytes, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
}

static struct cursor cursor_over(MDB_val value)
{
    return cursor_of(slice_of(value.mv_data, value.mv_size));
}

/* --- reading ----------------------------------------------------------------------------------- */

static enum status begin_reading(struct index_lmdb *lmdb, MDB_txn **ret_txn, struct error *err)
{
    enum status st = check_open(lmdb, err);

    if (st != STATUS_OK)
        return st;
    int result = mdb_txn_begin(lmdb->env, NULL, MDB_RDONLY, ret_txn);

    return result == 0 ? STATUS_OK : fail(lmdb, result, "begin to read", err);
}

static enum status lmdb_find(struct index *index, const struct random_id *domain,
                             const struct id *ids, size_t count, uint64_t *ret_numbers,
                             struct error *err)
{
    struct index_lmdb *lmdb = lmdb_of(index);
    MDB_txn *txn = NULL;
    enum status st = begin_reading(lmdb, &txn, err);

    for (size_t i = 0; st == STATUS_OK && i < count; i++) {
        uint8_t bytes[ID_KEY_SIZE];
        MDB_val key = value_of(bytes, sizeof(bytes));
        MDB_val value = {0};

        make_id_key(domain, &ids[i], bytes);
        int result = mdb_get(txn, lmdb->ids, &key, &value);

        ret_numbers[i] = 0;
        if (result == MDB_NOTFOUND)
            continue;
        if (result != 0 || value.mv_size != NUMBER_SIZE)
            st = fail(lmdb, result == 0 ? MDB_CORRUPTED : result, "look up an id", err);
        else
            ret_numbers[i] = get_be64(value.mv_data);
    }
    mdb_txn_abort(txn); /* NULL is fine */
    return st;
}

static enum status find_one(struct index_lmdb *lmdb, MDB_txn *txn, uint64_t number,
                            struct place *ret_place, struct error *err)
{
    uint8_t bytes[NUMBER_SIZE];
    MDB_val key = value_of(bytes, sizeof(bytes));
    MDB_val value = {0};

    put_be64(number, bytes);
    int result = mdb_get(txn, lmdb->places, &key, &value);

    *ret_place = (struct place){.length = 0};
    if (result == MDB_NOTFOUND)
        return STATUS_OK;
    if (result != 0 || value.mv_size != PLACE_SIZE)
        return fail(lmdb, result == 0 ? MDB_CORRUPTED : result, "look up a number", err);
    struct cursor cursor = cursor_over(value);

    cursor_copy(&cursor, ret_place->pack.bytes, RANDOM_ID_SIZE);
    ret_place->offset = cursor_u64le(&cursor);
    ret_place->length = cursor_u32le(&cursor);
    ret_place->id_bits = cursor_u32le(&cursor);
    return STATUS_OK;
}

static enum status lmdb_find_places(struct index *index, const uint64_t *numbers, size_t count,
                                    struct place *ret_places, struct error *err)
{
    struct index_lmdb *lmdb = lmdb_of(index);
    MDB_txn *txn = NULL;
    enum status st = begin_reading(lmdb, &txn, err);

    for (size_t i = 0; st == STATUS_OK && i < count; i++)
        st = find_one(lmdb, txn, numbers[i], &ret_places[i], err);
    mdb_txn_abort(txn); /* NULL is fine */
    return st;
}

static enum status lmdb_last_number(struct index *index, uint32_t space, uint64_t *ret_number,
                                    struct error *err)
{
    struct index_lmdb *lmdb = lmdb_of(index);
    uint8_t bytes[NUMBER_SIZE];
    MDB_val key = value_of(bytes, sizeof(bytes));
    MDB_val value = {0};
    MDB_cursor *cursor = NULL;
    MDB_txn *txn = NULL;
    enum status st = begin_reading(lmdb, &txn, err);

    if (st != STATUS_OK)
        return st;
    put_be64(number_of(space, NUMBER_SEQUENCE_MAX), bytes);
    int result = mdb_cursor_open(txn, lmdb->places, &cursor);

    if (result == 0) {
        result = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
        if (result == MDB_NOTFOUND)
            result = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
        else if (result == 0 && get_key(key) > number_of(space, NUMBER_SEQUENCE_MAX))
            result = mdb_cursor_get(cursor, &key, &value, MDB_PREV);
        mdb_cursor_close(cursor);
    }
    if (result == 0 && key.mv_size != NUMBER_SIZE)
        result = MDB_CORRUPTED;
    if (result != 0 && result != MDB_NOTFOUND)
        st = fail(lmdb, result, "find the last number", err);
    else
        *ret_number = result == 0 && number_space(get_key(key)) == space ? get_key(key) : 0;
    mdb_txn_abort(txn);
    return st;
}

static bool take_cover(MDB_val key, MDB_val value, struct index_cover *ret_cover)
{
    struct cursor bytes = cursor_over(value);

    memcpy(ret_cover->pack.bytes, key.mv_data, RANDOM_ID_SIZE);
    ret_cover->covered = cursor_u64le(&bytes);
    ret_cover->sealed = cursor_u8(&bytes) != 0;
    return cursor_end(&bytes);
}

static bool is_about(MDB_val key)
{
    return key.mv_size == sizeof(ABOUT_KEY) - 1 &&
           memcmp(key.mv_data, ABOUT_KEY, sizeof(ABOUT_KEY) - 1) == 0;
}

static enum status lmdb_each_cover(struct index *index,
                                   enum status (*each)(void *arg, const struct index_cover *cover,
                                                       struct error *err),
                                   void *arg, struct error *err)
{
    struct index_lmdb *lmdb = lmdb_of(index);
    MDB_val key = {0};
    MDB_val value = {0};
    MDB_cursor *cursor = NULL;
    MDB_txn *txn = NULL;
    enum status st = begin_reading(lmdb, &txn, err);

    if (st != STATUS_OK)
        return st;
    int result = mdb_cursor_open(txn, lmdb->covers, &cursor);

    if (result == 0)
        result = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    while (st == STATUS_OK && result == 0) {
        struct index_cover cover = {0};
        bool is_cover = key.mv_size == RANDOM_ID_SIZE;

        if (is_cover ? !take_cover(key, value, &cover) : !is_about(key))
            result = MDB_CORRUPTED;
        else if (is_cover)
            st = each(arg, &cover, err);
        if (result == 0)
            result = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    if (st == STATUS_OK && result != MDB_NOTFOUND)
        st = fail(lmdb, result, "list what is covered", err);
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    return st;
}

/* --- writing ----------------------------------------------------------------------------------- */

static int put_record(const struct index_lmdb *lmdb, MDB_txn *txn,
                      const struct index_record *record)
{
    uint8_t id_key[ID_KEY_SIZE];
    uint8_t number[NUMBER_SIZE];
    uint8_t place[PLACE_SIZE];
    MDB_val key = value_of(id_key, sizeof(id_key));
    MDB_val value = value_of(number, sizeof(number));

    make_id_key(&record->domain, &record->id, id_key);
    put_be64(record->number, number);
    memcpy(place, record->place.pack.bytes, RANDOM_ID_SIZE);
    put_le(record->place.offset, place + RANDOM_ID_SIZE, 8);
    put_le(record->place.length, place + RANDOM_ID_SIZE + 8, 4);
    memcpy(place + RANDOM_ID_SIZE + 12, record->id.bytes, 4);
    int result = mdb_put(txn, lmdb->ids, &key, &value, MDB_NOOVERWRITE);

    if (result != 0 && result != MDB_KEYEXIST)
        return result;
    key = value_of(number, sizeof(number));
    value = value_of(place, sizeof(place));
    return mdb_put(txn, lmdb->places, &key, &value, 0);
}

static int put_cover(const struct index_lmdb *lmdb, MDB_txn *txn, const struct index_cover *cover)
{
    uint8_t bytes[COVER_SIZE];
    MDB_val key = value_of(cover->pack.bytes, RANDOM_ID_SIZE);
    MDB_val value = value_of(bytes, sizeof(bytes));

    put_le(cover->covered, bytes, 8);
    bytes[8] = cover->sealed ? 1 : 0;
    return mdb_put(txn, lmdb->covers, &key, &value, 0);
}

static int put_batch(const struct index_lmdb *lmdb, const struct index_batch *batch)
{
    MDB_txn *txn = NULL;
    int result = mdb_txn_begin(lmdb->env, NULL, 0, &txn);

    if (result != 0)
        return result;
    for (size_t i = 0; result == 0 && i < batch->record_count; i++)
        result = put_record(lmdb, txn, &batch->records[i]);
    for (size_t i = 0; result == 0 && i < batch->cover_count; i++)
        result = put_cover(lmdb, txn, &batch->covers[i]);
    if (result != 0) {
        mdb_txn_abort(txn);
        return result;
    }
    return mdb_txn_commit(txn); /* ends it, whatever the result; syncs */
}

static enum status lmdb_apply(struct index *index, const struct index_batch *batch,
                              struct error *err)
{
    struct index_lmdb *lmdb = lmdb_of(index);
    enum status st = check_open(lmdb, err);

    if (st != STATUS_OK)
        return st;
    int result = lmdb->damaged ? MDB_CORRUPTED : put_batch(lmdb, batch);

    return result == 0 ? STATUS_OK : fail(lmdb, result, "write", err);
}

/* What was applied is durable already. */
static enum status lmdb_flush(struct index *index, struct error *err)
{
    return check_open(lmdb_of(index), err);
}

/* --- opening ----------------------------------------------------------------------------------- */

static void close_env(struct index_lmdb *lmdb)
{
    if (lmdb->env != NULL)
        mdb_env_close(lmdb->env);
    lmdb->env = NULL;
}

static void lmdb_free(struct index *index)
{
    struct index_lmdb *lmdb = lmdb_of(index);

    close_env(lmdb);
    memory_free(lmdb->folder);
    memory_free(lmdb);
}

static int open_databases(struct index_lmdb *lmdb)
{
    MDB_txn *txn = NULL;
    int result = mdb_txn_begin(lmdb->env, NULL, 0, &txn);

    if (result != 0)
        return result;
    result = mdb_dbi_open(txn, "ids", MDB_CREATE, &lmdb->ids);
    if (result == 0)
        result = mdb_dbi_open(txn, "places", MDB_CREATE, &lmdb->places);
    if (result == 0)
        result = mdb_dbi_open(txn, "covers", MDB_CREATE, &lmdb->covers);
    if (result != 0) {
        mdb_txn_abort(txn);
        return result;
    }
    return mdb_txn_commit(txn);
}

/* The store's lock, which is held by now, keeps others away: LMDB needs none of its own. */
static int open_map(struct index_lmdb *lmdb, size_t map_size)
{
    int result = mdb_env_create(&lmdb->env);

    if (result == 0)
        result = mdb_env_set_maxdbs(lmdb->env, DATABASES);
    if (result == 0)
        result = mdb_env_set_mapsize(lmdb->env, map_size);
    if (result == 0)
        result = mdb_env_open(lmdb->env, lmdb->folder, MDB_NOLOCK | MDB_NOTLS | MDB_NORDAHEAD,
                              S_IRUSR | S_IWUSR);
    if (result != 0)
        close_env(lmdb); /* LMDB wants that of an env that did not open */
    return result;
}

/* Are all the pages there that its newest transaction counts? A look at one behind the file's end would kill the process
 * (SIGBUS). Every page that our transactions count is written: they never delete, so none is free and unwritten. */
static enum status has_all_pages(const struct index_lmdb *lmdb, bool *ret_has, struct error *err)
{
    struct fs_file *file = NULL;
    MDB_envinfo info = {0};
    MDB_stat stat = {0};
    uint64_t size = 0;
    enum status st = fs_open(lmdb->fs, DATA_FILE, FS_READ, &file, err);

    if (st == STATUS_OK)
        st = fs_size(file, &size, err);
    if (st != STATUS_OK)
        goto out;
    INVARIANT(mdb_env_info(lmdb->env, &info) == 0 && mdb_env_stat(lmdb->env, &stat) == 0);
    *ret_has = stat.ms_psize > 0 && size / stat.ms_psize > info.me_last_pgno;
out:
    fs_close(file);
    return st;
}

/* *RET_DAMAGE (0: none): what is wrong with the file that is there; it is not open then. */
static enum status open_env(struct index_lmdb *lmdb, int *ret_damage, struct error *err)
{
    bool whole = true;
    enum status st = STATUS_OK;
    int result = ENOMEM;

    for (size_t size = MAP_MOST; result == ENOMEM && size >= MAP_LEAST; size /= 2)
        result = open_map(lmdb, size);
    if (result == 0)
        st = has_all_pages(lmdb, &whole, err);
    if (result == 0 && st == STATUS_OK)
        result = whole ? open_databases(lmdb) : MDB_PAGE_NOTFOUND;
    if (result != 0 || st != STATUS_OK)
        close_env(lmdb);
    if (st != STATUS_OK || result == 0)
        return st;
    if (!is_damage(result))
        return fail_by_errno(lmdb, result, "open", err);
    *ret_damage = result;
    return STATUS_OK;
}

static enum status provide_folder(const struct index_lmdb *lmdb, struct error *err)
{
    enum status st = fs_make_dir(lmdb->fs, INDEX_LMDB_DIR, err);

    return st == STATUS_EXISTS ? STATUS_OK : st;
}

/* Whose it is; MDB_NOTFOUND: nobody's. */
static int read_about(const struct index_lmdb *lmdb, uint8_t ret_about[ABOUT_SIZE])
{
    MDB_val key = value_of(ABOUT_KEY, sizeof(ABOUT_KEY) - 1);
    MDB_val value = {0};
    MDB_txn *txn = NULL;
    int result = mdb_txn_begin(lmdb->env, NULL, MDB_RDONLY, &txn);

    if (result == 0)
        result = mdb_get(txn, lmdb->covers, &key, &value);
    if (result == 0 && value.mv_size != ABOUT_SIZE)
        result = MDB_CORRUPTED;
    if (result == 0)
        memcpy(ret_about, value.mv_data, ABOUT_SIZE);
    mdb_txn_abort(txn); /* NULL is fine */
    return result;
}

static int write_about(const struct index_lmdb *lmdb)
{
    MDB_val key = value_of(ABOUT_KEY, sizeof(ABOUT_KEY) - 1);
    MDB_val value = value_of(lmdb->about, ABOUT_SIZE);
    MDB_txn *txn = NULL;
    int result = mdb_txn_begin(lmdb->env, NULL, 0, &txn);

    if (result != 0)
        return result;
    result = mdb_put(txn, lmdb->covers, &key, &value, 0);
    if (result != 0) {
        mdb_txn_abort(txn);
        return result;
    }
    return mdb_txn_commit(txn);
}

/* A new file that knows nothing, but whose it is. To drop what is in the old one would cost more, and cannot be done to a
 * damaged one. */
static enum status start_over(struct index_lmdb *lmdb, struct error *err)
{
    int damage = 0;

    close_env(lmdb);
    enum status st = remove_file(lmdb, err);

    if (st != STATUS_OK)
        return error_wrap(err, "index %s: remove it, to make it anew", lmdb->folder);
    st = open_env(lmdb, &damage, err);
    if (st != STATUS_OK)
        return error_wrap(err, "index %s: make it anew", lmdb->folder);
    if (damage != 0)
        return fail(lmdb, damage, "make it anew", err);
    lmdb->damaged = false;
    int result = write_about(lmdb);

    return result == 0 ? STATUS_OK : fail(lmdb, result, "make it anew", err);
}

static enum status lmdb_clear(struct index *index, struct error *err)
{
    return start_over(lmdb_of(index), err);
}

/* Its caller holds the store's lock: from here on nobody else opens this folder. */
static enum status lmdb_bind(struct index *index, const struct random_id *repository,
                             struct error *err)
{
    struct index_lmdb *lmdb = lmdb_of(index);
    uint8_t there[ABOUT_SIZE];
    int result = lmdb->damaged ? MDB_CORRUPTED : 0;
    enum status st = provide_folder(lmdb, err);

    if (st != STATUS_OK)
        return error_wrap(err, "index %s", lmdb->folder);
    put_le(FORMAT_BUILD, lmdb->about, 4);
    memcpy(lmdb->about + 4, repository->bytes, RANDOM_ID_SIZE);
    if (lmdb->env == NULL && result == 0)
        st = open_env(lmdb, &result, err);
    if (st != STATUS_OK)
        return error_wrap(err, "index %s", lmdb->folder);
    if (result == 0)
        result = read_about(lmdb, there);
    if (result == 0 && memcmp(lmdb->about, there, ABOUT_SIZE) == 0)
        return STATUS_OK;
    if (result == 0)
        log_warning(lmdb->log,
                    "index %s is of another repository or build: it is made anew from the packs",
                    lmdb->folder);
    else if (result != MDB_NOTFOUND && is_damage(result))
        log_warning(lmdb->log, "index %s is damaged (%s): it is made anew from the packs",
                    lmdb->folder, mdb_strerror(result));
    else if (result != MDB_NOTFOUND)
        return fail_by_errno(lmdb, result, "read whose it is", err);
    return start_over(lmdb, err);
}

static const struct index_ops lmdb_ops = {
    .find = lmdb_find,
    .find_places = lmdb_find_places,
    .apply = lmdb_apply,
    .flush = lmdb_flush,
    .last_number = lmdb_last_number,
    .bind = lmdb_bind,
    .each_cover = lmdb_each_cover,
    .clear = lmdb_clear,
    .free = lmdb_free,
};

enum status index_lmdb_new(struct fs *fs, const char *data, const struct log *log,
                           struct index **ret_index, struct error *err)
{
    size_t size = strlen(data) + sizeof("/" INDEX_LMDB_DIR);
    struct index_lmdb *lmdb = memory_new(1, sizeof(*lmdb));

    if (lmdb == NULL)
        return error_set_no_memory(err, sizeof(*lmdb), "the index");
    *lmdb = (struct index_lmdb){.index = {.ops = &lmdb_ops}, .fs = fs, .log = log};
    lmdb->folder = memory_new(size, 1);
    if (lmdb->folder == NULL) {
        lmdb_free(&lmdb->index);
        return error_set_no_memory(err, size, "the index's path");
    }
    INVARIANT(text_format(lmdb->folder, size, "%s/" INDEX_LMDB_DIR, data));
    *ret_index = &lmdb->index;
    return STATUS_OK;
}
