/* worker: the role that carries the traffic. */
#include <stdlib.h>

#include "worker/net/tls_server.h"
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

static void wipe_keys(const struct generation *generation)
{
    for (unsigned i = 0; i < generation->settings->listeners.count; i++)
        if (generation->site->tls[i])
            tls_server_wipe(generation->site->tls[i]);
}

const struct generation_kind role_generation_kind = {
    .extensions = policy_extensions, .compile = compile, .wipe_keys = wipe_keys, .each_name = each_name};

static void open_tickets(const struct process *process)
{
    const struct generation *generation = process->generation;
    for (unsigned i = 0; i < generation->settings->listeners.count; i++)
        if (generation->site->tls[i])
            tls_server_open_tickets(generation->site->tls[i], process->shared->tickets,
                                    generation->settings->tls.ticket_lifetime);
}

int worker_main(struct process *process)
{
    struct engine *engine = malloc(sizeof *engine);
    if (!engine)
        abort();
    open_tickets(process);
    int status = engine_init(engine, process) < 0 ? 1 : engine_run(engine);
    free(engine);
    return status;
}
