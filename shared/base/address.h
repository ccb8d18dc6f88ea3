/* address: a socket's address, from text and to text. No name is ever looked up here. */
#ifndef BASE_ADDRESS_H
#define BASE_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "shared/base/str.h"

struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    };
    socklen_t length;
};

/* The longest text of an address with its port and zone, and a NUL. */
#define ADDRESS_TEXT_SIZE 128

/* "127.0.0.1:80", "[::1]:80", "[fe80::1%eth0]:80" or "unix:/path". `*why` says in words what is wrong. */
bool address_parse(struct str text, struct address *address, const char **why);

/* An address alone, of the family AF_INET or AF_INET6: no port, brackets or zone. False: it isn't one. */
bool address_parse_ip(struct str text, int family, struct address *address);

/* The form of address_parse() back, shortened to the size; returns its length. */
size_t address_format(const struct address *address, char out[ADDRESS_TEXT_SIZE]);

/* Without port, brackets and zone: what stands in logs and X-Forwarded-For; "unix:" for a UNIX socket. */
size_t address_format_host(const struct address *address, char out[ADDRESS_TEXT_SIZE]);

/* A v4-mapped IPv6 address becomes the IPv4 one it is. */
void address_unmap(struct address *address);

bool address_eq(const struct address *a, const struct address *b);

#endif
