/* structured: Structured Field Values (RFC 9651): values of header fields that have one grammar. A reader takes what it reads off the
 * front of a text, in place; nothing is allocated.
 *
 * Strict where RFC 9651 lets a parser choose: base64 is padded, its spare bits are 0; and a key that is there twice is
 * refused, where the last one would win, as others might read it otherwise.
 */
#ifndef CODEC_STRUCTURED_H
#define CODEC_STRUCTURED_H

#include "shared/base/buf.h"

enum structured_type {
    STRUCTURED_INTEGER,
    STRUCTURED_DECIMAL,
    STRUCTURED_STRING,
    STRUCTURED_TOKEN,
    STRUCTURED_BYTES,
    STRUCTURED_BOOLEAN,
    STRUCTURED_DATE,
    STRUCTURED_DISPLAY, /* a string with percent-encoded UTF-8 */
};

/* A bare item. */
struct structured {
    enum structured_type type;
    int64_t number;  /* of an integer and a date; of a decimal in thousandths; of a boolean 0 or 1 */
    struct str text; /* of the others: as it stands, without its quotes or colons, escapes still in it */
};

enum structured_step { STRUCTURED_END, STRUCTURED_MORE, STRUCTURED_BAD };

/* One bare item (section 4.2.3.1). */
bool structured_item(struct str *rest, struct structured *item);

/* The next parameter of what was read last (section 4.2.3.2); without a value it is true. END: none follows. */
enum structured_step structured_parameter(struct str *rest, struct str *key, struct structured *value);

/* The next item of a list in parentheses, whose parameters follow (section 4.2.1.2). `*first` is true at its begin, where its
 * `(` still stands. END: its `)` was taken; the parameters of the list follow. */
enum structured_step structured_inner(struct str *rest, bool *first, struct structured *item);

/* The next member of a dictionary (section 4.2.2), `*first` true at its begin: its key, and its value with all parameters as it
 * stands; of a value that is only said to be true that is parameters alone, or empty. */
enum structured_step structured_member(struct str *rest, bool *first, struct str *key, struct str *value);

/* Takes an item or a list in parentheses, with its parameters, off the front, and appends it to `out` as section 4.1 writes it
 * (out NULL: not). A member's value that is empty or begins with a `;` is a true. False: it is none. */
bool structured_canonical(struct str *rest, struct buf *out);

/* The same of a whole dictionary, with nothing behind it. */
bool structured_canonical_dictionary(struct str text, struct buf *out);

/* The value of a dictionary's key; NULL data: it has none, or isn't one as a whole. */
struct str structured_find(struct str dictionary, struct str key);

/* Writes bytes as an item, base64 between colons (section 4.1.8). */
void structured_add_bytes(struct str bytes, struct buf *out);

/* Of STRUCTURED_BYTES: what the base64 stands for. -1: it doesn't fit. */
ptrdiff_t structured_bytes(struct str base64, unsigned char *out, size_t size);

#endif
