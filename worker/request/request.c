/* request: the events of a request's exchange, its waits, and what policies call. The states are in states.c. */
#include "worker/request/request.h"

#include <assert.h>
#include <stdio.h>

#include "shared/base/clock.h"
#include "worker/request/grpc.h"

/* --- for policies --- */

enum verdict request_fail(struct request *request, enum problem problem, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    request->problem = problem;
    request->detail = arena_vprintf(request->arena, format, arguments);
    va_end(arguments);
    return VERDICT_FAIL;
}

enum verdict request_answer(struct request *request, unsigned status, struct str type, struct str body)
{
    struct response_head *head = &request->response;
    head->status = status;
    head->body = BODY_LENGTH;
    head->length = body.length;
    request->response_body = body;
    request->streaming = false;
    if (type.length)
        fields_add_known(&head->fields, request->arena, FIELD_CONTENT_TYPE, STR("Content-Type"), type);
    return VERDICT_ANSWER;
}

void request_add_field(struct request *request, struct str name, struct str value)
{
    fields_add(&request->response.fields, request->arena, name, value);
}

uint64_t request_duration_ns(const struct request *request)
{
    uint64_t now = request->worker->loop.now;
    return now > request->started ? now - request->started : 0;
}

/* --- waiting --- */

static void end_wait(struct request *request)
{
    request->wait.reason = NULL;
    timer_clear(&request->worker->loop.timers, &request->wait_timer);
    loop_undefer(&request->wake);
}

static void wait_over(struct request *request, bool timed_out)
{
    void (*resume)(struct request *) = request->wait.resume;
    end_wait(request);
    request->wait.timed_out = timed_out;
    resume(request);
}

static void on_wake(struct deferred *deferred)
{
    wait_over(CONTAINER_OF(deferred, struct request, wake), false);
}

static void on_deadline(struct timer *timer)
{
    wait_over(CONTAINER_OF(timer, struct request, wait_timer), true);
}

void request_wait(struct request *request, const char *reason, uint64_t deadline_ms,
                  void (*resume)(struct request *request), void (*cancel)(struct request *request))
{
    assert(!request->wait.reason);
    request->wait = (struct request_wait){.reason = reason, .resume = resume, .cancel = cancel};
    struct loop *loop = &request->worker->loop;
    if (deadline_ms)
        timer_set(&loop->timers, &request->wait_timer, loop->now_ms + deadline_ms);
}

void request_wake(struct request *request)
{
    if (request->wait.reason)
        loop_defer(&request->worker->loop, &request->wake);
}

/* Lets go of whatever is under way for the request: it will not be answered by it. */
static void let_go(struct request *request)
{
    if (request->wait.reason) {
        void (*cancel)(struct request *) = request->wait.cancel;
        end_wait(request);
        if (cancel)
            cancel(request);
    }
    if (request->content) {
        const struct content_events *content = request->content;
        request->content = NULL;
        content->on_abort(request);
    }
}

/* --- for contents that stream --- */

void request_respond(struct request *request, bool last)
{
    if (last)
        request->content = NULL;
    request->streaming = !last;
    if (last)
        request->response_body = STR("");
    request->state = REQUEST_RESPONSE;
    request_run(request);
}

void request_write(struct request *request, const char *data, size_t length, bool last)
{
    if (last && !request->tunneling) /* the client may send on */
        request->content = NULL;
    if (request->filter)
        request->filter->write(request, data, length, last);
    else
        request->exchange->ops->write(request->exchange, data, length, last);
}

struct connection *request_plain(const struct request *request)
{
    const struct exchange *exchange = request->exchange;
    return request->filter || !exchange->ops->plain ? NULL : exchange->ops->plain(exchange);
}

void request_trailers(struct request *request, const struct fields *trailers)
{
    if (request->filter)
        request->filter->trailers(request, trailers);
    else
        request->exchange->ops->trailers(request->exchange, trailers);
}

/* The answer can't be completed. */
static void cut(struct request *request)
{
    struct exchange *exchange = request->exchange;
    request->aborted = true;
    request->state = REQUEST_LOG;
    request_run(request);
    exchange->ops->abort(exchange);
}

void request_content_failed(struct request *request)
{
    request->content = NULL;
    if (request->responded) {
        if (!grpc_end_answer(request))
            cut(request);
        return;
    }
    problem_render(request);
    request->state = REQUEST_RESPONSE;
    request_run(request);
}

void request_tunnel_over(struct request *request)
{
    struct exchange *exchange = request->exchange;
    request->content = NULL;
    exchange->orderly = true;
    request->state = REQUEST_LOG;
    request_run(request);
    exchange->ops->abort(exchange);
}

void request_read(struct request *request, bool on)
{
    request->exchange->ops->read(request->exchange, on);
}

/* --- for who listens in --- */

void request_tap(struct request *request, struct request_tap *tap)
{
    tap->next = request->taps;
    request->taps = tap;
}

void request_untap(struct request *request, struct request_tap *tap)
{
    for (struct request_tap **at = &request->taps; *at; at = &(*at)->next)
        if (*at == tap) {
            *at = tap->next;
            return;
        }
}

/* --- the exchange's events --- */

struct request *request_new(struct exchange *exchange)
{
    struct worker *worker = exchange->service->owner;
    struct request *request = arena_zalloc(exchange->arena, sizeof *request);
    exchange->owner = request;
    request->worker = worker;
    request->exchange = exchange;
    request->arena = exchange->arena;
    request->head = exchange->head;
    request->started = worker->loop.now;
    request->started_wall = worker->loop.wall_ns;
    timer_init(&request->wait_timer, on_deadline);
    list_init(&request->wake.link);
    request->wake.run = on_wake;
    worker->request_count++;
    request->state = REQUEST_HEAD;
    return request;
}

static void on_request(struct exchange *exchange)
{
    request_run(request_new(exchange));
}

void request_deliver(struct request *request, const char *data, size_t length, bool last)
{
    for (struct request_tap *tap = request->tunneling ? NULL : request->taps, *next; tap; tap = next) {
        next = tap->next;
        tap->on_body(tap, data, length, last);
    }
    if (request->content)
        request->content->on_body(request, data, length, last);
}

static void on_body(struct exchange *exchange, const char *data, size_t length, bool last)
{
    struct request *request = exchange->owner;
    if (request->filter)
        request->filter->on_body(request, data, length, last);
    else
        request_deliver(request, data, length, last);
}

void request_body_failed(struct request *request)
{
    let_go(request);
    request_content_failed(request);
}

static void on_body_error(struct exchange *exchange, unsigned status, const char *detail)
{
    struct request *request = exchange->owner;
    request_fail(request, problem_of_status(status), "%s", detail);
    request_body_failed(request);
}

static void on_blocked(struct exchange *exchange)
{
    struct request *request = exchange->owner;
    if (request->content)
        request->content->on_blocked(request);
}

static void on_drained(struct exchange *exchange)
{
    struct request *request = exchange->owner;
    if (request->content)
        request->content->on_drained(request);
}

static void on_sent(struct exchange *exchange)
{
    struct request *request = exchange->owner;
    let_go(request);
    request->state = REQUEST_LOG;
    request_run(request);
}

static void on_gone(struct exchange *exchange)
{
    struct request *request = exchange->owner;
    let_go(request);
    request->aborted = true;
    request->state = REQUEST_LOG;
    request_run(request);
}

const struct exchange_events request_exchange_events = {
    .on_request = on_request,
    .on_body = on_body,
    .on_body_error = on_body_error,
    .on_blocked = on_blocked,
    .on_drained = on_drained,
    .on_sent = on_sent,
    .on_gone = on_gone,
};
