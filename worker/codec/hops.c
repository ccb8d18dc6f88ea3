/* hops: what proxies say of the hops before them. Called for requests of trusted proxies, and by what sends on. */
#include "worker/codec/hops.h"

#include "shared/base/token.h"
#include "worker/codec/authority.h"

/* Whether the character at `at` is escaped: an odd number of backslashes stands before it. */
static bool escaped(struct str list, size_t at)
{
    size_t from = at;
    while (from > 0 && list.data[from - 1] == '\\')
        from--;
    return (at - from) & 1;
}

/* Where the last element begins: behind the last comma that isn't in quotes, which are counted from the end. */
static size_t last_begin(struct str list, bool quoted)
{
    bool inside = false;
    for (size_t i = list.length; i > 0; i--) {
        char c = list.data[i - 1];
        if (c == ',' && !inside)
            return i;
        if (c == '"' && quoted && !escaped(list, i - 1))
            inside = !inside;
    }
    return 0;
}

bool hops_last(struct str *list, bool quoted, struct str *element)
{
    while (list->length) {
        size_t begin = last_begin(*list, quoted);
        *element = str_trim(str_from(*list, begin));
        list->length = begin ? begin - 1 : 0;
        if (element->length)
            return true;
    }
    return false;
}

/* --- addresses --- */

static bool parse_port(struct str text, in_port_t *port)
{
    uint64_t number;
    if (text.length == 0 || text.length > 5 || !str_to_u64(text, 65535, &number))
        return false;
    *port = htons((in_port_t)number);
    return true;
}

static bool parse_in6(struct str text, struct address *address)
{
    if (!address_parse_ip(text, AF_INET6, address))
        return false;
    address_unmap(address);
    return true;
}

static bool parse_brackets(struct str text, struct address *address)
{
    ptrdiff_t end = str_index(text, ']');
    in_port_t port = 0;
    if (end < 0)
        return false;
    struct str rest = str_from(text, (size_t)end + 1), inside = {text.data + 1, (size_t)end - 1};
    if (rest.length && (rest.data[0] != ':' || !parse_port(str_from(rest, 1), &port)))
        return false;
    if (!parse_in6(inside, address))
        return false;
    if (address->any.sa_family == AF_INET)
        address->in.sin_port = port;
    else
        address->in6.sin6_port = port;
    return true;
}

static bool parse_in(struct str text, struct address *address)
{
    struct str port = text, host = str_cut(&port, ':');
    return address_parse_ip(host, AF_INET, address) &&
           (!port.data || parse_port(port, &address->in.sin_port));
}

/* `bare`: an IPv6 address may stand without brackets, and "unix:" for a UNIX socket. */
static bool parse_node(struct str text, bool bare, struct address *address)
{
    memset(address, 0, sizeof *address);
    if (text.length == 0)
        return false;
    if (text.data[0] == '[')
        return parse_brackets(text, address);
    if (bare && str_eq(text, STR("unix:"))) {
        address->un.sun_family = AF_UNIX;
        address->length = offsetof(struct sockaddr_un, sun_path);
        return true;
    }
    ptrdiff_t colon = str_index(text, ':');
    if (bare && colon >= 0 && str_index(str_from(text, (size_t)colon + 1), ':') >= 0)
        return parse_in6(text, address);
    return parse_in(text, address);
}

bool hop_parse(struct str element, struct hop *hop)
{
    *hop = (struct hop){.proto = {NULL, 0}};
    return parse_node(element, true, &hop->address);
}

/* --- Forwarded --- */

static void skip_spaces(struct str *text)
{
    while (text->length && (text->data[0] == ' ' || text->data[0] == '\t'))
        *text = str_from(*text, 1);
}

static struct str take_token(struct str *text)
{
    struct str token = {text->data, 0};
    while (token.length < text->length && token_has(text->data[token.length]))
        token.length++;
    *text = str_from(*text, token.length);
    return token;
}

/* A token or a quoted string, whose inside is returned as it is: nothing that is wanted here has an escape. */
static bool take_value(struct str *text, struct str *value)
{
    if (!text->length || text->data[0] != '"') {
        *value = take_token(text);
        return value->length > 0;
    }
    for (size_t i = 1; i < text->length; i++) {
        if (text->data[i] == '\\')
            i++;
        else if (text->data[i] == '"') {
            *value = (struct str){text->data + 1, i - 1};
            *text = str_from(*text, i + 1);
            return true;
        }
    }
    return false;
}

enum { PAIR_FOR = 1, PAIR_HOST = 2, PAIR_PROTO = 4 };

/* Each may stand there once (RFC 7239, section 4). */
static bool take_pair(struct str name, struct str value, unsigned *seen, struct hop *hop)
{
    unsigned which = str_case_eq(name, STR("for"))     ? PAIR_FOR
                     : str_case_eq(name, STR("host"))  ? PAIR_HOST
                     : str_case_eq(name, STR("proto")) ? PAIR_PROTO
                                                       : 0;
    if (*seen & which)
        return false;
    *seen |= which;
    if (which == PAIR_FOR)
        return parse_node(value, false, &hop->address);
    if (which == PAIR_HOST && authority_is_good(value))
        hop->host = value;
    else if (which == PAIR_PROTO && is_token(value))
        hop->proto = value;
    return true;
}

bool hop_parse_forwarded(struct str element, struct hop *hop)
{
    unsigned seen = 0;
    *hop = (struct hop){.proto = {NULL, 0}};
    while (element.length) {
        struct str name = take_token(&element), value;
        if (name.length == 0 || !element.length || element.data[0] != '=')
            return false;
        element = str_from(element, 1);
        if (!take_value(&element, &value) || !take_pair(name, value, &seen, hop))
            return false;
        skip_spaces(&element);
        if (element.length && element.data[0] != ';')
            return false;
        if (element.length)
            element = str_from(element, 1);
        skip_spaces(&element);
    }
    return seen & PAIR_FOR;
}

/* A token as it is, else a quoted string (RFC 9110, section 5.6.4). */
static void write_value(struct buf *out, struct str value)
{
    if (is_token(value)) {
        buf_str_add(out, value);
        return;
    }
    buf_char(out, '"');
    for (size_t i = 0; i < value.length; i++) {
        if (value.data[i] == '"' || value.data[i] == '\\')
            buf_char(out, '\\');
        buf_char(out, value.data[i]);
    }
    buf_char(out, '"');
}

void hop_write_forwarded(struct buf *out, const struct address *address, struct str host, struct str proto)
{
    char text[ADDRESS_TEXT_SIZE];
    size_t length = address_format_host(address, text);
    BUF_LITERAL(out, "for=");
    if (address->any.sa_family == AF_INET) {
        buf_add(out, text, length);
    } else if (address->any.sa_family == AF_INET6) {
        BUF_LITERAL(out, "\"[");
        buf_add(out, text, length);
        BUF_LITERAL(out, "]\"");
    } else {
        BUF_LITERAL(out, "_hidden");
    }
    if (host.length) {
        BUF_LITERAL(out, ";host=");
        write_value(out, host);
    }
    BUF_LITERAL(out, ";proto=");
    write_value(out, proto);
}

/* --- Via --- */

unsigned hops_via_count(struct str line, struct str name)
{
    unsigned count = 0;
    while (line.length) {
        struct str element = str_trim(str_cut(&line, ',')); /* protocol, received-by, perhaps a comment */
        size_t at = 0;
        while (at < element.length && element.data[at] != ' ' && element.data[at] != '\t')
            at++;
        struct str by = str_trim(str_from(element, at));
        for (at = 0; at < by.length && by.data[at] != ' ' && by.data[at] != '\t' && by.data[at] != '(';)
            at++;
        by.length = at;
        count += str_case_eq(by, name);
    }
    return count;
}
