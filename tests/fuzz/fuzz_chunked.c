/* The chunked decoder: the same body, end and error however the input is cut. The first eight bytes are the lengths of
 * the pieces, in turn; the rest is the input. */
#include "tests/fuzz/fuzz.h"

#include "worker/codec/chunked.h"
#include "worker/http/parse.h"

enum { LENGTHS = 8 };

struct decoded {
    enum chunked_result result;
    char *body;
    size_t length;
    size_t used;
    char trailers[CHUNKED_TRAILER_MAX];
    struct str section;
    struct chunked chunked;
};

/* `lengths` NULL: in one piece. */
static void decode(struct str input, const uint8_t *lengths, struct decoded *decoded)
{
    decoded->body = malloc(input.length + 1);
    CHECK(decoded->body);
    decoded->length = decoded->used = 0;
    chunked_init(&decoded->chunked);
    for (size_t turn = 0, at = 0;; turn++) {
        size_t length = lengths ? lengths[turn % LENGTHS] + 1u : input.length;
        if (length > input.length - at)
            length = input.length - at;
        struct str piece = {input.data + at, length}, data;
        while ((decoded->result = chunked_next(&decoded->chunked, &piece, &data)) == CHUNKED_DATA ||
               decoded->result == CHUNKED_TRAILERS) {
            if (decoded->result == CHUNKED_TRAILERS) {
                chunked_collect(&decoded->chunked, decoded->trailers);
                continue;
            }
            CHECK(data.length > 0 && data.data >= input.data + at && data.data + data.length == piece.data);
            memcpy(decoded->body + decoded->length, data.data, data.length);
            decoded->length += data.length;
        }
        at += length;
        decoded->used = at - piece.length;
        if (decoded->result != CHUNKED_MORE || at == input.length)
            break;
        CHECK(piece.length == 0);
    }
    decoded->section = (struct str){NULL, 0};
    if (decoded->result == CHUNKED_END)
        decoded->section = chunked_trailers(&decoded->chunked);
    CHECK((chunked_error(&decoded->chunked)[0] != '\0') == (decoded->result == CHUNKED_ERROR));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < LENGTHS)
        return 0;
    struct str input = {(const char *)data + LENGTHS, size - LENGTHS};
    static struct decoded whole, cut;
    decode(input, NULL, &whole);
    decode(input, data, &cut);
    CHECK(whole.result == cut.result && whole.used == cut.used && whole.length == cut.length);
    CHECK(memcmp(whole.body, cut.body, whole.length) == 0);
    CHECK(str_eq(whole.section, cut.section));
    CHECK(strcmp(chunked_error(&whole.chunked), chunked_error(&cut.chunked)) == 0);
    free(cut.body);
    free(whole.body);
    if (whole.section.length) {
        struct arena *arena = arena_new(4096);
        struct fields trailers = {0};
        parse_trailers(whole.section, false, arena, &trailers);
        CHECK(trailers.count > 0);
        arena_free(&arena);
    }
    return 0;
}
