/* websocket: the route's requests may become WebSocket connections (RFC 6455; over HTTP/2 RFC 8441). What goes through one
 * isn't looked at.
 */
#include "worker/codec/websocket.h"

#include "worker/request/request.h"

struct websocket_settings {
    struct origin origin;
    bool on;
    int64_t idle_timeout;
};

static const struct row rows[] = {
    ROW_(ROW_FLAG, struct websocket_settings, on, .fallback = "true",
         .help = "false: Upgrade is left out, as on other routes"),
    ROW_(ROW_DURATION, struct websocket_settings, idle_timeout, .fallback = "10m", .min = 0,
         .max = 31622400000,
         .help = "ends a connection through which nothing went in either direction for so long, pings "
                 "included; 0: never"),
    ROW_END,
};

static const struct section section = {
    .name = "websocket", .size = sizeof(struct websocket_settings), .rows = rows, .shorthand = "on"};

static const void *compile(struct compiler *compiler, const void *conf)
{
    const struct websocket_settings *settings = conf;
    struct tunnel_rules *rules = arena_zalloc(compiler->arena, sizeof *rules);
    rules->idle_timeout = (uint64_t)settings->idle_timeout;
    return settings->on ? rules : NULL;
}

/* What a handshake must have (RFC 6455, section 4.2.1). HTTP/2 has no key (RFC 8441, section 5). */
static enum verdict check_handshake(struct request *request)
{
    const struct fields *fields = &request->head->fields;
    const struct field *key = fields_find(fields, STR("Sec-WebSocket-Key"));
    const struct field *version = fields_find(fields, STR("Sec-WebSocket-Version"));
    if (request->head->method != METHOD_GET)
        return request_fail(request, PROBLEM_BAD_REQUEST, "a WebSocket begins with GET, not with %.*s",
                            STR_ARG(request->head->method_text));
    if (!version || !str_eq(version->value, STR("13")))
        return request_fail(request, PROBLEM_BAD_REQUEST, "Sec-WebSocket-Version is not 13");
    if (request->head->version < 20 && (!key || !websocket_key_is_good(key->value)))
        return request_fail(request, PROBLEM_BAD_REQUEST, "Sec-WebSocket-Key is not 16 bytes in base64");
    return VERDICT_NEXT;
}

static bool is_handshake(const struct request *request)
{
    return str_case_eq(request->head->upgrade, STR("websocket"));
}

static enum verdict on_request(struct request *request, const void *compiled)
{
    if (request->problem || !is_handshake(request))
        return VERDICT_NEXT;
    enum verdict verdict = check_handshake(request);
    if (verdict == VERDICT_NEXT)
        request->tunnel = compiled;
    return verdict;
}

static void on_adopt(struct request *request, const void *compiled)
{
    if (is_handshake(request))
        request->tunnel = compiled;
}

/* A handshake that was refused here is told which version is spoken (section 4.4). */
static enum verdict on_response(struct request *request, const void *compiled)
{
    (void)compiled;
    if (is_handshake(request) && !request->tunnel)
        request_add_field(request, STR("Sec-WebSocket-Version"), STR("13"));
    return VERDICT_NEXT;
}

const struct policy policy_websocket = {
    .name = "websocket",
    .help = "requests may become WebSocket connections",
    .stage = STAGE_SHAPE,
    .section = &section,
    .compile = compile,
    .on_request = on_request,
    .on_response = on_response,
    .on_adopt = on_adopt,
};
