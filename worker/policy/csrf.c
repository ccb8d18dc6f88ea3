/* csrf: refuses what a page of another site makes a browser send with the cookies of its user (cross-site request forgery).
 *
 * The browser itself says where a request comes from: by Sec-Fetch-Site (Fetch Metadata), older ones by Origin, and neither can
 * be set by a page. A request with neither comes from no browser of this decade, or from no page. Requests that change
 * nothing (RFC 9110, section 9.2.1) pass, as others could not read their answers; but not those that begin a tunnel, which
 * no same-origin policy holds back.
 */
#include "worker/codec/web_origin.h"
#include "worker/request/request.h"

struct csrf_settings {
    struct origin origin;
    struct conf_strings origins, cookies;
    bool same_site, strict;
};

struct csrf {
    const struct csrf_settings *settings;
    struct web_origins origins;
};

static const struct row rows[] = {
    ROW_(ROW_STRINGS, struct csrf_settings, origins,
         .help = "others whose pages may send such requests, as in cors.origins"),
    ROW_(ROW_FLAG, struct csrf_settings, same_site, .fallback = "false",
         .help = "pages of the same site, such as another name below example.com, may too"),
    ROW_(ROW_STRINGS, struct csrf_settings, cookies,
         .help = "only requests that have one of these cookies are looked at; none: all"),
    ROW_(ROW_FLAG, struct csrf_settings, strict, .fallback = "false",
         .help =
             "a request that has neither Sec-Fetch-Site nor Origin is refused too: for routes that browsers "
             "alone use"),
    ROW_END,
};

static void check(struct conf_loader *loader, void *structure)
{
    const struct csrf_settings *settings = structure;
    for (unsigned i = 0; i < settings->origins.count; i++) {
        const char *text = settings->origins.items[i], *wrong = web_origin_wrong(str_of(text));
        if (strcmp(text, "*") == 0 || strcmp(text, "null") == 0)
            wrong = "is what any page can be: that would be no protection (write csrf = false)";
        if (wrong)
            conf_error(loader, settings->origin, "origins", "\"%s\" %s", text, wrong);
    }
}

static const struct section section = {.name = "csrf",
                                       .size = sizeof(struct csrf_settings),
                                       .rows = rows,
                                       .shorthand = "origins",
                                       .check = check};

static const void *compile(struct compiler *compiler, const void *conf)
{
    const struct csrf_settings *settings = conf;
    struct csrf *csrf = arena_zalloc(compiler->arena, sizeof *csrf);
    csrf->settings = settings;
    csrf->origins =
        web_origins_of(settings->origins.items, settings->origins.count, NULL, 0, compiler->arena);
    return csrf;
}

/* --- requests --- */

/* NULL data: there is none. `*twice`: there are several, as no browser sends. */
static struct str only(const struct fields *fields, enum field_id id, struct str name, bool *twice)
{
    struct str value = {NULL, 0};
    for (unsigned i = 0; i < fields->count; i++) {
        const struct field *field = &fields->items[i];
        if (field->id != id || (id == FIELD_OTHER && !str_case_eq(field->name, name)))
            continue;
        *twice |= value.data != NULL;
        value = field->value;
    }
    return value;
}

/* A port that the scheme means anyway is left out by browsers, not by all who write Host. */
static struct str without_port(struct str authority, struct str scheme)
{
    struct str port = str_eq(scheme, STR("https")) ? STR(":443") : STR(":80");
    if (str_ends(authority, port))
        authority.length -= port.length;
    return authority;
}

/* Whether the page is of the host that the request is for. By which scheme the client came isn't always known here: behind a
 * proxy that speaks TLS the page's differs from ours. */
static bool is_own(const struct request *request, struct str origin)
{
    const char *end = memmem(origin.data, origin.length, "://", 3);
    if (!end)
        return false;
    struct str scheme = {origin.data, (size_t)(end - origin.data)},
               host = str_from(origin, scheme.length + 3);
    return host.length && str_case_eq(host, without_port(request->head->authority, scheme));
}

static bool is_safe(const struct request_head *head)
{
    return head->upgrade.length == 0 && (head->method == METHOD_GET || head->method == METHOD_HEAD ||
                                         head->method == METHOD_OPTIONS || head->method == METHOD_TRACE);
}

static bool has_any_cookie(const struct request *request, const struct conf_strings *cookies)
{
    for (unsigned i = 0; i < cookies->count; i++)
        if (request_cookie(request, str_of(cookies->items[i])).data)
            return true;
    return cookies->count == 0;
}

/* Whether the browser, if it is one, says that nobody else is behind the request. */
static bool may_pass(const struct request *request, const struct csrf *csrf, struct str origin)
{
    bool twice = false;
    const struct fields *fields = &request->head->fields;
    struct str site = only(fields, FIELD_OTHER, STR("Sec-Fetch-Site"), &twice);
    only(fields, FIELD_ORIGIN, STR("Origin"), &twice);
    if (twice)
        return false;
    if (web_origins_have(&csrf->origins, origin))
        return true;
    if (site.data)
        return str_eq(site, STR("same-origin")) ||
               str_eq(site, STR("none")) || /* the user's own doing: the address bar, a bookmark */
               (csrf->settings->same_site && str_eq(site, STR("same-site")));
    if (origin.data)
        return is_own(request, origin);
    return !csrf->settings->strict;
}

static enum verdict on_request(struct request *request, const void *compiled)
{
    const struct csrf *csrf = compiled;
    if (request->problem || is_safe(request->head) || !has_any_cookie(request, &csrf->settings->cookies))
        return VERDICT_NEXT;
    struct str origin = fields_value(&request->head->fields, FIELD_ORIGIN);
    if (may_pass(request, csrf, origin))
        return VERDICT_NEXT;
    if (origin.data)
        return request_fail(request, PROBLEM_CROSS_SITE,
                            "a page of the origin %.*s made the browser send it, and is not allowed to",
                            STR_ARG(origin));
    return request_fail(request, PROBLEM_CROSS_SITE,
                        "the request doesn't say that it comes from a page of its own origin");
}

const struct policy policy_csrf = {
    .name = "csrf",
    .help = "refuses what pages of other sites make browsers send",
    .stage = STAGE_EDGE,
    .section = &section,
    .compile = compile,
    .on_request = on_request,
};
