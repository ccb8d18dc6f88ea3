/* secure_headers: tells browsers what not to do with an answer: guess its type, show it in a frame, tell others where its page
 * is, run what isn't its own. On every answer of the route, the gateway's own errors too. (Strict-Transport-Security is the
 * policy hsts.)
 */
#include "worker/request/request.h"

struct secure_headers_settings {
    struct origin origin;
    bool nosniff, keep, report_only;
    int frame, referrer, opener, embedder, resource; /* indexes of their words; the last of each: not said */
    const char *csp, *permissions;
};

enum { FIELDS_MAX = 8, CSP_MAX = 8192 };

struct secure_field {
    struct str name, value;
    const struct expr *expr; /* instead of `value`; NULL: none */
    unsigned separators;     /* of the expression's text */
};

struct secure_headers {
    struct secure_field fields[FIELDS_MAX];
    unsigned count;
    bool keep;
};

static const char *const frames[] = {"deny", "sameorigin", "off", NULL};
static const char *const referrers[] = {"no-referrer",
                                        "no-referrer-when-downgrade",
                                        "origin",
                                        "origin-when-cross-origin",
                                        "same-origin",
                                        "strict-origin",
                                        "strict-origin-when-cross-origin",
                                        "unsafe-url",
                                        "off",
                                        NULL};
static const char *const openers[] = {
    "same-origin", "same-origin-allow-popups", "noopener-allow-popups", "unsafe-none", "off", NULL};
static const char *const embedders[] = {"require-corp", "credentialless", "unsafe-none", "off", NULL};
static const char *const resources[] = {"same-origin", "same-site", "cross-origin", "off", NULL};

#define SECURE(kind_, member, ...) ROW_(kind_, struct secure_headers_settings, member, __VA_ARGS__)

static const struct row rows[] = {
    SECURE(ROW_FLAG, nosniff, .fallback = "true",
           .help = "X-Content-Type-Options: the type of an answer is what it says"),
    SECURE(ROW_WORD, frame, .fallback = "deny", .words = frames,
           .help = "X-Frame-Options: who may show it in a frame (newer browsers: frame-ancestors of csp)"),
    SECURE(ROW_WORD, referrer, .fallback = "strict-origin-when-cross-origin", .words = referrers,
           .help = "Referrer-Policy: what is told of the page's address to where its links lead"),
    SECURE(
        ROW_STRING, csp,
        .help =
            "Content-Security-Policy: what a page may load and run, with ${…}; a value with a ; or , in it, "
            "which could say more than was meant, allows nothing instead"),
    SECURE(ROW_FLAG, report_only, .fallback = "false",
           .help = "what csp forbids is reported only (Content-Security-Policy-Report-Only)"),
    SECURE(
        ROW_STRING, permissions,
        .help =
            "Permissions-Policy: what of the device a page may use, as in \"camera=(), geolocation=(self)\""),
    SECURE(
        ROW_WORD, opener, .fallback = "off", .words = openers,
        .help =
            "Cross-Origin-Opener-Policy: whether pages that opened it, or that it opens, share its process"),
    SECURE(ROW_WORD, embedder, .fallback = "off", .words = embedders,
           .help = "Cross-Origin-Embedder-Policy: what of other origins it may have in it"),
    SECURE(ROW_WORD, resource, .fallback = "off", .words = resources,
           .help = "Cross-Origin-Resource-Policy: whose pages may have it in them"),
    SECURE(ROW_FLAG, keep, .fallback = "false", .help = "what the service says itself of one of these stays"),
    ROW_END,
};

static void check(struct conf_loader *loader, void *structure)
{
    const struct secure_headers_settings *settings = structure;
    if (settings->report_only && !settings->csp)
        conf_error(loader, settings->origin, "report_only",
                   "says how csp is meant, and there is none (add csp)");
}

static const struct section section = {.name = "secure_headers",
                                       .size = sizeof(struct secure_headers_settings),
                                       .rows = rows,
                                       .shorthand = "nosniff",
                                       .check = check};

/* --- compiling --- */

static struct secure_field *add(struct secure_headers *headers, struct str name, const char *value)
{
    struct secure_field *field = &headers->fields[headers->count++];
    *field = (struct secure_field){.name = name, .value = str_of(value)};
    return field;
}

/* One of `words`, unless it is the last. */
static void add_word(struct secure_headers *headers, struct str name, const char *const *words, int word)
{
    if (words[word + 1])
        add(headers, name, words[word]);
}

/* What ends a directive, and a policy (CSP, sections 2.2.1 and 2.2.2). */
static unsigned separators(struct str text)
{
    unsigned count = 0;
    for (size_t i = 0; i < text.length; i++)
        count += text.data[i] == ';' || text.data[i] == ',';
    return count;
}

static void add_csp(struct compiler *compiler, struct secure_headers *headers,
                    const struct secure_headers_settings *settings)
{
    if (!settings->csp || !compile_line(compiler, "csp", settings->csp, true))
        return;
    const struct expr *expr = compile_expr(compiler, "csp", settings->csp, false);
    struct secure_field *field = add(headers,
                                     settings->report_only ? STR("Content-Security-Policy-Report-Only")
                                                           : STR("Content-Security-Policy"),
                                     settings->csp);
    if (expr && !expr_constant(expr, &field->value)) {
        field->expr = expr;
        field->separators = separators(str_of(settings->csp));
    }
}

static const void *compile(struct compiler *compiler, const void *conf)
{
    const struct secure_headers_settings *settings = conf;
    struct secure_headers *headers = arena_zalloc(compiler->arena, sizeof *headers);
    headers->keep = settings->keep;
    if (settings->nosniff)
        add(headers, STR("X-Content-Type-Options"), "nosniff");
    if (frames[settings->frame + 1])
        add(headers, STR("X-Frame-Options"), settings->frame ? "SAMEORIGIN" : "DENY");
    add_word(headers, STR("Referrer-Policy"), referrers, settings->referrer);
    add_csp(compiler, headers, settings);
    if (settings->permissions && compile_line(compiler, "permissions", settings->permissions, true))
        add(headers, STR("Permissions-Policy"), settings->permissions);
    add_word(headers, STR("Cross-Origin-Opener-Policy"), openers, settings->opener);
    add_word(headers, STR("Cross-Origin-Embedder-Policy"), embedders, settings->embedder);
    add_word(headers, STR("Cross-Origin-Resource-Policy"), resources, settings->resource);
    return headers->count ? headers : NULL;
}

/* --- answers --- */

/* Whether the service's own stays; else it is left out. */
static bool stays(struct fields *fields, struct str name, bool keep)
{
    for (unsigned i = 0; i < fields->count; i++) {
        if (fields->items[i].id != FIELD_OTHER || !str_case_eq(fields->items[i].name, name))
            continue;
        if (keep)
            return true;
        fields->items[i].name.length = 0;
    }
    return false;
}

static struct str evaluate(struct request *request, const struct secure_field *field)
{
    struct str value;
    if (!request_eval_str(request, field->expr, EXPR_HEADER, CSP_MAX, &value) ||
        separators(value) > field->separators)
        return STR("default-src 'none'");
    return value;
}

static enum verdict on_response(struct request *request, const void *compiled)
{
    const struct secure_headers *headers = compiled;
    for (unsigned i = 0; i < headers->count; i++) {
        const struct secure_field *field = &headers->fields[i];
        if (!stays(&request->response.fields, field->name, headers->keep))
            request_add_field(request, field->name, field->expr ? evaluate(request, field) : field->value);
    }
    return VERDICT_NEXT;
}

const struct policy policy_secure_headers = {
    .name = "secure_headers",
    .help = "what browsers are not to do with the answers",
    .stage = STAGE_EDGE,
    .section = &section,
    .compile = compile,
    .on_response = on_response,
};
