/* chunk_writer: a body in chunks onto a connection (RFC 9112, section 7.1). */
#ifndef HTTP_CHUNK_WRITER_H
#define HTTP_CHUNK_WRITER_H

#include "worker/http/message.h"
#include "worker/net/connection.h"

/* One chunk; nothing for a length of 0, which would end the body. */
void chunk_send(struct connection *connection, const char *data, size_t length);

/* The last chunk and the trailer section; `trailers` may be NULL. */
void chunk_send_end(struct connection *connection, const struct fields *trailers);

#endif
