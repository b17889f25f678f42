/* console/export_check.h: is what the coordinator opens an export with what a host has signed? The console
 * believes the host, not the coordinator: the certificate's CA is on this machine. Pure; any thread. */
#ifndef CONSOLE_EXPORT_CHECK_H
#define CONSOLE_EXPORT_CHECK_H

#include <stdint.h>

#include "base/attr.h"
#include "base/error.h"
#include "base/hash.h"
#include "proto/tidemark/v1/console.pb-c.h"
#include "format/disk_root.h"
#include "format/id.h"
#include "format/statement.h"

/* What is proved of the disk before its first block. */
struct export_disk {
    struct disk_root root;
    struct hash_key *id_key; /* owned: export_disk_deinit() */
    struct id point;
    int64_t time_us;
    char host[STATEMENT_NAME_SIZE];
    char name[STATEMENT_NAME_SIZE];
};

/* Checks that a host for which AGENTS_CA_PEM vouches, at the time that its statement bears, has signed a
 * disk with OPENED's root; that the statement is that of OPENED's point, whose id begins with the digits
 * ASKED. Wipes the id key in OPENED: from here *ret_disk has it alone.
 * STATUS_DENIED: the CA does not vouch for the host; STATUS_CORRUPT: something is not what was signed;
 * STATUS_INVALID: the message cannot be. */
NODISCARD enum status export_check(Tidemark__V1__ExportOpened *opened, const char *asked,
                                   const char *agents_ca_pem, struct export_disk *ret_disk,
                                   struct error *err);
void export_disk_deinit(struct export_disk *disk); /* zeroed is fine */

#endif
