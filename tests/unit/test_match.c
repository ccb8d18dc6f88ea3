/* Routing from the configuration's text on: patterns, conditions, priorities and versions; what wins, what is passed over,
 * what can't be told apart. */
#include "tests/unit/conf.h"

#include "worker/policy/table.h"
#include "worker/request/site.h"
#include "worker/request/version.h"
#include "worker/upstream/balance.h"

static const struct site *site;
static struct route_match match;

/* A configuration of APIs, a line each: `api NAME SETTINGS`, then `NAME MATCH` for each of its routes, which respond; a
 * line that begins with a brace is the route itself. The lines of the file are those of the text; ' is written for ". */
static char *text_of(const char *lines)
{
    static char text[16384];
    struct buf out = buf_on(text, sizeof text);
    struct str rest = str_of(lines);
    bool api = false, route = false;
    BUF_LITERAL(&out, "apis = ( ");
    while (rest.length) {
        struct str after = str_cut(&rest, '\n'), word = str_cut(&after, ' ');
        if (str_eq(word, STR("api"))) {
            word = str_cut(&after, ' ');
            buf_printf(&out, "%s{ name = '%.*s'; %.*s routes = (\n", api ? " ); }, " : "", STR_ARG(word),
                       STR_ARG(after));
            api = true;
            route = false;
            continue;
        }
        if (!api)
            BUF_LITERAL(&out, "{ name = 'a'; routes = ( ");
        if (route)
            BUF_LITERAL(&out, ", ");
        api = route = true;
        if (word.data[0] == '{')
            buf_printf(&out, "%.*s %.*s\n", STR_ARG(word), STR_ARG(after));
        else
            buf_printf(&out, "{ name = '%.*s'; match = { %.*s }; respond = 200; }\n", STR_ARG(word),
                       STR_ARG(after));
    }
    buf_printf(&out, " ); } );\n");
    assert_false(out.overflow);
    for (char *quote = text; (quote = strchr(quote, '\''));)
        *quote = '"';
    return text;
}

/* Loads it; what was wrong, without the warning that there is no listener. */
static const char *load(const char *lines)
{
    conf_file("main.conf", text_of(lines));
    errors_init(&fixture.errors, fixture.error_arena);
    const struct settings *settings = conf_load("main.conf", &settings_section, policy_extensions,
                                                fixture.arena, &fixture.errors, &fixture.whole);
    struct wants wants = {.arena = fixture.arena};
    site = NULL;
    if (fixture.whole)
        site = site_compile(settings, policy_table, &policy_admin,
                            balancing_compile(settings, &wants, fixture.arena, &fixture.errors), &wants,
                            fixture.arena, &fixture.errors);
    return conf_said();
}

#define GOOD(lines) assert_string_equal(load(lines), "")
#define BAD(lines, said) assert_string_equal(load(lines), (said))
#define SAME "(other path, methods, conditions, priority, version or host)\n"

/* The name of the route, "404", or "405". `fields`: "Name: value\n" each. */
static const char *ask(const char *method, const char *target, const char *fields)
{
    struct str query = str_of(target), path = str_cut(&query, '?'), lines = str_of(fields);
    struct request_head head = {.method = method_of(str_of(method)),
                                .method_text = str_of(method),
                                .query = query,
                                .authority = STR("h")};
    while (lines.length) {
        struct str value = str_cut(&lines, '\n'), name = str_cut(&value, ':');
        fields_add(&head.fields, fixture.arena, name, str_trim(value));
    }
    switch (router_match(site->routers[0], &head, path, fixture.arena, &match)) {
    case ROUTE_FOUND:
        return match.route->name.data;
    case ROUTE_METHOD:
        return "405";
    default:
        return "404";
    }
}

static void check_at(const char *method, const char *target, const char *fields, const char *expected,
                     int line)
{
    const char *got = ask(method, target, fields);
    if (strcmp(got, expected) != 0)
        fail_msg("line %d: %s %s [%s]: %s and not %s", line, method, target, fields, got, expected);
}

#define CHECK(method, target, fields, expected) check_at(method, target, fields, expected, __LINE__)
#define GET(target, expected) CHECK("GET", target, "", expected)

/* A parameter's value; NULL: it has none. */
static const char *param(const char *name)
{
    for (unsigned i = 0; i < match.route->param_count; i++)
        if (str_eq(match.route->params[i], str_of(name)))
            return match.params[i].data
                       ? arena_strndup(fixture.arena, match.params[i].data, match.params[i].length)
                       : NULL;
    fail_msg("no parameter %s", name);
    return NULL;
}

static void test_patterns(void **state)
{
    (void)state;
    GOOD("api a prefix = '/{tenant}/v1';\n"
         "low regex = '/.*'; priority = -1;\n"
         "user regex = '/users/(?<id>\\\\d+)(/(?<part>\\\\w+))?';\n"
         "any regex = '/users/.*';\n"
         "high regex = '/users/7(?<rest>.*)'; priority = 5;\n"
         "here regex = '';\n"
         "fixed path = '/users/1';\n"
         "post path = '/items'; methods = 'POST';\n");
    GET("/acme/v1/users/12", "user");
    assert_string_equal(param("tenant"), "acme");
    assert_string_equal(param("id"), "12");
    assert_null(param("part"));
    GET("/acme/v1/users/12/orders", "user");
    assert_string_equal(param("part"), "orders");
    GET("/acme/v1/users/x", "any");        /* by declaration */
    GET("/acme/v1/users/7/x%20y", "high"); /* by priority */
    assert_string_equal(param("rest"), "/x%20y");
    GET("/acme/v1/users/1", "fixed"); /* a path before all patterns */
    GET("/acme/v1/else", "low");
    GET("/acme/v1/", "low");
    GET("/acme/v1", "here");
    GET("/acme/v2/users/12", "404");
    GET("//v1/users/12", "404"); /* a parameter is not empty */
    GET("/acme", "404");
    GET("*", "404");
    GET("/acme/v1/items", "405"); /* the best path is the end, though a pattern would match */
}

/* Routes with one pattern are one path: its methods are what 405 tells, its place is that of its highest priority. */
static void test_patterns_methods(void **state)
{
    (void)state;
    GOOD("get regex = '/a+'; methods = 'GET';\n"
         "other regex = '/.*'; methods = 'PUT'; priority = 1;\n"
         "post regex = '/a+'; methods = 'POST'; priority = 2;\n");
    CHECK("GET", "/aa", "", "get");
    CHECK("HEAD", "/aa", "", "get");
    CHECK("POST", "/aa", "", "post");
    CHECK("PUT", "/aa", "", "405");
    assert_str(match.allow, "GET, HEAD, POST");
    CHECK("PUT", "/b", "", "other");
    BAD("a regex = '/x'; methods = [ 'GET', 'PUT' ];\n"
        "b regex = '/x'; methods = 'PUT';\n",
        "main.conf:2: match: the path \"~/x\" can't be told apart from the one at main.conf:1 " SAME);
    BAD("api a prefix = '/{x}';\n"
        "a regex = '/x';\n"
        "api b prefix = '/{y}';\n"
        "b regex = '/x';\n",
        "main.conf:4: match: the path \"/{y}~/x\" can't be told apart from the one at main.conf:2 " SAME);
    GOOD("api a prefix = '/x';\n"
         "a regex = '/x';\n"
         "api b prefix = '/{y}';\n"
         "b regex = '/x';\n");
}

static void test_patterns_refused(void **state)
{
    (void)state;
    BAD("a regex = '/a(b';\n",
        "main.conf:1: match.regex: \"/a(b\" is not a pattern: missing closing parenthesis, at its end\n");
    BAD("a path = '/x'; headers = ( 'A', { name = 'B'; regex = '['; } );\n",
        "main.conf:1: match.headers.regex: \"[\" is not a pattern: missing terminating ] for character "
        "class, at its end\n");
    BAD("a path = '/x'; query = { name = 'B'; regex = '+'; };\n",
        "main.conf:1: match.query.regex: \"+\" is not a pattern: quantifier does not follow a repeatable "
        "item, at offset 0, before \"+\"\n");
    BAD("api a prefix = '/{id}';\n"
        "a regex = '/(?<id>x)';\n",
        "main.conf:2: match.regex: \"/{id}~/(?<id>x)\" with its prefix: it names {id} twice\n");
    BAD("api a prefix = '/{id*}';\n"
        "a regex = '/x';\n",
        "main.conf:2: match: the path \"/{id*}\" is malformed: {name*} stands at its end only\n");
    BAD("{ match = { regex = '/(?<id>x)'; }; respond = { body = '${params.di}'; }; }\n",
        "main.conf:1: respond.body: the route's path \"~/(?<id>x)\" has no parameter {di}\n");
}

static void test_headers(void **state)
{
    (void)state;
    GOOD("plain path = '/x';\n"
         "beta path = '/x'; headers = 'X-Beta';\n"
         "canary path = '/x'; headers = { name = 'x-env'; equals = 'canary'; };\n"
         "both path = '/x'; headers = ( 'X-Beta', { name = 'X-Env'; equals = 'a'; } );\n"
         "prefix path = '/y'; headers = { name = 'User-Agent'; prefix = 'curl/'; };\n"
         "regex path = '/y'; headers = { name = 'User-Agent'; regex = '(?i)bot.*'; };\n"
         "not path = '/y'; headers = { name = 'User-Agent'; not = true; };\n"
         "differs path = '/z'; headers = { name = 'A'; equals = '1'; not = true; };\n");
    CHECK("GET", "/x", "", "plain");
    CHECK("GET", "/x", "X-BETA: \n", "beta");
    CHECK("GET", "/x", "X-Env: canary\n", "canary");
    CHECK("GET", "/x", "X-Env: Canary\n", "plain"); /* values are compared by case */
    CHECK("GET", "/x", "X-Env: canary2\n", "plain");
    CHECK("GET", "/x", "X-Env: b\nX-Env: canary\n", "canary"); /* any of them */
    CHECK("GET", "/x", "X-Beta: 1\nX-Env: a\n", "both");       /* more conditions */
    CHECK("GET", "/x", "X-Beta: 1\nX-Env: canary\n", "beta");  /* as many: by declaration */
    CHECK("GET", "/y", "", "not");
    CHECK("GET", "/y", "User-Agent: curl/8\n", "prefix");
    CHECK("GET", "/y", "User-Agent: Bot 1\n", "regex");
    CHECK("GET", "/y", "User-Agent: a Bot\n", "404"); /* the whole value */
    CHECK("GET", "/z", "", "differs");
    CHECK("GET", "/z", "A: 2\n", "differs");
    CHECK("GET", "/z", "A: 2\nA: 1\n", "404"); /* none of them */
}

static void test_query(void **state)
{
    (void)state;
    GOOD("plain path = '/x';\n"
         "there path = '/x'; query = 'debug';\n"
         "equals path = '/x'; query = { name = 'a b'; equals = '1/2 3'; };\n"
         "two path = '/x'; query = ( 'debug', 'v' );\n"
         "header path = '/x'; headers = ( 'H' );\n"
         "not path = '/y'; query = { name = 'v'; regex = '[a-z]+'; not = true; };\n");
    GET("/x", "plain");
    GET("/x?debug", "there");
    GET("/x?a=1&debug=", "there");
    GET("/x?%64ebug=0", "there");
    GET("/x?debugs=1", "plain");
    GET("/x?a+b=1%2F2+3", "equals");
    GET("/x?a%20b=0&a+b=1/2%203", "equals");
    GET("/x?a+b=1%2f2", "plain");
    GET("/x?debug&v", "two");
    CHECK("GET", "/x?debug&v", "H: 1\n", "header"); /* header conditions first */
    GET("/y", "not");
    GET("/y?v=1", "not");
    GET("/y?v=abc", "404");
    GET("/y?v=1&v=%61bc", "404");
    GET("/y?v=%zz", "404"); /* nobody knows what it is: `not` doesn't hold either */
}

/* A path whose conditions don't hold is passed over, down to patterns; 405 is only where some route's hold. */
static void test_falling_through(void **state)
{
    (void)state;
    GOOD("literal path = '/a/b'; headers = ( 'L' );\n"
         "template path = '/a/{x}'; headers = ( 'T' ); methods = 'GET';\n"
         "rest path = '/a/{x*}'; headers = ( 'R' );\n"
         "prefix prefix = '/a'; headers = ( 'P' );\n"
         "regex regex = '/a/(?<y>.*)'; headers = ( 'X' ); priority = 9;\n"
         "last regex = '/a/.*'; methods = 'PUT';\n");
    const char *all = "L: 1\nT: 1\nR: 1\nP: 1\nX: 1\n";
    CHECK("GET", "/a/b", all, "literal");
    CHECK("GET", "/a/b", all + 5, "template");
    assert_string_equal(param("x"), "b");
    CHECK("GET", "/a/b", all + 10, "rest");
    assert_string_equal(param("x"), "b");
    CHECK("GET", "/a/b", all + 15, "prefix");
    CHECK("GET", "/a/b", all + 20, "regex");
    assert_string_equal(param("y"), "b");
    CHECK("GET", "/a/b", "", "405");
    assert_str(match.allow, "PUT");
    CHECK("PUT", "/a/b", "", "last");
    CHECK("POST", "/a/b", all + 5, "405"); /* the template's, and not the rest's */
    assert_str(match.allow, "GET, HEAD");
    CHECK("GET", "/b", all, "404");
}

static void test_order_at_one_path(void **state)
{
    (void)state;
    GOOD("all path = '/x'; priority = 1;\n"
         "get path = '/x'; methods = 'GET';\n"
         "beta path = '/x'; methods = 'GET'; headers = ( 'B' ); priority = -1;\n"
         "h path = '/y'; headers = ( 'B' );\n"
         "hget path = '/y'; headers = ( 'B' ); methods = 'GET';\n"
         "hhead path = '/y'; headers = ( 'B' ); methods = 'HEAD';\n"
         "purge path = '/y'; methods = [ 'PURGE', 'PUT' ];\n"
         "purges path = '/y'; methods = [ 'PURGE' ]; query = ( 'q' );\n");
    CHECK("GET", "/x", "B: 1\n", "all"); /* priority before everything at one path */
    CHECK("GET", "/y", "B: 1\n", "hget");
    CHECK("HEAD", "/y", "B: 1\n", "hhead");
    CHECK("PUT", "/y", "B: 1\n", "h");
    CHECK("PUT", "/y", "", "purge");
    CHECK("PURGE", "/y", "", "purge");
    CHECK("PURGE", "/y?q", "", "purges");
    CHECK("GET", "/y?q", "", "405");
    assert_str(match.allow, "PUT, PURGE");
}

static void test_not_told_apart(void **state)
{
    (void)state;
    static const char same[] =
        "main.conf:2: match: the path \"/x\" can't be told apart from the one at main.conf:1 " SAME;
    BAD("a path = '/x'; priority = 2;\n"
        "b path = '/x'; priority = 2;\n",
        same);
    BAD("a path = '/x'; methods = [ 'LIST', 'PURGE' ];\n"
        "b path = '/x'; methods = [ 'GET', 'PURGE' ];\n",
        same);
    GOOD("a path = '/x'; methods = [ 'LIST', 'GET' ];\n"
         "b path = '/x'; methods = [ 'PURGE', 'PUT' ];\n"
         "c path = '/x';\n");
    BAD("a path = '/x'; headers = ( 'A', { name = 'b'; equals = '1'; } );\n"
        "b path = '/x'; headers = ( { name = 'B'; equals = '1'; }, 'a' );\n",
        same);
    GOOD("a path = '/x'; query = ( 'A' );\n"
         "b path = '/x'; query = ( 'a' );\n");
    GOOD("a path = '/x'; headers = { name = 'A'; equals = '1'; };\n"
         "b path = '/x'; headers = { name = 'A'; prefix = '1'; };\n"
         "c path = '/x'; headers = { name = 'A'; regex = '1'; };\n"
         "d path = '/x'; headers = { name = 'A'; regex = '1'; not = true; };\n"
         "e path = '/x'; query = { name = 'A'; equals = '1'; };\n"
         "f path = '/x'; methods = 'GET'; query = { name = 'A'; equals = '1'; };\n");
    BAD("a path = '/x'; headers = ( 'A', 'a' );\n",
        "main.conf:1: match.headers: a condition on \"a\" is there twice (remove one)\n");
}

static void test_version_by_path(void **state)
{
    (void)state;
    GOOD("api one prefix = '/shop'; version = '1';\n"
         "v1 path = '/{id}';\n"
         "r1 regex = '/r.*/x';\n"
         "api two prefix = '/shop'; version = { name = '2'; segment = 'v2.0'; default = true; };\n"
         "v2 path = '/{id}';\n");
    GET("/shop/v1/a", "v1");
    assert_string_equal(param("id"), "a");
    assert_str(match.route->prefix, "/shop/v1");
    GET("/shop/v1/ra/x", "r1");
    GET("/shop/v2.0/a", "v2");
    assert_str(match.route->prefix, "/shop/v2.0");
    GET("/shop/a", "v2");
    assert_str(match.route->prefix, "/shop");
    GET("/shop/v3/a", "404");
    BAD("api one prefix = '/shop'; version = { name = '1'; default = true; };\n"
        "v1 path = '/a';\n"
        "api two prefix = '/shop'; version = { name = '2'; default = true; };\n"
        "v2 path = '/a';\n",
        "main.conf:4: match: the path \"/shop/a\" can't be told apart from the one at main.conf:2 when a "
        "request names no version (both are of the default version)\n");
    /* What is wrong with a route that is there twice is told once. */
    BAD("api one prefix = '/shop'; version = { name = '1'; default = true; };\n"
        "{ match = '/{a}'; respond = { body = '${params.b}'; }; }\n",
        "main.conf:2: respond.body: the route's path \"/shop/v1/{a}\" has no parameter {b}\n");
}

static void test_version_by_header(void **state)
{
    (void)state;
    GOOD("api one prefix = '/shop'; version = { name = '1'; by = 'header'; default = true; };\n"
         "v1 path = '/a';\n"
         "put1 path = '/b'; methods = 'PUT';\n"
         "api two prefix = '/shop'; version = { name = '2b'; by = 'header'; };\n"
         "v2 path = '/a';\n"
         "get2 path = '/b'; methods = 'GET';\n"
         "api none prefix = '/shop';\n"
         "below prefix = '/c';\n"
         "plain path = '/b'; methods = 'POST';\n");
    CHECK("GET", "/shop/a", "", "v1");
    CHECK("GET", "/shop/a", "api-version: 1\n", "v1");
    CHECK("GET", "/shop/a", "Api-Version: 2B\n", "v2");
    CHECK("GET", "/shop/a", "Api-Version: 3\n", "404");
    assert_true(match.version_missed);
    assert_int_equal(match.vary_count, 1);
    assert_str(version_field(match.vary[0]), "Api-Version");
    CHECK("GET", "/shop/a", "Api-Version: 1\nApi-Version: 2b\n", "404"); /* which one? */
    CHECK("GET", "/shop/a", "Api-Version: 1\nApi-Version: 1\n", "v1");
    CHECK("GET", "/shop/c", "Api-Version: 3\n", "below"); /* an API without versions */
    assert_int_equal(match.vary_count, 0);
    CHECK("POST", "/shop/b", "Api-Version: 3\n", "plain");
    assert_int_equal(match.vary_count, 1);
    CHECK("GET", "/shop/b", "Api-Version: 1\n", "405");
    assert_str(match.allow, "POST, PUT");
    CHECK("GET", "/shop/b", "Api-Version: 2b\n", "get2");
    CHECK("GET", "/shop/d", "Api-Version: 3\n", "404");
    assert_false(match.version_missed);
    BAD("api one version = { name = '1'; by = 'header'; header = 'X'; default = true; };\n"
        "v1 path = '/a';\n"
        "api two version = { name = '2'; by = 'header'; header = 'x'; default = true; };\n"
        "v2 path = '/a';\n",
        "main.conf:4: match: the path \"/a\" can't be told apart from the one at main.conf:2 when a request "
        "names no version (both are of the default version)\n");
    BAD("api one version = { name = '1a'; by = 'header'; };\n"
        "v1 path = '/a';\n"
        "api two version = { name = '1A'; by = 'header'; };\n"
        "v2 path = '/a';\n",
        "main.conf:4: match: the path \"/a\" can't be told apart from the one at main.conf:2 " SAME);
}

#define TYPE(name) "application/vnd.acme.v" name "+json"

static void test_version_by_media_type(void **state)
{
    (void)state;
    GOOD("api one version = { name = '1'; by = 'media-type'; default = true; };\n"
         "v1 path = '/a';\n"
         "api two version = { name = '2'; by = 'media-type'; };\n"
         "v2 path = '/a';\n"
         "api beta version = { name = 'beta'; by = 'media-type'; };\n"
         "vb path = '/a'; methods = 'GET';\n");
    CHECK("GET", "/a", "", "v1");
    CHECK("GET", "/a", "Accept: */*\n", "v1");
    CHECK("GET", "/a", "Accept: nonsense\n", "v1"); /* it asks for nothing */
    CHECK("GET", "/a", "Accept: " TYPE("2"), "v2");
    CHECK("GET", "/a", "Accept: application/json; version=2", "v2");
    CHECK("GET", "/a", "Accept: " TYPE("beta"), "vb");
    CHECK("POST", "/a", "Accept: " TYPE("beta"),
          "v1"); /* without a digit, only beta knows it for a version */
    CHECK("GET", "/a", "Accept: " TYPE("3"), "404");
    assert_true(match.version_missed);
    assert_str(version_field(match.vary[0]), "Accept");
    CHECK("GET", "/a", "Accept: " TYPE("3") ", */*;q=0.1", "v1");
    CHECK("GET", "/a", "Accept: " TYPE("2") ", application/json", "v2"); /* named is better than any */
    CHECK("GET", "/a", "Accept: " TYPE("2") ";q=0.5, application/json", "v1");
    CHECK("GET", "/a", "Accept: " TYPE("2") ";q=0.5, " TYPE("1") ";q=0.4", "v2");
    CHECK("GET", "/a", "Accept: " TYPE("2") ";q=0.5\nAccept: " TYPE("1"), "v1");
    CHECK("GET", "/a", "Accept: " TYPE("2") ";q=0", "404");
    CHECK("GET", "/a", "Accept: */*;q=0", "404");
}

static void test_version_texts(void **state)
{
    (void)state;
    const struct version_settings header = {.by = VERSION_HEADER, .header = "X-V"};
    const struct version_settings type = {.by = VERSION_MEDIA_TYPE};
    struct request_head head = {.path = STR("/")};
    struct arena *arena = fixture.arena;
    assert_string_equal(version_asked(&header, &head, arena), " without a version (field X-V)");
    assert_string_equal(version_asked(&type, &head, arena), " without a version (field Accept)");
    fields_add(&head.fields, arena, STR("x-v"), STR("9"));
    fields_add(&head.fields, arena, STR("Accept"), STR("a/vnd.x.v3+json, a/b;version=4, */*"));
    assert_string_equal(version_asked(&header, &head, arena), " in version \"9\" (field X-V)");
    assert_string_equal(version_asked(&type, &head, arena), " in version \"3\", \"4\" (field Accept)");
    for (unsigned i = 0; i < 100; i++)
        fields_add(&head.fields, arena, STR("x-v"),
                   STR("0123456789012345678901234567890123456789012345678901"));
    assert_true(strlen(version_asked(&header, &head, arena)) < 300);
}

/* What can't be looked at is no match, with `not` too, and it is told. */
static void test_exceeded(void **state)
{
    (void)state;
    GOOD("slow regex = '/(a+)+[cd]';\n"
         "not path = '/x'; query = { name = 'q'; regex = '(a+)+[cd]'; not = true; };\n");
    char target[4096] = "/";
    memset(target + 1, 'a', sizeof target - 2);
    GET(target, "404");
    assert_string_equal(match.exceeded->name.data, "slow");
    memcpy(target, "/x?q=", 5);
    GET(target, "404");
    assert_string_equal(match.exceeded->name.data, "not");
    GET("/x?q=a", "not");
    assert_null(match.exceeded);
}

/* --- preflights --- */

/* The route whose requests a preflight is about; "none": it is an OPTIONS as any other. */
static const char *ahead(const char *method, const char *target, const char *names)
{
    struct str query = str_of(target), path = str_cut(&query, '?');
    struct request_head head = {
        .method = METHOD_OPTIONS, .method_text = STR("OPTIONS"), .query = query, .authority = STR("h")};
    struct preflight preflight;
    fields_add(&head.fields, fixture.arena, STR("Origin"), STR("https://app.example"));
    fields_add(&head.fields, fixture.arena, STR("Access-Control-Request-Method"), str_of(method));
    fields_add(&head.fields, fixture.arena, STR("access-control-request-headers"), str_of(names));
    assert_true(preflight_of(&head, &preflight));
    return router_match_preflight(site->routers[0], &head, &preflight, path, fixture.arena, &match)
               ? match.route->name.data
               : "none";
}

static void test_preflights(void **state)
{
    (void)state;
    GOOD("api a cors = 'https://app.example'; host = 'h';\n"
         "get path = '/u/{id}'; methods = [ 'GET', 'PUT' ];\n"
         "any path = '/u/{id}/any';\n"
         "new path = '/k'; methods = [ 'PATCH' ]; headers = ( { name = 'X-Kind'; equals = 'new'; } );\n"
         "not path = '/k'; methods = [ 'PATCH' ]; headers = ( { name = 'X-Old'; not = true; } );\n"
         "type path = '/t'; methods = [ 'POST' ]; headers = ( { name = 'Content-Type'; equals = 'a/b'; } );\n"
         "q path = '/q'; methods = [ 'PUT' ]; query = ( { name = 'v'; equals = '1'; } );\n"
         "rest path = '/q/{x*}'; methods = [ 'PUT' ];\n"
         "api b cors = false; host = 'h';\n"
         "del path = '/u/{id}'; methods = [ 'DELETE' ];\n"
         "opt path = '/u/{id}'; methods = [ 'OPTIONS' ];\n");
    assert_string_equal(ahead("GET", "/u/1", ""), "get");
    assert_string_equal(ahead("PUT", "/u/1", ""), "get");
    assert_string_equal(param("id"), "1");
    assert_string_equal(ahead("HEAD", "/u/1", ""), "get");
    assert_string_equal(ahead("PATCH", "/u/1", ""), "get"); /* nobody's: it is to hear so */
    assert_string_equal(ahead("DELETE", "/u/1", ""), "none");
    assert_string_equal(ahead("put", "/u/1/any", ""), "any");
    assert_string_equal(ahead("GET", "/nowhere", ""), "none");
    assert_string_equal(ahead("PATCH", "/k", "x-other, x-kind"), "new");
    assert_string_equal(ahead("PATCH", "/k", "x-other"), "not");
    assert_string_equal(ahead("PATCH", "/k", "x-old"), "none");
    assert_string_equal(ahead("POST", "/t", ""), "type"); /* its value isn't known yet */
    assert_string_equal(ahead("PUT", "/q?v=1", ""), "q");
    assert_string_equal(ahead("PUT", "/q?v=2", ""), "none");
    CHECK("OPTIONS", "/u/1", "", "opt");
}

static void test_no_preflights(void **state)
{
    static const char *const fields[][2] = {{"", ""},
                                            {"Access-Control-Request-Method", "GET"},
                                            {"Access-Control-Request-Method", "G T"},
                                            {"Access-Control-Request-Method", ""}};
    (void)state;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        struct request_head head = {.method = METHOD_OPTIONS};
        struct preflight preflight;
        if (i != 1) /* without an origin */
            fields_add(&head.fields, fixture.arena, STR("Origin"), STR("https://app.example"));
        fields_add(&head.fields, fixture.arena, str_of(fields[i][0]), str_of(fields[i][1]));
        assert_false(preflight_of(&head, &preflight));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONF_TEST(test_patterns),
        CONF_TEST(test_patterns_methods),
        CONF_TEST(test_patterns_refused),
        CONF_TEST(test_headers),
        CONF_TEST(test_query),
        CONF_TEST(test_falling_through),
        CONF_TEST(test_order_at_one_path),
        CONF_TEST(test_not_told_apart),
        CONF_TEST(test_version_by_path),
        CONF_TEST(test_version_by_header),
        CONF_TEST(test_version_by_media_type),
        CONF_TEST(test_version_texts),
        CONF_TEST(test_exceeded),
        CONF_TEST(test_preflights),
        CONF_TEST(test_no_preflights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
