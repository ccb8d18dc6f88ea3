/* http2_head: the head of an HTTP/2 request, or of an answer, from fields to the common form; as strict as parse.c is with
 * HTTP/1 (RFC 9113, section 8).
 *
 * Fields come one by one, as the library decodes them, and are copied to the arena as HTTP/1 lines, so that they can go on to
 * an HTTP/1 upstream in one piece. Pure. A first error is kept; what follows is only counted.
 */
#ifndef HTTP_HTTP2_HEAD_H
#define HTTP_HTTP2_HEAD_H

#include "worker/http/message.h"

enum http2_pseudo {
    PSEUDO_METHOD,
    PSEUDO_SCHEME,
    PSEUDO_AUTHORITY,
    PSEUDO_PATH,
    PSEUDO_PROTOCOL,
    PSEUDO_STATUS,
    PSEUDO_COUNT
};

struct http2_limits {
    uint32_t max_line, max_head, max_fields; /* as of HTTP/1; the size is that of RFC 9113, section 6.5.2 */
};

struct http2_head {
    struct arena *arena;
    struct fields *fields;
    const struct http2_limits *limits;
    struct str pseudo[PSEUDO_COUNT]; /* NULL data: it didn't come */
    char *text, *text_end;           /* room for lines */
    uint64_t size;                   /* name, value and 32 for each field */
    unsigned count;
    int cookie; /* the first of the Cookie fields, or -1; `cookies` of them */
    unsigned cookies;
    bool trailers; /* a trailer section: no pseudo-fields, and not what frames or routes a message */
    bool answer;   /* of an answer: :status alone */
    bool regular;  /* a field that is not a pseudo-field came */
    /* What is wrong. */
    unsigned status; /* of the answer: 400, 414, 417, 431, 501; 0: nothing */
    bool malformed;  /* RFC 9113, section 8.1.1: the stream ends with PROTOCOL_ERROR, whatever is answered */
    const char *detail; /* in words */
};

/* Begins a head, or a trailer section. `fields` is emptied. */
void http2_head_begin(struct http2_head *reading, struct arena *arena, struct fields *fields,
                      const struct http2_limits *limits, bool trailers);

/* Begins the head of an answer; http2_head_end_answer() ends it. */
void http2_head_begin_answer(struct http2_head *reading, struct arena *arena, struct fields *fields,
                             const struct http2_limits *limits);

/* A field as it was decoded. */
void http2_head_field(struct http2_head *reading, struct str name, struct str value);

/* Something is wrong, if nothing was before. Returns false. */
bool http2_head_deny(struct http2_head *reading, unsigned status, bool malformed, const char *detail);

/* The head is complete. `last`: no body follows. `scheme`: of the connection. `head` gets what was understood, also when
 * something is wrong; its fields are those of http2_head_begin(). True: good. */
bool http2_head_end(struct http2_head *reading, struct request_head *head, struct str scheme, bool last);

/* The same of an answer, interim ones too, to a request with `method`. */
bool http2_head_end_answer(struct http2_head *reading, struct response_head *head, enum method method,
                           bool last);

#endif
