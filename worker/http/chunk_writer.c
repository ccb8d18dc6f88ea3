/* chunk_writer: a body in chunks. Called by the HTTP/1 server's and client's side. */
#include "worker/http/chunk_writer.h"

void chunk_send(struct connection *connection, const char *data, size_t length)
{
    char line[24];
    struct buf size = buf_on(line, sizeof line);
    if (length == 0)
        return;
    buf_hex(&size, length, 0);
    BUF_LITERAL(&size, "\r\n");
    connection_send(connection, size.data, size.length);
    connection_send(connection, data, length);
    connection_send(connection, "\r\n", 2);
}

void chunk_send_end(struct connection *connection, const struct fields *trailers)
{
    if (!trailers) {
        connection_send(connection, "0\r\n\r\n", 5);
        return;
    }
    struct buf out = connection_reserve(connection, NET_READ);
    BUF_LITERAL(&out, "0\r\n");
    fields_write(trailers, 0, &out);
    BUF_LITERAL(&out, "\r\n");
    connection_commit(connection, &out); /* what the decoder takes fits */
}
