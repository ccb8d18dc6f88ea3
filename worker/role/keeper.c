/* keeper: the role without traffic: it looks names up, probes the endpoints, fetches OCSP responses and the keys of issuers, answers the admin
 * socket, and saves what is to outlive the program.
 *
 * It is READY when the names of its generation have their first answers, so that requests find them from the beginning.
 */
#include <stdlib.h>

#include "worker/role/admin.h"
#include "worker/role/engine.h"
#include "worker/role/override.h"
#include "worker/role/saver.h"
#include "worker/service/jwks.h"
#include "worker/service/resolver.h"
#include "worker/service/stapler.h"
#include "worker/upstream/outlier.h"
#include "worker/upstream/prober.h"

struct keeper {
    struct engine engine;
    struct saver saver;
    struct resolver *resolver; /* NULL: nothing to look up */
    struct stapler *stapler;   /* NULL: nothing to fetch */
};

static void on_resolved(void *owner)
{
    struct keeper *keeper = owner;
    member_ready(&keeper->engine.member);
}

/* The keeper before this one is gone by now: one looks up, and one probes. */
static void on_go(struct engine *engine)
{
    struct outliers *outliers = arena_alloc(engine->arena, sizeof *outliers);
    override_prune(&engine->worker);
    prober_start(&engine->worker, engine->arena);
    outliers_start(outliers, &engine->worker, engine->arena);
    struct keeper *keeper = CONTAINER_OF(engine, struct keeper, engine);
    resolver_go(keeper->resolver);
    keeper->stapler = stapler_start(&engine->worker, engine->arena);
    engine->worker.jwks = jwks_start(&engine->worker, engine->arena);
}

static void on_end(struct engine *engine)
{
    struct keeper *keeper = CONTAINER_OF(engine, struct keeper, engine);
    jwks_close(engine->worker.jwks);
    stapler_close(keeper->stapler);
    resolver_close(keeper->resolver);
}

/* False: it can't be, and the master knows why. */
static bool start(struct keeper *keeper, struct process *process)
{
    struct engine *engine = &keeper->engine;
    const char *why;
    if (engine_init(engine, process) < 0 || saver_start(&keeper->saver, process, &engine->worker.loop) < 0)
        return false;
    engine->worker.admin = admin_answer;
    engine->on_go = on_go;
    keeper->stapler = NULL;
    engine->on_end = on_end;
    keeper->resolver = resolver_new(&engine->worker, engine->arena, on_resolved, keeper, &why);
    engine->ready_later = keeper->resolver;
    if (why)
        member_failed(process, "names can't be looked up: %s", why);
    return !why;
}

int keeper_main(struct process *process)
{
    struct keeper *keeper = malloc(sizeof *keeper);
    if (!keeper)
        abort();
    int status = 1;
    if (start(keeper, process)) {
        status = engine_run(&keeper->engine);
        saver_finish(&keeper->saver);
    }
    free(keeper);
    return status;
}
