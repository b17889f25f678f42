#include "base/program.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

enum status program_parse_number(const char *option, const char *text, uint64_t min, uint64_t max,
                                 uint64_t *ret_value, struct error *err)
{
    uint64_t value = 0;

    if (!text_parse_u64(text, &value) || value < min || value > max)
        return error_set(err, STATUS_INVALID,
                         "%s %.64s is not a number from %" PRIu64 " to %" PRIu64, option, text, min,
                         max);
    *ret_value = value;
    return STATUS_OK;
}

enum status program_parse_workers(const char *text, uint64_t *ret_workers, struct error *err)
{
    return program_parse_number("--workers", text, 1, PROGRAM_WORKERS_MAX, ret_workers, err);
}

enum status program_parse_log_format(const char *text, enum log_format *ret_format,
                                     struct error *err)
{
    if (strcmp(text, "text") == 0)
        *ret_format = LOG_TEXT;
    else if (strcmp(text, "json") == 0)
        *ret_format = LOG_JSON;
    else
        return error_set(err, STATUS_INVALID, "--log-format %.64s is neither text nor json", text);
    return STATUS_OK;
}

enum status program_parse_log_level(const char *text, enum log_level *ret_level, struct error *err)
{
    static const char *const names[] = {[LOG_ERROR] = "error",
                                        [LOG_WARNING] = "warning",
                                        [LOG_INFO] = "info",
                                        [LOG_DEBUG] = "debug"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(text, names[i]) == 0) {
            *ret_level = (enum log_level)i;
            return STATUS_OK;
        }
    return error_set(err, STATUS_INVALID,
                     "--log-level %.64s is none of error, warning, info, debug", text);
}

unsigned program_processors(unsigned max)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);

    if (count < 1)
        return 1;
    return count > (long)max ? max : (unsigned)count;
}

unsigned program_workers(uint64_t workers)
{
    return workers != 0 ? (unsigned)workers : program_processors(PROGRAM_WORKERS_MAX);
}
