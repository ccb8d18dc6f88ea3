/* The heads of HTTP/2 requests: what is taken, how it is read, and what is refused; and what frames cost. */
#include "tests/unit/unit.h"

#include "worker/http/http2_abuse.h"
#include "worker/http/http2_head.h"

static struct arena *arena;
static const struct http2_limits limits = {.max_line = 64, .max_head = 1024, .max_fields = 10};

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

/* "name=value" one by one, in memory of exactly their size; a NULL ends them. */
static bool read_head(const char *const *fields, bool last, struct request_head *head,
                      struct http2_head *reading)
{
    memset(head, 0, sizeof *head);
    http2_head_begin(reading, arena, &head->fields, &limits, false);
    for (; *fields; fields++) {
        size_t length = strlen(*fields), name = (size_t)(strchr(*fields, '=') - *fields);
        char *copy = malloc(length);
        assert_non_null(copy);
        memcpy(copy, *fields, length);
        http2_head_field(reading, (struct str){copy, name}, (struct str){copy + name + 1, length - name - 1});
        free(copy); /* it is the reader's business to keep what it needs */
    }
    return http2_head_end(reading, head, STR("http"), last);
}

#define HEAD(last, head, reading, ...) \
    read_head((const char *const[]){__VA_ARGS__, NULL}, last, head, reading)
#define BASIC ":method=GET", ":scheme=http", ":authority=a.org", ":path=/x?y=1"

static void is(struct str text, const char *expected)
{
    assert_int_equal(text.length, strlen(expected));
    assert_memory_equal(text.data, expected, text.length);
}

static void test_a_head(void **state)
{
    struct request_head head;
    struct http2_head reading;
    (void)state;
    assert_true(HEAD(true, &head, &reading, BASIC, "accept=*/*", "x-y=", "te=trailers"));
    assert_int_equal(head.method, METHOD_GET);
    assert_int_equal(head.version, 20);
    is(head.method_text, "GET");
    is(head.target, "/x?y=1");
    is(head.path, "/x");
    is(head.query, "y=1");
    is(head.authority, "a.org");
    is(head.scheme, "http");
    is(fields_value(&head.fields, FIELD_HOST), "a.org");
    is(fields_value(&head.fields, FIELD_ACCEPT), "*/*");
    assert_int_equal(head.body, BODY_NONE);
    assert_false(head.expect_continue);
}

/* As HTTP/1 they can be sent on in one piece. */
static void test_lines(void **state)
{
    struct request_head head;
    struct http2_head reading;
    char memory[256];
    struct buf out = buf_on(memory, sizeof memory);
    (void)state;
    assert_true(HEAD(true, &head, &reading, BASIC, "cookie=a=1", "b=2", "cookie=c=3", "x_y=1", "d=4"));
    fields_write(&head.fields, (uint64_t)1 << FIELD_HOST, &out);
    is(buf_str(&out), "cookie: a=1; c=3\r\nb: 2\r\nd: 4\r\n");
}

static void test_bodies(void **state)
{
    struct request_head head;
    struct http2_head reading;
    (void)state;
    assert_true(HEAD(false, &head, &reading, BASIC, "expect=100-continue"));
    assert_int_equal(head.body, BODY_STREAM);
    assert_true(head.expect_continue);
    assert_true(HEAD(false, &head, &reading, BASIC, "content-length=12"));
    assert_int_equal(head.body, BODY_LENGTH);
    assert_int_equal(head.length, 12);
    assert_true(HEAD(true, &head, &reading, BASIC, "content-length=0", "expect=100-continue"));
    assert_int_equal(head.body, BODY_LENGTH);
    assert_false(head.expect_continue);
}

static void refused(unsigned status, bool malformed, const char *const *fields)
{
    struct request_head head;
    struct http2_head reading;
    assert_false(read_head(fields, true, &head, &reading));
    assert_int_equal(reading.status, status);
    assert_int_equal(reading.malformed, malformed);
    assert_non_null(reading.detail);
}

#define REFUSED(status, malformed, ...) refused(status, malformed, (const char *const[]){__VA_ARGS__, NULL})

static void test_malformed(void **state)
{
    (void)state;
    REFUSED(400, true, ":scheme=http", ":authority=a", ":path=/");
    REFUSED(400, true, ":method=GET", ":authority=a", ":path=/");
    REFUSED(400, true, ":method=GET", ":scheme=http", ":authority=a");
    REFUSED(400, true, ":method=GET", ":scheme=http", ":authority=a", ":path=");
    REFUSED(400, true, BASIC, ":path=/");
    REFUSED(400, true, ":x=1", BASIC);
    REFUSED(400, true, "a=1", BASIC);
    REFUSED(400, true, BASIC, "A=1");
    REFUSED(400, true, BASIC, "=1");
    REFUSED(400, true, BASIC, "a b=1");
    REFUSED(400, true, BASIC, "a=\r\n");
    REFUSED(400, true, BASIC, "a= 1");
    REFUSED(400, true, BASIC, "a=1\t");
    REFUSED(400, true, BASIC, "connection=close");
    REFUSED(400, true, BASIC, "transfer-encoding=chunked");
    REFUSED(400, true, BASIC, "te=gzip");
    REFUSED(400, true, BASIC, "host=b.org");
    REFUSED(400, true, BASIC, "content-length=1");
    REFUSED(400, true, BASIC, "content-length=0", "content-length=0");
    REFUSED(400, true, BASIC, "content-length=-0");
    REFUSED(400, true, ":method=G T", ":scheme=http", ":authority=a", ":path=/");
    REFUSED(400, true, ":protocol=websocket", BASIC);
}

static void test_refused(void **state)
{
    (void)state;
    REFUSED(400, false, ":method=GET", ":scheme=http", ":path=/");
    REFUSED(400, false, ":method=GET", ":scheme=http", ":authority=", ":path=/");
    REFUSED(400, false, ":method=GET", ":scheme=http", ":authority=u@a", ":path=/");
    REFUSED(400, false, ":method=GET", ":scheme=ftp", ":authority=a", ":path=/");
    REFUSED(400, false, ":method=GET", ":scheme=http", ":authority=a", ":path=*");
    REFUSED(400, false, ":method=GET", ":scheme=http", ":authority=a", ":path=x");
    REFUSED(400, false, ":method=GET", ":scheme=http", ":authority=a", ":path=/ ");
    REFUSED(400, false, ":method=TRACE", ":scheme=http", ":authority=a", ":path=/", "content-length=0");
    REFUSED(501, false, ":method=FROB", ":scheme=http", ":authority=a", ":path=/");
    REFUSED(501, false, ":method=CONNECT", ":authority=a:1");
    REFUSED(414, false, ":method=GET", ":scheme=http", ":authority=a",
            ":path=/34567890123456789012345678901234567890123456789012345678901234");
    REFUSED(417, false, BASIC, "expect=more");
    REFUSED(431, false, BASIC, "a=1", "b=1", "c=1", "d=1", "e=1", "f=1", "g=1", "h=1", "i=1", "j=1", "k=1");
}

/* Extended CONNECT (RFC 8441) is what Upgrade is to HTTP/1. */
static void test_connect(void **state)
{
    struct request_head head;
    struct http2_head reading;
    (void)state;
    assert_true(read_head((const char *const[]){":method=CONNECT", ":protocol=websocket", ":scheme=http",
                                                ":authority=a", ":path=/chat?x", NULL},
                          false, &head, &reading));
    assert_int_equal(head.method, METHOD_GET);
    assert_str(head.method_text, "GET");
    assert_str(head.upgrade, "websocket");
    assert_str(head.path, "/chat");
    assert_int_equal(head.body, BODY_NONE);
    static const struct {
        const char *fields[7];
        bool last;
        unsigned status;
    } bad[] = {
        {{":method=CONNECT", ":protocol=websocket", ":scheme=http", ":authority=a", ":path=/"}, true, 400},
        {{":method=CONNECT", ":protocol=websocket", ":scheme=http", ":authority=a", ":path=/",
          "content-length=0"},
         false,
         400},
        {{":method=CONNECT", ":protocol=web socket", ":scheme=http", ":authority=a", ":path=/"}, false, 400},
        {{":method=CONNECT", ":protocol=websocket", ":scheme=http", ":authority=a"}, false, 400},
        {{":method=CONNECT", ":protocol=websocket", ":authority=a", ":path=/"}, false, 400},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(read_head(bad[i].fields, bad[i].last, &head, &reading));
        assert_int_equal(reading.status, bad[i].status);
    }
}

static void test_too_large(void **state)
{
    struct request_head head;
    struct http2_head reading;
    char value[1024];
    (void)state;
    memset(value, 'v', sizeof value);
    memset(&head, 0, sizeof head);
    http2_head_begin(&reading, arena, &head.fields, &limits, false);
    for (unsigned i = 0; i < 3; i++)
        http2_head_field(&reading, STR("x"), (struct str){value, 400});
    assert_int_equal(reading.size, 3 * 433);
    assert_false(http2_head_end(&reading, &head, STR("http"), true));
    assert_int_equal(reading.status, 431);
    assert_int_equal(head.fields.count, 2);
}

static void test_trailers(void **state)
{
    struct http2_head reading;
    struct fields trailers;
    (void)state;
    http2_head_begin(&reading, arena, &trailers, &limits, true);
    http2_head_field(&reading, STR("x-sum"), STR("1"));
    http2_head_field(&reading, STR("x_forged"), STR("1"));
    assert_int_equal(reading.status, 0);
    assert_int_equal(trailers.count, 1);
    http2_head_field(&reading, STR("content-length"), STR("1"));
    assert_int_equal(reading.status, 400);
    http2_head_begin(&reading, arena, &trailers, &limits, true);
    http2_head_field(&reading, STR(":path"), STR("/"));
    assert_true(reading.malformed);
}

/* --- abuse --- */

static enum http2_abuse frame(struct http2_budgets *budgets, uint8_t type, size_t length, uint64_t now)
{
    static const struct http2_abuse_limits budget = {.resets = 10, .overhead = 1000};
    const nghttp2_frame_hd head = {.length = length, .type = type};
    return http2_abuse_frame(budgets, &budget, &head, now);
}

static void test_overhead(void **state)
{
    struct http2_budgets budgets = {.overhead = 0};
    (void)state;
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(frame(&budgets, NGHTTP2_SETTINGS, 6, 1000), HTTP2_ABUSE_NONE);
    assert_int_equal(frame(&budgets, NGHTTP2_SETTINGS, 6, 1000), HTTP2_ABUSE_SETTINGS);
    /* A tenth of the budget is forgiven each second. */
    assert_int_equal(frame(&budgets, NGHTTP2_SETTINGS, 6, 2999), HTTP2_ABUSE_SETTINGS);
    assert_int_equal(frame(&budgets, NGHTTP2_PING, 8, 5000), HTTP2_ABUSE_NONE);
    /* Data and requests earn. */
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(frame(&budgets, NGHTTP2_WINDOW_UPDATE, 4, 6000), HTTP2_ABUSE_NONE);
        assert_int_equal(frame(&budgets, NGHTTP2_WINDOW_UPDATE, 4, 6000), HTTP2_ABUSE_NONE);
        assert_int_equal(frame(&budgets, NGHTTP2_DATA, 100, 6000), HTTP2_ABUSE_NONE);
    }
}

static void test_resets(void **state)
{
    struct http2_budgets budgets = {.overhead = 0};
    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(frame(&budgets, NGHTTP2_RST_STREAM, 4, 1000), HTTP2_ABUSE_NONE);
        http2_abuse_earn_request(&budgets);
    }
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(frame(&budgets, NGHTTP2_RST_STREAM, 4, 1000), HTTP2_ABUSE_NONE);
    assert_int_equal(frame(&budgets, NGHTTP2_RST_STREAM, 4, 1000), HTTP2_ABUSE_RESETS);
}

static void test_continuations(void **state)
{
    struct http2_budgets budgets = {.overhead = 0};
    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        assert_int_equal(frame(&budgets, NGHTTP2_HEADERS, 10, 1000), HTTP2_ABUSE_NONE);
        for (unsigned i = 0; i < 16; i++)
            assert_int_equal(frame(&budgets, NGHTTP2_CONTINUATION, 10, 1000), HTTP2_ABUSE_NONE);
    }
    assert_int_equal(frame(&budgets, NGHTTP2_CONTINUATION, 10, 1000), HTTP2_ABUSE_CONTINUATIONS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_head, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bodies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_malformed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connect, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_large, setup, teardown),
        cmocka_unit_test_setup_teardown(test_trailers, setup, teardown),
        cmocka_unit_test(test_overhead),
        cmocka_unit_test(test_resets),
        cmocka_unit_test(test_continuations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
