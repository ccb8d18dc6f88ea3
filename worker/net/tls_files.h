/* tls_files: certificates, keys and revocation lists out of PEM files, with errors that say what a file has instead.
 *
 * The master alone reads them, while it loads a generation: so the files need be readable for nobody else. What is read of
 * a key is wiped once it is parsed.
 */
#ifndef NET_TLS_FILES_H
#define NET_TLS_FILES_H

#include <openssl/ssl.h>

#include "shared/base/error.h"
#include "shared/conf/row.h"

/* All certificates of the file, in its order; one at least. NULL: reported. */
STACK_OF(X509) * tls_files_certificates(const char *path, struct setting setting, struct errors *errors);

/* A private key: of a path, "file:PATH", or the text in the variable of "env:NAME". NULL: reported. */
EVP_PKEY *tls_files_key(const char *where, struct setting setting, struct errors *errors);

/* The revocation lists of the file; one at least. NULL: reported. */
STACK_OF(X509_CRL) * tls_files_crls(const char *path, struct setting setting, struct errors *errors);

/* The bytes of a file that isn't PEM, in the arena; NULL data: reported. */
struct str tls_files_bytes(const char *path, struct setting setting, struct arena *arena,
                           struct errors *errors);

/* A subject or issuer on one line, as RFC 2253 writes it, in the arena. */
const char *tls_files_name(const X509_NAME *name, struct arena *arena);

/* What the library says of the last failure, and forgets: "bad decrypt". */
const char *tls_files_why(void);

#endif
