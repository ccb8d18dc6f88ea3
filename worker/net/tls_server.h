/* tls_server: TLS on a listener: its certificates and what it lets clients choose, compiled from the settings when a
 * generation is loaded, by who may read the keys; workers inherit it.
 */
#ifndef NET_TLS_SERVER_H
#define NET_TLS_SERVER_H

#include <openssl/types.h>

#include "shared/base/error.h"
#include "shared/conf/settings.h"

struct tls_server;

/* Of one listener. What isn't memory is given back with the arena. NULL, and errors with the file and line of what is wrong. */
struct tls_server *tls_server_new(const struct tls_settings *settings, struct arena *arena,
                                  struct errors *errors);

/* A session that waits for a client's hello; the caller's. NULL: no memory. */
SSL *tls_server_session(const struct tls_server *server);

#endif
