/* grpc_probe: the probe of an endpoint by grpc.health.v1.Health/Check: what is sent, and what the answer says. The prober
 * sends and receives it.
 */
#ifndef UPSTREAM_GRPC_PROBE_H
#define UPSTREAM_GRPC_PROBE_H

#include "shared/conf/settings.h"
#include "worker/codec/grpc.h"
#include "worker/codec/grpc_health.h"
#include "worker/http/message.h"

/* The request's head, after its line and Host, and its body, from `arena`. */
void grpc_probe_write(const struct health_settings *settings, struct str body, struct buf *head);
struct str grpc_probe_body(const struct health_settings *settings, struct arena *arena);

/* NULL: the answer's head is good so far; else why the endpoint isn't healthy, in `arena`. */
const char *grpc_probe_judge_head(const struct response_head *head, struct arena *arena);

/* The same of the whole answer. `status`: grpc-status of head or trailers, NULL data: there was none. */
const char *grpc_probe_judge(struct str status, struct str body, struct arena *arena);

#endif
