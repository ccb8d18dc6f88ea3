/* resolver: called by the keeper. A name is looked up in rounds: all its questions (two families; with SRV, of each
 * target) are asked at once, and when the last is answered the round is judged as a whole. Meanwhile what was found is
 * published: nobody waits for the AAAA records of a name server that only answers questions for others.
 */
#include "worker/service/resolver.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/base/buf.h"
#include "shared/base/log.h"
#include "shared/shm/endpoints.h"
#include "worker/request/site.h"
#include "worker/service/dns.h"
#include "worker/service/merge.h"
#include "worker/upstream/balance.h"

/* EARLY_MS: the answers of one name server come within it, as a rule: then the list changes once. */
enum {
    EARLY_MS = 50,
    FOUND_MOST = 2 * NAME_PLACES,
    RETRY_MS = 1000,
    RETRY_MOST_MS = 30000,
    TTL_MOST = 1 << 24
};

/* A name. */
struct lookup {
    struct resolver *resolver;
    const char *upstream;
    const struct endpoint_settings *endpoint;
    const uint32_t *places; /* the cells of its places in the zone of endpoints */
    struct name_cell *cell;
    struct name_list list; /* as it is published, or will be */
    bool asked;            /* a first round is over */
    bool ours;             /* to publish: before GO only what no keeper before us has */
    unsigned failures;     /* rounds in a row without an address */
    unsigned left_out;     /* addresses without a place, as was told last */
    struct timer timer;    /* for the next round; in a round, for what was found so far */
    /* The round under way. */
    unsigned pending;              /* questions, and one more while they are being asked */
    unsigned waits[NAME_FAMILIES]; /* of those, for addresses of this family */
    bool failed[NAME_FAMILIES];    /* one of those failed: not everything is known */
    enum name_failure failure;
    uint32_t ttl;
    unsigned count;
    struct name_address found[FOUND_MOST];
};

struct resolver {
    struct worker *worker;
    const struct resolver_settings *settings;
    struct dns *dns;
    struct lookup *lookups;
    unsigned count;
    unsigned unanswered; /* new names without a first answer */
    struct timer start;
    struct deferred ready;
    void (*on_ready)(void *owner);
    void *owner;
};

/* A question about a host, for a lookup. */
struct host_question {
    struct lookup *lookup;
    enum name_family family;
    uint16_t port, priority, weight;
};

/* --- what is told --- */

/* What the node knew of the address that was there before says nothing of this one. */
static void forget(struct lookup *lookup, const struct merged *merged)
{
    struct cells *endpoints = lookup->resolver->worker->shared->endpoints;
    for (unsigned i = 0; i < endpoint_places(lookup->endpoint); i++)
        if (merged->fresh[i])
            endpoints_forget(endpoints, lookup->places[i]);
}

static void write_list(const struct name_list *list, struct buf *text)
{
    for (unsigned i = 0; i < NAME_PLACES; i++) {
        struct address address;
        char one[ADDRESS_TEXT_SIZE];
        if (!name_address_socket(&list->at[i], &address))
            continue;
        size_t length = address_format(&address, one);
        if (text->length)
            BUF_LITERAL(text, ", ");
        if (text->size - text->length < length + 8) {
            BUF_LITERAL(text, "…");
            break;
        }
        buf_add(text, one, length);
    }
}

static void tell_found(struct lookup *lookup, const struct merged *merged)
{
    char memory[1024];
    struct buf text = buf_on(memory, sizeof memory);
    write_list(&lookup->list, &text);
    if (merged->changed || lookup->list.failure != NAME_FOUND)
        log_notice("upstream %s: %s is %.*s", lookup->upstream, lookup->endpoint->text,
                   STR_ARG(buf_str(&text)));
    if (merged->left_out && merged->left_out != lookup->left_out)
        log_warning("upstream %s: %s: %u of its addresses are left out (its max is %" PRId64 ")",
                    lookup->upstream, lookup->endpoint->text, merged->left_out, lookup->endpoint->max);
    lookup->left_out = merged->left_out;
}

static void tell_failed(const struct lookup *lookup, enum name_failure failure)
{
    if (lookup->list.failure == failure)
        return;
    log_warning("upstream %s: %s %s%s", lookup->upstream, lookup->endpoint->text, name_failure_text(failure),
                lookup->list.count ? "; what was found before stays" : "");
}

/* --- the end of a round --- */

static uint64_t within(uint64_t value, uint64_t least, uint64_t most)
{
    return value < least ? least : value > most ? most : value;
}

/* A little later than the TTL says, so that what was asked together is not for ever. */
static uint64_t next_after_answer(struct lookup *lookup)
{
    const struct resolver_settings *settings = lookup->resolver->settings;
    uint64_t ttl = lookup->ttl < TTL_MOST ? lookup->ttl : TTL_MOST;
    uint64_t ms = within(ttl * 1000, (uint64_t)settings->min_ttl, (uint64_t)settings->max_ttl);
    return ms + random_below(&lookup->resolver->worker->random, ms / 8 + 1);
}

static uint64_t next_after_failure(struct lookup *lookup)
{
    const struct resolver_settings *settings = lookup->resolver->settings;
    uint64_t least = (uint64_t)settings->min_ttl < RETRY_MS ? (uint64_t)settings->min_ttl : RETRY_MS;
    uint64_t most = within(RETRY_MOST_MS, least, (uint64_t)settings->max_ttl);
    unsigned shift = lookup->failures < 16 ? lookup->failures - 1 : 15;
    uint64_t ms = within(least << shift, least, most);
    return ms / 2 + random_below(&lookup->resolver->worker->random, ms / 2 + 1) + 1;
}

/* No packet is sent: the kernel looks for a way. */
static bool has_route(const struct name_address *name)
{
    struct address address;
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool routed =
        fd >= 0 && name_address_socket(name, &address) && connect(fd, &address.any, address.length) == 0;
    if (fd >= 0)
        close(fd);
    return routed;
}

/* What is to be in the list. */
struct wanted {
    unsigned count;
    struct name_address at[FOUND_MOST];
};

static bool wants(const struct wanted *wanted, const struct name_address *address)
{
    for (unsigned i = 0; i < wanted->count; i++)
        if (name_address_same(&wanted->at[i], address))
            return true;
    return false;
}

/* Where this machine has no IPv6, addresses of it would only be tried in vain: unless there are no others. */
static void want_found(const struct lookup *lookup, struct wanted *wanted)
{
    bool others = lookup->waits[NAME_IPV4];
    for (unsigned i = 0; i < lookup->count; i++)
        others = others || lookup->found[i].family == NAME_IPV4;
    for (unsigned i = 0; i < lookup->count; i++)
        if (!others || lookup->found[i].family == NAME_IPV4 || has_route(&lookup->found[i]))
            wanted->at[wanted->count++] = lookup->found[i];
}

/* Of a family of which not everything is known now, what was known stays. */
static void want_known(const struct lookup *lookup, struct wanted *wanted)
{
    for (unsigned i = 0; i < NAME_PLACES && wanted->count < FOUND_MOST; i++) {
        const struct name_address *at = &lookup->list.at[i];
        if (at->family != NAME_VACANT && (lookup->failed[at->family] || lookup->waits[at->family]) &&
            !wants(wanted, at))
            wanted->at[wanted->count++] = *at;
    }
}

static void found(struct lookup *lookup)
{
    struct cells *endpoints = lookup->resolver->worker->shared->endpoints;
    unsigned max = endpoint_places(lookup->endpoint);
    uint32_t in_flight[NAME_PLACES];
    struct wanted wanted = {.count = 0};
    struct merged merged;
    for (unsigned i = 0; i < max; i++)
        in_flight[i] = cells_in_flight(endpoints, lookup->places[i]);
    want_found(lookup, &wanted);
    if (!wanted.count)
        return; /* so far */
    want_known(lookup, &wanted);
    merge_addresses(&lookup->list, max, wanted.at, wanted.count, in_flight, &merged);
    tell_found(lookup, &merged);
    lookup->failures = 0;
    if (!merged.changed && lookup->list.failure == NAME_FOUND)
        return;
    lookup->list.failure = NAME_FOUND;
    forget(lookup, &merged);
    name_publish(lookup->cell, &lookup->list);
}

static void not_found(struct lookup *lookup)
{
    tell_failed(lookup, lookup->failure);
    lookup->failures++;
    if (lookup->list.failure == lookup->failure)
        return;
    lookup->list.failure = lookup->failure;
    name_publish(lookup->cell, &lookup->list);
}

static void say_ready(struct resolver *resolver)
{
    timer_clear(&resolver->worker->loop.timers, &resolver->start);
    loop_defer(&resolver->worker->loop, &resolver->ready);
}

/* Good or bad. */
static void has_answer(struct lookup *lookup)
{
    if (!lookup->asked && --lookup->resolver->unanswered == 0)
        say_ready(lookup->resolver);
    lookup->asked = true;
}

static void end_round(struct lookup *lookup)
{
    struct loop *loop = &lookup->resolver->worker->loop;
    bool any = lookup->count > 0;
    if (any)
        found(lookup);
    else
        not_found(lookup);
    uint64_t ms = any ? next_after_answer(lookup) : next_after_failure(lookup);
    timer_set(&loop->timers, &lookup->timer, loop->now_ms + ms);
    has_answer(lookup);
}

static void answered(struct lookup *lookup)
{
    if (--lookup->pending == 0)
        end_round(lookup);
}

/* --- questions --- */

static bool is_definite(enum name_failure failure)
{
    return failure == NAME_NO_SUCH || failure == NAME_EMPTY || failure == NAME_NOT_OFFERED;
}

/* Of several failures the one that hides most is told: what could not be asked, then that there is nothing. */
static void note_failure(struct lookup *lookup, enum name_failure failure)
{
    if (lookup->failure == NAME_FOUND || is_definite(lookup->failure))
        lookup->failure = lookup->failure == NAME_EMPTY && is_definite(failure) ? NAME_EMPTY : failure;
}

/* What was found is taken in a moment, should the round not be over by then. */
static void soon(struct lookup *lookup)
{
    struct loop *loop = &lookup->resolver->worker->loop;
    if (lookup->count && !lookup->timer.deadline)
        timer_set(&loop->timers, &lookup->timer, loop->now_ms + EARLY_MS);
}

static void on_addresses(void *context, const struct dns_addresses *addresses)
{
    struct host_question *question = context;
    struct lookup *lookup = question->lookup;
    if (addresses->over) {
        free(question);
        return;
    }
    for (unsigned i = 0; i < addresses->count && lookup->count < FOUND_MOST; i++) {
        struct name_address *found = &lookup->found[lookup->count++];
        *found = addresses->items[i];
        found->port = question->port;
        found->priority = question->priority;
        found->weight = question->weight;
    }
    if (addresses->failure != NAME_FOUND)
        note_failure(lookup, addresses->failure);
    else if (addresses->ttl < lookup->ttl)
        lookup->ttl = addresses->ttl;
    if (addresses->failure != NAME_FOUND && !is_definite(addresses->failure))
        lookup->failed[question->family] = true;
    lookup->waits[question->family]--;
    free(question);
    soon(lookup);
    answered(lookup);
}

static void ask_family(struct lookup *lookup, const char *host, enum name_family family,
                       const struct dns_srv *service)
{
    struct host_question *question = malloc(sizeof *question);
    if (!question)
        abort();
    *question = (struct host_question){.lookup = lookup,
                                       .family = family,
                                       .port = service ? service->port : lookup->endpoint->port,
                                       .priority = service ? service->priority : 0,
                                       .weight = service ? service->weight : 1};
    lookup->pending++;
    lookup->waits[family]++;
    dns_ask_addresses(lookup->resolver->dns, host, family, on_addresses, question);
}

static void ask_host(struct lookup *lookup, const char *host, const struct dns_srv *service)
{
    int family = lookup->resolver->settings->family;
    if (family != RESOLVER_IPV6)
        ask_family(lookup, host, NAME_IPV4, service);
    if (family != RESOLVER_IPV4)
        ask_family(lookup, host, NAME_IPV6, service);
}

static void on_services(void *context, const struct dns_services *services)
{
    struct lookup *lookup = context;
    if (services->over)
        return;
    if (services->failure != NAME_FOUND)
        note_failure(lookup, services->failure);
    else
        lookup->ttl = services->ttl;
    for (unsigned i = 0; i < services->count; i++) {
        const struct dns_srv *service = &services->items[i];
        if (!service->target[0] || !service->port)
            note_failure(lookup, NAME_NOT_OFFERED);
        else
            ask_host(lookup, service->target, service);
    }
    answered(lookup);
}

static void begin_round(struct lookup *lookup)
{
    lookup->pending = 1;
    lookup->failure = NAME_FOUND;
    lookup->ttl = UINT32_MAX;
    lookup->count = 0;
    memset(lookup->waits, 0, sizeof lookup->waits);
    memset(lookup->failed, 0, sizeof lookup->failed);
    if (lookup->endpoint->srv) {
        lookup->pending++;
        dns_ask_services(lookup->resolver->dns, lookup->endpoint->host, on_services, lookup);
    } else {
        ask_host(lookup, lookup->endpoint->host, NULL);
    }
    answered(lookup);
}

static void on_timer(struct timer *timer)
{
    struct lookup *lookup = CONTAINER_OF(timer, struct lookup, timer);
    if (!lookup->pending) {
        begin_round(lookup);
        return;
    }
    found(lookup);
    if (lookup->list.count)
        has_answer(lookup);
}

/* --- the whole --- */

static void on_start_over(struct timer *timer)
{
    struct resolver *resolver = CONTAINER_OF(timer, struct resolver, start);
    log_warning("%u names have no answer yet: their upstreams have to wait for it", resolver->unanswered);
    say_ready(resolver);
}

static void on_ready(struct deferred *deferred)
{
    struct resolver *resolver = CONTAINER_OF(deferred, struct resolver, ready);
    void (*ready)(void *owner) = resolver->on_ready;
    resolver->on_ready = NULL;
    if (ready)
        ready(resolver->owner);
}

/* What a keeper before us published is there already. */
static void open_lookup(struct lookup *lookup, struct resolver *resolver, const char *upstream,
                        const struct endpoint_settings *endpoint, uint32_t cell, const uint32_t *places)
{
    struct worker *worker = resolver->worker;
    uint64_t seen, writer = 0;
    *lookup = (struct lookup){.resolver = resolver,
                              .upstream = upstream,
                              .endpoint = endpoint,
                              .places = places,
                              .cell = names_cell(worker->shared->names, cell)};
    timer_init(&lookup->timer, on_timer);
    lookup->ours =
        atomic_compare_exchange_strong(&lookup->cell->writer, &writer, worker->generation->number) ||
        writer == worker->generation->number;
    name_read(lookup->cell, &lookup->list, &seen);
    lookup->asked = !lookup->ours || lookup->list.count;
    resolver->unanswered += !lookup->asked;
}

static void open_lookups(struct resolver *resolver)
{
    struct worker *worker = resolver->worker;
    const struct conf_list *upstreams = &worker->site->settings->upstreams;
    struct lookup *lookup = resolver->lookups;
    for (unsigned i = 0; i < upstreams->count; i++) {
        const struct upstream_settings *upstream = upstreams->items[i];
        const struct balancing *balancing = &worker->site->balancing[i];
        const uint32_t *cell = &worker->generation->cells[balancing->name_cells];
        const uint32_t *places = &worker->generation->cells[balancing->endpoint_cells];
        for (unsigned j = 0; j < upstream->endpoints.count; j++) {
            const struct endpoint_settings *endpoint = upstream->endpoints.items[j];
            if (endpoint->host)
                open_lookup(lookup++, resolver, upstream->name, endpoint, *cell++, places);
            places += endpoint_places(endpoint);
        }
    }
}

static unsigned count_names(const struct settings *settings)
{
    unsigned count = 0;
    for (unsigned i = 0; i < settings->upstreams.count; i++) {
        const struct upstream_settings *upstream = settings->upstreams.items[i];
        for (unsigned j = 0; j < upstream->endpoints.count; j++)
            count += ((const struct endpoint_settings *)upstream->endpoints.items[j])->host != NULL;
    }
    return count;
}

struct resolver *resolver_new(struct worker *worker, struct arena *arena, void (*ready)(void *owner),
                              void *owner, const char **why)
{
    const struct settings *settings = worker->site->settings;
    unsigned count = count_names(settings);
    *why = NULL;
    if (!count)
        return NULL;
    struct resolver *resolver = arena_zalloc(arena, sizeof *resolver);
    resolver->worker = worker;
    resolver->settings = &settings->resolver;
    resolver->on_ready = ready;
    resolver->owner = owner;
    resolver->count = count;
    resolver->lookups = arena_array(arena, count, sizeof *resolver->lookups);
    timer_init(&resolver->start, on_start_over);
    list_init(&resolver->ready.link);
    resolver->ready.run = on_ready;
    resolver->dns = dns_new(&worker->loop, resolver->settings, why);
    if (!resolver->dns)
        return NULL;
    open_lookups(resolver);
    uint64_t start = (uint64_t)resolver->settings->start, most = (uint64_t)settings->start_timeout / 2;
    timer_set(&worker->loop.timers, &resolver->start,
              worker->loop.now_ms + (start < most ? start : most) + 1);
    if (resolver->unanswered == 0)
        say_ready(resolver);
    for (unsigned i = 0; i < count; i++)
        if (resolver->lookups[i].ours)
            begin_round(&resolver->lookups[i]);
    return resolver;
}

/* The keeper before us may have published until just now. */
void resolver_go(struct resolver *resolver)
{
    for (unsigned i = 0; resolver && i < resolver->count; i++) {
        struct lookup *lookup = &resolver->lookups[i];
        uint64_t seen;
        if (lookup->ours)
            continue;
        lookup->ours = true;
        atomic_store_explicit(&lookup->cell->writer, resolver->worker->generation->number,
                              memory_order_relaxed);
        name_read(lookup->cell, &lookup->list, &seen);
        begin_round(lookup);
    }
}

void resolver_close(struct resolver *resolver)
{
    if (!resolver)
        return;
    struct timers *timers = &resolver->worker->loop.timers;
    dns_free(&resolver->dns);
    timer_clear(timers, &resolver->start);
    loop_undefer(&resolver->ready);
    for (unsigned i = 0; i < resolver->count; i++)
        timer_clear(timers, &resolver->lookups[i].timer);
}
