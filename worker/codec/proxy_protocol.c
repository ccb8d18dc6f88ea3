/* proxy_protocol: the header by which a proxy says whose connection it passes on. Section numbers are those of
 * HAProxy's proxy-protocol.txt.
 */
#include "worker/codec/proxy_protocol.h"

#include <arpa/inet.h>

static const char signature[12] = {'\r', '\n', '\r', '\n', '\0', '\r', '\n', 'Q', 'U', 'I', 'T', '\n'};
static const char word[] = "PROXY ";

enum { LINE_MAX_BYTES = 107, FIXED = 16 /* of version 2: signature, version, family, length */ };
enum { COMMAND_LOCAL = 0x20, COMMAND_PROXY = 0x21 };
enum { FAMILY_UNSPEC, FAMILY_IN, FAMILY_IN6, FAMILY_UNIX };
enum { TRANSPORT_UNSPEC, TRANSPORT_STREAM, TRANSPORT_DGRAM };
enum { IN_BYTES = 12, IN6_BYTES = 36, UNIX_PATH = 108 };
enum { TLV_CRC32C = 0x03, TLV_UNIQUE_ID = 0x05, TLV_SSL = 0x20 };
enum { TLV_HEAD = 3, CRC_BYTES = 4, UNIQUE_ID_MAX = 128, SSL_HEAD = 5 };

static enum proxy_result malformed(const char **why, const char *words)
{
    *why = words;
    return PROXY_MALFORMED;
}

/* --- version 1 (2.1) --- */

static bool parse_port(struct str text, struct address *address)
{
    uint64_t port;
    if (!str_to_u64(text, 65535, &port) || (text.length > 1 && text.data[0] == '0'))
        return false;
    /* The same place in both. */
    _Static_assert(offsetof(struct sockaddr_in, sin_port) == offsetof(struct sockaddr_in6, sin6_port), "");
    address->in.sin_port = htons((uint16_t)port);
    return true;
}

/* "TCP4 SOURCE DESTINATION PORT PORT" */
static enum proxy_result parse_line(struct str rest, struct proxy_header *header, const char **why)
{
    struct str protocol = str_cut(&rest, ' ');
    if (str_eq(protocol, STR("UNKNOWN")))
        return PROXY_WHOLE; /* whatever follows is ignored */
    int family = str_eq(protocol, STR("TCP4")) ? AF_INET : str_eq(protocol, STR("TCP6")) ? AF_INET6 : 0;
    if (!family)
        return malformed(why, "the protocol is none of TCP4, TCP6 and UNKNOWN");
    struct str source = str_cut(&rest, ' '), destination = str_cut(&rest, ' '),
               source_port = str_cut(&rest, ' ');
    if (!address_parse_ip(source, family, &header->source))
        return malformed(why, "the source is not an address of that protocol");
    if (!address_parse_ip(destination, family, &header->destination))
        return malformed(why, "the destination is not an address of that protocol");
    if (!parse_port(source_port, &header->source))
        return malformed(why, "the source's port is not a number from 0 to 65535");
    if (!parse_port(rest, &header->destination))
        return malformed(why, "the destination's port is not a number from 0 to 65535");
    header->known = true;
    return PROXY_WHOLE;
}

static enum proxy_result read_line(const char *data, size_t length, struct proxy_header *header,
                                   const char **why)
{
    size_t most = length < LINE_MAX_BYTES ? length : LINE_MAX_BYTES, end = 0;
    while (end < most && data[end] != '\r' && data[end] != '\n')
        end++;
    if (end == most ||
        (data[end] == '\r' && end + 1 == most)) /* its LF didn't come, or is beyond the bound */
        return length < LINE_MAX_BYTES ? PROXY_MORE : malformed(why, "the line is longer than 107 bytes");
    if (data[end] == '\n' || data[end + 1] != '\n')
        return malformed(why, "the line doesn't end with CRLF");
    header->length = end + 2;
    return parse_line((struct str){data + strlen(word), end - strlen(word)}, header, why);
}

/* --- version 2 (2.2) --- */

static unsigned read_u16(const char *data)
{
    return (unsigned)(unsigned char)data[0] << 8 | (unsigned char)data[1];
}

/* RFC 3720, section 12.1, four bits at a time. */
static uint32_t crc32c(uint32_t crc, const char *data, size_t length)
{
    static const uint32_t table[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
        0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    for (size_t i = 0; i < length; i++) {
        crc ^= (unsigned char)data[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return crc;
}

/* The sum is made with zeros where it stands (2.2.3). */
static bool sum_is_right(const char *header, size_t length, const char *sum)
{
    static const char zeros[CRC_BYTES];
    size_t before = (size_t)(sum - header), after = before + CRC_BYTES;
    uint32_t crc = crc32c(~0u, header, before);
    crc = crc32c(crc, zeros, CRC_BYTES);
    crc = ~crc32c(crc, header + after, length - after);
    return crc == ((uint32_t)read_u16(sum) << 16 | read_u16(sum + 2));
}

/* Walks TLVs to `end`; `*sum` is the value of the checksum, NULL: there is none. False: they don't end there, or one is
 * not what its type says. */
static bool walk_tlvs(const char *at, const char *end, const char **sum, const char **why)
{
    while (at < end) {
        if (end - at < TLV_HEAD || end - at - TLV_HEAD < (ptrdiff_t)read_u16(at + 1)) {
            *why = "a TLV reaches over the header's end";
            return false;
        }
        unsigned type = (unsigned char)*at, length = read_u16(at + 1);
        const char *value = at + TLV_HEAD;
        if (type == TLV_CRC32C && (length != CRC_BYTES || *sum)) {
            *why = *sum ? "it has two checksums" : "its checksum isn't four bytes long";
            return false;
        }
        if (type == TLV_UNIQUE_ID && length > UNIQUE_ID_MAX) {
            *why = "its unique id is longer than 128 bytes";
            return false;
        }
        if (type == TLV_CRC32C)
            *sum = value;
        at = value + length;
    }
    return true;
}

/* The TLV about TLS has TLVs of its own, behind five bytes (2.2.6). Types mean something else in there. */
static bool walk_ssl(const char *at, const char *end, const char **why)
{
    for (; at < end; at += TLV_HEAD + read_u16(at + 1)) {
        if ((unsigned char)*at != TLV_SSL)
            continue;
        const char *inner = at + TLV_HEAD + SSL_HEAD, *last = at + TLV_HEAD + read_u16(at + 1);
        while (inner < last) {
            if (last - inner < TLV_HEAD || last - inner - TLV_HEAD < (ptrdiff_t)read_u16(inner + 1))
                break;
            inner += TLV_HEAD + read_u16(inner + 1);
        }
        if (inner != last) {
            *why = "its TLV about TLS is malformed";
            return false;
        }
    }
    return true;
}

static void set_in(struct address *address, const char *host, const char *port)
{
    *address = (struct address){.length = sizeof address->in};
    address->in.sin_family = AF_INET;
    memcpy(&address->in.sin_addr, host, 4);
    memcpy(&address->in.sin_port, port, 2);
}

static void set_in6(struct address *address, const char *host, const char *port)
{
    *address = (struct address){.length = sizeof address->in6};
    address->in6.sin6_family = AF_INET6;
    memcpy(&address->in6.sin6_addr, host, 16);
    memcpy(&address->in6.sin6_port, port, 2);
}

/* 108 bytes, filled up with NULs; a name in the abstract name space begins with one. */
static void set_unix(struct address *address, const char *path)
{
    *address = (struct address){.length = 0};
    address->un.sun_family = AF_UNIX;
    memcpy(address->un.sun_path, path, UNIX_PATH);
    size_t length = UNIX_PATH;
    while (length && path[length - 1] == '\0')
        length--;
    address->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}
_Static_assert(sizeof((struct sockaddr_un *)0)->sun_path == UNIX_PATH, "the protocol's size is Linux's");

/* The addresses of a stream; returns how many bytes they are, 0: another kind. */
static size_t set_addresses(unsigned family, const char *data, size_t length, struct proxy_header *header)
{
    if (family == FAMILY_IN && length >= IN_BYTES) {
        set_in(&header->source, data, data + 8);
        set_in(&header->destination, data + 4, data + 10);
        return IN_BYTES;
    }
    if (family == FAMILY_IN6 && length >= IN6_BYTES) {
        set_in6(&header->source, data, data + 32);
        set_in6(&header->destination, data + 16, data + 34);
        return IN6_BYTES;
    }
    if (family == FAMILY_UNIX && length >= 2 * UNIX_PATH) {
        set_unix(&header->source, data);
        set_unix(&header->destination, data + UNIX_PATH);
        return 2 * UNIX_PATH;
    }
    return 0;
}

static enum proxy_result read_binary(const char *data, size_t length, struct proxy_header *header,
                                     const char **why)
{
    unsigned command = length > 12 ? (unsigned char)data[12] : COMMAND_PROXY;
    unsigned family = length > 13 ? (unsigned char)data[13] >> 4 : FAMILY_UNSPEC;
    unsigned transport = length > 13 ? data[13] & 15 : TRANSPORT_UNSPEC;
    if (command >> 4 != 2)
        return malformed(why, "its version is not 2");
    if (command != COMMAND_LOCAL && command != COMMAND_PROXY)
        return malformed(why, "its command is neither LOCAL nor PROXY");
    if (family > FAMILY_UNIX || transport > TRANSPORT_DGRAM)
        return malformed(why, "its address family or transport is unknown");
    if (length < FIXED)
        return PROXY_MORE;
    size_t whole = FIXED + read_u16(data + 14);
    if (whole > PROXY_PROTOCOL_MAX)
        return malformed(why, "it is longer than 4096 bytes");
    if (length < whole)
        return PROXY_MORE;
    header->length = whole;
    /* Of these the rest is not to be looked at: what it is can't be known. */
    if (command == COMMAND_LOCAL || family == FAMILY_UNSPEC || transport != TRANSPORT_STREAM)
        return PROXY_WHOLE;
    const char *sum = NULL, *end = data + whole;
    size_t addresses = set_addresses(family, data + FIXED, whole - FIXED, header);
    if (!addresses)
        return malformed(why, "it is too short for its addresses");
    const char *tlvs = data + FIXED + addresses;
    if (!walk_tlvs(tlvs, end, &sum, why) || !walk_ssl(tlvs, end, why))
        return PROXY_MALFORMED;
    if (sum && !sum_is_right(data, whole, sum))
        return malformed(why, "its checksum is wrong");
    header->known = true;
    return PROXY_WHOLE;
}

/* --- either --- */

static bool begins(const char *data, size_t length, const char *with, size_t size)
{
    return memcmp(data, with, length < size ? length : size) == 0;
}

enum proxy_result proxy_protocol_read(const char *data, size_t length, struct proxy_header *header,
                                      const char **why)
{
    size_t word_length = strlen(word);
    enum proxy_result result;
    header->known = false;
    header->length = 0;
    if (length == 0)
        return PROXY_MORE;
    if (begins(data, length, signature, sizeof signature))
        result = length < sizeof signature ? PROXY_MORE : read_binary(data, length, header, why);
    else if (begins(data, length, word, word_length))
        result = length < word_length ? PROXY_MORE : read_line(data, length, header, why);
    else
        result = malformed(why, "the connection doesn't begin with a header of the PROXY protocol");
    if (result == PROXY_WHOLE && header->known) {
        address_unmap(&header->source);
        address_unmap(&header->destination);
    }
    return result;
}

/* --- writing --- */

/* As IPv6: IPv4 beside it is written mapped. */
static void as_in6(const struct address *address, unsigned char out[16])
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (address->any.sa_family == AF_INET6) {
        memcpy(out, &address->in6.sin6_addr, 16);
        return;
    }
    memcpy(out, mapped, sizeof mapped);
    memcpy(out + 12, &address->in.sin_addr, 4);
}

static bool is_ip(const struct address *address)
{
    return address->any.sa_family == AF_INET || address->any.sa_family == AF_INET6;
}

static void write_line(const struct address *source, const struct address *destination, bool in,
                       struct buf *out)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char in6[16];
    const struct address *both[] = {source, destination};
    BUF_LITERAL(out, "PROXY TCP");
    buf_char(out, in ? '4' : '6');
    for (unsigned i = 0; i < 2; i++) {
        as_in6(both[i], in6);
        buf_char(out, ' ');
        buf_str_add(out, str_of(inet_ntop(in ? AF_INET : AF_INET6, in ? in6 + 12 : in6, text, sizeof text)));
    }
    for (unsigned i = 0; i < 2; i++) {
        buf_char(out, ' ');
        buf_u64(out, ntohs(both[i]->in.sin_port));
    }
    BUF_LITERAL(out, "\r\n");
}

static void write_fixed(unsigned command, unsigned family, unsigned length, struct buf *out)
{
    buf_add(out, signature, sizeof signature);
    buf_char(out, (char)command);
    buf_char(out, (char)family);
    buf_char(out, '\0'); /* no more than IN6_BYTES */
    buf_char(out, (char)length);
}

void proxy_protocol_write(enum proxy_protocol version, const struct address *source,
                          const struct address *destination, struct buf *out)
{
    bool ip = source && is_ip(source) && is_ip(destination);
    bool in = ip && source->any.sa_family == AF_INET && destination->any.sa_family == AF_INET;
    if (version == PROXY_PROTOCOL_V1) {
        if (ip)
            write_line(source, destination, in, out);
        else
            BUF_LITERAL(out, "PROXY UNKNOWN\r\n");
        return;
    }
    if (!ip) {
        write_fixed(source ? COMMAND_PROXY : COMMAND_LOCAL, FAMILY_UNSPEC << 4 | TRANSPORT_UNSPEC, 0, out);
        return;
    }
    unsigned char in6[16];
    size_t from = in ? 12 : 0;
    write_fixed(COMMAND_PROXY, (in ? FAMILY_IN : FAMILY_IN6) << 4 | TRANSPORT_STREAM,
                in ? IN_BYTES : IN6_BYTES, out);
    as_in6(source, in6);
    buf_add(out, (const char *)in6 + from, sizeof in6 - from);
    as_in6(destination, in6);
    buf_add(out, (const char *)in6 + from, sizeof in6 - from);
    buf_add(out, (const char *)&source->in.sin_port, 2);
    buf_add(out, (const char *)&destination->in.sin_port, 2);
}
