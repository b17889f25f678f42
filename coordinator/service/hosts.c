#include "coordinator/service/hosts.h"

#include <stdbool.h>
#include <string.h>

#include "base/invariant.h"
#include "base/memory.h"

struct hosts {
    struct host *first;
};

enum status hosts_new(struct hosts **ret_hosts, struct error *err)
{
    struct hosts *hosts = memory_new(1, sizeof(*hosts));

    if (hosts == NULL)
        return error_set_no_memory(err, sizeof(*hosts), "the list of hosts");
    *ret_hosts = hosts;
    return STATUS_OK;
}

void hosts_free(struct hosts *hosts)
{
    if (hosts == NULL)
        return;
    INVARIANT(hosts->first == NULL);
    memory_free(hosts);
}

void hosts_add(struct hosts *hosts, struct host *host)
{
    struct host *old = hosts_find(hosts, host->name);

    if (old != NULL) {
        hosts_remove(hosts, old);
        old->displace(old);
    }
    host->next = hosts->first;
    hosts->first = host;
}

void hosts_remove(struct hosts *hosts, struct host *host)
{
    for (struct host **at = &hosts->first; *at != NULL; at = &(*at)->next)
        if (*at == host) {
            *at = host->next;
            host->next = NULL;
            return;
        }
}

struct host *hosts_find(const struct hosts *hosts, const char *name)
{
    for (struct host *host = hosts->first; host != NULL; host = host->next)
        if (strcmp(host->name, name) == 0)
            return host;
    return NULL;
}

static bool has_disk(const struct host *host, const char *disk)
{
    for (size_t i = 0; i < host->disk_count; i++)
        if (strcmp(host->disks[i], disk) == 0)
            return true;
    return false;
}

enum status hosts_choose(const struct hosts *hosts, const char *disk, const char *name,
                         struct host **ret_host, struct error *err)
{
    struct host *found = NULL;

    if (name[0] != '\0') {
        found = hosts_find(hosts, name);
        if (found == NULL)
            return error_set(err, STATUS_UNAVAILABLE, "host %s is not connected; start its agent",
                             name);
        if (!has_disk(found, disk))
            return error_set(err, STATUS_NOT_FOUND,
                             "host %s has no disk %s; name it to its agent with --disk", name,
                             disk);
        *ret_host = found;
        return STATUS_OK;
    }
    for (struct host *host = hosts->first; host != NULL; host = host->next) {
        if (!has_disk(host, disk))
            continue;
        if (found != NULL)
            return error_set(err, STATUS_INVALID,
                             "hosts %s and %s both have a disk %s; say which with --host",
                             host->name, found->name, disk);
        found = host;
    }
    if (found == NULL)
        return error_set(err, STATUS_NOT_FOUND, "no connected host has a disk %s", disk);
    *ret_host = found;
    return STATUS_OK;
}
