/* field_line: one line of a header or trailer section, from bytes to a field (RFC 9112, section 5). Pure, strict, and hot:
 * every line of every message goes through it once.
 */
#ifndef HTTP_FIELD_LINE_H
#define HTTP_FIELD_LINE_H

#include "worker/http/message.h"

/* Reads the line at `at`. [at, end) must end with CRLF. Returns what follows the line's CRLF; NULL: malformed, `*why`
 * says how. Name and value point into the line; the value has no space around it. */
const char *field_line_read(const char *at, const char *end, struct field *field, const char **why);

/* The first control (not a tab; DEL is one) in [at, end), or `end`. */
const char *field_control(const char *at, const char *end);

#endif
