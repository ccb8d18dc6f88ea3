/* hash: XXH3 for names that we chose, SipHash-1-3 for what clients choose. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stdint.h>

#include "shared/base/str.h"

/* Not for keys that a client chooses: collisions are easy to make. */
uint64_t hash_name(struct str s);

/* SipHash-1-3 under a secret 128-bit key. */
uint64_t hash_keyed(const uint64_t key[2], const void *data, size_t length);

#endif
