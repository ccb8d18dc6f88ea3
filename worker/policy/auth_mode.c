/* auth_mode: whether all schemes of a route must accept a request, or any one of them. It says so before the first of them
 * (this policy is listed before them), and asks what they came to behind the last.
 */
#include "worker/request/identity.h"
#include "worker/request/request.h"

struct auth_mode_settings {
    struct origin origin;
    int mode;
};

enum mode { MODE_ALL, MODE_ANY };

static const char *const modes[] = {"all", "any", NULL};

static const struct row rows[] = {
    ROW_(ROW_WORD, struct auth_mode_settings, mode, .fallback = "all", .words = modes,
         .help = "of several schemes on a route: each must accept, or the first that accepts is enough"),
    ROW_END,
};

static const struct section section = {
    .name = "auth_mode", .size = sizeof(struct auth_mode_settings), .rows = rows, .shorthand = "mode"};

static const void *compile_begin(struct compiler *compiler __attribute__((unused)), const void *conf)
{
    const struct auth_mode_settings *settings = conf;
    return settings->mode == MODE_ANY ? settings : NULL;
}

/* Where no scheme stands, as on a route of an API that says "any" for all its routes, there is nobody to ask for. */
static const void *compile_end(struct compiler *compiler, const void *conf)
{
    bool schemes = false;
    for (unsigned i = 0; i < compiler->link_count; i++)
        schemes |= compiler->links[i].policy->challenge != NULL;
    return schemes ? compile_begin(compiler, conf) : NULL;
}

static enum verdict begin(struct request *request, const void *compiled __attribute__((unused)))
{
    identity_begin_any(request);
    return VERDICT_NEXT;
}

static enum verdict end(struct request *request, const void *compiled __attribute__((unused)))
{
    return identity_end_any(request);
}

static const struct policy end_part = {
    .name = "auth_mode", .stage = STAGE_AUTHORISE, .compile = compile_end, .on_request = end};

const struct policy policy_auth_mode = {
    .name = "auth_mode",
    .help = "whether a request must satisfy all schemes of the route or any of them",
    .stage = STAGE_IDENTIFY,
    .section = &section,
    .also = &end_part,
    .compile = compile_begin,
    .on_request = begin,
};
