/* coordinator/service/hosts.h: the hosts whose agents are connected, and the disks that each has named. Thread: the loop's. */
#ifndef COORDINATOR_SERVICE_HOSTS_H
#define COORDINATOR_SERVICE_HOSTS_H

#include <stddef.h>

#include "base/attr.h"
#include "base/error.h"
#include "format/sign.h"

enum { HOST_DISKS_MAX = 1000 };

/* One agent's line; its session's memory. */
struct host {
    void (*wake)(struct host *host); /* there is something to tell its agent */
    void (*displace)(
        struct host
            *host); /* the same host has connected anew: this line ends, and is removed already */
    char name[SIGN_NAME_SIZE];
    char **disks; /* the session's */
    size_t disk_count;
    struct host *next; /* the list's */
};

struct hosts;

NODISCARD enum status hosts_new(struct hosts **ret_hosts, struct error *err);
void hosts_free(struct hosts *hosts); /* empty; NULL is fine */

/* HOST is connected, until hosts_remove(). One that bears the same name is removed and displaced: an agent that lost
 * its connection comes back before the old one has ended. */
void hosts_add(struct hosts *hosts, struct host *host);
void hosts_remove(struct hosts *hosts, struct host *host); /* nothing, if it is not in it */

/* NULL: not connected. */
struct host *hosts_find(const struct hosts *hosts, const char *name);

/* Which host backs up DISK: the one called NAME, or with NAME "" the only one that has named such a disk.
 * STATUS_UNAVAILABLE: that host is not connected. STATUS_NOT_FOUND: no such disk. STATUS_INVALID: several hosts have one. */
NODISCARD enum status hosts_choose(const struct hosts *hosts, const char *disk, const char *name,
                                   struct host **ret_host, struct error *err);

#endif
