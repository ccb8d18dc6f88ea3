/* settings_match: which requests a route is for. */
#include <ctype.h>

#include "shared/base/token.h"
#include "shared/conf/sections.h"

void check_path(struct conf_loader *loader, struct origin origin, const char *setting, const char *path)
{
    if (!path)
        return;
    if (*path != '/')
        conf_error(loader, origin, setting, "\"%s\" must begin with \"/\" (write \"/%s\")", path, path);
    else if (path[strcspn(path, "?#")])
        conf_error(loader, origin, setting, "\"%s\" is more than a path (leave out what follows the \"%c\")",
                   path, path[strcspn(path, "?#")]);
}

/* --- headers and query --- */

static void check_test(struct conf_loader *loader, const struct condition_settings *condition)
{
    const char *const tests[] = {condition->equals, condition->prefix, condition->regex};
    static const char *const names[] = {"equals", "prefix", "regex"};
    unsigned count = 0;
    for (unsigned i = 0; i < 3; i++)
        if (tests[i] && ++count == 2)
            conf_error(loader, condition->origin, names[i],
                       "one of equals, prefix and regex says what it must be (remove the others)");
}

static void header_check(struct conf_loader *loader, void *structure)
{
    const struct condition_settings *condition = structure;
    if (!is_token(str_of(condition->name)))
        conf_error(loader, condition->origin, "name",
                   "\"%s\" is not the name of a header field (write \"X-Beta\")", condition->name);
    check_test(loader, condition);
}

static void query_check(struct conf_loader *loader, void *structure)
{
    const struct condition_settings *condition = structure;
    if (!*condition->name)
        conf_error(loader, condition->origin, "name", "is empty (write the parameter's name, decoded)");
    check_test(loader, condition);
}

#define CONDITION(kind_, member, ...) ROW_(kind_, struct condition_settings, member, __VA_ARGS__)

/* `not` is an operator in C++, and so for tools that read C as such: the member has another name. */
#define CONDITION_ROWS(what)                                                                   \
    CONDITION(ROW_STRING, name, .flags = ROW_REQUIRED,                                         \
              .help = "the " what "'s name; alone: it must be there"),                         \
        CONDITION(ROW_STRING, equals, .help = "its value must be this"),                       \
        CONDITION(ROW_STRING, prefix, .help = "its value must begin with this"),               \
        CONDITION(ROW_STRING, regex, .help = "its whole value must match this PCRE2 pattern"), \
        {.kind = ROW_FLAG,                                                                     \
         .name = "not",                                                                        \
         .offset = offsetof(struct condition_settings, negated),                               \
         .fallback = "false",                                                                  \
         .help = "the opposite: it must not be there, or not be so"},                          \
        ROW_END

static const struct row header_rows[] = {CONDITION_ROWS("field")};
static const struct row query_rows[] = {CONDITION_ROWS("parameter")};

const struct section header_condition_section = {
    .name = "headers",
    .size = sizeof(struct condition_settings),
    .rows = header_rows,
    .shorthand = "name",
    .check = header_check,
};

static const struct section query_section = {
    .name = "query",
    .size = sizeof(struct condition_settings),
    .rows = query_rows,
    .shorthand = "name",
    .check = query_check,
};

/* --- match --- */

static void check_method(struct conf_loader *loader, const struct match_settings *match, const char *method)
{
    char upper[32];
    size_t length = strlen(method), i;
    for (i = 0; i < length && i < sizeof(upper) - 1; i++)
        upper[i] = (char)toupper((unsigned char)method[i]);
    upper[i] = '\0';
    if (!is_token(str_of(method)) || i < length)
        conf_error(loader, match->origin, "methods", "\"%s\" is not a method (write \"GET\", \"POST\" …)",
                   method);
    else if (strcmp(upper, method) != 0)
        conf_error(loader, match->origin, "methods", "\"%s\" must be in upper case (write \"%s\")", method,
                   upper);
}

/* Exactly one of path, prefix and regex. */
static void check_where(struct conf_loader *loader, struct match_settings *match)
{
    const char *const texts[] = {match->path, match->prefix, match->regex};
    static const char *const names[] = {"path", "prefix", "regex"};
    unsigned count = 0;
    for (unsigned i = 0; i < 3; i++) {
        if (!texts[i])
            continue;
        if (++count == 1)
            match->path_origin = conf_origin(loader, names[i]);
        else if (count == 2)
            conf_error(loader, match->origin, names[i],
                       "a route has one of path, prefix and regex (remove the others)");
    }
    if (!count)
        conf_error(loader, match->origin, NULL, "has none of path, prefix and regex (write path = \"/…\")");
    else if (!match->path_origin.line) /* it stands alone, as the shorthand */
        match->path_origin = match->origin;
}

static void match_check(struct conf_loader *loader, void *structure)
{
    struct match_settings *match = structure;
    check_where(loader, match);
    check_path(loader, match->origin, "path", match->path);
    check_path(loader, match->origin, "prefix", match->prefix);
    for (unsigned i = 0; i < match->methods.count; i++)
        check_method(loader, match, match->methods.items[i]);
}

#define MATCH(kind_, member, ...) ROW_(kind_, struct match_settings, member, __VA_ARGS__)

static const struct row match_rows[] = {
    MATCH(ROW_STRING, path, .help = "the path: /users, /users/{id}, /files/{rest*}"),
    MATCH(ROW_STRING, prefix, .help = "instead of path: this path and all below it"),
    MATCH(ROW_STRING, regex,
          .help =
              "instead of path: a PCRE2 pattern for the whole path below the API's prefix; its named groups "
              "are parameters; tried when no path and no prefix matches"),
    MATCH(ROW_STRINGS, methods, .help = "GET, POST …; without it: all"),
    MATCH(ROW_LIST, headers, .section = &header_condition_section,
          .help = "what the request's header fields must be"),
    MATCH(ROW_LIST, query, .section = &query_section, .help = "what its query parameters must be, decoded"),
    MATCH(ROW_NUMBER, priority, .fallback = "0", .min = -1000000, .max = 1000000,
          .help = "among routes of the same path, and among all with a regex, the higher one is taken first"),
    ROW_END,
};

const struct section match_section = {
    .name = "match",
    .size = sizeof(struct match_settings),
    .rows = match_rows,
    .shorthand = "path",
    .check = match_check,
};
