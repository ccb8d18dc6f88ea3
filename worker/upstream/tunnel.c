/* tunnel: a request whose upstream answered 101. */
#include "worker/upstream/tunnel.h"

static struct loop *loop_of(const struct tunnel *tunnel)
{
    return &tunnel->request->worker->loop;
}

/* Whether the client took something since it was last asked: it may be slow, and all that is kept for it old. */
static bool client_took(struct tunnel *tunnel)
{
    const struct exchange *exchange = tunnel->request->exchange;
    uint64_t sent = exchange->ops->sent(exchange);
    bool took = sent != tunnel->sent_seen;
    tunnel->sent_seen = sent;
    return took;
}

static void on_idle(struct timer *timer)
{
    struct tunnel *tunnel = CONTAINER_OF(timer, struct tunnel, idle);
    struct loop *loop = loop_of(tunnel);
    uint64_t most = tunnel->request->tunnel->idle_timeout;
    if (client_took(tunnel) && tunnel->moved_ms + most <= loop->now_ms)
        tunnel->moved_ms = loop->now_ms;
    if (tunnel->moved_ms + most > loop->now_ms) {
        timer_set(&loop->timers, timer, tunnel->moved_ms + most);
        return;
    }
    stat_add(tunnel->request->worker->stats, STAT_TUNNELS_IDLE, 1);
    tunnel_close(tunnel, WEBSOCKET_GOING_AWAY, "idle_timeout");
}

/* It may be given to another process, where that is done. */
static void offer(struct tunnel *tunnel)
{
    struct http_service *service = &tunnel->request->worker->service;
    if (service->leave)
        loop_defer(service->net->loop, service->leave);
}

void tunnel_watch(struct tunnel *tunnel)
{
    struct loop *loop = loop_of(tunnel);
    uint64_t most = tunnel->request->tunnel->idle_timeout, end = tunnel->moved_ms + most;
    if (most)
        timer_set(&loop->timers, &tunnel->idle, end > loop->now_ms ? end : loop->now_ms + 1);
}

void tunnel_resume(struct tunnel *tunnel, struct request *request, struct call *call, uint64_t silent_ms)
{
    struct worker *worker = request->worker;
    *tunnel = (struct tunnel){
        .request = request,
        .call = call,
        .moved_ms = worker->loop.now_ms - silent_ms,
        .websocket = str_case_eq(request->head->upgrade, STR("websocket")),
    };
    list_init(&tunnel->link);
    list_push_back(&worker->tunnels, &tunnel->link);
    worker->tunnel_count++;
    timer_init(&tunnel->idle, on_idle);
    tunnel_watch(tunnel);
}

void tunnel_begin(struct tunnel *tunnel, struct request *request, struct call *call)
{
    tunnel_resume(tunnel, request, call, 0);
    request_read(request, true);
    offer(tunnel);
}

void tunnel_drained(struct tunnel *tunnel)
{
    offer(tunnel);
}

void tunnel_up(struct tunnel *tunnel, const char *data, size_t length, bool last)
{
    tunnel->moved_ms = loop_of(tunnel)->now_ms;
    if (tunnel->websocket)
        websocket_follow(&tunnel->up, data, length);
    call_send(tunnel->call, data, length, last);
}

/* Both have sent a close frame, and the upstream has closed the connection: so does the gateway, as a server does (RFC 6455, section
 * 7.1.1), whether the client is going to or not. */
static void close_after_handshake(struct tunnel *tunnel)
{
    struct request *request = tunnel->request;
    tunnel_end(tunnel);
    if (!tunnel->call->sent_last)
        call_send(tunnel->call, NULL, 0, true);
    call_cancel(tunnel->call);
    request_tunnel_over(request);
}

void tunnel_down(struct tunnel *tunnel, const char *data, size_t length, bool last)
{
    tunnel->moved_ms = loop_of(tunnel)->now_ms;
    if (tunnel->websocket)
        websocket_follow(&tunnel->down, data, length);
    if (last && tunnel->down.closed && tunnel->up.closed) {
        close_after_handshake(tunnel);
        return;
    }
    request_write(tunnel->request, data, length, last);
}

void tunnel_close(struct tunnel *tunnel, unsigned code, const char *why)
{
    struct request *request = tunnel->request;
    char frame[WEBSOCKET_CLOSE_MAX];
    if (tunnel->websocket && !tunnel->call->got_last && websocket_between(&tunnel->down))
        request_write(request, frame, websocket_close(code, false, frame), false);
    if (!tunnel->call->sent_last) {
        bool fits = tunnel->websocket && websocket_between(&tunnel->up);
        call_send(tunnel->call, frame, fits ? websocket_close(code, true, frame) : 0, true);
    }
    request->exchange->gone = why;
    request->exchange->orderly = true;
    tunnel_end(tunnel);
    call_cancel(tunnel->call);
    request_content_failed(request);
}

unsigned tunnels_close(struct worker *worker, unsigned code, const char *why)
{
    unsigned count = 0;
    for (; !list_empty(&worker->tunnels); count++)
        tunnel_close(CONTAINER_OF(worker->tunnels.next, struct tunnel, link), code, why);
    return count;
}

void tunnel_end(struct tunnel *tunnel)
{
    timer_clear(&loop_of(tunnel)->timers, &tunnel->idle);
    list_remove(&tunnel->link);
    tunnel->request->worker->tunnel_count--;
}
