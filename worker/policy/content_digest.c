/* content_digest: bodies that aren't what their Content-Digest says are refused, before the service has a whole request (RFC 9530). */
#include "worker/request/content_digest.h"

#include "worker/request/request.h"

struct content_digest_settings {
    struct origin origin;
    int mode; /* an index of `modes` */
};

enum { MODE_CHECK, MODE_REQUIRE };
static const char *const modes[] = {"check", "require", NULL};

static const struct row rows[] = {
    ROW_(ROW_WORD, struct content_digest_settings, mode, .fallback = "check", .words = modes,
         .help = "check: the field, where there is one; require: a request with a body must have it"),
    ROW_END,
};

static const struct section section = {.name = "content_digest",
                                       .size = sizeof(struct content_digest_settings),
                                       .rows = rows,
                                       .shorthand = "mode"};

static enum verdict on_request(struct request *request, const void *conf)
{
    const struct content_digest_settings *settings = conf;
    if (request->problem)
        return VERDICT_NEXT;
    if (settings->mode == MODE_REQUIRE && !request->exchange->body_done &&
        !fields_find(&request->head->fields, STR("Content-Digest")))
        return request_fail(request, PROBLEM_DIGEST_MISMATCH, "the body comes without a Content-Digest");
    return content_digest_check(request);
}

const struct policy policy_content_digest = {
    .name = "content_digest",
    .help = "bodies must be what their Content-Digest says (RFC 9530)",
    .stage = STAGE_SHAPE,
    .section = &section,
    .on_request = on_request,
};
