/* http2_abuse: what a client may cost on an HTTP/2 connection beyond what it asks for (RFC 9113, section 10.5): frames that
 * carry nothing, streams that are cancelled, heads that never end. Called by http2_server_stream.c for each frame.
 *
 * Two budgets, each forgiven a tenth a second: of cancelled streams, and of overhead in points. Requests and data that are
 * worth their frames earn some of it back, so that busy connections aren't cut for what comes with their work.
 */
#ifndef HTTP_HTTP2_ABUSE_H
#define HTTP_HTTP2_ABUSE_H

#include <nghttp2/nghttp2.h>

#include "shared/shm/stats.h"

enum http2_abuse {
    HTTP2_ABUSE_NONE,
#define ABUSE(id, cost, text) HTTP2_ABUSE_##id,
#include "worker/http/http2_abuse.def"
#undef ABUSE
    HTTP2_ABUSE_COUNT
};

struct http2_abuse_limits {
    uint32_t resets, overhead; /* 0: no limit */
};

struct http2_budgets {
    uint64_t resets_at, overhead_at; /* ms: when they were last looked at */
    uint32_t resets, overhead;       /* used up */
    uint8_t continuations;           /* of the present field block */
};

/* A frame's head came. What is beyond its limit, or NONE. */
enum http2_abuse http2_abuse_frame(struct http2_budgets *budgets, const struct http2_abuse_limits *limits,
                                   const nghttp2_frame_hd *frame, uint64_t now_ms);

/* The client has made us reset a stream: as bad as if it had done so. */
enum http2_abuse http2_abuse_reset(struct http2_budgets *budgets, const struct http2_abuse_limits *limits,
                                   uint64_t now_ms);

/* A request was answered, or data was sent: that is what the connection is for. */
void http2_abuse_earn_request(struct http2_budgets *budgets);
void http2_abuse_earn_data(struct http2_budgets *budgets);

/* What it is, in words; what counts it. */
const char *http2_abuse_text(enum http2_abuse abuse);
enum stat_id http2_abuse_stat(enum http2_abuse abuse);

#endif
