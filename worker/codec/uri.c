/* uri: paths and queries of request targets. Called for every request; a path that is normal already is read once and
 * not copied.
 */
#include "worker/codec/uri.h"

/* What a byte is, in a table of 256. */
enum {
    PATH = 1,       /* may stand raw in a path: pchar and / (RFC 3986, section 3.3), without % */
    UNRESERVED = 2, /* section 2.3 */
    AFTER = 4,      /* / and . behind a slash: perhaps not normal */
    ENCODE = 8,     /* browsers send it raw in a query; it is no legal byte there */
    QUERY = 16,     /* may stand raw in a query: PATH, ? and % (which is kept as it came) */
    SLASH = 32,     /* the slash alone */
};

enum { LETTER = PATH | UNRESERVED | QUERY, SUB = PATH | QUERY };

static const uint8_t classes[256] = {
    ['A' ... 'Z'] = LETTER,
    ['a' ... 'z'] = LETTER,
    ['0' ... '9'] = LETTER,
    ['-'] = LETTER,
    ['_'] = LETTER,
    ['~'] = LETTER,
    ['.'] = LETTER | AFTER,
    ['/'] = SUB | AFTER | SLASH,
    ['%'] = QUERY,
    ['?'] = QUERY,
    ['!'] = SUB,
    ['$'] = SUB,
    ['&'] = SUB,
    ['\''] = SUB,
    ['('] = SUB,
    [')'] = SUB,
    ['*'] = SUB,
    ['+'] = SUB,
    [','] = SUB,
    [';'] = SUB,
    ['='] = SUB,
    [':'] = SUB,
    ['@'] = SUB,
    ['"'] = ENCODE,
    ['<'] = ENCODE,
    ['>'] = ENCODE,
    ['['] = ENCODE,
    [']'] = ENCODE,
    ['\\'] = ENCODE,
    ['^'] = ENCODE,
    ['{'] = ENCODE,
    ['|'] = ENCODE,
    ['}'] = ENCODE,
    ['`'] = ENCODE,
};

static const char upper_hex[] = "0123456789ABCDEF";

static inline unsigned class_of(char c)
{
    return classes[(unsigned char)c];
}

static inline int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

/* The byte that `%HH` at the front of `s` stands for, or -1. */
static inline int escape_value(struct str s)
{
    if (s.length < 3)
        return -1;
    int high = hex_value(s.data[1]), low = hex_value(s.data[2]);
    return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static inline char *put_escape(char *out, unsigned char c)
{
    out[0] = '%';
    out[1] = upper_hex[c >> 4];
    out[2] = upper_hex[c & 15];
    return out + 3;
}

/* Checks the escape at the front of `s`; `*byte` is what it stands for. */
static enum uri_result check_escape(struct str s, unsigned char *byte)
{
    int value = escape_value(s);
    if (value < 0)
        return URI_BAD_ESCAPE;
    if (value == '/' || value == '\\' || value == 0)
        return URI_ENCODED;
    *byte = (unsigned char)value;
    return URI_OK;
}

/* The byte behind the one or two dots that the segment at `at` begins with, '/' at the end; 0: it doesn't. */
static char behind_dots(struct str path, size_t at)
{
    size_t dots = 0;
    while (dots < 3 && at + dots < path.length && path.data[at + dots] == '.')
        dots++;
    if (dots != 1 && dots != 2)
        return '\0';
    return at + dots == path.length ? '/' : path.data[at + dots];
}

/* Whether the segment that begins at `at` is "." or "..". */
static bool is_dots(struct str path, size_t at)
{
    return behind_dots(path, at) == '/';
}

/* Whether `path` is plainly normal, as nearly all are: no escape, and no dot or slash behind a slash. Without a branch
 * a byte. */
static bool is_plain(struct str path)
{
    _Static_assert(SLASH >> 3 == AFTER, "the bit of the byte before is moved onto the other");
    unsigned all = PATH, doubt = 0, before = 0;
    for (size_t i = 0; i < path.length; i++) {
        unsigned class = class_of(path.data[i]);
        all &= class;
        doubt |= before >> 3 & class;
        before = class & SLASH;
    }
    return all && !doubt;
}

/* How much of the front of `path` is in normal form, up to the byte that isn't; or what is wrong with it. The dots
 * and slashes of a segment are looked at when the slash before it is read. */
static enum uri_result normal_length(struct str path, size_t *length)
{
    size_t i = 0;
    while (i < path.length) {
        unsigned class = class_of(path.data[i]);
        if ((class & (PATH | AFTER)) == PATH) {
            i++;
            continue;
        }
        switch (path.data[i]) {
        case '.': /* a segment's first one was seen at its slash */
            i++;
            break;
        case '/':
            i++;
            if (behind_dots(path, i) == ';')
                return URI_DOT_PARAMETER;
            if (i < path.length && (path.data[i] == '/' || (path.data[i] == '.' && is_dots(path, i)))) {
                *length = i;
                return URI_OK;
            }
            break;
        case '%': {
            unsigned char byte = 0;
            enum uri_result result = check_escape(str_from(path, i), &byte);
            if (result != URI_OK)
                return result;
            if ((classes[byte] & UNRESERVED) || path.data[i + 1] >= 'a' || path.data[i + 2] >= 'a') {
                *length = i;
                return URI_OK;
            }
            i += 3;
            break;
        }
        default:
            return URI_BAD_BYTE;
        }
    }
    *length = i;
    return URI_OK;
}

/* A path under way: `out` begins with a slash. */
struct writer {
    char *out;
    size_t length;
    size_t segment; /* where the last segment begins, behind its slash */
};

/* The last segment is whole: takes it back when it is a dot segment. */
static enum uri_result end_segment(struct writer *writer)
{
    const char *segment = writer->out + writer->segment;
    size_t length = writer->length - writer->segment;
    if (behind_dots((struct str){segment, length}, 0) == ';')
        return URI_DOT_PARAMETER;
    if (length == 1 && segment[0] == '.') {
        writer->length = writer->segment;
    } else if (length == 2 && segment[0] == '.' && segment[1] == '.') {
        if (writer->segment == 1)
            return URI_ABOVE_ROOT;
        size_t at = writer->segment - 1; /* the slash before it; go behind the one before that */
        while (writer->out[at - 1] != '/')
            at--;
        writer->length = writer->segment = at;
    }
    return URI_OK;
}

/* Copies the rest of the path from `i`, brought to normal form. What is written stays behind what is read. */
static enum uri_result write_normal(struct writer *writer, struct str path, size_t i)
{
    while (i < path.length) {
        char c = path.data[i];
        unsigned char byte = (unsigned char)c;
        if (c == '%') {
            enum uri_result result = check_escape(str_from(path, i), &byte);
            if (result != URI_OK)
                return result;
            i += 3;
            if (classes[byte] & UNRESERVED)
                writer->out[writer->length++] = (char)byte;
            else
                writer->length = (size_t)(put_escape(writer->out + writer->length, byte) - writer->out);
            continue;
        }
        if (!(classes[byte] & PATH))
            return URI_BAD_BYTE;
        i++;
        if (c != '/') {
            writer->out[writer->length++] = c;
            continue;
        }
        enum uri_result result = end_segment(writer);
        if (result != URI_OK)
            return result;
        if (writer->length > writer->segment) { /* else the slash is there already */
            writer->out[writer->length++] = '/';
            writer->segment = writer->length;
        }
    }
    return end_segment(writer);
}

enum uri_result uri_path_normal(struct str path, char *out, size_t size, struct str *normal)
{
    if (path.length == 0 || path.data[0] != '/')
        return URI_NO_SLASH;
    if (is_plain(path)) {
        *normal = path;
        return URI_OK;
    }
    size_t length = 0;
    enum uri_result result = normal_length(path, &length);
    if (result != URI_OK)
        return result;
    if (length == path.length) {
        *normal = path;
        return URI_OK;
    }
    if (size < path.length)
        return URI_TOO_LONG;
    memcpy(out, path.data, length);
    struct writer writer = {out, length, length};
    while (out[writer.segment - 1] != '/')
        writer.segment--;
    result = write_normal(&writer, path, length);
    if (result == URI_OK)
        *normal = (struct str){out, writer.length};
    return result;
}

const char *uri_result_text(enum uri_result result)
{
    static const char *const texts[] = {
        [URI_OK] = "",
        [URI_BAD_ESCAPE] = "a % is not followed by two hexadecimal digits",
        [URI_BAD_BYTE] = "a byte is not allowed there and must be percent-encoded",
        [URI_ENCODED] = "an encoded slash, backslash or NUL is not accepted",
        [URI_ABOVE_ROOT] = "the path leads above the root",
        [URI_DOT_PARAMETER] = "a dot segment with a parameter is not accepted",
        [URI_NO_SLASH] = "the path does not begin with a slash",
        [URI_TOO_LONG] = "it is too long",
    };
    return texts[result];
}

enum uri_result uri_query_normal(struct str query, char *out, size_t size, struct str *normal)
{
    size_t i = 0;
    while (i < query.length && (class_of(query.data[i]) & QUERY))
        i++;
    if (i == query.length) {
        *normal = query;
        return URI_OK;
    }
    struct str rest = str_from(query, i);
    size_t need = query.length;
    for (size_t j = 0; j < rest.length; j++) {
        unsigned class = class_of(rest.data[j]);
        if (!(class & (QUERY | ENCODE)))
            return URI_BAD_BYTE;
        if (class & ENCODE)
            need += 2;
    }
    if (need > size)
        return URI_TOO_LONG;
    if (i)
        memcpy(out, query.data, i);
    char *at = out + i;
    for (size_t j = 0; j < rest.length; j++) {
        if (class_of(rest.data[j]) & ENCODE)
            at = put_escape(at, (unsigned char)rest.data[j]);
        else
            *at++ = rest.data[j];
    }
    *normal = (struct str){out, (size_t)(at - out)};
    return URI_OK;
}

/* Whether a segment of `value` is "." or "..": no encoding keeps a peer from resolving it. */
static bool has_dots(struct str value)
{
    for (size_t i = 0; i < value.length; i++)
        if (value.data[i] == '.' && (i == 0 || value.data[i - 1] == '/') && is_dots(value, i))
            return true;
    return false;
}

ptrdiff_t uri_encode(struct str value, enum uri_part part, char *out, size_t size)
{
    if (part != URI_QUERY_VALUE && has_dots(value))
        return -1;
    size_t length = 0;
    for (size_t i = 0; i < value.length; i++) {
        char c = value.data[i];
        if ((class_of(c) & UNRESERVED) || (c == '/' && part == URI_REST)) {
            if (length == size)
                return -1;
            out[length++] = c;
        } else {
            if (size - length < 3)
                return -1;
            put_escape(out + length, (unsigned char)c);
            length += 3;
        }
    }
    return (ptrdiff_t)length;
}

/* Decodes the byte at the front of `s`, which it shortens; -1: a bad escape. */
static int next_decoded(struct str *s, bool query)
{
    char c = s->data[0];
    if (c == '%') {
        int value = escape_value(*s);
        if (value >= 0)
            *s = str_from(*s, 3);
        return value;
    }
    *s = str_from(*s, 1);
    return query && c == '+' ? ' ' : (unsigned char)c;
}

ptrdiff_t uri_decode(struct str value, bool query, char *out, size_t size)
{
    size_t length = 0;
    while (value.length) {
        int c = next_decoded(&value, query);
        if (c < 0 || length == size)
            return -1;
        out[length++] = (char)c;
    }
    return (ptrdiff_t)length;
}

/* Whether `text`, decoded, is `name`: an encoded letter must not hide a parameter. */
static bool decodes_to(struct str text, struct str name)
{
    size_t i = 0;
    for (; text.length; i++) {
        int c = next_decoded(&text, true);
        if (c < 0 || i == name.length || c != (unsigned char)name.data[i])
            return false;
    }
    return i == name.length;
}

bool uri_query_next(struct str *query, struct str name, struct str *value)
{
    while (query->length) {
        struct str rest = str_cut(query, '&'), key = str_cut(&rest, '=');
        if (!decodes_to(key, name))
            continue;
        *value = rest.data ? rest : (struct str){key.data + key.length, 0};
        return true;
    }
    return false;
}

bool uri_query_value(struct str query, struct str name, struct str *value)
{
    return uri_query_next(&query, name, value);
}
