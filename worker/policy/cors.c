/* cors: which pages of other origins may read the answers of a route (the CORS protocol of Fetch, section 3.2).
 *
 * Preflights are answered here, whether any route takes OPTIONS or not: they are routed as the requests that they come
 * before (worker/request/match.c), and no service sees them. It is entered before all that may refuse a request, so that a page
 * can read the gateway's own errors as well. What a service says of CORS is taken out: two that say something would allow
 * nothing, and one that reflects any origin would allow everything.
 */
#include "shared/base/token.h"
#include "worker/codec/web_origin.h"
#include "worker/request/grpc.h"
#include "worker/request/request.h"

struct cors_settings {
    struct origin origin;
    struct conf_strings origins, patterns, methods, headers, expose;
    bool credentials, private_network;
    int64_t max_age; /* ms */
};

struct cors {
    const struct cors_settings *settings;
    struct web_origins origins;
    struct str methods;        /* empty: the route takes any */
    struct str headers;        /* empty: those that are asked for, or none */
    struct str expose;         /* empty: none */
    struct str expose_to_grpc; /* the same, with what callers by gRPC-Web need */
    struct str max_age;
    bool any_header;
};

enum { NAMES_MAX = 4096 /* bytes of the names of a preflight */ };

static const struct row rows[] = {
    ROW_(ROW_STRINGS, struct cors_settings, origins,
         .help =
             "whose pages may read answers: \"https://app.example.com\", \"https://*.example.com\" (any name "
             "below), \"http://localhost:*\" (any port), \"null\", or \"*\" for all"),
    ROW_(ROW_STRINGS, struct cors_settings, patterns,
         .help = "the same as patterns (PCRE2) of whole origins"),
    ROW_(ROW_STRINGS, struct cors_settings, methods,
         .help =
             "methods that their requests may have, of those of the route; none: all that the route takes"),
    ROW_(ROW_STRINGS, struct cors_settings, headers, .fallback = "*",
         .help = "header fields that their requests may have; \"*\": any"),
    ROW_(ROW_STRINGS, struct cors_settings, expose,
         .help = "fields of answers that pages may read beside the seven that they always may; \"*\", "
                 "without credentials: all"),
    ROW_(ROW_FLAG, struct cors_settings, credentials, .fallback = "false",
         .help = "requests may come with cookies and client certificates; never with origins = \"*\""),
    ROW_(ROW_FLAG, struct cors_settings, private_network, .fallback = "false",
         .help = "pages of the public network may ask this gateway in a private one"),
    ROW_(ROW_DURATION, struct cors_settings, max_age, .fallback = "10m", .min = 0, .max = 86400000,
         .help =
             "how long a browser may remember what a preflight said; they have bounds of their own, some 2h"),
    ROW_END,
};

/* --- settings --- */

static bool has(const struct conf_strings *strings, const char *text)
{
    for (unsigned i = 0; i < strings->count; i++)
        if (strcmp(strings->items[i], text) == 0)
            return true;
    return false;
}

static void check_tokens(struct conf_loader *loader, struct origin origin, const char *setting,
                         const struct conf_strings *tokens, const char *what)
{
    for (unsigned i = 0; i < tokens->count; i++)
        if (!is_token(str_of(tokens->items[i])))
            conf_error(loader, origin, setting, "\"%s\" is no %s", tokens->items[i], what);
}

static void check(struct conf_loader *loader, void *structure)
{
    const struct cors_settings *settings = structure;
    struct origin origin = settings->origin;
    for (unsigned i = 0; i < settings->origins.count; i++) {
        const char *wrong = web_origin_wrong(str_of(settings->origins.items[i]));
        if (wrong)
            conf_error(loader, origin, "origins", "\"%s\" %s", settings->origins.items[i], wrong);
    }
    if (settings->origins.count + settings->patterns.count == 0)
        conf_error(loader, origin, NULL, "allows nobody (add origins)");
    if (settings->credentials && has(&settings->origins, "*"))
        conf_error(loader, origin, "credentials",
                   "can't be allowed to all origins: any page could act for its visitor (name the origins)");
    if (settings->credentials && has(&settings->origins, "null"))
        conf_error(loader, origin, "credentials",
                   "can't be allowed to \"null\": any page can be that (name the origins)");
    if (settings->credentials && has(&settings->expose, "*"))
        conf_error(loader, origin, "expose",
                   "\"*\" means nothing to browsers with credentials (name the fields)");
    check_tokens(loader, origin, "methods", &settings->methods, "method");
    check_tokens(loader, origin, "headers", &settings->headers, "name of a field");
    check_tokens(loader, origin, "expose", &settings->expose, "name of a field");
}

static const struct section section = {.name = "cors",
                                       .size = sizeof(struct cors_settings),
                                       .rows = rows,
                                       .shorthand = "origins",
                                       .check = check};

/* --- compiling --- */

/* "a, b, c": those that are in `of` too, unless that is NULL. */
static struct str join(struct arena *arena, const struct conf_strings *strings, const struct conf_strings *of)
{
    const char *text = "";
    for (unsigned i = 0; i < strings->count; i++)
        if (!of || of->count == 0 || has(of, strings->items[i]))
            text = arena_printf(arena, "%s%s%s", text, *text ? ", " : "", strings->items[i]);
    return str_of(text);
}

/* An origin that nobody has must not be met by a pattern: that would be "*" in disguise. */
static void check_pattern(struct compiler *compiler, const struct cors_settings *settings,
                          const struct regex *pattern, const char *text)
{
    if (settings->credentials && regex_match(pattern, STR("https://elsewhere.invalid")) == REGEX_MATCH)
        compile_error(
            compiler, "patterns",
            "\"%s\" matches https://elsewhere.invalid too: with credentials, any page could act for its "
            "visitor",
            text);
}

static const struct regex *const *compile_patterns(struct compiler *compiler,
                                                   const struct cors_settings *settings)
{
    struct regex_set *set = NULL;
    const struct regex **patterns =
        arena_array(compiler->arena, settings->patterns.count, sizeof(const struct regex *));
    for (unsigned i = 0; i < settings->patterns.count; i++) {
        const char *text = settings->patterns.items[i];
        patterns[i] =
            compile_regex(&set, compiler->origin, "cors.patterns", text, compiler->arena, compiler->errors);
        if (!patterns[i])
            return NULL;
        check_pattern(compiler, settings, patterns[i], text);
    }
    return patterns;
}

static const void *compile(struct compiler *compiler, const void *conf)
{
    const struct cors_settings *settings = conf;
    struct arena *arena = compiler->arena;
    struct cors *cors = arena_zalloc(arena, sizeof *cors);
    const struct regex *const *patterns = compile_patterns(compiler, settings);
    cors->settings = settings;
    cors->origins = web_origins_of(settings->origins.items, settings->origins.count, patterns,
                                   patterns ? settings->patterns.count : 0, arena);
    if (compiler->route)
        cors->methods = join(arena, &compiler->route->settings->match.methods, &settings->methods);
    cors->any_header = has(&settings->headers, "*");
    if (!cors->any_header)
        cors->headers = join(arena, &settings->headers, NULL);
    cors->expose = join(arena, &settings->expose, NULL);
    cors->expose_to_grpc =
        str_of(arena_printf(arena, "%.*s%sgrpc-status, grpc-message, grpc-status-details-bin",
                            STR_ARG(cors->expose), cors->expose.length ? ", " : ""));
    cors->max_age = str_of(arena_printf(arena, "%lld", (long long)settings->max_age / 1000));
    return cors;
}

/* --- requests --- */

/* NULL data: none, or several, which no browser sends. */
static struct str origin_of(const struct request *request)
{
    const struct fields *fields = &request->head->fields;
    struct str origin = {NULL, 0};
    if (!(fields->present >> FIELD_ORIGIN & 1))
        return origin;
    for (unsigned i = 0; i < fields->count; i++)
        if (fields->items[i].id == FIELD_ORIGIN) {
            if (origin.data)
                return (struct str){NULL, 0};
            origin = fields->items[i].value;
        }
    return origin;
}

/* Who asks for what isn't there is to hear so: by the request itself, which a page may read. */
static bool is_answerable(const struct request *request)
{
    return request->problem == PROBLEM_NONE || request->problem == PROBLEM_NO_ROUTE ||
           request->problem == PROBLEM_METHOD_NOT_ALLOWED;
}

static enum verdict on_request(struct request *request, const void *compiled)
{
    const struct cors *cors = compiled;
    struct preflight preflight;
    if (!preflight_of(request->head, &preflight) || !is_answerable(request))
        return VERDICT_NEXT;
    struct str origin = origin_of(request);
    if (!web_origins_have(&cors->origins, origin))
        return request_fail(request, PROBLEM_ORIGIN_NOT_ALLOWED,
                            "pages of the origin %.*s may not send requests here", STR_ARG(origin));
    request->problem = PROBLEM_NONE;
    return request_answer(request, 204, STR(""), STR(""));
}

/* --- answers --- */

static bool is_cors_name(struct str name)
{
    static const struct str prefix = {"access-control-", 15};
    return name.length > prefix.length && str_case_eq((struct str){name.data, prefix.length}, prefix);
}

static void remove_said(struct fields *fields)
{
    for (unsigned i = 0; i < fields->count; i++)
        if (fields->items[i].id == FIELD_OTHER && is_cors_name(fields->items[i].name))
            fields->items[i].name.length = 0; /* left out */
}

static void vary(struct request *request, struct str name)
{
    fields_add_vary(&request->response.fields, request->arena, name);
}

static bool is_list_of_tokens(struct str list)
{
    if (list.length == 0 || list.length > NAMES_MAX)
        return false;
    for (size_t i = 0; i < list.length; i++)
        if (!token_has(list.data[i]) && list.data[i] != ',' && list.data[i] != ' ')
            return false;
    return true;
}

/* What may be sent. Only what the route itself takes is told: a browser remembers it for the URL, whatever other routes the
 * URL has. */
static void permit(struct request *request, const struct cors *cors, const struct preflight *preflight)
{
    const struct cors_settings *settings = cors->settings;
    struct str methods = cors->methods, headers = cors->headers;
    const struct route *route = request->match.route;
    char method[64]; /* has() asks for a terminated text */
    if (methods.length == 0 && (!route || route_takes_all_methods(route)) &&
        preflight->method.length < sizeof method) {
        memcpy(method, preflight->method.data, preflight->method.length);
        method[preflight->method.length] = '\0';
        if (settings->methods.count == 0 || has(&settings->methods, method))
            methods = preflight->method;
    }
    if (cors->any_header && is_list_of_tokens(preflight->names))
        headers = preflight->names;
    if (methods.length)
        request_add_field(request, STR("Access-Control-Allow-Methods"), methods);
    if (headers.length)
        request_add_field(request, STR("Access-Control-Allow-Headers"), headers);
    const struct field *network =
        fields_find(&request->head->fields, STR("Access-Control-Request-Private-Network"));
    if (settings->private_network && network && str_eq(network->value, STR("true")))
        request_add_field(request, STR("Access-Control-Allow-Private-Network"), STR("true"));
    request_add_field(request, STR("Access-Control-Max-Age"), cors->max_age);
}

/* For whoever keeps the answer: it is another one for another origin, and without one. */
static void add_vary(struct request *request, const struct cors *cors, bool preflight)
{
    if (!cors->origins.any)
        vary(request, STR("Origin"));
    if (!preflight)
        return;
    vary(request, STR("Access-Control-Request-Method"));
    vary(request, STR("Access-Control-Request-Headers"));
    if (cors->settings->private_network)
        vary(request, STR("Access-Control-Request-Private-Network"));
}

static enum verdict on_response(struct request *request, const void *compiled)
{
    const struct cors *cors = compiled;
    struct preflight preflight;
    bool is_preflight = preflight_of(request->head, &preflight);
    struct str origin = origin_of(request);
    remove_said(&request->response.fields);
    add_vary(request, cors, is_preflight);
    if (!web_origins_have(&cors->origins, origin))
        return VERDICT_NEXT;
    request_add_field(request, STR("Access-Control-Allow-Origin"), cors->origins.any ? STR("*") : origin);
    if (cors->settings->credentials)
        request_add_field(request, STR("Access-Control-Allow-Credentials"), STR("true"));
    struct str expose =
        request->grpc && request->grpc->form != GRPC_PLAIN ? cors->expose_to_grpc : cors->expose;
    if (is_preflight)
        permit(request, cors, &preflight);
    else if (expose.length)
        request_add_field(request, STR("Access-Control-Expose-Headers"), expose);
    return VERDICT_NEXT;
}

const struct policy policy_cors = {
    .name = "cors",
    .help = "pages of other origins may read the answers (CORS); preflights are answered by the gateway",
    .stage = STAGE_EDGE, /* the first of it: also on answers of those that refuse */
    .section = &section,
    .preflights = true,
    .compile = compile,
    .on_request = on_request,
    .on_response = on_response,
};
