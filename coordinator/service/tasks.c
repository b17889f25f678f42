#include "coordinator/service/tasks.h"

#include <string.h>

#include "base/buffer.h"
#include "base/hash.h"
#include "base/invariant.h"
#include "base/memory.h"
#include "base/text.h"

struct tasks {
    struct task *first;
};

enum status tasks_new(struct tasks **ret_tasks, struct error *err)
{
    struct tasks *tasks = memory_new(1, sizeof(*tasks));

    if (tasks == NULL)
        return error_set_no_memory(err, sizeof(*tasks), "the list of tasks");
    *ret_tasks = tasks;
    return STATUS_OK;
}

void tasks_free(struct tasks *tasks)
{
    if (tasks == NULL)
        return;
    INVARIANT(tasks->first == NULL);
    memory_free(tasks);
}

/* A plain disk stands for a VM of its own: the same one each time that this host names it. */
static enum status plain_disk_vm(const char *host, const char *disk, struct random_id *ret_vm,
                                 struct error *err)
{
    struct buffer name;
    struct hash_digest digest;
    enum status st = STATUS_OK;

    buffer_init(&name, 1024);
    buffer_put(&name, slice_of_text("tidemark plain disk"));
    buffer_put_u8(&name, 0);
    buffer_put(&name, slice_of_text(host));
    buffer_put_u8(&name, 0);
    buffer_put(&name, slice_of_text(disk));
    st = buffer_check(&name, "the names of a host and a disk", err);
    if (st == STATUS_OK)
        st = hash_sha256(buffer_slice(&name), &digest, err);
    if (st == STATUS_OK)
        memcpy(ret_vm->bytes, digest.bytes, sizeof(ret_vm->bytes));
    buffer_deinit(&name);
    return st;
}

enum status tasks_start(struct tasks *tasks, struct random_source *random, const char *host,
                        const char *disk, struct task_watcher *watcher, struct task **ret_task,
                        struct error *err)
{
    struct task *task = NULL;
    enum status st = STATUS_OK;

    for (const struct task *other = tasks->first; other != NULL; other = other->next)
        if (strcmp(other->host, host) == 0 && strcmp(other->disk, disk) == 0)
            return error_set(err, STATUS_PRECONDITION,
                             "a backup of disk %s on host %s is running already", disk, host);
    task = memory_new(1, sizeof(*task));
    if (task == NULL)
        return error_set_no_memory(err, sizeof(*task), "a task");
    if (!text_format(task->host, sizeof(task->host), "%s", host) ||
        !text_format(task->disk, sizeof(task->disk), "%s", disk))
        st = error_set(err, STATUS_INVALID, "the name of the disk is too long");
    if (st == STATUS_OK)
        st = random_bytes(random, task->id.bytes, sizeof(task->id.bytes), err);
    if (st == STATUS_OK)
        st = plain_disk_vm(host, disk, &task->vm, err);
    if (st == STATUS_OK) {
        task->watcher = watcher;
        task->next = tasks->first;
        tasks->first = task;
        *ret_task = task;
        task = NULL;
    }
    memory_free(task);
    return st;
}

struct task *tasks_find(const struct tasks *tasks, const struct random_id *id)
{
    for (struct task *task = tasks->first; task != NULL; task = task->next)
        if (random_id_equal(&task->id, id))
            return task;
    return NULL;
}

enum status tasks_find_of(const struct tasks *tasks, struct slice id, const char *host,
                          struct task **ret_task, struct error *err)
{
    struct random_id wanted;
    struct task *task = NULL;

    if (id.size != sizeof(wanted.bytes))
        return error_set(err, STATUS_INVALID, "a task's id has %zu bytes, this has %zu",
                         sizeof(wanted.bytes), id.size);
    memcpy(wanted.bytes, id.data, sizeof(wanted.bytes));
    task = tasks_find(tasks, &wanted);
    if (task == NULL || task->state != TASK_SENT || strcmp(task->host, host) != 0)
        return error_set(err, STATUS_DENIED, "host %s has no such task", host);
    *ret_task = task;
    return STATUS_OK;
}

struct task *tasks_to_tell(const struct tasks *tasks, const char *host)
{
    for (struct task *task = tasks->first; task != NULL; task = task->next)
        if (strcmp(task->host, host) == 0 &&
            (task->state == TASK_READY ||
             (task->state == TASK_SENT && task->cancel_wanted && !task->cancel_sent)))
            return task;
    return NULL;
}

void tasks_end(struct tasks *tasks, struct task *task, enum status status, const struct error *err)
{
    struct task_watcher *watcher = task->watcher;
    struct exchange *upload = task->upload;

    for (struct task **at = &tasks->first; *at != NULL; at = &(*at)->next)
        if (*at == task) {
            *at = task->next;
            break;
        }
    if (upload != NULL) {
        struct error over = {0};

        exchange_finish(upload, error_set(&over, STATUS_CANCELLED, "the task is over"), &over);
    }
    if (watcher != NULL)
        watcher->over(watcher, task, status, err);
    parent_free(task->parent);
    memory_free(task);
}

void tasks_end_host(struct tasks *tasks, const char *host, enum status status,
                    const struct error *err)
{
    struct task *next = NULL;

    for (struct task *task = tasks->first; task != NULL; task = next) {
        next = task->next;
        if (strcmp(task->host, host) == 0)
            tasks_end(tasks, task, status, err);
    }
}
