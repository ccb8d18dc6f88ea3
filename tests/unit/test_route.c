/* The router: which route a host, a path and a method come to, and what it refuses at load. Conditions, patterns and
 * versions are in test_match.c. */
#include "tests/unit/unit.h"

#include "worker/request/router.h"

static struct arena *arena;
static struct errors errors;
static struct router *router;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(4096);
    errors_init(&errors, arena);
    router = router_new(arena, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

/* `host` NULL: any. A pattern that ends with `>` is a prefix. */
static void add(const char *name, const char *host, const char *pattern, unsigned methods)
{
    struct api_settings *api = arena_zalloc(arena, sizeof *api);
    struct route_settings *settings = arena_zalloc(arena, sizeof *settings);
    struct route *route = arena_zalloc(arena, sizeof *route);
    if (host) {
        api->host.items = arena_array(arena, 1, sizeof *api->host.items);
        api->host.items[0] = host;
        api->host.count = 1;
    }
    *route = (struct route){.name = str_of(name),
                            .api = api,
                            .settings = settings,
                            .pattern = str_of(pattern),
                            .text = str_of(pattern),
                            .methods = methods};
    route->is_prefix = str_ends(route->pattern, STR(">"));
    route->pattern.length -= route->is_prefix;
    if (route_parse_pattern(route, (struct origin){"f", 1}, &errors, arena))
        router_add(router, route, arena, &errors);
}

/* The name of the route, "404" or "405". */
static const char *at(const char *host, const char *path, enum method method, struct route_match *match)
{
    static const char *const words[] = {[METHOD_GET] = "GET", [METHOD_HEAD] = "HEAD", [METHOD_POST] = "POST"};
    const struct request_head head = {
        .authority = str_of(host), .method = method, .method_text = str_of(words[method])};
    switch (router_match(router, &head, str_of(path), arena, match)) {
    case ROUTE_FOUND:
        return match->route->name.data;
    case ROUTE_METHOD:
        return "405";
    default:
        return "404";
    }
}

static void check(const char *host, const char *path, const char *expected)
{
    struct route_match match;
    const char *got = at(host, path, METHOD_GET, &match);
    if (strcmp(got, expected) != 0)
        fail_msg("%s%s: %s and not %s", host, path, got, expected);
}

static void test_hosts(void **state)
{
    (void)state;
    add("exact", "a.example", "/>", 0);
    add("wild", "*.example", "/>", 0);
    add("longer", "*.b.example", "/>", 0);
    add("any", NULL, "/>", 0);
    router_finish(router, arena);
    check("a.example", "/", "exact");
    check("A.Example:8080", "/", "exact");
    check("a.example.", "/", "exact");
    check("c.example", "/", "wild");
    check("d.c.example", "/", "wild");
    check("x.b.example", "/", "longer");
    check("example", "/", "any");
    check("", "/", "any");
    check("[::1]:80", "/", "any");
    check(".example", "/", "any"); /* a wildcard stands for something */
}

static void test_many_hosts(void **state)
{
    (void)state;
    enum { MANY = 1000 };
    for (unsigned i = 0; i < MANY; i++) {
        add(arena_printf(arena, "%u", i), arena_printf(arena, "h%u.example", i), "/", 0);
        add(arena_printf(arena, "below %u", i), arena_printf(arena, "*.h%u.example", i), "/", 0);
    }
    add("address", "[2001:db8::1]", "/", 0);
    router_finish(router, arena);
    assert_int_equal(errors.count, 0);
    for (unsigned i = 0; i < MANY; i++) {
        check(arena_printf(arena, "H%u.example", i), "/", arena_printf(arena, "%u", i));
        check(arena_printf(arena, "a.b.h%u.example:80", i), "/", arena_printf(arena, "below %u", i));
    }
    check("[2001:DB8::1]:8080", "/", "address");
    check("h1000.example", "/", "404");
    check("example", "/", "404");
}

/* A name longer than names are is nobody's, and is looked up nowhere. */
static void test_long_host(void **state)
{
    (void)state;
    char host[70000], name[256];
    memset(host, 'a', sizeof host);
    memset(name, 'a', sizeof name);
    host[sizeof host - 1] = name[255] = '\0';
    add("longest", name, "/", 0);
    add("wild", "*.b", "/", 0);
    add("any", NULL, "/", 0);
    router_finish(router, arena);
    check(name, "/", "longest");
    check(host, "/", "any");
    memcpy(host + sizeof host - 3, ".b", 2);
    check(host, "/", "any");
    host[256] = '\0'; /* one too many */
    check(host, "/", "any");
}

static void test_paths(void **state)
{
    (void)state;
    add("root", NULL, "/", 0);
    add("literal", NULL, "/a/b", 0);
    add("template", NULL, "/a/{x}", 0);
    add("deep", NULL, "/a/{x}/c", 0);
    add("rest", NULL, "/files/{rest*}", 0);
    add("prefix", NULL, "/static>", 0);
    add("slash", NULL, "/a/b/", 0);
    router_finish(router, arena);
    check("", "/", "root");
    check("", "/a", "404");
    check("", "/a/b", "literal");
    check("", "/a/b/", "slash");
    check("", "/a/bb", "template");
    check("", "/a/", "404");     /* a parameter is not empty */
    check("", "/a/b/c", "deep"); /* the literal leads nowhere: the template does */
    check("", "/files", "404");
    check("", "/files/", "rest");
    check("", "/files/x/y", "rest");
    check("", "/static", "prefix");
    check("", "/static/x/y", "prefix");
    check("", "/statics", "404");
    struct route_match match;
    assert_string_equal(at("", "/files/x/y", METHOD_GET, &match), "rest");
    assert_str(match.params[0], "x/y");
    assert_string_equal(at("", "/a/b/c", METHOD_GET, &match), "deep");
    assert_str(match.params[0], "b");
}

/* `OPTIONS *` asks for the server and not for its path "/": it belongs to who has all of a host. */
static void test_asterisk(void **state)
{
    (void)state;
    add("root", "a", "/", 0);
    add("rest", "a", "/{rest*}", 0);
    add("root", "b", "/", 0);
    add("all", "b", "/>", 0);
    router_finish(router, arena);
    check("a", "*", "404");
    check("b", "*", "all");
    check("b", "/", "root");
}

static void test_methods(void **state)
{
    (void)state;
    struct route_match match;
    add("get", NULL, "/a", 1u << METHOD_GET);
    add("post", NULL, "/a", 1u << METHOD_POST);
    add("below", NULL, "/>", 0);
    add("only", NULL, "/b", 1u << METHOD_POST);
    router_finish(router, arena);
    assert_int_equal(errors.count, 0);
    assert_string_equal(at("", "/a", METHOD_POST, &match), "post");
    assert_string_equal(at("", "/a", METHOD_HEAD, &match), "get");
    assert_string_equal(at("", "/b", METHOD_GET, &match), "405"); /* and not the prefix */
    assert_str(match.allow, "POST");
    assert_string_equal(at("", "/c", METHOD_GET, &match), "below");
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const patterns[] = {
        "/a/{",  "/a/x{y}", "/{a}/{a}", "/{}",  "/{a-b}",  "/{rest*}/x", "/{*}", /* parameters */
        "/a//b", "/a/../b", "/.",       "/%61", "/%c3%a9", "/\xc3\xa9",  "/a%2Fb",
        "/a b",  "/%zz" /* no path in normal form */
    };
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        unsigned before = errors.count;
        add("bad", NULL, patterns[i], 0);
        if (errors.count != before + 1)
            fail_msg("%s: %u errors", patterns[i], errors.count - before);
    }
    unsigned before = errors.count;
    add("one", NULL, "/same/{x}", 1u << METHOD_GET);
    add("two", NULL, "/same/{y}", 1u << METHOD_GET | 1u << METHOD_POST);
    assert_int_equal(errors.count, before + 1);
}

static void test_ten_thousand(void **state)
{
    (void)state;
    enum { MANY = 10000 };
    for (unsigned i = 0; i < MANY; i++)
        add(arena_printf(arena, "%u", i), NULL, arena_printf(arena, "/r%u/%s", i, i % 2 ? "{id}" : "x"), 0);
    router_finish(router, arena);
    assert_int_equal(errors.count, 0);
    for (unsigned i = 0; i < MANY; i++)
        check("", arena_printf(arena, "/r%u/x", i), arena_printf(arena, "%u", i));
    check("", "/r10000/x", "404");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_hosts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_hosts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_host, setup, teardown),
        cmocka_unit_test_setup_teardown(test_paths, setup, teardown),
        cmocka_unit_test_setup_teardown(test_asterisk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_methods, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ten_thousand, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
