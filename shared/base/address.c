/* address: text ↔ socket address. Called when a configuration is read and for log lines; pure but for the names of
 * network interfaces.
 */
#include "shared/base/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>

#include "shared/base/buf.h"

static bool fail(const char **why, const char *text)
{
    *why = text;
    return false;
}

static bool parse_unix(struct str path, struct address *address, const char **why)
{
    if (path.length == 0 || path.data[0] != '/')
        return fail(why, "the path of a UNIX socket must be absolute: unix:/path");
    if (path.length >= sizeof(address->un.sun_path))
        return fail(why, "the path of a UNIX socket can have 107 bytes at most");
    if (str_index(path, '\0') >= 0)
        return fail(why, "the path of a UNIX socket can't hold a NUL byte");
    address->un.sun_family = AF_UNIX;
    memcpy(address->un.sun_path, path.data, path.length);
    address->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.length + 1);
    return true;
}

static bool parse_port(struct str text, in_port_t *port, const char **why)
{
    uint64_t value;
    if (text.length > 5 || !str_to_u64(text, 65535, &value) || value == 0)
        return fail(why, "the port must be a number from 1 to 65535");
    *port = htons((in_port_t)value);
    return true;
}

/* A NUL-terminated copy for the C library; false: too long, or a NUL inside. */
static bool copy_text(struct str text, char *out, size_t size)
{
    if (text.length == 0 || text.length >= size || str_index(text, '\0') >= 0)
        return false;
    memcpy(out, text.data, text.length);
    out[text.length] = '\0';
    return true;
}

bool address_parse_ip(struct str text, int family, struct address *address)
{
    char copy[INET6_ADDRSTRLEN];
    bool in = family == AF_INET;
    *address = (struct address){.length = in ? sizeof(address->in) : sizeof(address->in6)};
    address->any.sa_family = (sa_family_t)family;
    return copy_text(text, copy, sizeof(copy)) &&
           inet_pton(family, copy, in ? (void *)&address->in.sin_addr : &address->in6.sin6_addr) == 1;
}

static bool parse_zone(struct str zone, uint32_t *scope, const char **why)
{
    uint64_t index;
    if (str_to_u64(zone, UINT32_MAX, &index) && index > 0) {
        *scope = (uint32_t)index;
        return true;
    }
    char name[IF_NAMESIZE];
    if (!copy_text(zone, name, sizeof(name)) || (*scope = if_nametoindex(name)) == 0)
        return fail(why, "the zone (what follows %) names no network interface of this machine");
    return true;
}

static bool parse_in6(struct str host, struct address *address, const char **why)
{
    struct str zone = host;
    host = str_cut(&zone, '%');
    if (!address_parse_ip(host, AF_INET6, address))
        return fail(why, "what stands in brackets is not an IPv6 address");
    bool local = IN6_IS_ADDR_LINKLOCAL(&address->in6.sin6_addr);
    if (zone.data && !local)
        return fail(why, "only a link-local address (fe80::/10) has a zone");
    if (!zone.data && local)
        return fail(why, "a link-local address needs its zone, the network interface: [fe80::1%eth0]:80");
    return !local || parse_zone(zone, &address->in6.sin6_scope_id, why);
}

static bool parse_brackets(struct str text, struct address *address, const char **why)
{
    ptrdiff_t end = str_index(text, ']');
    if (end < 0)
        return fail(why, "the closing bracket is missing: [::1]:80");
    struct str host = {text.data + 1, (size_t)end - 1}, port = str_from(text, (size_t)end + 1);
    if (port.length < 2 || port.data[0] != ':')
        return fail(why, "the port is missing: [::1]:80");
    return parse_in6(host, address, why) && parse_port(str_from(port, 1), &address->in6.sin6_port, why);
}

static bool parse_in(struct str text, struct address *address, const char **why)
{
    struct str port = text, host = str_cut(&port, ':');
    if (str_index(port, ':') >= 0)
        return fail(why, "an IPv6 address stands in brackets: [::1]:80");
    uint64_t number;
    if (host.length == 0 || str_eq(host, STR("*")) || (!port.data && str_to_u64(host, 65535, &number)))
        return fail(why, "the address is missing: for all of this machine's write 0.0.0.0:PORT or [::]:PORT");
    if (!address_parse_ip(host, AF_INET, address))
        return fail(
            why,
            "it is not an IP address (names are not looked up here): 127.0.0.1:80, [::1]:80 or unix:/path");
    if (port.length == 0)
        return fail(why, "the port is missing: 127.0.0.1:80");
    return parse_port(port, &address->in.sin_port, why);
}

bool address_parse(struct str text, struct address *address, const char **why)
{
    memset(address, 0, sizeof(*address));
    if (text.length == 0)
        return fail(why, "it is empty: 127.0.0.1:80, [::1]:80 or unix:/path");
    if (str_starts(text, STR("unix:")))
        return parse_unix(str_from(text, 5), address, why);
    if (text.data[0] == '[')
        return parse_brackets(text, address, why);
    return parse_in(text, address, why);
}

/* In every request's X-Forwarded-For: without a call a number. */
static void add_in(struct buf *out, const struct in_addr *in)
{
    char text[16], *at = text;
    uint32_t host = ntohl(in->s_addr);
    for (int shift = 24; shift >= 0; shift -= 8) {
        unsigned octet = host >> shift & 255;
        if (octet >= 100)
            *at++ = (char)('0' + octet / 100);
        if (octet >= 10)
            *at++ = (char)('0' + octet / 10 % 10);
        *at++ = (char)('0' + octet % 10);
        *at++ = '.';
    }
    buf_add(out, text, (size_t)(at - 1 - text));
}

static void add_in6(struct buf *out, const struct in6_addr *in6)
{
    char text[INET6_ADDRSTRLEN];
    buf_str_add(out, str_of(inet_ntop(AF_INET6, in6, text, sizeof(text))));
}

static void add_zone(struct buf *out, uint32_t scope)
{
    char name[IF_NAMESIZE];
    if (!scope)
        return;
    buf_char(out, '%');
    if (if_indextoname(scope, name))
        buf_str_add(out, str_of(name));
    else
        buf_u64(out, scope);
}

/* A peer that didn't bind has no path; one in the abstract name space begins with a NUL, shown as @. */
static void add_path(struct buf *out, const struct address *address)
{
    size_t head = offsetof(struct sockaddr_un, sun_path);
    const char *path = address->un.sun_path;
    if (address->length <= head)
        return;
    size_t length = address->length - head;
    if (length > sizeof(address->un.sun_path))
        length = sizeof(address->un.sun_path);
    if (path[0] == '\0' && length > 1) {
        buf_char(out, '@');
        buf_add(out, path + 1, strnlen(path + 1, length - 1));
    } else {
        buf_add(out, path, strnlen(path, length));
    }
}

static size_t finish(struct buf *out)
{
    out->data[out->length] = '\0';
    return out->length;
}

size_t address_format(const struct address *address, char out[ADDRESS_TEXT_SIZE])
{
    struct buf buf = buf_on(out, ADDRESS_TEXT_SIZE - 1);
    switch (address->any.sa_family) {
    case AF_INET:
        add_in(&buf, &address->in.sin_addr);
        buf_char(&buf, ':');
        buf_u64(&buf, ntohs(address->in.sin_port));
        break;
    case AF_INET6:
        buf_char(&buf, '[');
        add_in6(&buf, &address->in6.sin6_addr);
        add_zone(&buf, address->in6.sin6_scope_id);
        BUF_LITERAL(&buf, "]:");
        buf_u64(&buf, ntohs(address->in6.sin6_port));
        break;
    case AF_UNIX:
        BUF_LITERAL(&buf, "unix:");
        add_path(&buf, address);
        break;
    default:
        BUF_LITERAL(&buf, "unknown");
    }
    return finish(&buf);
}

size_t address_format_host(const struct address *address, char out[ADDRESS_TEXT_SIZE])
{
    struct buf buf = buf_on(out, ADDRESS_TEXT_SIZE - 1);
    switch (address->any.sa_family) {
    case AF_INET:
        add_in(&buf, &address->in.sin_addr);
        break;
    case AF_INET6:
        add_in6(&buf, &address->in6.sin6_addr);
        break;
    case AF_UNIX:
        BUF_LITERAL(&buf, "unix:");
        break;
    default:
        BUF_LITERAL(&buf, "unknown");
    }
    return finish(&buf);
}

void address_unmap(struct address *address)
{
    if (address->any.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&address->in6.sin6_addr))
        return;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = address->in6.sin6_port};
    memcpy(&in.sin_addr, address->in6.sin6_addr.s6_addr + 12, 4);
    memset(address, 0, sizeof(*address));
    address->in = in;
    address->length = sizeof(in);
}

bool address_eq(const struct address *a, const struct address *b)
{
    if (a->any.sa_family != b->any.sa_family)
        return false;
    switch (a->any.sa_family) {
    case AF_INET:
        return a->in.sin_port == b->in.sin_port && a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
    case AF_INET6:
        return a->in6.sin6_port == b->in6.sin6_port && a->in6.sin6_scope_id == b->in6.sin6_scope_id &&
               IN6_ARE_ADDR_EQUAL(&a->in6.sin6_addr, &b->in6.sin6_addr);
    case AF_UNIX:
        return a->length == b->length && memcmp(&a->un, &b->un, a->length) == 0;
    default:
        return false;
    }
}
