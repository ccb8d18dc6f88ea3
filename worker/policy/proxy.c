/* proxy: the content that sends the request to an upstream and its answer back, streaming both ways. */
#include "shared/base/token.h"
#include "worker/request/grpc.h"
#include "worker/request/request.h"
#include "worker/upstream/breaking.h"
#include "worker/upstream/call.h"
#include "worker/upstream/forward.h"
#include "worker/upstream/max_forwards.h"
#include "worker/upstream/signing.h"
#include "worker/upstream/split.h"
#include "worker/upstream/tunnel_handoff.h"

struct variant_settings {
    struct origin origin;
    const char *upstream;
    int64_t weight;
};

struct sticky_settings {
    struct origin origin;
    const char *header;
    const char *cookie;
    int64_t ttl;
};

struct proxy_settings {
    struct origin origin;
    const char *upstream;
    struct conf_list split; /* struct variant_settings */
    struct sticky_settings *sticky;
    const char *path;
    const char *host;
    bool strip_prefix;
};

/* Compiled for a route. */
struct proxy {
    unsigned upstream;
    const struct split *split; /* NULL: always `upstream` */
    struct str header, cookie; /* what a client's variant depends on; empty: on chance */
    struct str set_cookie[2];  /* what stands before and behind the token */
    struct forward forward;
};

/* One request's. */
struct proxying {
    struct request *request;
    struct call call;
    struct destination destination;
    struct str websocket_key;        /* empty: none is wanted */
    struct tunnel tunnel;            /* once 101 came */
    struct str set_cookie;           /* for the answer; empty: none */
    const struct fallback *fallback; /* what stands in for the answer; NULL: the upstream itself answers */
    enum verdict verdict;            /* of on_content(): WAIT while the call is on its way */
    bool begun;                      /* it has returned */
};

static const struct row variant_rows[] = {
    ROW_(ROW_STRING, struct variant_settings, upstream, .flags = ROW_REQUIRED, .help = "the upstream's name"),
    ROW_(ROW_NUMBER, struct variant_settings, weight, .fallback = "1", .min = 0, .max = 1000000,
         .help = "its share, to the sum of all; 0: only those who were there before, by cookie"),
    ROW_END,
};

static const struct section variant_section = {.name = "proxy.split",
                                               .size = sizeof(struct variant_settings),
                                               .rows = variant_rows,
                                               .shorthand = "upstream"};

static const struct row sticky_rows[] = {
    ROW_(ROW_STRING, struct sticky_settings, header,
         .help = "the header field whose value decides; a request without it goes where chance sends it"),
    ROW_(ROW_STRING, struct sticky_settings, cookie,
         .help = "instead: the cookie that the gateway sets, and that keeps a client where it was"),
    ROW_(ROW_DURATION, struct sticky_settings, ttl, .fallback = "1h", .min = 0, .max = 31622400000,
         .help = "how long that cookie lives; 0: until the browser is closed"),
    ROW_END,
};

static void sticky_check(struct conf_loader *loader, void *structure)
{
    const struct sticky_settings *sticky = structure;
    if (sticky->header && sticky->cookie)
        conf_error(loader, sticky->origin, "cookie", "has no meaning beside header (leave one of them out)");
    else if (!sticky->header && !sticky->cookie)
        conf_error(loader, sticky->origin, NULL, "has neither header nor cookie (write one of them)");
    if (sticky->header && !is_token(str_of(sticky->header)))
        conf_error(loader, sticky->origin, "header", "\"%s\" is no name of a field", sticky->header);
    if (sticky->cookie && !is_token(str_of(sticky->cookie)))
        conf_error(loader, sticky->origin, "cookie", "\"%s\" is no name of a cookie", sticky->cookie);
}

static const struct section sticky_section = {.name = "proxy.sticky",
                                              .size = sizeof(struct sticky_settings),
                                              .rows = sticky_rows,
                                              .check = sticky_check};

static const struct row rows[] = {
    ROW_(ROW_STRING, struct proxy_settings, upstream, .help = "the upstream's name"),
    ROW_(ROW_LIST, struct proxy_settings, split, .section = &variant_section, .min = 1, .max = 64,
         .help = "instead of upstream: several, with a share of the requests each"),
    ROW_(ROW_OPTIONAL, struct proxy_settings, sticky, .section = &sticky_section,
         .help = "with split: the same client goes to the same upstream"),
    ROW_(ROW_STRING, struct proxy_settings, path,
         .help = "path and query to ask for, with {name} and ${…}; default: those of the request"),
    ROW_(ROW_STRING, struct proxy_settings, host, .fallback = "client",
         .help =
             "the Host to ask for: client, what the request has; endpoint, the endpoint's address; or any "
             "other text, with ${…}"),
    ROW_(ROW_FLAG, struct proxy_settings, strip_prefix, .fallback = "false",
         .help = "without `path`: leave out the API's prefix"),
    ROW_END,
};

static void check_split(struct conf_loader *loader, const struct proxy_settings *proxy)
{
    int64_t total = 0;
    for (unsigned i = 0; i < proxy->split.count; i++) {
        const struct variant_settings *variant = proxy->split.items[i];
        total += variant->weight;
        for (unsigned j = 0; j < i; j++)
            if (strcmp(((const struct variant_settings *)proxy->split.items[j])->upstream,
                       variant->upstream) == 0)
                conf_error(loader, variant->origin, arena_printf(conf_arena(loader), "split[%u].upstream", i),
                           "\"%s\" is there twice (add the weights)", variant->upstream);
    }
    if (total == 0)
        conf_error(loader, proxy->origin, "split", "no upstream has a weight, so that none could be taken");
}

static void proxy_check(struct conf_loader *loader, void *structure)
{
    const struct proxy_settings *proxy = structure;
    if (proxy->upstream && proxy->split.count)
        conf_error(loader, proxy->origin, "split", "has no meaning beside upstream (leave one of them out)");
    else if (!proxy->upstream && !proxy->split.count)
        conf_error(loader, proxy->origin, NULL, "has neither upstream nor split (write upstream = \"…\")");
    else if (proxy->split.count)
        check_split(loader, proxy);
    if (proxy->sticky && !proxy->split.count)
        conf_error(loader, proxy->origin, "sticky", "has no meaning without split");
}

static const struct section section = {.name = "proxy",
                                       .size = sizeof(struct proxy_settings),
                                       .rows = rows,
                                       .shorthand = "upstream",
                                       .check = proxy_check};

/* The index of an upstream, or 0, as there is an error then and nothing is served. */
static unsigned compile_target(struct compiler *compiler, const char *setting, const char *name)
{
    int upstream = compile_upstream(compiler, setting, name);
    if (upstream < 0)
        return 0;
    const struct upstream_settings *settings = compiler->settings->upstreams.items[upstream];
    if (compile_beside(compiler, "grpc") && settings->protocol == UPSTREAM_HTTP1)
        compile_error(
            compiler, setting,
            "upstream %s speaks HTTP/1.1, and gRPC wants HTTP/2 (write protocol = \"h2c\" there, or "
            "\"h2\" and tls; or grpc = false here)",
            name);
    return (unsigned)upstream;
}

static const struct split *compile_split(struct compiler *compiler, const struct conf_list *list,
                                         struct str by)
{
    struct split *split = arena_zalloc(compiler->arena, sizeof *split);
    struct origin origin = compiler->origin;
    split->variants = arena_array(compiler->arena, list->count, sizeof *split->variants);
    split->count = list->count;
    for (unsigned i = 0; i < list->count; i++) {
        const struct variant_settings *settings = list->items[i];
        struct variant *variant = &split->variants[i];
        compiler->origin = settings->origin;
        variant->name = str_of(settings->upstream);
        variant->upstream = compile_target(compiler, "split", settings->upstream);
        variant->weight = (uint64_t)settings->weight;
    }
    compiler->origin = origin;
    split_prepare(split, by);
    return split;
}

static void compile_sticky(struct compiler *compiler, const struct sticky_settings *sticky,
                           struct proxy *proxy)
{
    if (sticky->header) {
        proxy->header = str_of(sticky->header);
        return;
    }
    const char *age = sticky->ttl == 0 ? ""
                                       : arena_printf(compiler->arena, "; Max-Age=%lld",
                                                      (long long)(sticky->ttl + 999) / 1000);
    proxy->cookie = str_of(sticky->cookie);
    proxy->set_cookie[0] = str_of(arena_printf(compiler->arena, "%s=", sticky->cookie));
    proxy->set_cookie[1] = str_of(arena_printf(compiler->arena, "; Path=/; HttpOnly; SameSite=Lax%s", age));
}

static const void *compile(struct compiler *compiler, const void *conf)
{
    const struct proxy_settings *settings = conf;
    struct proxy *proxy = arena_zalloc(compiler->arena, sizeof *proxy);
    if (settings->upstream)
        proxy->upstream = compile_target(compiler, "upstream", settings->upstream);
    proxy->forward = forward_compile(compiler, settings->path, settings->host, settings->strip_prefix);
    if (settings->sticky)
        compile_sticky(compiler, settings->sticky, proxy);
    if (settings->split.count)
        proxy->split = compile_split(compiler, &settings->split, proxy->header);
    return proxy;
}

/* --- the upstream --- */

/* A cookie that says where its client goes from now on. */
static struct str new_cookie(struct request *request, const struct proxy *proxy,
                             const struct variant *variant)
{
    bool secure = str_case_eq(forward_scheme(request), STR("https"));
    size_t size = proxy->set_cookie[0].length + SPLIT_TOKEN + proxy->set_cookie[1].length + 8;
    struct buf out = buf_on(arena_alloc(request->arena, size), size);
    buf_str_add(&out, proxy->set_cookie[0]);
    buf_add(&out, variant->token, SPLIT_TOKEN);
    buf_str_add(&out, proxy->set_cookie[1]);
    if (secure)
        BUF_LITERAL(&out, "; Secure");
    return buf_str(&out);
}

static unsigned pick_variant(struct proxying *proxying, const struct proxy *proxy)
{
    struct request *request = proxying->request;
    const struct split *split = proxy->split;
    const struct variant *variant = NULL;
    if (proxy->header.length) {
        const struct field *field = fields_find(&request->head->fields, proxy->header);
        if (field && field->value.length)
            variant = split_of_value(split, field->value);
    } else if (proxy->cookie.length) {
        variant = split_of_token(split, request_cookie(request, proxy->cookie));
    }
    if (variant)
        return variant->upstream;
    variant = split_random(split, &request->worker->random);
    if (proxy->cookie.length)
        proxying->set_cookie = new_cookie(request, proxy, variant);
    return variant->upstream;
}

/* --- the request on its way up --- */

/* For the log. */
static void tried(struct proxying *proxying, const struct endpoint *endpoint)
{
    if (endpoint)
        proxying->request->endpoint = endpoint_keep_text(endpoint, proxying->request->arena);
    proxying->request->tries = proxying->call.tries;
}

static bool takes_trailers(const struct request *request)
{
    const struct request_head *head = request->head;
    if (request->grpc)
        return true;
    return fields_get(&head->fields, FIELD_TE) &&
           str_list_has(fields_value(&head->fields, FIELD_TE), STR("trailers"));
}

/* The caller's deadline, less what was spent until now. */
static void write_timeout(const struct request *request, struct buf *head)
{
    uint64_t now = request->worker->loop.now_ms, end = request->grpc->deadline;
    BUF_LITERAL(head, "grpc-timeout: ");
    grpc_timeout_write(end > now ? end - now : 1, head);
    BUF_LITERAL(head, "\r\n");
}

static bool write_head(void *owner, const struct endpoint *endpoint, struct buf *head)
{
    struct proxying *proxying = owner;
    struct request *request = proxying->request;
    tried(proxying, endpoint);
    struct str host = proxying->destination.host;
    forward_line(head, request->head->method_text, proxying->destination.target,
                 host.data ? host : forward_endpoint_host(endpoint));
    forward_fields(request, head);
    if (request->tunnel)
        forward_upgrade(request, proxying->websocket_key, head);
    else if (takes_trailers(request))
        BUF_LITERAL(head, "TE: trailers\r\nConnection: TE\r\n");
    if (request->grpc && request->grpc->deadline)
        write_timeout(request, head);
    if (request->head->body == BODY_LENGTH) {
        BUF_LITERAL(head, "Content-Length: ");
        buf_u64(head, request->head->length);
        BUF_LITERAL(head, "\r\n");
    } else if (request->head->body == BODY_STREAM) {
        BUF_LITERAL(head, "Transfer-Encoding: chunked\r\n");
    }
    if (request->signing && !signing_write(request->signing, request,
                                           proxying->call.cluster->tls ? STR("https") : STR("http"), head))
        return false;
    BUF_LITERAL(head, "\r\n");
    return !head->overflow;
}

static void ends(void *owner, struct call_ends *ends)
{
    const struct proxying *proxying = owner;
    forward_ends(proxying->request, ends);
}

static void on_ready(void *owner)
{
    struct proxying *proxying = owner;
    request_read(proxying->request, true);
    if (proxying->request->tunneling)
        tunnel_drained(&proxying->tunnel);
}

static void on_request_body(struct request *request, const char *data, size_t length, bool last)
{
    struct proxying *proxying = request->content_state;
    if (request->tunneling) {
        tunnel_up(&proxying->tunnel, data, length, last);
        return;
    }
    if (last && request->head->trailers.count)
        call_trailers(&proxying->call, &request->head->trailers);
    call_send(&proxying->call, data, length, last);
}

static void on_upstream_blocked(void *owner)
{
    struct proxying *proxying = owner;
    request_read(proxying->request, false);
}

/* --- the answer on its way down --- */

static void on_interim(void *owner, const struct response_head *head)
{
    struct proxying *proxying = owner;
    struct exchange *exchange = proxying->request->exchange;
    if (head->status != 100) /* its own 100 the client got, if it wanted one */
        exchange->ops->interim(exchange, head);
}

/* The answer to a gRPC call is something else: a page of somebody's on the way, mostly. */
static void not_grpc(struct proxying *proxying, const struct response_head *head)
{
    struct request *request = proxying->request;
    struct str type = fields_value(&head->fields, FIELD_CONTENT_TYPE);
    call_cancel(&proxying->call);
    request->grpc->http = head->status;
    request_fail(request, PROBLEM_UPSTREAM_NOT_GRPC, "upstream %s: it answered %u, %.*s", request->upstream,
                 head->status, STR_ARG(type.length ? type : STR("without a Content-Type")));
    request_content_failed(request);
}

/* To an extended CONNECT any 2xx says that there is a tunnel (RFC 8441, section 5); this one made none. */
static void refuse_success(struct proxying *proxying, unsigned status)
{
    struct request *request = proxying->request;
    call_cancel(&proxying->call);
    request_fail(request, PROBLEM_BAD_ANSWER,
                 "upstream %s: it answered %u to what only 101 would have been a yes to", request->upstream,
                 status);
    request_content_failed(request);
}

static void on_head(void *owner, struct response_head *head, bool last)
{
    struct proxying *proxying = owner;
    struct request *request = proxying->request;
    tried(proxying, proxying->call.last);
    request->upstream_ns = request->worker->loop.now - proxying->call.began;
    if (request->tunnel && request->head->version >= 20 && head->status / 100 == 2) {
        refuse_success(proxying, head->status);
        return;
    }
    if (request->grpc && grpc_form_of(fields_value(&head->fields, FIELD_CONTENT_TYPE), NULL) == GRPC_NONE) {
        not_grpc(proxying, head);
        return;
    }
    grpc_note_status(request, &head->fields);
    request->response = *head;
    forward_answer(request);
    if (proxying->set_cookie.length)
        request_add_field(request, STR("Set-Cookie"), proxying->set_cookie);
    bool tunnel = head->status == 101;
    request_respond(request, last); /* the head may be gone after it */
    if (tunnel) {
        tunnel_begin(&proxying->tunnel, request, &proxying->call);
        return;
    }
    struct connection *plain = last ? NULL : request_plain(request);
    if (plain)
        call_relay(&proxying->call, plain);
}

static void on_body(void *owner, const char *data, size_t length, bool last)
{
    struct proxying *proxying = owner;
    if (proxying->request->tunneling)
        tunnel_down(&proxying->tunnel, data, length, last);
    else
        request_write(proxying->request, data, length, last);
}

/* Only a client that says so is known to understand them (RFC 9110, section 6.5.1). */
static void on_trailers(void *owner, const struct fields *trailers)
{
    struct proxying *proxying = owner;
    struct request *request = proxying->request;
    grpc_note_status(request, trailers);
    if (takes_trailers(request))
        request_trailers(request, trailers);
}

static void on_blocked(struct request *request)
{
    struct proxying *proxying = request->content_state;
    call_read(&proxying->call, false);
}

static void on_drained(struct request *request)
{
    struct proxying *proxying = request->content_state;
    call_read(&proxying->call, true);
    if (request->tunneling)
        tunnel_drained(&proxying->tunnel);
}

static void on_abort(struct request *request)
{
    struct proxying *proxying = request->content_state;
    if (request->tunneling)
        tunnel_end(&proxying->tunnel);
    call_cancel(&proxying->call);
}

static void failed(struct proxying *proxying, enum call_failure failure, const char *detail)
{
    static const enum problem problems[] = {
        [CALL_BROKEN] = PROBLEM_UPSTREAM_BROKEN,
        [CALL_LIMITED] = PROBLEM_UPSTREAM_LIMITED,
        [CALL_BUSY] = PROBLEM_UPSTREAM_BUSY,
        [CALL_EXHAUSTED] = PROBLEM_OUT_OF_RESOURCES,
        [CALL_UNAVAILABLE] = PROBLEM_UPSTREAM_UNAVAILABLE,
        [CALL_UNREACHABLE] = PROBLEM_UPSTREAM_UNREACHABLE,
        [CALL_CLOSED] = PROBLEM_UPSTREAM_CLOSED,
        [CALL_MALFORMED] = PROBLEM_BAD_ANSWER,
        [CALL_TIMEOUT] = PROBLEM_UPSTREAM_TIMEOUT,
        [CALL_DEADLINE] = PROBLEM_DEADLINE_EXCEEDED,
        [CALL_TOO_LARGE] = PROBLEM_FIELDS_TOO_LARGE,
    };
    tried(proxying, proxying->call.last);
    if (failure == CALL_BROKEN || failure == CALL_LIMITED)
        proxying->request->retry_after = (proxying->call.retry_ms + 999) / 1000;
    proxying->verdict = request_fail(proxying->request, problems[failure], "upstream %s: %s",
                                     proxying->request->upstream, detail);
}

static void start(struct proxying *proxying, unsigned upstream, const struct breaking *breaking);

/* The breaker's fixed answer. */
static void answer_fixed(struct proxying *proxying)
{
    struct request *request = proxying->request;
    const struct fallback *fallback = proxying->fallback;
    proxying->verdict = request_answer(request, fallback->status, fallback->type, fallback->body);
    if (!proxying->begun)
        return;
    request_respond(request, fallback->body.length == 0);
    if (fallback->body.length)
        request_write(request, fallback->body.data, fallback->body.length, true);
}

/* The breaker is open. False: nothing stands in. */
static bool fall_back(struct proxying *proxying)
{
    const struct fallback *fallback = proxying->call.breaking->fallback;
    if (!fallback || proxying->fallback)
        return false;
    if (fallback->upstream >= 0 && proxying->call.body_begun)
        return false; /* what of the body went to the first can't be had again */
    proxying->fallback = fallback;
    stat_add(proxying->request->worker->stats, STAT_FALLBACKS, 1);
    if (fallback->upstream < 0)
        answer_fixed(proxying);
    else
        start(proxying, (unsigned)fallback->upstream, NULL);
    return true;
}

static void on_failed(void *owner, enum call_failure failure, const char *detail)
{
    struct proxying *proxying = owner;
    struct request *request = proxying->request;
    if (request->tunneling) {
        tunnel_end(&proxying->tunnel);
        request_content_failed(request);
        return;
    }
    if (failure == CALL_BROKEN && fall_back(proxying))
        return;
    failed(proxying, failure, detail);
    if (proxying->begun) /* else on_content() says so */
        request_content_failed(request);
}

static const struct call_events call_events = {
    .write_head = write_head,
    .ends = ends,
    .on_ready = on_ready,
    .on_interim = on_interim,
    .on_head = on_head,
    .on_body = on_body,
    .on_trailers = on_trailers,
    .on_blocked = on_upstream_blocked,
    .on_drained = on_ready,
    .on_failed = on_failed,
};

static const struct content_events content_events = {
    .on_body = on_request_body,
    .on_blocked = on_blocked,
    .on_drained = on_drained,
    .on_abort = on_abort,
};

static void start(struct proxying *proxying, unsigned upstream, const struct breaking *breaking)
{
    struct request *request = proxying->request;
    struct cluster *cluster = &request->worker->clusters[upstream];
    struct call_order order = {
        .method = request->head->method,
        .body = !request->exchange->body_done && !request->tunnel,
        .chunked = request->head->body == BODY_STREAM,
        .key = cluster_key(cluster, request),
        .breaking = breaking,
        .patience = request->patience,
        .deadline = request->grpc ? request->grpc->deadline : 0,
        .grpc = request->grpc,
    };
    if (request->tunnel) {
        order.upgrade = request->head->upgrade;
        order.websocket_key = proxying->websocket_key;
    }
    request->upstream = cluster->settings->name;
    (void)call_start(&proxying->call, cluster, &call_events, proxying, request->arena,
                     &order); /* on_failed() tells */
}

static enum verdict on_content(struct request *request, const void *compiled)
{
    const struct proxy *proxy = compiled;
    enum verdict verdict = max_forwards(request);
    if (verdict != VERDICT_NEXT)
        return verdict;
    struct proxying *proxying = arena_alloc(request->arena, sizeof *proxying);
    const char *why;
    proxying->request = request;
    proxying->set_cookie = STR("");
    proxying->websocket_key = request->tunnel ? forward_websocket_key(request) : STR("");
    unsigned upstream = proxy->split ? pick_variant(proxying, proxy) : proxy->upstream;
    request->upstream = request->worker->clusters[upstream].settings->name;
    enum problem problem = forward_destination(&proxy->forward, request, &proxying->destination, &why);
    if (problem)
        return request_fail(request, problem, "for upstream %s: %s", request->upstream, why);
    if (forward_in_circle(request))
        return request_fail(request, PROBLEM_LOOP_DETECTED,
                            "Via names this gateway more than %lld times (forwarded.max_hops)",
                            (long long)request->worker->site->settings->forwarded.max_hops);
    if (request->grpc && request->grpc->deadline && request->grpc->deadline <= request->worker->loop.now_ms)
        return request_fail(request, PROBLEM_DEADLINE_EXCEEDED, "before upstream %s was asked",
                            request->upstream);
    request->content = &content_events;
    request->content_state = proxying;
    proxying->fallback = NULL;
    proxying->verdict = VERDICT_WAIT;
    proxying->begun = false;
    start(proxying, upstream, request->breaking);
    if (proxying->verdict != VERDICT_WAIT)
        request->content = NULL;
    proxying->begun = true;
    return proxying->verdict;
}

static bool on_tunnel(struct request *request, const void *compiled, const struct tunnel_parcel *parcel)
{
    struct proxying *proxying = arena_zalloc(request->arena, sizeof *proxying);
    (void)compiled;
    proxying->request = request;
    proxying->verdict = VERDICT_WAIT;
    proxying->begun = true;
    request->content = &content_events;
    request->content_state = proxying;
    return tunnel_adopt(&proxying->tunnel, &proxying->call, &call_events, proxying, request, parcel);
}

const struct policy policy_proxy = {
    .name = "proxy",
    .help = "send the request to an upstream",
    .stage = STAGE_CONTENT,
    .section = &section,
    .compile = compile,
    .on_content = on_content,
    .on_tunnel = on_tunnel,
};
