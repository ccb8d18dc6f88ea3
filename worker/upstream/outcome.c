/* outcome: what came of a try, for those that learn from it: the endpoint, its balancer, the breaker, the limit on calls in
 * progress, the time after which a second try is made. Called by call.c and attempt.c.
 */
#include "shared/shm/quantile.h"
#include "shared/shm/upstreams.h"
#include "worker/codec/grpc.h"
#include "worker/upstream/breaking.h"
#include "worker/upstream/call_state.h"

/* A good answer: how long its kind takes. To a second try it took since the first was sent. */
static void learn(struct call *call, uint64_t latency_ns)
{
    struct cluster *cluster = call->cluster;
    struct worker *worker = cluster->worker;
    const struct retrying *retrying = call->retrying;
    if (retrying && retrying->hedge && !retrying->hedge_delay) {
        uint64_t since = call->primary ? worker->loop.now - call->primary->asked : latency_ns;
        quantile_add(&cluster->cell->latency, retrying->quantile, since / 1000);
    }
    if (cluster->adaptive.most)
        gradient_add(&cluster->cell->gradient, &cluster->adaptive, worker->loop.now_ms,
                     call->began / NS_PER_MS, latency_ns / 1000,
                     (double)(random_next(&worker->random) >> 11) * 0x1p-53);
}

/* An answer that breaks off later says nothing of the time; nor does what was given up before the endpoint had all of
 * the request. */
void call_observe(struct call *call, enum outcome outcome, unsigned status)
{
    if (!call->endpoint || (outcome == OUTCOME_LEFT && call->asking))
        return;
    struct observation observation = {
        .outcome = outcome,
        .status = status,
        .latency_ns = call->unjudged   ? call->headed - call->asked
                      : call->answered ? 0
                                       : call->cluster->worker->loop.now - call->asked,
        .broke_off = call->answered && !call->unjudged,
    };
    endpoint_observe(call->endpoint, &observation);
    if (outcome == OUTCOME_ANSWERED)
        learn(call, observation.latency_ns);
}

void call_judge(struct call *call, unsigned status, const char *detail, uint64_t retry_after)
{
    if (!call->breaking)
        return;
    struct breaking_result result = {
        .ticket = call->ticket,
        .began_ms = call->began / NS_PER_MS,
        .endpoint = call->last ? call->last->text : NULL,
        .status = status,
        .detail = detail,
        .retry_after_ms = retry_after,
    };
    call->ticket = 0;
    breaking_tell(call->cluster->worker, call->breaking, &result);
}

/* --- what answers say --- */

static void answered(struct call *call, unsigned status, const char *detail, uint64_t retry_after)
{
    call_observe(call, status < 500 ? OUTCOME_ANSWERED : OUTCOME_FAILED, status);
    call_judge(call, status, detail, retry_after);
    call->unjudged = false;
}

/* It ended the call at the caller's deadline, a moment before we do: that says as little of it as when we do (call.c, too_late()). */
static bool kept_deadline(const struct call *call, enum grpc_status grpc)
{
    enum { EARLY_MS = 100 }; /* its clock began with what grpc-timeout said, in whole units */
    return grpc == GRPC_DEADLINE_EXCEEDED && call->callers && call->total.deadline &&
           call->total.deadline <= call->cluster->worker->loop.now_ms + EARLY_MS;
}

/* A failure of a gRPC call is to breakers and outliers what HTTP has for it: see grpc_status_to_http(). */
static unsigned answered_by_grpc(struct call *call, enum grpc_status grpc, const char *detail)
{
    unsigned status = grpc_status_to_http(grpc);
    if (kept_deadline(call, grpc)) {
        call_observe(call, OUTCOME_LEFT, 0);
        call->unjudged = false;
    } else {
        answered(call, status, detail, 0);
    }
    return status;
}

/* Of a gRPC call it is told by the trailers, if the answer is more than a head; one of another kind, of somebody on the way,
 * counts as what it is. */
unsigned call_learn_head(struct call *call, const struct response_head *head, bool last)
{
    const struct field *field = call->grpc ? fields_get(&head->fields, FIELD_GRPC_STATUS) : NULL;
    bool asks = head->status == 503 || head->status == 429; /* for time, perhaps */
    uint64_t retry_after = 0;
    if (field) {
        enum grpc_status grpc = grpc_status_parse(field->value);
        return answered_by_grpc(call, grpc, grpc_status_name(grpc).data);
    }
    if (call->grpc && head->status == 200 && !last) {
        call->headed = call->cluster->worker->loop.now;
        call->unjudged = true;
        return head->status;
    }
    if (asks && call->breaking)
        retry_after = retry_after_ms(&head->fields, call->cluster->worker->loop.wall_ns);
    answered(call, head->status, NULL, retry_after);
    return head->status;
}

void call_learn_trailers(struct call *call, const struct fields *trailers)
{
    const struct field *field = trailers ? fields_get(trailers, FIELD_GRPC_STATUS) : NULL;
    enum grpc_status grpc = field ? grpc_status_parse(field->value) : GRPC_UNKNOWN; /* to the caller too */
    answered_by_grpc(call, grpc, field ? grpc_status_name(grpc).data : "no grpc-status");
}

/* It went well so far. */
void call_learn_left(struct call *call)
{
    answered(call, 200, NULL, 0);
}
