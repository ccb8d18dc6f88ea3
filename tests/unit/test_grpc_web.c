/* gRPC-Web: base64 that comes in pieces, and the frame of trailers. */
#include "tests/unit/unit.h"

#include "worker/codec/grpc_web.h"

/* In pieces of `step`. NULL data: it is refused. */
static struct str decode(const char *text, size_t step, bool *complete)
{
    static char memory[256];
    struct grpc_web_decoder decoder = {0};
    size_t length = strlen(text), used = 0;
    for (size_t at = 0; at < length; at += step) {
        size_t piece = length - at < step ? length - at : step;
        char *out = malloc(GRPC_WEB_DECODED(piece));
        ptrdiff_t got = grpc_web_decode(&decoder, text + at, piece, out);
        if (got > 0)
            memcpy(memory + used, out, (size_t)got);
        free(out);
        if (got < 0)
            return (struct str){NULL, 0};
        used += (size_t)got;
    }
    *complete = grpc_web_decode_complete(&decoder);
    return (struct str){memory, used};
}

static void test_decode(void **state)
{
    (void)state;
    static const struct {
        const char *text, *bytes; /* NULL: it is refused */
        bool complete;
    } rows[] = {
        {"", "", true},
        {"TWFu", "Man", true},
        {"TWE=", "Ma", true},
        {"TQ==", "M", true},
        {"TQ==TWE=TWFu", "MMaMan", true}, /* pieces that were padded each */
        {"TWFuTQ", "Man", false},
        {"TWFuTQ=", "Man", false},
        {"T", "", false},
        {"+/+/", "\xfb\xff\xbf", true},
        {"-_-_", NULL, false},
        {"T===", NULL, false},
        {"=AAA", NULL, false},
        {"TQ=a", NULL, false},
        {"TWFu TWFu", NULL, false},
        {"TWFu\nTWFu", NULL, false},
        {"TWE==", NULL, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t step = 1; step < 13; step++) {
            bool complete = false;
            struct str got = decode(rows[i].text, step, &complete);
            if (!rows[i].bytes != !got.data)
                fail_msg("\"%s\" in pieces of %zu", rows[i].text, step);
            if (!got.data)
                continue;
            assert_str(got, rows[i].bytes);
            assert_int_equal(complete, rows[i].complete);
        }
}

static void test_stays_bad(void **state)
{
    (void)state;
    struct grpc_web_decoder decoder = {0};
    char out[6];
    assert_int_equal(grpc_web_decode(&decoder, "!", 1, out), -1);
    assert_int_equal(grpc_web_decode(&decoder, "TWFu", 4, out), -1);
    assert_false(grpc_web_decode_complete(&decoder));
}

static void test_encode(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"", ""},        {"M", "TQ=="},        {"Ma", "TWE="},
                                          {"Man", "TWFu"}, {"Mann", "TWFubg=="}, {"\xfb\xff\xbf", "+/+/"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char out[16];
        size_t length = strlen(rows[i][0]);
        assert_int_equal(grpc_web_encode(rows[i][0], length, out), GRPC_WEB_ENCODED(length));
        assert_str(((struct str){out, GRPC_WEB_ENCODED(length)}), rows[i][1]);
    }
}

static void test_trailers(void **state)
{
    (void)state;
    char memory[256];
    struct buf out = buf_on(memory, sizeof memory);
    grpc_web_trailers_begin(&out);
    grpc_web_trailers_add(&out, STR("Grpc-Status"), STR("0"));
    grpc_web_trailers_add(&out, STR("x-trace-bin"), STR("AAEC"));
    grpc_web_trailers_end(&out);
    assert_false(out.overflow);
    assert_memory_equal(memory, "\x80\0\0\0\x21", 5);
    assert_str(str_from(buf_str(&out), 5), "grpc-status:0\r\nx-trace-bin:AAEC\r\n");
    assert_int_equal(out.length - 5, 0x21);

    out = buf_on(memory, sizeof memory);
    grpc_web_trailers_begin(&out);
    grpc_web_trailers_end(&out);
    assert_int_equal(out.length, 5);
    assert_memory_equal(memory, "\x80\0\0\0\0", 5);

    out = buf_on(memory, 8);
    grpc_web_trailers_begin(&out);
    grpc_web_trailers_add(&out, STR("grpc-status"), STR("0"));
    grpc_web_trailers_end(&out);
    assert_true(out.overflow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_stays_bad),
        cmocka_unit_test(test_encode),
        cmocka_unit_test(test_trailers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
