/* dns_srv: written here since c-ares' own parser keeps the TTL to itself. Called by worker/service/dns.c. */
#include "worker/codec/dns_srv.h"

#include <ctype.h>
#include <stdbool.h>

enum {
    HEADER = 12,
    QUESTION = 4,
    RECORD = 10, /* type, class, TTL, length of the data */
    SRV_FIXED = 6,
    TYPE_CNAME = 5,
    TYPE_SRV = 33,
    CLASS_IN = 1,
    POINTER = 0xc0,
    POINTERS_MOST = 64,
};

struct reader {
    const unsigned char *data;
    size_t length, at;
};

static unsigned u16(const unsigned char *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static uint32_t u32(const unsigned char *p)
{
    return (uint32_t)u16(p) << 16 | u16(p + 2);
}

static bool has(const struct reader *reader, size_t count)
{
    return reader->length - reader->at >= count;
}

static bool is_host_byte(unsigned char c)
{
    return isalnum(c) || c == '-' || c == '_';
}

/* A label at `at` behind what is in `out`; `*used` grows. */
static bool add_label(const unsigned char *label, unsigned length, char *out, size_t *used)
{
    if (*used + length + 2 > DNS_NAME_SIZE)
        return false;
    if (*used)
        out[(*used)++] = '.';
    for (unsigned i = 0; i < length; i++) {
        if (!is_host_byte(label[i]))
            return false;
        out[(*used)++] = (char)label[i];
    }
    return true;
}

/* Reads a name and goes on behind it; `out` NULL: skips it. Pointers lead anywhere, but only so often. */
static bool read_name(struct reader *reader, char *out)
{
    size_t at = reader->at, used = 0;
    unsigned pointers = 0;
    bool jumped = false;
    for (;;) {
        if (at >= reader->length)
            return false;
        unsigned length = reader->data[at++];
        if ((length & POINTER) == POINTER) {
            if (at >= reader->length || ++pointers > POINTERS_MOST)
                return false;
            size_t to = (size_t)(length & ~(unsigned)POINTER) << 8 | reader->data[at++];
            if (!jumped)
                reader->at = at;
            jumped = true;
            if (!out)
                return true;
            at = to;
            continue;
        }
        if (length & POINTER || length > reader->length - at)
            return false;
        if (length == 0)
            break;
        if (out && !add_label(reader->data + at, length, out, &used))
            return false;
        at += length;
    }
    if (out)
        out[used] = '\0';
    if (!jumped)
        reader->at = at;
    return true;
}

/* The data of an SRV record, which end where the record does. */
static bool read_srv(const struct reader *message, size_t length, struct dns_srv *srv)
{
    struct reader reader = {message->data, message->length, message->at};
    const unsigned char *data = reader.data + reader.at;
    if (length < SRV_FIXED + 1)
        return false;
    *srv = (struct dns_srv){
        .priority = (uint16_t)u16(data), .weight = (uint16_t)u16(data + 2), .port = (uint16_t)u16(data + 4)};
    reader.at += SRV_FIXED;
    return read_name(&reader, srv->target) && reader.at == message->at + length;
}

int dns_srv_parse(const unsigned char *data, size_t length, struct dns_srv *records, unsigned most,
                  uint32_t *ttl)
{
    struct reader reader = {data, length, HEADER};
    struct dns_srv beyond;
    int count = 0;
    *ttl = UINT32_MAX;
    if (length < HEADER)
        return -1;
    unsigned questions = u16(data + 4), answers = u16(data + 6);
    for (unsigned i = 0; i < questions; i++) {
        if (!read_name(&reader, NULL) || !has(&reader, QUESTION))
            return -1;
        reader.at += QUESTION;
    }
    for (unsigned i = 0; i < answers; i++) {
        if (!read_name(&reader, NULL) || !has(&reader, RECORD))
            return -1;
        const unsigned char *record = data + reader.at;
        unsigned type = u16(record), class = u16(record + 2), size = u16(record + 8);
        reader.at += RECORD;
        if (!has(&reader, size))
            return -1;
        if (class == CLASS_IN && (type == TYPE_SRV || type == TYPE_CNAME) && u32(record + 4) < *ttl)
            *ttl = u32(record + 4);
        if (class == CLASS_IN && type == TYPE_SRV) {
            if (!read_srv(&reader, size, (unsigned)count < most ? &records[count] : &beyond))
                return -1;
            count++;
        }
        reader.at += size;
    }
    if (count == 0)
        *ttl = 0;
    return count;
}
