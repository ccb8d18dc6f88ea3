/* http2_abuse: what a client may cost on an HTTP/2 connection beyond what it asks for. */
#include "worker/http/http2_abuse.h"

enum {
    PADDING_MAX = 256, /* bytes of it that a frame can have, its length included */
    TINY_BYTES = 5,    /* DATA below it is nobody's message: gRPC's smallest is of 5 bytes */
    EARNED = 16, /* points that a frame of a request, or of data, earns back: clients of gRPC answer each DATA
                               frame by PING and two WINDOW_UPDATE, to find out how fast the connection is */
    CONTINUATIONS_MAX = 16, /* of 16 KiB each, where max_head is 60 KiB at most */
    FORGIVEN_A_SECOND = 10, /* a tenth of the budget */
};

static const struct {
    uint32_t cost;
    enum stat_id stat;
    const char *text;
} kinds[HTTP2_ABUSE_COUNT] = {
#define ABUSE(id, cost, text) [HTTP2_ABUSE_##id] = {cost, STAT_HTTP2_##id, text},
#include "worker/http/http2_abuse.def"
#undef ABUSE
};

/* Uses up `cost` of a budget; false: that is too much. */
static bool use(uint32_t *used, uint64_t *at, uint32_t budget, uint32_t cost, uint64_t now_ms)
{
    uint64_t forgiven = (now_ms - *at) * budget / (FORGIVEN_A_SECOND * 1000);
    if (forgiven || *used == 0) {
        *used = forgiven < *used ? *used - (uint32_t)forgiven : 0;
        *at = now_ms;
    }
    *used += cost;
    return budget == 0 || *used <= budget;
}

static void earn(uint32_t *used, uint32_t points)
{
    *used = *used > points ? *used - points : 0;
}

void http2_abuse_earn_request(struct http2_budgets *budgets)
{
    earn(&budgets->resets, 1);
    earn(&budgets->overhead, EARNED);
}

void http2_abuse_earn_data(struct http2_budgets *budgets)
{
    earn(&budgets->overhead, EARNED);
}

static enum http2_abuse kind_of_data(const nghttp2_frame_hd *frame)
{
    /* Of one that is padded all may be padding, as far as its header tells (RFC 9113, section 6.1). */
    size_t padding = frame->flags & NGHTTP2_FLAG_PADDED ? PADDING_MAX : 0;
    if (frame->flags & NGHTTP2_FLAG_END_STREAM || frame->length >= TINY_BYTES + padding)
        return HTTP2_ABUSE_NONE;
    return frame->length ? HTTP2_ABUSE_TINY : HTTP2_ABUSE_EMPTY;
}

static enum http2_abuse kind_of(const nghttp2_frame_hd *frame)
{
    switch (frame->type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_CONTINUATION:
        return frame->length ? HTTP2_ABUSE_NONE : HTTP2_ABUSE_EMPTY;
    case NGHTTP2_DATA:
        return kind_of_data(frame);
    case NGHTTP2_RST_STREAM:
        return HTTP2_ABUSE_RESETS;
    case NGHTTP2_SETTINGS:
        return frame->flags & NGHTTP2_FLAG_ACK ? HTTP2_ABUSE_IDLE : HTTP2_ABUSE_SETTINGS;
    case NGHTTP2_PING:
        return HTTP2_ABUSE_PINGS;
    case NGHTTP2_WINDOW_UPDATE:
        return HTTP2_ABUSE_WINDOWS;
    default:
        return HTTP2_ABUSE_IDLE;
    }
}

enum http2_abuse http2_abuse_frame(struct http2_budgets *budgets, const struct http2_abuse_limits *limits,
                                   const nghttp2_frame_hd *frame, uint64_t now_ms)
{
    enum http2_abuse kind = kind_of(frame);
    budgets->continuations = frame->type == NGHTTP2_CONTINUATION ? budgets->continuations + 1 : 0;
    if (budgets->continuations > CONTINUATIONS_MAX)
        return HTTP2_ABUSE_CONTINUATIONS;
    if (kind == HTTP2_ABUSE_RESETS)
        return http2_abuse_reset(budgets, limits, now_ms);
    if (kind == HTTP2_ABUSE_NONE) {
        http2_abuse_earn_data(budgets);
        return HTTP2_ABUSE_NONE;
    }
    return use(&budgets->overhead, &budgets->overhead_at, limits->overhead, kinds[kind].cost, now_ms)
               ? HTTP2_ABUSE_NONE
               : kind;
}

enum http2_abuse http2_abuse_reset(struct http2_budgets *budgets, const struct http2_abuse_limits *limits,
                                   uint64_t now_ms)
{
    return use(&budgets->resets, &budgets->resets_at, limits->resets, 1, now_ms) ? HTTP2_ABUSE_NONE
                                                                                 : HTTP2_ABUSE_RESETS;
}

const char *http2_abuse_text(enum http2_abuse abuse)
{
    return kinds[abuse].text;
}

enum stat_id http2_abuse_stat(enum http2_abuse abuse)
{
    return kinds[abuse].stat;
}
