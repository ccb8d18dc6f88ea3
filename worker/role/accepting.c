/* accepting: the client connections of a process. */
#include "worker/role/accepting.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/base/clock.h"
#include "worker/http/http1_handoff.h"
#include "worker/http/http1_server.h"
#include "worker/http/http2_server.h"
#include "worker/net/tls_server.h"
#include "worker/request/site.h"
#include "worker/upstream/cluster.h"
#include "worker/upstream/tunnel_handoff.h"

#define STALLED_NS (3 * NS_PER_SECOND)
enum { SHARE_MS = 100, SHARE_LEAST = 64 };
enum { REFUSED_MAX = 64 }; /* that are told so at a time; beyond it they are only closed */

static const struct refusal too_many = {429, "this address has as many connections as it may have at a time"};
static const struct refusal without_tls = {
    400, "this port speaks TLS, and the request came without (write https:// for http://)"};

static struct gate *gate_of(struct acceptor *acceptor)
{
    return CONTAINER_OF(acceptor, struct gate, acceptor);
}

static const char *gate_name(const struct gate *gate)
{
    return gate->settings ? gate->settings->name : "admin";
}

static const struct settings *settings_of(const struct accepting *accepting)
{
    return accepting->worker->site->settings;
}

static struct stats_row *stats_of(const struct accepting *accepting)
{
    return accepting->worker->stats;
}

unsigned accepting_count(const struct accepting *accepting)
{
    return accepting->worker->service.connection_count + accepting->greeter.count + accepting->tls.count;
}

/* --- room --- */

/* What a worker may hold beyond the others' average: an eighth, or SHARE_LEAST while all have few. */
static uint32_t fair_share(const struct worker *worker)
{
    const struct slots *slots = worker->shared->slots;
    uint64_t total = 0, workers = 0;
    for (unsigned i = 0; i < slots->count; i++) {
        const struct slot *slot = &slots->slot[i];
        if (atomic_load_explicit(&slot->state, memory_order_relaxed) != SLOT_SERVING ||
            atomic_load_explicit(&slot->role, memory_order_relaxed) != ROLE_WORKER)
            continue;
        uint64_t beat = atomic_load_explicit(&slot->heartbeat, memory_order_relaxed);
        if (beat + STALLED_NS < worker->loop.now)
            continue; /* it takes nothing: waiting for it would stop everybody */
        total += atomic_load_explicit(&slot->connections, memory_order_relaxed);
        workers++;
    }
    if (workers < 2)
        return UINT32_MAX;
    uint64_t average = total / workers;
    return (uint32_t)(average + average / 8 + SHARE_LEAST);
}

static bool worker_is_full(const struct accepting *accepting)
{
    return accepting_count(accepting) >= (unsigned)settings_of(accepting)->max_connections;
}

static bool gate_is_full(const struct gate *gate)
{
    int64_t most = gate->settings ? gate->settings->max_connections : 0;
    return most && gate->connections >= (unsigned)most;
}

static enum room find_room(struct gate *gate)
{
    struct accepting *accepting = gate->accepting;
    uint64_t now = accepting->worker->loop.now_ms;
    if (worker_is_full(accepting) || gate_is_full(gate))
        return ROOM_FULL;
    if (now - accepting->share_checked >= SHARE_MS) {
        accepting->share_checked = now;
        accepting->share = fair_share(accepting->worker);
    }
    return accepting_count(accepting) < accepting->share ? ROOM : ROOM_LATER;
}

static enum room on_room(struct acceptor *acceptor)
{
    struct gate *gate = gate_of(acceptor);
    struct accepting *accepting = gate->accepting;
    uint64_t now = accepting->worker->loop.now_ms;
    enum room room = find_room(gate);
    if (room != ROOM_FULL)
        return room;
    if (worker_is_full(accepting)) {
        stat_add(stats_of(accepting), STAT_WORKER_FULL, 1);
        if (log_seldom(&accepting->full_said, now))
            log_warning("max_connections (%u) is reached: more wait to be accepted",
                        (unsigned)settings_of(accepting)->max_connections);
    } else {
        stat_add(stats_of(accepting), STAT_LISTENER_FULL, 1);
        if (log_seldom(&gate->full_said, now))
            log_warning("listener %s: its max_connections (%u) is reached: more wait to be accepted",
                        gate_name(gate), (unsigned)gate->settings->max_connections);
    }
    return room;
}

/* A connection that can't be had; `what` and `error` say why, `then` what becomes of it. */
static void say_failed(struct gate *gate, const char *what, int error, const char *then)
{
    struct accepting *accepting = gate->accepting;
    stat_add(stats_of(accepting), STAT_ACCEPT_FAILED, 1);
    if (log_seldom(&accepting->exhausted_said, accepting->worker->loop.now_ms))
        log_warning("can't %s listener %s: %s; %s", what, gate_name(gate), strerror(error), then);
}

/* A client goes before a connection that is kept for later. */
static bool on_exhausted(struct acceptor *acceptor, int error)
{
    struct accepting *accepting = gate_of(acceptor)->accepting;
    if ((error == EMFILE || error == ENFILE) && clusters_make_room(accepting->worker))
        return true;
    say_failed(gate_of(acceptor), "accept on", error, "waiting for a connection to close");
    return false;
}

/* A connection, or one that hadn't become one, is gone. */
static void look_again(struct accepting *accepting)
{
    for (unsigned i = 0; i < accepting->gate_count; i++) {
        struct gate *gate = &accepting->gates[i];
        if (!gate->acceptor.in_loop && !gate->acceptor.closed && find_room(gate) == ROOM)
            acceptor_resume(&gate->acceptor);
    }
    if (accepting_count(accepting) == 0)
        accepting->on_empty(accepting->owner);
}

/* --- letting in --- */

void accepting_left(struct accepting *accepting, const struct admission *admission)
{
    struct gate *gate = admission->gate;
    gate->connections--;
    accepting->refused -= admission->refusal == &too_many;
    if (accepting->addresses)
        addresses_leave(accepting->addresses, admission->cell);
    free(admission->destination);
    look_again(accepting);
}

/* It was accepted, and couldn't be served: it is closed. */
static void failed(struct gate *gate, const struct admission *admission)
{
    say_failed(gate, "serve a connection of", errno, "it was closed");
    accepting_left(gate->accepting, admission);
}

/* A gateway before us carries many clients: its connections aren't one client's. */
static bool address_has_room(struct accepting *accepting, const struct address *peer, uint32_t *cell)
{
    return !accepting->addresses || site_trusts(accepting->worker->site, peer) ||
           addresses_enter(accepting->addresses, peer,
                           (unsigned)settings_of(accepting)->client.max_per_address, cell);
}

/* There are too many of its address; whether it is told so, as some are at a time: who floods costs no more than that. */
static bool may_be_told(struct gate *gate, const struct address *peer, struct admission *admission)
{
    struct accepting *accepting = gate->accepting;
    stat_add(stats_of(accepting), STAT_ADDRESS_REFUSED, 1);
    if (log_seldom(&accepting->address_said, accepting->worker->loop.now_ms)) {
        char text[ADDRESS_TEXT_SIZE];
        address_format_host(peer, text);
        log_warning("%s has client.max_per_address (%u) connections: one more was refused (and %u before "
                    "that were not logged)",
                    text, (unsigned)settings_of(accepting)->client.max_per_address,
                    accepting->address_said.left_out);
    }
    if (accepting->refused == REFUSED_MAX)
        return false;
    admission->refusal = &too_many;
    accepting->refused++;
    return true;
}

/* It speaks HTTP now; `tls`: NULL, or the session on it. */
static void serve(const struct arrival *arrival, struct tls *tls)
{
    struct gate *gate = arrival->admission.gate;
    struct http_service *service = &gate->accepting->worker->service;
    bool http2 = tls && tls->peer.protocol == TLS_PROTOCOL_HTTP2;
    if (!(http2 ? http2_server_open : http1_server_open)(service, arrival->fd, tls, &arrival->peer,
                                                         gate->router, &arrival->admission))
        failed(gate, &arrival->admission);
}

static void begin_handshake(struct gate *gate, const struct arrival *arrival)
{
    SSL *ssl = tls_server_session(gate->tls);
    errno = ENOMEM;
    if (ssl && tls_accept_open(&gate->accepting->tls, arrival, ssl,
                               (uint64_t)gate->settings->tls->handshake_timeout))
        return;
    int error = errno;
    close(arrival->fd);
    errno = error;
    failed(gate, &arrival->admission);
}

static struct admission admission_of(struct gate *gate, bool greeted)
{
    const struct listener_settings *settings = gate->settings;
    return (struct admission){
        .gate = gate, .greeted = greeted, .http2 = settings ? !settings->tls && settings->h2c : true};
}

/* `destination`: malloc()ed, or NULL. */
static void let_in(struct gate *gate, int fd, const struct address *peer, bool greeted,
                   struct address *destination)
{
    struct accepting *accepting = gate->accepting;
    struct arrival arrival = {.fd = fd, .peer = *peer, .admission = admission_of(gate, greeted)};
    arrival.admission.destination = destination;
    gate->connections++;
    if (!address_has_room(accepting, peer, &arrival.admission.cell) &&
        !may_be_told(gate, peer, &arrival.admission)) {
        close(fd);
        accepting_left(accepting, &arrival.admission);
    } else if (gate->tls) {
        begin_handshake(gate, &arrival);
    } else {
        serve(&arrival, NULL);
    }
}

/* Whether a PROXY header comes first on a connection of this peer. */
static bool is_greeted(const struct gate *gate, const struct address *peer)
{
    int mode = gate->settings ? gate->settings->proxy_protocol : PROXY_ACCEPT_OFF;
    return mode == PROXY_ACCEPT_ON ||
           (mode == PROXY_ACCEPT_TRUSTED && site_trusts(gate->accepting->worker->site, peer));
}

static void on_accept(struct acceptor *acceptor, int fd, const struct address *peer)
{
    struct gate *gate = gate_of(acceptor);
    struct accepting *accepting = gate->accepting;
    if (is_greeted(gate, peer)) {
        gate->connections++;
        greeting_open(&accepting->greeter, gate, fd, peer);
    } else {
        let_in(gate, fd, peer, false, NULL);
    }
}

static const struct acceptor_events acceptor_events = {
    .on_accept = on_accept, .room = on_room, .on_exhausted = on_exhausted};

/* --- PROXY headers --- */

static void on_greeted(struct greeter *greeter, void *context, int fd, const struct address *peer,
                       const struct proxy_header *header)
{
    struct gate *gate = context;
    struct address *destination = NULL;
    (void)greeter;
    gate->connections--; /* counted again as what it is now */
    if (header->known) {
        destination = malloc(sizeof *destination);
        if (!destination)
            abort();
        *destination = header->destination;
    }
    let_in(gate, fd, header->known ? &header->source : peer, true, destination);
}

static void on_refused(struct greeter *greeter, void *context, const struct address *peer, const char *why)
{
    struct accepting *accepting = greeter->owner;
    struct gate *gate = context;
    gate->connections--;
    if (why) {
        stat_add(stats_of(accepting), STAT_PROXY_REFUSED, 1);
        if (log_seldom(&gate->proxy_said, accepting->worker->loop.now_ms)) {
            char text[ADDRESS_TEXT_SIZE];
            address_format(peer, text);
            log_warning("listener %s: %s: PROXY protocol: %s; closed (and %u before that were not logged)",
                        gate_name(gate), text, why, gate->proxy_said.left_out);
        }
    }
    look_again(accepting);
}

/* --- TLS --- */

static void on_secured(struct tls_accept *accept, const struct arrival *arrival, struct tls *tls)
{
    struct accepting *accepting = accept->owner;
    stat_add(stats_of(accepting), STAT_TLS_HANDSHAKES, 1);
    serve(arrival, tls);
}

/* Where the handshake ends that never was one: closed, or answered. */
static void say_no_tls(struct gate *gate, const struct address *peer, const char *why)
{
    struct accepting *accepting = gate->accepting;
    stat_add(stats_of(accepting), STAT_TLS_REFUSED, 1);
    if (log_seldom(&gate->tls_said, accepting->worker->loop.now_ms)) {
        char text[ADDRESS_TEXT_SIZE];
        address_format(peer, text);
        log_warning("listener %s: %s: TLS: %s (and %u before that were not logged)", gate_name(gate), text,
                    why, gate->tls_said.left_out);
    }
}

static void on_plain(struct tls_accept *accept, const struct arrival *arrival)
{
    struct arrival refused = *arrival;
    (void)accept;
    say_no_tls(arrival->admission.gate, &arrival->peer, "a plain HTTP request came; answered 400");
    if (!refused.admission.refusal)
        refused.admission.refusal = &without_tls;
    serve(&refused, NULL);
}

static void on_tls_refused(struct tls_accept *accept, const struct arrival *arrival, const char *why)
{
    if (why)
        say_no_tls(arrival->admission.gate, &arrival->peer, why);
    accepting_left(accept->owner, &arrival->admission);
}

/* --- taking over --- */

bool accepting_describe(const struct gate *gate, struct handoff_listener *listener)
{
    const struct listener_settings *settings = gate->settings;
    if (!settings)
        return false;
    listener->address = settings->address;
    listener->rights = handoff_rights(settings->mode, settings->owner, settings->group);
    return true;
}

struct gate *accepting_gate(const struct accepting *accepting, const struct handoff_listener *listener)
{
    struct handoff_listener ours;
    for (unsigned i = 0; i < accepting->gate_count; i++) {
        struct gate *gate = &accepting->gates[i];
        if (accepting_describe(gate, &ours) && address_eq(&ours.address, &listener->address) &&
            ours.rights == listener->rights)
            return gate;
    }
    return NULL;
}

/* Whether a new connection from there would be read in the way that this one was. */
static bool reads_alike(const struct gate *gate, int fd, bool greeted)
{
    struct address peer = {.length = sizeof peer.un};
    if (gate->settings->proxy_protocol == PROXY_ACCEPT_TRUSTED) {
        if (getpeername(fd, &peer.any, &peer.length) < 0)
            return false; /* it is gone: whoever has it will see that */
        address_unmap(&peer);
    }
    return is_greeted(gate, &peer) == greeted;
}

/* Its PROXY header isn't whole yet. */
static enum handoff_verdict take_greeting(struct gate *gate, const struct handoff_record *record,
                                          const int *fds, uint32_t cell, struct taken *taken)
{
    struct greeting_parcel parcel = {
        .fd = fds[0], .gate = gate, .peer = record->peer, .read = record->held, .left_ms = record->left_ms};
    (void)cell;
    gate->connections++;
    taken->greeting = greeting_take(&gate->accepting->greeter, &parcel);
    return taken->greeting ? HANDOFF_IS_TAKEN : HANDOFF_FULL;
}

/* As if it had been let in here. */
static struct admission readmit(struct gate *gate, const struct handoff_record *record, uint32_t cell)
{
    struct admission admission = admission_of(gate, record->flags & HANDOFF_GREETED);
    admission.cell = cell;
    if (record->flags & HANDOFF_DESTINATION) {
        admission.destination = malloc(sizeof *admission.destination);
        if (!admission.destination)
            abort();
        *admission.destination = record->destination;
    }
    gate->connections++;
    return admission;
}

static enum handoff_verdict take_http1(struct gate *gate, const struct handoff_record *record, const int *fds,
                                       uint32_t cell, struct taken *taken)
{
    struct accepting *accepting = gate->accepting;
    struct admission admission = readmit(gate, record, cell);
    struct http1_parcel parcel = {.fd = fds[0],
                                  .peer = record->peer,
                                  .held = record->held,
                                  .left_ms = record->left_ms,
                                  .requests = record->requests,
                                  .head_begun = record->flags & HANDOFF_HEAD_BEGUN};
    taken->connection = http1_handoff_take(&accepting->worker->service, &parcel, gate->router, &admission);
    if (taken->connection)
        return HANDOFF_IS_TAKEN;
    accepting_left(accepting, &admission);
    return HANDOFF_FULL; /* the loop can't have it */
}

static enum handoff_verdict take_tunnel(struct gate *gate, const struct handoff_record *record,
                                        const int *fds, uint32_t cell, struct taken *taken)
{
    const struct handoff_tunnel *tunnel = &record->tunnel;
    struct admission admission = readmit(gate, record, cell);
    struct tunnel_parcel parcel = {
        .connection = {.fd = fds[0], .peer = record->peer, .requests = record->requests},
        .client = {.fd = fds[0],
                   .held = record->held,
                   .kept = tunnel->client_kept,
                   .ended = tunnel->flags & HANDOFF_CLIENT_ENDED,
                   .shut = tunnel->flags & HANDOFF_CLIENT_SHUT},
        .upstream = {.fd = fds[1],
                     .held = tunnel->upstream_held,
                     .kept = tunnel->upstream_kept,
                     .ended = tunnel->flags & HANDOFF_UPSTREAM_ENDED,
                     .shut = tunnel->flags & HANDOFF_UPSTREAM_SHUT},
        .story = {.id = tunnel->id,
                  .api = tunnel->api,
                  .route = tunnel->route,
                  .started = tunnel->started,
                  .started_wall = tunnel->started_wall,
                  .upstream_ns = tunnel->upstream_ns,
                  .tries = tunnel->tries},
        .head = tunnel->head,
        .cluster = tunnel->upstream,
        .endpoint = tunnel->endpoint,
        .bytes_in = tunnel->bytes_in,
        .bytes_out = tunnel->bytes_out,
        .silent_ms = tunnel->silent_ms,
    };
    tunnel_read_position(&parcel, tunnel->position);
    taken->tunnel = tunnel_take(&gate->accepting->worker->service, &parcel, gate->router, &admission);
    if (taken->tunnel)
        return HANDOFF_IS_TAKEN;
    return errno ? HANDOFF_FULL : HANDOFF_NO_ROUTE;
}

static enum handoff_verdict (*const takers[])(struct gate *gate, const struct handoff_record *record,
                                              const int *fds, uint32_t cell, struct taken *taken) = {
    [HANDOFF_HTTP1] = take_http1,
    [HANDOFF_GREETING] = take_greeting,
    [HANDOFF_TUNNEL] = take_tunnel,
};

/* Whether it could have come to this listener as it is. */
static bool belongs(const struct gate *gate, const struct handoff_record *record, int fd)
{
    bool greeting = record->kind == HANDOFF_GREETING;
    if (record->kind >= sizeof takers / sizeof *takers || (gate->tls && !greeting) ||
        (greeting && record->held.length >= PROXY_PROTOCOL_MAX))
        return false;
    return reads_alike(gate, fd, greeting || record->flags & HANDOFF_GREETED);
}

enum handoff_verdict accepting_take(struct accepting *accepting, struct gate *gate,
                                    const struct handoff_record *record, const int *fds, struct taken *taken)
{
    enum handoff_verdict verdict = HANDOFF_NO_LISTENER;
    uint32_t cell = 0;
    *taken = (struct taken){NULL, NULL, NULL};
    if (!gate || !belongs(gate, record, fds[0]))
        goto refused;
    verdict = HANDOFF_FULL;
    if (worker_is_full(accepting))
        goto refused;
    verdict = HANDOFF_NO_ROOM;
    if (gate_is_full(gate) ||
        (record->kind != HANDOFF_GREETING && !address_has_room(accepting, &record->peer, &cell)))
        goto refused;
    return takers[record->kind](gate, record, fds, cell, taken);
refused:
    for (unsigned i = 0; i < handoff_fds(record); i++)
        close(fds[i]);
    return verdict;
}

void accepting_drop(const struct taken *taken)
{
    if (taken->greeting)
        greeting_done(taken->greeting);
    else if (taken->tunnel)
        tunnel_done(taken->tunnel);
    else
        http1_handoff_done(taken->connection);
}

/* --- life --- */

void accepting_init(struct accepting *accepting, struct worker *worker, struct arena *arena,
                    const struct bound *bound, unsigned count)
{
    const struct site *site = worker->site;
    const struct client_settings *client = &site->settings->client;
    accepting->worker = worker;
    accepting->gates = arena_array(arena, count, sizeof *accepting->gates);
    for (unsigned i = 0; i < count; i++) {
        struct gate *gate = &accepting->gates[i];
        gate->accepting = accepting;
        gate->settings = bound[i].listener;
        gate->router = site->admin;
        for (unsigned j = 0; gate->settings && j < site->settings->listeners.count; j++)
            if (site->settings->listeners.items[j] == gate->settings) {
                gate->router = site->routers[j];
                gate->tls = site->tls[j];
            }
    }
    greeter_init(&accepting->greeter, &worker->net, (uint64_t)client->header_timeout);
    accepting->greeter.owner = accepting;
    accepting->greeter.on_greeted = on_greeted;
    accepting->greeter.on_refused = on_refused;
    tls_accept_init(&accepting->tls, &worker->net);
    accepting->tls.owner = accepting;
    accepting->tls.on_secured = on_secured;
    accepting->tls.on_plain = on_plain;
    accepting->tls.on_refused = on_tls_refused;
    if (client->max_per_address) {
        struct random secret; /* not the worker's generator: clients see what it makes */
        random_seed(&secret);
        accepting->addresses = addresses_new((unsigned)site->settings->max_connections, secret.state);
    }
}

void accepting_start(struct accepting *accepting, const struct bound *bound, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        acceptor_open(&accepting->gates[i].acceptor, &accepting->worker->net, bound[i].fd, &acceptor_events);
    accepting->gate_count = count;
}

void accepting_finish(struct accepting *accepting)
{
    for (unsigned i = 0; i < accepting->gate_count; i++)
        acceptor_finish(&accepting->gates[i].acceptor);
}

void accepting_stop(struct accepting *accepting)
{
    for (unsigned i = 0; i < accepting->gate_count; i++)
        acceptor_close(&accepting->gates[i].acceptor);
}

unsigned accepting_cut(struct accepting *accepting)
{
    unsigned count = accepting->greeter.count + accepting->tls.count;
    greeter_close(&accepting->greeter);
    tls_accept_close(&accepting->tls);
    return count;
}

void accepting_free(struct accepting *accepting)
{
    addresses_free(&accepting->addresses);
}
