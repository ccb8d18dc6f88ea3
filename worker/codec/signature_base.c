/* signature_base: what of a message a signature covers, and the text that is signed (RFC 9421). */
#include "worker/codec/signature_base.h"

#include "worker/codec/structured.h"
#include "worker/codec/uri.h"

enum { QUERY_VALUE_MAX = 4096, LINE_MAX_BYTES = 8192 };

/* --- Signature-Input --- */

static const char *const malformed = "isn't a list of components with parameters";

/* A component's parameters (section 2.1). */
static const char *read_component(struct str *rest, struct signature_component *component)
{
    struct structured value;
    struct str key;
    enum structured_step step;
    component->parameters = *rest;
    while ((step = structured_parameter(rest, &key, &value)) == STRUCTURED_MORE) {
        bool is_flag = value.type == STRUCTURED_BOOLEAN && value.number == 1;
        bool query = str_eq(component->name, STR("@query-param"));
        if (str_eq(key, query ? STR("name") : STR("key")) && value.type == STRUCTURED_STRING)
            component->key = value.text;
        else if (str_eq(key, STR("bs")) && is_flag)
            component->bytes = true;
        else if (str_eq(key, STR("sf")) && is_flag)
            component->structured = true;
        else if (str_eq(key, STR("req")) && is_flag)
            return "covers a part of another request (req), and this is none's answer";
        else if (str_eq(key, STR("tr")) && is_flag)
            return "covers a trailer field (tr), which comes too late to be looked at";
        else
            return "has a component with a parameter that nobody knows";
    }
    component->parameters.length = (size_t)(rest->data - component->parameters.data);
    if (step == STRUCTURED_BAD)
        return malformed;
    if (component->bytes && (component->structured || component->key.data))
        return "has a component that is both bytes (bs) and structured (sf, key)";
    return NULL;
}

static const char *check_component(const struct signature_input *input,
                                   const struct signature_component *component)
{
    struct str name = component->name;
    for (size_t i = 0; i < name.length; i++)
        if ((name.data[i] >= 'A' && name.data[i] <= 'Z') || name.data[i] == '\\' || name.data[i] == '"')
            return "names a component otherwise than in lower case";
    if (name.length == 0)
        return "names a component without a name";
    for (unsigned i = 0; i < input->count; i++)
        if (str_eq(input->components[i].name, name) &&
            str_eq(input->components[i].parameters, component->parameters))
            return "covers a component twice";
    return NULL;
}

static const char *read_components(struct str *rest, struct signature_input *input)
{
    struct structured item;
    bool first = true;
    enum structured_step step;
    while ((step = structured_inner(rest, &first, &item)) == STRUCTURED_MORE) {
        struct signature_component component = {.name = item.text};
        if (item.type != STRUCTURED_STRING)
            return malformed;
        if (input->count == SIGNATURE_COMPONENTS)
            return "covers more than 32 components";
        const char *why = read_component(rest, &component);
        if (!why)
            why = check_component(input, &component);
        if (why)
            return why;
        input->components[input->count++] = component;
    }
    return step == STRUCTURED_BAD ? malformed : NULL;
}

/* A text parameter's place, or NULL. */
static struct str *text_of(struct signature_input *input, struct str key)
{
    return str_eq(key, STR("keyid"))   ? &input->keyid
           : str_eq(key, STR("alg"))   ? &input->alg
           : str_eq(key, STR("nonce")) ? &input->nonce
           : str_eq(key, STR("tag"))   ? &input->tag
                                       : NULL;
}

/* Section 2.3. What others have defined is covered, and says nothing here. */
static const char *read_parameter(struct signature_input *input, struct str key,
                                  const struct structured *value)
{
    bool created = str_eq(key, STR("created"));
    struct str *text = text_of(input, key);
    if (created || str_eq(key, STR("expires"))) {
        if (value->type != STRUCTURED_INTEGER || value->number < 0)
            return "has a time that isn't a number of seconds";
        *(created ? &input->created : &input->expires) = value->number;
    } else if (text) {
        if (value->type != STRUCTURED_STRING)
            return "has a keyid, alg, nonce or tag that isn't a string";
        *text = value->text;
    }
    return NULL;
}

const char *signature_input_parse(struct str text, struct signature_input *input)
{
    struct structured value;
    struct str rest = text, key;
    enum structured_step step;
    *input = (struct signature_input){.text = text, .created = -1, .expires = -1};
    if (!structured_canonical(&rest, NULL) || rest.length) /* nothing twice, nothing behind */
        return malformed;
    rest = text;
    const char *why = read_components(&rest, input);
    while (!why && (step = structured_parameter(&rest, &key, &value)) == STRUCTURED_MORE)
        why = read_parameter(input, key, &value);
    return why;
}

/* --- values of components --- */

/* In lower case, without the port that the scheme means anyway (section 2.2.3). */
static void add_authority(const struct signature_message *message, struct buf *out)
{
    struct str authority = message->authority;
    struct str port = str_case_eq(message->scheme, STR("https")) ? STR(":443") : STR(":80");
    if (str_ends(authority, port))
        authority.length -= port.length;
    for (size_t i = 0; i < authority.length; i++) {
        char c = authority.data[i];
        buf_char(out, (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c));
    }
}

static const char *add_method(const struct signature_message *message, struct buf *out)
{
    buf_str_add(out, message->method);
    return NULL;
}

static const char *add_scheme(const struct signature_message *message, struct buf *out)
{
    buf_str_add(out, message->scheme);
    return NULL;
}

static const char *add_host(const struct signature_message *message, struct buf *out)
{
    add_authority(message, out);
    return NULL;
}

static const char *add_path(const struct signature_message *message, struct buf *out)
{
    if (message->path.length)
        buf_str_add(out, message->path);
    else
        buf_char(out, '/');
    return NULL;
}

static const char *add_request_target(const struct signature_message *message, struct buf *out)
{
    add_path(message, out);
    if (message->query.data) {
        buf_char(out, '?');
        buf_str_add(out, message->query);
    }
    return NULL;
}

static const char *add_target_uri(const struct signature_message *message, struct buf *out)
{
    buf_str_add(out, message->scheme);
    BUF_LITERAL(out, "://");
    buf_str_add(out, message->authority);
    return add_request_target(message, out);
}

/* Without a query it is the `?` alone (section 2.2.7). */
static const char *add_query(const struct signature_message *message, struct buf *out)
{
    buf_char(out, '?');
    buf_str_add(out, message->query);
    return NULL;
}

static const char *add_status(const struct signature_message *message, struct buf *out)
{
    (void)message;
    (void)out;
    return "is an answer's, and this is a request";
}

/* What is derived from a message (section 2.2), without parameters. */
static const struct {
    struct str name;
    const char *(*add)(const struct signature_message *message, struct buf *out);
} derived[] = {
    {{"@method", 7}, add_method},
    {{"@target-uri", 11}, add_target_uri},
    {{"@authority", 10}, add_host},
    {{"@scheme", 7}, add_scheme},
    {{"@request-target", 15}, add_request_target},
    {{"@path", 5}, add_path},
    {{"@query", 6}, add_query},
    {{"@status", 7}, add_status},
};

/* As forms encode it, but for the space (section 2.2.8): all but letters, digits and * - . _ is percent-encoded. */
static void add_encoded(struct str text, struct buf *out)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.length; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if ((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
            (c && strchr("*-._", c))) {
            buf_char(out, (char)c);
        } else {
            buf_char(out, '%');
            buf_char(out, hex[c >> 4]);
            buf_char(out, hex[c & 15]);
        }
    }
}

/* Decoded and encoded again, so that there is one way to write it. False: it can't be. */
static bool add_recoded(struct str raw, struct buf *out)
{
    char memory[QUERY_VALUE_MAX];
    ptrdiff_t length = uri_decode(raw, true, memory, sizeof memory);
    if (length < 0)
        return false;
    add_encoded((struct str){memory, (size_t)length}, out);
    return true;
}

/* One that is there once: else one could be signed and another one used. */
static const char *add_query_param(const struct signature_message *message, struct str wanted,
                                   struct buf *out)
{
    struct str rest = message->query, found = {NULL, 0};
    char memory[3 * QUERY_VALUE_MAX];
    while (rest.data) {
        struct str value = str_cut(&rest, '&'), name = str_cut(&value, '=');
        struct buf recoded = buf_on(memory, sizeof memory);
        if (!add_recoded(name, &recoded))
            return "is in a query that can't be decoded";
        if (!str_eq(buf_str(&recoded), wanted))
            continue;
        if (found.data)
            return "is in the query twice";
        found = value.data ? value : STR("");
    }
    if (!found.data)
        return "is not in the query";
    return add_recoded(found, out) ? NULL : "is in the query, and can't be decoded";
}

/* All lines of the name (section 2.1). False: there is none. */
static bool add_lines(const struct signature_message *message, const struct signature_component *component,
                      struct buf *out)
{
    struct str value;
    unsigned at = 0;
    bool any = false;
    while (message->field(message->fields, component->name, &at, &value)) {
        if (any)
            BUF_LITERAL(out, ", ");
        any = true;
        if (!component->bytes) {
            buf_str_add(out, value);
            continue;
        }
        structured_add_bytes(value, out);
    }
    return any;
}

/* Fields that are dictionaries for sure: which grammar a field has is not to be seen from it. */
static bool is_dictionary(struct str name)
{
    static const struct str names[] = {
        {"content-digest", 14},   {"repr-digest", 11}, {"want-content-digest", 19},
        {"want-repr-digest", 16}, {"signature", 9},    {"signature-input", 15},
        {"accept-signature", 16}, {"priority", 8},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (str_eq(names[i], name))
            return true;
    return false;
}

/* Sections 2.1.1 and 2.1.2. */
static const char *add_structured(const struct signature_message *message,
                                  const struct signature_component *component, struct buf *out)
{
    char memory[LINE_MAX_BYTES];
    struct buf lines = buf_on(memory, sizeof memory);
    if (!add_lines(message, component, &lines))
        return "is not in the request";
    if (lines.overflow)
        return "is too long";
    if (!component->key.data) {
        if (!is_dictionary(component->name))
            return "is no field that is known to be structured (sf)";
        return structured_canonical_dictionary(buf_str(&lines), out)
                   ? NULL
                   : "is not the dictionary that it should be";
    }
    struct str value = structured_find(buf_str(&lines), component->key);
    if (!value.data)
        return "has no member of that key";
    structured_canonical(&value, out);
    return NULL;
}

static const char *add_value(const struct signature_component *component,
                             const struct signature_message *message, struct buf *out)
{
    if (component->name.data[0] != '@') {
        if (component->structured || component->key.data)
            return add_structured(message, component, out);
        return add_lines(message, component, out) ? NULL : "is not in the request";
    }
    if (str_eq(component->name, STR("@query-param")))
        return component->key.data ? add_query_param(message, component->key, out) : "has no name";
    for (size_t i = 0; i < sizeof derived / sizeof *derived; i++)
        if (str_eq(component->name, derived[i].name))
            return component->parameters.length ? "has a parameter, and takes none"
                                                : derived[i].add(message, out);
    return "is not known";
}

/* --- the base --- */

const char *signature_base(const struct signature_input *input, const struct signature_message *message,
                           struct buf *out, struct str *component)
{
    for (unsigned i = 0; i < input->count; i++) {
        struct str identifier = input->components[i].parameters;
        *component = input->components[i].name;
        buf_char(out, '"');
        buf_str_add(out, *component);
        buf_char(out, '"');
        if (identifier.length) { /* as a value of its own, whose parameters they are */
            char memory[LINE_MAX_BYTES];
            struct buf canonical = buf_on(memory, sizeof memory);
            structured_canonical(&identifier, &canonical);
            buf_str_add(out, str_from(buf_str(&canonical), 2)); /* without the ?1 */
            out->overflow |= canonical.overflow;
        }
        BUF_LITERAL(out, ": ");
        const char *why = add_value(&input->components[i], message, out);
        if (why)
            return why;
        buf_char(out, '\n');
    }
    struct str rest = input->text;
    *component = (struct str){NULL, 0};
    BUF_LITERAL(out, "\"@signature-params\": ");
    structured_canonical(&rest, out);
    return out->overflow ? "it covers too much: over 16 KB" : NULL;
}

/* What has something in it: "@request-target" has path and query. */
static const struct {
    struct str whole, part;
} parts[] = {
    {{"@target-uri", 11}, {"@scheme", 7}},          {{"@target-uri", 11}, {"@authority", 10}},
    {{"@target-uri", 11}, {"@request-target", 15}}, {{"@target-uri", 11}, {"@path", 5}},
    {{"@target-uri", 11}, {"@query", 6}},           {{"@request-target", 15}, {"@path", 5}},
    {{"@request-target", 15}, {"@query", 6}},
};

bool signature_covers(const struct signature_input *input, struct str name)
{
    for (unsigned i = 0; i < input->count; i++) {
        const struct signature_component *component = &input->components[i];
        if (component->key.data)
            continue;
        if (str_eq(component->name, name))
            return true;
        for (size_t j = 0; j < sizeof parts / sizeof *parts; j++)
            if (str_eq(parts[j].whole, component->name) && str_eq(parts[j].part, name))
                return true;
    }
    return false;
}
