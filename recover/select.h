/* recover/select.h: which point a person means. Pure. */
#ifndef RECOVER_SELECT_H
#define RECOVER_SELECT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attr.h"
#include "base/error.h"
#include "recover/points.h"

/* The one point that TEXT means:
 *     DIGITS          the beginning of its task's or its envelope's id, 6 hexadecimal digits at least
 *     VM@TIME         of the VM of that name or id, and the beginning of its time, as `list` shows it
 *     VM@latest       the VM's newest in the log; if none is, the newest at all. None that is in the trash or purged
 * STATUS_NOT_FOUND: none. STATUS_INVALID: several, which the sentence names; or TEXT is nothing of this. */
NODISCARD enum status select_point(const struct points *points, const char *text, size_t *ret_point,
                                   struct error *err);

/* The item of POINT that TEXT means: its name, or its number (from 1) as `list` shows it. FILE: a file, else a disk.
 * Statuses as above. */
NODISCARD enum status select_item(const struct point *point, bool file, const char *text,
                                  size_t *ret_item, struct error *err);

#endif
