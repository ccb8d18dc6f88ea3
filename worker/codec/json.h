/* json: a strict scanner of JSON texts (RFC 8259). It validates a text as a whole and makes an index of its values, which stay where
 * they are: nothing is copied, nothing is allocated; the index has the caller's memory, which bounds it.
 *
 * Strict where readers differ, as what is checked here is read by others behind: UTF-8 without a mark of byte order, no member
 * of an object twice ("a" and "\u0061" are the same), no half of a surrogate pair, no deeper than JSON_DEPTH_MAX.
 *
 * None of its names is one of jansson, which other parts use.
 */
#ifndef CODEC_JSON_H
#define CODEC_JSON_H

#include "shared/base/arena.h"

enum {
    JSON_DEPTH_MAX = 64,
    JSON_MEMBERS_MAX = 1024, /* of one object: each is compared with each */
};

enum json_type {
    JSON_TYPE_NULL,
    JSON_TYPE_FALSE,
    JSON_TYPE_TRUE,
    JSON_TYPE_NUMBER,
    JSON_TYPE_STRING,
    JSON_TYPE_ARRAY,
    JSON_TYPE_OBJECT
};

/* A value: where it stands in the text. Those that a value holds follow it. */
struct json_value {
    uint32_t begin, length;           /* of a string without its quotes */
    uint32_t name_begin, name_length; /* of the member that it is; 0, 0 in an array */
    uint32_t next;                    /* the index behind it and all that it holds */
    uint8_t type;                     /* enum json_type */
    bool escaped, name_escaped;       /* there are escapes in it */
};

struct json {
    struct str text;
    const struct json_value *values; /* the first is the text's own */
    unsigned count;
    const char *wrong; /* of a text that isn't JSON: what, in words, and where */
    size_t wrong_at;
};

/* Indexes a text in `values`. False: it isn't JSON as said above, or has more than `size` values. */
bool json_scan(struct json *json, struct str text, struct json_value *values, unsigned size);

/* What a container holds, one after the other; NULL: no more. */
const struct json_value *json_first(const struct json *json, const struct json_value *container);
const struct json_value *json_next(const struct json *json, const struct json_value *container,
                                   const struct json_value *value);

/* An object's member; NULL: it has none of that name, or is no object, or NULL. */
const struct json_value *json_member(const struct json *json, const struct json_value *object,
                                     struct str name);

/* By a path of names with dots between them. Names have dots themselves ("https://example.com/roles"): the longest that there
 * is goes first. */
const struct json_value *json_find(const struct json *json, const struct json_value *object, struct str path);

/* As it stands in the text. */
static inline struct str json_raw(const struct json *json, const struct json_value *value)
{
    return (struct str){json->text.data + value->begin, value->length};
}

/* A string without its escapes: in place, or in the arena when it has some. NULL data: it is none, or NULL. */
struct str json_text(const struct json *json, const struct json_value *value, struct arena *arena);

/* Whether a value is a string that says this. */
bool json_says(const struct json *json, const struct json_value *value, struct str text);

/* A number without fraction and exponent, of 18 digits at most. */
bool json_whole(const struct json *json, const struct json_value *value, int64_t *number);

#endif
