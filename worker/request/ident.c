/* ident: request ids. */
#include "shared/base/clock.h"
#include "worker/request/request.h"

struct str request_new_id(struct worker *worker, struct arena *arena)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t ms = worker->loop.wall_ns / NS_PER_MS, random = random_next(&worker->random);
    uint64_t high = ms << 16 | 0x7000 | (random >> 52);
    uint64_t low = 0x8000000000000000ull | random_next(&worker->random) >> 2;
    char *id = arena_alloc(arena, 36), *out = id;
    for (int i = 0; i < 32; i++) {
        uint64_t word = i < 16 ? high : low;
        if (i == 8 || i == 12 || i == 16 || i == 20)
            *out++ = '-';
        *out++ = digits[word >> (60 - 4 * (i & 15)) & 15];
    }
    return (struct str){id, 36};
}
