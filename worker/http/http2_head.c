/* http2_head: the head of an HTTP/2 message. Called by http2_server_stream.c and http2_client_stream.c. */
#include "worker/http/http2_head.h"

#include <http_parser.h>

#include "shared/base/token.h"
#include "worker/codec/authority.h"
#include "worker/codec/chunked.h"
#include "worker/http/field_line.h"
#include "worker/http/parse.h"

enum {
    LIST_OVERHEAD = 32, /* that a field counts for besides its bytes (RFC 9113, section 6.5.2) */
    TEXT_BLOCK = 1536,  /* bytes of lines that are asked of the arena at once */
    FIELDS_FIRST = 20,
    TRAILERS_MAX = 8192, /* as the chunked coding has it */
};

bool http2_head_deny(struct http2_head *reading, unsigned status, bool malformed, const char *detail)
{
    if (!reading->status) {
        reading->status = status;
        reading->detail = detail;
    }
    reading->malformed |= malformed;
    return false;
}

static bool malformed(struct http2_head *reading, const char *detail)
{
    return http2_head_deny(reading, 400, true, detail);
}

void http2_head_begin(struct http2_head *reading, struct arena *arena, struct fields *fields,
                      const struct http2_limits *limits, bool trailers)
{
    *reading = (struct http2_head){
        .arena = arena, .fields = fields, .limits = limits, .cookie = -1, .trailers = trailers};
    *fields = (struct fields){.items = NULL};
}

void http2_head_begin_answer(struct http2_head *reading, struct arena *arena, struct fields *fields,
                             const struct http2_limits *limits)
{
    http2_head_begin(reading, arena, fields, limits, false);
    reading->answer = true;
}

/* --- one field --- */

static char *room(struct http2_head *reading, size_t length)
{
    if ((size_t)(reading->text_end - reading->text) < length) {
        size_t size = length > TEXT_BLOCK ? length : TEXT_BLOCK;
        reading->text = arena_alloc(reading->arena, size);
        reading->text_end = reading->text + size;
    }
    char *text = reading->text;
    reading->text += length;
    return text;
}

/* "name: value" and CRLF in memory, as fields_write() likes it. */
static struct field line(struct http2_head *reading, struct str name, struct str value, enum field_id id)
{
    char *at = room(reading, name.length + value.length + 4);
    struct field field = {.name = {at, name.length}, .id = id, .line = true};
    buf_copy(at, name.data, name.length);
    at += name.length;
    *at++ = ':';
    *at++ = ' ';
    field.value = (struct str){at, value.length};
    memcpy(at, value.data, value.length);
    at += value.length;
    *at++ = '\r';
    *at = '\n';
    return field;
}

/* No capitals (RFC 9113, section 8.2.1), else a token. */
static bool name_is_good(struct str name)
{
    unsigned bad = name.length == 0;
    for (size_t i = 0; i < name.length; i++)
        bad |= !token_has(name.data[i]) | (name.data[i] >= 'A' && name.data[i] <= 'Z');
    return !bad;
}

/* No controls, no space around it. */
static bool value_is_good(struct str value)
{
    const char *end = value.data + value.length;
    if (value.length == 0)
        return true;
    return value.data[0] != ' ' && value.data[0] != '\t' && end[-1] != ' ' && end[-1] != '\t' &&
           field_control(value.data, end) == end;
}

static void pseudo_field(struct http2_head *reading, struct str name, struct str value)
{
    static const struct str names[PSEUDO_COUNT] = {
        [PSEUDO_METHOD] = {":method", 7},        [PSEUDO_SCHEME] = {":scheme", 7},
        [PSEUDO_AUTHORITY] = {":authority", 10}, [PSEUDO_PATH] = {":path", 5},
        [PSEUDO_PROTOCOL] = {":protocol", 9},    [PSEUDO_STATUS] = {":status", 7},
    };
    unsigned which = 0;
    while (which < PSEUDO_COUNT && !str_eq(names[which], name))
        which++;
    if (which == PSEUDO_COUNT || reading->answer != (which == PSEUDO_STATUS))
        malformed(reading, "a pseudo-field is not known");
    else if (reading->trailers)
        malformed(reading, "a pseudo-field among the trailers");
    else if (reading->regular)
        malformed(reading, "a pseudo-field behind other fields");
    else if (reading->pseudo[which].data)
        malformed(reading, "a pseudo-field stands twice");
    else {
        char *text = room(reading, value.length + 1); /* never NULL, which would say that it didn't come */
        memcpy(text, value.data, value.length);
        reading->pseudo[which] = (struct str){text, value.length};
    }
}

#define BIT(field) ((uint64_t)1 << FIELD_##field)

/* What belongs to a connection, and has no meaning in HTTP/2 (RFC 9113, section 8.2.2). */
static const uint64_t of_connection =
    BIT(CONNECTION) | BIT(KEEP_ALIVE) | BIT(PROXY_CONNECTION) | BIT(TRANSFER_ENCODING) | BIT(UPGRADE);

/* Whether a field that is well-formed may stand here. */
static bool is_in_place(struct http2_head *reading, enum field_id id, struct str name, struct str value)
{
    uint64_t bit = (uint64_t)1 << id;
    if (of_connection & bit)
        return malformed(reading, "a field that belongs to a connection of HTTP/1");
    if (id == FIELD_TE && !reading->answer && !str_case_eq(value, STR("trailers")))
        return malformed(reading, "TE is not trailers alone");
    if (reading->trailers && chunked_trailer_forbidden(name))
        return malformed(reading, "a field is not allowed among the trailers");
    if (reading->fields->present & fields_one & bit)
        return malformed(reading, "a field that may stand once stands twice");
    return true;
}

static void add(struct http2_head *reading, struct field field)
{
    struct fields *fields = reading->fields;
    if (!fields->items) {
        fields->capacity = FIELDS_FIRST;
        fields->items = arena_alloc(reading->arena, FIELDS_FIRST * sizeof *fields->items);
    }
    if (field.id == FIELD_COOKIE && reading->cookies++ == 0)
        reading->cookie = (int)fields->count;
    fields_add_known(fields, reading->arena, field.id, field.name, field.value);
    fields->items[fields->count - 1].line = true;
}

static void regular_field(struct http2_head *reading, struct str name, struct str value)
{
    enum field_id id = field_id_of(name);
    reading->regular = true;
    if (!name_is_good(name))
        malformed(reading,
                  name.length ? "a field name has characters that it may not have" : "a field has no name");
    else if (!value_is_good(value))
        malformed(reading, "a field value has control characters, or a space around it");
    else if (is_in_place(reading, id, name, value)) {
        /* As in HTTP/1, names with `_` are left out: many servers read `-` for it. */
        if (id != FIELD_OTHER || !memchr(name.data, '_', name.length))
            add(reading, line(reading, name, value, id));
    }
}

void http2_head_field(struct http2_head *reading, struct str name, struct str value)
{
    const struct http2_limits *limits = reading->limits;
    reading->size += name.length + value.length + LIST_OVERHEAD;
    if (name.length == 0 || name.data[0] != ':')
        reading->count++;
    if (reading->count > limits->max_fields)
        http2_head_deny(reading, 431, false, "the request has more header fields than are taken");
    if (reading->size > (reading->trailers ? TRAILERS_MAX : limits->max_head))
        http2_head_deny(reading, 431, false, "the header fields are larger than is taken");
    if (reading->status == 431)
        return;
    if (name.length && name.data[0] == ':')
        pseudo_field(reading, name, value);
    else
        regular_field(reading, name, value);
}

/* --- the whole --- */

/* Cookie may come in crumbs, which are one field everywhere else (RFC 9113, section 8.2.3). */
static void join_cookies(struct http2_head *reading)
{
    struct fields *fields = reading->fields;
    size_t size = 0;
    unsigned kept = 0;
    for (unsigned i = 0; i < fields->count; i++)
        if (fields->items[i].id == FIELD_COOKIE)
            size += fields->items[i].value.length + 2;
    struct buf whole = buf_on(arena_alloc(reading->arena, size), size);
    for (unsigned i = 0; i < fields->count; i++) {
        const struct field *field = &fields->items[i];
        if (field->id == FIELD_COOKIE) {
            if (whole.length)
                BUF_LITERAL(&whole, "; ");
            buf_str_add(&whole, field->value);
        }
        if (field->id != FIELD_COOKIE || (int)i == reading->cookie)
            fields->items[kept++] = *field;
    }
    fields->count = kept;
    fields->items[reading->cookie] = line(reading, STR("cookie"), buf_str(&whole), FIELD_COOKIE);
}

/* What HTTP/1 would take for a method: those that http-parser knows. */
static bool method_is_known(struct str text)
{
    for (unsigned i = 0; i <= HTTP_SOURCE; i++)
        if (str_eq(text, str_of(http_method_str((enum http_method)i))))
            return true;
    return false;
}

/* Extended CONNECT (RFC 8441, section 4) is what Upgrade is to HTTP/1, and from here on told as that: GET. */
static bool read_protocol(struct http2_head *reading, struct request_head *head)
{
    struct str protocol = reading->pseudo[PSEUDO_PROTOCOL];
    if (!protocol.data)
        return http2_head_deny(reading, 501, false, "CONNECT is not supported without :protocol");
    if (!is_token(protocol))
        return malformed(reading, ":protocol is not a token");
    head->method = METHOD_GET;
    head->method_text = STR("GET");
    head->upgrade = protocol;
    return true;
}

static bool read_method(struct http2_head *reading, struct request_head *head)
{
    struct str text = reading->pseudo[PSEUDO_METHOD];
    if (!text.data)
        return malformed(reading, "there is no :method");
    if (!is_token(text))
        return malformed(reading, ":method is not a token");
    head->method_text = text;
    head->method = method_of(text);
    if (head->method == METHOD_OTHER && !method_is_known(text))
        return http2_head_deny(reading, 501, false, "the method is not known");
    if (head->method == METHOD_CONNECT)
        return read_protocol(reading, head);
    if (reading->pseudo[PSEUDO_PROTOCOL].data)
        return malformed(reading, ":protocol in a request that is not CONNECT");
    return true;
}

static bool read_scheme(struct http2_head *reading)
{
    struct str scheme = reading->pseudo[PSEUDO_SCHEME];
    if (!scheme.data)
        return malformed(reading, "there is no :scheme");
    if (!str_case_eq(scheme, STR("http")) && !str_case_eq(scheme, STR("https")))
        return http2_head_deny(reading, 400, false, ":scheme is neither http nor https");
    return true;
}

static bool read_path(struct http2_head *reading, struct request_head *head)
{
    struct str path = reading->pseudo[PSEUDO_PATH];
    if (!path.data || path.length == 0)
        return malformed(reading, path.data ? ":path is empty" : "there is no :path");
    head->target = path;
    if (!target_is_good(path))
        return http2_head_deny(reading, 400, false, ":path has a byte that it may not have");
    ptrdiff_t mark = str_index(path, '?');
    head->path = mark < 0 ? path : (struct str){path.data, (size_t)mark};
    head->query = mark < 0 ? (struct str){NULL, 0} : str_from(path, (size_t)mark + 1);
    if (str_eq(path, STR("*")))
        return head->method == METHOD_OPTIONS ||
               http2_head_deny(reading, 400, false, "only OPTIONS may ask for *");
    if (path.data[0] != '/')
        return http2_head_deny(reading, 400, false, ":path does not begin with /");
    if (head->method_text.length + path.length + sizeof "  HTTP/1.1" > reading->limits->max_line)
        return http2_head_deny(reading, 414, false, ":path is longer than is taken");
    return true;
}

/* One host: Host may stand beside :authority only if it says the same (RFC 9113, section 8.3.1). */
static bool read_authority(struct http2_head *reading, struct request_head *head)
{
    const struct field *host = fields_get(&head->fields, FIELD_HOST);
    struct str authority = reading->pseudo[PSEUDO_AUTHORITY];
    if (!authority.data && !host)
        return http2_head_deny(reading, 400, false, "there is neither :authority nor Host");
    if (authority.data && host && !str_case_eq(authority, host->value))
        return malformed(reading, ":authority and Host differ");
    head->authority = host ? host->value : authority;
    if (!authority_is_good(head->authority))
        return http2_head_deny(reading, 400, false, "the host in :authority or Host is malformed");
    if (!host)
        add(reading, line(reading, STR("host"), authority, FIELD_HOST));
    return true;
}

static bool read_body(struct http2_head *reading, struct request_head *head, bool last)
{
    const struct field *length = fields_get(&head->fields, FIELD_CONTENT_LENGTH);
    if (head->upgrade.length && (length || last))
        return http2_head_deny(reading, 400, false,
                               length ? "Content-Length in a CONNECT" : "a CONNECT whose stream has ended");
    if (length && !str_to_u64(length->value, INT64_MAX, &head->length))
        return malformed(reading, "Content-Length is not a number");
    if (length && last && head->length)
        return malformed(reading, "Content-Length and no body");
    head->body = length ? BODY_LENGTH : last || head->upgrade.length ? BODY_NONE : BODY_STREAM;
    if ((length || !last) && head->method == METHOD_TRACE)
        return http2_head_deny(reading, 400, false, "TRACE with a body");
    return true;
}

static bool read_expect(struct http2_head *reading, struct request_head *head, bool last)
{
    for (unsigned i = 0; head->fields.present & BIT(EXPECT) && i < head->fields.count; i++)
        if (head->fields.items[i].id == FIELD_EXPECT) {
            if (!str_case_eq(head->fields.items[i].value, STR("100-continue")))
                return http2_head_deny(reading, 417, false,
                                       "the only expectation that is known is 100-continue");
            head->expect_continue = !last;
        }
    return true;
}

bool http2_head_end(struct http2_head *reading, struct request_head *head, struct str scheme, bool last)
{
    if (reading->cookies > 1)
        join_cookies(reading);
    head->method = METHOD_OTHER;
    head->version = 20;
    head->scheme = scheme;
    head->keep_alive = true;
    bool good = read_method(reading, head) && read_scheme(reading) && read_path(reading, head) &&
                read_authority(reading, head) && read_body(reading, head, last) &&
                read_expect(reading, head, last);
    return good && !reading->status;
}

static bool read_status(struct http2_head *reading, struct response_head *head)
{
    struct str text = reading->pseudo[PSEUDO_STATUS];
    uint64_t status;
    if (!text.data)
        return malformed(reading, "there is no :status");
    if (text.length != 3 || !str_to_u64(text, 999, &status) || status < 100 || status > 599)
        return malformed(reading, ":status is no status");
    head->status = (unsigned)status;
    if (status == 101) /* RFC 9113, section 8.6 */
        return malformed(reading, ":status is 101, which HTTP/2 doesn't have");
    return true;
}

/* As HTTP/1 has it (RFC 9112, section 6.3), but that the body ends with its stream. */
static bool read_answer_body(struct http2_head *reading, struct response_head *head, enum method method,
                             bool last)
{
    const struct field *length = fields_get(&head->fields, FIELD_CONTENT_LENGTH);
    bool bodyless = response_bodyless(method, head->status);
    if (length && !str_to_u64(length->value, INT64_MAX, &head->length))
        return malformed(reading, "Content-Length is not a number");
    if (length && last && head->length && !bodyless)
        return malformed(reading, "Content-Length and no body");
    head->body = length ? BODY_LENGTH : last ? BODY_NONE : BODY_STREAM;
    /* What HEAD says of the length is kept for the client. */
    if (bodyless && (!length || head->status < 200 || head->status == 204))
        head->body = BODY_NONE;
    return true;
}

bool http2_head_end_answer(struct http2_head *reading, struct response_head *head, enum method method,
                           bool last)
{
    head->version = 20;
    head->keep_alive = true;
    bool good = read_status(reading, head) && read_answer_body(reading, head, method, last);
    if (good && head->status < 200 && last)
        return malformed(reading, "an interim answer that ends its stream");
    return good && !reading->status;
}
