/* websocket: the keys of a handshake, the borders of frames, the close frame. */
#include "worker/codec/websocket.h"

#include <assert.h>
#include <openssl/evp.h>

bool websocket_key_is_good(struct str key)
{
    if (key.length != WEBSOCKET_KEY || key.data[22] != '=' || key.data[23] != '=')
        return false;
    for (unsigned i = 0; i < 22; i++) {
        char c = key.data[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
              c == '/'))
            return false;
    }
    return true;
}

void websocket_key(const unsigned char nonce[WEBSOCKET_NONCE], char *key)
{
    unsigned char text[WEBSOCKET_KEY + 1];
    EVP_EncodeBlock(text, nonce, WEBSOCKET_NONCE);
    memcpy(key, text, WEBSOCKET_KEY);
}

void websocket_accept(struct str key, char *accept)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    enum { GUID = sizeof guid - 1, DIGEST = 20 };
    unsigned char input[WEBSOCKET_KEY + GUID], digest[DIGEST], text[WEBSOCKET_ACCEPT + 1];
    assert(key.length == WEBSOCKET_KEY);
    memcpy(input, key.data, WEBSOCKET_KEY);
    memcpy(input + WEBSOCKET_KEY, guid, GUID);
    int made = EVP_Digest(input, sizeof input, digest, NULL, EVP_sha1(), NULL);
    assert(made == 1);
    (void)made;
    EVP_EncodeBlock(text, digest, DIGEST);
    memcpy(accept, text, WEBSOCKET_ACCEPT);
}

/* --- frames --- */

/* How long a head is that begins with these two bytes (section 5.2). */
static unsigned head_size(const unsigned char *head)
{
    unsigned length = head[1] & 0x7f;
    return 2 + (length == 127 ? 8 : length == 126 ? 2 : 0) + (head[1] & 0x80 ? 4 : 0);
}

static uint64_t payload_size(const unsigned char *head)
{
    unsigned length = head[1] & 0x7f, bytes = length == 127 ? 8 : 2;
    uint64_t size = 0;
    if (length < 126)
        return length;
    for (unsigned i = 0; i < bytes; i++)
        size = size << 8 | head[2 + i];
    return size;
}

/* A head is whole. */
static void begin_frame(struct websocket_position *position)
{
    enum { OPCODE = 0x0f, CLOSE = 8 };
    position->left = payload_size(position->head);
    position->have = 0;
    position->closed = position->closed || (position->head[0] & OPCODE) == CLOSE;
    position->lost = position->left > INT64_MAX; /* section 5.2: the first bit of the length is 0 */
}

void websocket_follow(struct websocket_position *position, const char *data, size_t length)
{
    const char *end = data + length;
    while (data < end && !position->lost) {
        size_t there = (size_t)(end - data);
        if (position->left) {
            size_t step = there < position->left ? there : (size_t)position->left;
            position->left -= step;
            data += step;
            continue;
        }
        position->head[position->have++] = (unsigned char)*data++;
        if (position->have >= 2 && position->have == head_size(position->head))
            begin_frame(position);
    }
}

size_t websocket_close(unsigned code, bool client, char frame[WEBSOCKET_CLOSE_MAX])
{
    enum { FIN_CLOSE = 0x88, MASKED = 0x80, CODE_SIZE = 2 };
    char *at = frame;
    *at++ = (char)FIN_CLOSE;
    *at++ = (char)(CODE_SIZE | (client ? MASKED : 0));
    if (client) {
        memset(at, 0, 4);
        at += 4;
    }
    *at++ = (char)(code >> 8);
    *at++ = (char)(code & 0xff);
    return (size_t)(at - frame);
}
