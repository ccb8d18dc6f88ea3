/* claims: asked by the schemes whose credentials are tokens. */
#include "worker/request/claims.h"

#include "shared/base/buf.h"

enum { VALUES_MAX = 4096 };

bool claims_read(struct claims *claims, struct str text, struct arena *arena)
{
    /* No value takes less than two bytes, but the last. */
    size_t most = text.length / 2 + 1;
    unsigned size = most < VALUES_MAX ? (unsigned)most : VALUES_MAX;
    struct json_value *values = arena_array(arena, size, sizeof *values);
    claims->arena = arena;
    return json_scan(&claims->json, text, values, size) && values[0].type == JSON_TYPE_OBJECT;
}

const struct json_value *claims_find(const struct claims *claims, struct str path)
{
    return json_find(&claims->json, claims->json.values, path);
}

static struct str join(const struct claims *claims, const struct json_value *array)
{
    const struct json *json = &claims->json;
    size_t size = array->length + 1; /* quotes and commas are more than the spaces */
    struct buf out = buf_on(arena_alloc(claims->arena, size), size);
    for (const struct json_value *item = json_first(json, array); item; item = json_next(json, array, item)) {
        struct str text = json_text(json, item, claims->arena);
        if (!text.data)
            continue;
        if (out.length)
            buf_add(&out, " ", 1);
        buf_str_add(&out, text);
    }
    return buf_str(&out);
}

struct str claims_text(const struct claims *claims, const struct json_value *value)
{
    switch (value ? (enum json_type)value->type : JSON_TYPE_NULL) {
    case JSON_TYPE_STRING:
        return json_text(&claims->json, value, claims->arena);
    case JSON_TYPE_ARRAY:
        return join(claims, value);
    case JSON_TYPE_NUMBER:
    case JSON_TYPE_TRUE:
    case JSON_TYPE_FALSE:
        return json_raw(&claims->json, value);
    case JSON_TYPE_NULL:
    case JSON_TYPE_OBJECT:
        break;
    }
    return (struct str){NULL, 0};
}

bool claims_has(const struct claims *claims, const struct json_value *value, struct str text)
{
    const struct json *json = &claims->json;
    if (!value || value->type != JSON_TYPE_ARRAY)
        return json_says(json, value, text);
    for (const struct json_value *item = json_first(json, value); item; item = json_next(json, value, item))
        if (json_says(json, item, text))
            return true;
    return false;
}

bool claims_has_word(const struct claims *claims, const struct json_value *value, struct str word)
{
    if (!value || value->type != JSON_TYPE_STRING)
        return claims_has(claims, value, word);
    struct str words = json_text(&claims->json, value, claims->arena);
    while (words.length)
        if (str_eq(str_cut(&words, ' '), word))
            return true;
    return false;
}
