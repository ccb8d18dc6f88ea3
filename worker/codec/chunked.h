/* chunked: the decoder of the chunked transfer coding (RFC 9112, section 7.1). Pure, strict, and it takes bytes in
 * whatever pieces they come.
 *
 * Refused: a bare CR or LF, spaces around a size, a size over 16 digits or over 2^63 - 1, an extension over 256
 * bytes or with control characters, obs-fold, a malformed trailer field, trailers over the bound, and trailer fields
 * that belong to framing, routing or authentication (Content-Length, Transfer-Encoding, Host, Trailer, TE,
 * Connection, Upgrade, Authorization, Content-Encoding, Content-Type, Content-Range …; section 6.5.1 of RFC 9110).
 */
#ifndef CODEC_CHUNKED_H
#define CODEC_CHUNKED_H

#include "shared/base/str.h"

enum { CHUNKED_TRAILER_MAX = 8192 };

enum chunked_result {
    CHUNKED_MORE,     /* all input used, the end is not reached */
    CHUNKED_DATA,     /* `*data` is a piece of the body, inside the input */
    CHUNKED_TRAILERS, /* a trailer section begins: chunked_collect(), then go on */
    CHUNKED_END, /* the last chunk and its trailers were read; what follows in the input is the next message's */
    CHUNKED_ERROR, /* malformed; chunked_error() says what */
};

struct chunked {
    uint8_t state;
    uint8_t digits;     /* of the chunk size so far */
    uint16_t extension; /* bytes of the chunk extension so far */
    uint16_t trailer;   /* bytes of trailers so far */
    uint16_t line;      /* where the trailer's present line began */
    uint64_t left;      /* of the present chunk */
    const char *error;
    char *trailers; /* where the trailer section is collected; NULL until there is one */
};

void chunked_init(struct chunked *chunked);

/* Takes bytes from the front of `*input`, which it shortens. To be called until it says MORE, END or ERROR. */
enum chunked_result chunked_next(struct chunked *chunked, struct str *input, struct str *data);

/* After TRAILERS: CHUNKED_TRAILER_MAX bytes for the section, which must live until its end. */
void chunked_collect(struct chunked *chunked, char *memory);

/* After END: the trailer section's lines as they came, "name: value\r\n…", without the last empty line;
 * NULL data: there were none. */
struct str chunked_trailers(const struct chunked *chunked);

const char *chunked_error(const struct chunked *chunked);

/* Whether a field means something before the body, or to this connection only (RFC 9110, section 6.5.1): not among trailers. */
bool chunked_trailer_forbidden(struct str name);

#endif
