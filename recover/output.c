#include "recover/output.h"

#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

enum { ZEROS_SIZE = 64 * 1024 };

struct output {
    struct fs *fs; /* NULL: a stream */
    char *name;
    char *partial;
    bool replace;
    bool made; /* NAME.partial is ours to remove */
    struct fs_file *file;
    FILE *stream;
    uint64_t size;
    uint64_t sent; /* of a stream */
};

/* ---- A file ---------------------------------------------------------------------------------- */

static enum status copy_names(struct output *output, const char *name, struct error *err)
{
    size_t room = strlen(name) + sizeof(".partial");

    output->name = memory_copy_text(name);
    output->partial = memory_new(room, 1);
    if (output->name == NULL || output->partial == NULL)
        return error_set_no_memory(err, room, "the name of an extract");
    if (!text_format(output->partial, room, "%s.partial", name))
        return error_set(err, STATUS_INTERNAL, "the name of an extract does not fit");
    return STATUS_OK;
}

/* Is NAME free, or may it be replaced? */
static enum status check_name(const struct output *output, struct error *err)
{
    struct error opened = {0};
    struct fs_file *there = NULL;
    enum status st = fs_open(output->fs, output->name, FS_READ, &there, &opened);

    fs_close(there);
    if (st == STATUS_NOT_FOUND)
        return STATUS_OK;
    if (st != STATUS_OK) {
        *err = opened;
        return st;
    }
    if (!output->replace)
        return error_set(err, STATUS_EXISTS,
                         "%s is there already; choose another name, or --force to replace it",
                         output->name);
    return STATUS_OK;
}

static enum status make_partial(struct output *output, struct error *err)
{
    struct error made = {0};
    enum status st = STATUS_OK;

    if (output->replace) {
        st = fs_remove(output->fs, output->partial, &made);
        if (st != STATUS_OK && st != STATUS_NOT_FOUND) {
            *err = made;
            return st;
        }
    }
    st = fs_open(output->fs, output->partial, FS_CREATE, &output->file, &made);
    if (st == STATUS_EXISTS)
        return error_set(
            err, STATUS_EXISTS,
            "%s is there already: another extract writes it, or one was killed; in that case "
            "remove it, or say --force",
            output->partial);
    if (st != STATUS_OK) {
        *err = made;
        return st;
    }
    output->made = true;
    return fs_resize(output->file, output->size, err);
}

enum status output_file(struct fs *fs, const char *name, uint64_t size, bool replace,
                        struct output **ret_output, struct error *err)
{
    struct output *output = memory_new(1, sizeof(*output));

    if (output == NULL)
        return error_set_no_memory(err, sizeof(*output), "an extract");
    output->fs = fs;
    output->size = size;
    output->replace = replace;

    enum status st = copy_names(output, name, err);

    if (st == STATUS_OK)
        st = check_name(output, err);
    if (st == STATUS_OK)
        st = make_partial(output, err);
    if (st == STATUS_OK) {
        *ret_output = output;
        output = NULL;
    }
    output_free(output);
    return st;
}

static enum status finish_file(struct output *output, struct error *err)
{
    enum status st = fs_sync(output->file, err);

    fs_close(output->file);
    output->file = NULL;
    if (st == STATUS_OK)
        st = check_name(output, err);
    if (st == STATUS_OK)
        st = fs_rename(output->fs, output->partial, output->name, err);
    if (st != STATUS_OK)
        return st;
    output->made = false;
    return fs_sync_dir(output->fs, "", err);
}

/* ---- A stream -------------------------------------------------------------------------------- */

enum status output_stream(FILE *stream, uint64_t size, struct output **ret_output,
                          struct error *err)
{
    struct output *output = memory_new(1, sizeof(*output));

    if (output == NULL)
        return error_set_no_memory(err, sizeof(*output), "an extract");
    output->stream = stream;
    output->size = size;
    *ret_output = output;
    return STATUS_OK;
}

static enum status send(struct output *output, struct slice bytes, struct error *err)
{
    if (fwrite(bytes.data, 1, bytes.size, output->stream) != bytes.size)
        return error_set(err, STATUS_UNAVAILABLE, "standard output takes no more");
    output->sent += bytes.size;
    return STATUS_OK;
}

static enum status send_zeros(struct output *output, uint64_t end, struct error *err)
{
    static const uint8_t zeros[ZEROS_SIZE];
    enum status st = STATUS_OK;

    while (st == STATUS_OK && output->sent < end) {
        uint64_t left = end - output->sent;

        st =
            send(output, slice_of(zeros, left < sizeof(zeros) ? (size_t)left : sizeof(zeros)), err);
    }
    return st;
}

/* ---- Either ---------------------------------------------------------------------------------- */

enum status output_write(struct output *output, uint64_t offset, struct slice bytes,
                         struct error *err)
{
    enum status st = STATUS_OK;

    if (output->fs != NULL)
        return fs_write_at(output->file, offset, bytes, err);
    st = send_zeros(output, offset, err);
    if (st == STATUS_OK)
        st = send(output, bytes, err);
    return st;
}

enum status output_finish(struct output *output, struct error *err)
{
    if (output->fs != NULL)
        return finish_file(output, err);

    enum status st = send_zeros(output, output->size, err);

    if (st == STATUS_OK && fflush(output->stream) != 0)
        st = error_set(err, STATUS_UNAVAILABLE, "standard output takes no more");
    return st;
}

void output_free(struct output *output)
{
    struct error err = {0};

    if (output == NULL)
        return;
    fs_close(output->file);
    if (output->made) /* if it stays, the next extract says so */
        DISCARD(fs_remove(output->fs, output->partial, &err));
    memory_free(output->name);
    memory_free(output->partial);
    memory_free(output);
}
