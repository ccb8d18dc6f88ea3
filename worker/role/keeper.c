/* keeper: the role without traffic: it answers the admin socket, and saves what is to outlive the program. */
#include <stdlib.h>

#include "worker/role/engine.h"
#include "worker/role/saver.h"
#include "worker/role/status.h"

int keeper_main(struct process *process)
{
    struct engine *engine = malloc(sizeof *engine);
    struct saver saver;
    if (!engine)
        abort();
    int status = 1;
    if (engine_init(engine, process) == 0 && saver_start(&saver, process, &engine->worker.loop) == 0) {
        engine->worker.admin = status_answer;
        status = engine_run(engine);
        saver_finish(&saver);
    }
    free(engine);
    return status;
}
