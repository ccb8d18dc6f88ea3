/* The settings of health, ejection and slow start. */
#include "tests/unit/conf.h"

#include "shared/conf/settings.h"

static const struct upstream_settings *upstream_of(const char *settings)
{
    char text[2048];
    snprintf(text, sizeof text, "upstreams = { a = { endpoints = \"10.0.0.1:1\"; %s }; };", settings);
    return ((const struct settings *)conf_right(text))->upstreams.items[0];
}

static void test_right(void **state)
{
    (void)state;
    const struct upstream_settings *upstream = upstream_of("");
    assert_null(upstream->health);
    assert_null(upstream->ejection);
    assert_null(upstream->slow_start);
    assert_true(upstream->panic);
    upstream = upstream_of("health = \"/healthz\"; ejection = 7; slow_start = \"20s\"; panic = false;");
    const struct health_settings *health = upstream->health;
    assert_string_equal(health->path, "/healthz");
    assert_string_equal(health_methods[health->method], "GET");
    assert_int_equal(health->interval, 5000);
    assert_int_equal(health->timeout, 1000);
    assert_int_equal(health->rise, 2);
    assert_int_equal(health->fall, 3);
    assert_int_equal(health->status_count, 1);
    assert_int_equal(health->statuses[0].first, 200);
    assert_int_equal(health->statuses[0].last, 399);
    assert_int_equal(upstream->ejection->consecutive, 7);
    assert_int_equal(upstream->slow_start->window, 20000);
    assert_false(upstream->panic);
    health = upstream_of("health = { status = [ \"204\", \"500-599\" ]; };")->health;
    assert_null(health->path); /* a connection is enough */
    assert_int_equal(health->statuses[0].last, 204);
    assert_int_equal(health->statuses[1].first, 500);
    health = upstream_of("health = { path = \"/\"; status = \"200\"; };")->health;
    assert_int_equal(health->status_count, 1);
}

static void test_wrong(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"health = { path = \"x\"; };", "health.path: \"x\" doesn't begin with /"},
        {"health = { path = \"/a b\"; };", "health.path: has a space, which can't stand there"},
        {"health = { path = \"/a\\nb\"; };", "health.path: has a control character, which can't stand there"},
        {"health = { path = \"/\"; host = \"a b\"; };", "health.host: has a space, which can't stand there"},
        {"health = { host = \"a\"; };",
         "health.host: has no effect without a request (add path, such as \"/healthz\")"},
        {"health = { body = \"a\"; };",
         "health.body: has no effect without a request (add path, such as \"/healthz\")"},
        {"health = { method = \"HEAD\"; };",
         "health.method: has no effect without a request (add path, such as \"/healthz\")"},
        {"health = { path = \"/\"; method = \"HEAD\"; body = \"a\"; };",
         "health.body: has no effect (the answer to a HEAD has none)"},
        {"health = { path = \"/\"; status = \"2xx\"; };",
         "health.status: \"2xx\" is no status (write \"200\", or a range such as \"200-399\")"},
        {"health = { path = \"/\"; status = \"300-200\"; };",
         "health.status: \"300-200\" is no status (write \"200\", or a range such as \"200-399\")"},
        {"health = { path = \"/\"; status = \"100\"; };",
         "health.status: \"100\" is no status (write \"200\", or a range such as \"200-399\")"},
        {"health = { path = \"/\"; status = \"200-\"; };",
         "health.status: \"200-\" is no status (write \"200\", or a range such as \"200-399\")"},
        {"health = { path = \"/\"; status = \"200 \"; };",
         "health.status: \"200 \" is no status (write \"200\", or a range such as \"200-399\")"},
        {"health = { interval = \"10ms\"; };",
         "health.interval: \"10ms\" is too small (write \"100ms\" to \"1h\")"},
        {"ejection = { consecutive = 0; deviation = 0; };",
         "ejection: nothing is looked at (set consecutive, ratio, deviation or slow, or leave it out)"},
        {"ejection = { slow = 1.2; };", "ejection.slow: 1.2 is too little (write 1.5 or more, or 0)"},
        {"ejection = { time = \"1m\"; max_time = \"30s\"; };", "ejection.max_time: is less than time"},
        {"ejection = { errors = \"4xx\"; };",
         "ejection.errors: \"4xx\" is not known (write \"5xx\", \"gateway\" or \"connection\"; did you mean "
         "\"5xx\"?)"},
        {"slow_start = { window = \"5s\"; aggression = 0; };",
         "slow_start.aggression: 0 is too small (write 0.01 or more)"},
        {"slow_start = \"5s\";",
         "slow_start: has no effect (set health or ejection too: who isn't out doesn't come back)"},
        {"slow_start = { least = 5; };",
         "slow_start.window: is missing (after which it has its whole share again)"},
    };
    assert_wrong("upstreams = { a = { endpoints = \"unix:/a\";\nhealth = { port = 80; }; }; };",
                 "main.conf:2: upstreams.a.health.port: \"unix:/a\" has no ports (leave it out)\n");
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512], says[512];
        snprintf(text, sizeof text, "upstreams = { a = { endpoints = \"10.0.0.1:1\";\n%s }; };", cases[i][0]);
        snprintf(says, sizeof says, "main.conf:2: upstreams.a.%s\n", cases[i][1]);
        assert_wrong(text, says);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {CONF_TEST(test_right), CONF_TEST(test_wrong)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
