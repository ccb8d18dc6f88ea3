/* names: the zone. Written by worker/service/resolver.c, read by worker/upstream/places.c and the status. */
#include "shared/shm/names.h"

#include <arpa/inet.h>

CELLS_KIND(names, 1, struct name_cell, cells_release);

bool name_read(const struct name_cell *cell, struct name_list *list, uint64_t *seen)
{
    if (!twin_read(&cell->twin, cell->words, list, NAME_WORDS, seen))
        return false;
    list->count = 0;
    for (unsigned i = 0; i < NAME_PLACES; i++) {
        if (list->at[i].family >= NAME_FAMILIES)
            list->at[i].family = NAME_VACANT;
        list->count += list->at[i].family != NAME_VACANT;
    }
    return true;
}

const char *name_failure_text(uint32_t failure)
{
    static const char *const texts[NAME_FAILURES] = {
        [NAME_NOT_ASKED] = "has not been looked up yet",
        [NAME_FOUND] = "was found",
        [NAME_NO_SUCH] = "doesn't exist",
        [NAME_EMPTY] = "has no address that can be used",
        [NAME_TIMED_OUT] = "can't be looked up: no name server answered in time",
        [NAME_UNREACHABLE] =
            "can't be looked up: no name server can be reached, or they fail (SERVFAIL) or refuse",
        [NAME_MALFORMED] = "can't be looked up: the name server's answer is malformed",
        [NAME_NOT_OFFERED] = "has an SRV record that says that the service isn't offered",
        [NAME_FAILED] = "can't be looked up",
    };
    return texts[failure < NAME_FAILURES ? failure : NAME_FAILED];
}

static size_t ip_size(const struct name_address *address)
{
    return address->family == NAME_IPV4 ? 4 : 16;
}

bool name_address_same(const struct name_address *a, const struct name_address *b)
{
    return a->family == b->family && a->port == b->port &&
           (a->family == NAME_VACANT || memcmp(a->ip, b->ip, ip_size(a)) == 0);
}

bool name_address_socket(const struct name_address *name, struct address *address)
{
    memset(address, 0, sizeof *address);
    switch (name->family) {
    case NAME_IPV4:
        address->in.sin_family = AF_INET;
        address->in.sin_port = htons(name->port);
        memcpy(&address->in.sin_addr, name->ip, 4);
        address->length = sizeof address->in;
        return true;
    case NAME_IPV6:
        address->in6.sin6_family = AF_INET6;
        address->in6.sin6_port = htons(name->port);
        memcpy(&address->in6.sin6_addr, name->ip, 16);
        address->length = sizeof address->in6;
        return true;
    default:
        return false;
    }
}
