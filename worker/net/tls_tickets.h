/* tls_tickets: session tickets of a worker's listeners, sealed with the keys that the master publishes (shared/shm/tickets.h),
 * so that every worker of every generation opens what another one sealed.
 *
 * A reader keeps the last keys that it read. They are looked at again when the zone says that there are others.
 */
#ifndef NET_TLS_TICKETS_H
#define NET_TLS_TICKETS_H

#include <openssl/ssl.h>

#include "shared/shm/tickets.h"

struct tls_tickets {
    const struct tickets *zone;
    uint64_t seen;
    struct ticket_keys keys;
};

/* Seals or opens: what OpenSSL calls (SSL_CTX_set_tlsext_ticket_key_evp_cb), with the contexts made ready by the key of that
 * `name`, or, to seal, by the newest, whose name and a new `iv` are filled in. 1: done; 2: done, but the ticket is to be
 * replaced by one of the newest key; 0: no such key; -1: it can't be done. */
int tls_tickets_key(struct tls_tickets *tickets, unsigned char *name, unsigned char *iv,
                    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool seal);

#endif
