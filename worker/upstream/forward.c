/* forward: what a message carries on to the next hop. */
#include "worker/upstream/forward.h"

#include "worker/request/request.h"

/* Written by us, with or without what came. */
static const uint64_t ours = (uint64_t)1 << FIELD_HOST | (uint64_t)1 << FIELD_X_FORWARDED_FOR |
                             (uint64_t)1 << FIELD_X_FORWARDED_PROTO | (uint64_t)1 << FIELD_X_FORWARDED_HOST |
                             (uint64_t)1 << FIELD_X_REQUEST_ID | (uint64_t)1 << FIELD_VIA;

static void line(struct buf *head, struct str name, struct str value)
{
    buf_str_add(head, name);
    BUF_LITERAL(head, ": ");
    buf_str_add(head, value);
    BUF_LITERAL(head, "\r\n");
}

/* Where a request came from is only a trusted proxy's to say. */
static const uint64_t of_trusted = (uint64_t)1 << FIELD_FORWARDED | (uint64_t)1 << FIELD_X_REAL_IP;

/* All lines of a field that came, joined, each followed by ", ". */
static void join(const struct fields *fields, enum field_id id, struct buf *head)
{
    if (!fields_get(fields, id))
        return;
    for (unsigned i = 0; i < fields->count; i++)
        if (fields->items[i].id == id && fields->items[i].value.length) {
            buf_str_add(head, fields->items[i].value);
            BUF_LITERAL(head, ", ");
        }
}

static void forwarded(struct request *request, bool trusted, struct buf *head)
{
    const struct request_head *from = request->head;
    struct str proto = fields_value(&from->fields, FIELD_X_FORWARDED_PROTO);
    struct str host = fields_value(&from->fields, FIELD_X_FORWARDED_HOST);
    char client[ADDRESS_TEXT_SIZE];
    size_t length = address_format_host(request->exchange->peer, client);
    BUF_LITERAL(head, "X-Forwarded-For: ");
    if (trusted)
        join(&from->fields, FIELD_X_FORWARDED_FOR, head);
    buf_add(head, client, length);
    BUF_LITERAL(head, "\r\n");
    line(head, STR("X-Forwarded-Proto"), trusted && proto.length ? proto : from->scheme);
    line(head, STR("X-Forwarded-Host"), trusted && host.length ? host : from->authority);
}

void forward_fields(struct request *request, struct buf *head)
{
    const struct fields *fields = &request->head->fields;
    bool trusted = site_trusts(request->worker->site, request->exchange->peer);
    uint64_t left_out = trusted ? ours : ours | of_trusted;
    fields_write(fields, left_out, head);
    forwarded(request, trusted, head);
    line(head, STR("X-Request-Id"), request->id);
    BUF_LITERAL(head, "Via: ");
    join(fields, FIELD_VIA, head);
    buf_str_add(head, request->head->version == 10 ? STR("1.0 gatehouse\r\n") : STR("1.1 gatehouse\r\n"));
}

void forward_answer(struct request *request)
{
    /* A list field: one more line is one more element. */
    fields_add_known(&request->response.fields, request->arena, FIELD_VIA, STR("Via"),
                     request->response.version == 10 ? STR("1.0 gatehouse") : STR("1.1 gatehouse"));
}
