/* The settings: their defaults, and what is wrong between them, with the line of the setting. */
#include "shared/base/log.h"
#include "tests/unit/conf.h"

#define API(inside) "apis = ( { name = \"a\"; " inside " routes = (\n{ match = \"/x\"; } ); } );"
#define ROUTE(match) "apis = ( { name = \"a\"; routes = (\n{ match = " match "; } ); } );"

static void test_defaults(void **state)
{
    (void)state;
    const struct settings *settings = conf_defaults(&settings_section, fixture.arena, &fixture.errors);
    assert_string_equal(conf_said(), "");
    assert_int_equal(settings->workers, 0);
    assert_string_equal(settings->user, "gatehouse");
    assert_null(settings->group);
    assert_string_equal(settings->pidfile, "/run/gatehouse/gatehouse.pid");
    assert_string_equal(settings->control, "/run/gatehouse/control.sock");
    assert_int_equal(settings->start_timeout, 30000);
    assert_int_equal(settings->drain_timeout, 60000);
    assert_int_equal(settings->max_generations, 8);
    assert_int_equal(settings->state.size, 256 << 20);
    assert_string_equal(settings->log.error, "/var/log/gatehouse/error.log");
    assert_int_equal(settings->log.level, LEVEL_NOTICE);
    assert_null(settings->log.access.file);
    assert_int_equal(settings->log.access.format, ACCESS_JSON);
    assert_string_equal(settings->admin.socket, "/run/gatehouse/admin.sock");
    assert_int_equal(settings->client.keepalive_timeout, 75000);
    assert_int_equal(settings->client.max_body, 0);
    assert_int_equal(settings->client.max_requests, 0);
    assert_int_equal(settings->client.max_per_address, 0);
    assert_int_equal(settings->client.least_rate, 10);
    assert_int_equal(settings->client.least_rate_window, 30000);
    assert_int_equal(settings->listeners.count + settings->upstreams.count + settings->apis.count, 0);
}

static void test_whole(void **state)
{
    (void)state;
    const struct settings *settings = conf_right(
        "listeners = ( { listen = \"[::]:8080\"; name = \"main\"; }, \"unix:/x.sock\" );\n"
        "upstreams = { users = { endpoints = ( \"10.0.0.1:80\", { address = \"unix:/u\"; weight = 9; } );\n"
        "  balance = \"least\"; timeout = { connect = \"250ms\"; }; }; short = \"10.0.0.2:1\"; };\n"
        "apis = ( { name = \"shop\"; host = [ \"API.Example.com\", \"*.x\" ]; prefix = \"/v1\";\n"
        "  listeners = \"main\"; limit = ( { rate = 1; }, { rate = 2; } );\n"
        "  routes = ( { name = \"r\"; match = { path = \"/a\"; methods = \"GET\"; };\n"
        "    proxy = \"users\"; limit = false; } ); } );");
    const struct listener_settings *listener = settings->listeners.items[1];
    assert_string_equal(listener->name, "unix:/x.sock");
    assert_int_equal(listener->unix_mode, 0660);
    const struct upstream_settings *upstream = settings->upstreams.items[0];
    assert_string_equal(upstream->name, "users");
    assert_int_equal(upstream->balance, BALANCE_LEAST);
    assert_int_equal(upstream->timeout.connect, 250);
    assert_int_equal(upstream->timeout.response, 60000);
    const struct endpoint_settings *endpoint = upstream->endpoints.items[1];
    assert_int_equal(endpoint->weight, 9);
    assert_int_equal(endpoint->address.any.sa_family, AF_UNIX);
    const struct api_settings *api = settings->apis.items[0];
    assert_string_equal(api->host.items[0], "api.example.com");
    assert_int_equal(api->policies.count, 2);
    assert_ptr_equal(api->policies.items[1].extension, &extensions[1]);
    assert_true(((const struct limit_conf *)api->policies.items[1].conf)->rate == 2.0);
    const struct route_settings *route = api->routes.items[0];
    assert_int_equal(route->origin.line, 6);
    assert_string_equal(((const struct proxy_conf *)route->policies.items[0].conf)->upstream, "users");
    assert_true(route->policies.items[1].off);
    assert_int_equal(route->policies.items[1].origin.line, 7);
}

static void test_forwarded(void **state)
{
    (void)state;
    const struct settings *settings = conf_right("");
    assert_true(settings->forwarded.x_forwarded && settings->forwarded.via && !settings->forwarded.forwarded);
    assert_int_equal(settings->forwarded.max_hops, 8);
    assert_str(settings->forwarded.name, "gatehouse");
    settings = conf_right("forwarded = { pseudonym = \"edge-1:8080\"; };");
    assert_str(settings->forwarded.via_of[VIA_10], "1.0 edge-1:8080");
    assert_str(settings->forwarded.via_of[VIA_11], "1.1 edge-1:8080");
    assert_str(settings->forwarded.via_of[VIA_20], "2 edge-1:8080");
    assert_wrong(
        "forwarded = {\npseudonym = \"a b\"; };",
        "main.conf:2: forwarded.pseudonym: \"a b\" can't stand in Via (write a word, or a host with its "
        "port)\n");
    assert_wrong("forwarded = {\nmax_hops = 256; };",
                 "main.conf:2: forwarded.max_hops: 256 is too large (write 0 to 255)\n");
}

static void test_listeners(void **state)
{
    (void)state;
    assert_wrong(
        "listeners = (\n\"example.com:80\",\n{ listen = \"127.0.0.1:1\"; mode = \"0660\"; },\n"
        "{ listen = \"unix:/x\";\nmode = \"rw\"; } );",
        "main.conf:2: listeners[0].listen: \"example.com:80\": it is not an IP address (names are not looked "
        "up here): 127.0.0.1:80, [::1]:80 or unix:/path\n"
        "main.conf:3: listeners[1].mode: is for UNIX sockets only (listen = \"unix:/path\")\n"
        "main.conf:5: listeners[2].mode: \"rw\" is not a mode (write octal digits, as in \"0660\")\n");
    assert_false(fixture.whole);
    assert_wrong(
        "listeners = (\n{ listen = \"[::1]:1\"; name = \"a\"; },\n{ listen = \"[0::1]:1\"; },\n"
        "{ listen = \"127.0.0.1:2\";\n name = \"a\"; } );",
        "main.conf:5: listeners[2].name: \"a\" is taken by listeners[0], main.conf:2 (each needs one of its "
        "own)\n"
        "main.conf:3: listeners[1].listen: \"[::1]:1\" is taken by listeners[0], main.conf:2 (each needs one "
        "of its own)\n");
    assert_true(fixture.whole); /* the compiler can still look for more */
    assert_wrong(
        "listeners = (\n{ listen = \"127.0.0.1:1\"; proxy_protocol = \"on\"; },\n"
        "{ listen = \"127.0.0.1:2\";\nproxy_protocol = \"trusted\"; } );",
        "main.conf:4: listeners[1].proxy_protocol: is \"trusted\", but trusted_proxies names nobody (set "
        "it, or write \"on\")\n");
    const struct settings *settings =
        conf_right("trusted_proxies = \"10.0.0.0/8\"; listeners = ( \"127.0.0.1:1\", { listen = "
                   "\"127.0.0.1:2\"; proxy_protocol = \"trusted\"; max_connections = 7; } );");
    const struct listener_settings *listener = settings->listeners.items[0];
    assert_int_equal(listener->proxy_protocol, PROXY_ACCEPT_OFF);
    assert_int_equal(listener->max_connections, 0);
    listener = settings->listeners.items[1];
    assert_int_equal(listener->proxy_protocol, PROXY_ACCEPT_TRUSTED);
    assert_int_equal(listener->max_connections, 7);
    assert_wrong("listeners = ( { name = \"x\"; } );",
                 "main.conf:1: listeners[0].listen: is missing (the address: "
                 "0.0.0.0:8080, [::]:8080 or unix:/path)\n");
    assert_wrong(
        "listeners = ( { listen = \"unix:/x\"; mode = 0660; } );",
        "main.conf:1: syntax: the number 0660 begins with 0 (without the 0 if it is decimal, in double "
        "quotes "
        "if it is octal)\nmain.conf:1: listeners[0].mode: must be text, not a number (write \"660\")\n");
}

static void test_hash_load(void **state)
{
    (void)state;
    static const double loads[] = {0, 1};
    const struct settings *settings = conf_right(
        "upstreams = {"
        "a = { endpoints = \"10.0.0.1:1\"; balance = \"hash\"; hash = { by = \"${host}\"; load = 0; }; };"
        "b = { endpoints = \"10.0.0.1:1\"; balance = \"hash\"; hash = { by = \"${host}\"; load = 1; }; }; "
        "};");
    for (unsigned i = 0; i < 2; i++)
        assert_true(((const struct upstream_settings *)settings->upstreams.items[i])->hash->load == loads[i]);
}

static void test_upstreams(void **state)
{
    (void)state;
    assert_wrong(
        "upstreams = { a = { };\nb = ( );\nc = { endpoints = ( \"10.0.0.1:1\",\n\"10.0.0.1:1\"\n); };\n"
        "d = { endpoints = ( { address = \"10.0.0.1:1\"; weight = 0; } );\nbalance = \"p2x\"; }; };",
        "main.conf:1: upstreams.a.endpoints: is missing (the addresses of the service, or names that stand "
        "for them)\n"
        "main.conf:2: upstreams.b: has 0 elements, at least 1 are needed\n"
        "main.conf:4: upstreams.c.endpoints[1]: \"10.0.0.1:1\" is there twice (use its weight)\n"
        "main.conf:6: upstreams.d.endpoints[0].weight: 0 is too small (write 1 to 1000)\n"
        "main.conf:7: upstreams.d.balance: \"p2x\" is not known (write \"round-robin\", \"least\", \"p2c\", "
        "\"random\" or \"hash\"; did you mean \"p2c\"?)\n");
    assert_wrong(
        "upstreams = { a = { endpoints = \"10.0.0.1:1\";\nbalance = \"hash\"; };\n"
        "b = { endpoints = \"10.0.0.1:1\";\nhash = \"${client}\"; };\n"
        "c = { endpoints = \"10.0.0.1:1\"; balance = \"hash\";\nhash = { by = \"${client}\"; load = 0.5; }; "
        "};\n"
        "d = { endpoints = \"10.0.0.1:1\";\nqueue = 5; };\n"
        "e = { endpoints = \"10.0.0.1:1\"; max_connections = 1;\nqueue = { timeout = \"0\"; }; };\n"
        "f = { endpoints = \"10.0.0.1:1\"; retry = {\nconnect = 17; }; };\n"
        "g = { endpoints = \"10.0.0.1:1\"; balance = \"hash\";\nhash = { load = 2; }; }; };",
        "main.conf:2: upstreams.a.balance: \"hash\" needs to know what decides (add hash = \"${client}\", or "
        "another ${…})\n"
        "main.conf:4: upstreams.b.hash: has no effect (write balance = \"hash\" with it)\n"
        "main.conf:6: upstreams.c.hash.load: 0.5 is too small (write 1 or more, or 0 for no bound)\n"
        "main.conf:8: upstreams.d.queue: has no effect (set max_connections too)\n"
        "main.conf:10: upstreams.e.queue.timeout: \"0\" is too small (write \"1ms\" to \"1h\")\n"
        "main.conf:12: upstreams.f.retry.connect: 17 is too large (write 1 to 16)\n"
        "main.conf:14: upstreams.g.hash.by: is missing (what decides, with ${…}: \"${client}\", "
        "\"${header.x-user}\", \"${cookie.session}\", \"${query.id}\")\n");
    const struct settings *settings =
        conf_right("upstreams = { a = { endpoints = \"10.0.0.1:1\"; max_connections = 4; };\n"
                   "b = { endpoints = \"10.0.0.1:1\"; max_connections = 4; queue = 0; };\n"
                   "c = { endpoints = \"10.0.0.1:1\"; balance = \"hash\"; hash = \"${host}\"; }; };");
    const struct upstream_settings *upstream = settings->upstreams.items[0];
    assert_int_equal(upstream->max_connections, 4);
    assert_int_equal(upstream->queue->size, 64); /* who caps and says no more has a queue */
    assert_int_equal(upstream->queue->timeout, 1000);
    assert_null(upstream->hash);
    upstream = settings->upstreams.items[1];
    assert_int_equal(upstream->queue->size, 0);
    upstream = settings->upstreams.items[2];
    assert_string_equal(upstream->hash->by, "${host}");
    assert_true(upstream->hash->load == 1.25);
    assert_null(upstream->queue);
    assert_int_equal(upstream->retry.connect, 8);
    settings = conf_right(
        "upstreams = { a = \"10.0.0.1:1\"; b = { endpoints = \"10.0.0.1:1\"; proxy_protocol = \"v2\"; }; };");
    upstream = settings->upstreams.items[0];
    assert_int_equal(upstream->proxy_protocol, 0);
    assert_int_equal(upstream->keepalive.idle, 256);
    upstream = settings->upstreams.items[1];
    assert_int_equal(upstream->proxy_protocol, 2);
    assert_int_equal(upstream->keepalive.idle, 0); /* a connection is one client's */
    assert_wrong("upstreams = ( { name = \"a\"; } );",
                 "main.conf:1: upstreams: must be a group of named groups, not a "
                 "list (write { name = { … }; })\n");
}

static void test_hosts(void **state)
{
    (void)state;
    static const char *const wrong[] = {"*",     "",   "a.b:80",    "http://a", "a/b", "*a.b",
                                        "a.*.b", "a.", "a..b",      ".a",       "*..", "a b",
                                        "ä.de",  "[",  "[::1]:443", "[x]"};
    static const char *const right[] = {"a", "A.b", "*.a", "127.0.0.1", "[::1]", "a-b_c.d"};
    char text[256];
    for (unsigned i = 0; i < sizeof(right) / sizeof(*right); i++) {
        snprintf(text, sizeof(text), API("host = \"%s\";"), right[i]);
        conf_right(text);
    }
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        snprintf(text, sizeof(text), API("\nhost = [ \"ok\", \"%s\" ];"), wrong[i]);
        conf_read(text);
        assert_int_equal(fixture.errors.count, 1);
        snprintf(text, sizeof(text), "main.conf:2: apis[0].host: \"%s\" ", wrong[i]);
        assert_memory_equal(conf_said(), text, strlen(text));
    }
}

static void test_apis(void **state)
{
    (void)state;
    assert_wrong(
        "apis = ( { name = \"a\"; routes = ( ); },\n{ routes = ( { match = \"/x\"; } ); }, 5 );",
        "main.conf:1: apis[0].routes: has 0 elements, at least 1 are needed\n"
        "main.conf:2: apis[1].name: is missing (what logs and metrics call it; each has one of its own)\n"
        "main.conf:2: apis[2]: must be a group, not a number (write { … })\n");
    assert_wrong(
        "apis = ( { name = \"a\"; },\n{ name = \"a\"; routes = { match = \"/x\"; }; } );",
        "main.conf:1: apis[0].routes: is missing (its routes; the most specific one that matches is taken, "
        "whatever the order)\n"
        "main.conf:2: apis[1].name: \"a\" is taken by apis[0], main.conf:1 (each needs one of its own)\n");
    assert_wrong(API("prefix = \"v1\";"),
                 "main.conf:1: apis[0].prefix: \"v1\" must begin with \"/\" (write \"/v1\")\n");
    assert_wrong(API("prefix = \"/v1/\";"),
                 "main.conf:1: apis[0].prefix: \"/v1/\" ends with \"/\" (write \"/v1\")\n");
    assert_null(((struct api_settings *)conf_right(API("prefix = \"/\";"))->apis.items[0])->prefix);
    assert_wrong(
        "listeners = \"127.0.0.1:1\";\n" API("\nlisteners = [ \"127.0.0.1:1\", \"x\" ];"),
        "main.conf:3: apis[0].listeners: no listener has the name \"x\" (known here: 127.0.0.1:1)\n");
    assert_wrong(
        "apis = ( { name = \"a\"; routes = ( { name = \"r\"; match = \"/x\"; },\n{ match = \"/y\";\nname = "
        "\"r\"; } ); } );",
        "main.conf:3: apis[0].routes[1].name: \"r\" is taken by routes[0], main.conf:1 (each needs one of "
        "its "
        "own)\n");
}

static void test_match(void **state)
{
    (void)state;
    assert_wrong(
        ROUTE("{ }"),
        "main.conf:2: apis[0].routes[0].match: has none of path, prefix and regex (write path = \"/…\")\n");
    assert_wrong(
        "apis = ( { name = \"a\"; routes = (\n{ } ); } );",
        "main.conf:2: apis[0].routes[0].match: has none of path, prefix and regex (write path = \"/…\")\n");
    assert_wrong(ROUTE("{ path = \"/a\";\nprefix = \"/b\"; }"),
                 "main.conf:3: apis[0].routes[0].match.prefix: a route has one of path, prefix and regex "
                 "(remove the others)\n");
    assert_wrong(ROUTE("\"a\""),
                 "main.conf:2: apis[0].routes[0].match.path: \"a\" must begin with \"/\" (write "
                 "\"/a\")\n");
    assert_wrong(ROUTE("\"/a?b\""),
                 "main.conf:2: apis[0].routes[0].match.path: \"/a?b\" is more than a path (leave "
                 "out what follows the \"?\")\n");
    assert_wrong(
        ROUTE("{ path = \"/a\"; methods = [ \"get\", \"A B\", \"\" ]; }"),
        "main.conf:2: apis[0].routes[0].match.methods: \"get\" must be in upper case (write \"GET\")\n"
        "main.conf:2: apis[0].routes[0].match.methods: \"A B\" is not a method (write \"GET\", \"POST\" …)\n"
        "main.conf:2: apis[0].routes[0].match.methods: \"\" is not a method (write \"GET\", \"POST\" …)\n");
}

static void test_conditions(void **state)
{
    (void)state;
    assert_wrong(
        ROUTE("{ path = \"/a\"; headers = ( \"X\", { equals = \"x\"; },\n{ name = \"a b\"; } ); }"),
        "main.conf:2: apis[0].routes[0].match.headers[1].name: is missing (the field's name; alone: it must "
        "be there)\n"
        "main.conf:3: apis[0].routes[0].match.headers[2].name: \"a b\" is not the name of a header field "
        "(write \"X-Beta\")\n");
    assert_wrong(
        ROUTE("{ path = \"/a\"; query = ( { name = \"x\"; equals = \"1\";\nregex = \"2\"; }, \"\" ); }"),
        "main.conf:3: apis[0].routes[0].match.query[0].regex: one of equals, prefix and regex says what it "
        "must be (remove the others)\n"
        "main.conf:3: apis[0].routes[0].match.query[1].name: is empty (write the parameter's name, "
        "decoded)\n");
    assert_wrong(
        ROUTE("{ regex = \"/a\"; priority = 1000001; }"),
        "main.conf:2: apis[0].routes[0].match.priority: 1000001 is too large (write -1000000 to 1000000)\n");
    const struct settings *settings = conf_right(ROUTE("{ regex = \"/a\";\nheaders = [ \"A\", \"B\" ]; query "
                                                       "= { name = \"q\"; equals = \"\"; not = true; }; }"));
    const struct route_settings *route =
        ((const struct api_settings *)settings->apis.items[0])->routes.items[0];
    assert_int_equal(route->match.path_origin.line, 2);
    assert_int_equal(route->match.headers.count, 2);
    assert_string_equal(((const struct condition_settings *)route->match.headers.items[1])->name, "B");
    const struct condition_settings *query = route->match.query.items[0];
    assert_string_equal(query->equals, "");
    assert_true(query->negated);
}

static void test_version(void **state)
{
    (void)state;
    const struct settings *settings = conf_right(API("version = \"2\";"));
    const struct version_settings *version = ((const struct api_settings *)settings->apis.items[0])->version;
    assert_string_equal(version->segment, "v2");
    assert_int_equal(version->by, VERSION_PATH);
    assert_false(version->standard);
    settings = conf_right(
        API("version = { name = \"2.1\"; by = \"header\"; default = true; deprecation = \"2026-01-01\";"
            "sunset = \"2027-01-01T00:00:00Z\"; link = \"https://example.com/end?x=1\"; };"));
    version = ((const struct api_settings *)settings->apis.items[0])->version;
    assert_string_equal(version->header, "Api-Version");
    assert_true(version->standard);
    assert_int_equal(version->deprecated_from, 1767225600);
    assert_int_equal(version->sunset_from, 1798761600);
    assert_wrong(API("version = { by = \"media\"; };"),
                 "main.conf:1: apis[0].version.by: \"media\" is not known (write \"path\", \"header\" or "
                 "\"media-type\")\n"
                 "main.conf:1: apis[0].version.name: is missing (the version as clients name it: 2)\n");
    assert_wrong(
        API("version = { name = \"a/b\";\nheader = \"X\"; };"),
        "main.conf:1: apis[0].version.name: \"a/b\" is not a version (write \"2\": letters, digits, \"-\", "
        "\".\" and \"_\")\n"
        "main.conf:2: apis[0].version.header: has no effect (write by = \"header\" with it)\n");
    assert_wrong(
        API("version = { name = \"1\"; segment = \"..\"; };"),
        "main.conf:1: apis[0].version.segment: \"..\" is not a segment of a path (write \"v2\": letters, "
        "digits, \"-\", \".\" and \"_\")\n");
    assert_wrong(API("version = { name = \"1\"; by = \"header\"; header = \"a:b\"; segment = \"v\"; };"),
                 "main.conf:1: apis[0].version.header: \"a:b\" is not the name of a header field\n"
                 "main.conf:1: apis[0].version.segment: has no effect (write by = \"path\" with it)\n");
    assert_wrong(
        API("version = { name = \"1\";\ndeprecation = \"2026-02-30\";\nsunset = \"soon\";\nlink = \"a b\"; "
            "};"),
        "main.conf:2: apis[0].version.deprecation: \"2026-02-30\" is not a date (write \"2027-01-31\" or "
        "\"2027-01-31T00:00:00Z\")\n"
        "main.conf:3: apis[0].version.sunset: \"soon\" is not a date (write \"2027-01-31\" or "
        "\"2027-01-31T00:00:00Z\")\n"
        "main.conf:4: apis[0].version.link: \"a b\" is not a URL (percent-encode what isn't)\n");
    assert_wrong(
        API("version = { name = \"1\"; deprecation = \"2026-02-02\"; sunset = \"2026-02-01\"; };"),
        "main.conf:1: apis[0].version.sunset: \"2026-02-01\" is before its deprecation, \"2026-02-02\"\n");
    assert_wrong(API("version = { name = \"1\"; link = \"/x\"; };"),
                 "main.conf:1: apis[0].version.link: has no effect (write deprecation or sunset with it)\n");
}

static void test_policies(void **state)
{
    (void)state;
    assert_wrong(
        "defaults = { limit = ( );\nproxy = { upstraem = \"x\"; };\nproxi = 1; };",
        "main.conf:1: defaults.limit: the list is empty (write false to switch it off, or leave it out)\n"
        "main.conf:2: defaults.proxy.upstraem: unknown setting (did you mean \"upstream\"?)\n"
        "main.conf:2: defaults.proxy.upstream: is missing (where to)\n"
        "main.conf:3: defaults.proxi: unknown setting (did you mean \"proxy\"?)\n");
    assert_wrong("defaults = { limit = ( { rate = 1; },\n{ rate = 101; } ); proxy = true; };\nproxy = \"x\";",
                 "main.conf:2: defaults.limit[1].rate: 101 is too large (write 0 to 100)\n"
                 "main.conf:2: defaults.proxy: must be text, not true or false (write \"true\")\n"
                 "main.conf:3: proxy: unknown setting (known here: workers, user, group, pidfile, control, "
                 "start_timeout, drain_timeout, watchdog, max_generations, max_connections, trusted_proxies, "
                 "state, log, admin, "
                 "client, forwarded, resolver, shed, tls, auth, consumers, listeners, upstreams, key_sets, "
                 "defaults, apis)\n");
}

static void test_rest(void **state)
{
    (void)state;
    assert_wrong("wrokers = 2;", "main.conf:1: wrokers: unknown setting (did you mean \"workers\"?)\n");
    assert_wrong("Workers = 2;", "main.conf:1: Workers: unknown setting (did you mean \"workers\"?)\n");
    assert_wrong(
        "trusted_proxies = [ \"10.0.0.0/8\", \"::1\", \"unix:\", \"10.0.0.0/33\", \"host\" ];",
        "main.conf:1: trusted_proxies: \"10.0.0.0/33\" is not an address (write \"10.0.0.1\", "
        "\"10.0.0.0/8\", "
        "\"fd00::/8\" or \"unix:\")\n"
        "main.conf:1: trusted_proxies: \"host\" is not an address (write \"10.0.0.1\", \"10.0.0.0/8\", "
        "\"fd00::/8\" or \"unix:\")\n");
    assert_wrong("log = { access = {\nformat = \"template\"; }; };",
                 "main.conf:1: log.access.template: is missing (format = \"template\" needs it)\n");
    assert_wrong("log = { access = {\ntemplate = \"x\"; }; };",
                 "main.conf:2: log.access.template: has no effect (write format = \"template\" with it)\n");
    assert_wrong("log = { level = \"notce\"; };", "main.conf:1: log.level: \"notce\" is not known (write "
                                                  "\"error\", \"warning\", \"notice\", \"info\" or "
                                                  "\"debug\"; did you mean \"notice\"?)\n");
    assert_wrong("state = ( { size = \"1M\"; } );",
                 "main.conf:1: state: must be a group, not a list (write { … } without ( ))\n");
    const struct settings *settings = conf_right("log = { error = \"syslog\"; access = \"a.log\"; };");
    assert_string_equal(settings->log.error, "syslog");
    char path[128];
    snprintf(path, sizeof(path), "%s/a.log", fixture.folder);
    assert_string_equal(settings->log.access.file, path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONF_TEST(test_defaults),  CONF_TEST(test_whole),     CONF_TEST(test_listeners),
        CONF_TEST(test_hash_load), CONF_TEST(test_upstreams), CONF_TEST(test_hosts),
        CONF_TEST(test_apis),      CONF_TEST(test_match),     CONF_TEST(test_conditions),
        CONF_TEST(test_version),   CONF_TEST(test_policies),  CONF_TEST(test_rest),
        CONF_TEST(test_forwarded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
