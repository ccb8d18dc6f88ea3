/* max_forwards: how many more hops a TRACE or an OPTIONS may take (RFC 9110, section 7.6.2). */
#include "worker/upstream/max_forwards.h"

#include <assert.h>

#include "worker/request/request.h"

enum { MOST = 1000000 }; /* "the recipient's maximum supported value" */

/* The number in `value`, MOST + 1 if it is greater than MOST; -1 if it is none. */
static int number(struct str value)
{
    int hops = value.length ? 0 : -1;
    for (size_t i = 0; i < value.length; i++) {
        if (value.data[i] < '0' || value.data[i] > '9')
            return -1;
        hops = hops > MOST / 10 ? MOST + 1 : hops * 10 + (value.data[i] - '0');
    }
    return hops;
}

static void reflect_field(const struct fields *fields, enum field_id id, struct buf *out)
{
    for (unsigned i = 0; i < fields->count; i++)
        if (fields->items[i].id == id) {
            buf_str_add(out, fields->items[i].name);
            BUF_LITERAL(out, ": ");
            buf_str_add(out, fields->items[i].value);
            BUF_LITERAL(out, "\r\n");
        }
}

/* The message that came, but of its fields those that the way it took is seen by: others may be secrets, of the client or
 * of a policy that set them (section 9.3.8). */
static enum verdict reflect(struct request *request)
{
    const struct request_head *head = request->head;
    size_t size =
        head->method_text.length + head->target.length + sizeof "  HTTP/1.1\r\nMax-Forwards: 0\r\n\r\n";
    for (unsigned i = 0; i < head->fields.count; i++)
        size += head->fields.items[i].name.length + head->fields.items[i].value.length + sizeof ": \r\n";
    struct buf out = buf_on(arena_alloc(request->arena, size), size);
    buf_str_add(&out, head->method_text);
    buf_char(&out, ' ');
    buf_str_add(&out, head->target);
    buf_str_add(&out, head->version == 10 ? STR(" HTTP/1.0\r\n") : STR(" HTTP/1.1\r\n"));
    reflect_field(&head->fields, FIELD_HOST, &out);
    reflect_field(&head->fields, FIELD_VIA, &out);
    BUF_LITERAL(&out, "Max-Forwards: 0\r\n\r\n");
    assert(!out.overflow);
    return request_answer(request, 200, STR("message/http"), buf_str(&out));
}

enum verdict max_forwards(struct request *request)
{
    struct request_head *head = request->head;
    struct field *found = NULL;
    if (head->method != METHOD_TRACE && head->method != METHOD_OPTIONS)
        return VERDICT_NEXT;
    for (unsigned i = 0; i < head->fields.count; i++) {
        struct field *field = &head->fields.items[i];
        if (!str_case_eq(field->name, STR("max-forwards")))
            continue;
        if (found)
            return request_fail(request, PROBLEM_BAD_REQUEST, "Max-Forwards stands twice");
        found = field;
    }
    if (!found)
        return VERDICT_NEXT;
    int hops = number(found->value);
    if (hops < 0)
        return request_fail(request, PROBLEM_BAD_REQUEST, "Max-Forwards is not a number");
    if (hops == 0)
        return head->method == METHOD_TRACE ? reflect(request)
                                            : request_answer(request, 200, STR(""), STR(""));
    struct buf out = buf_on(arena_alloc(request->arena, 16), 16);
    buf_u64(&out, (uint64_t)hops - 1);
    found->value = buf_str(&out);
    found->line = false;
    return VERDICT_NEXT;
}
