/* grpc_web: the bodies of gRPC-Web. Called for what browsers send to gRPC services, and for the answers. */
#include "worker/codec/grpc_web.h"

#include "worker/codec/base64.h"

/* One more character of the group. False: it can't stand there. */
static bool take(struct grpc_web_decoder *decoder, char c)
{
    int value = base64_value(c);
    if (c == '=' && decoder->count >= 2)
        decoder->padding++;
    else if (value < 0 || decoder->padding)
        return false;
    decoder->bits = decoder->bits << 6 | (value < 0 ? 0 : (uint32_t)value);
    decoder->count++;
    return true;
}

ptrdiff_t grpc_web_decode(struct grpc_web_decoder *decoder, const char *data, size_t length, char *out)
{
    size_t at = 0;
    for (size_t i = 0; i < length && !decoder->bad; i++) {
        decoder->bad = !take(decoder, data[i]);
        if (decoder->bad || decoder->count < 4)
            continue;
        for (unsigned n = 0; n < 3u - decoder->padding; n++)
            out[at++] = (char)(decoder->bits >> (16 - 8 * n));
        *decoder = (struct grpc_web_decoder){0};
    }
    return decoder->bad ? -1 : (ptrdiff_t)at;
}

bool grpc_web_decode_complete(const struct grpc_web_decoder *decoder)
{
    return !decoder->bad && decoder->count == 0;
}

size_t grpc_web_encode(const char *data, size_t length, char *out)
{
    return base64_encode((struct str){data, length}, out);
}

void grpc_web_trailers_begin(struct buf *out)
{
    buf_add(out, (const char[GRPC_WEB_FRAME_HEAD]){(char)GRPC_WEB_TRAILERS}, GRPC_WEB_FRAME_HEAD);
}

void grpc_web_trailers_add(struct buf *out, struct str name, struct str value)
{
    for (size_t i = 0; i < name.length; i++) {
        char c = name.data[i];
        buf_char(out, c >= 'A' && c <= 'Z' ? (char)(c | 32) : c);
    }
    buf_char(out, ':');
    buf_str_add(out, value);
    BUF_LITERAL(out, "\r\n");
}

void grpc_web_trailers_end(struct buf *out)
{
    if (out->overflow)
        return;
    size_t length = out->length - GRPC_WEB_FRAME_HEAD;
    for (unsigned i = 0; i < 4; i++)
        out->data[1 + i] = (char)(length >> (24 - 8 * i));
}
