/* eject: errors in a row and their ratio are looked at here, with each call that fails; what takes a comparison of all
 * endpoints, in outlier.c. Called by cluster.c (observe) and outlier.c.
 */
#include "worker/upstream/eject.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "shared/base/log.h"
#include "worker/upstream/window.h"

/* The word: until when it is out, ms (ejection_until()); how often it was, lately; whether its return is still to be told; the
 * mark: 0, or when it was set. */
enum { MARK_BITS = 10, TOLD_BIT = 10, TIMES_SHIFT = 11, TIMES_MOST = 127 };
enum { MARK_UNIT_MS = 128, MARK_LIFE = 8, MARKS = 1023, SPARED_MS = 100, LATE_MS = 60000, WHY_MAX = 128 };
#define MARK_MASK ((UINT64_C(1) << MARK_BITS) - 1)
#define UNTOLD (UINT64_C(1) << TOLD_BIT)
_Static_assert(TIMES_SHIFT + 7 == EJECTION_SHIFT, "the word's fields lie side by side");

static uint64_t mark_now(uint64_t now_ms)
{
    return 1 + now_ms / MARK_UNIT_MS % MARKS;
}

static bool mark_is_live(uint64_t word, uint64_t now_ms)
{
    uint64_t mark = word & MARK_MASK;
    return mark && (mark_now(now_ms) + MARKS - mark) % MARKS < MARK_LIFE;
}

static unsigned times_of(uint64_t word)
{
    return (unsigned)(word >> TIMES_SHIFT) & TIMES_MOST;
}

unsigned eject_times(const struct endpoint_cell *cell)
{
    return times_of(atomic_load(&cell->ejection));
}

/* --- may it? --- */

struct others {
    unsigned out; /* or about to be */
    unsigned fit;
};

static struct others look_at_others(const struct endpoint *endpoint, uint64_t now_ms)
{
    struct others others = {0, 0};
    const struct cluster *cluster = endpoint->cluster;
    for (unsigned i = 0; i < cluster->count; i++) {
        const struct endpoint *other = &cluster->endpoints[i];
        if (other == endpoint || !endpoint_is_open(other))
            continue;
        uint64_t word = atomic_load(&other->cell->ejection);
        if (ejection_until(word) > now_ms || mark_is_live(word, now_ms)) {
            others.out++;
            continue;
        }
        /* Who left a mark so long can't come back to it. */
        if ((word & MARK_MASK) &&
            !atomic_compare_exchange_strong(&other->cell->ejection, &word, word & ~MARK_MASK)) {
            others.out++;
            continue;
        }
        others.fit += endpoint_is_fit(other, now_ms);
    }
    return others;
}

static bool may_go(const struct cluster *cluster, struct others others)
{
    double percent = cluster->settings->ejection->max_percent;
    unsigned most = (unsigned)(cluster_present(cluster) * percent / 100);
    return others.out < (most ? most : 1) && (others.fit || percent >= 100);
}

/* --- out --- */

/* A time more than the last one, less one for each window since its end. */
static unsigned next_times(uint64_t word, const struct ejection_settings *settings, uint64_t now_ms)
{
    uint64_t rested = (now_ms - ejection_until(word)) / (uint64_t)settings->window;
    unsigned times = times_of(word);
    times = rested >= times ? 1 : times - (unsigned)rested + 1;
    return times < TIMES_MOST ? times : TIMES_MOST;
}

/* True: marked by us, and `*word` is what stands there now. */
static bool set_mark(struct endpoint *endpoint, uint64_t *word, uint64_t now_ms)
{
    uint64_t before = atomic_load(&endpoint->cell->ejection);
    if (ejection_until(before) > now_ms || mark_is_live(before, now_ms))
        return false;
    *word = (before & ~MARK_MASK) | mark_now(now_ms);
    return atomic_compare_exchange_strong(&endpoint->cell->ejection, &before, *word);
}

static void tell(const struct endpoint *endpoint, uint64_t ms, const char *why)
{
    const struct cluster *cluster = endpoint->cluster;
    unsigned left = cluster_fit(cluster);
    log_warning("upstream %s: %s is ejected for %" PRIu64 ".%" PRIu64
                " s: %s (%u of %u endpoints are left%s)",
                cluster->settings->name, endpoint->text, ms / 1000, ms % 1000 / 100, why, left,
                cluster_present(cluster), left || !cluster->settings->panic ? "" : ": all are tried");
}

bool eject(struct endpoint *endpoint, const char *format, ...)
{
    struct worker *worker = endpoint->cluster->worker;
    const struct ejection_settings *settings = endpoint->cluster->settings->ejection;
    uint64_t now_ms = worker->loop.now_ms, word;
    if (now_ms < endpoint->spared_until || !set_mark(endpoint, &word, now_ms))
        return false;
    if (!may_go(endpoint->cluster, look_at_others(endpoint, now_ms))) {
        uint64_t marked = word;
        atomic_compare_exchange_strong(&endpoint->cell->ejection, &marked, word & ~MARK_MASK);
        endpoint->spared_until = now_ms + SPARED_MS;
        stat_add(worker->stats, STAT_EJECTIONS_SPARED, 1);
        return false;
    }
    unsigned times = next_times(word, settings, now_ms);
    uint64_t ms = (uint64_t)settings->time * times, most = (uint64_t)settings->max_time;
    ms = ms < most ? ms : most;
    uint64_t out = (now_ms + ms) << EJECTION_SHIFT | (uint64_t)times << TIMES_SHIFT | UNTOLD;
    if (!atomic_compare_exchange_strong(&endpoint->cell->ejection, &word, out))
        return false;
    /* When it is back it begins anew. */
    atomic_store(&endpoint->cell->errors, 0);
    atomic_store(&endpoint->cell->broken_off, 0);
    window_clear(endpoint->cell);
    stat_add(worker->stats, STAT_EJECTIONS, 1);
    char why[WHY_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    tell(endpoint, ms, why);
    return true;
}

void eject_tell_return(struct endpoint *endpoint)
{
    const struct cluster *cluster = endpoint->cluster;
    uint64_t word = atomic_load(&endpoint->cell->ejection);
    if (!(word & UNTOLD) || ejection_until(word) > cluster->worker->loop.now_ms)
        return;
    if (!atomic_compare_exchange_strong(&endpoint->cell->ejection, &word, word & ~UNTOLD))
        return; /* it is being ejected again, or the next look tells it */
    if (ejection_until(word) + LATE_MS < cluster->worker->loop.now_ms)
        return; /* nobody looked meanwhile: the settings had no ejection */
    stat_add(cluster->worker->stats, STAT_RETURNS, 1);
    log_notice("upstream %s: %s is back after its ejection (%u of %u endpoints are left)",
               cluster->settings->name, endpoint->text, cluster_fit(cluster), cluster_present(cluster));
}

/* --- what comes of calls --- */

static bool is_error(const struct ejection_settings *settings, const struct observation *observation)
{
    unsigned status = observation->status;
    if (observation->outcome != OUTCOME_FAILED)
        return false;
    switch ((enum ejection_errors)settings->errors) {
    case EJECTION_5XX:
        return true;
    case EJECTION_GATEWAY:
        return status == 0 || (status >= 502 && status <= 504);
    case EJECTION_CONNECTION:
        return status == 0;
    }
    return true;
}

static bool uses_window(const struct ejection_settings *settings)
{
    return settings->ratio > 0 || settings->deviation > 0 || settings->slow > 0;
}

static void look_at_ratio(struct endpoint *endpoint, uint64_t now_ms)
{
    const struct ejection_settings *settings = endpoint->cluster->settings->ejection;
    struct window_sum sum = window_sum(endpoint->cell, (uint64_t)settings->window, now_ms);
    uint64_t total = sum.good + sum.bad;
    if (total >= (uint64_t)settings->volume && (double)sum.bad * 100 >= settings->ratio * (double)total)
        eject(endpoint, "%" PRIu64 " errors in %" PRIu64 " calls", sum.bad, total);
}

/* Counts an error of those in a row; true: it is ejected. Answers that break off have a row of their own, as their heads
 * were good. Exactly one call of the node is the last of a row. */
static bool count_error(struct endpoint *endpoint, bool broke_off)
{
    struct endpoint_cell *cell = endpoint->cell;
    int64_t most = endpoint->cluster->settings->ejection->consecutive;
    _Atomic uint32_t *row = broke_off ? &cell->broken_off : &cell->errors;
    uint32_t count = atomic_fetch_add_explicit(row, 1, memory_order_relaxed) + 1;
    if (!most || count % most != 0)
        return false;
    return broke_off ? eject(endpoint, "%" PRIu32 " answers in a row broke off", count)
                     : eject(endpoint, "%" PRIu32 " errors in a row", count);
}

void eject_observe(struct endpoint *endpoint, const struct observation *observation)
{
    struct endpoint_cell *cell = endpoint->cell;
    const struct ejection_settings *settings = endpoint->cluster->settings->ejection;
    uint64_t now_ms = endpoint->cluster->worker->loop.now_ms;
    bool bad = is_error(settings, observation);
    if (observation->outcome == OUTCOME_LEFT ||
        ejection_until(atomic_load_explicit(&cell->ejection, memory_order_relaxed)) > now_ms)
        return; /* it says nothing, or is of before */
    if (uses_window(settings))
        window_add(cell, (uint64_t)settings->window, now_ms, !bad, observation->latency_ns / 1000);
    if (!bad) {
        if (atomic_load_explicit(&cell->errors, memory_order_relaxed))
            atomic_store_explicit(&cell->errors, 0, memory_order_relaxed);
        return;
    }
    if (count_error(endpoint, observation->broke_off))
        return;
    if (settings->ratio > 0)
        look_at_ratio(endpoint, now_ms);
}
