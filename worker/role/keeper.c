/* keeper: the role without traffic: it answers the admin socket. */
#include <stdlib.h>

#include "worker/role/engine.h"
#include "worker/role/status.h"

int keeper_main(struct process *process)
{
    struct engine *engine = malloc(sizeof *engine);
    if (!engine)
        abort();
    int status = 1;
    if (engine_init(engine, process) == 0) {
        engine->worker.admin = status_answer;
        status = engine_run(engine);
    }
    free(engine);
    return status;
}
