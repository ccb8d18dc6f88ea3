/* mirror: sends a copy of the request to another upstream, reads the answer and drops it.
 *
 * A copy has memory, a call and a time-out of its own: it begins when the original is on its way, and whatever becomes of
 * it the client's request doesn't know. It lives in an arena of its worker, is on the worker's list of what goes on in the
 * background, and while it gathers the request's body listens in on that request.
 */
#include "worker/request/request.h"
#include "worker/upstream/call.h"
#include "worker/upstream/forward.h"

struct mirror_settings {
    struct origin origin;
    const char *upstream;
    double percent;
    int64_t max_body;
    int64_t in_flight;
    int64_t timeout;
    const char *path;
    const char *host;
    bool strip_prefix;
};

/* Compiled for a route. */
struct mirror {
    unsigned upstream;
    uint64_t share; /* of 2^64; UINT64_MAX: all */
    size_t max_body;
    unsigned in_flight;
    uint64_t timeout; /* ms */
    struct forward forward;
};

/* One copy. */
struct copy {
    struct background background;
    struct deferred start;
    struct timer deadline;
    struct request_tap tap;
    struct request *request; /* while it is listened in on, else NULL */
    struct worker *worker;
    struct arena *arena;
    const struct mirror *mirror;
    struct call call;
    uint64_t key;           /* for the balancer */
    struct call_ends *ends; /* NULL: the upstream isn't told */
    enum method method;
    struct str method_text;
    struct destination destination;
    struct str fields;
    bool body; /* the request has one, an empty one perhaps */
    struct buf data;
};

enum { FIRST_PIECE = 4096 };

/* Tells a copy from an original. One that has it is not copied again: gateways in a row don't multiply requests. */
#define MARK "X-Mirrored"

#define M(kind_, member, ...) ROW_(kind_, struct mirror_settings, member, __VA_ARGS__)

static const struct row rows[] = {
    M(ROW_STRING, upstream, .flags = ROW_REQUIRED, .help = "the upstream that gets the copies"),
    M(ROW_REAL, percent, .fallback = "100", .min = 0, .max = 100,
      .help = "how many of the requests are copied"),
    M(ROW_SIZE, max_body, .fallback = "64K", .min = 0, .max = 16 << 20,
      .help = "the largest body that is copied; requests with a larger one are not"),
    M(ROW_NUMBER, in_flight, .fallback = "100", .min = 1, .max = 100000,
      .help = "copies that a worker has in flight to that upstream; beyond it none is made"),
    M(ROW_DURATION, timeout, .fallback = "30s", .min = 1, .max = 3600000,
      .help = "how long one may take in all; then it is cut"),
    M(ROW_STRING, path,
      .help = "path and query to ask for, with {name} and ${…}; default: those of the request"),
    M(ROW_STRING, host, .fallback = "client", .help = "the Host to ask for, as of proxy"),
    M(ROW_FLAG, strip_prefix, .fallback = "false", .help = "without `path`: leave out the API's prefix"),
    ROW_END,
};

static const struct section section = {
    .name = "mirror", .size = sizeof(struct mirror_settings), .rows = rows, .shorthand = "upstream"};

static const void *compile(struct compiler *compiler, const void *conf)
{
    const struct mirror_settings *settings = conf;
    struct mirror *mirror = arena_zalloc(compiler->arena, sizeof *mirror);
    int upstream = settings->upstream ? compile_upstream(compiler, "upstream", settings->upstream) : -1;
    mirror->upstream = upstream < 0 ? 0 : (unsigned)upstream;
    mirror->share = settings->percent >= 100 ? UINT64_MAX : (uint64_t)(settings->percent / 100 * 0x1p64);
    mirror->max_body = (size_t)settings->max_body;
    mirror->in_flight = (unsigned)settings->in_flight;
    mirror->timeout = (uint64_t)settings->timeout;
    mirror->forward = forward_compile(compiler, settings->path, settings->host, settings->strip_prefix);
    return mirror;
}

/* --- the life of a copy --- */

static struct cluster *cluster_of(struct worker *worker, const struct mirror *mirror)
{
    return &worker->clusters[mirror->upstream];
}

static void end(struct copy *copy, enum stat_id why)
{
    struct worker *worker = copy->worker;
    struct arena *arena = copy->arena;
    if (copy->request)
        request_untap(copy->request, &copy->tap);
    call_cancel(&copy->call);
    timer_clear(&worker->loop.timers, &copy->deadline);
    loop_undefer(&copy->start);
    list_remove(&copy->background.link);
    cluster_of(worker, copy->mirror)->copies--;
    stat_add(worker->stats, why, 1);
    service_arena_give(&worker->service, &arena);
}

static void cut(struct background *background)
{
    end(CONTAINER_OF(background, struct copy, background), STAT_MIRRORS_FAILED);
}

static void on_deadline(struct timer *timer)
{
    end(CONTAINER_OF(timer, struct copy, deadline), STAT_MIRRORS_FAILED);
}

static bool write_head(void *owner, const struct endpoint *endpoint, struct buf *head)
{
    struct copy *copy = owner;
    struct str host = copy->destination.host;
    forward_line(head, copy->method_text, copy->destination.target,
                 host.data ? host : forward_endpoint_host(endpoint));
    buf_str_add(head, copy->fields);
    BUF_LITERAL(head, MARK ": 1\r\n");
    if (copy->body) {
        BUF_LITERAL(head, "Content-Length: ");
        buf_u64(head, copy->data.length);
        BUF_LITERAL(head, "\r\n");
    }
    BUF_LITERAL(head, "\r\n");
    return !head->overflow;
}

static void ends(void *owner, struct call_ends *ends)
{
    const struct copy *copy = owner;
    *ends = *copy->ends;
}

static void on_ready(void *owner)
{
    struct copy *copy = owner;
    call_send(&copy->call, copy->data.data, copy->data.length, true);
}

static void on_interim(void *owner, const struct response_head *head)
{
    (void)owner;
    (void)head;
}

static void on_head(void *owner, struct response_head *head, bool last)
{
    (void)head;
    if (last)
        end(owner, STAT_MIRRORS);
}

static void on_body(void *owner, const char *data, size_t length, bool last)
{
    (void)data;
    (void)length;
    if (last)
        end(owner, STAT_MIRRORS);
}

static void on_trailers(void *owner, const struct fields *trailers)
{
    (void)owner;
    (void)trailers;
}

/* The body was handed over whole: there is nothing to hold back. */
static void on_flow(void *owner)
{
    (void)owner;
}

static void on_failed(void *owner, enum call_failure failure, const char *detail)
{
    (void)failure;
    (void)detail;
    end(owner, STAT_MIRRORS_FAILED);
}

static const struct call_events call_events = {
    .background = true,
    .write_head = write_head,
    .ends = ends,
    .on_ready = on_ready,
    .on_interim = on_interim,
    .on_head = on_head,
    .on_body = on_body,
    .on_trailers = on_trailers,
    .on_blocked = on_flow,
    .on_drained = on_flow,
    .on_failed = on_failed,
};

/* At the end of the turn: the original has left by then. */
static void on_start(struct deferred *deferred)
{
    struct copy *copy = CONTAINER_OF(deferred, struct copy, start);
    struct call_order order = {.method = copy->method, .body = copy->data.length > 0, .key = copy->key};
    (void)call_start(&copy->call, cluster_of(copy->worker, copy->mirror), &call_events, copy, copy->arena,
                     &order); /* when it failed at once, the copy is gone */
}

static void start(struct copy *copy)
{
    struct loop *loop = &copy->worker->loop;
    timer_set(&loop->timers, &copy->deadline, loop->now_ms + copy->mirror->timeout);
    loop_defer(loop, &copy->start);
}

/* --- the body --- */

/* More room, in steps that double, up to the limit. */
static void make_room(struct copy *copy, size_t length)
{
    struct buf *data = &copy->data;
    size_t size = data->size ? data->size : FIRST_PIECE;
    if (length <= data->size - data->length)
        return;
    while (size < data->length + length)
        size *= 2;
    if (size > copy->mirror->max_body)
        size = copy->mirror->max_body;
    struct buf larger = buf_on(arena_alloc(copy->arena, size), size);
    buf_add(&larger, data->data, data->length);
    *data = larger;
}

static void on_request_body(struct request_tap *tap, const char *data, size_t length, bool last)
{
    struct copy *copy = CONTAINER_OF(tap, struct copy, tap);
    if (length > copy->mirror->max_body - copy->data.length) {
        end(copy, STAT_MIRRORS_DROPPED);
        return;
    }
    make_room(copy, length);
    buf_add(&copy->data, data, length);
    if (!last)
        return;
    request_untap(copy->request, tap);
    copy->request = NULL;
    start(copy);
}

/* The client left, or nobody wanted the body. */
static void on_request_end(struct request_tap *tap)
{
    struct copy *copy = CONTAINER_OF(tap, struct copy, tap);
    copy->request = NULL;
    end(copy, STAT_MIRRORS_DROPPED);
}

/* --- a request --- */

static bool is_chosen(struct request *request, const struct mirror *mirror)
{
    const struct fields *fields = &request->head->fields;
    /* What asks about the way itself (TRACE, Max-Forwards) has one way only, and so has what becomes a tunnel. */
    if (request->problem || request->tunnel || request->head->method == METHOD_TRACE ||
        fields_find(fields, STR("Max-Forwards")) || fields_find(fields, STR(MARK)) ||
        forward_in_circle(request))
        return false;
    return mirror->share == UINT64_MAX || random_next(&request->worker->random) < mirror->share;
}

/* Everything that is needed when the request is gone. */
static struct copy *make_copy(struct request *request, const struct mirror *mirror,
                              const struct destination *destination)
{
    struct worker *worker = request->worker;
    struct arena *arena = service_arena_take(&worker->service);
    struct copy *copy = arena_zalloc(arena, sizeof *copy);
    struct cluster *cluster = cluster_of(worker, mirror);
    size_t size = forward_fields_size(request);
    struct buf fields = buf_on(arena_alloc(arena, size), size);
    forward_fields(request, &fields);
    copy->arena = arena;
    copy->worker = worker;
    copy->mirror = mirror;
    copy->key = cluster_key(cluster, request);
    if (cluster->settings->proxy_protocol) {
        copy->ends = arena_alloc(arena, sizeof *copy->ends);
        forward_ends(request, copy->ends);
    }
    copy->method = request->head->method;
    copy->method_text = arena_str(arena, request->head->method_text);
    copy->destination.target = arena_str(arena, destination->target);
    if (destination->host.data)
        copy->destination.host = arena_str(arena, destination->host);
    copy->fields = buf_str(&fields);
    copy->body = request->head->body != BODY_NONE;
    copy->background.cut = cut;
    copy->start.run = on_start;
    copy->tap = (struct request_tap){.on_body = on_request_body, .on_end = on_request_end};
    list_init(&copy->start.link);
    timer_init(&copy->deadline, on_deadline);
    list_push_back(&worker->background, &copy->background.link);
    cluster->copies++;
    return copy;
}

static enum verdict on_request(struct request *request, const void *compiled)
{
    const struct mirror *mirror = compiled;
    struct worker *worker = request->worker;
    struct destination destination;
    const char *why;
    if (!is_chosen(request, mirror))
        return VERDICT_NEXT;
    if (cluster_of(worker, mirror)->copies >= mirror->in_flight || request->head->length > mirror->max_body ||
        forward_destination(&mirror->forward, request, &destination, &why)) {
        stat_add(worker->stats, STAT_MIRRORS_DROPPED, 1);
        return VERDICT_NEXT;
    }
    struct copy *copy = make_copy(request, mirror, &destination);
    if (request->exchange->body_done) {
        start(copy);
        return VERDICT_NEXT;
    }
    copy->request = request;
    request_tap(request, &copy->tap);
    return VERDICT_NEXT;
}

const struct policy policy_mirror = {
    .name = "mirror",
    .help = "send a copy of the request to another upstream, whose answer is dropped",
    .stage = STAGE_SHAPE,
    .section = &section,
    .list = true,
    .compile = compile,
    .on_request = on_request,
};
