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
 */
#include <math.h>

#include "shared/base/clock.h"
#include "worker/upstream/balance.h"

#define DECAY_NS (10.0 * NS_PER_SECOND)
#define PENALTY_MOST_NS (10.0 * NS_PER_SECOND)
enum { PENALTIES = 12, USUAL_OF = 64 };

/* What is left of the average by now. */
static double decayed(const struct endpoint *endpoint)
{
    uint64_t now = endpoint->cluster->worker->loop.now;
    if (now <= endpoint->observed_at)
        return endpoint->latency;
    double left = endpoint->latency * exp(-(double)(now - endpoint->observed_at) / DECAY_NS);
    double usual = endpoint->cluster->usual;
    return left > usual ? left : endpoint->latency < usual ? endpoint->latency : usual;
}

static double cost(const struct endpoint *endpoint)
{
    return decayed(endpoint) * (endpoint->active + 1) / endpoint->weight;
}

static struct endpoint *pick(struct cluster *cluster, const struct choice *choice)
{
    struct endpoint *first = balance_draw(cluster, choice, NULL);
    struct endpoint *second = first ? balance_draw(cluster, choice, first) : NULL;
    return second && cost(second) < cost(first) ? second : first;
}

/* An answer as slow as `latency`, or as the average says if that is more. */
static void peak(struct endpoint *endpoint, double latency)
{
    double before = decayed(endpoint);
    endpoint->latency = latency > before ? latency : before;
    endpoint->observed_at = endpoint->cluster->worker->loop.now;
}

static void failed(struct endpoint *endpoint, double latency)
{
    if (endpoint->failures < PENALTIES)
        endpoint->failures++;
    double penalty = ldexp(endpoint->cluster->usual, (int)endpoint->failures);
    if (penalty > PENALTY_MOST_NS)
        penalty = PENALTY_MOST_NS;
    peak(endpoint, latency > penalty ? latency : penalty);
}

static void answered(struct endpoint *endpoint, double latency)
{
    struct cluster *cluster = endpoint->cluster;
    uint64_t now = cluster->worker->loop.now;
    double age = now > endpoint->observed_at ? (double)(now - endpoint->observed_at) : 0;
    endpoint->failures = 0;
    cluster->usual += (latency - cluster->usual) / USUAL_OF;
    if (latency > decayed(endpoint))
        endpoint->latency = latency;
    else
        endpoint->latency = latency + (endpoint->latency - latency) * exp(-age / DECAY_NS);
    endpoint->observed_at = now;
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
