/* tunnel_handoff: a tunnel moves to another process of this gateway. */
#include "worker/upstream/tunnel_handoff.h"

#include <assert.h>
#include <errno.h>
#include <unistd.h>

#include "worker/http/http1_client.h"
#include "worker/net/handoff.h"
#include "worker/request/site.h"
#include "worker/upstream/call_state.h"
#include "worker/upstream/pool.h"

/* --- giving --- */

bool tunnel_moves(const struct tunnel *tunnel)
{
    const struct client *client = tunnel->call->client;
    return !tunnel->stays && tunnel->request->match.route && client && http1_client_tunnel_moves(client) &&
           http1_tunnel_moves(tunnel->request->exchange);
}

bool tunnel_is_ready(const struct tunnel *tunnel, size_t most, unsigned successor)
{
    if (!tunnel_moves(tunnel) || tunnel->refused_by >> successor & 1)
        return false;
    size_t down = http1_tunnel_bytes(tunnel->request->exchange),
           up = http1_client_tunnel_bytes(tunnel->call->client);
    return down <= most && up <= most - down;
}

/* Both ends are of one version of the hand-off. */
struct positions {
    struct websocket_position down, up;
};
_Static_assert(sizeof(struct positions) <= HANDOFF_POSITION, "it has room in the message");

struct str tunnel_write_position(const struct tunnel_parcel *parcel, char *text)
{
    struct positions positions = {parcel->down, parcel->up};
    memcpy(text, &positions, sizeof positions);
    return (struct str){text, sizeof positions};
}

static struct websocket_position checked(struct websocket_position position)
{
    if (position.have >= WEBSOCKET_HEAD_MAX)
        position = (struct websocket_position){.lost = true};
    return position;
}

void tunnel_read_position(struct tunnel_parcel *parcel, struct str text)
{
    struct positions positions = {.down = {.lost = true}, .up = {.lost = true}};
    if (text.length == sizeof positions)
        memcpy(&positions, text.data, sizeof positions);
    parcel->down = checked(positions.down);
    parcel->up = checked(positions.up);
}

/* Where the connection goes: the place of a name may have another address by now. */
static void read_peer(int fd, struct address *peer)
{
    peer->length = sizeof peer->un;
    if (getpeername(fd, &peer->any, &peer->length) < 0)
        peer->length = 0; /* it is gone: nobody has such an endpoint, and it stays */
}

void tunnel_suspend(struct tunnel *tunnel, struct tunnel_parcel *parcel, char *room)
{
    const struct request *request = tunnel->request;
    const struct route *route = request->match.route;
    struct exchange *exchange = request->exchange;
    const struct call *call = tunnel->call;
    const struct loop *loop = &request->worker->loop;
    *parcel = (struct tunnel_parcel){
        .story = {.id = request->id,
                  .api = str_of(route->api->name),
                  .route = route->name,
                  .started = request->started,
                  .started_wall = request->started_wall,
                  .upstream_ns = request->upstream_ns,
                  .tries = request->tries},
        .cluster = str_of(call->cluster->settings->name),
        .bytes_in = exchange->bytes_in,
        .bytes_out = exchange->ops->sent(exchange),
        .silent_ms = loop->now_ms - tunnel->moved_ms,
        .down = tunnel->down,
        .up = tunnel->up,
    };
    timer_clear(&request->worker->loop.timers, &tunnel->idle);
    http1_tunnel_suspend(exchange, &parcel->connection, &parcel->client, &parcel->head, &room);
    http1_client_tunnel_suspend(call->client, &parcel->upstream, &room);
    read_peer(parcel->upstream.fd, &parcel->endpoint);
    list_remove(&tunnel->link);
}

void tunnel_go_on(struct tunnel *tunnel)
{
    struct worker *worker = tunnel->request->worker;
    list_push_back(&worker->tunnels, &tunnel->link);
    tunnel_watch(tunnel);
    http1_tunnel_resume(tunnel->request->exchange);
    http1_client_tunnel_resume(tunnel->call->client);
}

void tunnel_refused(struct tunnel *tunnel, unsigned successor)
{
    tunnel->refused_by |= (uint16_t)(1u << successor);
    tunnel_go_on(tunnel);
}

void tunnel_stay(struct tunnel *tunnel)
{
    tunnel->stays = true;
    stat_add(tunnel->request->worker->stats, STAT_TUNNELS_STAYED, 1);
}

bool tunnel_is_refused(const struct tunnel *tunnel, unsigned usable)
{
    return !(usable & ~(unsigned)tunnel->refused_by);
}

void tunnel_done(struct tunnel *tunnel)
{
    struct request *request = tunnel->request;
    struct exchange *exchange = request->exchange;
    tunnel_end(tunnel);
    http1_client_tunnel_done(call_dismiss(tunnel->call));
    request_dismiss(request);
    http1_tunnel_done(exchange);
}

void tunnels_offer(struct worker *worker)
{
    LIST_EACH(link, &worker->tunnels)
    {
        struct tunnel *tunnel = CONTAINER_OF(link, struct tunnel, link);
        tunnel->refused_by = 0;
        tunnel->stays = false;
    }
}

/* --- taking --- */

static struct endpoint *find_endpoint(struct worker *worker, const struct tunnel_parcel *parcel)
{
    const struct conf_list *upstreams = &worker->site->settings->upstreams;
    for (unsigned i = 0; i < upstreams->count; i++) {
        struct cluster *cluster = &worker->clusters[i];
        if (!str_eq(str_of(cluster->settings->name), parcel->cluster))
            continue;
        for (unsigned j = 0; j < cluster->count; j++) {
            const struct address *address = endpoint_address(&cluster->endpoints[j]);
            if (address && address_eq(address, &parcel->endpoint))
                return &cluster->endpoints[j];
        }
    }
    return NULL;
}

bool tunnel_adopt(struct tunnel *tunnel, struct call *call, const struct call_events *events, void *owner,
                  struct request *request, const struct tunnel_parcel *parcel)
{
    struct endpoint *endpoint = find_endpoint(request->worker, parcel);
    if (!endpoint) {
        close(parcel->upstream.fd);
        errno = 0;
        return false;
    }
    call_adopt(call, endpoint, events, owner, request->arena);
    call->got_last = parcel->upstream.ended;
    call->sent_last = parcel->upstream.shut;
    call->client = pool_adopt(endpoint, &parcel->upstream, call, &call_client_events);
    if (!call->client) {
        int saved = errno;
        call_dismiss(call);
        errno = saved;
        return false;
    }
    request->upstream = endpoint->cluster->settings->name;
    request->endpoint = endpoint_keep_text(endpoint, request->arena);
    tunnel_resume(tunnel, request, call, parcel->silent_ms);
    tunnel->down = parcel->down;
    tunnel->up = parcel->up;
    return true;
}

/* Whoever is blocked has the other side not read. */
static void begin_reading(struct tunnel *tunnel, const struct tunnel_parcel *parcel)
{
    if (!parcel->upstream.kept.length)
        request_read(tunnel->request, true);
    if (!parcel->client.kept.length)
        call_read(tunnel->call, true);
}

struct tunnel *tunnel_take(struct http_service *service, const struct tunnel_parcel *parcel,
                           const void *listener, const struct admission *admission)
{
    struct exchange *exchange = http1_tunnel_take(service, &parcel->connection, &parcel->client, parcel->head,
                                                  parcel->bytes_in, parcel->bytes_out, listener, admission);
    if (!exchange) {
        close(parcel->upstream.fd);
        return NULL;
    }
    struct request *request = request_adopt(exchange, &parcel->story);
    bool adopted = false;
    errno = 0;
    if (request) {
        const struct link *content = &request->chain->content;
        adopted = content->policy->on_tunnel(request, content->compiled, parcel);
        if (!adopted)
            request_dismiss(request);
    } else {
        close(parcel->upstream.fd);
    }
    if (!adopted) {
        int saved = errno;
        http1_tunnel_done(exchange);
        errno = saved;
        return NULL;
    }
    struct tunnel *tunnel = CONTAINER_OF(request->worker->tunnels.prev, struct tunnel, link);
    begin_reading(tunnel, parcel);
    return tunnel;
}
