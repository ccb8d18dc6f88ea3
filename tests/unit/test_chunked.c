/* The chunked decoder. Each input is decoded whole, split in two at every byte, and byte by byte: all must agree. */
#include "tests/unit/unit.h"

#include "worker/codec/chunked.h"

struct decoded {
    enum chunked_result result;
    char body[1024];
    size_t length;
    char trailers[CHUNKED_TRAILER_MAX];
    struct str section; /* of `trailers` */
    size_t used;        /* bytes of the input */
    const char *error;
};

/* Feeds `input` in pieces that end at `first` and then every `step` bytes. */
static void decode(struct str input, size_t first, size_t step, struct decoded *decoded)
{
    struct chunked chunked;
    chunked_init(&chunked);
    decoded->length = decoded->used = 0;
    decoded->section = (struct str){NULL, 0};
    for (size_t at = 0, end = first;; end += step) {
        if (end > input.length)
            end = input.length;
        char *copy = malloc(end - at + 1); /* a piece of its own: no look beyond its ends */
        assert_non_null(copy);
        memcpy(copy, input.data + at, end - at);
        struct str piece = {copy, end - at}, data;
        while ((decoded->result = chunked_next(&chunked, &piece, &data)) == CHUNKED_DATA ||
               decoded->result == CHUNKED_TRAILERS) {
            if (decoded->result == CHUNKED_TRAILERS) {
                chunked_collect(&chunked, decoded->trailers);
                continue;
            }
            assert_true(data.length > 0);
            assert_true(decoded->length + data.length <= sizeof(decoded->body));
            memcpy(decoded->body + decoded->length, data.data, data.length);
            decoded->length += data.length;
        }
        decoded->used = end - piece.length;
        free(copy);
        at = end;
        if (decoded->result != CHUNKED_MORE || at == input.length)
            break;
        assert_int_equal(piece.length, 0);
    }
    decoded->error = chunked_error(&chunked);
    if (decoded->result == CHUNKED_END)
        decoded->section = chunked_trailers(&chunked);
}

static void same(const struct decoded *a, const struct decoded *b)
{
    assert_int_equal(a->result, b->result);
    assert_int_equal(a->length, b->length);
    assert_memory_equal(a->body, b->body, a->length);
    assert_int_equal(a->used, b->used);
    assert_string_equal(a->error, b->error);
    assert_true(str_eq(a->section, b->section));
}

static struct decoded whole, split;

static void decode_all_ways(struct str input)
{
    decode(input, input.length, 1, &whole);
    for (size_t at = 0; at <= input.length; at++) {
        decode(input, at, input.length, &split);
        same(&whole, &split);
    }
    decode(input, 1, 1, &split);
    same(&whole, &split);
}

static void good(struct str input, const char *body, const char *trailers, size_t left)
{
    decode_all_ways(input);
    if (whole.result != CHUNKED_END)
        fail_msg("%.*s: %d %s", STR_ARG(input), whole.result, whole.error);
    assert_str(((struct str){whole.body, whole.length}), body);
    assert_str(whole.section, trailers);
    assert_int_equal(input.length - whole.used, left);
    assert_string_equal(whole.error, "");
}

static void bad(struct str input, const char *part)
{
    decode_all_ways(input);
    if (whole.result != CHUNKED_ERROR)
        fail_msg("%.*s: %d", STR_ARG(input), whole.result);
    if (!strstr(whole.error, part))
        fail_msg("%.*s: \"%s\" has no \"%s\"", STR_ARG(input), whole.error, part);
}

static void more(struct str input, const char *body)
{
    decode_all_ways(input);
    assert_int_equal(whole.result, CHUNKED_MORE);
    assert_str(((struct str){whole.body, whole.length}), body);
}

static void test_good(void **state)
{
    (void)state;
    good(STR("0\r\n\r\n"), "", "", 0);
    good(STR("5\r\nhello\r\n0\r\n\r\n"), "hello", "", 0);
    good(STR("5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n000\r\n\r\nGET / "), "hello world", "", 6);
    good(STR("0000000000000005\r\n\r\n\r\n0\r\n0\r\n\r\n"), "\r\n\r\n0", "", 0);
    good(STR("A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n"), "01234567890123456789", "", 0);
    good(STR("5;x=y;z=\"a b\"\r\nhello\r\n0;last\r\n\r\n"), "hello", "", 0);
    good(STR("0\r\nX-Sum: abc\r\nempty:\r\nb:  two words\t\r\n\r\n."), "",
         "X-Sum: abc\r\nempty:\r\nb:  two words\t\r\n", 1);
    good(STR("0\r\n!#$%&'*+-.^_`|~09aZ: \xc3\xa9\r\n\r\n"), "", "!#$%&'*+-.^_`|~09aZ: \xc3\xa9\r\n", 0);
}

static void test_more(void **state)
{
    (void)state;
    more(STR(""), "");
    more(STR("5"), "");
    more(STR("5\r"), "");
    more(STR("5\r\n"), "");
    more(STR("5\r\nhel"), "hel");
    more(STR("5\r\nhello"), "hello");
    more(STR("5\r\nhello\r\n0\r\n"), "hello");
    more(STR("5\r\nhello\r\n0\r\n\r"), "hello");
    more(STR("0\r\na: b\r\n"), "");
    more(STR("7fffffffffffffff\r\nx"), "x"); /* the largest */
}

static void test_bad_sizes(void **state)
{
    (void)state;
    bad(STR("\r\n"), "hexadecimal");
    bad(STR("\n"), "hexadecimal");
    bad(STR("g\r\n"), "hexadecimal");
    bad(STR("-1\r\n"), "hexadecimal");
    bad(STR("+1\r\n"), "hexadecimal");
    bad(STR("0x5\r\nhello"), "hexadecimal");
    bad(STR(" 5\r\nhello"), "hexadecimal");
    bad(STR("5 \r\nhello"), "hexadecimal");
    bad(STR("5 ;a\r\nhello"), "hexadecimal");
    bad(STR("5\t\r\nhello"), "hexadecimal");
    bad(STR(";a\r\n"), "hexadecimal");
    bad(STR("5\nhello\n0\n\n"), "hexadecimal");
    bad(STR("5\0\r\nhello"), "hexadecimal");
    bad(STR("5\rhello"), "CR without LF");
    bad(STR("5\r\r\nhello"), "CR without LF");
    bad(STR("00000000000000005\r\nhello"), "16 digits");
    bad(STR("8000000000000000\r\n"), "2^63");
    bad(STR("ffffffffffffffff\r\n"), "2^63");
}

static void test_bad_ends_of_data(void **state)
{
    (void)state;
    bad(STR("5\r\nhello0\r\n\r\n"), "longer");
    bad(STR("5\r\nhello!\r\n"), "longer");
    bad(STR("5\r\nhello\n0\r\n\r\n"), "longer");
    bad(STR("5\r\nhello\rx"), "CR without LF");
    bad(STR("5\r\nhello\r\r\n"), "CR without LF");
    bad(STR("5\r\nhello\r\n\r\n0\r\n\r\n"), "hexadecimal");
}

static void test_extensions(void **state)
{
    (void)state;
    bad(STR("5;a\nhello"), "control");
    bad(STR("5;a\tb\r\nhello"), "control");
    bad(STR("5;a\x7f\r\nhello"), "control");
    bad(STR("5;\0\r\nhello"), "control");
    bad(STR("5;a\rb"), "CR without LF");
    char text[300] = "1;";
    memset(text + 2, 'x', 256);
    memcpy(text + 2 + 256, "\r\n!\r\n0\r\n\r\n", 11);
    good(str_of(text), "!", "", 0);
    memcpy(text + 2 + 256, "x\r\n!\r\n0\r\n\r\n", 12);
    bad(str_of(text), "256 bytes");
}

static void test_bad_trailers(void **state)
{
    (void)state;
    bad(STR("0\r\n a: b\r\n\r\n"), "folded");
    bad(STR("0\r\na: b\r\n c\r\n\r\n"), "folded");
    bad(STR("0\r\na: b\r\n\tc\r\n\r\n"), "folded");
    bad(STR("0\r\n: b\r\n\r\n"), "name");
    bad(STR("0\r\na\r\n\r\n"), "name");
    bad(STR("0\r\na : b\r\n\r\n"), "name");
    bad(STR("0\r\na b: c\r\n\r\n"), "name");
    bad(STR("0\r\na\0: c\r\n\r\n"), "name");
    bad(STR("0\r\n\xc3\xa9: c\r\n\r\n"), "name");
    bad(STR("0\r\n(a): c\r\n\r\n"), "name");
    bad(STR("0\r\na: b\nc: d\r\n\r\n"), "control");
    bad(STR("0\r\na: \0\r\n\r\n"), "control");
    bad(STR("0\r\na: b\rc: d\r\n\r\n"), "CR without LF");
    bad(STR("0\r\n\n"), "name");
    bad(STR("0\r\n\rx"), "CR without LF");
    bad(STR("0\r\na: b\r\n\r\r\n"), "CR without LF");
}

static void test_forbidden_trailers(void **state)
{
    (void)state;
    static const char *const names[] = {
        "Content-Length",      "transfer-encoding", "HOST",          "Trailer",       "te",
        "Connection",          "Upgrade",           "Authorization", "Cookie",        "Set-Cookie",
        "Content-Type",        "Content-Encoding",  "Content-Range", "Cache-Control", "If-Match",
        "Proxy-Authorization", "X-Forwarded-For",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        char text[100] = "0\r\nx: y\r\n";
        strcat(strcat(text, names[i]), ": 1\r\n\r\n");
        bad(str_of(text), "not allowed");
    }
    good(STR("0\r\nContent-Lengths: 1\r\nTEE: 1\r\ngrpc-status: 0\r\nETag: x\r\nServer-Timing: a\r\n\r\n"),
         "", "Content-Lengths: 1\r\nTEE: 1\r\ngrpc-status: 0\r\nETag: x\r\nServer-Timing: a\r\n", 0);
}

static void test_trailer_bound(void **state)
{
    (void)state;
    static char text[CHUNKED_TRAILER_MAX + 100], section[CHUNKED_TRAILER_MAX + 1];
    memcpy(text, "0\r\na:", 5);
    memset(text + 5, 'x', CHUNKED_TRAILER_MAX - 4);
    memcpy(text + 5 + CHUNKED_TRAILER_MAX - 4, "\r\n\r\n", 4);
    memcpy(section, text + 3, CHUNKED_TRAILER_MAX);
    struct str input = {text, 5 + CHUNKED_TRAILER_MAX};
    decode(input, input.length, 1, &whole);
    assert_int_equal(whole.result, CHUNKED_END);
    assert_int_equal(whole.section.length, CHUNKED_TRAILER_MAX);
    assert_memory_equal(whole.section.data, section, whole.section.length);
    memcpy(text + 5 + CHUNKED_TRAILER_MAX - 4, "x\r\n\r\n", 5);
    input.length++;
    decode(input, 100, 100, &whole);
    assert_int_equal(whole.result, CHUNKED_ERROR);
    assert_non_null(strstr(whole.error, "8192"));
}

static void test_end_and_error_stay(void **state)
{
    (void)state;
    struct chunked chunked;
    chunked_init(&chunked);
    struct str input = STR("0\r\n\r\nnext"), data;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(chunked_next(&chunked, &input, &data), CHUNKED_END);
        assert_str(input, "next");
    }
    chunked_init(&chunked);
    input = STR("x5\r\nhello");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(chunked_next(&chunked, &input, &data), CHUNKED_ERROR);
        assert_str(input, "5\r\nhello");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_more),
        cmocka_unit_test(test_bad_sizes),
        cmocka_unit_test(test_bad_ends_of_data),
        cmocka_unit_test(test_extensions),
        cmocka_unit_test(test_bad_trailers),
        cmocka_unit_test(test_forbidden_trailers),
        cmocka_unit_test(test_trailer_bound),
        cmocka_unit_test(test_end_and_error_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
