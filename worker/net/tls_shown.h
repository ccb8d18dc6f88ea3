/* tls_shown: the certificate that a client has shown, in words, kept beyond the session: for headers, logs and policies. */
#ifndef NET_TLS_SHOWN_H
#define NET_TLS_SHOWN_H

#include <openssl/types.h>

#include "shared/base/str.h"

/* Texts are empty unless the certificate is a good one, so that nobody takes for a name what anybody can write. */
struct tls_shown {
    struct str verified;    /* "yes", or why not: "certificate has expired" */
    struct str subject;     /* as RFC 2253 writes it: "CN=alice,O=Example" */
    struct str common_name; /* the last of the subject */
    struct str issuer;      /* like the subject */
    struct str names;       /* subjectAltName: "DNS:a.example, URI:spiffe://example/a, email:…, IP:…" */
    struct str serial;      /* hexadecimal, upper case */
    struct str fingerprint; /* SHA-256, hexadecimal, lower case */
};

/* Of a session whose handshake is done; NULL: no certificate was shown. The caller free()s it. */
struct tls_shown *tls_shown_new(const SSL *ssl);

#endif
