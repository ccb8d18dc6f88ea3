/* hsts: tells browsers that they are to come by TLS from now on (RFC 6797). On answers over TLS alone: on others it is
 * ignored, and must not be sent (section 7.2).
 */
#include "worker/request/request.h"

struct hsts_settings {
    struct origin origin;
    int64_t max_age; /* ms */
    bool subdomains, preload;
};

#define YEAR (365ll * 86400 * 1000)

static const struct row rows[] = {
    ROW_(ROW_DURATION, struct hsts_settings, max_age, .fallback = "1y", .min = 0, .max = 10 * YEAR,
         .help = "how long browsers remember it; 0: they forget it"),
    ROW_(ROW_FLAG, struct hsts_settings, subdomains, .fallback = "false",
         .help = "it holds for all names below this one too"),
    ROW_(ROW_FLAG, struct hsts_settings, preload, .fallback = "false",
         .help = "browsers may have it built in (see hstspreload.org); that can't be taken back soon"),
    ROW_END,
};

/* What the list of browsers wants of who asks to be on it. */
static void check(struct conf_loader *loader, void *structure)
{
    const struct hsts_settings *hsts = structure;
    if (hsts->preload && (!hsts->subdomains || hsts->max_age < YEAR))
        conf_error(loader, hsts->origin, "preload",
                   "needs subdomains = true and a max_age of \"1y\" or more: browsers take no other");
}

static const struct section section = {.name = "hsts",
                                       .size = sizeof(struct hsts_settings),
                                       .rows = rows,
                                       .shorthand = "max_age",
                                       .check = check};

static const void *compile(struct compiler *compiler, const void *conf)
{
    const struct hsts_settings *settings = conf;
    struct str *value = arena_alloc(compiler->arena, sizeof *value);
    *value = str_of(arena_printf(compiler->arena, "max-age=%lld%s%s", (long long)settings->max_age / 1000,
                                 settings->subdomains ? "; includeSubDomains" : "",
                                 settings->preload ? "; preload" : ""));
    return value;
}

static enum verdict on_response(struct request *request, const void *compiled)
{
    static const struct str name = {"Strict-Transport-Security", 25};
    struct fields *fields = &request->response.fields;
    if (!request->exchange->tls)
        return VERDICT_NEXT;
    for (unsigned i = 0; i < fields->count; i++)
        if (str_case_eq(fields->items[i].name, name))
            fields->items[i].name.length = 0; /* left out: browsers look at the first alone (section 8.1) */
    request_add_field(request, name, *(const struct str *)compiled);
    return VERDICT_NEXT;
}

const struct policy policy_hsts = {
    .name = "hsts",
    .help = "Strict-Transport-Security on answers over TLS",
    .stage = STAGE_OBSERVE, /* entered first: also on answers of other policies */
    .section = &section,
    .compile = compile,
    .on_response = on_response,
};
