/* The messages of gRPC's health checks. */
#include "tests/unit/unit.h"

#include "worker/codec/grpc_health.h"

static void test_write(void **state)
{
    (void)state;
    char memory[512], name[200];
    struct buf out = buf_on(memory, sizeof memory);
    grpc_health_write(STR(""), &out);
    assert_int_equal(out.length, grpc_health_size(STR("")));
    assert_memory_equal(memory, "\0\0\0\0\0", 5);

    out = buf_on(memory, sizeof memory);
    grpc_health_write(STR("shop"), &out);
    assert_int_equal(out.length, grpc_health_size(STR("shop")));
    assert_memory_equal(memory, "\0\0\0\0\x06\x0a\x04shop", 11);

    memset(name, 'x', sizeof name);
    out = buf_on(memory, sizeof memory);
    grpc_health_write((struct str){name, sizeof name}, &out);
    assert_int_equal(out.length, 5 + 3 + sizeof name);
    assert_int_equal(out.length, grpc_health_size((struct str){name, sizeof name}));
    assert_memory_equal(memory, "\0\0\0\0\xcb\x0a\xc8\x01xx", 10);
}

static void test_read(void **state)
{
    (void)state;
    static const struct {
        struct str body;
        enum grpc_health status;
    } rows[] = {
        {{"\0\0\0\0\0", 5}, GRPC_HEALTH_UNKNOWN},
        {{"\0\0\0\0\2\x08\1", 7}, GRPC_HEALTH_SERVING},
        {{"\0\0\0\0\2\x08\2", 7}, GRPC_HEALTH_NOT_SERVING},
        {{"\0\0\0\0\2\x08\3", 7}, GRPC_HEALTH_SERVICE_UNKNOWN},
        {{"\0\0\0\0\2\x08\4", 7}, GRPC_HEALTH_UNKNOWN},
        {{"\0\0\0\0\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", 16}, GRPC_HEALTH_UNKNOWN},
        {{"\0\0\0\0\6\x12\2hi\x08\1", 11}, GRPC_HEALTH_SERVING},       /* a field that isn't known */
        {{"\0\0\0\0\7\x08\1\x15xxxx", 12}, GRPC_HEALTH_SERVING},       /* of four bytes */
        {{"\0\0\0\0\x0b\x08\1\x19xxxxxxxx", 16}, GRPC_HEALTH_SERVING}, /* of eight */
        {{"\0\0\0\0\4\x08\2\x08\1", 9}, GRPC_HEALTH_SERVING},          /* the last one counts */
        {{"", 0}, GRPC_HEALTH_MALFORMED},
        {{"\0\0\0\0", 4}, GRPC_HEALTH_MALFORMED},
        {{"\1\0\0\0\2\x08\1", 7}, GRPC_HEALTH_MALFORMED}, /* compressed */
        {{"\0\0\0\0\2\x08", 6}, GRPC_HEALTH_MALFORMED},
        {{"\0\0\0\0\1\x08", 6}, GRPC_HEALTH_MALFORMED},
        {{"\0\0\0\0\2\x08\1\1", 8}, GRPC_HEALTH_MALFORMED},
        {{"\0\0\0\0\2\x08\x81", 7}, GRPC_HEALTH_MALFORMED},
        {{"\0\0\0\0\3\x12\5x", 8}, GRPC_HEALTH_MALFORMED},
        {{"\0\0\0\0\1\x0b", 6}, GRPC_HEALTH_MALFORMED}, /* a group */
        {{"\0\0\0\0\2\x15x", 7}, GRPC_HEALTH_MALFORMED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (grpc_health_read(rows[i].body) != rows[i].status)
            fail_msg("row %zu is %s", i, grpc_health_name(grpc_health_read(rows[i].body)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_write), cmocka_unit_test(test_read)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
