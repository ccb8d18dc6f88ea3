/* addresses: how many connections each client address has in this process: a hash table of chains. A cell stays where it
 * is while it is used, so that a connection names it by its index.
 */
#include "worker/net/addresses.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/hash.h"

struct key {
    uint64_t network;
    uint32_t family;
    uint32_t scope; /* the interface of a link-local one */
};

struct cell {
    struct key key;
    uint32_t count; /* connections */
    uint32_t next;  /* in the chain, or of the unused ones; 0: none */
};

struct addresses {
    uint64_t hash_key[2];
    struct cell *cells; /* cell 0 is none */
    uint32_t *chains;   /* the first cell of each */
    uint32_t mask;      /* chains less one */
    uint32_t unused;    /* given back before */
    uint32_t fresh;     /* from here on never used: those pages are not touched */
    uint32_t most;
};

struct addresses *addresses_new(unsigned most, const uint64_t key[2])
{
    struct addresses *addresses = calloc(1, sizeof *addresses);
    uint32_t chains = 64;
    while (chains < most)
        chains *= 2;
    if (!addresses)
        abort();
    addresses->cells = calloc((size_t)most + 1, sizeof *addresses->cells);
    addresses->chains = calloc(chains, sizeof *addresses->chains);
    if (!addresses->cells || !addresses->chains)
        abort();
    memcpy(addresses->hash_key, key, sizeof addresses->hash_key);
    addresses->mask = chains - 1;
    addresses->fresh = 1;
    addresses->most = most;
    return addresses;
}

void addresses_free(struct addresses **addresses)
{
    if (!*addresses)
        return;
    free((*addresses)->cells);
    free((*addresses)->chains);
    free(*addresses);
    *addresses = NULL;
}

static bool key_of(const struct address *address, struct key *key)
{
    *key = (struct key){.family = address->any.sa_family};
    if (address->any.sa_family == AF_INET) {
        key->network = address->in.sin_addr.s_addr;
        return true;
    }
    if (address->any.sa_family != AF_INET6)
        return false;
    bool link_local = IN6_IS_ADDR_LINKLOCAL(&address->in6.sin6_addr);
    memcpy(&key->network, address->in6.sin6_addr.s6_addr + (link_local ? 8 : 0), sizeof key->network);
    key->scope = link_local ? address->in6.sin6_scope_id + 1 : 0;
    return true;
}

static uint32_t *chain_of(struct addresses *addresses, const struct key *key)
{
    return &addresses->chains[hash_keyed(addresses->hash_key, key, sizeof *key) & addresses->mask];
}

static bool same(const struct key *a, const struct key *b)
{
    return a->network == b->network && a->family == b->family && a->scope == b->scope;
}

static uint32_t take_cell(struct addresses *addresses)
{
    uint32_t index = addresses->unused;
    if (index)
        addresses->unused = addresses->cells[index].next;
    else if (addresses->fresh <= addresses->most)
        index = addresses->fresh++;
    return index;
}

bool addresses_enter(struct addresses *addresses, const struct address *address, unsigned limit,
                     uint32_t *cell)
{
    struct key key;
    *cell = 0;
    if (!key_of(address, &key))
        return true;
    uint32_t *chain = chain_of(addresses, &key), index = *chain;
    while (index && !same(&addresses->cells[index].key, &key))
        index = addresses->cells[index].next;
    if (index) {
        if (addresses->cells[index].count >= limit)
            return false;
        addresses->cells[index].count++;
        *cell = index;
        return true;
    }
    index = take_cell(addresses);
    if (!index) /* more connections than max_connections: what drains a listener may do that */
        return true;
    addresses->cells[index] = (struct cell){.key = key, .count = 1, .next = *chain};
    *chain = index;
    *cell = index;
    return true;
}

void addresses_leave(struct addresses *addresses, uint32_t cell)
{
    if (!cell)
        return;
    struct cell *left = &addresses->cells[cell];
    assert(left->count > 0);
    if (--left->count > 0)
        return;
    uint32_t *link = chain_of(addresses, &left->key);
    while (*link != cell) {
        assert(*link);
        link = &addresses->cells[*link].next;
    }
    *link = left->next;
    left->next = addresses->unused;
    addresses->unused = cell;
}
