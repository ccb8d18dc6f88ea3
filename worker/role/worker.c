/* worker: the role that carries the traffic. */
#include <stdlib.h>

#include "worker/policy/table.h"
#include "worker/request/request.h"
#include "worker/request/site.h"
#include "worker/role/engine.h"
#include "worker/upstream/balance.h"

static const struct site *compile(const struct settings *settings, struct wants *wants, struct arena *arena,
                                  struct errors *errors)
{
    const struct balancing *balancing = balancing_compile(settings, wants, arena, errors);
    return site_compile(settings, policy_table, &policy_admin, balancing, wants, arena, errors);
}

static void each_name(void (*tell)(void *context, const char *name, bool argument, const char *help),
                      void *context)
{
    for (const struct expr_name *name = request_names; name->word; name++)
        tell(context, name->word, name->argument, name->help);
}

const struct generation_kind role_generation_kind = {
    .extensions = policy_extensions, .compile = compile, .each_name = each_name};

int worker_main(struct process *process)
{
    struct engine *engine = malloc(sizeof *engine);
    if (!engine)
        abort();
    int status = engine_init(engine, process) < 0 ? 1 : engine_run(engine);
    free(engine);
    return status;
}
