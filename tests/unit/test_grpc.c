/* gRPC over HTTP/2: content types, statuses, time-outs, messages. */
#include "tests/unit/unit.h"

#include "worker/codec/grpc.h"

static void test_forms(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        enum grpc_form form;
        const char *rest;
    } rows[] = {
        {"application/grpc", GRPC_PLAIN, ""},
        {"application/grpc+proto", GRPC_PLAIN, "+proto"},
        {"Application/GRPC+json;charset=utf-8", GRPC_PLAIN, "+json;charset=utf-8"},
        {" application/grpc ", GRPC_PLAIN, ""},
        {"application/grpc ; a=b", GRPC_PLAIN, " ; a=b"},
        {"application/grpc-web", GRPC_WEB, ""},
        {"application/grpc-web+proto", GRPC_WEB, "+proto"},
        {"application/grpc-web-text", GRPC_WEB_TEXT, ""},
        {"application/grpc-web-text+proto", GRPC_WEB_TEXT, "+proto"},
        {"application/grpcx", GRPC_NONE, NULL},
        {"application/grpc-webs", GRPC_NONE, NULL},
        {"application/grpc-web-texts", GRPC_NONE, NULL},
        {"application/grpc/1", GRPC_NONE, NULL},
        {"application/json", GRPC_NONE, NULL},
        {"application/grp", GRPC_NONE, NULL},
        {"", GRPC_NONE, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct str rest = STR("untouched");
        if (grpc_form_of(str_of(rows[i].type), &rest) != rows[i].form)
            fail_msg("\"%s\"", rows[i].type);
        assert_str(rest, rows[i].rest ? rows[i].rest : "untouched");
        assert_int_equal(grpc_form_of(str_of(rows[i].type), NULL), rows[i].form);
    }
    assert_int_equal(grpc_form_of((struct str){NULL, 0}, NULL), GRPC_NONE);
    for (enum grpc_form form = GRPC_PLAIN; form <= GRPC_WEB_TEXT; form++)
        assert_int_equal(grpc_form_of(grpc_form_type(form), NULL), form);
}

static void test_statuses(void **state)
{
    (void)state;
    enum grpc_status status;
    for (unsigned i = 0; i < GRPC_STATUS_COUNT; i++) {
        assert_true(grpc_status_of_name(grpc_status_name(i), &status));
        assert_int_equal(status, i);
    }
    assert_true(grpc_status_of_name(STR("resource_exhausted"), &status));
    assert_int_equal(status, GRPC_RESOURCE_EXHAUSTED);
    assert_false(grpc_status_of_name(STR("resource-exhausted"), &status));
    assert_false(grpc_status_of_name(STR(""), &status));
    assert_str(grpc_status_name(17), "UNKNOWN");
    assert_int_equal(grpc_status_parse(STR("0")), GRPC_OK);
    assert_int_equal(grpc_status_parse(STR("14")), GRPC_UNAVAILABLE);
    assert_int_equal(grpc_status_parse(STR("16")), GRPC_UNAUTHENTICATED);
    static const char *const unknown[] = {"17", "99999999999999999999", "-1", "", "1 ", "x", "0x0"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        assert_int_equal(grpc_status_parse(str_of(unknown[i])), GRPC_UNKNOWN);
    assert_int_equal(grpc_status_to_http(GRPC_OK), 200);
    assert_int_equal(grpc_status_to_http(GRPC_UNAVAILABLE), 503);
    for (unsigned i = 0; i < GRPC_STATUS_COUNT; i++) {
        bool failure = i == GRPC_UNKNOWN || i == GRPC_DEADLINE_EXCEEDED || i == GRPC_INTERNAL ||
                       i == GRPC_UNAVAILABLE || i == GRPC_DATA_LOSS;
        assert_int_equal(grpc_status_to_http((enum grpc_status)i) >= 500, failure);
    }
}

static void test_mappings(void **state)
{
    (void)state;
    assert_int_equal(grpc_status_of_http(404), GRPC_UNIMPLEMENTED);
    assert_int_equal(grpc_status_of_http(429), GRPC_UNAVAILABLE);
    assert_int_equal(grpc_status_of_http(400), GRPC_INTERNAL);
    assert_int_equal(grpc_status_of_http(401), GRPC_UNAUTHENTICATED);
    assert_int_equal(grpc_status_of_http(403), GRPC_PERMISSION_DENIED);
    assert_int_equal(grpc_status_of_http(504), GRPC_UNAVAILABLE);
    assert_int_equal(grpc_status_of_http(500), GRPC_UNKNOWN);
    assert_int_equal(grpc_status_of_http(200), GRPC_UNKNOWN);
    assert_int_equal(grpc_status_of_http(302), GRPC_UNKNOWN);
    assert_int_equal(grpc_status_of_problem(404), GRPC_UNIMPLEMENTED);
    assert_int_equal(grpc_status_of_problem(429), GRPC_RESOURCE_EXHAUSTED);
    assert_int_equal(grpc_status_of_problem(503), GRPC_UNAVAILABLE);
    assert_int_equal(grpc_status_of_problem(504), GRPC_DEADLINE_EXCEEDED);
    assert_int_equal(grpc_status_of_problem(418), GRPC_UNKNOWN);
}

static void test_timeout_parse(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {
        {"1H", 3600000},
        {"1M", 60000},
        {"1S", 1000},
        {"100m", 100},
        {"0m", 0},
        {"1u", 1},
        {"1000u", 1},
        {"1001u", 2},
        {"1n", 1},
        {"0n", 0},
        {"99999999n", 100},
        {"00000001S", 1000},
        {"99999999H", UINT64_C(99999999) * 3600000},
    };
    static const char *const wrong[] = {"",    "1",   "m",    "1s",  "1h",         "1 m",  " 1m",  "1m ",
                                        "-1m", "+1m", "1.5S", "1mm", "100000000m", "0x1m", "1\0m", "m1"};
    uint64_t ms;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (!grpc_timeout_parse(str_of(good[i].text), &ms))
            fail_msg("\"%s\" is refused", good[i].text);
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (grpc_timeout_parse(str_of(wrong[i]), &ms))
            fail_msg("\"%s\" is taken", wrong[i]);
}

static struct str written(uint64_t ms)
{
    static char text[32];
    struct buf out = buf_on(text, sizeof text);
    grpc_timeout_write(ms, &out);
    assert_false(out.overflow);
    return buf_str(&out);
}

static void test_timeout_write(void **state)
{
    (void)state;
    assert_str(written(0), "0m");
    assert_str(written(1), "1m");
    assert_str(written(99999999), "99999999m");
    assert_str(written(100000000), "100000S");
    assert_str(written(100000999), "100000S");
    assert_str(written(UINT64_C(99999999) * 1000 + 999), "99999999S");
    assert_str(written(UINT64_C(100000000) * 1000), "1666666M");
    assert_str(written(UINT64_C(99999999) * 3600000), "99999999H");
    assert_str(written(UINT64_MAX), "99999999H");
}

static void test_message(void **state)
{
    (void)state;
    char text[64];
    struct buf out = buf_on(text, sizeof text);
    grpc_message_write(STR("it is 100% \"broken\"\r\n\xc3\xa9~\x7f"), &out);
    assert_str(buf_str(&out), "it is 100%25 \"broken\"%0D%0A%C3%A9~%7F");
    out = buf_on(text, 4);
    grpc_message_write(STR("ab\n"), &out);
    assert_true(out.overflow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),         cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_mappings),      cmocka_unit_test(test_timeout_parse),
        cmocka_unit_test(test_timeout_write), cmocka_unit_test(test_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
