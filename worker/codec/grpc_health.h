/* grpc_health: the two messages of grpc.health.v1.Health/Check, by hand: they are a string and a number. Pure.
 *
 *   message HealthCheckRequest  { string service = 1; }
 *   message HealthCheckResponse { ServingStatus status = 1; }    enum: UNKNOWN, SERVING, NOT_SERVING, SERVICE_UNKNOWN
 */
#ifndef CODEC_GRPC_HEALTH_H
#define CODEC_GRPC_HEALTH_H

#include "shared/base/buf.h"

#define GRPC_HEALTH_PATH "/grpc.health.v1.Health/Check"

enum grpc_health {
    GRPC_HEALTH_UNKNOWN,
    GRPC_HEALTH_SERVING,
    GRPC_HEALTH_NOT_SERVING,
    GRPC_HEALTH_SERVICE_UNKNOWN,
    GRPC_HEALTH_MALFORMED, /* no such message */
};

/* The request's body: a frame with the message. `service` empty: the server as a whole. */
void grpc_health_write(struct str service, struct buf *out);

/* The size of that body. */
size_t grpc_health_size(struct str service);

/* The status that a whole body says. */
enum grpc_health grpc_health_read(struct str body);

/* "NOT_SERVING"; for GRPC_HEALTH_MALFORMED what it is. */
const char *grpc_health_name(enum grpc_health status);

#endif
