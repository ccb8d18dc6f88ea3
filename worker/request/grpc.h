/* grpc: the gateway's own answers to clients that speak gRPC, and what a route with the policy `grpc` knows of a call.
 *
 * Such a client looks for grpc-status, in the head of an answer without a body ("Trailers-Only") or in the trailers: an
 * error status of HTTP and problem details say less to it.
 */
#ifndef REQUEST_GRPC_H
#define REQUEST_GRPC_H

#include "worker/codec/grpc.h"
#include "worker/http/message.h"

struct request;

struct grpc_call {
    enum grpc_form form; /* that the client speaks; GRPC_WEB_TEXT too when that is only what it accepts */
    uint64_t deadline;   /* ms of the loop's clock; 0: none */
    unsigned http;       /* the status of an upstream's answer that isn't gRPC; 0: there was none */
};

/* By the request's Content-Type. */
enum grpc_form grpc_form_of_request(const struct request *request);

/* Makes request->response from request->problem. */
void grpc_render_problem(struct request *request, enum grpc_form form);

/* The answer's head is sent, and the rest of it won't come: trailers that say why, from request->problem. False: they can't be
 * sent to this client. Else the request may be gone. */
bool grpc_end_answer(struct request *request);

/* Keeps what an answer's head or trailers say of grpc-status, for the log. */
void grpc_note_status(struct request *request, const struct fields *fields);

#endif
