/* grpc_health: the messages of gRPC's health checks. Called by the prober. */
#include "worker/codec/grpc_health.h"

enum { FRAME_HEAD = 5 };

/* Protocol buffers: a field begins with its number and the kind of its value. */
enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5, KIND_BITS = 3 };
enum { SERVICE = 1 << KIND_BITS | BYTES, STATUS = 1 << KIND_BITS | VARINT };

/* --- writing --- */

static size_t varint_size(uint64_t value)
{
    size_t size = 1;
    while (value >>= 7)
        size++;
    return size;
}

static void write_varint(uint64_t value, struct buf *out)
{
    for (; value > 0x7f; value >>= 7)
        buf_char(out, (char)(value | 0x80));
    buf_char(out, (char)value);
}

static size_t message_size(struct str service)
{
    return service.length ? 1 + varint_size(service.length) + service.length
                          : 0; /* an empty string is left out */
}

size_t grpc_health_size(struct str service)
{
    return FRAME_HEAD + message_size(service);
}

void grpc_health_write(struct str service, struct buf *out)
{
    size_t size = message_size(service);
    buf_char(out, 0); /* not compressed */
    for (int shift = 24; shift >= 0; shift -= 8)
        buf_char(out, (char)(size >> shift));
    if (!size)
        return;
    buf_char(out, SERVICE);
    write_varint(service.length, out);
    buf_str_add(out, service);
}

/* --- reading --- */

static bool read_varint(struct str *rest, uint64_t *value)
{
    enum { LONGEST = 10 };
    *value = 0;
    for (size_t i = 0; i < rest->length && i < LONGEST; i++) {
        *value |= (uint64_t)(rest->data[i] & 0x7f) << 7 * i;
        if (!(rest->data[i] & 0x80)) {
            *rest = str_from(*rest, i + 1);
            return true;
        }
    }
    return false;
}

static bool skip(struct str *rest, uint64_t length)
{
    if (length > rest->length)
        return false;
    *rest = str_from(*rest, (size_t)length);
    return true;
}

/* A field that isn't known, of a server with a newer message. */
static bool skip_field(struct str *rest, uint64_t key)
{
    uint64_t value;
    switch (key & ((1 << KIND_BITS) - 1)) {
    case VARINT:
        return read_varint(rest, &value);
    case FIXED64:
        return skip(rest, 8);
    case BYTES:
        return read_varint(rest, &value) && skip(rest, value);
    case FIXED32:
        return skip(rest, 4);
    }
    return false;
}

enum grpc_health grpc_health_read(struct str body)
{
    uint64_t status = GRPC_HEALTH_UNKNOWN, key, size = 0;
    if (body.length < FRAME_HEAD || body.data[0] != 0) /* we said that we take no compression */
        return GRPC_HEALTH_MALFORMED;
    for (unsigned i = 1; i < FRAME_HEAD; i++)
        size = size << 8 | (uint8_t)body.data[i];
    struct str rest = str_from(body, FRAME_HEAD);
    if (size != rest.length)
        return GRPC_HEALTH_MALFORMED;
    while (rest.length)
        if (!read_varint(&rest, &key) ||
            !(key == STATUS ? read_varint(&rest, &status) : skip_field(&rest, key)))
            return GRPC_HEALTH_MALFORMED;
    return status < GRPC_HEALTH_MALFORMED ? (enum grpc_health)status : GRPC_HEALTH_UNKNOWN;
}

const char *grpc_health_name(enum grpc_health status)
{
    static const char *const names[] = {
        [GRPC_HEALTH_UNKNOWN] = "UNKNOWN",
        [GRPC_HEALTH_SERVING] = "SERVING",
        [GRPC_HEALTH_NOT_SERVING] = "NOT_SERVING",
        [GRPC_HEALTH_SERVICE_UNKNOWN] = "SERVICE_UNKNOWN",
        [GRPC_HEALTH_MALFORMED] = "no HealthCheckResponse",
    };
    return names[status];
}
