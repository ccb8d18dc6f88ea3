/* forward: what a request carries on to the next hop. Every request that is proxied comes through here: sizes are added
 * up once, then bytes are only copied. */
#include "worker/upstream/forward.h"

#include "worker/codec/authority.h"
#include "worker/codec/websocket.h"
#include "worker/request/request.h"
#include "worker/upstream/call.h"
#include "worker/upstream/cluster.h"

enum { TARGET_MAX = 16384, HOST_MAX = 1024 };

/* --- target and Host --- */

struct forward forward_compile(struct compiler *compiler, const char *path, const char *host,
                               bool strip_prefix)
{
    struct forward forward = {.path = NULL};
    if (path) {
        forward.path = compile_expr(compiler, "path", path, true);
        if (path[0] != '/')
            compile_error(compiler, "path", "\"%s\" doesn't begin with /", path);
        if (strip_prefix)
            compile_error(compiler, "strip_prefix", "has no meaning beside path (leave one of them out)");
        compile_line(compiler, "path", path, false);
    }
    forward.endpoint_host = strcmp(host, "endpoint") == 0;
    if (!forward.endpoint_host && strcmp(host, "client") != 0 && compile_line(compiler, "host", host, false))
        forward.host = compile_expr(compiler, "host", host, false);
    if (!*host)
        compile_error(compiler, "host", "is empty (write \"client\", \"endpoint\" or a host)");
    if (strip_prefix && compiler->route)
        for (size_t i = 0; i < compiler->route->prefix.length; i++)
            forward.strip += compiler->route->prefix.data[i] == '/';
    return forward;
}

/* A prefix may have parameters: it is as many segments, but not as many bytes. */
static struct str without_segments(struct str path, unsigned segments)
{
    for (; segments && path.length; segments--) {
        path = str_from(path, 1);
        ptrdiff_t slash = str_index(path, '/');
        path = str_from(path, slash < 0 ? path.length : (size_t)slash);
    }
    return path;
}

static struct str own_target(struct request *request, unsigned strip)
{
    struct str path = without_segments(request->path, strip), query = request->head->query;
    bool slash = path.length == 0 || (path.data[0] != '/' && path.data[0] != '*');
    if (!query.data && !slash)
        return path;
    size_t size = path.length + query.length + 2;
    struct buf out = buf_on(arena_alloc(request->arena, size), size);
    if (slash)
        buf_char(&out, '/');
    buf_str_add(&out, path);
    if (query.data) {
        buf_char(&out, '?');
        buf_str_add(&out, query);
    }
    return buf_str(&out);
}

enum problem forward_destination(const struct forward *forward, struct request *request,
                                 struct destination *destination, const char **why)
{
    if (!forward->path) {
        destination->target = own_target(request, forward->strip);
    } else if (!request_eval_str(request, forward->path, EXPR_TARGET, TARGET_MAX, &destination->target)) {
        *why = "the path doesn't fit";
        return PROBLEM_URI_TOO_LONG;
    }
    struct str authority = request->head->authority;
    destination->host = forward->endpoint_host || !authority.length ? (struct str){NULL, 0} : authority;
    if (!forward->host)
        return PROBLEM_NONE;
    if (request_eval_str(request, forward->host, EXPR_HEADER, HOST_MAX, &destination->host) &&
        authority_is_good(destination->host)) /* values of the request may have brought anything */
        return PROBLEM_NONE;
    *why = "what the request says makes no host";
    return PROBLEM_BAD_REQUEST;
}

struct str forward_endpoint_host(const struct endpoint *endpoint)
{
    const struct endpoint_settings *settings = endpoint->settings;
    struct str text = str_of(settings->srv ? settings->host : settings->text);
    if (settings->srv) /* what the service is called, without its labels _http and _tcp */
        while (str_starts(text, STR("_")) && str_index(text, '.') >= 0)
            str_cut(&text, '.');
    return str_starts(text, STR("unix:")) ? STR("localhost") : text;
}

static inline char *put(char *at, struct str text)
{
    memcpy(at, text.data, text.length);
    return at + text.length;
}

#define PUT(at, literal) ((char *)memcpy((at), (literal), sizeof(literal) - 1) + sizeof(literal) - 1)

void forward_line(struct buf *head, struct str method, struct str target, struct str host)
{
    enum { FIXED = sizeof "  HTTP/1.1\r\nHost: \r\n" };
    if (method.length + target.length + host.length + FIXED > head->size - head->length) {
        head->overflow = true;
        return;
    }
    char *at = PUT(put(head->data + head->length, method), " ");
    at = PUT(put(at, target), " HTTP/1.1\r\nHost: ");
    at = PUT(put(at, host), "\r\n");
    head->length = (size_t)(at - head->data);
}

/* --- fields --- */

#define BIT(field) ((uint64_t)1 << FIELD_##field)
/* Always written by us, with or without what came. */
static const uint64_t ours = BIT(HOST) | BIT(X_REQUEST_ID);
static const uint64_t x_forwarded = BIT(X_FORWARDED_FOR) | BIT(X_FORWARDED_PROTO) | BIT(X_FORWARDED_HOST);
/* Where a request came from is only a trusted proxy's to say. */
static const uint64_t of_trusted =
    BIT(X_FORWARDED_FOR) | BIT(X_FORWARDED_PROTO) | BIT(X_FORWARDED_HOST) | BIT(FORWARDED) | BIT(X_REAL_IP);

/* What is to be written of where a request came from. */
struct claims {
    const struct forwarded_settings *settings;
    uint64_t left_out;            /* fields that don't go on as they came, a bit each */
    const struct address *client; /* the list of X-Forwarded-For begins with it; NULL: with what came */
    struct str proto, host;       /* for X-Forwarded-* */
    bool trusted;
};

/* The part of claims() for requests of trusted proxies. */
static void trusted_claims(struct request *request, struct claims *claims)
{
    const struct fields *fields = &request->head->fields;
    struct str proto = fields_value(fields, FIELD_X_FORWARDED_PROTO);
    struct str host = fields_value(fields, FIELD_X_FORWARDED_HOST);
    if (fields->present & BIT(FORWARDED) && !(fields->present & BIT(X_FORWARDED_FOR))) {
        const struct hop *origin = request_origin(request);
        claims->client = &origin->address;
        proto = proto.length ? proto : origin->proto;
        host = host.length ? host : origin->host;
    }
    claims->proto = proto.length ? proto : claims->proto;
    claims->host = host.length ? host : claims->host;
    claims->left_out |= (claims->settings->x_forwarded ? x_forwarded : 0) |
                        (claims->settings->forwarded ? BIT(FORWARDED) : 0);
}

static struct claims claims_of(struct request *request)
{
    const struct site *site = request->worker->site;
    struct claims claims = {
        .settings = &site->settings->forwarded,
        .left_out = ours,
        .proto = request->head->scheme,
        .host = request->head->authority,
        .trusted = site->trusted_count && site_trusts(site, request->exchange->peer),
    };
    if (claims.settings->via)
        claims.left_out |= BIT(VIA);
    if (request->grpc) /* it goes on less what was spent */
        claims.left_out |= BIT(GRPC_TIMEOUT);
    if (claims.trusted)
        trusted_claims(request, &claims);
    else
        claims.left_out |= of_trusted;
    claims.left_out &= ~request->own_fields;
    return claims;
}

/* An upper bound of what we write ourselves. */
static size_t size_of(const struct request *request, const struct claims *claims)
{
    enum { FIXED = 512 }; /* names, separators, an address or three */
    const struct fields *fields = &request->head->fields;
    size_t size = FIXED + 2 * claims->host.length + claims->proto.length + request->id.length +
                  claims->settings->name.length + 2 * request->head->authority.length;
    const uint64_t lists = BIT(VIA) | BIT(FORWARDED) | BIT(X_FORWARDED_FOR); /* they are joined and grow */
    for (unsigned i = 0; fields->present & lists && i < fields->count; i++)
        size += fields->items[i].value.length + 2;
    return size;
}

/* All lines of a field that came, joined, each followed by ", ". */
static char *put_list(char *at, const struct fields *fields, enum field_id id)
{
    for (unsigned i = 0; fields->present >> id & 1 && i < fields->count; i++)
        if (fields->items[i].id == id && fields->items[i].value.length)
            at = PUT(put(at, fields->items[i].value), ", ");
    return at;
}

static char *put_address(char *at, const struct address *address)
{
    return at + address_format_host(address, at);
}

static char *put_x_forwarded(char *at, const struct request *request, const struct claims *claims)
{
    const struct address *peer = request->exchange->peer;
    at = PUT(at, "X-Forwarded-For: ");
    if (claims->trusted)
        at = put_list(at, &request->head->fields, FIELD_X_FORWARDED_FOR);
    if (claims->client && !address_eq(claims->client, peer))
        at = PUT(put_address(at, claims->client), ", ");
    at = PUT(put_address(at, peer), "\r\nX-Forwarded-Proto: ");
    at = PUT(put(at, claims->proto), "\r\n");
    if (claims->host.length)
        at = PUT(put(PUT(at, "X-Forwarded-Host: "), claims->host), "\r\n");
    return at;
}

static char *put_forwarded(char *at, const struct request *request, const struct claims *claims, char *end)
{
    const struct request_head *from = request->head;
    at = PUT(at, "Forwarded: ");
    if (claims->trusted)
        at = put_list(at, &from->fields, FIELD_FORWARDED);
    struct buf element = buf_on(at, (size_t)(end - at));
    hop_write_forwarded(&element, request->exchange->peer, from->authority, from->scheme);
    return PUT(at + element.length, "\r\n");
}

void forward_fields(struct request *request, struct buf *head)
{
    struct claims claims = claims_of(request);
    const struct fields *fields = &request->head->fields;
    fields_write(fields, claims.left_out, head);
    if (size_of(request, &claims) > head->size - head->length) {
        head->overflow = true;
        return;
    }
    char *at = head->data + head->length;
    if (claims.settings->x_forwarded)
        at = put_x_forwarded(at, request, &claims);
    if (claims.settings->forwarded)
        at = put_forwarded(at, request, &claims, head->data + head->size);
    at = PUT(put(PUT(at, "X-Request-Id: "), request->id), "\r\n");
    if (claims.settings->via) {
        unsigned version = request->head->version;
        enum via via = version == 11 ? VIA_11 : version == 10 ? VIA_10 : VIA_20;
        at = put_list(PUT(at, "Via: "), fields, FIELD_VIA);
        at = PUT(put(at, claims.settings->via_of[via]), "\r\n");
    }
    head->length = (size_t)(at - head->data);
}

static const struct field *client_key(const struct request *request)
{
    return fields_find(&request->head->fields, STR("Sec-WebSocket-Key"));
}

struct str forward_websocket_key(struct request *request)
{
    const struct field *given = client_key(request);
    uint64_t nonce[WEBSOCKET_NONCE / sizeof(uint64_t)];
    if (!str_case_eq(request->head->upgrade, STR("websocket")))
        return STR("");
    if (given)
        return given->value;
    for (unsigned i = 0; i < sizeof nonce / sizeof *nonce; i++)
        nonce[i] = random_next(&request->worker->random);
    char *key = arena_alloc(request->arena, WEBSOCKET_KEY);
    websocket_key((const unsigned char *)nonce, key);
    return (struct str){key, WEBSOCKET_KEY};
}

void forward_upgrade(const struct request *request, struct str websocket_key, struct buf *head)
{
    BUF_LITERAL(head, "Connection: upgrade\r\nUpgrade: ");
    buf_str_add(head, request->head->upgrade);
    BUF_LITERAL(head, "\r\n");
    if (!websocket_key.length || client_key(request))
        return;
    BUF_LITERAL(head, "Sec-WebSocket-Key: ");
    buf_str_add(head, websocket_key);
    BUF_LITERAL(head, "\r\n");
}

size_t forward_fields_size(struct request *request)
{
    struct claims claims = claims_of(request);
    const struct fields *fields = &request->head->fields;
    size_t size = size_of(request, &claims);
    for (unsigned i = 0; i < fields->count; i++)
        size += fields->items[i].name.length + fields->items[i].value.length + 4;
    return size;
}

struct str forward_scheme(struct request *request)
{
    return claims_of(request).proto;
}

bool forward_in_circle(const struct request *request)
{
    const struct forwarded_settings *settings = &request->worker->site->settings->forwarded;
    const struct fields *fields = &request->head->fields;
    unsigned count = 0;
    if (!(fields->present & BIT(VIA)) || !settings->via || !settings->max_hops)
        return false;
    for (unsigned i = 0; i < fields->count; i++)
        if (fields->items[i].id == FIELD_VIA)
            count += hops_via_count(fields->items[i].value, settings->name);
    return count > settings->max_hops;
}

void forward_answer(struct request *request)
{
    const struct forwarded_settings *settings = &request->worker->site->settings->forwarded;
    /* A list field: one more line is one more element. */
    if (settings->via)
        fields_add_known(&request->response.fields, request->arena, FIELD_VIA, STR("Via"),
                         settings->via_of[request->response.version == 10   ? VIA_10
                                          : request->response.version == 20 ? VIA_20
                                                                            : VIA_11]);
}

void forward_ends(struct request *request, struct call_ends *ends)
{
    ends->source = *request_client(request);
    request->exchange->ops->destination(request->exchange, &ends->destination);
}
