/* grpc_web: a request of gRPC-Web becomes one of gRPC on its way to the content, and the answer the other way round. */
#ifndef REQUEST_GRPC_WEB_H
#define REQUEST_GRPC_WEB_H

#include "worker/request/grpc.h"

/* Before the content begins. `form`: the request's, a web form. call->form becomes that of the answer. */
void grpc_web_begin(struct request *request, struct grpc_call *call, enum grpc_form form);

/* request->response is the answer: if it is gRPC it becomes one of gRPC-Web. */
void grpc_web_answer(struct request *request);

#endif
