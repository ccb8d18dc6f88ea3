/* proxy: the content that sends the request to an upstream and its answer back, streaming both ways. */
#include "worker/request/request.h"
#include "worker/upstream/call.h"
#include "worker/upstream/forward.h"
#include "worker/upstream/max_forwards.h"

struct proxy_settings {
    struct origin origin;
    const char *upstream;
    const char *path;
    const char *host;
    bool strip_prefix;
};

/* Compiled for a route. */
struct proxy {
    unsigned upstream;
    const struct expr *path; /* NULL: the request's own */
    const struct expr *host; /* NULL: the request's own */
    unsigned strip;          /* segments of the API's prefix to leave out */
};

/* One request's. */
struct proxying {
    struct request *request;
    struct call call;
    struct str target; /* path and query as they are sent */
    struct str host;
};

enum { TARGET_MAX = 16384, HOST_MAX = 1024 };

static const struct row rows[] = {
    ROW_(ROW_STRING, struct proxy_settings, upstream, .flags = ROW_REQUIRED, .help = "the upstream's name"),
    ROW_(ROW_STRING, struct proxy_settings, path,
         .help = "path and query to ask for, with {name} and ${…}; default: those of the request"),
    ROW_(ROW_STRING, struct proxy_settings, host,
         .help = "the Host to ask for, with ${…}; default: that of the request"),
    ROW_(ROW_FLAG, struct proxy_settings, strip_prefix, .fallback = "false",
         .help = "without `path`: leave out the API's prefix"),
    ROW_END,
};

static const struct section section = {
    .name = "proxy", .size = sizeof(struct proxy_settings), .rows = rows, .shorthand = "upstream"};

static const void *compile(struct compiler *compiler, const void *conf)
{
    const struct proxy_settings *settings = conf;
    struct proxy *proxy = arena_zalloc(compiler->arena, sizeof *proxy);
    int upstream = settings->upstream ? compile_upstream(compiler, "upstream", settings->upstream) : -1;
    proxy->upstream = upstream < 0 ? 0 : (unsigned)upstream;
    if (settings->path) {
        proxy->path = compile_expr(compiler, "path", settings->path, true);
        if (settings->path[0] != '/')
            compile_error(compiler, "path", "\"%s\" doesn't begin with /", settings->path);
        if (settings->strip_prefix)
            compile_error(compiler, "strip_prefix", "has no meaning beside path (leave one of them out)");
    }
    if (settings->path)
        compile_line(compiler, "path", settings->path, false);
    if (settings->host && compile_line(compiler, "host", settings->host, false))
        proxy->host = compile_expr(compiler, "host", settings->host, false);
    if (settings->strip_prefix && compiler->route)
        for (size_t i = 0; i < compiler->route->prefix.length; i++)
            proxy->strip += compiler->route->prefix.data[i] == '/';
    return proxy;
}

/* --- the request on its way up --- */

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

static bool set_target(struct request *request, const struct proxy *proxy, struct str *target)
{
    if (proxy->path)
        return request_eval_str(request, proxy->path, EXPR_TARGET, TARGET_MAX, target);
    struct str path = without_segments(request->path, proxy->strip), query = request->head->query;
    bool slash = path.length == 0 || (path.data[0] != '/' && path.data[0] != '*');
    if (!query.data && !slash) {
        *target = path;
        return true;
    }
    size_t size = path.length + query.length + 2;
    struct buf out = buf_on(arena_alloc(request->arena, size), size);
    if (slash)
        buf_char(&out, '/');
    buf_str_add(&out, path);
    if (query.data) {
        buf_char(&out, '?');
        buf_str_add(&out, query);
    }
    *target = buf_str(&out);
    return true;
}

/* For the log. */
static void tried(struct proxying *proxying, const struct endpoint *endpoint)
{
    if (endpoint)
        proxying->request->endpoint = endpoint->settings->text;
    proxying->request->tries = proxying->call.tries;
}

static bool takes_trailers(const struct request_head *head)
{
    return fields_get(&head->fields, FIELD_TE) &&
           str_list_has(fields_value(&head->fields, FIELD_TE), STR("trailers"));
}

static bool write_head(void *owner, const struct endpoint *endpoint, struct buf *head)
{
    struct proxying *proxying = owner;
    struct request *request = proxying->request;
    tried(proxying, endpoint);
    buf_str_add(head, request->head->method_text);
    buf_char(head, ' ');
    buf_str_add(head, proxying->target);
    BUF_LITERAL(head, " HTTP/1.1\r\nHost: ");
    buf_str_add(head, proxying->host);
    BUF_LITERAL(head, "\r\n");
    forward_fields(request, head);
    if (takes_trailers(request->head))
        BUF_LITERAL(head, "TE: trailers\r\nConnection: TE\r\n");
    if (request->head->body == BODY_LENGTH) {
        BUF_LITERAL(head, "Content-Length: ");
        buf_u64(head, request->head->length);
        BUF_LITERAL(head, "\r\n");
    } else if (request->head->body == BODY_STREAM) {
        BUF_LITERAL(head, "Transfer-Encoding: chunked\r\n");
    }
    BUF_LITERAL(head, "\r\n");
    return !head->overflow;
}

static void ends(void *owner, struct address *source, struct address *destination)
{
    const struct proxying *proxying = owner;
    const struct exchange *exchange = proxying->request->exchange;
    *source = *exchange->peer;
    exchange->ops->destination(exchange, destination);
}

static void on_ready(void *owner)
{
    struct proxying *proxying = owner;
    request_read(proxying->request, true);
}

static void on_request_body(struct request *request, const char *data, size_t length, bool last)
{
    struct proxying *proxying = request->content_state;
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

static void on_head(void *owner, struct response_head *head, bool last)
{
    struct proxying *proxying = owner;
    struct request *request = proxying->request;
    request->upstream_ns = request->worker->loop.now - proxying->call.began;
    request->response = *head;
    forward_answer(request);
    request_respond(request, last);
}

static void on_body(void *owner, const char *data, size_t length, bool last)
{
    struct proxying *proxying = owner;
    request_write(proxying->request, data, length, last);
}

/* Only a client that says so is known to understand them (RFC 9110, section 6.5.1). */
static void on_trailers(void *owner, const struct fields *trailers)
{
    struct proxying *proxying = owner;
    struct exchange *exchange = proxying->request->exchange;
    if (takes_trailers(proxying->request->head))
        exchange->ops->trailers(exchange, trailers);
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
}

static void on_abort(struct request *request)
{
    struct proxying *proxying = request->content_state;
    call_cancel(&proxying->call);
}

static enum verdict failed(struct proxying *proxying, enum call_failure failure, const char *detail)
{
    static const enum problem problems[] = {
        [CALL_BUSY] = PROBLEM_UPSTREAM_BUSY,
        [CALL_EXHAUSTED] = PROBLEM_OUT_OF_RESOURCES,
        [CALL_UNAVAILABLE] = PROBLEM_UPSTREAM_UNAVAILABLE,
        [CALL_UNREACHABLE] = PROBLEM_UPSTREAM_UNREACHABLE,
        [CALL_CLOSED] = PROBLEM_UPSTREAM_CLOSED,
        [CALL_MALFORMED] = PROBLEM_BAD_ANSWER,
        [CALL_TIMEOUT] = PROBLEM_UPSTREAM_TIMEOUT,
        [CALL_TOO_LARGE] = PROBLEM_FIELDS_TOO_LARGE,
    };
    tried(proxying, proxying->call.last);
    return request_fail(proxying->request, problems[failure], "upstream %s: %s", proxying->request->upstream,
                        detail);
}

static void on_failed(void *owner, enum call_failure failure, const char *detail)
{
    struct proxying *proxying = owner;
    struct request *request = proxying->request;
    failed(proxying, failure, detail);
    if (request->content_verdict == VERDICT_WAIT)
        request_content_failed(request);
    else
        request->content_verdict = VERDICT_FAIL; /* still inside on_content() */
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

static enum verdict on_content(struct request *request, const void *compiled)
{
    const struct proxy *proxy = compiled;
    struct cluster *cluster = &request->worker->clusters[proxy->upstream];
    enum verdict verdict = max_forwards(request);
    if (verdict != VERDICT_NEXT)
        return verdict;
    struct proxying *proxying = arena_alloc(request->arena, sizeof *proxying);
    proxying->request = request;
    proxying->host = request->head->authority;
    request->upstream = cluster->settings->name;
    if (!set_target(request, proxy, &proxying->target))
        return request_fail(request, PROBLEM_URI_TOO_LONG, "the path for upstream %s doesn't fit",
                            request->upstream);
    if (proxy->host && !request_eval_str(request, proxy->host, EXPR_HEADER, HOST_MAX, &proxying->host))
        return request_fail(request, PROBLEM_BAD_REQUEST, "the host for upstream %s is too long",
                            request->upstream);
    request->content = &content_events;
    request->content_state = proxying;
    request->content_verdict = VERDICT_NEXT;
    bool body = !request->exchange->body_done;
    if (!call_start(&proxying->call, cluster, &call_events, proxying, request->arena, request->head->method,
                    body, request->head->body == BODY_STREAM, cluster_key(cluster, request))) {
        request->content = NULL;
        return VERDICT_FAIL;
    }
    request->content_verdict = VERDICT_WAIT;
    return VERDICT_WAIT;
}

const struct policy policy_proxy = {
    .name = "proxy",
    .help = "send the request to an upstream",
    .stage = STAGE_CONTENT,
    .section = &section,
    .compile = compile,
    .on_content = on_content,
};
