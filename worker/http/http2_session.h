/* http2_session: one HTTP/2 connection (RFC 9113) on nghttp2, as the server's and the client's side share it: bytes in,
 * frames out, the library's memory and its life. What is a stream's is in http2_stream.h.
 *
 * The library is entered by http2_session_feed() and by the flush only, never from within its callbacks: what a callback
 * does (submit, resume, consume, close) is queued, and leaves at the end of the turn: all frames of a wake-up in one send.
 * The library does not judge HTTP (no_http_messaging): fields are read by us, as strictly as HTTP/1's; and it opens
 * windows only for what was taken (http2_stream).
 */
#ifndef HTTP_HTTP2_SESSION_H
#define HTTP_HTTP2_SESSION_H

#include <nghttp2/nghttp2.h>

#include "worker/net/connection.h"

enum { HTTP2_FRAME_HEAD = 9 }; /* bytes before each frame's payload (RFC 9113, section 4.1) */

struct http2_session;

/* One side's; a constant. */
struct http2_side {
    bool server;
    /* Sets the side's own callbacks. Taken by the session: send_data and on_frame_send (told by on_frame_sent). Their user
     * data is the session, a stream's the struct http2_stream, or NULL. */
    void (*set_callbacks)(nghttp2_session_callbacks *callbacks);
    /* Sets the side's own options, or NULL. */
    void (*set_options)(nghttp2_option *option);
    /* A frame went to the connection. Called from within the library; or NULL. */
    void (*on_frame_sent)(struct http2_session *session, const nghttp2_frame *frame);
    /* Nothing more will be read or written, or the library has failed (`error`: its number, else 0): to be closed. Never
     * called from within the library; the last frames are with the connection, which may still be sending them. */
    void (*on_over)(struct http2_session *session, int error);
};

struct http2_session {
    nghttp2_session *library; /* NULL: closed */
    struct connection *connection;
    const struct http2_side *side;
    struct deferred settle; /* due when frames may be waiting */
    struct list streams;    /* all struct http2_stream, by `link` */
    struct list touched;    /* those whose output something changed for, by `touch` */
    struct list resumed;    /* those that want what they hold, by `resume` */
    int error;              /* of the library, to be told by on_over */
    bool busy : 1;          /* the library runs: it must not be entered again */
    bool given_up : 1;      /* by http2_session_give_up() */
    bool terminated : 1;    /* by http2_session_terminate() */
    bool over : 1;          /* on_over was called */
};

/* Begins: the connection is the caller's, adopted or opened. SETTINGS go out first; `window` is how much the peer may send
 * on all streams together. */
void http2_session_open(struct http2_session *session, struct connection *connection,
                        const struct http2_side *side, const nghttp2_settings_entry *settings, size_t count,
                        uint32_t window);

/* Bytes that came: all are taken. For on_data; what the callbacks asked for follows at the end of the turn. */
void http2_session_feed(struct http2_session *session, const char *data, size_t length);

/* The end of this turn sends what waits, and looks at the streams that were touched. After every call of nghttp2_submit_*()
 * and the like, and when the connection has drained. */
static inline void http2_session_settle_later(struct http2_session *session)
{
    loop_defer(session->connection->net->loop, &session->settle);
}

/* Hands the frames that wait to the connection now, where it takes them; not from within the library. */
void http2_session_pull(struct http2_session *session);

/* The same, and sends them: for the last words before the connection is closed. */
void http2_session_flush(struct http2_session *session);

/* on_over follows at the end of the turn, after what waits was sent: for who may be within the library. */
void http2_session_give_up(struct http2_session *session);

/* The peer has broken the rules: GOAWAY with `code`, and nothing that it sends is looked at any more. on_over follows at the
 * end of the turn. */
void http2_session_terminate(struct http2_session *session, uint32_t code);

/* Lets go of the library; the connection is closed by the caller. Streams that are left are the caller's to end before. Not
 * from within the library (session->busy). */
void http2_session_close(struct http2_session *session);

static inline struct http2_session *http2_session_of(void *user_data)
{
    return user_data;
}

#endif
