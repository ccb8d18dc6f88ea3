/* WebSocket: keys, borders of frames, close frames. */
#include "tests/unit/unit.h"

#include "worker/codec/websocket.h"

static void test_accept_of_the_rfc(void **state)
{
    (void)state;
    char accept[WEBSOCKET_ACCEPT];
    websocket_accept(STR("dGhlIHNhbXBsZSBub25jZQ=="), accept); /* RFC 6455, section 1.3 */
    assert_memory_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", WEBSOCKET_ACCEPT);
}

static void test_keys(void **state)
{
    (void)state;
    char key[WEBSOCKET_KEY];
    websocket_key((const unsigned char *)"the sample nonce", key);
    assert_memory_equal(key, "dGhlIHNhbXBsZSBub25jZQ==", WEBSOCKET_KEY);
    assert_true(websocket_key_is_good((struct str){key, WEBSOCKET_KEY}));
    static const char *const bad[] = {"",
                                      "dGhlIHNhbXBsZSBub25jZQ=",
                                      "dGhlIHNhbXBsZSBub25jZQ===",
                                      "dGhlIHNhbXBsZSBub25j-Q==",
                                      "dGhlIHNhbXBsZSBub25jZQ A",
                                      "dGhlIHNhbXBsZSBub25jZQA="};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(websocket_key_is_good(str_of(bad[i])));
}

/* A frame with `size` bytes of payload. */
static size_t frame(char *at, unsigned opcode, size_t size, bool masked)
{
    char *begin = at;
    *at++ = (char)(0x80 | opcode);
    *at++ = (char)((size < 126 ? size : size < 65536 ? 126 : 127) | (masked ? 0x80 : 0));
    unsigned bytes = size < 126 ? 0 : size < 65536 ? 2 : 8;
    for (unsigned i = bytes; i > 0; i--)
        *at++ = (char)((uint64_t)size >> 8 * (i - 1) & 0xff);
    memset(at, 'm', masked ? 4 : 0);
    at += masked ? 4 : 0;
    memset(at, 'x', size);
    return (size_t)(at + size - begin);
}

/* However the bytes come: it is between two frames exactly where a frame ends. */
static void test_borders_of_frames(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 125, 126, 127, 65535, 65536, 70000};
    static const size_t steps[] = {1, 3, 7, 4096, 1 << 20};
    char *stream = test_malloc(1 << 20);
    for (size_t s = 0; s < sizeof steps / sizeof *steps; s++)
        for (int masked = 0; masked < 2; masked++) {
            struct websocket_position position = {0};
            for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                size_t length = frame(stream, i % 2 ? 2 : 9, sizes[i], masked);
                for (size_t done = 0; done < length;) {
                    size_t step = steps[s] < length - done ? steps[s] : length - done;
                    websocket_follow(&position, stream + done, step);
                    done += step;
                    assert_int_equal(websocket_between(&position), done == length);
                }
            }
        }
    test_free(stream);
}

static void test_nothing_follows_a_close(void **state)
{
    (void)state;
    char text[WEBSOCKET_CLOSE_MAX];
    struct websocket_position position = {0};
    size_t length = websocket_close(WEBSOCKET_SERVICE_RESTART, false, text);
    assert_int_equal(length, 4);
    assert_memory_equal(text, "\x88\x02\x03\xf4", 4);
    websocket_follow(&position, text, length);
    assert_false(websocket_between(&position));
    assert_int_equal(websocket_close(WEBSOCKET_GOING_AWAY, true, text), 8);
    assert_memory_equal(text, "\x88\x82\0\0\0\0\x03\xe9", 8);
}

static void test_a_length_that_cannot_be(void **state)
{
    (void)state;
    struct websocket_position position = {0};
    websocket_follow(&position, "\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", 10);
    assert_true(position.lost);
    websocket_follow(&position, "more", 4);
    assert_false(websocket_between(&position));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accept_of_the_rfc),       cmocka_unit_test(test_keys),
        cmocka_unit_test(test_borders_of_frames),       cmocka_unit_test(test_nothing_follows_a_close),
        cmocka_unit_test(test_a_length_that_cannot_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
