/* fetch: called by the stapler and by jwks, on the keeper's loop. */
#include "worker/service/fetch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "worker/http/http1_client.h"
#include "worker/net/tls_client.h"
#include "worker/upstream/forward.h"
#include "worker/upstream/pool.h"

static const char *const method_names[] = {[METHOD_GET] = "GET", [METHOD_POST] = "POST"};

/* --- the end --- */

/* Lets go of the exchange; what it brought stays. */
static void let_go(struct fetch *fetch)
{
    struct client *client = fetch->client;
    fetch->client = NULL;
    if (client)
        client_abandon(client);
    timer_clear(&fetch->worker->loop.timers, &fetch->timer);
    list_remove(&fetch->background.link);
    list_init(&fetch->background.link);
}

void fetch_put_down(struct fetch *fetch)
{
    if (!fetch->arena)
        return;
    let_go(fetch);
    service_arena_give(&fetch->worker->service, &fetch->arena);
}

static void end(struct fetch *fetch, enum fetch_end how)
{
    let_go(fetch);
    fetch->done(fetch, how);
}

static void cut(struct background *background)
{
    end(CONTAINER_OF(background, struct fetch, background), FETCH_CUT);
}

__attribute__((format(printf, 2, 3))) static void say_why(struct fetch *fetch, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(fetch->why, sizeof fetch->why, format, arguments);
    va_end(arguments);
}

/* --- the exchange --- */

static void open_next(struct fetch *fetch);

static void on_connected(void *owner)
{
    struct fetch *fetch = owner;
    const struct fetch_order *order = fetch->order;
    struct buf head = client_reserve(fetch->client);
    struct client_order what = {.method = order->method, .body = order->body.data};
    forward_line(&head, str_of(method_names[order->method]), order->url->target, order->url->authority);
    BUF_LITERAL(&head, "User-Agent: gatehouse\r\nConnection: close\r\n");
    buf_str_add(&head, order->fields);
    if (order->body.data) {
        BUF_LITERAL(&head, "Content-Length: ");
        buf_u64(&head, order->body.length);
        BUF_LITERAL(&head, "\r\n");
    }
    BUF_LITERAL(&head, "\r\n");
    if (head.overflow) {
        say_why(fetch, "its URL is too long");
        end(fetch, FETCH_FAILED);
        return;
    }
    client_send(fetch->client, &head, &what, fetch->arena);
    if (order->body.data)
        client_send_body(fetch->client, order->body.data, order->body.length, true);
}

static void on_head(void *owner, struct response_head *head, bool last)
{
    struct fetch *fetch = owner;
    fetch->head = head;
    if (!last)
        return;
    fetch->client = NULL;
    end(fetch, FETCH_ANSWERED);
}

static void on_body(void *owner, const char *data, size_t length, bool last)
{
    struct fetch *fetch = owner;
    if (last)
        fetch->client = NULL;
    buf_add(&fetch->body, data, length);
    if (fetch->body.overflow)
        say_why(fetch, "its answer is longer than %zu bytes", fetch->order->most);
    if (fetch->body.overflow || last)
        end(fetch, fetch->body.overflow ? FETCH_FAILED : FETCH_ANSWERED);
}

static void on_failed(void *owner, enum client_failure failure, const char *detail)
{
    struct fetch *fetch = owner;
    bool connecting = failure == CLIENT_CONNECT || failure == CLIENT_CONNECT_TIMEOUT;
    fetch->client = NULL;
    say_why(fetch, "%s%s", connecting ? "can't connect: " : "", detail);
    if (connecting)
        open_next(fetch);
    else
        end(fetch, FETCH_FAILED);
}

static void on_interim(void *owner, const struct response_head *head)
{
    (void)owner, (void)head;
}

static void on_trailers(void *owner, const struct fields *trailers)
{
    (void)owner, (void)trailers;
}

static void on_unblocked(void *owner)
{
    (void)owner;
}

static const struct client_events client_events = {
    .on_connected = on_connected,
    .on_interim = on_interim,
    .on_head = on_head,
    .on_body = on_body,
    .on_trailers = on_trailers,
    .on_blocked = on_unblocked,
    .on_drained = on_unblocked,
    .on_failed = on_failed,
};

/* False: it can't be, and `why` says it. */
static bool open_connection(struct fetch *fetch)
{
    uint64_t most = fetch->order->timeout;
    struct client_timeouts timeouts = {most, most, most};
    struct tls_target tls = {.client = fetch->order->tls, .name = fetch->order->url->name.data};
    struct client_target to = {.net = &fetch->worker->net,
                               .address = &fetch->address,
                               .tls = fetch->order->url->tls ? &tls : NULL,
                               .pool = fetch,
                               .pool_events = &pool_keeps_none};
    fetch->client = http1_client_open(&to, fetch, &client_events, &timeouts);
    if (!fetch->client)
        say_why(fetch, "can't connect: %s", strerror(errno));
    return fetch->client;
}

/* --- where it is --- */

static void ask_address(struct fetch *fetch, enum name_family family);

static void open_next(struct fetch *fetch)
{
    while (fetch->next < fetch->found_count)
        if (name_address_socket(&fetch->found[fetch->next++], &fetch->address) && open_connection(fetch))
            return;
    if (fetch->family == NAME_IPV4)
        ask_address(fetch, NAME_IPV6);
    else
        end(fetch, FETCH_FAILED);
}

static void on_addresses(void *context, const struct dns_addresses *addresses)
{
    struct fetch *fetch = context;
    fetch->asking = false;
    if (addresses->over || !fetch->arena)
        return;
    fetch->next = fetch->found_count = 0;
    for (unsigned i = 0; i < addresses->count && i < FETCH_ADDRESSES; i++) {
        fetch->found[i] = addresses->items[i];
        fetch->found[i].port = fetch->order->url->port;
        fetch->found_count++;
    }
    if (addresses->count == 0 && !*fetch->why)
        say_why(fetch, "its name %s", name_failure_text(addresses->failure));
    open_next(fetch);
}

static void ask_address(struct fetch *fetch, enum name_family family)
{
    fetch->family = family;
    fetch->asking = true;
    dns_ask_addresses(fetch->dns, fetch->order->url->name.data, family, on_addresses, fetch);
}

static bool is_address(struct fetch *fetch)
{
    const struct url *url = fetch->order->url;
    if (address_parse_ip(url->name, AF_INET, &fetch->address))
        fetch->address.in.sin_port = htons(url->port);
    else if (address_parse_ip(url->name, AF_INET6, &fetch->address))
        fetch->address.in6.sin6_port = htons(url->port);
    else
        return false;
    return true;
}

/* The time is over; or, as the first thing, it is the loop's turn to begin. */
static void on_timer(struct timer *timer)
{
    struct fetch *fetch = CONTAINER_OF(timer, struct fetch, timer);
    if (fetch->family != NAME_VACANT) {
        say_why(fetch, fetch->client ? "it took too long" : "its name can't be looked up in time");
        end(fetch, FETCH_FAILED);
        return;
    }
    timer_set(&fetch->worker->loop.timers, timer, fetch->worker->loop.now_ms + fetch->order->timeout);
    if (!is_address(fetch)) {
        ask_address(fetch, NAME_IPV4);
        return;
    }
    fetch->family = NAME_IPV6; /* there is nothing more to look up */
    if (!open_connection(fetch))
        end(fetch, FETCH_FAILED);
}

/* --- the beginning --- */

void fetch_init(struct fetch *fetch, struct worker *worker, struct dns *dns,
                void (*done)(struct fetch *fetch, enum fetch_end end))
{
    *fetch = (struct fetch){.worker = worker, .dns = dns, .done = done, .background.cut = cut};
    list_init(&fetch->background.link);
    timer_init(&fetch->timer, on_timer);
}

bool fetch_is_free(const struct fetch *fetch)
{
    return !fetch->arena && !fetch->asking;
}

struct arena *fetch_begin(struct fetch *fetch)
{
    fetch->arena = service_arena_take(&fetch->worker->service);
    return fetch->arena;
}

void fetch_start(struct fetch *fetch, const struct fetch_order *order)
{
    struct loop *loop = &fetch->worker->loop;
    fetch->order = order;
    fetch->head = NULL;
    fetch->why[0] = '\0';
    fetch->family = NAME_VACANT;
    fetch->found_count = fetch->next = 0;
    fetch->body = buf_on(arena_alloc(fetch->arena, order->most), order->most);
    list_push_back(&fetch->worker->background, &fetch->background.link);
    timer_set(&loop->timers, &fetch->timer, loop->now_ms);
}
