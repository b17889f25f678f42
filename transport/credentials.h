/* transport/credentials.h: who a process is, and whom it believes: a private key, the certificate over it,
 * and the CA whose certificates it accepts. In a folder of three PEM files:
 *     ca.pem    the CA's certificate, or several; nothing else is trusted, the system's store above all
 *     cert.pem  our certificate, signed by that CA; its subject's common name says who we are
 *     key.pem   our private key (ECDSA P-256), readable by nobody but its owner
 */
#ifndef TRANSPORT_CREDENTIALS_H
#define TRANSPORT_CREDENTIALS_H

#include "base/attr.h"
#include "base/error.h"
#include "base/slice.h"

enum { CREDENTIALS_NAME_SIZE = 64 + 1 }; /* ub-common-name (RFC 5280, appendix A.1), and a NUL */

struct credentials {
    char *ca_pem; /* NUL-terminated, as are the others */
    char *certificate_pem;
    char *key_pem;
    char name[CREDENTIALS_NAME_SIZE]; /* printable ASCII, not empty */
};

/* Reads the folder DIR (any path of the machine's) and checks it: all three are there and what they should
 * be, the key is the certificate's, the certificate is signed by the CA and valid now, nobody else can read
 * the key. Each failure is one sentence with the file's path and what to do. STATUS_NOT_FOUND, STATUS_DENIED,
 * STATUS_INVALID, STATUS_PRECONDITION (others can read the key). Blocks. */
NODISCARD enum status credentials_load(const char *dir, struct credentials *ret_credentials,
                                       struct error *err);
void credentials_deinit(struct credentials *credentials); /* wipes; zeroed is fine */

#endif
