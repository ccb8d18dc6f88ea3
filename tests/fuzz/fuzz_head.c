/* Heads of requests and responses: the end is the same however the bytes come, texts lie inside the input, and what is
 * taken can be read in one way only. */
#include "tests/fuzz/fuzz.h"

#include "shared/base/token.h"
#include "worker/http/parse.h"

static void inside(struct str text, const char *data, size_t length)
{
    CHECK(text.length == 0 || (text.data >= data && text.data + text.length <= data + length));
}

static void check_fields(const struct fields *fields, const char *data, size_t length)
{
    for (unsigned i = 0; i < fields->count; i++) {
        struct str value = fields->items[i].value;
        inside(fields->items[i].name, data, length);
        inside(value, data, length);
        CHECK(fields->items[i].name.length == 0 || is_token(fields->items[i].name));
        CHECK(!value.length ||
              (!memchr(value.data, '\r', value.length) && !memchr(value.data, '\n', value.length) &&
               !memchr(value.data, '\0', value.length)));
    }
}

static void check_request(const char *data, size_t length, unsigned lines, struct arena *arena)
{
    struct request_head head;
    struct parse_result result;
    if (!parse_request(data, length, lines, arena, &head, &result)) {
        CHECK(result.detail && result.status >= 400);
        return;
    }
    CHECK(head.version == 10 || head.version == 11);
    CHECK(head.version == 10 || fields_get(&head.fields, FIELD_HOST));
    CHECK(head.path.length && (head.path.data[0] == '/' || head.path.data[0] == '*'));
    CHECK(!fields_get(&head.fields, FIELD_CONTENT_LENGTH) ||
          !fields_get(&head.fields, FIELD_TRANSFER_ENCODING));
    CHECK((result.framing == FRAMING_CHUNKED) == (fields_get(&head.fields, FIELD_TRANSFER_ENCODING) != NULL));
    CHECK(result.framing != FRAMING_EOF);
    check_fields(&head.fields, data, length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct head_scan whole = {0, 0}, slow = {0, 0};
    size_t end = 0, slow_end = 0;
    enum head_found found = head_find_end(&whole, text, size, &end), slowly = HEAD_MORE;
    for (size_t length = 1; length <= size && slowly == HEAD_MORE; length++)
        slowly = head_find_end(&slow, text, length, &slow_end);
    CHECK(found == slowly && (found != HEAD_WHOLE || (end == slow_end && whole.lines == slow.lines)));
    if (found != HEAD_WHOLE)
        return 0;
    struct arena *arena = arena_new(4096);
    struct response_head head;
    struct parse_result result;
    check_request(text, end, whole.lines, arena);
    if (parse_response(text, end, whole.lines, METHOD_GET, arena, &head, &result)) {
        CHECK(head.status >= 100 && head.status <= 599);
        /* The first line has one end, and nothing of it is left out. */
        const char *first = memchr(text, '\n', end);
        CHECK(memchr(text, '\r', end) == first - 1);
        CHECK(!head.reason.length || head.reason.data + head.reason.length == first - 1);
        check_fields(&head.fields, text, end);
    }
    arena_free(&arena);
    return 0;
}
