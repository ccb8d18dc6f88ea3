/* parse: the head of an HTTP/1 message, from bytes to the common form; strict (RFC 9112).
 *
 * http-parser reads the start line, this file judges what it lets pass and reads the fields (field_line.h): one reading
 * of every message, or none. Pure: a head is parsed when all of it is there. Texts point into the bytes given.
 */
#ifndef HTTP_PARSE_H
#define HTTP_PARSE_H

#include "worker/http/message.h"

/* Where the search for the end of a head stands, over several reads. */
struct head_scan {
    uint32_t scanned; /* bytes that were looked at: a whole number of lines */
    uint32_t lines;   /* of the head so far, its first one included */
};

enum head_found { HEAD_MORE, HEAD_WHOLE, HEAD_MALFORMED };

/* Looks for the empty line. WHOLE: `*end` is the head's length with that line. MALFORMED: a line doesn't end with CRLF,
 * or begins with a space (obs-fold, RFC 9112, section 5.2): no end could be trusted. */
enum head_found head_find_end(struct head_scan *scan, const char *data, size_t length, size_t *end);

/* How a body is delimited on the connection (RFC 9112, section 6.3). */
enum framing { FRAMING_NONE, FRAMING_LENGTH, FRAMING_CHUNKED, FRAMING_EOF };

struct parse_result {
    enum framing framing;
    unsigned status;    /* of the answer when it is refused: 400, 417, 501, 505 */
    const char *detail; /* what is wrong, in words; NULL: nothing */
};

/* A request's head of `length` bytes, found by head_find_end() with so many lines. Fields lie in `arena`. True: good. */
bool parse_request(const char *data, size_t length, unsigned lines, struct arena *arena,
                   struct request_head *head, struct parse_result *result);

/* A response's head, of the answer to a request with `method`. */
bool parse_response(const char *data, size_t length, unsigned lines, enum method method, struct arena *arena,
                    struct response_head *head, struct parse_result *result);

/* What may stand in a target; the path and the query are judged by codec/uri. No `#`: a fragment isn't sent. */
bool target_is_good(struct str target);

/* The lines of a trailer section, which the chunked decoder has found well-formed, as fields. `request`: of a request. */
void parse_trailers(struct str lines, bool request, struct arena *arena, struct fields *trailers);

#endif
