/* grpc: what "gRPC over HTTP/2" (doc/PROTOCOL-HTTP2.md of gRPC) adds to HTTP: content types, statuses, time-outs,
 * messages. Pure.
 */
#ifndef CODEC_GRPC_H
#define CODEC_GRPC_H

#include "shared/base/buf.h"

/* In the order of their numbers. */
enum grpc_status {
    GRPC_OK,
    GRPC_CANCELLED,
    GRPC_UNKNOWN,
    GRPC_INVALID_ARGUMENT,
    GRPC_DEADLINE_EXCEEDED,
    GRPC_NOT_FOUND,
    GRPC_ALREADY_EXISTS,
    GRPC_PERMISSION_DENIED,
    GRPC_RESOURCE_EXHAUSTED,
    GRPC_FAILED_PRECONDITION,
    GRPC_ABORTED,
    GRPC_OUT_OF_RANGE,
    GRPC_UNIMPLEMENTED,
    GRPC_INTERNAL,
    GRPC_UNAVAILABLE,
    GRPC_DATA_LOSS,
    GRPC_UNAUTHENTICATED,
    GRPC_STATUS_COUNT
};

enum grpc_form { GRPC_NONE, GRPC_PLAIN, GRPC_WEB, GRPC_WEB_TEXT };

/* The form that a Content-Type names: application/grpc, application/grpc-web or application/grpc-web-text, each with or
 * without a "+subtype" and parameters. `*rest`, unless NULL, becomes what follows the type's name: "+proto", or empty. */
enum grpc_form grpc_form_of(struct str content_type, struct str *rest);

/* What a form's Content-Type begins with; not of GRPC_NONE. */
struct str grpc_form_type(enum grpc_form form);

/* "UNAVAILABLE"; "UNKNOWN" for what is no status. */
struct str grpc_status_name(unsigned status);

/* The status of a name in letters of any case: "unavailable". False: there is none of that name. */
bool grpc_status_of_name(struct str name, enum grpc_status *status);

/* grpc-status: digits. What is none of the known statuses is GRPC_UNKNOWN, as for gRPC's own clients. */
enum grpc_status grpc_status_parse(struct str value);

/* What an HTTP status means where a gRPC status should have been (doc/http-grpc-status-mapping.md of gRPC). */
enum grpc_status grpc_status_of_http(unsigned status);

/* What an error of our own with this HTTP status is to a gRPC client. It says more than the mapping above, which is for
 * answers of somebody who doesn't know gRPC. */
enum grpc_status grpc_status_of_problem(unsigned status);

/* The HTTP status that stands for it where failures are counted, by breakers and for outliers: 500 and up only where the
 * server failed, and the call wasn't wrong. */
unsigned grpc_status_to_http(enum grpc_status status);

/* grpc-timeout: one to eight digits and a unit (H, M, S, m, u, n); part of a millisecond counts as one. False: it is
 * malformed. */
bool grpc_timeout_parse(struct str value, uint64_t *ms);

/* The same of `ms`, in the finest unit from milliseconds on that has room; never more than that. */
void grpc_timeout_write(uint64_t ms, struct buf *out);

/* grpc-message: what is not printable ASCII, and the percent sign, as %XX. */
void grpc_message_write(struct str message, struct buf *out);

#endif
