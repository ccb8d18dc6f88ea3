/* json: a strict scanner of JSON texts (RFC 8259). Called for tokens and sets of keys. */
#include "worker/codec/json.h"

#include "shared/base/scan.h"

enum { NUMBER_DIGITS = 18, UTF8_MAX = 4 };

struct scanner {
    struct json *json;
    struct json_value *values;
    unsigned size, depth;
    const char *at, *end;
    uint32_t open[JSON_DEPTH_MAX]; /* the containers that are open */
};

static bool wrong(struct scanner *scanner, const char *what)
{
    scanner->json->wrong = what;
    scanner->json->wrong_at = (size_t)(scanner->at - scanner->json->text.data);
    return false;
}

static void skip_space(struct scanner *scanner)
{
    while (scanner->at < scanner->end &&
           (*scanner->at == ' ' || *scanner->at == '\t' || *scanner->at == '\n' || *scanner->at == '\r'))
        scanner->at++;
}

static bool take(struct scanner *scanner, char c)
{
    if (scanner->at == scanner->end || *scanner->at != c)
        return false;
    scanner->at++;
    return true;
}

/* --- strings (section 7) --- */

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four digits; -1: they aren't. */
static int32_t hex4(const char *at, const char *end)
{
    int32_t value = 0;
    if (end - at < 4)
        return -1;
    for (unsigned i = 0; i < 4; i++) {
        int digit = hex_value(at[i]);
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

/* What follows a backslash: the character, and how many bytes it took; 0: it is no escape. */
static size_t read_escape(const char *at, const char *end, uint32_t *character)
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    if (at == end)
        return 0;
    if (*at != 'u') {
        const char *found = memchr(letters, *at, sizeof letters - 1);
        *character = found ? (uint32_t)meant[found - letters] : 0;
        return found != NULL;
    }
    int32_t first = hex4(at + 1, end);
    if (first < 0 || (first >= 0xdc00 && first <= 0xdfff))
        return 0;
    *character = (uint32_t)first;
    if (first < 0xd800 || first > 0xdbff)
        return 5;
    if (end - at < 11 || at[5] != '\\' || at[6] != 'u')
        return 0;
    int32_t second = hex4(at + 7, end);
    if (second < 0xdc00 || second > 0xdfff)
        return 0;
    *character = 0x10000 + (((uint32_t)first - 0xd800) << 10) + ((uint32_t)second - 0xdc00);
    return 11;
}

/* The length of a character of more than one byte (RFC 3629, section 4); 0: it is none. */
static size_t utf8_length(const char *text, const char *end)
{
    const unsigned char *at = (const unsigned char *)text;
    size_t length = at[0] >= 0xc2 && at[0] <= 0xdf   ? 2
                    : at[0] >= 0xe0 && at[0] <= 0xef ? 3
                    : at[0] >= 0xf0 && at[0] <= 0xf4 ? 4
                                                     : 0;
    if (!length || (size_t)(end - text) < length)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    bool out = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) ||
               (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f);
    return out ? 0 : length;
}

/* Over the bytes that mean themselves. */
static const char *skip_plain(const char *at, const char *end)
{
    for (; end - at >= 8; at += 8) {
        uint64_t word = scan_load(at);
        uint64_t marks =
            scan_below(word, 0x20) | scan_equal(word, '"') | scan_equal(word, '\\') | scan_high(word);
        if (marks)
            return at + scan_lowest(marks);
    }
    while (at < end && (unsigned char)*at >= 0x20 && (unsigned char)*at < 0x80 && *at != '"' && *at != '\\')
        at++;
    return at;
}

static bool scan_string(struct scanner *scanner, uint32_t *begin, uint32_t *length, bool *escaped)
{
    const char *first = ++scanner->at;
    *escaped = false;
    for (;;) {
        uint32_t character;
        size_t taken;
        scanner->at = skip_plain(scanner->at, scanner->end);
        if (scanner->at == scanner->end)
            return wrong(scanner, "a string without an end");
        if (*scanner->at == '"')
            break;
        if ((unsigned char)*scanner->at < 0x20)
            return wrong(scanner, "a control in a string");
        if (*scanner->at == '\\') {
            taken = read_escape(scanner->at + 1, scanner->end, &character);
            if (!taken)
                return wrong(scanner, "a bad escape");
            *escaped = true;
            taken++;
        } else {
            taken = utf8_length(scanner->at, scanner->end);
            if (!taken)
                return wrong(scanner, "bytes that are not UTF-8");
        }
        scanner->at += taken;
    }
    *begin = (uint32_t)(first - scanner->json->text.data);
    *length = (uint32_t)(scanner->at++ - first);
    return true;
}

static size_t utf8_put(uint32_t character, char *out)
{
    if (character < 0x80) {
        out[0] = (char)character;
        return 1;
    }
    size_t length = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    static const unsigned char lead[UTF8_MAX + 1] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = length - 1; i > 0; i--, character >>= 6)
        out[i] = (char)(0x80 | (character & 0x3f));
    out[0] = (char)(lead[length] | character);
    return length;
}

/* The next piece of a string that was scanned: one escape, or what stands before it. */
static struct str next_piece(struct str *rest, char scratch[UTF8_MAX])
{
    uint32_t character = 0;
    if (rest->data[0] == '\\') {
        size_t taken = read_escape(rest->data + 1, rest->data + rest->length, &character);
        *rest = str_from(*rest, taken + 1);
        return (struct str){scratch, utf8_put(character, scratch)};
    }
    ptrdiff_t end = str_index(*rest, '\\');
    struct str piece = {rest->data, end < 0 ? rest->length : (size_t)end};
    *rest = str_from(*rest, piece.length);
    return piece;
}

static bool escaped_says(struct str raw, struct str text)
{
    char scratch[UTF8_MAX];
    while (raw.length) {
        struct str piece = next_piece(&raw, scratch);
        if (!str_starts(text, piece))
            return false;
        text = str_from(text, piece.length);
    }
    return text.length == 0;
}

/* --- numbers and words (sections 6 and 3) --- */

static bool take_digits(struct scanner *scanner)
{
    const char *first = scanner->at;
    while (scanner->at < scanner->end && *scanner->at >= '0' && *scanner->at <= '9')
        scanner->at++;
    return scanner->at > first;
}

static bool scan_number(struct scanner *scanner)
{
    take(scanner, '-');
    if (!take(scanner, '0') && !take_digits(scanner))
        return wrong(scanner, "a number without digits");
    if (take(scanner, '.') && !take_digits(scanner))
        return wrong(scanner, "a fraction without digits");
    if (take(scanner, 'e') || take(scanner, 'E')) {
        if (!take(scanner, '+'))
            take(scanner, '-');
        if (!take_digits(scanner))
            return wrong(scanner, "an exponent without digits");
    }
    return true;
}

static bool scan_word(struct scanner *scanner, struct json_value *value)
{
    static const struct {
        struct str word;
        enum json_type type;
    } words[] = {
        {{"true", 4}, JSON_TYPE_TRUE}, {{"false", 5}, JSON_TYPE_FALSE}, {{"null", 4}, JSON_TYPE_NULL}};
    struct str rest = {scanner->at, (size_t)(scanner->end - scanner->at)};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (str_starts(rest, words[i].word)) {
            value->type = (uint8_t)words[i].type;
            scanner->at += words[i].word.length;
            return true;
        }
    return wrong(scanner, "no value");
}

/* --- values (sections 3 to 5) --- */

/* A value but for what it holds: a container is left open, behind its bracket. `value` has the member's name. */
static bool scan_value(struct scanner *scanner, struct json_value *value)
{
    struct json *json = scanner->json;
    skip_space(scanner);
    if (scanner->at == scanner->end)
        return wrong(scanner, "an end where a value is wanted");
    if (json->count == scanner->size)
        return wrong(scanner, "too many values");
    char c = *scanner->at;
    value->begin = (uint32_t)(scanner->at - json->text.data);
    if (c == '{' || c == '[') {
        if (scanner->depth == JSON_DEPTH_MAX)
            return wrong(scanner, "too deep");
        value->type = c == '{' ? JSON_TYPE_OBJECT : JSON_TYPE_ARRAY;
        scanner->open[scanner->depth++] = json->count;
        scanner->at++;
    } else if (c == '"') {
        value->type = JSON_TYPE_STRING;
        if (!scan_string(scanner, &value->begin, &value->length, &value->escaped))
            return false;
    } else {
        bool number = c == '-' || (c >= '0' && c <= '9');
        value->type = JSON_TYPE_NUMBER;
        if (!(number ? scan_number(scanner) : scan_word(scanner, value)))
            return false;
        value->length = (uint32_t)(scanner->at - json->text.data) - value->begin;
    }
    value->next = json->count + 1;
    scanner->values[json->count++] = *value;
    return true;
}

static bool scan_member(struct scanner *scanner, struct json_value *value)
{
    skip_space(scanner);
    if (scanner->at == scanner->end || *scanner->at != '"')
        return wrong(scanner, "no name of a member");
    if (!scan_string(scanner, &value->name_begin, &value->name_length, &value->name_escaped))
        return false;
    skip_space(scanner);
    if (!take(scanner, ':'))
        return wrong(scanner, "no colon behind a member's name");
    return scan_value(scanner, value);
}

static struct str name_of(const struct json *json, const struct json_value *value)
{
    return (struct str){json->text.data + value->name_begin, value->name_length};
}

static bool is_named(const struct json *json, const struct json_value *value, struct str name)
{
    return value->name_escaped ? escaped_says(name_of(json, value), name)
                               : str_eq(name_of(json, value), name);
}

/* Escaped both, in whatever way. */
static bool same_escaped(struct str a, struct str b)
{
    char scratch_a[UTF8_MAX], scratch_b[UTF8_MAX];
    struct str piece_a = {NULL, 0}, piece_b = {NULL, 0};
    for (;;) {
        if (!piece_a.length && a.length)
            piece_a = next_piece(&a, scratch_a);
        if (!piece_b.length && b.length)
            piece_b = next_piece(&b, scratch_b);
        size_t both = piece_a.length < piece_b.length ? piece_a.length : piece_b.length;
        if (!both)
            return piece_a.length == piece_b.length;
        if (memcmp(piece_a.data, piece_b.data, both) != 0)
            return false;
        piece_a = str_from(piece_a, both);
        piece_b = str_from(piece_b, both);
    }
}

static bool have_same_name(const struct json *json, const struct json_value *a, const struct json_value *b)
{
    if (a->name_escaped && b->name_escaped)
        return same_escaped(name_of(json, a), name_of(json, b));
    return b->name_escaped ? is_named(json, b, name_of(json, a)) : is_named(json, a, name_of(json, b));
}

static bool check_members(struct scanner *scanner, const struct json_value *object)
{
    const struct json *json = scanner->json;
    unsigned members = 0;
    for (const struct json_value *value = json_first(json, object); value;
         value = json_next(json, object, value)) {
        if (++members > JSON_MEMBERS_MAX)
            return wrong(scanner, "too many members of an object");
        for (const struct json_value *other = json_first(json, object); other != value;
             other = json_next(json, object, other))
            if (have_same_name(json, other, value))
                return wrong(scanner, "a member that is there twice");
    }
    return true;
}

/* Behind its closing bracket. */
static bool close_container(struct scanner *scanner)
{
    struct json *json = scanner->json;
    struct json_value *value = &scanner->values[scanner->open[--scanner->depth]];
    value->next = json->count;
    value->length = (uint32_t)(scanner->at - json->text.data) - value->begin;
    return value->type == JSON_TYPE_ARRAY || check_members(scanner, value);
}

/* What stands behind a value or an opening bracket: closing ones, and the next value. */
static bool go_on(struct scanner *scanner, bool opened)
{
    while (scanner->depth) {
        const struct json_value *container = &scanner->values[scanner->open[scanner->depth - 1]];
        bool object = container->type == JSON_TYPE_OBJECT;
        struct json_value value = {0};
        skip_space(scanner);
        if (take(scanner, object ? '}' : ']')) {
            if (!close_container(scanner))
                return false;
            opened = false;
            continue;
        }
        if (!opened && !take(scanner, ','))
            return wrong(scanner, object ? "neither a comma nor a }" : "neither a comma nor a ]");
        unsigned depth = scanner->depth;
        if (!(object ? scan_member(scanner, &value) : scan_value(scanner, &value)))
            return false;
        opened = scanner->depth > depth;
    }
    return true;
}

bool json_scan(struct json *json, struct str text, struct json_value *values, unsigned size)
{
    struct scanner scanner = {.json = json, .values = values, .size = size};
    struct json_value value = {0};
    *json = (struct json){.text = text, .values = values};
    scanner.at = text.data;
    scanner.end = text.data + text.length;
    if (text.length > INT32_MAX)
        return wrong(&scanner, "a text of more than 2 GB");
    if (!scan_value(&scanner, &value) || !go_on(&scanner, scanner.depth > 0))
        return false;
    skip_space(&scanner);
    return scanner.at == scanner.end || wrong(&scanner, "more behind the value");
}

/* --- reading the index --- */

static const struct json_value *child(const struct json *json, const struct json_value *container,
                                      uint32_t index)
{
    return index < container->next ? &json->values[index] : NULL;
}

const struct json_value *json_first(const struct json *json, const struct json_value *container)
{
    return child(json, container, (uint32_t)(container - json->values) + 1);
}

const struct json_value *json_next(const struct json *json, const struct json_value *container,
                                   const struct json_value *value)
{
    return child(json, container, value->next);
}

const struct json_value *json_member(const struct json *json, const struct json_value *object,
                                     struct str name)
{
    if (!object || object->type != JSON_TYPE_OBJECT)
        return NULL;
    const struct json_value *value = json_first(json, object);
    while (value && !is_named(json, value, name))
        value = json_next(json, object, value);
    return value;
}

const struct json_value *json_find(const struct json *json, const struct json_value *object, struct str path)
{
    const struct json_value *found = json_member(json, object, path);
    for (size_t length = path.length; !found && length > 0; length--)
        if (path.data[length - 1] == '.') {
            const struct json_value *inner = json_member(json, object, (struct str){path.data, length - 1});
            if (inner)
                found = json_find(json, inner, str_from(path, length));
        }
    return found;
}

struct str json_text(const struct json *json, const struct json_value *value, struct arena *arena)
{
    if (!value || value->type != JSON_TYPE_STRING)
        return (struct str){NULL, 0};
    struct str raw = json_raw(json, value);
    if (!value->escaped)
        return raw;
    char scratch[UTF8_MAX], *out = arena_alloc(arena, raw.length), *at = out;
    while (raw.length) {
        struct str piece = next_piece(&raw, scratch);
        memcpy(at, piece.data, piece.length);
        at += piece.length;
    }
    return (struct str){out, (size_t)(at - out)};
}

bool json_says(const struct json *json, const struct json_value *value, struct str text)
{
    if (!value || value->type != JSON_TYPE_STRING)
        return false;
    return value->escaped ? escaped_says(json_raw(json, value), text) : str_eq(json_raw(json, value), text);
}

bool json_whole(const struct json *json, const struct json_value *value, int64_t *number)
{
    uint64_t digits;
    if (!value || value->type != JSON_TYPE_NUMBER)
        return false;
    struct str raw = json_raw(json, value);
    bool negative = raw.data[0] == '-';
    if (negative)
        raw = str_from(raw, 1);
    if (raw.length > NUMBER_DIGITS || !str_to_u64(raw, INT64_MAX, &digits))
        return false;
    *number = negative ? -(int64_t)digits : (int64_t)digits;
    return true;
}
