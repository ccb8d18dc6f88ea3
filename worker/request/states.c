/* states: the life of a request as a table of named states, driven from one place. */
#include <assert.h>
#include <inttypes.h>

#include "shared/base/log.h"
#include "worker/codec/uri.h"
#include "worker/net/tls.h"
#include "worker/net/tls_server.h"
#include "worker/request/request.h"
#include "worker/request/version.h"

enum { ID_MAX = 128 };

enum progress { GO_ON, PAUSE /* the request waits, or is gone */ };

/* --- HEAD --- */

static bool id_is_good(struct str id)
{
    if (id.length == 0 || id.length > ID_MAX)
        return false;
    for (size_t i = 0; i < id.length; i++) {
        char c = id.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
              c == '_' || c == '-'))
            return false;
    }
    return true;
}

/* The id that a trusted proxy gave, or a new one. */
static void set_id(struct request *request)
{
    const struct site *site = request->worker->site;
    struct str given = fields_value(&request->head->fields, FIELD_X_REQUEST_ID);
    if (given.data && id_is_good(given) && site_trusts(site, request->exchange->peer))
        request->id = given;
    else
        request->id = request_new_id(request->worker, request->arena);
}

static enum progress state_head(struct request *request)
{
    const struct exchange *exchange = request->exchange;
    set_id(request);
    request->chain = request->worker->site->defaults;
    request->state = REQUEST_ROUTE;
    if (exchange->refusal) {
        request_fail(request, problem_of_status(exchange->refusal), "%s", exchange->refusal_detail);
        request->state = REQUEST_REQUEST;
    }
    return GO_ON;
}

/* --- ROUTE --- */

enum { WARN_EVERY_MS = 10000 };

/* Now and then: whoever sends such requests must not fill the log. */
static void warn_exceeded(struct worker *worker, const struct route *route)
{
    if (worker->patterns_exceeded++ && worker->loop.now_ms - worker->exceeded_told < WARN_EVERY_MS)
        return;
    worker->exceeded_told = worker->loop.now_ms;
    log_warning("route %.*s: a pattern takes too long for what was sent, which counts as no match (%" PRIu64
                " requests so far in this worker)",
                STR_ARG(route->name), worker->patterns_exceeded);
}

static void no_route(struct request *request)
{
    const struct route_match *match = &request->match;
    const char *version =
        match->version_missed ? version_asked(match->vary[0], request->head, request->arena) : "";
    request_fail(request, PROBLEM_NO_ROUTE, "no route for %.*s on host %.*s%s", STR_ARG(request->path),
                 STR_ARG(request->head->authority), version);
}

/* A preflight is the business of the route of the request that it comes before, if that has such a policy; else it is an OPTIONS
 * as any other. */
static bool find_route_ahead(struct request *request)
{
    struct preflight preflight;
    struct route_match *match = &request->match;
    if (!preflight_of(request->head, &preflight) ||
        !router_match_preflight(request->exchange->listener, request->head, &preflight, request->path,
                                request->arena, match))
        return false;
    request->chain = match->route->chain;
    return true;
}

static void find_route(struct request *request)
{
    const struct request_head *head = request->head;
    struct route_match *match = &request->match;
    if (head->method == METHOD_OPTIONS && find_route_ahead(request))
        return;
    switch (router_match(request->exchange->listener, head, request->path, request->arena, match)) {
    case ROUTE_FOUND:
        request->chain = match->route->chain;
        break;
    case ROUTE_NOT_FOUND:
        no_route(request);
        break;
    case ROUTE_METHOD:
        request_fail(request, PROBLEM_METHOD_NOT_ALLOWED, "%.*s is not one of %.*s",
                     STR_ARG(head->method_text), STR_ARG(match->allow));
        break;
    }
    if (match->exceeded)
        warn_exceeded(request->worker, match->exceeded);
}

/* A connection to a name says who its client is by the rules of that name: by those alone may others be asked for. */
static bool is_misdirected(const struct request *request)
{
    const struct tls_peer *tls = request->exchange->tls;
    struct str host = request->head->authority;
    if (!tls || !tls->context)
        return false;
    if (host.length && host.data[0] != '[') /* an address in brackets is nobody's name */
        host = str_cut(&host, ':');
    return !tls_server_may_ask(tls->context, host);
}

static enum progress state_route(struct request *request)
{
    struct request_head *head = request->head;
    request->state = REQUEST_REQUEST;
    if (is_misdirected(request)) {
        request->path = head->path;
        request_fail(request, PROBLEM_MISDIRECTED,
                     "%.*s asks otherwise for client certificates than the name of this connection",
                     STR_ARG(head->authority));
        return GO_ON;
    }
    if (head->path.data[0] == '*') {
        request->path = head->path;
        find_route(request);
        return GO_ON;
    }
    char *out = arena_alloc(request->arena, head->path.length + 3 * head->query.length);
    enum uri_result result = uri_path_normal(head->path, out, head->path.length, &request->path);
    struct str query = head->query;
    if (result == URI_OK && query.length)
        result = uri_query_normal(query, out + head->path.length, 3 * query.length, &head->query);
    if (result != URI_OK) {
        request->path = head->path;
        request_fail(request, PROBLEM_BAD_PATH, "%s", uri_result_text(result));
        return GO_ON;
    }
    find_route(request);
    return GO_ON;
}

/* --- REQUEST, CONTENT --- */

static enum progress answered(struct request *request, enum verdict verdict)
{
    if (verdict == VERDICT_FAIL)
        problem_render(request);
    request->state = REQUEST_RESPONSE;
    return GO_ON;
}

static enum progress state_request(struct request *request)
{
    const struct chain *chain = request->chain;
    while (request->entered < chain->count) {
        const struct link *link = &chain->links[request->entered++];
        if (!link->policy->on_request)
            continue;
        enum verdict verdict = link->policy->on_request(request, link->compiled);
        if (verdict == VERDICT_WAIT)
            return PAUSE;
        if (verdict != VERDICT_NEXT)
            return answered(request, verdict);
    }
    request->state = REQUEST_CONTENT;
    return GO_ON;
}

/* Upgrade is an offer that may be passed over; an extended CONNECT is not (RFC 8441, section 4): any 2xx would say that there is
 * a tunnel now. */
static bool asks_in_vain(const struct request *request)
{
    return request->head->version >= 20 && request->head->upgrade.length &&
           (!request->tunnel || !request->chain->content.policy->on_tunnel);
}

static enum progress state_content(struct request *request)
{
    if (request->problem)
        return answered(request, VERDICT_FAIL);
    if (asks_in_vain(request)) {
        request_fail(request, PROBLEM_NOT_IMPLEMENTED, "the route has no tunnels of the protocol %.*s",
                     STR_ARG(request->head->upgrade));
        return answered(request, VERDICT_FAIL);
    }
    const struct link *link = &request->chain->content;
    enum verdict verdict = link->policy->on_content(request, link->compiled);
    assert(verdict != VERDICT_NEXT);
    return verdict == VERDICT_WAIT ? PAUSE : answered(request, verdict);
}

void request_resume(struct request *request, enum verdict verdict)
{
    if (verdict == VERDICT_WAIT)
        return;
    if (verdict != VERDICT_NEXT)
        answered(request, verdict);
    request_run(request);
}

/* --- RESPONSE, SEND --- */

static enum progress state_response(struct request *request)
{
    const struct chain *chain = request->chain;
    for (unsigned i = request->entered; i > 0; i--) {
        const struct link *link = &chain->links[i - 1];
        if (link->policy->on_response)
            link->policy->on_response(request, link->compiled);
    }
    request->state = REQUEST_SEND;
    return GO_ON;
}

static void begin_tunnel(struct request *request)
{
    request->tunneling = true;
    stat_add(request->worker->stats, STAT_TUNNELS, 1);
}

/* What comes after is told by the exchange: sent, or gone. */
static enum progress state_send(struct request *request)
{
    struct exchange *exchange = request->exchange;
    struct response_head *head = &request->response;
    struct str body = request->response_body;
    fields_remove(&head->fields, FIELD_X_REQUEST_ID);
    fields_add_known(&head->fields, request->arena, FIELD_X_REQUEST_ID, STR("X-Request-Id"), request->id);
    request->state = REQUEST_LOG;
    request->responded = true;
    if (head->status == 101)
        begin_tunnel(request);
    if (request->streaming) {
        exchange->ops->respond(exchange, head, false);
        return PAUSE;
    }
    /* A 304 may tell how long the body is that it stands for (RFC 9110, section 8.6); nothing to say is not a length of 0. */
    if (head->status == 204 || (head->status == 304 && head->length == 0))
        head->body = BODY_NONE;
    exchange->ops->respond(exchange, head, body.length == 0);
    if (body.length)
        exchange->ops->write(exchange, body.data, body.length, true);
    return PAUSE;
}

/* --- LOG, DONE --- */

enum { STATUS_CLIENT_LEFT = 499 }; /* in logs only */

static void count(struct request *request)
{
    static const enum stat_id of_class[] = {STAT_STATUS_1XX, STAT_STATUS_2XX, STAT_STATUS_3XX,
                                            STAT_STATUS_4XX, STAT_STATUS_5XX};
    struct stats_row *stats = request->worker->stats;
    unsigned class = request->response.status / 100;
    stat_add(stats, STAT_REQUESTS, 1);
    stat_add(stats, STAT_BYTES_OUT, request->exchange->ops->sent(request->exchange));
    if (request->aborted)
        stat_add(stats, STAT_ABORTED, 1);
    if (class >= 1 && class <= 5)
        stat_add(stats, of_class[class - 1], 1);
}

static enum progress state_log(struct request *request)
{
    const struct chain *chain = request->chain;
    if (!request->responded)
        request->response.status = STATUS_CLIENT_LEFT;
    if (!request->moved)
        count(request);
    for (unsigned i = request->entered; i > 0; i--) {
        const struct link *link = &chain->links[i - 1];
        if (link->policy->on_done)
            link->policy->on_done(request, link->compiled);
    }
    for (struct request_tap *tap; (tap = request->taps);) {
        request->taps = tap->next;
        tap->on_end(tap);
    }
    request->state = REQUEST_DONE;
    return GO_ON;
}

static enum progress state_done(struct request *request)
{
    struct worker *worker = request->worker;
    worker->request_count--;
    timer_clear(&worker->loop.timers, &request->wait_timer);
    loop_undefer(&request->wake);
    return PAUSE;
}

static enum progress (*const states[])(struct request *) = {
    [REQUEST_HEAD] = state_head,       [REQUEST_ROUTE] = state_route,       [REQUEST_REQUEST] = state_request,
    [REQUEST_CONTENT] = state_content, [REQUEST_RESPONSE] = state_response, [REQUEST_SEND] = state_send,
    [REQUEST_LOG] = state_log,         [REQUEST_DONE] = state_done,
};

void request_run(struct request *request)
{
    while (states[request->state](request) == GO_ON)
        continue;
}
