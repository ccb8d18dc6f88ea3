/* claims: what a token says of whom it is for, as JSON (RFC 7519, section 4): read once, asked by paths of names with dots between. */
#ifndef REQUEST_CLAIMS_H
#define REQUEST_CLAIMS_H

#include "worker/codec/json.h"

struct claims {
    struct arena *arena; /* that values are made in */
    struct json json;
};

/* False: it isn't an object of JSON. The text must live as long as `claims`. */
bool claims_read(struct claims *claims, struct str text, struct arena *arena);

/* NULL: there is none. */
const struct json_value *claims_find(const struct claims *claims, struct str path);

/* As a text: a string without its escapes; of an array those that it has, with spaces between; a number, true and false as they
 * stand. NULL data: it has none, as an object or null, or NULL. */
struct str claims_text(const struct claims *claims, const struct json_value *value);

/* Whether a claim is this string, or an array that has it. */
bool claims_has(const struct claims *claims, const struct json_value *value, struct str text);

/* The same, of a string of words with spaces between (scope: RFC 8693, section 4.2), or an array. */
bool claims_has_word(const struct claims *claims, const struct json_value *value, struct str word);

#endif
