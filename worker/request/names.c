/* names: what ${…} may say of a request. */
#include "shared/base/clock.h"
#include "shared/base/digits.h"
#include "worker/codec/uri.h"
#include "worker/request/request.h"

enum name {
    NAME_METHOD,
    NAME_SCHEME,
    NAME_HOST,
    NAME_PATH,
    NAME_QUERY,
    NAME_QUERY_PARAMETER,
    NAME_TARGET,
    NAME_VERSION,
    NAME_CLIENT,
    NAME_PEER,
    NAME_LISTENER,
    NAME_API,
    NAME_ROUTE,
    NAME_ID,
    NAME_TIME,
    NAME_STATUS,
    NAME_BYTES_IN,
    NAME_BYTES_OUT,
    NAME_DURATION,
    NAME_PROBLEM,
    NAME_ABORTED,
    NAME_UPSTREAM,
    NAME_ENDPOINT,
    NAME_UPSTREAM_TIME,
    NAME_TRIES,
    NAME_HEADER,
    NAME_RESPONSE,
    NAME_COOKIE,
    NAME_PARAMS,
};

const struct expr_name request_names[] = {
    {"method", NAME_METHOD, false, "the request's method", EXPR_TEXT},
    {"scheme", NAME_SCHEME, false, "http", EXPR_PATH_FORM},
    {"host", NAME_HOST, false, "host and port as the client named them", EXPR_PATH_FORM},
    {"path", NAME_PATH, false, "the path in normal form", EXPR_PATH_FORM},
    {"query", NAME_QUERY, false, "the query, without its `?`", EXPR_QUERY_FORM},
    {"query", NAME_QUERY_PARAMETER, true, "a query parameter, decoded", EXPR_TEXT},
    {"target", NAME_TARGET, false, "the request target as it came", EXPR_TEXT},
    {"version", NAME_VERSION, false, "HTTP/1.0, HTTP/1.1", EXPR_TEXT},
    {"client", NAME_CLIENT, false, "the client's address, as trusted proxies say", EXPR_SAFE_FORM},
    {"peer", NAME_PEER, false, "the address that the connection comes from", EXPR_SAFE_FORM},
    {"listener", NAME_LISTENER, false, "the listener's name", EXPR_TEXT},
    {"api", NAME_API, false, "the API's name", EXPR_TEXT},
    {"route", NAME_ROUTE, false, "the route's name, or its path", EXPR_TEXT},
    {"id", NAME_ID, false, "the request id", EXPR_SAFE_FORM},
    {"time", NAME_TIME, false, "when the request's head came, RFC 3339", EXPR_SAFE_FORM},
    {"status", NAME_STATUS, false, "the answer's status", EXPR_SAFE_FORM},
    {"bytes_in", NAME_BYTES_IN, false, "bytes of the request", EXPR_SAFE_FORM},
    {"bytes_out", NAME_BYTES_OUT, false, "bytes of the answer", EXPR_SAFE_FORM},
    {"duration", NAME_DURATION, false, "seconds since the head came, to the microsecond", EXPR_SAFE_FORM},
    {"problem", NAME_PROBLEM, false, "the type of the gateway's own error answer", EXPR_SAFE_FORM},
    {"aborted", NAME_ABORTED, false,
     "why the answer isn't whole: client, send_timeout, least_rate, drain, upstream; empty when it is",
     EXPR_SAFE_FORM},
    {"upstream", NAME_UPSTREAM, false, "the upstream that was called", EXPR_TEXT},
    {"endpoint", NAME_ENDPOINT, false, "the endpoint that was called last", EXPR_TEXT},
    {"upstream_time", NAME_UPSTREAM_TIME, false, "seconds until the upstream's head came", EXPR_SAFE_FORM},
    {"tries", NAME_TRIES, false, "how often the upstream was tried", EXPR_SAFE_FORM},
    {"header", NAME_HEADER, true, "a field of the request", EXPR_TEXT},
    {"response", NAME_RESPONSE, true, "a field of the answer", EXPR_TEXT},
    {"cookie", NAME_COOKIE, true, "a cookie of the request", EXPR_TEXT},
    {"params", NAME_PARAMS, true, "a parameter of the route's path, decoded", EXPR_TEXT},
    {NULL, 0, false, NULL, EXPR_TEXT},
};

bool request_name_is_param(int id)
{
    return id == NAME_PARAMS;
}

static struct str decoded(struct str raw, bool query, struct buf *scratch)
{
    char *out = scratch->data + scratch->length;
    ptrdiff_t length = uri_decode(raw, query, out, scratch->size - scratch->length);
    if (length < 0) {
        if (scratch->size - scratch->length < raw.length)
            scratch->overflow = true;
        return (struct str){NULL, 0};
    }
    scratch->length += (size_t)length;
    return (struct str){out, (size_t)length};
}

static struct str number(uint64_t value, struct buf *scratch)
{
    size_t from = scratch->length;
    buf_u64(scratch, value);
    return (struct str){scratch->data + from, scratch->length - from};
}

void request_add_seconds(uint64_t ns, struct buf *out)
{
    char micros[] = ".000000";
    buf_u64(out, ns / NS_PER_SECOND);
    digits_put(micros + 1, (unsigned)(ns % NS_PER_SECOND / 1000), 6);
    buf_add(out, micros, 7);
}

static struct str seconds(uint64_t ns, struct buf *scratch)
{
    size_t from = scratch->length;
    request_add_seconds(ns, scratch);
    return (struct str){scratch->data + from, scratch->length - from};
}

struct str request_cookie(const struct request *request, struct str name)
{
    const struct fields *fields = &request->head->fields;
    for (unsigned i = 0; fields->present >> FIELD_COOKIE & 1 && i < fields->count; i++) {
        struct str rest = fields->items[i].value;
        while (fields->items[i].id == FIELD_COOKIE && rest.length) {
            struct str value = str_trim(str_cut(&rest, ';'));
            if (value.length > name.length && value.data[name.length] == '=' && str_starts(value, name))
                return str_from(value, name.length + 1);
        }
    }
    return (struct str){NULL, 0};
}

static struct str field_value(const struct fields *fields, struct str name)
{
    const struct field *field = fields_find(fields, name);
    return field ? field->value : (struct str){NULL, 0};
}

static struct str parameter(const struct request *request, struct str name, struct buf *scratch)
{
    const struct route *route = request->match.route;
    for (unsigned i = 0; route && i < route->param_count; i++)
        if (str_eq(route->params[i], name))
            return decoded(request->match.params[i], false, scratch);
    return (struct str){NULL, 0};
}

static struct str address(const struct address *address, struct buf *scratch)
{
    char text[ADDRESS_TEXT_SIZE];
    size_t from = scratch->length, length = address_format_host(address, text);
    buf_add(scratch, text, length);
    return (struct str){scratch->data + from, scratch->length - from};
}

/* The text to the second is the same for many requests: it is kept. */
void request_add_time(const struct request *request, struct buf *out)
{
    struct worker *worker = request->worker;
    uint64_t second = request->started_wall / NS_PER_SECOND;
    char text[CLOCK_RFC3339_SIZE];
    if (second != worker->time_second) {
        clock_rfc3339(second * NS_PER_SECOND, worker->time);
        worker->time_second = second;
    }
    memcpy(text, worker->time, sizeof text);
    digits_put(text + sizeof "0000-00-00T00:00:00",
               (unsigned)(request->started_wall % NS_PER_SECOND / NS_PER_MS), 3);
    buf_add(out, text, sizeof text - 1);
}

static struct str started(const struct request *request, struct buf *scratch)
{
    size_t from = scratch->length;
    request_add_time(request, scratch);
    return (struct str){scratch->data + from, scratch->length - from};
}

static struct str listener_name(const struct request *request)
{
    const struct listener_settings *listener = router_listener(request->exchange->listener);
    return str_of(listener ? listener->name : "admin");
}

struct str request_gone(const struct request *request)
{
    const char *gone = request->exchange->gone;
    if (!request->aborted)
        return (struct str){NULL, 0};
    return gone ? str_of(gone) : STR("upstream");
}

static struct str resolve(void *context, int id, struct str argument, struct buf *scratch)
{
    struct request *request = context;
    const struct request_head *head = request->head;
    const struct route *route = request->match.route;
    struct str value;
    switch ((enum name)id) {
    case NAME_METHOD:
        return head->method_text;
    case NAME_SCHEME:
        return head->scheme;
    case NAME_HOST:
        return head->authority;
    case NAME_PATH:
        return request->path.data ? request->path : head->path;
    case NAME_QUERY:
        return head->query;
    case NAME_QUERY_PARAMETER:
        return uri_query_value(head->query, argument, &value) ? decoded(value, true, scratch)
                                                              : (struct str){NULL, 0};
    case NAME_TARGET:
        return head->target;
    case NAME_VERSION:
        return head->version == 10 ? STR("HTTP/1.0") : STR("HTTP/1.1");
    case NAME_CLIENT:
        return address(request_client(request), scratch);
    case NAME_PEER:
        return address(request->exchange->peer, scratch);
    case NAME_LISTENER:
        return listener_name(request);
    case NAME_API:
        return str_of(route ? route->api->name : NULL);
    case NAME_ROUTE:
        return route ? route->name : (struct str){NULL, 0};
    case NAME_ID:
        return request->id;
    case NAME_TIME:
        return started(request, scratch);
    case NAME_STATUS:
        return number(request->response.status, scratch);
    case NAME_BYTES_IN:
        return number(request->exchange->bytes_in, scratch);
    case NAME_BYTES_OUT:
        return number(request->exchange->ops->sent(request->exchange), scratch);
    case NAME_DURATION:
        return seconds(request_duration_ns(request), scratch);
    case NAME_PROBLEM:
        return request->problem ? problem_rows[request->problem].type : (struct str){NULL, 0};
    case NAME_ABORTED:
        return request_gone(request);
    case NAME_UPSTREAM:
        return str_of(request->upstream);
    case NAME_ENDPOINT:
        return str_of(request->endpoint);
    case NAME_UPSTREAM_TIME:
        return request->upstream_ns ? seconds(request->upstream_ns, scratch) : (struct str){NULL, 0};
    case NAME_TRIES:
        return number(request->tries, scratch);
    case NAME_HEADER:
        return field_value(&head->fields, argument);
    case NAME_RESPONSE:
        return field_value(&request->response.fields, argument);
    case NAME_COOKIE:
        return request_cookie(request, argument);
    case NAME_PARAMS:
        return parameter(request, argument, scratch);
    }
    return (struct str){NULL, 0};
}

void request_eval(struct request *request, const struct expr *expr, enum expr_escape escape, struct buf *out)
{
    char memory[4096];
    struct buf scratch = buf_on(memory, sizeof memory);
    expr_eval(expr, resolve, request, escape, out, &scratch);
    if (scratch.overflow)
        out->overflow = true;
}

bool request_eval_str(struct request *request, const struct expr *expr, enum expr_escape escape, size_t size,
                      struct str *value)
{
    if (expr_constant(expr, value))
        return true;
    struct buf out = buf_on(arena_alloc(request->arena, size), size);
    request_eval(request, expr, escape, &out);
    *value = buf_str(&out);
    return !out.overflow;
}
