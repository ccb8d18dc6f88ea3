/* parse: the head of an HTTP/1 message, strict. */
#include "worker/http/parse.h"

#include <assert.h>
#include <http_parser.h>

#include "shared/base/token.h"
#include "worker/codec/authority.h"
#include "worker/http/field_line.h"

bool target_is_good(struct str target)
{
    unsigned bad = 0;
    for (size_t i = 0; i < target.length; i++) {
        unsigned char c = (unsigned char)target.data[i];
        bad |= (c <= ' ') | (c >= 0x7f) | (c == '#');
    }
    return !bad;
}

enum head_found head_find_end(struct head_scan *scan, const char *data, size_t length, size_t *end)
{
    while (scan->scanned < length) {
        const char *line = data + scan->scanned;
        const char *feed = memchr(line, '\n', length - scan->scanned);
        if (*line == ' ' || *line == '\t')
            return HEAD_MALFORMED;
        if (!feed)
            return HEAD_MORE;
        if (feed == line || feed[-1] != '\r')
            return HEAD_MALFORMED;
        scan->scanned = (uint32_t)(feed + 1 - data);
        if (feed == line + 1) {
            *end = scan->scanned;
            return HEAD_WHOLE;
        }
        scan->lines++;
    }
    return HEAD_MORE;
}

static bool deny(struct parse_result *result, unsigned status, const char *detail)
{
    result->status = status;
    result->detail = detail;
    return false;
}

/* --- the start line, by http-parser --- */

struct start_line {
    http_parser parser;
    struct str target, reason;
};

static int on_url(http_parser *parser, const char *at, size_t length)
{
    struct start_line *line = parser->data;
    line->target = (struct str){at, length};
    return 0;
}

static int on_status(http_parser *parser, const char *at, size_t length)
{
    struct start_line *line = parser->data;
    line->reason = (struct str){at, length};
    return 0;
}

static const http_parser_settings callbacks = {.on_url = on_url, .on_status = on_status};

/* The first line of a head, with its CRLF: its only control, as http-parser takes any CR for the end of a line and would
 * leave the rest out. What else it lets pass is judged by check_request_line() and check_status_line(). */
static bool read_start_line(struct start_line *line, enum http_parser_type type, struct str text,
                            struct parse_result *result)
{
    const char *end = text.data + text.length - 2;
    if (field_control(text.data, end) != end || *end != '\r')
        return deny(result, 400, "the first line of the head has control characters");
    http_parser_init(&line->parser, type);
    line->parser.data = line;
    size_t used = http_parser_execute(&line->parser, &callbacks, text.data, text.length);
    enum http_errno error = HTTP_PARSER_ERRNO(&line->parser);
    if (error == HPE_OK && used == text.length)
        return true;
    return deny(result, error == HPE_INVALID_METHOD ? 501 : 400, http_errno_description(error));
}

/* --- the fields --- */

static void fields_room(struct fields *fields, unsigned count, struct arena *arena)
{
    fields->count = 0;
    fields->capacity = count + 4; /* some to add */
    fields->items = arena_alloc(arena, fields->capacity * sizeof *fields->items);
}

/* The lines of a header or trailer section, without the empty one at its end. A request's names with `_` are left out: many servers read `-` for it,
 * and a client could forge another field. */
static bool read_fields(struct str text, bool request, struct fields *fields, struct parse_result *result)
{
    const char *at = text.data, *end = at + text.length;
    while (at < end) {
        struct field field;
        const char *why = NULL;
        at = field_line_read(at, end, &field, &why);
        if (!at)
            return deny(result, 400, why);
        uint64_t bit = (uint64_t)1 << field.id;
        if (fields->present & fields_one & bit)
            return deny(result, 400, "a field that may stand once stands twice");
        if (request && field.id == FIELD_OTHER && memchr(field.name.data, '_', field.name.length))
            continue;
        if (fields->count == fields->capacity)
            return deny(result, 400, "more fields than lines");
        fields->items[fields->count++] = field;
        fields->present |= bit;
    }
    return true;
}

/* A head of so many lines. */
static bool read_head(struct str text, unsigned lines, struct start_line *line, enum http_parser_type type,
                      struct fields *fields, struct arena *arena, struct parse_result *result)
{
    const char *feed = memchr(text.data, '\n', text.length);
    if (!feed || feed == text.data)
        return deny(result, 400, "the head has no line");
    size_t first = (size_t)(feed + 1 - text.data);
    if (text.length < first + 2)
        return deny(result, 400, "the head has no end");
    fields_room(fields, lines, arena);
    struct str section = {text.data + first, text.length - first - 2};
    return read_start_line(line, type, (struct str){text.data, first}, result) &&
           read_fields(section, type == HTTP_REQUEST, fields, result);
}

/* What Content-Length says; true also when there is none. Digits only, and a number that can be reckoned with (RFC 9110,
 * section 8.6); that there is one only, FIELD_ONE sees to. */
static bool content_length(const struct fields *fields, uint64_t *length)
{
    const struct field *field = fields_get(fields, FIELD_CONTENT_LENGTH);
    return !field || str_to_u64(field->value, INT64_MAX, length);
}

/* Transfer-Encoding is "chunked" alone (RFC 9112, section 6.1); `*chunked`, or false for anything else. */
static bool only_chunked(const struct fields *fields, bool *chunked)
{
    unsigned count = 0;
    *chunked = false;
    if (!fields_get(fields, FIELD_TRANSFER_ENCODING))
        return true;
    for (unsigned i = 0; i < fields->count; i++)
        if (fields->items[i].id == FIELD_TRANSFER_ENCODING) {
            count++;
            *chunked = str_case_eq(fields->items[i].value, STR("chunked"));
        }
    return count == 1 && *chunked;
}

/* Takes out what an element list of Connection names (RFC 9110, section 7.6.1); the known hop-by-hop fields never go on
 * anyway, and Host can't be asked away. */
static void strip_named(struct fields *fields, struct str list)
{
    for (unsigned i = 0; i < fields->count; i++) {
        struct field *field = &fields->items[i];
        if (fields_hop >> field->id & 1 || field->id == FIELD_HOST || !str_list_has(list, field->name))
            continue;
        field->name.length = 0; /* a field without a name is not written */
        field->line = false;
        fields->present &= ~((uint64_t)(field->id != FIELD_OTHER) << field->id);
        field->id = FIELD_OTHER;
    }
}

/* What Connection says. Returns whether the connection persists (RFC 9112, section 9.3). */
static bool read_connection(struct fields *fields, unsigned version)
{
    bool keep = version >= 11, close = false;
    if (!fields_get(fields, FIELD_CONNECTION))
        return keep;
    for (unsigned i = 0; i < fields->count; i++) {
        struct str value = fields->items[i].value;
        if (fields->items[i].id != FIELD_CONNECTION)
            continue;
        if (str_eq(value, STR("keep-alive"))) { /* nearly always */
            keep = true;
            continue;
        }
        close |= str_list_has(value, STR("close"));
        keep |= str_list_has(value, STR("keep-alive"));
        strip_named(fields, value);
    }
    return keep && !close;
}

/* --- a request --- */

/* "METHOD SP target SP HTTP/1.x", with nothing more (RFC 9112, section 3). */
static bool check_request_line(const char *data, const char *end, struct str target,
                               const http_parser *parser, struct parse_result *result)
{
    struct str method = str_of(http_method_str((enum http_method)parser->method));
    if (!target.data)
        return deny(result, 400, "the request line has no target");
    const char *version = target.data + target.length;
    if (target.data != data + method.length + 1 || memcmp(data, method.data, method.length) != 0)
        return deny(result, 400, "the request line doesn't begin with a method and one space");
    if (end - version < 10 || memcmp(version, " HTTP/", 6) != 0 || version[9] != '\r')
        return deny(result, 400, "the request line doesn't end with one space and the version");
    if (parser->http_major != 1 || parser->http_minor > 1)
        return deny(result, 505, "the version is neither HTTP/1.0 nor HTTP/1.1");
    if (!target_is_good(target))
        return deny(result, 400, "the request target has a byte that it may not have");
    return true;
}

/* Splits the target (RFC 9112, section 3.2). */
static bool split_target(struct request_head *head, struct parse_result *result)
{
    struct str rest = head->target;
    if (head->method == METHOD_CONNECT)
        return deny(result, 501, "CONNECT is not supported");
    if (str_eq(rest, STR("*"))) {
        if (head->method != METHOD_OPTIONS)
            return deny(result, 400, "only OPTIONS may ask for *");
    } else if (rest.data[0] != '/') {
        size_t scheme = rest.length > 7 && str_case_eq((struct str){rest.data, 7}, STR("http://"))    ? 7
                        : rest.length > 8 && str_case_eq((struct str){rest.data, 8}, STR("https://")) ? 8
                                                                                                      : 0;
        if (!scheme)
            return deny(result, 400, "the request target is neither a path nor an http URL");
        rest = str_from(rest, scheme);
        size_t end = 0;
        while (end < rest.length && rest.data[end] != '/' && rest.data[end] != '?')
            end++;
        head->authority = (struct str){rest.data, end};
        rest = str_from(rest, end);
        if (head->authority.length == 0)
            return deny(result, 400, "the request target has no host");
    }
    ptrdiff_t mark = str_index(rest, '?');
    head->path = mark < 0 ? rest : (struct str){rest.data, (size_t)mark};
    head->query = mark < 0 ? (struct str){NULL, 0} : str_from(rest, (size_t)mark + 1);
    /* OPTIONS for a whole server, by its URL (RFC 9112, section 3.2.4). */
    if (head->path.length == 0)
        head->path = head->method == METHOD_OPTIONS && mark < 0 ? STR("*") : STR("/");
    return true;
}

/* One Host in HTTP/1.1 (RFC 9112, section 3.2); the target's own authority wins over it. */
static bool check_host(struct request_head *head, struct parse_result *result)
{
    const struct field *host = fields_get(&head->fields, FIELD_HOST);
    if (!host && head->version >= 11)
        return deny(result, 400, "there is no Host field");
    if (head->authority.data == NULL)
        head->authority = host ? host->value : STR("");
    else if (!authority_is_good(head->authority))
        return deny(result, 400, "the host in the request target is malformed");
    if (host && host->value.length && !authority_is_good(host->value)) /* empty: RFC 9112, section 3.2 */
        return deny(result, 400, "the Host field is malformed");
    return true;
}

static bool check_framing(struct request_head *head, struct parse_result *result)
{
    bool chunked;
    if (!content_length(&head->fields, &head->length))
        return deny(result, 400, "Content-Length is not a number");
    if (!only_chunked(&head->fields, &chunked))
        return deny(result, 501, "the transfer coding is not chunked alone");
    if (chunked && head->version < 11)
        return deny(result, 400, "Transfer-Encoding in an HTTP/1.0 request");
    if (chunked && fields_get(&head->fields, FIELD_CONTENT_LENGTH))
        return deny(result, 400, "both Content-Length and Transfer-Encoding");
    result->framing = FRAMING_NONE;
    if (chunked) {
        head->body = BODY_STREAM;
        result->framing = FRAMING_CHUNKED;
    } else if (fields_get(&head->fields, FIELD_CONTENT_LENGTH)) {
        head->body = BODY_LENGTH;
        result->framing = FRAMING_LENGTH;
    }
    if (result->framing != FRAMING_NONE && head->method == METHOD_TRACE)
        return deny(result, 400, "TRACE with a body");
    /* Who switches reads the bytes behind the head as another protocol's. */
    if (result->framing != FRAMING_NONE && fields_get(&head->fields, FIELD_UPGRADE))
        return deny(result, 400, "Upgrade with a body");
    return true;
}

static bool check_expect(struct request_head *head, struct parse_result *result)
{
    if (!fields_get(&head->fields, FIELD_EXPECT))
        return true;
    for (unsigned i = 0; i < head->fields.count; i++)
        if (head->fields.items[i].id == FIELD_EXPECT &&
            !str_case_eq(head->fields.items[i].value, STR("100-continue")))
            return deny(result, 417, "the only expectation that is known is 100-continue");
    head->expect_continue = head->version >= 11 && result->framing != FRAMING_NONE;
    return true;
}

/* "websocket", "name/version" */
static bool is_protocol(struct str text)
{
    struct str name = str_cut(&text, '/');
    return is_token(name) && (!text.data || is_token(text));
}

/* One protocol that the client would go on with (RFC 9110, section 7.8). Several are left to the other side to choose from,
 * which here nobody does. HTTP/1.0 has no Upgrade, and what follows the head is the other protocol: no body. */
static struct str wanted_upgrade(const struct request_head *head, const struct parse_result *result)
{
    const struct fields *fields = &head->fields;
    const struct str none = {NULL, 0};
    struct str protocol = none;
    bool named = false;
    if (!fields_get(fields, FIELD_UPGRADE) || head->version < 11 || result->framing != FRAMING_NONE)
        return none;
    for (unsigned i = 0; i < fields->count; i++) {
        const struct field *field = &fields->items[i];
        if (field->id == FIELD_UPGRADE && protocol.data)
            return none;
        if (field->id == FIELD_UPGRADE)
            protocol = field->value;
        named = named || (field->id == FIELD_CONNECTION && str_list_has(field->value, STR("upgrade")));
    }
    return named && is_protocol(protocol) ? protocol : none;
}

bool parse_request(const char *data, size_t length, unsigned lines, struct arena *arena,
                   struct request_head *head, struct parse_result *result)
{
    struct start_line line = {.target = {NULL, 0}};
    memset(head, 0, sizeof *head);
    result->detail = NULL;
    if (!read_head((struct str){data, length}, lines, &line, HTTP_REQUEST, &head->fields, arena, result))
        return false;
    head->target = line.target;
    if (!check_request_line(data, data + length, line.target, &line.parser, result))
        return false;
    head->method_text = (struct str){data, (size_t)(line.target.data - 1 - data)};
    head->method = method_of(head->method_text);
    head->version = line.parser.http_major * 10u + line.parser.http_minor;
    head->scheme = STR("http");
    head->keep_alive = read_connection(&head->fields, head->version);
    if (!split_target(head, result) || !check_host(head, result) || !check_framing(head, result) ||
        !check_expect(head, result))
        return false;
    head->upgrade = wanted_upgrade(head, result);
    return true;
}

/* --- a response --- */

static bool check_status_line(const char *data, const http_parser *parser, struct parse_result *result)
{
    if (parser->http_major != 1 || parser->http_minor > 1)
        return deny(result, 502, "the version of the answer is neither HTTP/1.0 nor HTTP/1.1");
    bool digits = data[9] >= '1' && data[9] <= '5' && data[10] >= '0' && data[10] <= '9' && data[11] >= '0' &&
                  data[11] <= '9';
    if (memcmp(data, "HTTP/1.", 7) != 0 || data[8] != ' ' || !digits || (data[12] != ' ' && data[12] != '\r'))
        return deny(result, 502, "the status line of the answer is malformed");
    return true;
}

/* RFC 9112, section 6.3, in its order. */
static bool response_framing(struct response_head *head, enum method method, bool http10,
                             struct parse_result *result)
{
    if (!content_length(&head->fields, &head->length))
        return deny(result, 502, "the answer's Content-Length is not a number");
    const struct field *length = fields_get(&head->fields, FIELD_CONTENT_LENGTH);
    bool coded = fields_get(&head->fields, FIELD_TRANSFER_ENCODING) != NULL, chunked;
    if (coded && (length || !only_chunked(&head->fields, &chunked)))
        return deny(result, 502,
                    length ? "the answer has both Content-Length and Transfer-Encoding"
                           : "the answer's transfer coding is not chunked alone");
    if (coded && http10)
        return deny(result, 502, "Transfer-Encoding in an HTTP/1.0 answer");
    if (length) {
        head->body = BODY_LENGTH;
        result->framing = FRAMING_LENGTH;
    } else {
        head->body = BODY_STREAM;
        result->framing = coded ? FRAMING_CHUNKED : FRAMING_EOF;
    }
    if (response_bodyless(method, head->status)) {
        result->framing = FRAMING_NONE;
        /* What HEAD says of the length is kept for the client. */
        if (head->body == BODY_STREAM || head->status < 200 || head->status == 204)
            head->body = BODY_NONE;
    }
    return true;
}

bool parse_response(const char *data, size_t length, unsigned lines, enum method method, struct arena *arena,
                    struct response_head *head, struct parse_result *result)
{
    struct start_line line = {.reason = {NULL, 0}};
    memset(head, 0, sizeof *head);
    result->detail = NULL;
    if (length < 16)
        return deny(result, 502, "the answer's head is too short");
    if (!read_head((struct str){data, length}, lines, &line, HTTP_RESPONSE, &head->fields, arena, result)) {
        result->status = 502;
        return false;
    }
    if (!check_status_line(data, &line.parser, result))
        return false;
    head->status = line.parser.status_code;
    head->version = line.parser.http_major * 10u + line.parser.http_minor;
    head->reason = line.reason;
    head->keep_alive = read_connection(&head->fields, head->version);
    return response_framing(head, method, head->version == 10, result);
}

/* --- trailers --- */

void parse_trailers(struct str lines, bool request, struct arena *arena, struct fields *trailers)
{
    struct parse_result result;
    unsigned count = 0;
    for (size_t i = 0; i < lines.length; i++)
        count += lines.data[i] == '\n';
    if (count == 0)
        return;
    fields_room(trailers, count, arena);
    bool good = read_fields(lines, request, trailers, &result);
    assert(good); /* the decoder of the chunks has judged them */
    (void)good;
}
