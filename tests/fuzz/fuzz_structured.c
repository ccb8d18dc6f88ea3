/* Structured fields: whatever the bytes, reading ends inside them, and the canonical form of what is good is its own canonical
 * form. */
#include "tests/fuzz/fuzz.h"

#include "worker/codec/structured.h"

enum { OUT_MAX = 1 << 16 };

static char once[OUT_MAX], twice[OUT_MAX];

static void check_item(struct str text)
{
    struct buf out = buf_on(once, sizeof once), again = buf_on(twice, sizeof twice);
    struct str rest = text;
    if (!structured_canonical(&rest, &out) || out.overflow)
        return;
    CHECK(rest.data >= text.data && rest.data + rest.length == text.data + text.length);
    struct str made = buf_str(&out);
    CHECK(structured_canonical(&made, &again) && made.length == 0);
    CHECK(str_eq(buf_str(&out), buf_str(&again)));
}

static void check_dictionary(struct str text)
{
    struct buf out = buf_on(once, sizeof once), again = buf_on(twice, sizeof twice);
    if (!structured_canonical_dictionary(text, &out) || out.overflow)
        return;
    CHECK(structured_canonical_dictionary(buf_str(&out), &again));
    CHECK(str_eq(buf_str(&out), buf_str(&again)));
    struct str rest = text, key, value;
    bool first = true;
    while (structured_member(&rest, &first, &key, &value) == STRUCTURED_MORE)
        CHECK(str_eq(structured_find(text, key), value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned char bytes[OUT_MAX];
    char *copy = malloc(size ? size : 1); /* so that reading behind it is seen */
    CHECK(copy);
    memcpy(copy, data, size);
    struct str text = {copy, size};
    check_item(text);
    check_dictionary(text);
    ptrdiff_t length = structured_bytes(text, bytes, sizeof bytes);
    CHECK(length <= (ptrdiff_t)(size / 4 * 3));
    free(copy);
    return 0;
}
