/* dns_srv: the SRV records of an answer of the DNS (RFC 1035, section 4; RFC 2782). Pure. */
#ifndef CODEC_DNS_SRV_H
#define CODEC_DNS_SRV_H

#include <stddef.h>
#include <stdint.h>

enum { DNS_NAME_SIZE = 256 }; /* a name as text, with its NUL */

struct dns_srv {
    uint16_t priority, weight, port;
    char target[DNS_NAME_SIZE]; /* "" is the root: the service isn't offered */
};

/* Fills `records`, `most` at most, and `*ttl` with the least of their TTLs and of those of aliases that led to them,
 * seconds. Returns how many the answer has, those beyond `most` too; -1: it is malformed. A record with a name that can't be
 * a host's (bytes other than letters, digits, - and _) makes it so. */
int dns_srv_parse(const unsigned char *data, size_t length, struct dns_srv *records, unsigned most,
                  uint32_t *ttl);

#endif
