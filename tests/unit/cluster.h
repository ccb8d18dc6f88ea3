/* cluster: what the tests of balancers share: a cluster of endpoints that are addresses only, and a clock of the test's
 * own. */
#ifndef TESTS_UNIT_CLUSTER_H
#define TESTS_UNIT_CLUSTER_H

#include <stdio.h>

#include "shared/base/clock.h"
#include "shared/shm/upstreams.h"
#include "tests/unit/unit.h"
#include "worker/request/site.h"
#include "worker/upstream/balance.h"

enum { ENDPOINTS = 1024 };

/* The cluster of the running test. */
static struct arena *arena;
static struct worker worker;
static struct site site;
static struct settings settings;
static struct shared shared;
static struct generation generation;
static struct wants wants;
static struct upstream_settings upstream;
static struct hash_settings hash;
static struct errors errors;
static struct cluster *cluster;
static unsigned picks[ENDPOINTS];
static _Atomic uint32_t *others_in_flight; /* calls of another process of the node */

static int cluster_setup(void **state)
{
    (void)state;
    arena = arena_new(1 << 16);
    errors_init(&errors, arena);
    const char *why;
    struct segment_plan plan = {
        .slots = 2, .log_ring = 4096, .size_at_most = 1 << 24, .upstreams = 1, .endpoints = ENDPOINTS};
    assert_int_equal(shared_create(&shared, &plan, arena, &why), 0);
    worker = (struct worker){.site = &site,
                             .shared = &shared,
                             .generation = &generation,
                             .random = {{1, 2, 3, 4}}}; /* the same picks in each run */
    worker.loop.now = NS_PER_SECOND;
    worker.loop.now_ms = 1000;
    return 0;
}

static int cluster_teardown(void **state)
{
    (void)state;
    shared_destroy(&shared);
    arena_free(&arena);
    return 0;
}

#define CLUSTER_TEST(test) cmocka_unit_test_setup_teardown(test, cluster_setup, cluster_teardown)

/* Opens worker.clusters anew, of the upstream as it is. */
static inline void cluster_open(void)
{
    static void *items[] = {&upstream};
    settings = (struct settings){.upstreams = {items, 1}};
    upstream.name = "u";
    static struct tls_client *plain[1];
    site = (struct site){.settings = &settings, .upstream_tls = plain};
    wants = (struct wants){.arena = arena};
    site.balancing = balancing_compile(&settings, &wants, arena, &errors);
    generation.cells = arena_array(arena, wants.count, sizeof *generation.cells);
    for (unsigned i = 0; i < upstream.endpoints.count; i++)
        generation.cells[site.balancing->endpoint_cells + i] = i;
    clusters_open(&worker, arena);
    cluster = worker.clusters;
    memset(picks, 0, sizeof picks);
}

static inline void add_endpoint(unsigned address, unsigned weight)
{
    struct endpoint_settings *endpoint = arena_zalloc(arena, sizeof *endpoint);
    char text[64];
    const char *why;
    snprintf(text, sizeof text, "10.0.%u.%u:80", address / 256, address % 256);
    endpoint->text = arena_strdup(arena, text);
    endpoint->weight = weight;
    assert_true(address_parse(str_of(endpoint->text), &endpoint->address, &why));
    upstream.endpoints.items[upstream.endpoints.count++] = endpoint;
}

/* An upstream of `count` endpoints, 10.0.0.0:80 and on, with these weights; NULL: 1 each. */
static inline void cluster_make(enum balance balance, unsigned count, const unsigned *weights)
{
    hash = (struct hash_settings){.by = "${client}", .load = 1.25};
    upstream = (struct upstream_settings){
        .balance = balance,
        .hash = &hash,
        .endpoints.items = arena_array(arena, ENDPOINTS, sizeof(void *)),
        .retry.connect = UPSTREAM_TRIES,
        .panic = true,
    };
    others_in_flight = cells_join(shared.endpoints, 1);
    memset(upstreams_cell(shared.upstreams, 0), 0, sizeof(struct upstream_cell));
    for (unsigned i = 0; i < ENDPOINTS; i++) {
        memset(endpoints_cell(shared.endpoints, i), 0, sizeof(struct endpoint_cell));
        others_in_flight[i] = 0;
    }
    for (unsigned i = 0; i < count; i++)
        add_endpoint(i, weights ? weights[i] : 1);
    cluster_open();
}

static inline void pass(uint64_t ns)
{
    worker.loop.now += ns;
    worker.loop.now_ms = worker.loop.now / NS_PER_MS;
}

/* It refused a connection, and is left out for very long. */
static inline void refuse(struct endpoint *endpoint)
{
    atomic_store(&endpoint->cell->refused_until, UINT64_MAX - 1);
}

/* Another worker has `count` calls in progress there, and had them a millisecond ago already. */
static inline void set_load(struct endpoint *endpoint, uint32_t count)
{
    cluster->summed_at = 0;
    others_in_flight[endpoint->cell_index] = count;
}

static inline void add_load(struct endpoint *endpoint, int by)
{
    cluster->summed_at = 0;
    tally_add(&others_in_flight[endpoint->cell_index], by);
}

static inline unsigned index_of(const struct endpoint *endpoint)
{
    return (unsigned)(endpoint - cluster->endpoints);
}

/* The next one, counted. */
static inline struct endpoint *pick_for(struct choice choice)
{
    struct endpoint *endpoint = NULL;
    assert_int_equal(cluster_pick(cluster, &choice, &endpoint), PICKED_ONE);
    picks[index_of(endpoint)]++;
    return endpoint;
}

/* `count` of `total` is `share`, within `percent` of it. */
static inline void assert_share(unsigned count, unsigned total, double share, double percent)
{
    double expected = share * total;
    if (count < expected * (1 - percent / 100) || count > expected * (1 + percent / 100))
        fail_msg("%u of %u and not %.0f within %g %%", count, total, expected, percent);
}

#endif
