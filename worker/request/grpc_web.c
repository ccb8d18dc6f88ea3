/* grpc_web: between gRPC-Web (doc/PROTOCOL-WEB.md of gRPC) and gRPC. Called by the policy `grpc`.
 *
 * What differs is the content type, base64 in both directions for the "text" form, and that the answer's trailers are a
 * last frame of its body. An answer without a body says all in its head, in both.
 */
#include "worker/request/grpc_web.h"

#include "worker/codec/accept.h"
#include "worker/codec/grpc_web.h"
#include "worker/request/request.h"

/* Memory that is used again for each piece: it grows to the largest. */
struct room {
    char *data;
    size_t size;
};

/* One request's. */
struct web {
    bool text_in, text_out;
    struct grpc_web_decoder decoder;
    const struct fields *trailers;
    struct room decoded; /* of the request */
    struct room framed;  /* of the answer: a last piece, and the frame of trailers */
    struct room encoded; /* the same as text */
};

static char *room_for(struct request *request, struct room *room, size_t size)
{
    enum { FIRST = 4096 };
    if (size > room->size) {
        size_t doubled = room->size ? 2 * room->size : FIRST;
        room->size = size > doubled ? size : doubled;
        room->data = arena_alloc(request->arena, room->size);
    }
    return room->data;
}

/* --- the request --- */

/* In one piece: after it the request may be gone. */
static void on_body(struct request *request, const char *data, size_t length, bool last)
{
    struct web *web = request->filter_state;
    if (!web->text_in) {
        request_deliver(request, data, length, last);
        return;
    }
    char *out = room_for(request, &web->decoded, GRPC_WEB_DECODED(length));
    ptrdiff_t decoded = grpc_web_decode(&web->decoder, data, length, out);
    if (decoded < 0 || (last && !grpc_web_decode_complete(&web->decoder))) {
        request_fail(request, PROBLEM_BAD_REQUEST, "the body is not base64, as its Content-Type says");
        request_body_failed(request);
    } else if (decoded > 0 || last) {
        request_deliver(request, out, (size_t)decoded, last);
    }
}

/* --- the answer --- */

static void on_trailers(struct request *request, const struct fields *trailers)
{
    struct web *web = request->filter_state;
    web->trailers = trailers;
}

static size_t frame_size(const struct fields *trailers)
{
    size_t size = GRPC_WEB_FRAME_HEAD;
    for (unsigned i = 0; i < trailers->count; i++)
        size += trailers->items[i].name.length + trailers->items[i].value.length + 3; /* ":", CRLF */
    return size;
}

/* The answer's last piece with the frame behind it. */
static struct str add_frame(struct request *request, struct web *web, struct str piece)
{
    const struct fields *trailers = web->trailers;
    size_t size = frame_size(trailers);
    char *memory = room_for(request, &web->framed, piece.length + size);
    if (piece.length)
        memcpy(memory, piece.data, piece.length);
    struct buf frame = buf_on(memory + piece.length, size);
    grpc_web_trailers_begin(&frame);
    for (unsigned i = 0; i < trailers->count; i++)
        if (field_forwards(&trailers->items[i]))
            grpc_web_trailers_add(&frame, trailers->items[i].name, trailers->items[i].value);
    grpc_web_trailers_end(&frame);
    return (struct str){memory, piece.length + frame.length};
}

static void write_piece(struct request *request, const char *data, size_t length, bool last)
{
    struct web *web = request->filter_state;
    struct str piece = {data, length};
    if (last && web->trailers)
        piece = add_frame(request, web, piece);
    if (web->text_out) {
        char *out = room_for(request, &web->encoded, GRPC_WEB_ENCODED(piece.length));
        piece = (struct str){out, grpc_web_encode(piece.data, piece.length, out)};
    }
    request->exchange->ops->write(request->exchange, piece.data, piece.length, last);
}

static const struct request_filter filter = {
    .on_body = on_body, .write = write_piece, .trailers = on_trailers};

/* --- heads --- */

/* The same type in another form: what follows the form's own name stays. */
static void set_form(struct request *request, struct fields *fields, enum grpc_form form)
{
    struct str rest = {NULL, 0}, type = grpc_form_type(form);
    grpc_form_of(fields_value(fields, FIELD_CONTENT_TYPE), &rest);
    size_t size = type.length + rest.length;
    struct buf value = buf_on(arena_alloc(request->arena, size), size);
    buf_str_add(&value, type);
    buf_str_add(&value, rest);
    fields_remove(fields, FIELD_CONTENT_TYPE);
    fields_add_known(fields, request->arena, FIELD_CONTENT_TYPE, STR("Content-Type"), buf_str(&value));
}

/* The first web form that Accept names, or the request's own. */
static enum grpc_form wanted(const struct request *request, enum grpc_form own)
{
    struct str rest = fields_value(&request->head->fields, FIELD_ACCEPT);
    struct accept_range range;
    while (accept_next(&rest, &range)) {
        enum grpc_form form = grpc_form_of(range.type, NULL);
        if (form == GRPC_WEB || form == GRPC_WEB_TEXT)
            return form;
    }
    return own;
}

void grpc_web_begin(struct request *request, struct grpc_call *call, enum grpc_form form)
{
    struct web *web = arena_zalloc(request->arena, sizeof *web);
    call->form = wanted(request, form);
    web->text_in = form == GRPC_WEB_TEXT;
    web->text_out = call->form == GRPC_WEB_TEXT;
    set_form(request, &request->head->fields, GRPC_PLAIN);
    if (web->text_in && request->head->body == BODY_LENGTH)
        request->head->body = BODY_STREAM;
    request->filter = &filter;
    request->filter_state = web;
}

void grpc_web_answer(struct request *request)
{
    struct response_head *head = &request->response;
    if (request->filter != &filter)
        return;
    if (grpc_form_of(fields_value(&head->fields, FIELD_CONTENT_TYPE), NULL) != GRPC_PLAIN) {
        request->filter = NULL; /* it goes as it is */
        return;
    }
    set_form(request, &head->fields, request->grpc->form);
    fields_remove(&head->fields, FIELD_TRAILER); /* none come as such */
    if (head->body == BODY_LENGTH)
        head->body = BODY_STREAM;
}
