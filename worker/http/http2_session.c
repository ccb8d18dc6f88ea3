/* http2_session: one HTTP/2 connection on nghttp2: bytes in, frames out. Called by http2_server.c and http2_client.c. */
#include "worker/http/http2_session.h"

#include <assert.h>
#include <stdlib.h>

#include "shared/base/log.h"
#include "worker/http/http2_stream.h"

/* SETTINGS and PING whose answers may wait: more than one reading brings. The sides have bounds of their own, told by GOAWAY and
 * not by an error. */
enum { ACKS_MAX = 8192 };

/* --- the library's memory: recycled, but for one thing ---
 *
 * A session is born with a buffer for the frame that it makes. What stands there is copied before the library is entered
 * again (http2_session_pull(), http2_stream_send_data()), so all of a process's servers share one: an idle connection has
 * half the memory. A client's is its own, as the preface stands there from its birth until it is connected; and so are the
 * further buffers of a head that goes on in CONTINUATION frames.
 */

enum { BUFFER_LEAST = 16384 }; /* what a session allocates at its birth that is larger is the buffer */

static struct net *net_of(void *user_data)
{
    const struct http2_session *session = user_data;
    return session->connection->net;
}

static void *on_malloc(size_t size, void *user_data)
{
    return recycler_take(&net_of(user_data)->recycler, size);
}

static void on_free(void *memory, void *user_data)
{
    struct net *net = net_of(user_data);
    if (memory != net->frame)
        recycler_give(&net->recycler, memory);
}

static void *on_calloc(size_t count, size_t size, void *user_data)
{
    return recycler_take_cleared(&net_of(user_data)->recycler, count, size);
}

static void *on_realloc(void *memory, size_t size, void *user_data)
{
    const struct http2_session *session = user_data;
    struct net *net = net_of(user_data);
    assert(memory != net->frame);
    if (session->side->server && !memory && !session->library && size >= BUFFER_LEAST && size <= NET_FRAME)
        return net->frame;
    return recycler_resize(&net->recycler, memory, size);
}

/* --- frames out --- */

static int on_frame_sent(nghttp2_session *library, const nghttp2_frame *frame, void *user_data)
{
    struct http2_session *session = user_data;
    bool of_message = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    struct http2_stream *stream =
        of_message ? nghttp2_session_get_stream_user_data(library, frame->hd.stream_id) : NULL;
    if (stream) {
        stream->sent += HTTP2_FRAME_HEAD + frame->hd.length;
        if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
            stream->end_sent = true;
            http2_stream_touch(stream);
        }
    }
    if (session->side->on_frame_sent)
        session->side->on_frame_sent(session, frame);
    return 0;
}

static bool takes_output(const struct connection *connection)
{
    return !connection->blocked && !connection->connecting && !connection->error && !connection->broken &&
           !connection->closed;
}

static void failed(struct http2_session *session, int error)
{
    session->error = error;
    http2_session_settle_later(session);
}

void http2_session_pull(struct http2_session *session)
{
    if (session->busy || !session->library || session->error)
        return;
    session->busy = true;
    while (takes_output(session->connection)) {
        const uint8_t *frame;
        ssize_t length = nghttp2_session_mem_send(session->library, &frame);
        if (length < 0)
            failed(session, (int)length);
        if (length <= 0)
            break;
        struct buf out = connection_reserve(session->connection, (size_t)length);
        buf_add(&out, (const char *)frame, (size_t)length);
        connection_commit(session->connection, &out);
    }
    session->busy = false;
}

void http2_session_flush(struct http2_session *session)
{
    http2_session_pull(session);
    if (session->library)
        connection_flush(session->connection);
}

/* --- the end of a turn --- */

/* Each of a list once, though it may touch and close any of them. */
static void take_all(struct list *from, struct list *now)
{
    list_insert_after(from, now);
    list_remove(from);
}

static void feed_held(struct http2_session *session)
{
    struct list now;
    take_all(&session->resumed, &now);
    for (struct list *link; (link = list_pop(&now));)
        http2_stream_feed_held(CONTAINER_OF(link, struct http2_stream, resume));
}

static void look_at_touched(struct http2_session *session, bool sent)
{
    struct list now;
    take_all(&session->touched, &now);
    for (struct list *link; (link = list_pop(&now));)
        http2_stream_settle(CONTAINER_OF(link, struct http2_stream, touch), sent);
}

static bool is_over(const struct http2_session *session)
{
    return session->error || session->given_up ||
           (!nghttp2_session_want_read(session->library) && !nghttp2_session_want_write(session->library));
}

static void on_settle(struct deferred *deferred)
{
    struct http2_session *session = CONTAINER_OF(deferred, struct http2_session, settle);
    feed_held(session);
    http2_session_pull(session);
    if (!session->library)
        return;
    look_at_touched(session, connection_flush(session->connection));
    if (!session->library || session->connection->blocked || session->over || !is_over(session))
        return;
    session->over = true;
    session->side->on_over(session, session->error);
}

/* --- bytes in --- */

void http2_session_feed(struct http2_session *session, const char *data, size_t length)
{
    assert(!session->busy);
    if (!session->library || session->error || session->terminated)
        return;
    session->busy = true;
    ssize_t taken = nghttp2_session_mem_recv(session->library, (const uint8_t *)data, length);
    if (taken < 0)
        failed(session, (int)taken);
    session->busy = false;
    http2_session_settle_later(session);
}

/* --- life --- */

static void set_callbacks(nghttp2_session_callbacks *callbacks, const struct http2_side *side)
{
    side->set_callbacks(callbacks);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, http2_stream_send_data);
}

static void set_options(nghttp2_option *option, const struct http2_side *side)
{
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_http_messaging(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_max_outbound_ack(option, ACKS_MAX);
    if (side->set_options)
        side->set_options(option);
}

static void must(int result)
{
    if (result != 0) { /* of arguments that are ours, and memory that is there */
        log_error("nghttp2: %s", nghttp2_strerror(result));
        abort();
    }
}

void http2_session_open(struct http2_session *session, struct connection *connection,
                        const struct http2_side *side, const nghttp2_settings_entry *settings, size_t count,
                        uint32_t window)
{
    nghttp2_mem memory = {session, on_malloc, on_free, on_calloc, on_realloc};
    nghttp2_session *library;
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    *session = (struct http2_session){.connection = connection, .side = side};
    list_init(&session->settle.link);
    session->settle.run = on_settle;
    list_init(&session->streams);
    list_init(&session->touched);
    list_init(&session->resumed);
    must(nghttp2_session_callbacks_new(&callbacks));
    must(nghttp2_option_new(&option));
    set_callbacks(callbacks, side);
    set_options(option, side);
    if (side->server)
        must(nghttp2_session_server_new3(&library, callbacks, session, option, &memory));
    else
        must(nghttp2_session_client_new3(&library, callbacks, session, option, &memory));
    session->library = library;
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    must(nghttp2_submit_settings(session->library, NGHTTP2_FLAG_NONE, settings, count));
    must(nghttp2_session_set_local_window_size(session->library, NGHTTP2_FLAG_NONE, 0, (int32_t)window));
    http2_session_settle_later(session);
}

void http2_session_terminate(struct http2_session *session, uint32_t code)
{
    if (session->terminated)
        return;
    session->terminated = true;
    nghttp2_session_terminate_session(session->library, code);
    http2_session_settle_later(session);
}

void http2_session_give_up(struct http2_session *session)
{
    session->given_up = true;
    http2_session_settle_later(session);
}

void http2_session_close(struct http2_session *session)
{
    assert(!session->busy);
    loop_undefer(&session->settle);
    nghttp2_session_del(session->library);
    session->library = NULL;
}
