/* index_bench FILLING FOLDER RECORDS SECONDS [DESCRIPTOR]: what a filling of the index (coordinator/store/index.h) costs. FILLING is
 * "files", "lmdb", or either with "-rebuild": without looking ids up before they are put in, as a rebuild does. FOLDER is empty. It
 * stops putting after SECONDS, and says how far it got. DESCRIPTOR, where it is given, is open for
 * writing on /proc/sys/vm/drop_caches. docs/decisions/0002-index.md says how to read the figures. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs_posix.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "coordinator/store/index_files.h"
#include "tests/bench/index_lmdb.h"

/* As the store calls it: records a batch of apply(), of a pack, and ids an offer. */
enum { BATCH = 2500, PACK_RECORDS = 2100, OFFER = 256, RECORD_SIZE = 30000, FLUSH_EVERY = 400 };

enum { WARM_LOOKUPS = 400000, COLD_LOOKUPS = 20000, PLACES_A_CALL = 64 };

struct bench {
    const char *folder;
    bool lmdb;
    bool rebuilds;
    struct log *log;
    struct fs *fs;
    struct index *index;
    uint64_t records;
    uint64_t put;
    uint64_t start_ms;
    uint64_t budget_ms;
    int drop_caches; /* a descriptor of /proc/sys/vm/drop_caches; -1: none */
};

static const struct random_id repository = {{'r'}};
static const struct random_id domain = {{'d'}};

static void stop(const char *what, const struct error *err)
{
    (void)fprintf(stderr, "index_bench: %s: %s\n", what, err->text);
    exit(1); /* NOLINT(concurrency-mt-unsafe): one thread */
}

static void check(enum status st, const char *what, const struct error *err)
{
    if (st != STATUS_OK)
        stop(what, err);
}

static uint64_t now_ms(void)
{
    return clock_now_ms(clock_system());
}

/* splitmix64: ids are keyed hashes, so any of their bytes are as good as random. */
static uint64_t mix(uint64_t value)
{
    value += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

static struct id id_of_number(uint64_t number)
{
    struct id id;

    for (unsigned i = 0; i < 4; i++) {
        uint64_t part = mix(number * 4 + i);

        memcpy(id.bytes + (size_t)8 * i, &part, 8);
    }
    return id;
}

static struct random_id pack_of_number(uint64_t number)
{
    struct random_id pack;
    uint64_t part = mix(~(number / PACK_RECORDS));

    memcpy(pack.bytes, &part, 8);
    memcpy(pack.bytes + 8, &part, 8);
    return pack;
}

static struct index_record record_of_number(uint64_t number)
{
    return (struct index_record){
        .domain = domain,
        .id = id_of_number(number),
        .number = number_of(77, number),
        .place = {.pack = pack_of_number(number),
                  .offset = number % PACK_RECORDS * RECORD_SIZE,
                  .length = RECORD_SIZE},
    };
}

static void open_index(struct bench *bench)
{
    struct error err = {0};

    if (bench->lmdb)
        check(index_lmdb_new(bench->fs, bench->folder, bench->log, &bench->index, &err), "new",
              &err);
    else
        check(index_files_new(bench->fs, &(struct index_files_options){0}, bench->log,
                              &bench->index, &err),
              "new", &err);
    check(bench->index->ops->bind(bench->index, &repository, &err), "bind", &err);
}

/* Bytes that this process had written to the device ("write_bytes" of proc(5)); 0: the kernel does not say. */
static uint64_t written(void)
{
    struct error err = {0};
    struct fs *fs = NULL;
    struct fs_file *file = NULL;
    char text[1024] = "";
    size_t size = 0;
    uint64_t bytes = 0;

    check(fs_posix_new("/proc/self", &fs, &err), "/proc/self", &err);
    check(fs_open(fs, "io", FS_READ, &file, &err), "/proc/self/io", &err);
    check(fs_read_at(file, 0, text, sizeof(text) - 1, &size, &err), "/proc/self/io", &err);
    char *at = strstr(text, "\nwrite_bytes: ");

    if (at != NULL) {
        at += strlen("\nwrite_bytes: ");
        at[strcspn(at, "\n")] = '\0';
        if (!text_parse_u64(at, &bytes))
            bytes = 0;
    }
    fs_close(file);
    fs_free(fs);
    return bytes;
}

/* Through the descriptor that scripts/bench opens for it, as root; elsewhere cold look-ups are not. */
static bool drop_caches(int descriptor)
{
    return descriptor >= 0 && write(descriptor, "3", 1) == 1;
}

static double seconds_since(uint64_t start_ms)
{
    uint64_t ms = now_ms() - start_ms;

    return (double)(ms > 0 ? ms : 1) / 1000;
}

/* An offer: OFFER ids from FIRST on, each of which is known, or not. */
static void look_up(struct bench *bench, const uint64_t numbers[OFFER], bool known)
{
    struct id ids[OFFER];
    uint64_t found[OFFER];
    struct error err = {0};

    for (unsigned i = 0; i < OFFER; i++)
        ids[i] = id_of_number(numbers[i]);
    check(bench->index->ops->find(bench->index, &domain, ids, OFFER, found, &err), "find", &err);
    for (unsigned i = 0; i < OFFER; i++) {
        if (found[i] != (known ? number_of(77, numbers[i]) : 0)) {
            (void)fprintf(stderr, "index_bench: a wrong answer for %" PRIu64 "\n", numbers[i]);
            exit(1); /* NOLINT(concurrency-mt-unsafe): one thread */
        }
    }
}

static void offer_all(struct bench *bench, const struct index_record *records)
{
    for (unsigned first = 0; first + OFFER <= BATCH; first += OFFER) {
        uint64_t numbers[OFFER];

        for (unsigned i = 0; i < OFFER; i++)
            numbers[i] = number_sequence(records[first + i].number);
        look_up(bench, numbers, false);
    }
}

static void put_batch(struct bench *bench, struct index_record *records)
{
    struct error err = {0};
    struct index_cover cover = {.pack = pack_of_number(bench->put + BATCH), .covered = 1};
    struct index_batch batch = {records, BATCH, &cover, 1};

    for (unsigned i = 0; i < BATCH; i++)
        records[i] = record_of_number(bench->put + 1 + i);
    if (!bench->rebuilds)
        offer_all(bench, records);
    check(bench->index->ops->apply(bench->index, &batch, &err), "apply", &err);
    bench->put += BATCH;
    if (bench->put / BATCH % FLUSH_EVERY == 0)
        check(bench->index->ops->flush(bench->index, &err), "flush", &err);
}

static void put_all(struct bench *bench)
{
    struct index_record *records = memory_new(BATCH, sizeof(*records));
    struct error err = {0};
    uint64_t longest_ms = 0;
    uint64_t part_ms = now_ms();

    if (records == NULL)
        stop("memory", &err);
    while (bench->put < bench->records && now_ms() - bench->start_ms < bench->budget_ms) {
        uint64_t before = now_ms();

        put_batch(bench, records);
        longest_ms = now_ms() - before > longest_ms ? now_ms() - before : longest_ms;
        if (bench->put % ((uint64_t)BATCH * FLUSH_EVERY) == 0) {
            (void)printf("  at %" PRIu64 ": %.0f puts/s, %.0f bytes written a record so far\n",
                         bench->put, (double)BATCH * FLUSH_EVERY / seconds_since(part_ms),
                         (double)written() / (double)bench->put);
            (void)fflush(stdout);
            part_ms = now_ms();
        }
    }
    check(bench->index->ops->flush(bench->index, &err), "flush", &err);
    double seconds = seconds_since(bench->start_ms);

    (void)printf("put %" PRIu64 " records in %.1f s: %.0f puts/s, longest batch of %d: %" PRIu64
                 " ms, %.0f bytes written to the device a record\n",
                 bench->put, seconds, (double)bench->put / seconds, BATCH, longest_ms,
                 (double)written() / (double)bench->put);
    memory_free(records);
}

static void look_up_many(struct bench *bench, const char *what, uint64_t count, bool known)
{
    uint64_t start = now_ms();
    uint64_t seed = known ? 1 : 2;
    uint64_t done = 0;

    for (; done < count && now_ms() - start < 60000; done += OFFER) {
        uint64_t numbers[OFFER];

        for (unsigned i = 0; i < OFFER; i++) {
            seed = mix(seed);
            numbers[i] = seed % bench->put + 1 + (known ? 0 : UINT64_C(1) << 39);
        }
        look_up(bench, numbers, known);
    }
    (void)printf("%s: %.0f ids/s (%" PRIu64 ")\n", what, (double)done / seconds_since(start), done);
    (void)fflush(stdout);
}

static void find_places(struct bench *bench, const char *what)
{
    struct error err = {0};
    uint64_t most = bench->put < 1000000 ? bench->put : 1000000;
    uint64_t start = now_ms();
    uint64_t done = 0;

    for (uint64_t first = bench->put / 3; done + PLACES_A_CALL <= most / 2; done += PLACES_A_CALL) {
        uint64_t numbers[PLACES_A_CALL];
        struct place places[PLACES_A_CALL];

        for (unsigned i = 0; i < PLACES_A_CALL; i++)
            numbers[i] = number_of(77, first + done + i + 1);
        check(bench->index->ops->find_places(bench->index, numbers, PLACES_A_CALL, places, &err),
              "find places", &err);
        if (places[0].offset != (first + done + 1) % PACK_RECORDS * RECORD_SIZE) {
            (void)fprintf(stderr, "index_bench: a wrong place\n");
            exit(1); /* NOLINT(concurrency-mt-unsafe): one thread */
        }
    }
    (void)printf("%s: %.0f numbers/s\n", what, (double)done / seconds_since(start));
}

static void reopen(struct bench *bench)
{
    bench->index->ops->free(bench->index);
    bool dropped = drop_caches(bench->drop_caches);
    uint64_t start = now_ms();

    open_index(bench);
    (void)printf("opened%s in %.2f s\n", dropped ? " (caches dropped)" : "", seconds_since(start));
}

static void run(struct bench *bench)
{
    open_index(bench);
    bench->start_ms = now_ms();
    put_all(bench);
    look_up_many(bench, "known ids, warm", WARM_LOOKUPS, true);
    look_up_many(bench, "unknown ids, warm", WARM_LOOKUPS, false);
    find_places(bench, "places, ascending, warm");
    reopen(bench);
    look_up_many(bench, "known ids, cold", COLD_LOOKUPS, true);
    look_up_many(bench, "unknown ids, cold", COLD_LOOKUPS, false);
    reopen(bench);
    find_places(bench, "places, ascending, cold");
    bench->index->ops->free(bench->index);
}

int main(int argc, char **argv)
{
    struct bench bench = {.put = 0};
    struct log_sink *sink = NULL;
    struct log log;
    struct error err = {0};
    uint64_t seconds = 0;
    uint64_t descriptor = 0;

    if (argc < 5 || argc > 6 || !text_parse_u64(argv[3], &bench.records) ||
        !text_parse_u64(argv[4], &seconds) || argv[2][0] != '/' ||
        (argc == 6 && (!text_parse_u64(argv[5], &descriptor) || descriptor > 1000))) {
        (void)fprintf(stderr, "use: index_bench files|lmdb[-rebuild] /FOLDER RECORDS SECONDS "
                              "[DESCRIPTOR]\n");
        return 2;
    }
    bench.lmdb = strncmp(argv[1], "lmdb", 4) == 0;
    bench.rebuilds = strstr(argv[1], "-rebuild") != NULL;
    bench.folder = argv[2];
    bench.drop_caches = argc == 6 ? (int)descriptor : -1;
    bench.budget_ms = seconds * 1000;
    check(log_sink_new(STDERR_FILENO, LOG_TEXT, LOG_INFO, clock_system(), &sink, &err), "log",
          &err);
    log = log_of(sink);
    bench.log = &log;
    check(fs_posix_new(bench.folder, &bench.fs, &err), bench.folder, &err);
    run(&bench);
    fs_free(bench.fs);
    log_sink_free(sink);
    return 0;
}
