/* sha256: SHA-256 of short texts, many times: what the library looks up for each is looked up once. */
#ifndef CODEC_SHA256_H
#define CODEC_SHA256_H

#include "shared/base/arena.h"

enum { SHA256_BYTES = 32 };

struct sha256;

/* Lives as long as `arena`. Processes forked later have one each. */
struct sha256 *sha256_new(struct arena *arena);

/* False: the library is out of memory. */
bool sha256_of(struct sha256 *sha256, struct str text, unsigned char digest[SHA256_BYTES]);

#endif
