/* names: what ${…} may say of a request: a name is a line of names.def and a function here. */
#include "shared/base/clock.h"
#include "shared/base/digits.h"
#include "worker/codec/uri.h"
#include "worker/net/tls.h"
#include "worker/net/tls_shown.h"
#include "worker/request/identity.h"
#include "worker/request/request.h"

static const struct str nothing = {NULL, 0};

/* --- what values are made with --- */

static struct str decoded(struct str raw, bool query, struct buf *scratch)
{
    char *out = scratch->data + scratch->length;
    ptrdiff_t length = uri_decode(raw, query, out, scratch->size - scratch->length);
    if (length < 0) {
        if (scratch->size - scratch->length < raw.length)
            scratch->overflow = true;
        return nothing;
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
    return nothing;
}

static struct str field_value(const struct fields *fields, struct str name)
{
    const struct field *field = fields_find(fields, name);
    return field ? field->value : nothing;
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

struct str request_gone(const struct request *request)
{
    const char *gone = request->exchange->gone;
    if (!request->aborted)
        return nothing;
    return gone ? str_of(gone) : STR("upstream");
}

/* --- the values --- */

/* NULL data: there is none. `argument`: what stands behind the dot of a name that has one. `scratch`: room for a value that
 * must be made. */
#define VALUE(name)                                                         \
    static struct str name(struct request *request __attribute__((unused)), \
                           struct str argument __attribute__((unused)),     \
                           struct buf *scratch __attribute__((unused)))

VALUE(of_method)
{
    return request->head->method_text;
}

VALUE(of_scheme)
{
    return request->head->scheme;
}

VALUE(of_host)
{
    return request->head->authority;
}

VALUE(of_path)
{
    return request->path.data ? request->path : request->head->path;
}

VALUE(of_query)
{
    return request->head->query;
}

VALUE(of_query_parameter)
{
    struct str value;
    if (!uri_query_value(request->head->query, argument, &value))
        return nothing;
    return decoded(value, true, scratch);
}

VALUE(of_target)
{
    return request->head->target;
}

VALUE(of_version)
{
    return version_text(request->head->version);
}

VALUE(of_client)
{
    return address(request_client(request), scratch);
}

VALUE(of_peer)
{
    return address(request->exchange->peer, scratch);
}

VALUE(of_listener)
{
    const struct listener_settings *listener = router_listener(request->exchange->listener);
    return str_of(listener ? listener->name : "admin");
}

VALUE(of_api)
{
    return str_of(request->match.route ? request->match.route->api->name : NULL);
}

VALUE(of_route)
{
    return request->match.route ? request->match.route->name : nothing;
}

VALUE(of_id)
{
    return request->id;
}

VALUE(of_time)
{
    size_t from = scratch->length;
    request_add_time(request, scratch);
    return (struct str){scratch->data + from, scratch->length - from};
}

VALUE(of_status)
{
    return number(request->response.status, scratch);
}

VALUE(of_bytes_in)
{
    return number(request->exchange->bytes_in, scratch);
}

VALUE(of_bytes_out)
{
    return number(request->exchange->ops->sent(request->exchange), scratch);
}

VALUE(of_duration)
{
    return seconds(request_duration_ns(request), scratch);
}

VALUE(of_problem)
{
    return request->problem ? problem_rows[request->problem].type : nothing;
}

VALUE(of_aborted)
{
    return request_gone(request);
}

VALUE(of_upstream)
{
    return str_of(request->upstream);
}

VALUE(of_endpoint)
{
    return str_of(request->endpoint);
}

VALUE(of_upstream_time)
{
    return request->upstream_ns ? seconds(request->upstream_ns, scratch) : nothing;
}

VALUE(of_fault)
{
    return str_of(request->fault);
}

VALUE(of_tries)
{
    return number(request->tries, scratch);
}

VALUE(of_header)
{
    return field_value(&request->head->fields, argument);
}

VALUE(of_response)
{
    return field_value(&request->response.fields, argument);
}

VALUE(of_cookie)
{
    return request_cookie(request, argument);
}

VALUE(of_grpc)
{
    return str_eq(argument, STR("status")) ? request->grpc_status : nothing;
}

VALUE(of_consumer)
{
    const struct consumer *consumer = identity_consumer(request->identity);
    return consumer ? consumer->name : nothing;
}

VALUE(of_consumer_fact)
{
    const struct consumer *consumer = identity_consumer(request->identity);
    return consumer ? consumer_fact(consumer, argument) : nothing;
}

VALUE(of_claim)
{
    const struct identity *identity = request->identity;
    return identity && identity->claim ? identity->claim(identity, argument, scratch) : nothing;
}

VALUE(of_auth)
{
    const struct identity *identity = request->identity;
    if (!identity)
        return nothing;
    return str_eq(argument, STR("scheme"))    ? identity->scheme
           : str_eq(argument, STR("subject")) ? identity->subject
                                              : nothing;
}

VALUE(of_params)
{
    const struct route *route = request->match.route;
    for (unsigned i = 0; route && i < route->param_count; i++)
        if (str_eq(route->params[i], argument))
            return decoded(request->match.params[i], false, scratch);
    return nothing;
}

/* --- TLS --- */

VALUE(of_tls_version)
{
    const struct tls_peer *tls = request->exchange->tls;
    return tls ? str_of(tls->version) : nothing;
}

VALUE(of_tls_cipher)
{
    const struct tls_peer *tls = request->exchange->tls;
    return tls ? str_of(tls->cipher) : nothing;
}

VALUE(of_tls_sni)
{
    const struct tls_peer *tls = request->exchange->tls;
    return tls ? str_of(tls->server_name) : nothing;
}

#define OF_CLIENT(member)                                        \
    VALUE(of_tls_client_##member)                                \
    {                                                            \
        const struct tls_peer *tls = request->exchange->tls;     \
        return tls && tls->shown ? tls->shown->member : nothing; \
    }

OF_CLIENT(verified)
OF_CLIENT(subject)
OF_CLIENT(common_name)
OF_CLIENT(issuer)
OF_CLIENT(names)
OF_CLIENT(serial)
OF_CLIENT(fingerprint)

/* --- the table --- */

enum name {
#define NAME(id, word, argument, form, value, help) NAME_##id,
#include "worker/request/names.def"
#undef NAME
};

const struct expr_name request_names[] = {
#define NAME(id, word, argument, form, value, help) {word, NAME_##id, argument, help, form},
#include "worker/request/names.def"
#undef NAME
    {NULL, 0, false, NULL, EXPR_TEXT},
};

static struct str (*const values[])(struct request *request, struct str argument, struct buf *scratch) = {
#define NAME(id, word, argument, form, value, help) value,
#include "worker/request/names.def"
#undef NAME
};

bool request_name_is_param(int id)
{
    return id == NAME_PARAMS;
}

static struct str resolve(void *context, int id, struct str argument, struct buf *scratch)
{
    return values[id](context, argument, scratch);
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
