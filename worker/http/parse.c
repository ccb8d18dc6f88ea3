/* parse: the head of an HTTP/1 message, strict. */
#include "worker/http/parse.h"

#include <http_parser.h>
#include <stdlib.h>

enum { TOKEN = 1, TARGET = 2, AUTHORITY = 4 };

static const uint8_t class_of[256] = {
#define T TOKEN
#define G TARGET
#define A AUTHORITY
    ['!'] = T | G | A,
    ['"'] = G,
    ['#'] = T,
    ['$'] = T | G | A,
    ['%'] = T | G | A,
    ['&'] = T | G | A,
    ['\''] = T | G | A,
    ['('] = G | A,
    [')'] = G | A,
    ['*'] = T | G | A,
    ['+'] = T | G | A,
    [','] = G | A,
    ['-'] = T | G | A,
    ['.'] = T | G | A,
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
    ['^'] = T | G,
    ['_'] = T | G | A,
    ['`'] = T | G,
    ['{'] = G,
    ['|'] = T | G,
    ['}'] = G,
    ['~'] = T | G | A,
    ['0' ... '9'] = T | G | A,
    ['A' ... 'Z'] = T | G | A,
    ['a' ... 'z'] = T | G | A,
#undef T
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

/* Anything below a space but the tab, or DEL: http-parser lets some of it pass in the fields that it reads itself. */
static bool has_control(struct str text)
{
    unsigned bad = 0;
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.data[i];
        bad |= (c < ' ' && c != '\t') | (c == 0x7f);
    }
    return bad;
}

bool parse_is_token(struct str text)
{
    return text.length && all_of(text, TOKEN);
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
        /* Exactly one CR, right before the LF: http-parser would take another one for the end of the head. */
        if (memchr(line, '\r', (size_t)(feed - line)) != feed - 1)
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

/* --- http-parser's callbacks --- */

struct parse {
    struct fields *fields;
    struct str target, reason, name;
    struct parse_result *result;
    bool drop;     /* the present field doesn't pass */
    bool complete; /* the empty line was reached */
    uint64_t content_length;
};

static int refuse(struct parse *parse, const char *detail)
{
    if (!parse->result->detail)
        parse->result->detail = detail;
    return -1;
}

/* A second message in the head's bytes: http-parser and head_find_end() don't agree on its end. */
static int on_message_begin(http_parser *parser)
{
    struct parse *parse = parser->data;
    return parse->complete ? refuse(parse, "the head has two ends") : 0;
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

static int on_header_field(http_parser *parser, const char *at, size_t length)
{
    struct parse *parse = parser->data;
    parse->name = (struct str){at, length};
    if (!parse_is_token(parse->name))
        return refuse(parse, "a field name has characters that it may not have");
    if (at[length] != ':')
        return refuse(parse, "there is a space between a field name and its colon");
    /* Many servers read `-` for `_`: a client could forge another field. */
    parse->drop = parser->type == HTTP_REQUEST && memchr(at, '_', length) != NULL;
    return 0;
}

static int on_header_value(http_parser *parser, const char *at, size_t length)
{
    struct parse *parse = parser->data;
    struct fields *fields = parse->fields;
    if (parse->drop)
        return 0;
    enum field_id id = field_id_of(parse->name);
    if (fields->present >> id & 1 && field_flags(id) & FIELD_ONE)
        return refuse(parse, "a field that may stand once stands twice");
    if (fields->count == fields->capacity)
        return refuse(parse, "more fields than lines");
    struct str value = str_trim((struct str){at, length});
    if (has_control(value))
        return refuse(parse, "a field value has control characters");
    fields->items[fields->count++] = (struct field){parse->name, value, id};
    fields->present |= (uint64_t)1 << id;
    return 0;
}

/* What follows the head is never http-parser's: 1 says that there is no body. */
static int on_headers_complete(http_parser *parser)
{
    struct parse *parse = parser->data;
    parse->complete = true;
    parse->content_length = parser->content_length;
    return 1;
}

static const http_parser_settings callbacks = {
    .on_message_begin = on_message_begin,
    .on_url = on_url,
    .on_status = on_status,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
};

/* --- both kinds --- */

static void fields_room(struct fields *fields, unsigned lines, struct arena *arena)
{
    fields->count = 0;
    fields->present = 0;
    fields->capacity = lines + 4; /* some to add */
    fields->items = arena_alloc(arena, fields->capacity * sizeof *fields->items);
}

static bool execute(http_parser *parser, enum http_parser_type type, struct parse *parse, const char *data,
                    size_t length)
{
    http_parser_init(parser, type);
    parser->data = parse;
    parse->result->status = 400;
    parse->result->detail = NULL;
    size_t used = http_parser_execute(parser, &callbacks, data, length);
    enum http_errno error = HTTP_PARSER_ERRNO(parser);
    if (parse->result->detail)
        return false;
    if (error != HPE_OK || used != length || !parse->complete) {
        parse->result->detail = error != HPE_OK ? http_errno_description(error) : "the head has two ends";
        if (error == HPE_INVALID_METHOD)
            parse->result->status = 501;
        return false;
    }
    return true;
}

static bool deny(struct parse_result *result, unsigned status, const char *detail)
{
    result->status = status;
    result->detail = detail;
    return false;
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

/* Takes out what Connection names (RFC 9110, section 7.6.1); the known hop-by-hop fields never go on anyway, and Host
 * can't be asked away. */
static void strip_named(struct fields *fields)
{
    if (!fields_get(fields, FIELD_CONNECTION))
        return;
    for (unsigned c = 0; c < fields->count; c++) {
        if (fields->items[c].id != FIELD_CONNECTION || str_case_eq(fields->items[c].value, STR("keep-alive")))
            continue;
        for (unsigned i = 0; i < fields->count; i++) {
            struct field *field = &fields->items[i];
            if (field_flags(field->id) & FIELD_HOP || field->id == FIELD_HOST ||
                !str_list_has(fields->items[c].value, field->name))
                continue;
            field->name.length = 0; /* a field without a name is not written */
            fields->present &= ~((uint64_t)(field->id != FIELD_OTHER) << field->id);
            field->id = FIELD_OTHER;
        }
    }
}

static bool connection_persists(const struct fields *fields, unsigned version)
{
    bool keep = version >= 11;
    if (!fields_get(fields, FIELD_CONNECTION))
        return keep;
    for (unsigned i = 0; i < fields->count; i++) {
        if (fields->items[i].id != FIELD_CONNECTION)
            continue;
        if (str_list_has(fields->items[i].value, STR("close")))
            return false;
        if (str_list_has(fields->items[i].value, STR("keep-alive")))
            keep = true;
    }
    return keep;
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
        head->length = parse->content_length;
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
    http_parser parser;
    memset(head, 0, sizeof *head);
    fields_room(&head->fields, lines, arena);
    if (!execute(&parser, HTTP_REQUEST, &parse, data, length))
        return false;
    head->target = parse.target;
    if (!check_request_line(data, data + length, parse.target, &parser, result))
        return false;
    head->method_text = (struct str){data, (size_t)(parse.target.data - 1 - data)};
    head->method = method_of(head->method_text);
    head->version = parser.http_major * 10u + parser.http_minor;
    head->scheme = STR("http");
    head->keep_alive = connection_persists(&head->fields, head->version);
    strip_named(&head->fields);
    return split_target(head, result) && check_host(head, result) && check_framing(head, &parse, result) &&
           check_expect(head, result);
}

/* --- a response --- */

static bool check_status_line(const char *data, const http_parser *parser, struct parse_result *result)
{
    if (parser->http_major != 1 || parser->http_minor > 1)
        return deny(result, 502, "the version of the answer is neither HTTP/1.0 nor HTTP/1.1");
    bool digits = data[9] >= '1' && data[9] <= '5' && data[10] >= '0' && data[10] <= '9' && data[11] >= '0' &&
                  data[11] <= '9';
    if (data[8] != ' ' || !digits || (data[12] != ' ' && data[12] != '\r'))
        return deny(result, 502, "the status line of the answer is malformed");
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
        head->length = parse->content_length;
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
    http_parser parser;
    memset(head, 0, sizeof *head);
    fields_room(&head->fields, lines, arena);
    if (length < 16)
        return deny(result, 502, "the answer's head is too short");
    if (!execute(&parser, HTTP_RESPONSE, &parse, data, length)) {
        result->status = 502;
        return false;
    }
    if (!check_status_line(data, &parser, result))
        return false;
    head->status = parser.status_code;
    head->reason = parse.reason;
    head->keep_alive = connection_persists(&head->fields, parser.http_major * 10u + parser.http_minor);
    strip_named(&head->fields);
    return response_framing(head, method, parser.http_minor == 0, &parse, result);
}
