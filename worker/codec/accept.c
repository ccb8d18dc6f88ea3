/* accept: what an Accept field asks for. Called for requests to routes whose version is told by the media type. */
#include "worker/codec/accept.h"

#include "shared/base/token.h"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Takes what stands before `separator` off `rest`, one inside a quoted string not counted. False: nothing is left. An
 * open quote runs to the end. */
static bool cut_unquoted(struct str *rest, char separator, struct str *part)
{
    bool quoted = false;
    size_t i = 0;
    if (!rest->data)
        return false;
    for (; i < rest->length && (quoted || rest->data[i] != separator); i++) {
        if (rest->data[i] == '"')
            quoted = !quoted;
        else if (quoted && rest->data[i] == '\\' && i + 1 < rest->length)
            i++;
    }
    *part = str_trim((struct str){rest->data, i});
    *rest = i < rest->length ? str_from(*rest, i + 1) : (struct str){NULL, 0};
    return true;
}

/* qvalue (RFC 9110, section 12.4.2) in thousandths. */
static bool parse_quality(struct str text, unsigned *quality)
{
    if (text.length == 0 || text.length > 5 || (text.data[0] != '0' && text.data[0] != '1'))
        return false;
    if (text.length > 1 && text.data[1] != '.')
        return false;
    unsigned value = (unsigned)(text.data[0] - '0') * 1000, place = 100;
    for (size_t i = 2; i < text.length; i++, place /= 10) {
        if (!is_digit(text.data[i]))
            return false;
        value += place * (unsigned)(text.data[i] - '0');
    }
    *quality = value;
    return value <= ACCEPT_WHOLE;
}

/* The subtype without its "+suffix", if it is a vendor's: "vnd.acme.v2". */
static bool vendor_type(struct str type, struct str *tree)
{
    ptrdiff_t slash = str_index(type, '/');
    *tree = slash < 0 ? type : str_from(type, (size_t)slash + 1);
    if (tree->length < 4 || !str_case_eq((struct str){tree->data, 4}, STR("vnd.")))
        return false;
    ptrdiff_t plus = str_index(*tree, '+');
    if (plus >= 0)
        tree->length = (size_t)plus;
    return true;
}

/* "2.1" of "vnd.acme.v2.1". */
static struct str type_version(struct str type)
{
    struct str rest;
    if (!vendor_type(type, &rest))
        return (struct str){NULL, 0};
    for (size_t i = 1; i + 1 < rest.length; i++)
        if (rest.data[i - 1] == '.' && (rest.data[i] | 32) == 'v' && is_digit(rest.data[i + 1]))
            return str_from(rest, i + 1);
    return (struct str){NULL, 0};
}

/* A quoted-string (RFC 9110, section 5.6.4), its quotes taken off; escapes in it stay. False: it isn't one. */
static bool unquote(struct str *text)
{
    size_t i = 1;
    if (text->length < 2 || text->data[0] != '"')
        return false;
    while (i < text->length && text->data[i] != '"')
        i += text->data[i] == '\\' ? 2 : 1;
    if (i + 1 != text->length)
        return false;
    *text = (struct str){text->data + 1, text->length - 2};
    return true;
}

/* False: it is malformed. */
static bool parse_parameter(struct str parameter, struct accept_range *range)
{
    struct str value = parameter, name = str_cut(&value, '=');
    if (!is_token(name) || !value.data)
        return false;
    if (!is_token(value) && !unquote(&value))
        return false;
    if (str_case_eq(name, STR("q")))
        return parse_quality(value, &range->quality);
    if (str_case_eq(name, STR("version")) && !range->parameter) {
        range->version = value;
        range->parameter = true;
    }
    return true;
}

static bool parse_range(struct str text, struct accept_range *range)
{
    struct str part;
    if (!cut_unquoted(&text, ';', &part))
        return false;
    struct str subtype = part, type = str_cut(&subtype, '/');
    if (!is_token(type) || !is_token(subtype))
        return false;
    *range = (struct accept_range){.type = part, .quality = ACCEPT_WHOLE, .version = type_version(part)};
    while (cut_unquoted(&text, ';', &part))
        if (part.length && !parse_parameter(part, range))
            return false;
    return true;
}

bool accept_next(struct str *rest, struct accept_range *range)
{
    struct str part;
    while (cut_unquoted(rest, ',', &part))
        if (parse_range(part, range))
            return true;
    return false;
}

/* Whether `version` is `name`, or in a type is followed by parts that are no more of the version. */
static bool is_version(struct str version, struct str name, bool whole)
{
    if (version.length < name.length || !str_case_eq((struct str){version.data, name.length}, name))
        return false;
    struct str more = str_from(version, name.length);
    return more.length == 0 || (!whole && more.length > 1 && more.data[0] == '.' && !is_digit(more.data[1]));
}

bool accept_names(const struct accept_range *range, struct str name)
{
    struct str tree;
    if (name.length == 0)
        return false;
    if (range->version.data)
        return is_version(range->version, name, range->parameter);
    if (!vendor_type(range->type, &tree) || tree.length < name.length + 2)
        return false;
    struct str end = str_from(tree, tree.length - name.length);
    return end.data[-2] == '.' && (end.data[-1] | 32) == 'v' && str_case_eq(end, name);
}
