/* p2c: the cheaper of two endpoints that are drawn by chance. What one costs is how long its answers take (a peak-
 * sensitive moving average, as Finagle's and Linkerd's) times the calls that it would then have in progress, over its
 * weight.
 *
 * The average jumps up to a slower answer at once, and comes down with the time constant DECAY_NS. Without answers it
 * comes down too, so that an endpoint which was slow is tried again; but no lower than what is usual in the cluster,
 * so that one which was left alone does not look better than those that work, and get all of the next burst.
 *
 * A failure that comes quickly must not look like a quick answer: the n-th in a row counts as an answer 2^n times as
 * slow as is usual. That all endpoints fail now and then (an application's 500) shifts little between them.
 *
 * The averages are the node's: each worker learns from the calls of all. They are read and written without a lock: of two
 * observations at the same time one may be lost, which an average survives.
 */
#include <math.h>
#include <string.h>

#include "shared/base/clock.h"
#include "shared/shm/upstreams.h"
#include "worker/upstream/balance.h"

#define DECAY_NS (10.0 * NS_PER_SECOND)
#define SEED_NS (30.0 * NS_PER_MS)
#define PENALTY_MOST_NS (10.0 * NS_PER_SECOND)
enum { PENALTIES = 12, USUAL_OF = 64 };

/* --- what the node knows --- */

static double load_number(const _Atomic uint64_t *word)
{
    double number;
    uint64_t bits = atomic_load_explicit(word, memory_order_relaxed);
    memcpy(&number, &bits, sizeof number);
    return number;
}

static void store_number(_Atomic uint64_t *word, double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    atomic_store_explicit(word, bits, memory_order_relaxed);
}

static double usual_of(const struct cluster *cluster)
{
    double usual = load_number(&cluster->cell->usual);
    return usual > 0 ? usual : SEED_NS;
}

/* As it was when it was observed last, and before that, as it is usual. */
static double latency_of(const struct endpoint *endpoint)
{
    double latency = load_number(&endpoint->cell->latency);
    return latency > 0 ? latency : usual_of(endpoint->cluster);
}

static uint64_t age_of(const struct endpoint *endpoint)
{
    uint64_t now = endpoint->cluster->worker->loop.now;
    uint64_t observed_at = atomic_load_explicit(&endpoint->cell->observed_at, memory_order_relaxed);
    return now > observed_at ? now - observed_at : 0;
}

static void set_latency(struct endpoint *endpoint, double latency)
{
    store_number(&endpoint->cell->latency, latency);
    atomic_store_explicit(&endpoint->cell->observed_at, endpoint->cluster->worker->loop.now,
                          memory_order_relaxed);
}

/* --- costs --- */

/* What is left of the average by now. */
static double decayed(const struct endpoint *endpoint)
{
    double latency = latency_of(endpoint), usual = usual_of(endpoint->cluster);
    double left = latency * exp(-(double)age_of(endpoint) / DECAY_NS);
    return left > usual ? left : latency < usual ? latency : usual;
}

static double cost(const struct endpoint *endpoint)
{
    return decayed(endpoint) * (endpoint_load(endpoint) + 1) /
           (endpoint->weight * endpoint_portion(endpoint));
}

static struct endpoint *pick(struct cluster *cluster, const struct choice *choice)
{
    struct endpoint *first = balance_draw(cluster, choice, NULL);
    struct endpoint *second = first ? balance_draw(cluster, choice, first) : NULL;
    return second && cost(second) < cost(first) ? second : first;
}

/* --- observations --- */

/* An answer as slow as `latency`, or as the average says if that is more. */
static void peak(struct endpoint *endpoint, double latency)
{
    double before = decayed(endpoint);
    set_latency(endpoint, latency > before ? latency : before);
}

static void failed(struct endpoint *endpoint, double latency)
{
    _Atomic uint32_t *failures = &endpoint->cell->failures;
    uint32_t count = atomic_load_explicit(failures, memory_order_relaxed);
    if (count < PENALTIES)
        atomic_store_explicit(failures, ++count, memory_order_relaxed);
    double penalty = ldexp(usual_of(endpoint->cluster), (int)count);
    if (penalty > PENALTY_MOST_NS)
        penalty = PENALTY_MOST_NS;
    peak(endpoint, latency > penalty ? latency : penalty);
}

static void answered(struct endpoint *endpoint, double latency)
{
    struct cluster *cluster = endpoint->cluster;
    double before = latency_of(endpoint), usual = usual_of(cluster);
    if (atomic_load_explicit(&endpoint->cell->failures, memory_order_relaxed))
        atomic_store_explicit(&endpoint->cell->failures, 0, memory_order_relaxed);
    store_number(&cluster->cell->usual, usual + (latency - usual) / USUAL_OF);
    if (latency <= decayed(endpoint))
        latency += (before - latency) * exp(-(double)age_of(endpoint) / DECAY_NS);
    set_latency(endpoint, latency);
}

static void observe(struct endpoint *endpoint, uint64_t latency_ns, enum outcome outcome)
{
    switch (outcome) {
    case OUTCOME_ANSWERED:
        answered(endpoint, (double)latency_ns);
        break;
    case OUTCOME_FAILED:
        failed(endpoint, (double)latency_ns);
        break;
    case OUTCOME_LEFT:
        peak(endpoint, (double)latency_ns);
        break;
    }
}

const struct balancer balance_p2c = {.name = "p2c", .pick = pick, .observe = observe};
