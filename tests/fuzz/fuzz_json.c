/* JSON: whatever the bytes, the index lies inside them; each value of a good text is one by itself, and each member is found by its
 * name. */
#include "tests/fuzz/fuzz.h"

#include "worker/codec/json.h"

enum { VALUES = 256 };

static void check_inside(const struct json *json, const struct json_value *value, struct arena *arena)
{
    struct json_value again[VALUES];
    struct json own;
    struct str raw = json_raw(json, value);
    CHECK(value->begin + (size_t)value->length <= json->text.length);
    CHECK(value->name_begin + (size_t)value->name_length <= json->text.length);
    CHECK(value->next <= json->count);
    if (value->type == JSON_TYPE_STRING) {
        struct str text = json_text(json, value, arena);
        CHECK(text.data && text.length <= raw.length && json_says(json, value, text));
        raw = (struct str){raw.data - 1, raw.length + 2};
    }
    CHECK(json_scan(&own, raw, again, VALUES));
    CHECK(again[0].type == value->type && own.count == value->next - (unsigned)(value - json->values));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct json_value values[VALUES];
    static struct arena *arena;
    struct json json;
    if (!arena)
        arena = arena_new(1 << 16);
    arena_reset(arena);
    char *copy = malloc(size ? size : 1); /* so that reading behind it is seen */
    CHECK(copy);
    memcpy(copy, data, size);
    if (json_scan(&json, (struct str){copy, size}, values, VALUES)) {
        CHECK(json.count >= 1 && json.count <= VALUES && values[0].next == json.count);
        for (unsigned i = 0; i < json.count; i++) {
            check_inside(&json, &values[i], arena);
            const struct json_value *value =
                values[i].type >= JSON_TYPE_ARRAY ? json_first(&json, &values[i]) : NULL;
            for (; value; value = json_next(&json, &values[i], value))
                if (values[i].type == JSON_TYPE_OBJECT && !value->name_escaped)
                    CHECK(json_member(&json, &values[i],
                                      (struct str){copy + value->name_begin, value->name_length}) == value);
        }
    } else {
        CHECK(json.wrong && json.wrong_at <= size);
    }
    free(copy);
    return 0;
}
