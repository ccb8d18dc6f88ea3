/* retry: whether a call is tried again. Called by call.c and hedge.c. */
#include "worker/upstream/retry.h"

#include "shared/base/clock.h"
#include "shared/shm/upstreams.h"
#include "worker/codec/grpc.h"
#include "worker/upstream/breaking.h"
#include "worker/upstream/call.h"

/* --- at load --- */

static unsigned idempotent(void)
{
    unsigned methods = 0;
    for (enum method method = METHOD_GET; method < METHOD_OTHER; method++)
        methods |= method_idempotent(method) ? 1u << method : 0;
    return methods;
}

static unsigned compile_methods(const struct retry_settings *retry, struct errors *errors)
{
    unsigned methods = retry->methods.count ? 0 : idempotent();
    for (unsigned i = 0; i < retry->methods.count; i++) {
        enum method method = method_of(str_of(retry->methods.items[i]));
        if (method == METHOD_OTHER || method == METHOD_CONNECT)
            errors_add(errors, retry->origin,
                       "retry.methods[%u]: \"%s\" can't be tried again (write GET, HEAD, POST, PUT, DELETE, "
                       "PATCH, OPTIONS or TRACE)",
                       i, retry->methods.items[i]);
        else
            methods |= 1u << method;
    }
    return methods;
}

static unsigned compile_grpc(const struct retry_settings *retry, struct errors *errors)
{
    unsigned statuses = 0;
    for (unsigned i = 0; i < retry->grpc.count; i++) {
        enum grpc_status status;
        if (!grpc_status_of_name(str_of(retry->grpc.items[i]), &status) || status == GRPC_OK)
            errors_add(errors, retry->origin,
                       "retry.grpc[%u]: \"%s\" is no failure of gRPC (write unavailable, "
                       "resource_exhausted, aborted …)",
                       i, retry->grpc.items[i]);
        else
            statuses |= 1u << status;
    }
    return statuses;
}

const struct retrying *retry_compile(const struct upstream_settings *upstream, struct arena *arena,
                                     struct errors *errors)
{
    const struct retry_settings *retry = &upstream->retry;
    unsigned methods = compile_methods(retry, errors), grpc = compile_grpc(retry, errors);
    if (retry->attempts <= 1 && !retry->per_try && !upstream->hedge)
        return NULL;
    struct retrying *retrying = arena_zalloc(arena, sizeof *retrying);
    *retrying = (struct retrying){
        .attempts = (unsigned)retry->attempts,
        .on = retry->on_bits,
        .methods = methods,
        .grpc = grpc,
        .statuses = retry->statuses,
        .per_try = (uint64_t)retry->per_try,
        .base = (uint64_t)retry->backoff.base,
        .cap = (uint64_t)retry->backoff.cap,
        .retry_after = (uint64_t)retry->retry_after,
        .budget = {retry->budget.ratio, retry->budget.minimum, (uint64_t)retry->budget.window},
    };
    if (upstream->hedge) {
        retrying->hedge = true;
        retrying->hedge_delay = (uint64_t)upstream->hedge->delay;
        retrying->quantile = upstream->hedge->percentile / 100;
    }
    return retrying;
}

/* --- the body --- */

static size_t buffer_of(const struct call *call)
{
    return (size_t)call->cluster->settings->retry.buffer;
}

/* Room in steps that double, up to the most that is kept. */
static void make_room(struct call *call, struct replay *replay, size_t length)
{
    enum { FIRST = 1024 };
    size_t size = replay->size ? replay->size : FIRST;
    if (length <= replay->size - replay->length)
        return;
    while (size - replay->length < length)
        size *= 2;
    if (size > buffer_of(call))
        size = buffer_of(call);
    char *data = arena_alloc(call->arena, size);
    if (replay->length)
        memcpy(data, replay->data, replay->length);
    replay->data = data;
    replay->size = size;
}

void replay_add(struct call *call, const char *data, size_t length, bool last)
{
    struct replay *replay = call->replay;
    replay->last = last;
    if (replay->lost || length > buffer_of(call) - replay->length) {
        replay->lost = true;
        return;
    }
    if (!length)
        return;
    make_room(call, replay, length);
    memcpy(replay->data + replay->length, data, length);
    replay->length += length;
}

bool retry_can_replay(const struct call *call)
{
    return !call->body_begun || (call->replay && !call->replay->lost);
}

/* --- the decision --- */

bool retry_take_budget(struct call *call)
{
    struct cluster *cluster = call->cluster;
    if (budget_take(&cluster->cell->budget, &call->retrying->budget, cluster->worker->loop.now_ms,
                    &cluster->payer))
        return true;
    stat_add(cluster->worker->stats, STAT_RETRIES_REFUSED, 1);
    return false;
}

/* Full jitter: what failed together doesn't come again together. */
static uint64_t back_off(const struct call *call)
{
    enum { SHIFTS = 16 };
    const struct retrying *retrying = call->retrying;
    unsigned shift = call->attempt < SHIFTS ? call->attempt : SHIFTS;
    uint64_t most = retrying->base << shift;
    most = most < retrying->cap ? most : retrying->cap;
    return most ? random_below(&call->cluster->worker->random, most + 1) : 0;
}

/* The conditions that all tries have, the budget last: what it gave is not given back. */
static bool may_go(struct call *call, uint64_t least_ms, uint64_t *delay_ms)
{
    const struct loop *loop = &call->cluster->worker->loop;
    const struct retrying *retrying = call->retrying;
    if (call->attempt + 1 >= retrying->attempts || !retry_can_replay(call))
        return false;
    if (call->breaking && !breaker_passes(breaking_cell(call->cluster->worker, call->breaking)))
        return false;
    *delay_ms = back_off(call);
    if (*delay_ms < least_ms)
        *delay_ms = least_ms;
    uint64_t end = call->total.deadline;
    if (end && loop->now_ms + *delay_ms >= end)
        return false;
    return retry_take_budget(call);
}

static bool takes_method(const struct call *call)
{
    return call->retrying->methods >> call->method & 1;
}

bool retry_failure(struct call *call, unsigned on, uint64_t *delay_ms)
{
    const struct retrying *retrying = call->retrying;
    if (!retrying || call->primary || !(retrying->on & on))
        return false;
    if (on != RETRY_CONNECT && !takes_method(call)) /* then nothing was sent */
        return false;
    return may_go(call, 0, delay_ms);
}

static bool wants_status(const struct call *call, const struct response_head *head)
{
    const struct retrying *retrying = call->retrying;
    for (unsigned i = 0; i < retrying->statuses.count; i++)
        if (retrying->statuses.items[i] == (int64_t)head->status)
            return takes_method(call);
    return false;
}

/* What a server says in the head alone it says before it has done anything for the caller (gRFC A6), or such calls may be
 * done twice: whoever names the status here says so. The method is always POST. */
static bool wants_grpc(const struct call *call, const struct response_head *head)
{
    const struct field *field = fields_get(&head->fields, FIELD_GRPC_STATUS);
    return call->grpc && field && call->retrying->grpc >> grpc_status_parse(field->value) & 1;
}

/* grpc-retry-pushback-ms (gRFC A6). What is no such number, a negative one too, asks not to try again. */
static uint64_t pushback(const struct fields *fields)
{
    const struct field *field = fields_find(fields, STR("grpc-retry-pushback-ms"));
    uint64_t ms = 0;
    return field && !str_to_u64(field->value, UINT32_MAX, &ms) ? UINT64_MAX : ms;
}

bool retry_answer(struct call *call, const struct response_head *head, uint64_t *delay_ms)
{
    const struct retrying *retrying = call->retrying;
    uint64_t asked;
    if (!retrying || call->primary)
        return false;
    if (wants_grpc(call, head))
        asked = pushback(&head->fields);
    else if (wants_status(call, head))
        asked = retry_after_ms(&head->fields, call->cluster->worker->loop.wall_ns);
    else
        return false;
    return asked <= retrying->retry_after && may_go(call, asked, delay_ms);
}

uint64_t retry_after_ms(const struct fields *fields, uint64_t wall_ns)
{
    enum { MOST = 365 * 86400 };
    const struct field *field = fields_find(fields, STR("Retry-After"));
    if (!field)
        return 0;
    struct str value = str_trim(field->value);
    uint64_t seconds = 0;
    for (size_t i = 0; i < value.length; i++) {
        if (value.data[i] < '0' || value.data[i] > '9')
            return clock_parse_http(value, &seconds) && seconds > wall_ns / NS_PER_SECOND
                       ? (seconds - wall_ns / NS_PER_SECOND) * 1000
                       : 0;
        seconds = seconds * 10 + (uint64_t)(value.data[i] - '0');
        seconds = seconds < MOST ? seconds : MOST;
    }
    return seconds * 1000;
}
