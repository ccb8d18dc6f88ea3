/* grpc_web: how gRPC-Web (doc/PROTOCOL-WEB.md of gRPC) differs from gRPC in a body: trailers are a last frame of it, and
 * the "text" form is base64. Pure, and it takes bytes in whatever pieces they come.
 */
#ifndef CODEC_GRPC_WEB_H
#define CODEC_GRPC_WEB_H

#include "shared/base/buf.h"

/* --- the text form (RFC 4648, section 4) --- */

/* A body on its way in. Groups of four may be cut anywhere; each sender's piece may end with padding, so that it stands in
 * the middle of the body too. All zero at the beginning. */
struct grpc_web_decoder {
    uint8_t count;   /* of the group's characters so far */
    uint8_t padding; /* those of them that are '=' */
    uint32_t bits;
    bool bad;
};

/* Decodes the next piece to `out`, which has room for GRPC_WEB_DECODED(length). Returns the number of bytes; -1: it is not
 * base64, whatever follows. */
ptrdiff_t grpc_web_decode(struct grpc_web_decoder *decoder, const char *data, size_t length, char *out);

/* Whether the body may end here: no group is begun. */
bool grpc_web_decode_complete(const struct grpc_web_decoder *decoder);

#define GRPC_WEB_DECODED(length) (((length) + 3) / 4 * 3)

/* Encodes a piece, with its own padding, as it goes out at once; `out` has room for GRPC_WEB_ENCODED(length). Returns that. */
size_t grpc_web_encode(const char *data, size_t length, char *out);

#define GRPC_WEB_ENCODED(length) (((length) + 2) / 3 * 4)

/* --- the frame of trailers --- */

enum { GRPC_WEB_FRAME_HEAD = 5, GRPC_WEB_TRAILERS = 0x80 };

/* Begins a frame in `out`, adds a field, its name in small letters, and ends it. */
void grpc_web_trailers_begin(struct buf *out);
void grpc_web_trailers_add(struct buf *out, struct str name, struct str value);
void grpc_web_trailers_end(struct buf *out);

#endif
