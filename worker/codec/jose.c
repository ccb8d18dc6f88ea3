/* jose: signed tokens in compact form (JWS, RFC 7515). Called by what takes tokens from clients. */
#include "worker/codec/jose.h"

#include "worker/codec/base64.h"
#include "worker/codec/json.h"

enum { HEADER_VALUES = 64 };

/* One part's bytes; NULL data: it is not base64url. */
static struct str decode(struct str part, struct arena *arena)
{
    size_t size = BASE64_DECODED(part.length);
    unsigned char *bytes = arena_alloc(arena, size ? size : 1);
    ptrdiff_t length = base64url_decode(part, bytes, size);
    return length < 0 ? (struct str){NULL, 0} : (struct str){(const char *)bytes, (size_t)length};
}

/* A member that is a string if it is there. False: it is something else. */
static bool read_text(const struct json *json, struct str name, struct arena *arena, struct str *text)
{
    const struct json_value *value = json_member(json, json->values, name);
    *text = json_text(json, value, arena);
    return !value || text->data;
}

static enum jose_result read_header(struct jose *jose, struct str header, struct arena *arena)
{
    struct json_value values[HEADER_VALUES];
    struct json json;
    struct str alg;
    if (!header.data || !json_scan(&json, header, values, HEADER_VALUES) ||
        values[0].type != JSON_TYPE_OBJECT || !read_text(&json, STR("alg"), arena, &alg) || !alg.data ||
        !read_text(&json, STR("kid"), arena, &jose->kid) ||
        !read_text(&json, STR("typ"), arena, &jose->typ) || !read_text(&json, STR("cty"), arena, &jose->cty))
        return JOSE_MALFORMED;
    if (json_member(&json, values, STR("crit")) || json_member(&json, values, STR("b64"))) /* RFC 7797 */
        return JOSE_CRITICAL;
    jose->algorithm = jose_algorithm(alg);
    return jose->algorithm < 0 ? JOSE_ALGORITHM : JOSE_GOOD;
}

enum jose_result jose_read(struct jose *jose, struct str token, struct arena *arena)
{
    *jose = (struct jose){.algorithm = -1};
    if (token.length > JOSE_TOKEN_MAX)
        return JOSE_MALFORMED;
    ptrdiff_t first = str_index(token, '.');
    ptrdiff_t second = first < 0 ? -1 : str_index(str_from(token, (size_t)first + 1), '.');
    if (second < 0)
        return JOSE_MALFORMED;
    second += first + 1;
    struct str header = {token.data, (size_t)first};
    struct str payload = {token.data + first + 1, (size_t)(second - first - 1)};
    struct str signature = str_from(token, (size_t)second + 1); /* a dot more is no letter of base64url */
    jose->signed_text = (struct str){token.data, (size_t)second};
    enum jose_result result = read_header(jose, decode(header, arena), arena);
    if (result != JOSE_GOOD)
        return result;
    jose->payload = decode(payload, arena);
    signature = decode(signature, arena);
    jose->signature = (const unsigned char *)signature.data;
    jose->signature_length = signature.length;
    return jose->payload.data && signature.length ? JOSE_GOOD : JOSE_MALFORMED;
}

enum jose_result jose_verify(const struct jose *jose, const struct jose_keys *keys,
                             const struct jose_key **used)
{
    enum jose_result result = JOSE_NO_KEY;
    for (unsigned i = 0; i < keys->count; i++) {
        const struct jose_key *key = keys->keys[i];
        if (!jose_key_is(key, jose->kid))
            continue;
        if (jose_key_algorithm(key) != jose->algorithm) {
            if (result == JOSE_NO_KEY)
                result = JOSE_ALGORITHM;
            continue;
        }
        if (jose_key_verify(key, jose->signed_text, jose->signature, jose->signature_length)) {
            *used = key;
            return JOSE_GOOD;
        }
        result = JOSE_FORGED;
    }
    return result;
}
