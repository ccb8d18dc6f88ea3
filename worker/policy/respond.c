/* respond: the content that answers by itself. */
#include "worker/request/request.h"

struct respond_settings {
    struct origin origin;
    int64_t status;
    const char *type;
    const char *body;
};

struct respond {
    unsigned status;
    struct str type;
    const struct expr *body; /* NULL: none */
    size_t size;             /* of the body at most */
    bool json;
};

enum { VALUES_MAX = 65536 }; /* of the body: what its variables may add to its text */

static const struct row rows[] = {
    ROW_(ROW_NUMBER, struct respond_settings, status, .fallback = "200", .min = 200, .max = 599,
         .help = "the status"),
    ROW_(ROW_STRING, struct respond_settings, type, .fallback = "text/plain; charset=utf-8",
         .help = "the media type; in a JSON one ${…} is escaped for a JSON string"),
    ROW_(ROW_STRING, struct respond_settings, body, .help = "the body, with ${…}"),
    ROW_END,
};

static const struct section section = {
    .name = "respond", .size = sizeof(struct respond_settings), .rows = rows, .shorthand = "status"};

static const void *compile(struct compiler *compiler, const void *conf)
{
    const struct respond_settings *settings = conf;
    struct respond *respond = arena_zalloc(compiler->arena, sizeof *respond);
    respond->status = (unsigned)settings->status;
    respond->type = settings->body ? str_of(settings->type) : STR("");
    respond->size = settings->body ? strlen(settings->body) + VALUES_MAX : 0;
    respond->json = strstr(settings->type, "json") != NULL;
    if (settings->body && (settings->status == 204 || settings->status == 304))
        compile_error(compiler, "body", "an answer %u has no body (leave it out)", respond->status);
    else if (settings->body)
        respond->body = compile_expr(compiler, "body", settings->body, false);
    return respond;
}

static enum verdict on_content(struct request *request, const void *compiled)
{
    const struct respond *respond = compiled;
    struct str body = STR("");
    if (respond->body && !request_eval_str(request, respond->body, respond->json ? EXPR_JSON : EXPR_PLAIN,
                                           respond->size, &body))
        return request_fail(request, PROBLEM_INTERNAL, "the answer's body doesn't fit");
    return request_answer(request, respond->status, respond->type, body);
}

const struct policy policy_respond = {
    .name = "respond",
    .help = "answer with a fixed status and body",
    .stage = STAGE_CONTENT,
    .section = &section,
    .compile = compile,
    .on_content = on_content,
};
