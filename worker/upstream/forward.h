/* forward: what a request carries on to the next hop: the target and Host that a policy says, its own end-to-end fields,
 * and what a proxy must add (RFC 9110, section 7.6; Forwarded, X-Forwarded-*). */
#ifndef UPSTREAM_FORWARD_H
#define UPSTREAM_FORWARD_H

#include "shared/base/buf.h"
#include "worker/request/policy.h"
#include "worker/request/problem.h"

struct call_ends;
struct endpoint;

/* What a policy says of target and Host, compiled. */
struct forward {
    const struct expr *path; /* NULL: the request's own path and query */
    const struct expr *host; /* NULL: the client's, or the endpoint's */
    bool endpoint_host;
    unsigned strip; /* segments of the API's prefix to leave out of the request's own path */
};

/* One request's. */
struct destination {
    struct str target; /* path and query */
    struct str host;   /* NULL data: the endpoint's */
};

/* The texts of the settings `path`, `host` and `strip_prefix`, the first two NULL when they are absent. Errors are told. */
struct forward forward_compile(struct compiler *compiler, const char *path, const char *host,
                               bool strip_prefix);

/* PROBLEM_NONE, or what is wrong with what the request's values make, and `*why` in words. */
enum problem forward_destination(const struct forward *forward, struct request *request,
                                 struct destination *destination, const char **why);

/* The Host that an endpoint is asked for by its own name; "localhost" when that is a path. */
struct str forward_endpoint_host(const struct endpoint *endpoint);

/* The request line and Host. */
void forward_line(struct buf *head, struct str method, struct str target, struct str host);

/* The request's fields for an upstream, each line with its CRLF; not Host, not framing. */
void forward_fields(struct request *request, struct buf *head);

/* The key of a WebSocket's handshake: the client's, or a new one where the client's version has none. Empty when it isn't one. */
struct str forward_websocket_key(struct request *request);

/* The request's upgrade, with that key. */
void forward_upgrade(const struct request *request, struct str websocket_key, struct buf *head);

/* Room that is enough for forward_fields(). */
size_t forward_fields_size(struct request *request);

/* Whether the request went through this gateway too often, as its Via says. */
bool forward_in_circle(const struct request *request);

/* The scheme that the client used, as trusted proxies say. */
struct str forward_scheme(struct request *request);

/* Via on request->response, which came from an upstream. */
void forward_answer(struct request *request);

/* Whom an upstream with proxy_protocol is told of: the client, and the address that it, or the proxy that it came
 * through, connected to. */
void forward_ends(struct request *request, struct call_ends *ends);

#endif
