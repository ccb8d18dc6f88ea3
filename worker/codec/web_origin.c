/* web_origin: the origins of web pages, and sets of those that are allowed. */
#include "worker/codec/web_origin.h"

enum { ORIGIN_MAX = 512 /* a name has 253 bytes at most; what is longer is nobody's */ };

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A name as browsers write it: lower case, other scripts in punycode. */
static bool is_host_byte(char c)
{
    return is_lower(c) || is_digit(c) || c == '-' || c == '.' || c == '_';
}

/* The length of "SCHEME://" at the front; 0: there is none. */
static size_t scheme_length(struct str text)
{
    size_t i = 0;
    while (i < text.length &&
           (is_lower(text.data[i]) || (i && (is_digit(text.data[i]) || text.data[i] == '+' ||
                                             text.data[i] == '-' || text.data[i] == '.'))))
        i++;
    return i && str_starts(str_from(text, i), STR("://")) ? i + 3 : 0;
}

/* Takes ":PORT" off the end, if digits stand there, or, with `star`, a `*`; else NULL data. */
static struct str take_port(struct str *rest, bool star)
{
    size_t at = rest->length;
    while (at && (is_digit(rest->data[at - 1]) || (star && rest->data[at - 1] == '*')))
        at--;
    if (at == rest->length || at == 0 || rest->data[at - 1] != ':')
        return (struct str){NULL, 0};
    struct str port = str_from(*rest, at);
    rest->length = at - 1;
    return port;
}

static const char *host_wrong(struct str host)
{
    if (host.length == 0)
        return "has no host";
    if (host.data[0] == '[') /* an address: only that it has an end */
        return host.data[host.length - 1] == ']' ? NULL : "has an address without its ]";
    if (host.data[0] == '*') {
        if (host.length < 3 || host.data[1] != '.' || host.data[2] == '.')
            return "has a * that is not a whole name before a dot, as in https://*.example.com";
        host = str_from(host, 2);
    }
    for (size_t i = 0; i < host.length; i++) {
        if (host.data[i] == '/')
            return "has something behind its host: browsers send scheme, host and port alone, without a / at "
                   "the end";
        if (host.data[i] >= 'A' && host.data[i] <= 'Z')
            return "has upper case: browsers send none";
        if (!is_host_byte(host.data[i]))
            return "has a byte that no host has (a * may be the first name, or the port)";
    }
    return NULL;
}

const char *web_origin_wrong(struct str text)
{
    if (str_eq(text, STR("*")) || str_eq(text, STR("null")))
        return NULL;
    size_t scheme = scheme_length(text);
    if (scheme == 0)
        return "doesn't begin with a scheme in lower case, as in https://app.example.com";
    struct str rest = str_from(text, scheme), name = {text.data, scheme};
    struct str port = take_port(&rest, true);
    if (port.length > 1 && str_index(port, '*') >= 0)
        return "has a port that is neither a number nor *";
    if ((str_eq(name, STR("https://")) && str_eq(port, STR("443"))) ||
        (str_eq(name, STR("http://")) && str_eq(port, STR("80"))))
        return "has the port that its scheme means anyway: browsers leave it out";
    return host_wrong(rest);
}

struct web_origins web_origins_of(const char *const *texts, unsigned count,
                                  const struct regex *const *patterns, unsigned pattern_count,
                                  struct arena *arena)
{
    struct web_origin *items = arena_array(arena, count, sizeof *items);
    struct web_origins origins = {.items = items, .patterns = patterns, .pattern_count = pattern_count};
    for (unsigned i = 0; i < count; i++) {
        struct str text = str_of(texts[i]), without = text;
        if (str_eq(text, STR("*"))) {
            origins.any = true;
            continue;
        }
        if (str_eq(text, STR("null"))) {
            origins.opaque = true;
            continue;
        }
        struct web_origin *item = &items[origins.count++];
        size_t scheme = scheme_length(text);
        item->scheme = (struct str){text.data, scheme};
        item->any_port = str_eq(take_port(&without, true), STR("*"));
        item->rest = str_from(item->any_port ? without : text, scheme);
        item->below = item->rest.data[0] == '*';
        if (item->below)
            item->rest = str_from(item->rest, 1);
    }
    return origins;
}

static bool is_one(const struct web_origin *item, struct str origin)
{
    if (!str_starts(origin, item->scheme))
        return false;
    struct str rest = str_from(origin, item->scheme.length);
    if (item->any_port)
        take_port(&rest, false);
    if (!item->below)
        return str_eq(rest, item->rest);
    if (rest.length <= item->rest.length || !str_ends(rest, item->rest) || rest.data[0] == '.')
        return false;
    for (size_t i = 0; i < rest.length - item->rest.length; i++)
        if (!is_host_byte(rest.data[i]))
            return false;
    return true;
}

bool web_origins_have(const struct web_origins *origins, struct str origin)
{
    if (origin.length == 0 || origin.length > ORIGIN_MAX)
        return false;
    if (origins->any)
        return true;
    if (str_eq(origin, STR("null"))) /* an opaque one: anybody's; no pattern speaks of it */
        return origins->opaque;
    for (unsigned i = 0; i < origins->count; i++)
        if (is_one(&origins->items[i], origin))
            return true;
    for (unsigned i = 0; i < origins->pattern_count; i++)
        if (regex_match(origins->patterns[i], origin) == REGEX_MATCH)
            return true;
    return false;
}
