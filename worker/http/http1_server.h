/* http1_server: a client's connection that speaks HTTP/1 (RFC 9112): requests in order, one exchange at a time. */
#ifndef HTTP_HTTP1_SERVER_H
#define HTTP_HTTP1_SERVER_H

#include "worker/http/exchange.h"

struct tls;

/* Serves a connected socket, with the TLS session on it (NULL: plain); closes it in the end, and gives the admission back by
 * service->on_closed. `listener` goes to the exchanges. A client whose admission is a refusal is answered with that as soon as
 * it is known which version it speaks. False with errno: it is closed already, and on_closed isn't called. */
bool http1_server_open(struct http_service *service, int fd, struct tls *tls, const struct address *peer,
                       const void *listener, const struct admission *admission);

/* From now on answers carry Connection: close, and connections that stay idle are closed. */
void http1_server_drain(struct http_service *service);

/* Closes all connections at once; requests in progress get on_gone. Returns how many were idle. */
unsigned http1_server_cut(struct http_service *service);

#endif
