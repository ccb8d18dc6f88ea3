/* The heads of HTTP/1 messages: what is taken, how it is read, and what is refused. */
#include "tests/unit/unit.h"

#include "worker/http/parse.h"

static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(4096);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

/* In memory of exactly its size, so that the sanitizer sees a byte too many. */
static char *copied(const char *text, size_t length)
{
    char *copy = malloc(length);
    assert_non_null(copy);
    memcpy(copy, text, length);
    arena_on_free(arena, free, copy);
    return copy;
}

static enum head_found found(const char *text, size_t *end, unsigned *lines)
{
    struct head_scan scan = {0, 0};
    enum head_found result = head_find_end(&scan, copied(text, strlen(text)), strlen(text), end);
    *lines = scan.lines;
    return result;
}

static bool request(const char *text, struct request_head *head, struct parse_result *result)
{
    size_t end = 0;
    unsigned lines = 0;
    assert_int_equal(found(text, &end, &lines), HEAD_WHOLE);
    assert_int_equal(end, strlen(text));
    return parse_request(copied(text, end), end, lines, arena, head, result);
}

static bool response(const char *text, enum method method, struct response_head *head,
                     struct parse_result *result)
{
    size_t end = 0;
    unsigned lines = 0;
    assert_int_equal(found(text, &end, &lines), HEAD_WHOLE);
    return parse_response(copied(text, end), end, lines, method, arena, head, result);
}

static void test_end_of_head_in_pieces(void **state)
{
    (void)state;
    const char *text = "GET / HTTP/1.1\r\nHost: a\r\n\r\nmore";
    struct head_scan scan = {0, 0};
    size_t end = 0, length;
    for (length = 1; head_find_end(&scan, text, length, &end) == HEAD_MORE; length++)
        assert_true(length < strlen(text));
    assert_int_equal(length, 27);
    assert_int_equal(end, 27);
    assert_int_equal(scan.lines, 2);
}

static void test_no_end_can_be_trusted(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "GET / HTTP/1.1\nHost: a\r\n",   "GET / HTTP/1.1\r\nHost: a\n\n",  "\n",
        "GET / HTTP/1.1\r\n folded\r\n", "GET / HTTP/1.1\r\n\tfolded\r\n", " GET"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        size_t end;
        unsigned lines;
        if (found(texts[i], &end, &lines) != HEAD_MALFORMED)
            fail_msg("taken: %s", texts[i]);
    }
}

static void test_request(void **state)
{
    (void)state;
    struct request_head head;
    struct parse_result result;
    assert_true(
        request("POST /a/b?c=d HTTP/1.1\r\nhOsT: a.example:80\r\nX-One:  1 \t\r\nContent-Length: 5\r\n"
                "X_Two: 2\r\nConnection: close, X-One, Host\r\nExpect: 100-continue\r\n\r\n",
                &head, &result));
    assert_int_equal(head.method, METHOD_POST);
    assert_str(head.path, "/a/b");
    assert_str(head.query, "c=d");
    assert_str(head.authority, "a.example:80");
    assert_int_equal(head.version, 11);
    assert_int_equal(head.length, 5);
    assert_int_equal(result.framing, FRAMING_LENGTH);
    assert_true(head.expect_continue);
    assert_false(head.keep_alive);
    assert_null(fields_find(&head.fields, STR("x_two")));  /* dropped */
    assert_null(fields_find(&head.fields, STR("x-one")));  /* named by Connection */
    assert_non_null(fields_get(&head.fields, FIELD_HOST)); /* which can't ask for that */
}

static void test_targets(void **state)
{
    (void)state;
    struct request_head head;
    struct parse_result result;
    assert_true(request("GET http://b.example?x HTTP/1.1\r\nHost: a\r\n\r\n", &head, &result));
    assert_str(head.authority, "b.example");
    assert_str(head.path, "/");
    assert_str(head.query, "x");
    assert_true(request("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", &head, &result));
    assert_true(request("GET / HTTP/1.0\r\n\r\n", &head, &result));
    assert_false(head.keep_alive);
    assert_true(request("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", &head, &result));
    assert_true(head.keep_alive);
}

static void test_refused_requests(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned status;
    } cases[] = {
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400},
        {"GET /\r\n\r\n", 400}, /* HTTP/0.9: too short for a version */
        {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505},
        {"GET / HTTP/9.9\r\nHost: a\r\n\r\n", 505},
        {"SOURCE / ICE/1.1\r\nHost: a\r\n\r\n", 400},
        {"WHAT / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
        {"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501},
        {"TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", 417},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 0},
        {"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct request_head head;
        struct parse_result result;
        if (request(cases[i].text, &head, &result))
            fail_msg("taken: %s", cases[i].text);
        assert_non_null(result.detail);
        if (cases[i].status && result.status != cases[i].status)
            fail_msg("%u: %s", result.status, cases[i].text);
    }
}

static void test_responses(void **state)
{
    (void)state;
    struct response_head head;
    struct parse_result result;
    assert_true(response("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", METHOD_GET, &head, &result));
    assert_int_equal(result.framing, FRAMING_LENGTH);
    assert_true(response("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", METHOD_HEAD, &head, &result));
    assert_int_equal(result.framing, FRAMING_NONE);
    assert_int_equal(head.length, 3); /* told to the client */
    assert_true(response("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", METHOD_GET, &head,
                         &result));
    assert_int_equal(result.framing, FRAMING_NONE);
    assert_true(
        response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", METHOD_GET, &head, &result));
    assert_int_equal(result.framing, FRAMING_CHUNKED);
    assert_true(response("HTTP/1.0 200 OK\r\n\r\n", METHOD_GET, &head, &result));
    assert_int_equal(result.framing, FRAMING_EOF);
    assert_true(response("HTTP/1.1 200\r\n\r\n", METHOD_GET, &head, &result));
}

static void test_refused_responses(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "HTTP/1.1 99 Low\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 600 High\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        "ICY 200 OK\r\nContent-Length: 0\r\n\r\n",
        "Http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\rContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200\rOK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-One: a\rb\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nBad Name: 1\r\n\r\n",
        "\r\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct response_head head;
        struct parse_result result;
        if (response(texts[i], METHOD_GET, &head, &result))
            fail_msg("taken: %s", texts[i]);
        assert_int_equal(result.status, 502);
    }
    static const char nul[] = "HTTP/1.1 200 OK\r\nConnection:\0close\r\nContent-Length: 0\r\n\r\n";
    size_t end;
    struct head_scan scan = {0, 0};
    struct response_head head;
    struct parse_result result;
    assert_int_equal(head_find_end(&scan, nul, sizeof nul - 1, &end), HEAD_WHOLE);
    assert_false(parse_response(nul, end, scan.lines, METHOD_GET, arena, &head, &result));
}

static void test_upgrades(void **state)
{
    (void)state;
#define HEAD(fields) "GET / HTTP/1.1\r\nHost: a\r\n" fields "\r\n"
    static const struct {
        const char *text, *upgrade;
    } cases[] = {
        {HEAD("Upgrade: websocket\r\nConnection: Upgrade\r\n"), "websocket"},
        {HEAD("Connection: keep-alive, UPGRADE\r\nUpgrade: WebSocket\r\n"), "WebSocket"},
        {HEAD("Connection: keep-alive\r\nConnection: upgrade\r\nUpgrade: a/1.2\r\n"), "a/1.2"},
        {HEAD("Upgrade: websocket\r\n"), ""},
        {HEAD("Upgrade: websocket\r\nConnection: keep-alive\r\n"), ""},
        {HEAD("Upgrade: h2c, websocket\r\nConnection: upgrade\r\n"), ""},
        {HEAD("Upgrade: a\r\nUpgrade: a\r\nConnection: upgrade\r\n"), ""},
        {HEAD("Upgrade: a/\r\nConnection: upgrade\r\n"), ""},
        {HEAD("Upgrade: a b\r\nConnection: upgrade\r\n"), ""},
        {HEAD("Upgrade: /1\r\nConnection: upgrade\r\n"), ""},
        {HEAD("Upgrade: \r\nConnection: upgrade\r\n"), ""},
        {"GET / HTTP/1.0\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", ""},
    };
#undef HEAD
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct request_head head;
        struct parse_result result;
        assert_true(request(cases[i].text, &head, &result));
        assert_str(head.upgrade, cases[i].upgrade);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_end_of_head_in_pieces),
        cmocka_unit_test(test_no_end_can_be_trusted),
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_refused_requests),
        cmocka_unit_test(test_responses),
        cmocka_unit_test(test_refused_responses),
        cmocka_unit_test(test_upgrades),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
