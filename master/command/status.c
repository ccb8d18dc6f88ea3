/* status: `gatehouse status [--json]`: asks the keeper; when that doesn't answer, the master, which knows less. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/command/client.h"

enum { KEEPER_MS = 2000 };

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "-";
}

static json_int_t number_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static void print_processes(const json_t *processes)
{
    size_t i;
    json_t *process;
    printf("\n%-8s %6s %8s  %-9s %10s %11s %9s %8s  %-20s %9s\n", "ROLE", "NUMBER", "PID", "STATE",
           "GENERATION", "CONNECTIONS", "REQUESTS", "TUNNELS", "STARTED", "HEARTBEAT");
    json_array_foreach(processes, i, process)
    {
        printf("%-8s %6" JSON_INTEGER_FORMAT " %8" JSON_INTEGER_FORMAT "  %-9s %10" JSON_INTEGER_FORMAT
               " %11" JSON_INTEGER_FORMAT " %9" JSON_INTEGER_FORMAT " %8" JSON_INTEGER_FORMAT
               "  %-.19s %6" JSON_INTEGER_FORMAT " ms\n",
               text_of(process, "role"), number_of(process, "number"), number_of(process, "pid"),
               text_of(process, "state"), number_of(process, "generation"), number_of(process, "connections"),
               number_of(process, "requests"), number_of(process, "tunnels"), text_of(process, "started"),
               number_of(process, "heartbeat_age_ms"));
    }
}

static void print_endpoint(const char *upstream, const json_t *endpoint)
{
    const char *why = json_string_value(json_object_get(json_object_get(endpoint, "health"), "why"));
    printf("%-20s %-40s %6" JSON_INTEGER_FORMAT " %-9s %9" JSON_INTEGER_FORMAT " %9" JSON_INTEGER_FORMAT
           " us%s%s\n",
           upstream, text_of(endpoint, "address"), number_of(endpoint, "weight"), text_of(endpoint, "state"),
           number_of(endpoint, "in_flight"), number_of(endpoint, "latency_us"), why ? "  " : "",
           why ? why : "");
}

static void print_upstreams(const json_t *upstreams)
{
    size_t i, j;
    json_t *upstream, *endpoint;
    if (json_array_size(upstreams))
        printf("\n%-20s %-40s %6s %-9s %9s %12s\n", "UPSTREAM", "ENDPOINT", "WEIGHT", "STATE", "IN-FLIGHT",
               "LATENCY");
    json_array_foreach(upstreams, i, upstream)
    {
        json_array_foreach(json_object_get(upstream, "endpoints"), j, endpoint)
        {
            print_endpoint(j ? "" : text_of(upstream, "name"), endpoint);
        }
    }
}

/* Of endpoints that are names: what their look-ups came to. */
static void print_names(const json_t *upstreams)
{
    size_t i, j;
    json_t *upstream, *name;
    bool any = false;
    json_array_foreach(upstreams, i, upstream)
    {
        json_array_foreach(json_object_get(upstream, "names"), j, name)
        {
            if (!any)
                printf("\n%-20s %-40s %9s  %s\n", "UPSTREAM", "NAME", "ADDRESSES", "LOOK-UP");
            any = true;
            printf("%-20s %-40s %9" JSON_INTEGER_FORMAT "  %s\n", text_of(upstream, "name"),
                   text_of(name, "name"), number_of(name, "addresses"), text_of(name, "look_up"));
        }
    }
}

static void print_breaker(const char *of, const json_t *breaker)
{
    const char *state = text_of(breaker, "state");
    if (strcmp(state, "closed") == 0)
        printf("%-40s %-12s %20s %10" JSON_INTEGER_FORMAT "\n", of, state, "-",
               number_of(breaker, "failures_in_a_row"));
    else
        printf("%-40s %-12s %17" JSON_INTEGER_FORMAT " ms %10s\n", of, state, number_of(breaker, "left_ms"),
               "-");
}

static void print_breakers(const json_t *upstreams, const json_t *routes)
{
    size_t i;
    json_t *item;
    bool any = json_array_size(routes);
    json_array_foreach(upstreams, i, item)
    {
        any = any || json_object_get(item, "breaker");
    }
    if (any)
        printf("\n%-40s %-12s %20s %10s\n", "BREAKER OF", "STATE", "LEFT", "FAILURES");
    json_array_foreach(upstreams, i, item)
    {
        if (json_object_get(item, "breaker"))
            print_breaker(text_of(item, "name"), json_object_get(item, "breaker"));
    }
    json_array_foreach(routes, i, item)
    {
        print_breaker(text_of(item, "route"), item);
    }
}

static void print_guard(const json_t *upstream, const char *name, const char *unit)
{
    if (json_object_get(upstream, name))
        printf("%-40s %-20s %" JSON_INTEGER_FORMAT "%s\n", text_of(upstream, "name"), name,
               number_of(upstream, name), unit);
}

/* Budgets of retries, and limits that are learned. */
static void print_guards(const json_t *upstreams)
{
    size_t i;
    json_t *upstream;
    json_array_foreach(upstreams, i, upstream)
    {
        const json_t *adaptive = json_object_get(upstream, "adaptive");
        print_guard(upstream, "retries_left", "");
        print_guard(upstream, "hedge_after_us", " µs");
        if (adaptive)
            printf("%-40s %-20s %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT "\n",
                   text_of(upstream, "name"), "in_flight", number_of(adaptive, "in_flight"),
                   number_of(adaptive, "limit"));
    }
}

/* By the first of its names: that is what a client asks for. */
static void print_certificates(const json_t *certificates)
{
    size_t i;
    json_t *certificate;
    if (json_array_size(certificates))
        printf("\n%-20s %-32s %-8s %-20s %6s  %s\n", "LISTENER", "CERTIFICATE", "KEY", "ENDS", "DAYS",
               "STATE");
    json_array_foreach(certificates, i, certificate)
    {
        const char *name = json_string_value(json_array_get(json_object_get(certificate, "names"), 0));
        const json_t *staple = json_object_get(certificate, "staple");
        const char *stapled = !json_is_object(staple)                         ? ""
                              : json_is_true(json_object_get(staple, "sent")) ? ", stapled"
                                                                              : ", staple out of date";
        printf("%-20s %-32s %-8s %-20.19s %6" JSON_INTEGER_FORMAT "  %s%s\n",
               text_of(certificate, "listener"), name ? name : text_of(certificate, "subject"),
               text_of(certificate, "key"), text_of(certificate, "ends"), number_of(certificate, "days"),
               text_of(certificate, "state"), stapled);
    }
}

static void print_key_sets(const json_t *sets)
{
    size_t i;
    json_t *set;
    if (json_array_size(sets))
        printf("\n%-20s %6s %10s  %s\n", "KEYS OF", "KEYS", "AGE", "STATE");
    json_array_foreach(sets, i, set)
    {
        const char *error = json_string_value(json_object_get(set, "error"));
        printf("%-20s %6" JSON_INTEGER_FORMAT " %8" JSON_INTEGER_FORMAT " s  %s%s%s\n", text_of(set, "name"),
               number_of(set, "keys"), number_of(set, "age_seconds"), text_of(set, "state"),
               error ? ": " : "", error ? error : "");
    }
}

enum { NEARLY_FULL = 90 }; /* percent */

static void print_zones(const json_t *zones)
{
    size_t i;
    json_t *zone;
    if (json_array_size(zones))
        printf("\n%-14s %12s %10s %10s\n", "ZONE", "BYTES", "USED", "ROOM");
    json_array_foreach(zones, i, zone)
    {
        json_int_t used = number_of(zone, "used"), room = number_of(zone, "room");
        printf("%-14s %12" JSON_INTEGER_FORMAT, text_of(zone, "name"), number_of(zone, "size"));
        if (room)
            printf(" %10" JSON_INTEGER_FORMAT " %10" JSON_INTEGER_FORMAT " %s%s", used, room,
                   text_of(zone, "of"), used * 100 >= room * NEARLY_FULL ? ": nearly full" : "");
        printf("\n");
    }
}

static void print_overrides(const json_t *overrides)
{
    size_t i;
    json_t *override;
    if (json_array_size(overrides))
        printf("\n%-60s %-12s %s\n", "SET (gatehouse set)", "VALUE", "CONFIGURED");
    json_array_foreach(overrides, i, override)
    {
        printf("%-60s %-12s %s\n", text_of(override, "name"), text_of(override, "value"),
               text_of(override, "configured"));
    }
}

static void print_stats(json_t *stats)
{
    const char *name;
    json_t *value;
    if (json_object_size(stats))
        printf("\n%-40s %20s\n", "COUNTER", "VALUE");
    json_object_foreach(stats, name, value)
    {
        printf("%-40s %20" JSON_INTEGER_FORMAT "\n", name, json_integer_value(value));
    }
}

static void print_status(json_t *status)
{
    printf("gatehouse %s, pid %" JSON_INTEGER_FORMAT ", generation %" JSON_INTEGER_FORMAT
           ", up %" JSON_INTEGER_FORMAT " s\n",
           text_of(status, "version"), number_of(status, "pid"), number_of(status, "generation"),
           number_of(status, "uptime_seconds"));
    print_processes(json_object_get(status, "processes"));
    print_upstreams(json_object_get(status, "upstreams"));
    print_names(json_object_get(status, "upstreams"));
    print_breakers(json_object_get(status, "upstreams"), json_object_get(status, "route_breakers"));
    print_guards(json_object_get(status, "upstreams"));
    print_certificates(json_object_get(status, "certificates"));
    print_key_sets(json_object_get(status, "key_sets"));
    print_zones(json_object_get(status, "zones"));
    print_overrides(json_object_get(status, "overrides"));
    print_stats(json_object_get(status, "stats"));
    if (number_of(status, "log_lines_dropped"))
        printf("\n%" JSON_INTEGER_FORMAT " log lines were dropped\n", number_of(status, "log_lines_dropped"));
}

/* The JSON text of one of the two, to be freed; NULL: neither answers, and a message was printed. */
static char *ask(const struct client_paths *paths)
{
    const char *why = "its socket is not known";
    bool done = false;
    char *text = paths->admin ? client_ask(paths->admin, "GET", "/status", KEEPER_MS, &done, &why) : NULL;
    if (text && done)
        return text;
    if (text)
        why = "its answer is none";
    free(text);
    int status = client_order(paths->control, "state", false, &text);
    if (status == 0)
        fprintf(stderr, "gatehouse: the keeper: %s: %s; this is what the master knows\n",
                paths->admin ? paths->admin : "-", why);
    else if (status > 0) {
        fprintf(stderr, "gatehouse: %s\n", text);
        free(text);
    }
    return status == 0 ? text : NULL;
}

int command_status(const struct options *options)
{
    struct client_paths paths;
    json_error_t error;
    if (client_surplus(options))
        return 2;
    if (client_paths(options, &paths))
        return 1;
    char *text = ask(&paths);
    arena_free(&paths.arena);
    if (!text)
        return 1;
    json_t *status = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (!status)
        fprintf(stderr, "gatehouse: the status can't be read: %s\n", error.text);
    else if (options->json)
        printf("%s\n", text);
    else
        print_status(status);
    free(text);
    int result = status ? 0 : 1;
    json_decref(status);
    return result;
}
