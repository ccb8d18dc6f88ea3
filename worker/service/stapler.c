/* stapler: called by the keeper, on its loop. A fetch is a POST (RFC 6960, appendix A.1); a responder is a name, looked up each
 * time: it is asked twice a day.
 */
#include "worker/service/stapler.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "shared/base/clock.h"
#include "shared/base/log.h"
#include "shared/shm/staples.h"
#include "worker/net/tls_server.h"
#include "worker/net/tls_staple.h"
#include "worker/request/site.h"
#include "worker/service/fetch.h"
#include "worker/upstream/spread.h"

enum {
    TIMEOUT_MS = 15000,
    LEAST_MS = 60000,
    MOST_MS = 12 * 3600 * 1000,
    AGAIN_MOST_MS = 3600 * 1000,
    JITTER = 10, /* percent */
};

/* A certificate, and what is under way for it. */
struct stapling {
    struct fetch fetch;
    struct fetch_order order;
    struct stapler *stapler;
    const struct tls_identity *identity;
    struct staple_cell *cell;
    struct url url;     /* the responder's */
    struct timer timer; /* the next fetch */
    unsigned failures;  /* in a row */
};

struct stapler {
    struct worker *worker;
    struct dns *dns;
    struct stapling *staplings;
    unsigned count;
};

uint64_t stapler_next(int64_t now, int64_t until)
{
    int64_t half = until > now ? (until - now) * 1000 / 2 : 0;
    return half < LEAST_MS ? LEAST_MS : half > MOST_MS ? MOST_MS : (uint64_t)half;
}

uint64_t stapler_again(unsigned failures)
{
    uint64_t ms = (uint64_t)LEAST_MS << (failures < 8 ? failures - (failures > 0) : 7);
    return ms < AGAIN_MOST_MS ? ms : AGAIN_MOST_MS;
}

static int64_t seconds_now(const struct stapling *stapling)
{
    return (int64_t)(stapling->stapler->worker->loop.wall_ns / NS_PER_SECOND);
}

/* --- the end of a fetch --- */

static void set_next(struct stapling *stapling, uint64_t ms)
{
    struct worker *worker = stapling->stapler->worker;
    timer_set(&worker->loop.timers, &stapling->timer,
              worker->loop.now_ms + spread_jitter(&worker->random, ms, JITTER));
}

/* Until when the one that is there may be sent; 0: there is none. */
static int64_t lasts(const struct stapling *stapling)
{
    struct staple staple;
    uint64_t seen;
    bool there = staple_read(stapling->cell, &staple, &seen) && staple.until > seconds_now(stapling);
    return there ? staple.until : 0;
}

static void failed(struct stapling *stapling, const char *why)
{
    char text[CLOCK_RFC3339_SIZE] = "";
    int64_t until = lasts(stapling);
    uint64_t ms = stapler_again(++stapling->failures);
    if (until)
        clock_rfc3339((uint64_t)until * NS_PER_SECOND, text);
    log_warning("certificate %s: no OCSP response from %s: %s (%s%s; asked again within %" PRIu64 " s)",
                stapling->identity->settings->cert, stapling->identity->responder, why,
                until ? "the one there is lasts until " : "none is sent", text, ms / 1000);
    stat_add(stapling->stapler->worker->stats, STAT_STAPLES_FAILED, 1);
    set_next(stapling, ms);
}

static void judge(struct stapling *stapling)
{
    struct fetch *fetch = &stapling->fetch;
    struct staple staple = {0};
    const char *why;
    char text[CLOCK_RFC3339_SIZE];
    if (tls_staple_check(stapling->identity, buf_str(&fetch->body), seconds_now(stapling), &staple.until,
                         fetch->arena, &why) != TLS_STAPLE_GOOD) {
        failed(stapling, why);
        return;
    }
    memcpy(staple.der, fetch->body.data, fetch->body.length);
    staple.length = fetch->body.length;
    staple_publish(stapling->cell, &staple);
    clock_rfc3339((uint64_t)staple.until * NS_PER_SECOND, text);
    log_info("certificate %s: the OCSP response of %s is good until %s", stapling->identity->settings->cert,
             stapling->identity->responder, text);
    stat_add(stapling->stapler->worker->stats, STAT_STAPLES, 1);
    stapling->failures = 0;
    set_next(stapling, stapler_next(seconds_now(stapling), staple.until));
}

static void on_fetched(struct fetch *fetch, enum fetch_end end)
{
    struct stapling *stapling = CONTAINER_OF(fetch, struct stapling, fetch);
    bool nothing = end == FETCH_ANSWERED && fetch->body.length == 0;
    if (end == FETCH_CUT) /* it says nothing of the responder */
        set_next(stapling, LEAST_MS);
    else if (end == FETCH_FAILED)
        failed(stapling, fetch->why);
    else if (fetch->head->status != 200 || nothing)
        failed(stapling, arena_printf(fetch->arena, "it answered %u%s", fetch->head->status,
                                      fetch->head->status == 200 ? " with nothing" : ""));
    else
        judge(stapling);
    fetch_put_down(fetch);
}

/* --- asking --- */

static void begin(struct stapling *stapling)
{
    struct arena *arena = fetch_begin(&stapling->fetch);
    stapling->order = (struct fetch_order){
        .url = &stapling->url,
        .method = METHOD_POST,
        .fields = STR("Accept: application/ocsp-response\r\nContent-Type: application/ocsp-request\r\n"),
        .body = tls_staple_question(stapling->identity, arena),
        .most = STAPLE_BYTES,
        .timeout = TIMEOUT_MS,
    };
    fetch_start(&stapling->fetch, &stapling->order);
}

static void on_timer(struct timer *timer)
{
    struct stapling *stapling = CONTAINER_OF(timer, struct stapling, timer);
    if (!fetch_is_free(&stapling->fetch)) /* the last question for its address still has no answer */
        set_next(stapling, LEAST_MS);
    else if (!stapling->stapler->worker->service.draining)
        begin(stapling);
}

/* --- the beginning --- */

static void start(struct stapler *stapler, const struct tls_identity *identity, struct arena *arena)
{
    struct worker *worker = stapler->worker;
    struct stapling *stapling = &stapler->staplings[stapler->count];
    *stapling = (struct stapling){
        .stapler = stapler,
        .identity = identity,
        .cell = staples_cell(worker->shared->staples, worker->generation->cells[identity->staple_want]),
    };
    for (unsigned i = 0; i < stapler->count; i++)
        if (stapler->staplings[i].cell == stapling->cell)
            return; /* the same certificate, on another listener */
    const char *why = url_parse(&stapling->url, str_of(identity->responder), arena);
    if (why) {
        log_warning("certificate %s: nothing is fetched from its OCSP responder \"%s\": %s",
                    identity->settings->cert, identity->responder, why);
        return;
    }
    fetch_init(&stapling->fetch, worker, stapler->dns, on_fetched);
    timer_init(&stapling->timer, on_timer);
    stapler->count++;
    int64_t until = lasts(stapling); /* what an earlier keeper has fetched */
    if (until)
        set_next(stapling, stapler_next(seconds_now(stapling), until));
    else
        timer_set(&worker->loop.timers, &stapling->timer, worker->loop.now_ms);
}

struct stapler *stapler_start(struct worker *worker, struct arena *arena)
{
    unsigned wanted = worker->generation->wants.of_kind[WANT_STAPLE], count;
    const char *why = NULL;
    if (wanted == 0)
        return NULL;
    struct stapler *stapler = arena_zalloc(arena, sizeof *stapler);
    stapler->worker = worker;
    stapler->staplings = arena_array(arena, wanted, sizeof *stapler->staplings);
    stapler->dns = dns_new(&worker->loop, &worker->site->settings->resolver, &why);
    if (!stapler->dns) {
        log_error("OCSP responders can't be looked up: %s: no response is fetched", why);
        return NULL;
    }
    for (unsigned i = 0; i < worker->site->settings->listeners.count; i++) {
        count = 0;
        const struct tls_identity *identities =
            worker->site->tls[i] ? tls_server_identities(worker->site->tls[i], &count) : NULL;
        for (unsigned j = 0; j < count; j++)
            if (identities[j].staple_want >= 0)
                start(stapler, &identities[j], arena);
    }
    return stapler;
}

void stapler_close(struct stapler *stapler)
{
    if (!stapler)
        return;
    for (unsigned i = 0; i < stapler->count; i++) {
        fetch_put_down(&stapler->staplings[i].fetch);
        timer_clear(&stapler->worker->loop.timers, &stapler->staplings[i].timer);
    }
    dns_free(&stapler->dns);
}
