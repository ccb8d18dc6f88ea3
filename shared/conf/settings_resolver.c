/* settings_resolver: how endpoints that are names are looked up. */
#include "shared/conf/sections.h"

#define SECOND 1000
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)

enum { DNS_PORT = 53 };

/* "10.0.0.2", "fd00::2", or either with a port. */
static bool parse_server(struct str text, struct address *address, const char **why)
{
    if (address_parse_ip(text, AF_INET, address))
        address->in.sin_port = htons(DNS_PORT);
    else if (address_parse_ip(text, AF_INET6, address))
        address->in6.sin6_port = htons(DNS_PORT);
    else if (!address_parse(text, address, why))
        return false;
    *why = "a name server is reached by UDP and TCP: 10.0.0.2, or 10.0.0.2:5353";
    return address->any.sa_family != AF_UNIX;
}

static void resolver_check(struct conf_loader *loader, void *structure)
{
    struct resolver_settings *resolver = structure;
    const struct conf_strings *texts = &resolver->servers;
    resolver->addresses = arena_array(conf_arena(loader), texts->count, sizeof *resolver->addresses);
    for (unsigned i = 0; i < texts->count; i++) {
        const char *why;
        if (!parse_server(str_of(texts->items[i]), &resolver->addresses[i], &why))
            conf_error(loader, resolver->origin, "servers", "\"%s\": %s", texts->items[i], why);
    }
    if (resolver->min_ttl > resolver->max_ttl)
        conf_error(loader, resolver->origin, "min_ttl", "is more than max_ttl (%lld ms)",
                   (long long)resolver->max_ttl);
}

/* By enum resolver_family. */
static const char *const family_words[] = {"any", "ipv4", "ipv6", NULL};

#define RESOLVER(kind_, member, ...) ROW_(kind_, struct resolver_settings, member, __VA_ARGS__)

static const struct row resolver_rows[] = {
    RESOLVER(ROW_STRINGS, servers,
             .help = "the name servers, with a port where it isn't 53; without it those of /etc/resolv.conf"),
    RESOLVER(ROW_WORD, family, .fallback = "any", .words = family_words,
             .help = "which addresses are asked for: A and AAAA records, only A, or only AAAA"),
    RESOLVER(ROW_DURATION, timeout, .fallback = "2s", .min = 10, .max = MINUTE,
             .help =
                 "how long a name server may take; in each further round over all of them twice as long as "
                 "before"),
    RESOLVER(ROW_NUMBER, attempts, .fallback = "2", .min = 1, .max = 10,
             .help = "rounds over the name servers, until a look-up has failed"),
    RESOLVER(ROW_DURATION, min_ttl, .fallback = "5s", .min = 10, .max = 24 * HOUR,
             .help =
                 "a name is looked up again when the TTL of its answer is over, but not sooner than this"),
    RESOLVER(ROW_DURATION, max_ttl, .fallback = "5m", .min = 10, .max = 24 * HOUR,
             .help = "and not later than this"),
    RESOLVER(
        ROW_DURATION, start, .fallback = "5s", .min = 0, .max = 10 * MINUTE,
        .help = "how long a start or a reload waits for the first answers of new names; then it goes on, and "
                "who asks for such an upstream gets 503 until they come"),
    ROW_END,
};

const struct section resolver_section = {
    .name = "resolver",
    .size = sizeof(struct resolver_settings),
    .rows = resolver_rows,
    .shorthand = "servers",
    .check = resolver_check,
};
