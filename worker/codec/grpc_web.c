/* grpc_web: the bodies of gRPC-Web. Called for what browsers send to gRPC services, and for the answers. */
#include "worker/codec/grpc_web.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* -1: it is none. */
static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* One more character of the group. False: it can't stand there. */
static bool take(struct grpc_web_decoder *decoder, char c)
{
    int value = value_of(c);
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
    char *at = out;
    for (size_t i = 0; i < length; i += 3, at += 4) {
        size_t left = length - i;
        uint32_t bits = (uint32_t)(uint8_t)data[i] << 16 |
                        (left > 1 ? (uint32_t)(uint8_t)data[i + 1] << 8 : 0) |
                        (left > 2 ? (uint8_t)data[i + 2] : 0);
        at[0] = alphabet[bits >> 18];
        at[1] = alphabet[bits >> 12 & 63];
        at[2] = left > 1 ? alphabet[bits >> 6 & 63] : '=';
        at[3] = left > 2 ? alphabet[bits & 63] : '=';
    }
    return (size_t)(at - out);
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
