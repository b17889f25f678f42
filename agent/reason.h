/* agent/reason.h: reason codes: why a disk was read whole. They go into statements, and people look them up:
 * never rename. */
#ifndef AGENT_REASON_H
#define AGENT_REASON_H

#define REASON_FIRST_BACKUP "first_backup" /* there is no restore point to go on from */
#define REASON_PARENT_INVALID \
    "parent_invalid" /* it proves not what it should: signature, content */
#define REASON_DISK_CHANGED      "disk_changed"      /* another disk now: identity, size, sectors */
#define REASON_REFERENCE_MISSING "reference_missing" /* the state that it stands for is gone */
#define REASON_TRACKING_FAILED   "tracking_failed"   /* what changed could not be found out */
#define REASON_PARENT_DAMAGED    "parent_damaged" /* its tree cannot be read, or is another one */

#endif
