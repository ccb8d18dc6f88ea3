/* parse: the head of an HTTP/1 message, strict. */
#include "worker/http/parse.h"

#include <assert.h>
#include <http_parser.h>

#include "worker/http/field_line.h"

enum { TARGET = 1, AUTHORITY = 2 };

static const uint8_t class_of[256] = {
#define G TARGET
#define A AUTHORITY
    ['!'] = G | A,
    ['"'] = G,
    ['$'] = G | A,
    ['%'] = G | A,
    ['&'] = G | A,
    ['\''] = G | A,
    ['('] = G | A,
    [')'] = G | A,
    ['*'] = G | A,
    ['+'] = G | A,
    [','] = G | A,
    ['-'] = G | A,
    ['.'] = G | A,
    ['/'] = G,
    [':'] = G | A,
    [';'] = G | A,
    ['<'] = G,
    ['='] = G | A,
    ['>'] = G,
    ['?'] = G,
    ['@'] = G,
    ['['] = G | A,
    ['\\'] = G,
    [']'] = G | A,
    ['^'] = G,
    ['_'] = G | A,
    ['`'] = G,
    ['{'] = G,
    ['|'] = G,
    ['}'] = G,
    ['~'] = G | A,
    ['0' ... '9'] = G | A,
    ['A' ... 'Z'] = G | A,
    ['a' ... 'z'] = G | A,
#undef G
#undef A
};

static bool all_of(struct str text, unsigned class)
{
    unsigned seen = class;
    for (size_t i = 0; i < text.length; i++)
        seen &= class_of[(unsigned char)text.data[i]];
    return seen != 0;
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

/* --- http-parser: it reads the start line and the fields of the framing --- */

struct parse {
    http_parser parser;
    struct fields *fields;
    struct str target, reason;
    struct parse_result *result;
    bool complete; /* the empty line was reached */
};

static bool deny(struct parse_result *result, unsigned status, const char *detail)
{
    result->status = status;
    result->detail = detail;
    return false;
}

/* A second message in the head's bytes. */
static int on_message_begin(http_parser *parser)
{
    struct parse *parse = parser->data;
    return parse->complete ? -1 : 0;
}

static int on_url(http_parser *parser, const char *at, size_t length)
{
    struct parse *parse = parser->data;
    parse->target = (struct str){at, length};
    return 0;
}

static int on_status(http_parser *parser, const char *at, size_t length)
{
    struct parse *parse = parser->data;
    parse->reason = (struct str){at, length};
    return 0;
}

/* What follows the head is never http-parser's: 1 says that there is no body. */
static int on_headers_complete(http_parser *parser)
{
    struct parse *parse = parser->data;
    parse->complete = true;
    return 1;
}

static const http_parser_settings callbacks = {
    .on_message_begin = on_message_begin,
    .on_url = on_url,
    .on_status = on_status,
    .on_headers_complete = on_headers_complete,
};

/* Gives http-parser the next of its lines, with the CRLF. */
static bool feed(struct parse *parse, const char *line, const char *end)
{
    size_t length = (size_t)(end - line),
           used = http_parser_execute(&parse->parser, &callbacks, line, length);
    enum http_errno error = HTTP_PARSER_ERRNO(&parse->parser);
    if (error == HPE_OK && used == length)
        return true;
    return deny(parse->result, error == HPE_INVALID_METHOD ? 501 : 400,
                error != HPE_OK ? http_errno_description(error) : "the head has two ends");
}

/* --- both kinds --- */

static bool add_field(struct parse *parse, const struct field *field, const char *line, const char *end)
{
    static const uint64_t framing = (uint64_t)1 << FIELD_CONTENT_LENGTH | (uint64_t)1
                                                                              << FIELD_TRANSFER_ENCODING;
    struct fields *fields = parse->fields;
    uint64_t bit = (uint64_t)1 << field->id;
    if (fields->present & fields_one & bit)
        return deny(parse->result, 400, "a field that may stand once stands twice");
    if (framing & bit && !feed(parse, line, end))
        return false;
    /* Many servers read `-` for `_`: a client could forge another field. */
    if (field->id == FIELD_OTHER && parse->parser.type == HTTP_REQUEST &&
        memchr(field->name.data, '_', field->name.length))
        return true;
    if (fields->count == fields->capacity)
        return deny(parse->result, 400, "more fields than lines");
    fields->items[fields->count++] = *field;
    fields->present |= bit;
    return true;
}

/* A head of so many lines: http-parser gets the start line and the lines of the framing; all other lines have one form
 * only, which is ours to check. */
static bool read_head(struct parse *parse, enum http_parser_type type, const char *data, size_t length,
                      unsigned lines, struct arena *arena)
{
    struct fields *fields = parse->fields;
    const char *end = data + length, *at = memchr(data, '\n', length);
    fields->capacity = lines + 4; /* some to add */
    fields->items = arena_alloc(arena, fields->capacity * sizeof *fields->items);
    http_parser_init(&parse->parser, type);
    parse->parser.data = parse;
    if (!at++ || !feed(parse, data, at))
        return false;
    while (end - at > 2) {
        struct field field;
        const char *why = NULL, *next = field_line_read(at, end, &field, &why);
        if (!next)
            return deny(parse->result, 400, why);
        if (!add_field(parse, &field, at, next))
            return false;
        at = next;
    }
    if (!feed(parse, at, end))
        return false;
    return parse->complete || deny(parse->result, 400, "the head has no end");
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
    const char *version = target.data + target.length;
    if (target.data != data + method.length + 1 || memcmp(data, method.data, method.length) != 0)
        return deny(result, 400, "the request line doesn't begin with a method and one space");
    if (end - version < 10 || memcmp(version, " HTTP/", 6) != 0 || version[9] != '\r')
        return deny(result, 400, "the request line doesn't end with one space and the version");
    if (parser->http_major != 1 || parser->http_minor > 1)
        return deny(result, 505, "the version is neither HTTP/1.0 nor HTTP/1.1");
    if (!all_of(target, TARGET))
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
    if (head->path.length == 0)
        head->path = STR("/");
    return true;
}

/* host [":" port], the host a name, an IPv4 address, or an IPv6 one in brackets (RFC 3986, section 3.2). */
static bool authority_is_good(struct str authority)
{
    struct str port = authority;
    if (!all_of(authority, AUTHORITY))
        return false;
    if (authority.length && authority.data[0] == '[') {
        ptrdiff_t end = str_index(authority, ']');
        if (end < 0)
            return false;
        port = str_from(authority, (size_t)end + 1);
        if (port.length && port.data[0] != ':')
            return false;
    }
    ptrdiff_t colon = str_index(port, ':');
    struct str name =
        colon < 0 || port.data != authority.data ? port : (struct str){port.data, (size_t)colon};
    if (port.data == authority.data && (str_index(name, '[') >= 0 || str_index(name, ']') >= 0))
        return false;
    uint64_t number;
    return colon < 0 || (size_t)colon + 1 == port.length ||
           str_to_u64(str_from(port, (size_t)colon + 1), 65535, &number);
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
    if (host && !authority_is_good(host->value))
        return deny(result, 400, "the Host field is malformed");
    return true;
}

static bool check_framing(struct request_head *head, const struct parse *parse, struct parse_result *result)
{
    bool chunked;
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
        head->length = parse->parser.content_length;
        result->framing = FRAMING_LENGTH;
    }
    if (result->framing != FRAMING_NONE && head->method == METHOD_TRACE)
        return deny(result, 400, "TRACE with a body");
    return true;
}

static bool check_expect(struct request_head *head, struct parse_result *result)
{
    const struct field *expect = fields_get(&head->fields, FIELD_EXPECT);
    if (!expect)
        return true;
    if (!str_case_eq(expect->value, STR("100-continue")))
        return deny(result, 417, "the only expectation that is known is 100-continue");
    head->expect_continue = head->version >= 11 && result->framing != FRAMING_NONE;
    return true;
}

bool parse_request(const char *data, size_t length, unsigned lines, struct arena *arena,
                   struct request_head *head, struct parse_result *result)
{
    struct parse parse = {.fields = &head->fields, .result = result};
    memset(head, 0, sizeof *head);
    if (!read_head(&parse, HTTP_REQUEST, data, length, lines, arena))
        return false;
    head->target = parse.target;
    if (!check_request_line(data, data + length, parse.target, &parse.parser, result))
        return false;
    head->method_text = (struct str){data, (size_t)(parse.target.data - 1 - data)};
    head->method = method_of(head->method_text);
    head->version = parse.parser.http_major * 10u + parse.parser.http_minor;
    head->scheme = STR("http");
    head->keep_alive = read_connection(&head->fields, head->version);
    return split_target(head, result) && check_host(head, result) && check_framing(head, &parse, result) &&
           check_expect(head, result);
}

/* --- a response --- */

static bool check_status_line(const char *data, struct str reason, const http_parser *parser,
                              struct parse_result *result)
{
    if (parser->http_major != 1 || parser->http_minor > 1)
        return deny(result, 502, "the version of the answer is neither HTTP/1.0 nor HTTP/1.1");
    bool digits = data[9] >= '1' && data[9] <= '5' && data[10] >= '0' && data[10] <= '9' && data[11] >= '0' &&
                  data[11] <= '9';
    if (data[8] != ' ' || !digits || (data[12] != ' ' && data[12] != '\r'))
        return deny(result, 502, "the status line of the answer is malformed");
    if (field_control(reason.data, reason.data + reason.length) != reason.data + reason.length)
        return deny(result, 502, "the reason phrase of the answer has control characters");
    return true;
}

/* RFC 9112, section 6.3, in its order. */
static bool response_framing(struct response_head *head, enum method method, bool http10,
                             const struct parse *parse, struct parse_result *result)
{
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
        head->length = parse->parser.content_length;
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
    struct parse parse = {.fields = &head->fields, .result = result};
    memset(head, 0, sizeof *head);
    if (length < 16)
        return deny(result, 502, "the answer's head is too short");
    if (!read_head(&parse, HTTP_RESPONSE, data, length, lines, arena)) {
        result->status = 502;
        return false;
    }
    if (!check_status_line(data, parse.reason, &parse.parser, result))
        return false;
    head->status = parse.parser.status_code;
    head->reason = parse.reason;
    head->keep_alive =
        read_connection(&head->fields, parse.parser.http_major * 10u + parse.parser.http_minor);
    return response_framing(head, method, parse.parser.http_minor == 0, &parse, result);
}

/* --- trailers --- */

void parse_trailers(struct str lines, bool request, struct arena *arena, struct fields *trailers)
{
    const char *at = lines.data, *end = at + lines.length, *why;
    while (at < end) {
        struct field field;
        at = field_line_read(at, end, &field, &why);
        assert(at);
        if (!request || !memchr(field.name.data, '_', field.name.length))
            fields_add_known(trailers, arena, field.id, field.name, field.value);
    }
}
