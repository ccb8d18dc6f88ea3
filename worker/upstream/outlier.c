/* outlier: comparisons of endpoints. Called by the keeper, on its loop.
 *
 * By success: the mean of the endpoints' parts of good answers, less so many standard deviations (Envoy's success rate).
 * With many calls and few errors the deviation becomes so small that the least difference is an outlier: so it must be
 * LEAST_WORSE worse, too. By time: against the median of the others, which one slow endpoint can't move.
 */
#include "worker/upstream/outlier.h"

#include <math.h>
#include <stdlib.h>

#include "worker/request/site.h"
#include "worker/upstream/eject.h"
#include "worker/upstream/window.h"

enum { LOOK_MS = 1000, LEAST_HOSTS = 5, LEAST_SLOWER_US = 10000 };
#define LEAST_WORSE 0.05

struct outlier_sample {
    struct endpoint *endpoint;
    double success; /* 0 … 1 */
    double time_us; /* the mean of good answers */
};

/* Those with enough calls of the kind that is asked about. */
static unsigned gather(struct outliers *outliers, struct cluster *cluster, bool good_only)
{
    const struct ejection_settings *settings = cluster->settings->ejection;
    unsigned count = 0;
    for (unsigned i = 0; i < cluster->count; i++) {
        struct endpoint *endpoint = &cluster->endpoints[i];
        if (!endpoint_is_there(endpoint))
            continue;
        struct window_sum sum =
            window_sum(endpoint->cell, (uint64_t)settings->window, cluster->worker->loop.now_ms);
        uint64_t total = sum.good + sum.bad;
        if ((good_only ? sum.good : total) < (uint64_t)settings->volume)
            continue;
        outliers->samples[count++] =
            (struct outlier_sample){endpoint, (double)sum.good / (double)total,
                                    sum.good ? (double)sum.time_us / (double)sum.good : 0};
    }
    return count;
}

static void look_at_success(struct outliers *outliers, struct cluster *cluster)
{
    double factor = cluster->settings->ejection->deviation, mean = 0, variance = 0;
    const struct outlier_sample *samples = outliers->samples;
    unsigned count = gather(outliers, cluster, false);
    if (count < LEAST_HOSTS)
        return;
    for (unsigned i = 0; i < count; i++)
        mean += samples[i].success / count;
    for (unsigned i = 0; i < count; i++)
        variance += (samples[i].success - mean) * (samples[i].success - mean) / count;
    double least = mean - fmax(factor * sqrt(variance), LEAST_WORSE);
    for (unsigned i = 0; i < count; i++)
        if (samples[i].success < least)
            eject(samples[i].endpoint, "%.1f %% of its answers are good, of all endpoints' %.1f %%",
                  samples[i].success * 100, mean * 100);
}

static int by_time(const void *a, const void *b)
{
    double first = ((const struct outlier_sample *)a)->time_us;
    double second = ((const struct outlier_sample *)b)->time_us;
    return (first > second) - (first < second);
}

/* Of sorted samples without the one at `left_out`; there is another. */
static double median_without(const struct outlier_sample *samples, unsigned count, unsigned left_out)
{
    unsigned low = (count - 2) / 2, high = (count - 1) / 2;
    return (samples[low + (low >= left_out)].time_us + samples[high + (high >= left_out)].time_us) / 2;
}

/* The slowest first, while there is room for them. */
static void look_at_time(struct outliers *outliers, struct cluster *cluster)
{
    double factor = cluster->settings->ejection->slow;
    struct outlier_sample *samples = outliers->samples;
    unsigned count = gather(outliers, cluster, true);
    if (count < 2)
        return;
    qsort(samples, count, sizeof *samples, by_time);
    for (unsigned i = count; i-- > 0;) {
        double time = samples[i].time_us, median = median_without(samples, count, i);
        if (time < factor * median || time < median + LEAST_SLOWER_US)
            return; /* no other one is slower than this */
        eject(samples[i].endpoint, "its answers take %.1f ms, the others' %.1f ms", time / 1000,
              median / 1000);
    }
}

void outliers_look(struct outliers *outliers, struct cluster *cluster)
{
    const struct ejection_settings *settings = cluster->settings->ejection;
    for (unsigned i = 0; i < cluster->count; i++)
        if (endpoint_is_there(&cluster->endpoints[i]))
            eject_tell_return(&cluster->endpoints[i]);
    if (settings->deviation > 0)
        look_at_success(outliers, cluster);
    if (settings->slow > 0)
        look_at_time(outliers, cluster);
}

static void on_timer(struct timer *timer)
{
    struct outliers *outliers = CONTAINER_OF(timer, struct outliers, timer);
    struct worker *worker = outliers->worker;
    if (worker->service.draining)
        return;
    for (unsigned i = 0; i < worker->site->settings->upstreams.count; i++)
        if (worker->clusters[i].settings->ejection)
            outliers_look(outliers, &worker->clusters[i]);
    timer_set(&worker->loop.timers, timer, worker->loop.now_ms + LOOK_MS);
}

void outliers_start(struct outliers *outliers, struct worker *worker, struct arena *arena)
{
    unsigned most = 0;
    *outliers = (struct outliers){.worker = worker};
    timer_init(&outliers->timer, on_timer);
    for (unsigned i = 0; i < worker->site->settings->upstreams.count; i++)
        if (worker->clusters[i].settings->ejection && worker->clusters[i].count > most)
            most = worker->clusters[i].count;
    outliers->samples = arena_array(arena, most, sizeof *outliers->samples);
    if (most)
        timer_set(&worker->loop.timers, &outliers->timer, worker->loop.now_ms + LOOK_MS);
}
