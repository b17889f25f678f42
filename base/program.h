/* base/program.h: what every program's main() and command line need: values of options that several programs take, and how
 * many threads. Pure but for program_processors(). */
#ifndef BASE_PROGRAM_H
#define BASE_PROGRAM_H

#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/log.h"

enum { PROGRAM_WORKERS_MAX = 64 };

/* TEXT as the value of OPTION ("--memory"), a number from MIN to MAX. STATUS_INVALID: one sentence, as for the others. */
NODISCARD enum status program_parse_number(const char *option, const char *text, uint64_t min,
                                           uint64_t max, uint64_t *ret_value, struct error *err);

/* The values of --workers, --log-format and --log-level. */
NODISCARD enum status program_parse_workers(const char *text, uint64_t *ret_workers,
                                            struct error *err);
NODISCARD enum status program_parse_log_format(const char *text, enum log_format *ret_format,
                                               struct error *err);
NODISCARD enum status program_parse_log_level(const char *text, enum log_level *ret_level,
                                              struct error *err);

/* As many threads as the machine has processors, from 1 to MAX. */
unsigned program_processors(unsigned max);

/* WORKERS as parsed; 0: as many as the machine has processors. */
unsigned program_workers(uint64_t workers);

#endif
