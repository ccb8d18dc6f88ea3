/* Accept: whatever the bytes, ranges come to an end, lie inside the field, and read the same alone. */
#include "tests/fuzz/fuzz.h"

#include "worker/codec/accept.h"

static bool inside(struct str text, struct str whole)
{
    return text.data >= whole.data && text.data + text.length <= whole.data + whole.length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size ? size : 1); /* so that reading behind it is seen */
    CHECK(copy);
    memcpy(copy, data, size);
    const struct str field = {copy, size};
    struct str rest = field;
    struct accept_range range;
    size_t before = size + 1;
    while (accept_next(&rest, &range)) {
        CHECK(inside(range.type, field) && str_index(range.type, '/') > 0);
        CHECK(!range.version.data || inside(range.version, field));
        CHECK(range.quality <= ACCEPT_WHOLE);
        CHECK(rest.length < before);
        before = rest.length;
        if (range.version.length)
            CHECK(accept_names(&range, range.version));
        CHECK(!accept_names(&range, STR("")));
        accept_names(&range, STR("2"));
        accept_names(&range, STR("beta"));
        struct str alone = range.type;
        struct accept_range again;
        CHECK(accept_next(&alone, &again));
        CHECK(str_eq(again.type, range.type) && again.quality == ACCEPT_WHOLE);
    }
    free(copy);
    return 0;
}
