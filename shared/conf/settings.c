/* settings: the top level of the configuration, and what must agree between its parts. conf_load() is given it.
 *
 * What needs the policies or the router (routes that can't be told apart, an upstream that isn't there) is checked by
 * what compiles the settings.
 */
#include "shared/conf/settings.h"

#include "shared/conf/consumers.h"
#include "shared/conf/sections.h"

enum { WATCHDOG_LEAST_MS = 2000 };

static void check_listeners(struct conf_loader *loader, const struct settings *settings)
{
    const struct conf_list *list = &settings->listeners;
    struct arena *arena = conf_arena(loader);
    struct unique *names = arena_array(arena, list->count, sizeof(*names));
    struct unique *addresses = arena_array(arena, list->count, sizeof(*addresses));
    unsigned name_count = 0, address_count = 0;
    for (unsigned i = 0; i < list->count; i++) {
        const struct listener_settings *listener = list->items[i];
        bool named_by_address = listener->name == listener->listen; /* then the address tells it */
        if (listener->name && !named_by_address)
            names[name_count++] = (struct unique){str_of(listener->name), i};
        if (listener->address.length) {
            char text[ADDRESS_TEXT_SIZE];
            size_t length = address_format(&listener->address, text);
            addresses[address_count++] = (struct unique){str_of(arena_strndup(arena, text, length)), i};
        }
    }
    unique_check(loader, names, name_count, list, "listeners", "name");
    unique_check(loader, addresses, address_count, list, "listeners", "listen");
}

static bool listener_exists(const struct settings *settings, const char *name)
{
    for (unsigned i = 0; i < settings->listeners.count; i++) {
        const struct listener_settings *listener = settings->listeners.items[i];
        if (listener->name && strcmp(listener->name, name) == 0)
            return true;
    }
    return false;
}

/* "a, b" */
static const char *listener_names(struct conf_loader *loader, const struct settings *settings)
{
    const char *names = "";
    for (unsigned i = 0; i < settings->listeners.count && i < 16; i++) {
        const struct listener_settings *listener = settings->listeners.items[i];
        if (listener->name)
            names = arena_printf(conf_arena(loader), "%s%s%s", names, *names ? ", " : "", listener->name);
    }
    return *names ? names : "none";
}

static void check_apis(struct conf_loader *loader, const struct settings *settings)
{
    const struct conf_list *list = &settings->apis;
    struct arena *arena = conf_arena(loader);
    struct unique *names = arena_array(arena, list->count, sizeof(*names));
    unsigned count = 0;
    for (unsigned i = 0; i < list->count; i++) {
        const struct api_settings *api = list->items[i];
        if (api->name)
            names[count++] = (struct unique){str_of(api->name), i};
        for (unsigned j = 0; j < api->listeners.count; j++)
            if (!listener_exists(settings, api->listeners.items[j]))
                conf_error(loader, api->origin, arena_printf(arena, "apis[%u].listeners", i),
                           "no listener has the name \"%s\" (known here: %s)", api->listeners.items[j],
                           listener_names(loader, settings));
    }
    unique_check(loader, names, count, list, "apis", "name");
}

static void check_trusted(struct conf_loader *loader, struct settings *settings)
{
    const struct conf_strings *texts = &settings->trusted_proxies;
    settings->trusted = arena_array(conf_arena(loader), texts->count, sizeof(*settings->trusted));
    for (unsigned i = 0; i < texts->count; i++)
        if (!network_parse(str_of(texts->items[i]), &settings->trusted[i]))
            conf_error(
                loader, settings->origin, "trusted_proxies",
                "\"%s\" is not an address (write \"10.0.0.1\", \"10.0.0.0/8\", \"fd00::/8\" or \"unix:\")",
                texts->items[i]);
}

/* "trusted" without anybody to trust is a slip: no header would ever be read. */
static void check_proxy_protocol(struct conf_loader *loader, const struct settings *settings)
{
    for (unsigned i = 0; i < settings->listeners.count && !settings->trusted_proxies.count; i++) {
        const struct listener_settings *listener = settings->listeners.items[i];
        if (listener->proxy_protocol == PROXY_ACCEPT_TRUSTED)
            conf_error(loader, listener->origin,
                       arena_printf(conf_arena(loader), "listeners[%u].proxy_protocol", i),
                       "is \"trusted\", but trusted_proxies names nobody (set it, or write \"on\")");
    }
}

/* Heartbeats come once a second. */
static void check_watchdog(struct conf_loader *loader, const struct settings *settings)
{
    if (settings->watchdog && settings->watchdog < WATCHDOG_LEAST_MS)
        conf_error(loader, settings->origin, "watchdog",
                   "is too short to be told from a busy machine (write \"%us\" or more, or \"0\" for none)",
                   WATCHDOG_LEAST_MS / 1000);
}

static void settings_check(struct conf_loader *loader, void *structure)
{
    struct settings *settings = structure;
    check_trusted(loader, settings);
    check_listeners(loader, settings);
    check_proxy_protocol(loader, settings);
    check_apis(loader, settings);
    settings->consumer_table = consumers_build(loader, &settings->consumers);
    check_watchdog(loader, settings);
    if (settings->origin.file && !settings->listeners.count)
        conf_warn(loader, settings->origin, "listeners", "there are none, so that nothing is served");
}

#define S(kind_, member, ...) ROW_(kind_, struct settings, member, __VA_ARGS__)

static const struct row rows[] = {
    S(ROW_NUMBER, workers, .fallback = "0", .min = 0, .max = 1024,
      .help = "worker processes; 0: one for each CPU that this machine or container gives"),
    S(ROW_STRING, user, .fallback = "gatehouse", .flags = ROW_RESTART,
      .help = "whom workers run as, when started by root"),
    S(ROW_STRING, group, .flags = ROW_RESTART, .help = "their group; without it: the user's own"),
    S(ROW_STRING, pidfile, .fallback = "/run/gatehouse/gatehouse.pid", .flags = ROW_RESTART | ROW_PATH,
      .help = "where the process id of the master is kept"),
    S(ROW_STRING, control, .fallback = "/run/gatehouse/control.sock", .flags = ROW_RESTART | ROW_PATH,
      .help = "the socket by which reload, stop and the like reach the master"),
    S(ROW_DURATION, start_timeout, .fallback = "30s", .min = 1000, .max = 600000,
      .help = "how long new processes may take until they are ready; then a start or reload fails"),
    S(ROW_DURATION, drain_timeout, .fallback = "60s", .min = 0, .max = 604800000,
      .help =
          "how long old processes may finish their requests after a reload or stop; 0: as long as they need"),
    S(ROW_DURATION, watchdog, .fallback = "10s", .min = 0, .max = 3600000,
      .help =
          "how long a worker or the keeper may show no sign of life (an endless loop, a SIGSTOP) until it is "
          "killed and replaced; 0: for ever"),
    S(ROW_NUMBER, max_generations, .fallback = "8", .min = 2, .max = 64,
      .help =
          "configurations that may be alive at once, draining ones included; beyond it the oldest is ended"),
    S(ROW_NUMBER, max_connections, .fallback = "8192", .min = 16, .max = 1 << 20,
      .help = "connections of clients that one worker holds"),
    S(ROW_STRINGS, trusted_proxies,
      .help =
          "addresses and networks whose X-Request-Id and X-Forwarded-* are believed; unix: for UNIX sockets"),
    S(ROW_GROUP, state, .section = &state_section, .help = "the memory that all processes share"),
    S(ROW_GROUP, log, .section = &log_section, .help = "the error log and the access log"),
    S(ROW_GROUP, admin, .section = &admin_section, .help = "the interface for status and administration"),
    S(ROW_GROUP, client, .section = &client_section, .help = "what a connection of a client may take"),
    S(ROW_GROUP, forwarded, .section = &forwarded_section,
      .help = "what upstreams are told of where a request came from"),
    S(ROW_GROUP, resolver, .section = &resolver_section,
      .help = "how endpoints that are names are looked up"),
    S(ROW_GROUP, shed, .section = &shed_section,
      .help = "when a worker is overloaded, and refuses requests of routes that are less important"),
    S(ROW_GROUP, tls, .section = &tls_node_section, .help = "what holds for TLS on all listeners"),
    S(ROW_DECLARED, auth,
      .help = "how clients show who they are, by policy and name: routes name what they take"),
    S(ROW_LIST, consumers, .section = &consumer_section, .help = "who may call: names, keys and groups"),
    S(ROW_LIST, listeners, .section = &listener_section, .help = "the addresses that are listened on"),
    S(ROW_MAP, upstreams, .section = &upstream_section, .help = "the services behind, by name"),
    S(ROW_MAP, key_sets, .section = &key_set_section,
      .help = "the keys of those who issue tokens, by name: the keeper fetches them"),
    S(ROW_GROUP, defaults, .section = &defaults_section,
      .help = "policies for all APIs that don't set them themselves"),
    S(ROW_LIST, apis, .section = &api_section, .help = "what is served: groups of routes"),
    ROW_END,
};

const struct section settings_section = {
    .name = "settings",
    .size = sizeof(struct settings),
    .rows = rows,
    .check = settings_check,
};
