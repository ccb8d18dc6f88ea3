/* tls_server: TLS on a listener: its certificates and what it lets clients choose, compiled from the settings when a
 * generation is loaded, by who may read the keys; workers inherit it.
 *
 * What a client gets follows from the name that it asks for, before anything else is decided, also whether a session of
 * old may be gone on with: so that nobody comes to a name by the rules of another one.
 */
#ifndef NET_TLS_SERVER_H
#define NET_TLS_SERVER_H

#include <openssl/types.h>

#include "shared/base/error.h"
#include "shared/conf/settings.h"
#include "worker/net/tls_identity.h"

struct cells;
struct tickets;
struct tls_context;
struct tls_server;
struct wants;

/* Of one listener. What isn't memory is given back with the arena. NULL, and errors with the file and line of what is wrong. */
struct tls_server *tls_server_new(const struct tls_settings *settings, struct arena *arena,
                                  struct errors *errors);

/* From here on sessions can be gone on with for `lifetime_ms`, if the settings want that. A worker's, before the first
 * connection: until then, no ticket is given. */
void tls_server_open_tickets(struct tls_server *server, const struct tickets *tickets, int64_t lifetime_ms);

/* A session that waits for a client's hello; the caller's. NULL: no memory. */
SSL *tls_server_session(const struct tls_server *server);

/* What a session's client came to: it lives as long as the generation. */
const struct tls_context *tls_server_context(const SSL *ssl);

/* Whether a request for `host` (without a port) may come on a connection that came to that: the name must ask the same of
 * clients' certificates as the one that was asked for at the handshake (RFC 9110, section 7.4). */
bool tls_server_may_ask(const struct tls_context *context, struct str host);

/* While a generation is compiled: for the certificates whose OCSP response is to be fetched, wants cells. */
void tls_server_want_staples(struct tls_server *server, struct wants *wants, struct errors *errors);

/* From here on what was fetched is read from there: the generation's `cells` by the wants' indexes. */
void tls_server_open_staples(struct tls_server *server, struct cells *staples, const uint32_t *cells);

/* The OCSP response that is sent with a certificate now, by its number; empty: none. `*until`: seconds of the wall clock, also
 * of one that is out of date. It is good until the next call. */
struct str tls_server_staple(const struct tls_server *server, unsigned identity, int64_t now, int64_t *until);

/* For the status: its certificates. After tls_server_wipe() their keys are gone, what is told of them is there still. */
const struct tls_identity *tls_server_identities(const struct tls_server *server, unsigned *count);

/* For a process that serves nobody: no key stays in its memory. */
void tls_server_wipe(struct tls_server *server);

#endif
