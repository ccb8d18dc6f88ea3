/* redirect: the content that sends the client elsewhere. */
#include "worker/request/request.h"

struct redirect_settings {
    struct origin origin;
    const char *location;
    int64_t status;
};

struct redirect {
    unsigned status;
    const struct expr *location;
};

enum { LOCATION_MAX = 16384 };

static const struct row rows[] = {
    ROW_(ROW_STRING, struct redirect_settings, location, .flags = ROW_REQUIRED,
         .help = "the URL or path to go to, with {name} and ${…}"),
    ROW_(ROW_NUMBER, struct redirect_settings, status, .fallback = "308", .min = 301, .max = 308,
         .help = "301, 302, 303, 307 or 308"),
    ROW_END,
};

static const struct section section = {
    .name = "redirect", .size = sizeof(struct redirect_settings), .rows = rows, .shorthand = "location"};

static const void *compile(struct compiler *compiler, const void *conf)
{
    const struct redirect_settings *settings = conf;
    struct redirect *redirect = arena_zalloc(compiler->arena, sizeof *redirect);
    redirect->status = (unsigned)settings->status;
    if (settings->status > 303 && settings->status < 307)
        compile_error(compiler, "status", "%u is not a redirect (write 301, 302, 303, 307 or 308)",
                      redirect->status);
    if (settings->location && compile_line(compiler, "location", settings->location, false))
        redirect->location = compile_expr(compiler, "location", settings->location, true);
    return redirect;
}

static enum verdict on_content(struct request *request, const void *compiled)
{
    const struct redirect *redirect = compiled;
    struct str location;
    if (!request_eval_str(request, redirect->location, EXPR_TARGET, LOCATION_MAX, &location))
        return request_fail(request, PROBLEM_URI_TOO_LONG, "the location doesn't fit");
    enum verdict verdict = request_answer(request, redirect->status, STR(""), STR(""));
    request_add_field(request, STR("Location"), location);
    return verdict;
}

const struct policy policy_redirect = {
    .name = "redirect",
    .help = "send the client to another URL",
    .stage = STAGE_CONTENT,
    .section = &section,
    .compile = compile,
    .on_content = on_content,
};
