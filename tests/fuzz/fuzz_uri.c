/* Paths and queries: whatever the bytes, what is taken is in normal form, and normal form is a fixed point. */
#include "tests/fuzz/fuzz.h"

#include "worker/codec/uri.h"

static bool has(struct str text, const char *part)
{
    return memmem(text.data, text.length, part, strlen(part)) != NULL;
}

static void fuzz_path(struct str input, char *out)
{
    struct str normal, again;
    enum uri_result result = uri_path_normal(input, out, input.length, &normal);
    CHECK(uri_result_text(result)[0] || result == URI_OK);
    CHECK(result != URI_TOO_LONG); /* the path's length is enough */
    if (result != URI_OK)
        return;
    CHECK(normal.length > 0 && normal.length <= input.length && normal.data[0] == '/');
    CHECK(!has(normal, "//") && !has(normal, "/./") && !has(normal, "/../"));
    CHECK(!str_ends(normal, STR("/.")) && !str_ends(normal, STR("/..")));
    CHECK(!has(normal, "/.;") && !has(normal, "/..;"));
    CHECK(!has(normal, "%2F") && !has(normal, "%5C") && !has(normal, "%00") && !has(normal, "%2E"));
    CHECK(uri_path_normal(normal, NULL, 0, &again) == URI_OK);
    CHECK(again.data == normal.data && again.length == normal.length);
}

static void fuzz_query(struct str input, char *out)
{
    struct str normal, again, value;
    if (uri_query_normal(input, out, 3 * input.length, &normal) == URI_OK) {
        CHECK(uri_query_normal(normal, NULL, 0, &again) == URI_OK);
        CHECK(again.data == normal.data && again.length == normal.length);
    }
    if (uri_query_value(input, STR("id"), &value))
        CHECK(value.data >= input.data && value.data + value.length <= input.data + input.length);
}

static void fuzz_encode(struct str input, enum uri_part part, char *out)
{
    ptrdiff_t length = uri_encode(input, part, out, 3 * input.length);
    if (length < 0) {
        CHECK(part != URI_QUERY_VALUE && has(input, "."));
        return;
    }
    struct str encoded = {out, (size_t)length};
    CHECK(part == URI_REST || str_index(encoded, '/') < 0);
    CHECK(str_index(encoded, '?') < 0 && str_index(encoded, '&') < 0 && str_index(encoded, '\r') < 0);
    char *back = malloc(input.length + 1);
    CHECK(back);
    CHECK(uri_decode(encoded, part == URI_QUERY_VALUE, back, input.length) == (ptrdiff_t)input.length);
    CHECK(str_eq((struct str){back, input.length}, input));
    free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = {(const char *)data, size};
    char *path = malloc(size ? size : 1), *out = malloc(3 * size + 1);
    CHECK(path && out);
    fuzz_path(input, path);
    fuzz_query(input, out);
    fuzz_encode(input, URI_SEGMENT, out);
    fuzz_encode(input, URI_REST, out);
    fuzz_encode(input, URI_QUERY_VALUE, out);
    uri_decode(input, true, path, size);
    free(path);
    free(out);
    return 0;
}
