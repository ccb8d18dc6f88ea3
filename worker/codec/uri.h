/* uri: the request target's path, brought to one form (RFC 3986, section 6.2.2). Pure. */
#ifndef CODEC_URI_H
#define CODEC_URI_H

#include "shared/base/str.h"

enum uri_result {
    URI_OK,
    URI_BAD_ESCAPE,    /* % without two hexadecimal digits */
    URI_BAD_BYTE,      /* a control, a space, a byte from 0x80, or one of " < > [ ] ^ { | } ` or backslash */
    URI_ENCODED,       /* %2F, %5C or %00: read differently by different programs */
    URI_ABOVE_ROOT,    /* .. that leaves the root */
    URI_DOT_PARAMETER, /* a segment ".;…" or "..;…": some drop the parameter and then resolve the dots */
    URI_NO_SLASH,      /* a path that doesn't start with / */
    URI_TOO_LONG,
};

/* The normal form of `path` (up to `?`): unreserved characters decoded, hexadecimal digits in upper case, dot
 * segments resolved, slashes merged. When `path` is normal already, `*normal` is `path` itself and nothing is
 * copied; else it stands in `out` of `size` bytes (the path's length is enough). */
enum uri_result uri_path_normal(struct str path, char *out, size_t size, struct str *normal);

/* What is wrong, in words; "" for URI_OK. */
const char *uri_result_text(enum uri_result result);

/* A query as it may be sent on: bytes that browsers send raw (" < > [ ] \ ^ { | } `) percent-encoded, others kept.
 * A control, a space or a byte from 0x80 is URI_BAD_BYTE. `*normal` as above; `out` needs three times the length. */
enum uri_result uri_query_normal(struct str query, char *out, size_t size, struct str *normal);

enum uri_part { URI_SEGMENT, URI_REST, URI_QUERY_VALUE };

/* Appends `value` so that it can't leave the part it is put in: everything but unreserved is encoded (a REST keeps
 * its slashes). Needs three times the length; returns the length, or -1 if it doesn't fit. A segment "." or ".." is
 * -1 too: no encoding keeps a peer from resolving it. */
ptrdiff_t uri_encode(struct str value, enum uri_part part, char *out, size_t size);

/* Percent-decodes (a query value: + is a space too). Returns the length, or -1 for a bad escape or too little room;
 * the value's length is enough. */
ptrdiff_t uri_decode(struct str value, bool query, char *out, size_t size);

/* The raw value of parameter `name` in a query; false: it is not there. */
bool uri_query_value(struct str query, struct str name, struct str *value);

/* The same for each of several: `query` becomes what follows it. */
bool uri_query_next(struct str *query, struct str name, struct str *value);

#endif
