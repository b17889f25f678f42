#include "console/command.h"

#include <errno.h>

struct progress command_progress(const struct command *command)
{
    enum progress_mode mode = command->terminal ? PROGRESS_TERMINAL : PROGRESS_LINES;

    return progress_of(command->options->json ? PROGRESS_SILENT : mode, command->progress,
                       command->clock);
}

enum status command_flush(const struct command *command, struct error *err)
{
    errno = 0;
    if (fflush(command->out) != 0)
        return error_set_errno(err, errno, "print the result");
    if (ferror(command->out) != 0)
        return error_set(err, STATUS_UNKNOWN,
                         "print the result: a part of it could not be written");
    return STATUS_OK;
}
