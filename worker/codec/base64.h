/* base64: the two alphabets of RFC 4648, strict: no line ends, no other bytes, spare bits are 0, so that a text stands for its
 * bytes alone. Sections 4 (with padding) and 5 (for URLs; without, as RFC 7515 has it). Nothing is allocated.
 */
#ifndef CODEC_BASE64_H
#define CODEC_BASE64_H

#include "shared/base/str.h"

/* Room that is enough. */
#define BASE64_ENCODED(length) (((length) + 2) / 3 * 4)
#define BASE64_DECODED(length) (((length) + 3) / 4 * 3)

/* The six bits of a character of section 4; -1: it is none. */
int base64_value(char c);

/* Whether base64_decode() takes a text, with room enough. */
bool base64_is(struct str text);

/* How many bytes were written to `out`, which has room for `size`; -1: it is not base64, or doesn't fit. */
ptrdiff_t base64_decode(struct str text, unsigned char *out, size_t size);
ptrdiff_t base64url_decode(struct str text, unsigned char *out, size_t size);

/* Writes BASE64_ENCODED() at most; returns the length. */
size_t base64_encode(struct str bytes, char *out);
size_t base64url_encode(struct str bytes, char *out);

#endif
