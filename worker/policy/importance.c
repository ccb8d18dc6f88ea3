/* importance: which requests are refused first when the worker is overloaded (shed.c). */
#include "worker/request/request.h"

struct importance_settings {
    struct origin origin;
    int level; /* enum importance */
};

/* By enum importance. */
static const char *const words[] = {"normal", "low", "high", NULL};

static const struct row rows[] = {
    ROW_(ROW_WORD, struct importance_settings, level, .fallback = "normal", .words = words,
         .help = "low: refused first; normal: when that isn't enough; high: never"),
    ROW_END,
};

static const struct section section = {
    .name = "importance", .size = sizeof(struct importance_settings), .rows = rows, .shorthand = "level"};

static const void *compile(struct compiler *compiler, const void *conf)
{
    const struct importance_settings *settings = conf;
    bool matters = shed_is_on(&compiler->settings->shed) && settings->level != IMPORTANCE_NORMAL;
    return matters ? conf : NULL;
}

static enum verdict on_request(struct request *request, const void *compiled)
{
    const struct importance_settings *settings = compiled;
    request->importance = (enum importance)settings->level;
    return VERDICT_NEXT;
}

const struct policy policy_importance = {
    .name = "importance",
    .help = "which requests are refused first when the gateway is overloaded (`shed`)",
    .stage = STAGE_EDGE,
    .section = &section,
    .compile = compile,
    .on_request = on_request,
};
