/* http2_stream: one stream of a session, as the server's and the client's side share it: its body out and its body in,
 * each with the back-pressure of its owner.
 *
 * Out: a piece that can't go at once is copied; the owner is told to stop, and when to go on. In: what the owner doesn't
 * want yet is held, and the window is only opened for what it took (RFC 9113, section 5.2). It is a part of the side's own
 * stream, whose memory must last until the library has closed the stream: fields that were submitted are read when they are
 * sent.
 */
#ifndef HTTP_HTTP2_STREAM_H
#define HTTP_HTTP2_STREAM_H

#include "worker/http/http2_session.h"
#include "worker/http/message.h"

struct http2_piece;
struct http2_stream;

/* None is called from within write() or read(); on_data and on_end may be called from within the library. The stream may be
 * closed in any of them; its memory must last until the event has returned, but for on_sent, which is the last. */
struct http2_stream_events {
    void (*on_data)(struct http2_stream *stream, const char *data, size_t length);
    /* All that came was handed over, and the end of it came (`http2_stream_received_end()`). Once. */
    void (*on_end)(struct http2_stream *stream);
    void (*on_blocked)(struct http2_stream *stream); /* a window or the socket is full: stop producing */
    void (*on_drained)(struct http2_stream *stream); /* all that was kept is with the connection */
    void (*on_sent)(struct http2_stream *stream);    /* the kernel has all of it, to its END_STREAM */
};

struct http2_stream {
    struct list link;   /* in session->streams */
    struct list touch;  /* in session->touched, or nowhere */
    struct list resume; /* in session->resumed, or nowhere */
    struct http2_session *session;
    const struct http2_stream_events *events;
    int32_t id; /* 0: not known yet */
    /* Out. */
    struct http2_piece *out, **out_end; /* copies */
    struct str direct;                  /* the owner's bytes, while write() runs */
    uint64_t pending;                   /* bytes of both */
    uint64_t sent;                      /* bytes of frames that went to the connection: heads and bodies */
    const struct fields *trailers;      /* to follow the body; NULL: none */
    bool last_written : 1;              /* the owner has said that the body is complete */
    bool end_sent : 1;                  /* END_STREAM went to the connection */
    bool blocked : 1;                   /* the owner was told to stop */
    bool waits : 1;                     /* the library doesn't ask for more until it is told */
    /* In. */
    bool reading : 1; /* the owner wants on_data */
    bool end_received : 1;
    bool end_told : 1;
    struct http2_piece *in, **in_end; /* held */
    uint64_t held;                    /* bytes of them */
};

/* Joins the session. `id` 0: http2_stream_named() follows. */
void http2_stream_open(struct http2_stream *stream, struct http2_session *session, int32_t id,
                       const struct http2_stream_events *events);

/* What is held is dropped (and the connection's window opened for it); no event follows. The library's stream goes on without
 * us: who wants it ended submits RST_STREAM. */
void http2_stream_close(struct http2_stream *stream);

/* --- out --- */

/* For nghttp2_submit_request() and nghttp2_submit_response(): the body is what http2_stream_write() is given. */
nghttp2_data_provider http2_stream_source(struct http2_stream *stream);

/* A piece of the body: it is sent or copied before this returns. `last`: the body is complete. */
void http2_stream_write(struct http2_stream *stream, const char *data, size_t length, bool last);

/* --- in --- */

/* DATA came (on_data_chunk_recv): handed over or held. Bytes of no stream: http2_session_drop(). */
void http2_stream_receive(struct http2_stream *stream, const char *data, size_t length);

/* END_STREAM came, with trailers or without. */
void http2_stream_received_end(struct http2_stream *stream);

/* Turns on_data on or off; it begins off. What is held follows at the end of the turn. */
void http2_stream_read(struct http2_stream *stream, bool on);

/* DATA that nobody wants: the connection's window is opened for it. */
void http2_session_drop(struct http2_session *session, int32_t id, size_t length);

/* --- for http2_session.c --- */

/* The end of the turn: the owner is told what became of its output. `sent`: the kernel has all that went to the
 * connection. */
void http2_stream_settle(struct http2_stream *stream, bool sent);

/* What is held is handed over, as far as it is wanted. */
void http2_stream_feed_held(struct http2_stream *stream);

/* It is to be looked at, at the end of the turn. */
void http2_stream_touch(struct http2_stream *stream);

/* nghttp2's send_data callback. */
int http2_stream_send_data(nghttp2_session *library, nghttp2_frame *frame, const uint8_t *head, size_t length,
                           nghttp2_data_source *source, void *user_data);

#endif
