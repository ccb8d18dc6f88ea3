/* PROXY headers: the same verdict however many of the bytes are there; MORE only for what is no header yet and none that
 * is malformed; what was read is written and read again. */
#include "tests/fuzz/fuzz.h"

#include "worker/codec/proxy_protocol.h"

enum { BYTES = 128 };

static bool is_ip(const struct address *address)
{
    return address->any.sa_family == AF_INET || address->any.sa_family == AF_INET6;
}

static void write_again(const struct proxy_header *header)
{
    for (enum proxy_protocol version = PROXY_PROTOCOL_V1; version <= PROXY_PROTOCOL_V2; version++) {
        char memory[PROXY_PROTOCOL_WRITTEN_MAX];
        struct buf out = buf_on(memory, sizeof memory);
        struct proxy_header again;
        const char *why = NULL;
        proxy_protocol_write(version, &header->source, &header->destination, &out);
        CHECK(!out.overflow);
        CHECK(proxy_protocol_read(out.data, out.length, &again, &why) == PROXY_WHOLE);
        CHECK(again.length == out.length);
        CHECK(again.known == (is_ip(&header->source) && is_ip(&header->destination)));
        if (again.known)
            CHECK(address_eq(&again.source, &header->source) &&
                  address_eq(&again.destination, &header->destination));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *input = (const char *)data, *why = NULL, *part_why = NULL;
    struct proxy_header header, part;
    enum proxy_result whole = proxy_protocol_read(input, size, &header, &why), result = PROXY_MORE;
    CHECK((whole == PROXY_MALFORMED) == (why != NULL));
    size_t length = 0, used = 0;
    /* Byte by byte at first, where there is most to decide; then all of it. */
    for (; length <= size && result == PROXY_MORE;
         length = length < BYTES ? length + 1 : size + (length == size)) {
        char *copy = malloc(length + 1); /* a piece of its own: no look beyond its end */
        CHECK(copy);
        for (size_t i = 0; i < length; i++)
            copy[i + 1] = input[i];
        used = length;
        result = proxy_protocol_read(copy + 1, length, &part, &part_why);
        free(copy);
    }
    CHECK(result == whole);
    CHECK(why == part_why);
    if (whole == PROXY_MORE)
        CHECK(size < PROXY_PROTOCOL_MAX);
    if (whole != PROXY_WHOLE)
        return 0;
    CHECK(header.length == part.length && header.known == part.known);
    CHECK(header.length >= BYTES || header.length == used);
    if (header.known) {
        char text[ADDRESS_TEXT_SIZE];
        CHECK(address_format(&header.source, text) < sizeof text);
        CHECK(address_eq(&header.source, &part.source) && address_eq(&header.destination, &part.destination));
        write_again(&header);
    }
    return 0;
}
