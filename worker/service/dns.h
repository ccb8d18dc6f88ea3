/* dns: questions to name servers, by c-ares on a loop of ours: nothing blocks but the reading of /etc/hosts and, once, of
 * /etc/resolv.conf and /etc/nsswitch.conf. For processes that carry no traffic.
 */
#ifndef SERVICE_DNS_H
#define SERVICE_DNS_H

#include "shared/conf/settings.h"
#include "shared/shm/names.h"
#include "worker/codec/dns_srv.h"
#include "worker/loop/loop.h"

struct dns;

/* Ended by `failure`: NAME_FOUND, or why not; then there is nothing. Called once, possibly before the call that asked
 * returns, or from dns_free() with `over`: then no other question may be asked. */
struct dns_addresses {
    enum name_failure failure;
    bool over;
    uint32_t ttl;                     /* seconds; 0 for what /etc/hosts says */
    const struct name_address *items; /* without a port */
    unsigned count;
};
typedef void dns_on_addresses(void *context, const struct dns_addresses *addresses);

struct dns_services {
    enum name_failure failure;
    bool over;
    uint32_t ttl;
    const struct dns_srv *items;
    unsigned count;
};
typedef void dns_on_services(void *context, const struct dns_services *services);

/* NULL, and `*why` in words. The loop must outlive it. */
struct dns *dns_new(struct loop *loop, const struct resolver_settings *settings, const char **why);

/* What is under way ends first. Not from a callback. */
void dns_free(struct dns **dns);

/* A or AAAA records, or /etc/hosts. */
void dns_ask_addresses(struct dns *dns, const char *host, enum name_family family, dns_on_addresses *done,
                       void *context);

/* SRV records. */
void dns_ask_services(struct dns *dns, const char *name, dns_on_services *done, void *context);

#endif
