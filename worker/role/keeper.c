/* keeper: the role without traffic: it answers the admin socket, probes the endpoints, and saves what is to outlive the
 * program. */
#include <stdlib.h>

#include "worker/role/admin.h"
#include "worker/role/engine.h"
#include "worker/role/override.h"
#include "worker/role/saver.h"
#include "worker/upstream/outlier.h"
#include "worker/upstream/prober.h"

/* The keeper before this one is gone by now: one probes. */
static void on_go(struct engine *engine)
{
    struct outliers *outliers = arena_alloc(engine->arena, sizeof *outliers);
    override_prune(&engine->worker);
    prober_start(&engine->worker, engine->arena);
    outliers_start(outliers, &engine->worker, engine->arena);
}

int keeper_main(struct process *process)
{
    struct engine *engine = malloc(sizeof *engine);
    struct saver saver;
    if (!engine)
        abort();
    int status = 1;
    if (engine_init(engine, process) == 0 && saver_start(&saver, process, &engine->worker.loop) == 0) {
        engine->worker.admin = admin_answer;
        engine->on_go = on_go;
        status = engine_run(engine);
        saver_finish(&saver);
    }
    free(engine);
    return status;
}
