/* http2_server: a client's connection that speaks HTTP/2 (RFC 9113): many exchanges at a time, one a stream. */
#ifndef HTTP_HTTP2_SERVER_H
#define HTTP_HTTP2_SERVER_H

#include "worker/http/exchange.h"

struct tls;

/* What a client that knows that we speak HTTP/2 sends first (RFC 9113, section 3.4); an HTTP/1 parser would take its first
 * part for a head. */
#define HTTP2_PREFACE_HEAD "PRI * HTTP/2.0\r\n\r\n"

/* Serves a connected socket, `tls`: NULL, or the session on it; closes it in the end, and gives the admission back by
 * service->on_closed. `listener` goes to the exchanges. Where the admission is a refusal each request is answered with that, and
 * the client told by GOAWAY to go. False with errno: it is closed already, and on_closed isn't called. */
bool http2_server_open(struct http_service *service, int fd, struct tls *tls, const struct address *peer,
                       const void *listener, const struct admission *admission);

/* The same as http2_server_open() for a connection that http1_server.c had, and counts already: `read` is what came on it. */
bool http2_server_take(struct http_service *service, int fd, struct tls *tls, const struct address *peer,
                       const void *listener, const struct admission *admission, struct str read);

/* Clients are told by GOAWAY to send no more requests here; what they have sent is answered, and connections without requests
 * end. Also of those that come later. */
void http2_server_drain(struct http_service *service);

/* Closes all connections at once; requests in progress get on_gone. Returns how many connections were idle; `*more` grows by
 * the requests in progress beyond one for each of the others. */
unsigned http2_server_cut(struct http_service *service, unsigned *more);

#endif
