#include "base/fault.h"

#ifdef TIDEMARK_FAULTS

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

#include "base/invariant.h"
#include "base/text.h"

enum { POINTS_MAX = 256, NAME_SIZE = 64 };

struct point {
    const char *name; /* a literal */
    uint64_t hits;
};

/* The heap of this module is the C library's: the table must not be subject to itself. */
struct faults {
    uv_mutex_t mutex; /* for all that follows */
    uv_cond_t changed;
    struct point points[POINTS_MAX];
    size_t point_count;
    unsigned classes; /* armed, or 0 */
    uint64_t class_hits;
    char armed[NAME_SIZE]; /* the armed point, or "" */
    enum fault_action action;
    uint64_t n;
    bool varied;
    uint64_t variation; /* the state of the draws */
    bool fired;
    unsigned stalled;
    uint64_t releases;
};

/* The one process-wide variable: see the header. Atomic for threads that outlive a test's table. */
static struct faults *_Atomic installed;

static struct point *point_of(struct faults *faults, const char *name)
{
    for (size_t i = 0; i < faults->point_count; i++) {
        if (strcmp(faults->points[i].name, name) == 0)
            return &faults->points[i];
    }
    return NULL;
}

/* Counts one hit and says what is armed for it. Locked. */
static enum fault_action count(struct faults *faults, enum fault_class kind, const char *name)
{
    struct point *point = point_of(faults, name);

    if (point == NULL) {
        INVARIANT(faults->point_count < POINTS_MAX);
        point = &faults->points[faults->point_count];
        *point = (struct point){.name = name};
        faults->point_count++;
    }
    point->hits++;
    if ((faults->classes & (unsigned)kind) != 0) {
        faults->class_hits++;
        if (faults->class_hits == faults->n) {
            faults->fired = true;
            return FAULT_FAIL;
        }
    }
    if (point->hits == faults->n && strcmp(faults->armed, name) == 0) {
        faults->fired = true;
        return faults->action;
    }
    return FAULT_NONE;
}

/* Waits for the next release. Locked. */
static void stall(struct faults *faults)
{
    uint64_t releases = faults->releases;

    faults->stalled++;
    uv_cond_broadcast(&faults->changed);
    while (faults->releases == releases)
        uv_cond_wait(&faults->changed, &faults->mutex);
}

void fault_kill(void)
{
    (void)uv_kill(uv_os_getpid(), SIGKILL); /* does not return where it works */
    abort();
}

enum fault_action fault_hit(enum fault_class kind, const char *point, unsigned actions)
{
    struct faults *faults = atomic_load(&installed);

    if (faults == NULL)
        return FAULT_NONE;
    uv_mutex_lock(&faults->mutex);
    enum fault_action action = count(faults, kind, point);
    if (action == FAULT_STALL) {
        stall(faults);
        action = FAULT_NONE;
    }
    uv_mutex_unlock(&faults->mutex);
    if (action == FAULT_KILL)
        fault_kill();
    INVARIANT(action == FAULT_NONE || (actions & 1U << action) != 0);
    return action;
}

enum status fault_point(const char *name, struct error *err)
{
    if (fault_hit(FAULT_POINT, name, 1U << FAULT_FAIL) == FAULT_FAIL)
        return error_set(err, STATUS_UNAVAILABLE, "fault on purpose at %s", name);
    return STATUS_OK;
}

/* splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators"). */
static uint64_t next_draw(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

bool fault_draw(uint64_t limit, uint64_t *ret_number)
{
    struct faults *faults = atomic_load(&installed);
    bool varied = false;

    INVARIANT(limit != 0);
    if (faults == NULL)
        return false;
    uv_mutex_lock(&faults->mutex);
    varied = faults->varied;
    if (varied)
        *ret_number = next_draw(&faults->variation) % limit;
    uv_mutex_unlock(&faults->mutex);
    return varied;
}

struct faults *faults_new(void)
{
    struct faults *faults = calloc(1, sizeof(*faults));

    if (faults == NULL)
        return NULL;
    if (uv_mutex_init(&faults->mutex) != 0) {
        free(faults);
        return NULL;
    }
    if (uv_cond_init(&faults->changed) != 0) {
        uv_mutex_destroy(&faults->mutex);
        free(faults);
        return NULL;
    }
    return faults;
}

void faults_free(struct faults *faults)
{
    if (faults == NULL)
        return;
    INVARIANT(atomic_load(&installed) != faults);
    uv_cond_destroy(&faults->changed);
    uv_mutex_destroy(&faults->mutex);
    free(faults);
}

void faults_install(struct faults *faults)
{
    atomic_store(&installed, faults);
}

/* Forgets what was armed, and all counts. Locked. */
static void disarm(struct faults *faults)
{
    faults->point_count = 0;
    faults->classes = 0;
    faults->class_hits = 0;
    faults->armed[0] = '\0';
    faults->action = FAULT_NONE;
    faults->n = 0;
    faults->varied = false;
    faults->variation = 0;
}

void faults_arm(struct faults *faults, unsigned classes, uint64_t n)
{
    const unsigned all = FAULT_ALLOC | FAULT_IO | FAULT_POINT;

    INVARIANT(n == 0 || ((classes & all) != 0 && (classes & ~all) == 0));
    uv_mutex_lock(&faults->mutex);
    disarm(faults);
    if (n != 0) {
        faults->classes = classes;
        faults->n = n;
        faults->fired = false;
    }
    uv_mutex_unlock(&faults->mutex);
}

void faults_arm_point(struct faults *faults, const char *point, uint64_t n,
                      enum fault_action action)
{
    INVARIANT(n != 0);
    INVARIANT(action != FAULT_NONE);
    INVARIANT(point[0] != '\0');
    uv_mutex_lock(&faults->mutex);
    disarm(faults);
    INVARIANT(text_format(faults->armed, sizeof(faults->armed), "%s", point));
    faults->action = action;
    faults->n = n;
    faults->fired = false;
    uv_mutex_unlock(&faults->mutex);
}

void faults_vary(struct faults *faults, uint64_t seed)
{
    uv_mutex_lock(&faults->mutex);
    faults->varied = seed != 0;
    faults->variation = seed;
    uv_mutex_unlock(&faults->mutex);
}

static const struct {
    const char *name;
    enum fault_action action;
} action_names[] = {
    {"fail", FAULT_FAIL}, {"full", FAULT_FULL}, {"after", FAULT_AFTER}, {"short", FAULT_SHORT},
    {"torn", FAULT_TORN}, {"lose", FAULT_LOSE}, {"kill", FAULT_KILL},   {"stall", FAULT_STALL},
};

static enum fault_action action_of(struct slice name)
{
    for (size_t i = 0; i < sizeof(action_names) / sizeof(action_names[0]); i++) {
        if (slice_equal(name, slice_of_text(action_names[i].name)))
            return action_names[i].action;
    }
    return FAULT_NONE;
}

/* N, or N~SEED; false: TEXT is neither. */
static bool parse_numbers(const char *text, uint64_t *ret_n, uint64_t *ret_seed)
{
    const char *tilde = strchr(text, '~');
    size_t length = tilde == NULL ? strlen(text) : (size_t)(tilde - text);
    char first[NAME_SIZE] = "";

    if (length >= sizeof(first) || !text_format(first, sizeof(first), "%.*s", (int)length, text))
        return false;
    if (!text_parse_u64(first, ret_n) || *ret_n == 0)
        return false;
    return tilde == NULL || text_parse_u64(tilde + 1, ret_seed);
}

enum status faults_parse(struct faults *faults, const char *text, struct error *err)
{
    const char *equals = strchr(text, '=');
    const char *at = equals == NULL ? NULL : strchr(equals, '@');

    if (at == NULL)
        return error_set(err, STATUS_INVALID, "\"%s\" is not POINT=ACTION@N[~SEED]", text);

    size_t length = (size_t)(equals - text);
    enum fault_action action = action_of(slice_of(equals + 1, (size_t)(at - equals) - 1));
    char point[NAME_SIZE] = "";
    uint64_t n = 0;
    uint64_t seed = 0;

    if (length == 0 || length >= sizeof(point))
        return error_set(err, STATUS_INVALID, "\"%s\": a point's name has 1 to %zu bytes", text,
                         sizeof(point) - 1);
    if (action == FAULT_NONE)
        return error_set(
            err, STATUS_INVALID,
            "\"%s\": the action is not fail, full, after, short, torn, lose, kill or stall", text);
    if (!parse_numbers(at + 1, &n, &seed))
        return error_set(err, STATUS_INVALID,
                         "\"%s\": N is not a number from 1, or SEED is no number", text);
    memcpy(point, text, length);
    faults_arm_point(faults, point, n, action);
    faults_vary(faults, seed);
    return STATUS_OK;
}

enum status faults_install_from_environment(struct error *err)
{
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the first call of main(): there are no other threads */
    const char *text = getenv("TIDEMARK_FAULT");
    struct faults *faults = NULL;
    enum status st = STATUS_OK;

    if (text == NULL)
        return STATUS_OK;
    faults = faults_new();
    if (faults == NULL)
        return error_set_no_memory(err, sizeof(*faults), "a table of faults");
    st = faults_parse(faults, text, err);
    if (st != STATUS_OK) {
        faults_free(faults);
        return error_wrap(err, "TIDEMARK_FAULT");
    }
    faults_install(faults); /* for good: INSTALLED keeps it */
    return STATUS_OK;
}

bool faults_fired(struct faults *faults)
{
    uv_mutex_lock(&faults->mutex);
    bool fired = faults->fired;
    uv_mutex_unlock(&faults->mutex);
    return fired;
}

uint64_t faults_hits(struct faults *faults, const char *point)
{
    uv_mutex_lock(&faults->mutex);
    const struct point *found = point_of(faults, point);
    uint64_t hits = found == NULL ? 0 : found->hits;
    uv_mutex_unlock(&faults->mutex);
    return hits;
}

void faults_each(struct faults *faults,
                 void (*each_point)(void *arg, const char *name, uint64_t hits), void *arg)
{
    uv_mutex_lock(&faults->mutex);
    for (size_t i = 0; i < faults->point_count; i++)
        each_point(arg, faults->points[i].name, faults->points[i].hits);
    uv_mutex_unlock(&faults->mutex);
}

void faults_release(struct faults *faults)
{
    uv_mutex_lock(&faults->mutex);
    faults->stalled = 0;
    faults->releases++;
    uv_cond_broadcast(&faults->changed);
    uv_mutex_unlock(&faults->mutex);
}

void faults_await_stall(struct faults *faults)
{
    uv_mutex_lock(&faults->mutex);
    while (faults->stalled == 0)
        uv_cond_wait(&faults->changed, &faults->mutex);
    uv_mutex_unlock(&faults->mutex);
}

#endif
