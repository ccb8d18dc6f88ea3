/* ticket_keys: called by master.c. */
#include "master/ticket_keys.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>

#include "shared/base/clock.h"
#include "shared/base/log.h"

/* A clock that was set back must not keep a key for ever: what was made in the future is taken as old. */
static bool is_within(const struct ticket_key *key, uint64_t now, uint64_t span)
{
    return key->made <= now && now - key->made < span;
}

static void make(struct ticket_key *key, uint64_t now)
{
    if (RAND_bytes(key->name, sizeof key->name) != 1 ||
        RAND_priv_bytes(key->cipher, sizeof key->cipher) != 1 ||
        RAND_priv_bytes(key->digest, sizeof key->digest) != 1) {
        log_error("there is no randomness for a key of session tickets");
        abort(); /* as when there is no memory: getrandom() doesn't fail */
    }
    key->made = now;
}

bool ticket_keys_advance(struct ticket_keys *keys, uint64_t now, uint64_t lifetime)
{
    bool due = keys->count == 0 || !is_within(&keys->key[0], now, lifetime);
    unsigned kept = 0, room = due ? TICKET_KEYS - 1 : TICKET_KEYS;
    struct ticket_keys next = {0};
    if (due)
        make(&next.key[next.count++], now);
    for (; kept < keys->count && kept < room && is_within(&keys->key[kept], now, 2 * lifetime); kept++)
        next.key[next.count++] = keys->key[kept];
    bool changed = due || kept < keys->count;
    if (changed)
        *keys = next;
    OPENSSL_cleanse(&next, sizeof next);
    return changed;
}

void ticket_keys_turn(struct tickets *tickets, uint64_t lifetime_ms)
{
    struct ticket_keys keys = {0};
    uint64_t seen;
    tickets_read(tickets, &keys, &seen);
    if (ticket_keys_advance(&keys, clock_wall_ns() / NS_PER_SECOND, lifetime_ms / 1000)) {
        tickets_publish(tickets, &keys);
        log_debug("session tickets are sealed with a new key; %u can be opened with", (unsigned)keys.count);
    }
    OPENSSL_cleanse(&keys, sizeof keys);
}
