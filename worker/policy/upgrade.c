/* upgrade: the route's requests may go on as other protocols than HTTP and WebSocket (RFC 9110, section 7.8). What goes
 * through such a tunnel isn't looked at.
 */
#include "shared/base/token.h"
#include "worker/request/request.h"

struct upgrade_settings {
    struct origin origin;
    struct conf_strings protocols;
    int64_t idle_timeout;
};

struct upgrade {
    struct tunnel_rules rules;
    const struct conf_strings *protocols;
};

static const struct row rows[] = {
    ROW_(ROW_STRINGS, struct upgrade_settings, protocols, .flags = ROW_REQUIRED,
         .help = "what Upgrade may ask for, in any case of letters; anything else in it is left out"),
    ROW_(ROW_DURATION, struct upgrade_settings, idle_timeout, .fallback = "10m", .min = 0, .max = 31622400000,
         .help = "ends a tunnel through which nothing went in either direction for so long; 0: never"),
    ROW_END,
};

static void check(struct conf_loader *loader, void *structure)
{
    const struct upgrade_settings *settings = structure;
    if (settings->protocols.count == 0)
        conf_error(loader, settings->origin, "protocols", "is empty (write the protocols, or leave it out)");
    for (unsigned i = 0; i < settings->protocols.count; i++) {
        struct str rest = str_of(settings->protocols.items[i]), name = str_cut(&rest, '/');
        if (!is_token(name) || (rest.data && !is_token(rest)))
            conf_error(loader, settings->origin, "protocols",
                       "\"%s\" is no name of a protocol (write \"name\" or \"name/version\")",
                       settings->protocols.items[i]);
        else if (str_case_eq(name, STR("websocket")))
            conf_error(loader, settings->origin, "protocols",
                       "WebSocket has a setting of its own (write websocket = true)");
        else if (str_case_eq(name, STR("h2c")) || str_case_eq(name, STR("TLS")) ||
                 str_case_eq(name, STR("HTTP")))
            conf_error(loader, settings->origin, "protocols",
                       "\"%s\" would carry requests past the gateway's rules", settings->protocols.items[i]);
    }
}

static const struct section section = {.name = "upgrade",
                                       .size = sizeof(struct upgrade_settings),
                                       .rows = rows,
                                       .shorthand = "protocols",
                                       .check = check};

static const void *compile(struct compiler *compiler, const void *conf)
{
    const struct upgrade_settings *settings = conf;
    struct upgrade *upgrade = arena_zalloc(compiler->arena, sizeof *upgrade);
    upgrade->rules.idle_timeout = (uint64_t)settings->idle_timeout;
    upgrade->protocols = &settings->protocols;
    return upgrade;
}

static void on_adopt(struct request *request, const void *compiled)
{
    const struct upgrade *upgrade = compiled;
    for (unsigned i = 0; request->head->upgrade.length && i < upgrade->protocols->count; i++)
        if (str_case_eq(request->head->upgrade, str_of(upgrade->protocols->items[i])))
            request->tunnel = &upgrade->rules;
}

static enum verdict on_request(struct request *request, const void *compiled)
{
    on_adopt(request, compiled);
    return VERDICT_NEXT;
}

const struct policy policy_upgrade = {
    .name = "upgrade",
    .help = "requests may go on as other protocols",
    .stage = STAGE_SHAPE,
    .section = &section,
    .compile = compile,
    .on_request = on_request,
    .on_adopt = on_adopt,
};
