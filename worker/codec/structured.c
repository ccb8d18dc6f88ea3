/* structured: Structured Field Values (RFC 9651). */
#include "worker/codec/structured.h"

#include "shared/base/token.h"
#include "worker/codec/base64.h"

enum { INTEGER_DIGITS = 15, WHOLE_DIGITS = 12, FRACTION_DIGITS = 3, KEYS_MAX = 128 };

static bool at(struct str rest, char c)
{
    return rest.length && rest.data[0] == c;
}

static bool take(struct str *rest, char c)
{
    if (!at(*rest, c))
        return false;
    *rest = str_from(*rest, 1);
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_alpha(char c)
{
    return is_lower(c) || (c >= 'A' && c <= 'Z');
}

/* The first `length` bytes. */
static struct str cut(struct str *rest, size_t length)
{
    struct str front = {rest->data, length};
    *rest = str_from(*rest, length);
    return front;
}

static void skip(struct str *rest, bool tabs)
{
    while (at(*rest, ' ') || (tabs && at(*rest, '\t')))
        *rest = str_from(*rest, 1);
}

/* --- bare items --- */

static size_t digits(struct str text)
{
    size_t count = 0;
    while (count < text.length && is_digit(text.data[count]))
        count++;
    return count;
}

static int64_t number_of(struct str text)
{
    int64_t number = 0;
    for (size_t i = 0; i < text.length; i++)
        number = 10 * number + (text.data[i] - '0');
    return number;
}

/* Section 4.2.4. */
static bool read_number(struct str *rest, struct structured *item)
{
    bool negative = take(rest, '-');
    size_t whole = digits(*rest);
    if (whole == 0 || whole > INTEGER_DIGITS)
        return false;
    item->type = STRUCTURED_INTEGER;
    item->number = number_of(cut(rest, whole));
    if (take(rest, '.')) {
        size_t fraction = digits(*rest);
        if (whole > WHOLE_DIGITS || fraction == 0 || fraction > FRACTION_DIGITS)
            return false;
        item->type = STRUCTURED_DECIMAL;
        int64_t thousandths = number_of(cut(rest, fraction));
        for (size_t i = fraction; i < FRACTION_DIGITS; i++)
            thousandths *= 10;
        item->number = 1000 * item->number + thousandths;
    }
    if (negative)
        item->number = -item->number;
    return true;
}

/* Behind its quote (section 4.2.5). */
static bool read_string(struct str *rest, struct structured *item)
{
    item->type = STRUCTURED_STRING;
    for (size_t i = 0; i < rest->length; i++) {
        char c = rest->data[i];
        if (c == '"') {
            item->text = cut(rest, i);
            return take(rest, '"');
        }
        if (c == '\\' && (++i == rest->length || (rest->data[i] != '"' && rest->data[i] != '\\')))
            return false;
        if (c < 0x20 || c > 0x7e)
            return false;
    }
    return false;
}

/* Section 4.2.6. */
static bool read_token(struct str *rest, struct structured *item)
{
    size_t length = 0;
    while (length < rest->length &&
           (token_has(rest->data[length]) || rest->data[length] == ':' || rest->data[length] == '/'))
        length++;
    item->type = STRUCTURED_TOKEN;
    item->text = cut(rest, length);
    return true;
}

/* Behind its colon (section 4.2.7). */
static bool read_bytes(struct str *rest, struct structured *item)
{
    ptrdiff_t end = str_index(*rest, ':');
    if (end < 0)
        return false;
    item->type = STRUCTURED_BYTES;
    item->text = cut(rest, (size_t)end);
    return take(rest, ':') && base64_is(item->text);
}

static bool read_boolean(struct str *rest, struct structured *item)
{
    item->type = STRUCTURED_BOOLEAN;
    item->number = at(*rest, '1');
    return take(rest, '1') || take(rest, '0');
}

static bool read_date(struct str *rest, struct structured *item)
{
    if (!read_number(rest, item) || item->type != STRUCTURED_INTEGER)
        return false;
    item->type = STRUCTURED_DATE;
    return true;
}

/* The bytes of a UTF-8 sequence after its first; `*least` and `*most` bound the second (RFC 3629, section 4). -1: no first. */
static int continuation(unsigned byte, unsigned *least, unsigned *most)
{
    *least = byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80;
    *most = byte == 0xed ? 0x9f : byte == 0xf4 ? 0x8f : 0xbf;
    if (byte < 0x80)
        return 0;
    return byte >= 0xc2 && byte <= 0xdf   ? 1
           : byte >= 0xe0 && byte <= 0xef ? 2
           : byte >= 0xf0 && byte <= 0xf4 ? 3
                                          : -1;
}

static int hex_value(char c)
{
    return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Behind its `%` (section 4.2.10): lower-case escapes, which make UTF-8. */
static bool read_display(struct str *rest, struct structured *item)
{
    unsigned least = 0, most = 0;
    int missing = 0;
    if (!take(rest, '"'))
        return false;
    item->type = STRUCTURED_DISPLAY;
    for (size_t i = 0; i < rest->length; i++) {
        unsigned byte = (unsigned char)rest->data[i];
        if (byte == '"') {
            item->text = cut(rest, i);
            return missing == 0 && take(rest, '"');
        }
        if (byte < 0x20 || byte > 0x7e)
            return false;
        if (byte == '%') {
            int high = i + 2 < rest->length ? hex_value(rest->data[i + 1]) : -1;
            int low = high < 0 ? -1 : hex_value(rest->data[i + 2]);
            if (low < 0)
                return false;
            byte = (unsigned)(16 * high + low);
            i += 2;
        }
        if (missing) {
            if (byte < least || byte > most)
                return false;
            least = 0x80;
            most = 0xbf;
            missing--;
        } else {
            missing = continuation(byte, &least, &most);
            if (missing < 0)
                return false;
        }
    }
    return false;
}

bool structured_item(struct str *rest, struct structured *item)
{
    *item = (struct structured){0};
    if (take(rest, '"'))
        return read_string(rest, item);
    if (take(rest, ':'))
        return read_bytes(rest, item);
    if (take(rest, '?'))
        return read_boolean(rest, item);
    if (take(rest, '@'))
        return read_date(rest, item);
    if (take(rest, '%'))
        return read_display(rest, item);
    if (rest->length && (is_alpha(rest->data[0]) || rest->data[0] == '*'))
        return read_token(rest, item);
    return read_number(rest, item);
}

/* --- what is made of them --- */

/* Section 4.2.3.3. */
static bool read_key(struct str *rest, struct str *key)
{
    size_t length = 0;
    if (!rest->length || !(is_lower(rest->data[0]) || rest->data[0] == '*'))
        return false;
    while (length < rest->length && (is_lower(rest->data[length]) || is_digit(rest->data[length]) ||
                                     (rest->data[length] && strchr("_-.*", rest->data[length]))))
        length++;
    *key = cut(rest, length);
    return true;
}

enum structured_step structured_parameter(struct str *rest, struct str *key, struct structured *value)
{
    if (!take(rest, ';'))
        return STRUCTURED_END;
    skip(rest, false);
    if (!read_key(rest, key))
        return STRUCTURED_BAD;
    *value = (struct structured){.type = STRUCTURED_BOOLEAN, .number = 1};
    if (take(rest, '=') && !structured_item(rest, value))
        return STRUCTURED_BAD;
    return STRUCTURED_MORE;
}

enum structured_step structured_inner(struct str *rest, bool *first, struct structured *item)
{
    if (*first && !take(rest, '('))
        return STRUCTURED_BAD;
    if (!*first && !at(*rest, ' ') && !at(*rest, ')'))
        return STRUCTURED_BAD;
    *first = false;
    skip(rest, false);
    if (take(rest, ')'))
        return STRUCTURED_END;
    return structured_item(rest, item) ? STRUCTURED_MORE : STRUCTURED_BAD;
}

/* The members of one list of keys that were read; those beyond KEYS_MAX are too many. */
struct keys {
    struct str items[KEYS_MAX];
    unsigned count;
};

static bool add_key(struct keys *keys, struct str key)
{
    for (unsigned i = 0; i < keys->count; i++)
        if (str_eq(keys->items[i], key))
            return false;
    if (keys->count == KEYS_MAX)
        return false;
    keys->items[keys->count++] = key;
    return true;
}

/* --- the canonical form --- */

static void put(struct buf *out, struct str text)
{
    if (out)
        buf_str_add(out, text);
}

static void put_number(const struct structured *item, struct buf *out)
{
    uint64_t number = (uint64_t)(item->number < 0 ? -item->number : item->number);
    if (!out)
        return;
    if (item->number < 0)
        buf_char(out, '-');
    if (item->type != STRUCTURED_DECIMAL) {
        buf_u64(out, number);
        return;
    }
    unsigned thousandths = (unsigned)(number % 1000);
    buf_u64(out, number / 1000);
    buf_char(out, '.');
    buf_char(out, (char)('0' + thousandths / 100));
    if (thousandths % 100)
        buf_char(out, (char)('0' + thousandths / 10 % 10));
    if (thousandths % 10)
        buf_char(out, (char)('0' + thousandths % 10));
}

static void put_item(const struct structured *item, struct buf *out)
{
    static const struct str before[] = {
        [STRUCTURED_STRING] = {"\"", 1}, [STRUCTURED_TOKEN] = {"", 0}, [STRUCTURED_BYTES] = {":", 1},
        [STRUCTURED_BOOLEAN] = {"?", 1}, [STRUCTURED_DATE] = {"@", 1}, [STRUCTURED_DISPLAY] = {"%\"", 2},
    };
    static const struct str after[] = {
        [STRUCTURED_STRING] = {"\"", 1}, [STRUCTURED_TOKEN] = {"", 0}, [STRUCTURED_BYTES] = {":", 1},
        [STRUCTURED_BOOLEAN] = {"", 0},  [STRUCTURED_DATE] = {"", 0},  [STRUCTURED_DISPLAY] = {"\"", 1},
    };
    put(out, before[item->type]);
    if (item->type == STRUCTURED_INTEGER || item->type == STRUCTURED_DECIMAL ||
        item->type == STRUCTURED_BOOLEAN || item->type == STRUCTURED_DATE)
        put_number(item, out);
    else
        put(out, item->text);
    put(out, after[item->type]);
}

static bool canonical_parameters(struct str *rest, struct buf *out)
{
    struct keys keys;
    struct structured value;
    struct str key;
    enum structured_step step;
    keys.count = 0;
    while ((step = structured_parameter(rest, &key, &value)) == STRUCTURED_MORE) {
        if (!add_key(&keys, key))
            return false;
        put(out, STR(";"));
        put(out, key);
        if (value.type == STRUCTURED_BOOLEAN && value.number)
            continue;
        put(out, STR("="));
        put_item(&value, out);
    }
    return step == STRUCTURED_END;
}

static bool canonical_inner(struct str *rest, struct buf *out)
{
    struct structured item;
    bool first = true;
    enum structured_step step;
    const char *gap = "";
    put(out, STR("("));
    while ((step = structured_inner(rest, &first, &item)) == STRUCTURED_MORE) {
        put(out, str_of(gap));
        put_item(&item, out);
        if (!canonical_parameters(rest, out))
            return false;
        gap = " ";
    }
    put(out, STR(")"));
    return step == STRUCTURED_END && canonical_parameters(rest, out);
}

bool structured_canonical(struct str *rest, struct buf *out)
{
    struct structured item;
    if (at(*rest, '('))
        return canonical_inner(rest, out);
    if (rest->length == 0 || at(*rest, ';')) {
        put(out, STR("?1"));
        return canonical_parameters(rest, out);
    }
    if (!structured_item(rest, &item))
        return false;
    put_item(&item, out);
    return canonical_parameters(rest, out);
}

/* --- dictionaries --- */

enum structured_step structured_member(struct str *rest, bool *first, struct str *key, struct str *value)
{
    if (!*first) {
        skip(rest, true);
        if (rest->length == 0)
            return STRUCTURED_END;
        if (!take(rest, ','))
            return STRUCTURED_BAD;
        skip(rest, true);
        if (rest->length == 0) /* a comma too much */
            return STRUCTURED_BAD;
    } else {
        skip(rest, false);
        if (rest->length == 0)
            return STRUCTURED_END;
    }
    *first = false;
    if (!read_key(rest, key))
        return STRUCTURED_BAD;
    bool said = take(rest, '=');
    *value = *rest;
    if (said ? rest->length == 0 || at(*rest, ';') || !structured_canonical(rest, NULL)
             : !canonical_parameters(rest, NULL))
        return STRUCTURED_BAD;
    value->length = (size_t)(rest->data - value->data);
    return STRUCTURED_MORE;
}

bool structured_canonical_dictionary(struct str text, struct buf *out)
{
    struct keys keys;
    struct str key, value;
    bool first = true;
    enum structured_step step;
    keys.count = 0;
    while ((step = structured_member(&text, &first, &key, &value)) == STRUCTURED_MORE) {
        if (!add_key(&keys, key))
            return false;
        put(out, keys.count > 1 ? STR(", ") : STR(""));
        put(out, key);
        if (value.length == 0 || at(value, ';')) { /* true is not said (section 4.1.2) */
            canonical_parameters(&value, out);
            continue;
        }
        struct str rest = value;
        if (take(&rest, '?') && take(&rest, '1')) {
            canonical_parameters(&rest, out);
            continue;
        }
        put(out, STR("="));
        structured_canonical(&value, out);
    }
    return step == STRUCTURED_END;
}

struct str structured_find(struct str dictionary, struct str key)
{
    struct str rest = dictionary, name, value, found = {NULL, 0};
    bool first = true;
    if (!structured_canonical_dictionary(dictionary, NULL))
        return found;
    while (structured_member(&rest, &first, &name, &value) == STRUCTURED_MORE)
        if (str_eq(name, key))
            found = value;
    return found;
}

/* --- bytes --- */

void structured_add_bytes(struct str bytes, struct buf *out)
{
    size_t length = BASE64_ENCODED(bytes.length);
    buf_char(out, ':');
    if (length > out->size - out->length) {
        out->overflow = true;
        return;
    }
    out->length += base64_encode(bytes, out->data + out->length);
    buf_char(out, ':');
}

ptrdiff_t structured_bytes(struct str base64, unsigned char *out, size_t size)
{
    return base64_decode(base64, out, size);
}
