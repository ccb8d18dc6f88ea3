/* condition: what a route demands of header fields and query parameters. The router calls it, for routes that have
 * conditions. */
#include "worker/request/condition.h"

#include <ctype.h>
#include <stdlib.h>

#include "worker/codec/uri.h"

/* --- compiling --- */

const struct regex *compile_regex(struct regex_set **regexes, struct origin origin, const char *setting,
                                  const char *text, struct arena *arena, struct errors *errors)
{
    const char *why = NULL;
    if (!*regexes)
        *regexes = regex_set_new(arena);
    const struct regex *regex = regex_compile(*regexes, str_of(text), arena, &why);
    if (!regex)
        errors_add(errors, origin, "%s: \"%s\" is not a pattern: %s", setting, text, why);
    return regex;
}

static int text_order(struct str a, struct str b)
{
    size_t length = a.length < b.length ? a.length : b.length;
    int order = length ? memcmp(a.data, b.data, length) : 0;
    return order ? order : (a.length > b.length) - (a.length < b.length);
}

/* Cheap ones first. */
static int condition_order(const void *one, const void *other)
{
    const struct condition *a = one, *b = other;
    if (a->test != b->test)
        return a->test < b->test ? -1 : 1;
    int order = text_order(a->name, b->name);
    if (order == 0)
        order = text_order(a->text, b->text);
    return order ? order : (int)a->negated - (int)b->negated;
}

static struct condition compile(const struct condition_settings *settings, const char *setting, bool query,
                                struct regex_set **regexes, struct arena *arena, struct errors *errors)
{
    const char *text = settings->equals ? settings->equals : settings->prefix;
    struct condition condition = {
        .test = settings->equals   ? CONDITION_EQUALS
                : settings->prefix ? CONDITION_PREFIX
                                   : CONDITION_THERE,
        .negated = settings->negated,
        .text = str_of(text ? text : ""),
    };
    char *name = arena_strdup(arena, settings->name);
    condition.name = str_of(name);
    if (!query) {
        condition.id = field_id_of(condition.name);
        for (char *c = name; *c; c++)
            *c = (char)tolower((unsigned char)*c);
    }
    if (settings->regex) {
        condition.test = CONDITION_REGEX;
        condition.text = str_of(settings->regex);
        condition.regex = compile_regex(regexes, settings->origin, arena_printf(arena, "%s.regex", setting),
                                        settings->regex, arena, errors);
    }
    return condition;
}

static const struct condition *compile_list(const struct conf_list *list, const char *setting, bool query,
                                            struct regex_set **regexes, struct arena *arena,
                                            struct errors *errors)
{
    struct condition *conditions = arena_array(arena, list->count, sizeof *conditions);
    for (unsigned i = 0; i < list->count; i++)
        conditions[i] = compile(list->items[i], setting, query, regexes, arena, errors);
    if (list->count)
        qsort(conditions, list->count, sizeof *conditions, condition_order);
    for (unsigned i = 1; i < list->count; i++)
        if (condition_order(&conditions[i - 1], &conditions[i]) == 0) {
            errors_add(errors, ((const struct condition_settings *)list->items[0])->origin,
                       "%s: a condition on \"%.*s\" is there twice (remove one)", setting,
                       STR_ARG(conditions[i].name));
            break;
        }
    return conditions;
}

struct conditions conditions_compile(const struct match_settings *match, struct regex_set **regexes,
                                     struct arena *arena, struct errors *errors)
{
    return (struct conditions){
        .headers = compile_list(&match->headers, "match.headers", false, regexes, arena, errors),
        .header_count = match->headers.count,
        .query = compile_list(&match->query, "match.query", true, regexes, arena, errors),
        .query_count = match->query.count,
    };
}

struct conditions conditions_of_fields(const struct conf_list *list, const char *setting,
                                       struct regex_set **regexes, struct arena *arena, struct errors *errors)
{
    return (struct conditions){
        .headers = compile_list(list, setting, false, regexes, arena, errors),
        .header_count = list->count,
    };
}

static bool lists_equal(const struct condition *a, const struct condition *b, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (condition_order(&a[i], &b[i]) != 0)
            return false;
    return true;
}

bool conditions_equal(const struct conditions *a, const struct conditions *b)
{
    return a->header_count == b->header_count && a->query_count == b->query_count &&
           lists_equal(a->headers, b->headers, a->header_count) &&
           lists_equal(a->query, b->query, a->query_count);
}

/* --- asking --- */

static enum condition_result of(bool holds)
{
    return holds ? CONDITIONS_HOLD : CONDITIONS_FAIL;
}

/* Of one value, `not` left aside. */
static enum condition_result test(const struct condition *condition, struct str value)
{
    switch (condition->test) {
    case CONDITION_THERE:
        return CONDITIONS_HOLD;
    case CONDITION_EQUALS:
        return of(str_eq(value, condition->text));
    case CONDITION_PREFIX:
        return of(str_starts(value, condition->text));
    case CONDITION_REGEX:
        switch (regex_match(condition->regex, value)) {
        case REGEX_MATCH:
            return CONDITIONS_HOLD;
        case REGEX_NONE:
            return CONDITIONS_FAIL;
        case REGEX_EXCEEDED:
            return CONDITIONS_EXCEEDED;
        }
    }
    return CONDITIONS_FAIL;
}

/* Nobody knows whether a value is so that can't be decoded, or costs too much to look at: then the condition fails, with
 * `not` too. Else whoever sends such a value would get past a `not`. */
static enum condition_result result(const struct condition *condition, enum condition_result found)
{
    if (found == CONDITIONS_UNKNOWN || found == CONDITIONS_EXCEEDED)
        return found;
    return of((found == CONDITIONS_HOLD) != condition->negated);
}

static enum condition_result test_fields(const struct condition *condition, const struct fields *fields)
{
    enum condition_result found = CONDITIONS_FAIL;
    if (condition->id != FIELD_OTHER && !(fields->present >> condition->id & 1))
        return result(condition, CONDITIONS_FAIL);
    for (unsigned i = 0; i < fields->count && found == CONDITIONS_FAIL; i++) {
        const struct field *field = &fields->items[i];
        if (field->id == condition->id &&
            (field->id != FIELD_OTHER || str_case_eq(field->name, condition->name)))
            found = test(condition, field->value);
    }
    return result(condition, found);
}

static enum condition_result test_parameter(const struct condition *condition, struct str raw,
                                            struct arena *arena)
{
    if (condition->test == CONDITION_THERE || (str_index(raw, '%') < 0 && str_index(raw, '+') < 0))
        return test(condition, raw);
    char *out = arena_alloc(arena, raw.length);
    ptrdiff_t length = uri_decode(raw, true, out, raw.length);
    return length < 0 ? CONDITIONS_UNKNOWN : test(condition, (struct str){out, (size_t)length});
}

static enum condition_result test_query(const struct condition *condition, struct str query,
                                        struct arena *arena)
{
    enum condition_result found = CONDITIONS_FAIL;
    struct str value;
    while (found == CONDITIONS_FAIL && uri_query_next(&query, condition->name, &value))
        found = test_parameter(condition, value, arena);
    return result(condition, found);
}

enum condition_result conditions_hold(const struct conditions *conditions, const struct request_head *head,
                                      struct arena *arena)
{
    enum condition_result found = CONDITIONS_HOLD;
    for (unsigned i = 0; i < conditions->header_count && found == CONDITIONS_HOLD; i++)
        found = test_fields(&conditions->headers[i], &head->fields);
    for (unsigned i = 0; i < conditions->query_count && found == CONDITIONS_HOLD; i++)
        found = test_query(&conditions->query[i], head->query, arena);
    return found;
}

/* --- before a request comes --- */

/* What a preflight doesn't name, though the request may have it: safelisted fields, and those that a page can't set (Fetch,
 * section 2.2.2). */
static bool is_browsers_own(struct str name)
{
    static const struct str names[] = {
        {"accept", 6},
        {"accept-language", 15},
        {"accept-encoding", 15},
        {"content-language", 16},
        {"content-type", 12},
        {"cookie", 6},
        {"dnt", 3},
        {"host", 4},
        {"origin", 6},
        {"range", 5},
        {"referer", 7},
        {"user-agent", 10},
        {"via", 3},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (str_case_eq(name, names[i]))
            return true;
    return str_starts(name, STR("sec-")) || str_starts(name, STR("proxy-"));
}

static bool may_hold(const struct condition *condition, struct str names)
{
    if (is_browsers_own(condition->name))
        return true;
    if (!str_list_has(names, condition->name))
        return condition->negated;
    return !condition->negated || condition->test != CONDITION_THERE;
}

bool conditions_may_hold(const struct conditions *conditions, const struct request_head *head,
                         struct str names, struct arena *arena)
{
    for (unsigned i = 0; i < conditions->header_count; i++)
        if (!may_hold(&conditions->headers[i], names))
            return false;
    for (unsigned i = 0; i < conditions->query_count; i++)
        if (test_query(&conditions->query[i], head->query, arena) != CONDITIONS_HOLD)
            return false;
    return true;
}
