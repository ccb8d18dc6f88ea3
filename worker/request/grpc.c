/* grpc: the gateway's own answers to clients that speak gRPC. Called where answers are made, for requests that say by their
 * Content-Type what they are.
 */
#include "worker/request/grpc.h"

#include "worker/request/request.h"

enum grpc_form grpc_form_of_request(const struct request *request)
{
    return request->grpc ? request->grpc->form
                         : grpc_form_of(fields_value(&request->head->fields, FIELD_CONTENT_TYPE), NULL);
}

void grpc_note_status(struct request *request, const struct fields *fields)
{
    const struct field *field = fields_get(fields, FIELD_GRPC_STATUS);
    if (field)
        request->grpc_status = field->value;
}

static struct str number(struct arena *arena, uint64_t value)
{
    enum { DIGITS = 20 };
    struct buf text = buf_on(arena_alloc(arena, DIGITS), DIGITS);
    buf_u64(&text, value);
    return buf_str(&text);
}

/* What happened, in words. */
static struct str message(struct request *request)
{
    struct str title = problem_rows[request->problem].title, detail = str_of(request->detail);
    size_t size = 3 * (title.length + 2 + detail.length);
    struct buf text = buf_on(arena_alloc(request->arena, size), size);
    grpc_message_write(title, &text);
    if (detail.length) {
        BUF_LITERAL(&text, ": ");
        grpc_message_write(detail, &text);
    }
    return buf_str(&text);
}

static void add_status(struct request *request, struct fields *fields)
{
    unsigned http = request->problem_status ? request->problem_status : problem_rows[request->problem].status;
    enum grpc_status status = request->problem == PROBLEM_UPSTREAM_NOT_GRPC
                                  ? grpc_status_of_http(request->grpc->http)
                                  : grpc_status_of_problem(http);
    request->grpc_status = number(request->arena, status);
    fields_add_known(fields, request->arena, FIELD_GRPC_STATUS, STR("grpc-status"), request->grpc_status);
    fields_add(fields, request->arena, STR("grpc-message"), message(request));
    if (request->retry_after) /* gRFC A6: what Retry-After is to HTTP */
        fields_add(fields, request->arena, STR("grpc-retry-pushback-ms"),
                   number(request->arena, request->retry_after * 1000));
}

/* The client's form, and the subtype that it named. */
static struct str content_type(struct request *request, enum grpc_form form)
{
    struct str rest = {NULL, 0}, type = grpc_form_type(form);
    grpc_form_of(fields_value(&request->head->fields, FIELD_CONTENT_TYPE), &rest);
    rest = str_cut(&rest, ';');
    struct buf text =
        buf_on(arena_alloc(request->arena, type.length + rest.length), type.length + rest.length);
    buf_str_add(&text, type);
    buf_str_add(&text, rest);
    return str_trim(buf_str(&text));
}

void grpc_render_problem(struct request *request, enum grpc_form form)
{
    request->response = (struct response_head){0};
    request_answer(request, 200, content_type(request, form), STR(""));
    if (request->head->version >= 20)
        request->response.body = BODY_NONE; /* END_STREAM says it; a length of 0 would be one more field */
    add_status(request, &request->response.fields);
}

bool grpc_end_answer(struct request *request)
{
    enum grpc_form form = grpc_form_of_request(request);
    const struct response_head *head = &request->response;
    if (form == GRPC_NONE || (form == GRPC_PLAIN && request->head->version < 20) ||
        head->body == BODY_LENGTH ||
        grpc_form_of(fields_value(&head->fields, FIELD_CONTENT_TYPE), NULL) != form)
        return false;
    struct fields *trailers = arena_zalloc(request->arena, sizeof *trailers);
    add_status(request, trailers);
    request_trailers(request, trailers);
    request_write(request, NULL, 0, true);
    return true;
}
