/* gRPC-Web's base64: the same bytes and the same error however the body is cut, and what was encoded in pieces is decoded to
 * what it was. The first eight bytes are the lengths of the pieces, in turn; the rest is the body. */
#include "tests/fuzz/fuzz.h"

#include "worker/codec/grpc_web.h"

enum { LENGTHS = 8 };

struct decoded {
    char *bytes;
    size_t length;
    bool bad, complete;
};

static size_t piece_of(const uint8_t *lengths, size_t turn, size_t left)
{
    size_t length = lengths ? lengths[turn % LENGTHS] + 1u : left;
    return length < left ? length : left;
}

/* `lengths` NULL: in one piece. */
static struct decoded decode(struct str body, const uint8_t *lengths)
{
    struct grpc_web_decoder decoder = {0};
    struct decoded decoded = {.bytes = malloc(GRPC_WEB_DECODED(body.length) + 1)};
    CHECK(decoded.bytes);
    for (size_t turn = 0, at = 0; at < body.length && !decoded.bad; turn++) {
        size_t length = piece_of(lengths, turn, body.length - at);
        char *out = malloc(GRPC_WEB_DECODED(length)); /* so that writing behind it is seen */
        CHECK(out);
        ptrdiff_t got = grpc_web_decode(&decoder, body.data + at, length, out);
        decoded.bad = got < 0;
        if (got > 0) {
            memcpy(decoded.bytes + decoded.length, out, (size_t)got);
            decoded.length += (size_t)got;
        }
        free(out);
        at += length;
    }
    decoded.complete = grpc_web_decode_complete(&decoder);
    CHECK(!decoded.bad || !decoded.complete);
    return decoded;
}

static void check_round_trip(struct str body, const uint8_t *lengths)
{
    size_t size = 4 * body.length + 4, length = 0; /* pieces of one byte are four */
    char *text = malloc(size);
    CHECK(text);
    for (size_t turn = 0, at = 0; at < body.length; turn++) {
        size_t piece = piece_of(lengths, turn, body.length - at);
        length += grpc_web_encode(body.data + at, piece, text + length);
        CHECK(length <= size);
        at += piece;
    }
    struct decoded decoded = decode((struct str){text, length}, lengths);
    CHECK(!decoded.bad && decoded.complete && decoded.length == body.length);
    CHECK(body.length == 0 || memcmp(decoded.bytes, body.data, body.length) == 0);
    free(decoded.bytes);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < LENGTHS)
        return 0;
    struct str body = {(const char *)data + LENGTHS, size - LENGTHS};
    struct decoded whole = decode(body, NULL), cut = decode(body, data);
    CHECK(whole.bad == cut.bad && whole.complete == cut.complete);
    if (!whole.bad)
        CHECK(whole.length == cut.length && memcmp(whole.bytes, cut.bytes, whole.length) == 0);
    free(whole.bytes);
    free(cut.bytes);
    check_round_trip(body, data);
    return 0;
}
