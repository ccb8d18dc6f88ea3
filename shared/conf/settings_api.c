/* settings_api: APIs and their routes. */
#include <ctype.h>

#include "shared/conf/sections.h"

#define ROUTE(kind_, member, ...) ROW_(kind_, struct route_settings, member, __VA_ARGS__)

static const struct row route_rows[] = {
    ROUTE(ROW_STRING, name, .help = "what logs, metrics and `explain` call it"),
    ROUTE(ROW_GROUP, match, .section = &match_section, .help = "the requests that it is for"),
    ROUTE(ROW_POLICIES, policies, .help = "what is done with them"),
    ROW_END,
};

static const struct section route_section = {
    .name = "route", .size = sizeof(struct route_settings), .rows = route_rows};

/* What is wrong with a host, in words; NULL: nothing. */
static const char *host_wrong(const char *host)
{
    const char *rest = strncmp(host, "*.", 2) == 0 ? host + 2 : host;
    if (*host == '[')
        return host[strspn(host + 1, "0123456789abcdefABCDEF:.") + 1] == ']' && host[strlen(host) - 1] == ']'
                   ? NULL
                   : "is not an IPv6 address in brackets (no port is written here)";
    if (!*rest || strcmp(host, "*") == 0)
        return "is not a host (leave `host` out for all hosts)";
    if (strchr(host, ':'))
        return "has a port or a scheme (write the name only; ports are for listeners)";
    if (strchr(host, '/'))
        return "has a path or a scheme (write the name only; paths are for routes)";
    if (strchr(rest, '*'))
        return "has a * that is not a whole first label (write \"*.example.com\")";
    if (rest[strlen(rest) - 1] == '.')
        return "ends with a dot (write it without)";
    if (*rest == '.' || strstr(rest, ".."))
        return "has an empty label";
    for (const char *c = rest; *c; c++) {
        if ((unsigned char)*c >= 0x80)
            return "is not ASCII (write its form that begins with \"xn--\")";
        if (!isalnum((unsigned char)*c) && !strchr("-._", *c))
            return "is not a host (letters, digits, \"-\" and \".\")";
    }
    return NULL;
}

static void check_hosts(struct conf_loader *loader, struct api_settings *api)
{
    for (unsigned i = 0; i < api->host.count; i++) {
        const char *host = api->host.items[i], *wrong = host_wrong(host);
        if (wrong) {
            conf_error(loader, api->origin, "host", "\"%s\" %s", host, wrong);
            continue;
        }
        char *lower = arena_strdup(conf_arena(loader), host);
        for (char *c = lower; *c; c++)
            *c = (char)tolower((unsigned char)*c);
        api->host.items[i] = lower;
    }
}

static void check_route_names(struct conf_loader *loader, const struct api_settings *api)
{
    struct unique *names = arena_array(conf_arena(loader), api->routes.count, sizeof(*names));
    unsigned count = 0;
    for (unsigned i = 0; i < api->routes.count; i++) {
        const struct route_settings *route = api->routes.items[i];
        if (route->name)
            names[count++] = (struct unique){str_of(route->name), i};
    }
    unique_check(loader, names, count, &api->routes, "routes", "name");
}

static void api_check(struct conf_loader *loader, void *structure)
{
    struct api_settings *api = structure;
    if (!*api->name)
        conf_error(loader, api->origin, "name", "is empty");
    check_hosts(loader, api);
    check_route_names(loader, api);
    check_path(loader, api->origin, "prefix", api->prefix);
    size_t length = api->prefix ? strlen(api->prefix) : 0;
    if (length == 1 && *api->prefix == '/')
        api->prefix = NULL; /* the same as none */
    else if (length && api->prefix[length - 1] == '/')
        conf_error(loader, api->origin, "prefix", "\"%s\" ends with \"/\" (write \"%.*s\")", api->prefix,
                   (int)length - 1, api->prefix);
}

#define API(kind_, member, ...) ROW_(kind_, struct api_settings, member, __VA_ARGS__)

static const struct row api_rows[] = {
    API(ROW_STRING, name, .flags = ROW_REQUIRED,
        .help = "what logs and metrics call it; each has one of its own"),
    API(ROW_STRINGS, host,
        .help = "the hosts that it is for: api.example.com, *.example.com; without it: all"),
    API(ROW_STRING, prefix, .help = "what stands before the path of each of its routes"),
    API(ROW_OPTIONAL, version, .section = &version_section,
        .help = "which version of the API this is, and how a request asks for it"),
    API(ROW_STRINGS, listeners, .help = "the names of the listeners that it is on; without it: all"),
    API(ROW_POLICIES, policies, .help = "policies for all its routes that don't set them themselves"),
    API(ROW_LIST, routes, .flags = ROW_REQUIRED, .section = &route_section, .min = 1, .max = 1 << 20,
        .help = "its routes; the most specific one that matches is taken, whatever the order"),
    ROW_END,
};

const struct section api_section = {
    .name = "api",
    .size = sizeof(struct api_settings),
    .rows = api_rows,
    .check = api_check,
};

static const struct row defaults_rows[] = {
    ROW_(ROW_POLICIES, struct defaults_settings, policies, .help = "any of the policies"),
    ROW_END,
};

const struct section defaults_section = {
    .name = "defaults", .size = sizeof(struct defaults_settings), .rows = defaults_rows};
