/* http2_stream: one stream's two bodies. Called by the server's and the client's side, and by http2_session.c. */
#include "worker/http/http2_stream.h"

#include <assert.h>

#include "worker/http/http2_fields.h"

/* A run of bytes that waits. There is room behind it for small ones that follow: many of one byte cost no more than few. */
struct http2_piece {
    struct http2_piece *next;
    size_t from, to, size;
    char data[];
};

/* Bytes of data at least: of the first that waits, of what follows. */
enum { PIECE_FIRST = 480, PIECE_MORE = 4064 };

static struct recycler *recycler_of(const struct http2_stream *stream)
{
    return &stream->session->connection->net->recycler;
}

static struct http2_piece *piece_add(struct http2_stream *stream, struct http2_piece ***end, size_t size)
{
    struct http2_piece *piece = recycler_take(recycler_of(stream), sizeof *piece + size);
    *piece = (struct http2_piece){.size = size};
    **end = piece;
    *end = &piece->next;
    return piece;
}

/* Appends a copy. */
static void keep(struct http2_stream *stream, struct http2_piece **first, struct http2_piece ***end,
                 const char *data, size_t length)
{
    struct http2_piece *last = *first ? CONTAINER_OF(*end, struct http2_piece, next) : NULL;
    if (length == 0)
        return;
    if (last && last->size - last->to > 0) {
        size_t room = last->size - last->to, fits = length < room ? length : room;
        memcpy(last->data + last->to, data, fits);
        last->to += fits;
        data += fits;
        length -= fits;
    }
    if (length == 0)
        return;
    size_t least = *first ? PIECE_MORE : PIECE_FIRST;
    struct http2_piece *piece = piece_add(stream, end, length > least ? length : least);
    memcpy(piece->data, data, length);
    piece->to = length;
}

static struct http2_piece *piece_take(struct http2_piece **first, struct http2_piece ***end)
{
    struct http2_piece *piece = *first;
    *first = piece->next;
    if (!*first)
        *end = first;
    return piece;
}

static void pieces_free(struct http2_stream *stream, struct http2_piece **first, struct http2_piece ***end)
{
    while (*first)
        recycler_give(recycler_of(stream), piece_take(first, end));
}

/* --- out --- */

void http2_stream_touch(struct http2_stream *stream)
{
    if (list_empty(&stream->touch))
        list_push_back(&stream->session->touched, &stream->touch);
    http2_session_settle_later(stream->session);
}

/* The library asks how much of the body goes in a frame; http2_stream_send_data() gives it. */
static ssize_t read_source(nghttp2_session *library, int32_t id, uint8_t *data, size_t length,
                           uint32_t *flags, nghttp2_data_source *source, void *user_data)
{
    struct http2_stream *stream = source->ptr;
    (void)data;
    (void)user_data;
    if (stream->pending == 0 && !stream->last_written) {
        stream->waits = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (stream->pending > length)
        return (ssize_t)length;
    if (stream->last_written)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (stream->last_written && stream->trailers && http2_fields_trailers(library, id, stream->trailers))
        *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    return (ssize_t)stream->pending;
}

/* Takes from the copies, then from the owner's own bytes. */
static void take_pending(struct http2_stream *stream, struct buf *out, size_t length)
{
    stream->pending -= length;
    while (length && stream->out) {
        struct http2_piece *piece = stream->out;
        size_t there = piece->to - piece->from, step = there < length ? there : length;
        buf_add(out, piece->data + piece->from, step);
        piece->from += step;
        length -= step;
        if (step == there)
            recycler_give(recycler_of(stream), piece_take(&stream->out, &stream->out_end));
    }
    assert(length <= stream->direct.length);
    if (length == 0)
        return;
    buf_add(out, stream->direct.data, length);
    stream->direct.data += length;
    stream->direct.length -= length;
}

int http2_stream_send_data(nghttp2_session *library, nghttp2_frame *frame, const uint8_t *head, size_t length,
                           nghttp2_data_source *source, void *user_data)
{
    struct http2_session *session = user_data;
    struct http2_stream *stream = source->ptr;
    (void)library;
    (void)frame; /* never padded: we set no callback for it */
    struct buf out = connection_reserve(session->connection, HTTP2_FRAME_HEAD + length);
    buf_add(&out, (const char *)head, HTTP2_FRAME_HEAD);
    take_pending(stream, &out, length);
    connection_commit(session->connection, &out);
    if (stream->blocked && stream->pending == 0)
        http2_stream_touch(stream);
    return 0;
}

nghttp2_data_provider http2_stream_source(struct http2_stream *stream)
{
    return (nghttp2_data_provider){.source = {.ptr = stream}, .read_callback = read_source};
}

static void go_on(struct http2_stream *stream)
{
    if (!stream->waits)
        return;
    stream->waits = false;
    nghttp2_session_resume_data(stream->session->library, stream->id);
}

void http2_stream_write(struct http2_stream *stream, const char *data, size_t length, bool last)
{
    struct http2_session *session = stream->session;
    if (last)
        stream->last_written = true;
    stream->pending += length;
    if (length || last)
        go_on(stream);
    /* A large piece goes with what was gathered, without a copy of it here: all but what a window holds back. */
    if (length >= NET_COALESCE && !session->busy && !stream->blocked) {
        stream->direct = (struct str){data, length};
        http2_session_pull(session);
        data = stream->direct.data;
        length = stream->direct.length;
        stream->direct = (struct str){NULL, 0};
    }
    keep(stream, &stream->out, &stream->out_end, data, length);
    http2_stream_touch(stream);
}

void http2_stream_settle(struct http2_stream *stream, bool sent)
{
    if (stream->end_sent) {
        if (!stream->last_written)
            return; /* the owner's word comes yet */
        if (sent)
            stream->events->on_sent(stream);
        else
            list_push_back(&stream->session->touched, &stream->touch); /* until the connection has drained */
    } else if (stream->pending && !stream->blocked) {
        stream->blocked = true;
        stream->events->on_blocked(stream);
    } else if (!stream->pending && stream->blocked) {
        stream->blocked = false;
        if (!stream->last_written)
            stream->events->on_drained(stream);
    }
}

/* --- in --- */

void http2_session_drop(struct http2_session *session, int32_t id, size_t length)
{
    nghttp2_session_consume(session->library, id, length);
}

/* The window is opened before the owner gets the bytes: it may end the stream with them. */
static void hand_over(struct http2_stream *stream, const char *data, size_t length)
{
    http2_session_drop(stream->session, stream->id, length);
    stream->events->on_data(stream, data, length);
}

static void tell_end(struct http2_stream *stream)
{
    if (stream->end_received && !stream->end_told && !stream->in && stream->reading) {
        stream->end_told = true;
        stream->events->on_end(stream);
    }
}

void http2_stream_receive(struct http2_stream *stream, const char *data, size_t length)
{
    if (stream->reading && !stream->in) {
        hand_over(stream, data, length);
        return;
    }
    keep(stream, &stream->in, &stream->in_end, data, length);
    stream->held += length;
}

void http2_stream_received_end(struct http2_stream *stream)
{
    stream->end_received = true;
    tell_end(stream);
}

void http2_stream_read(struct http2_stream *stream, bool on)
{
    stream->reading = on;
    if (!on || (!stream->in && !(stream->end_received && !stream->end_told)))
        return;
    if (list_empty(&stream->resume))
        list_push_back(&stream->session->resumed, &stream->resume);
    http2_session_settle_later(stream->session);
}

void http2_stream_feed_held(struct http2_stream *stream)
{
    struct recycler *recycler = recycler_of(stream);
    while (stream->in && stream->reading) {
        struct http2_piece *piece = piece_take(&stream->in, &stream->in_end);
        size_t length = piece->to - piece->from;
        stream->held -= length;
        hand_over(stream, piece->data + piece->from, length);
        recycler_give(recycler, piece);
    }
    tell_end(stream);
}

/* --- life --- */

void http2_stream_open(struct http2_stream *stream, struct http2_session *session, int32_t id,
                       const struct http2_stream_events *events)
{
    *stream = (struct http2_stream){.session = session, .events = events, .id = id};
    stream->out_end = &stream->out;
    stream->in_end = &stream->in;
    list_init(&stream->touch);
    list_init(&stream->resume);
    list_push_back(&session->streams, &stream->link);
}

void http2_stream_close(struct http2_stream *stream)
{
    if (stream->held)
        http2_session_drop(stream->session, stream->id, stream->held);
    stream->held = 0;
    stream->reading = false;
    pieces_free(stream, &stream->in, &stream->in_end);
    pieces_free(stream, &stream->out, &stream->out_end);
    stream->pending = 0;
    stream->last_written = false; /* the library may still ask: there is nothing, and no end */
    list_remove(&stream->link);
    list_remove(&stream->touch);
    list_remove(&stream->resume);
}
