/* ident: request ids. */
#include <endian.h>

#include "shared/base/clock.h"
#include "worker/request/request.h"

/* A hexadecimal digit for each of eight half bytes, the highest first: in one word, not one by one. */
static void put_hex(char *out, uint32_t value)
{
    uint64_t spread = value; /* a half byte in each byte */
    spread = (spread | spread << 16) & 0x0000ffff0000ffff;
    spread = (spread | spread << 8) & 0x00ff00ff00ff00ff;
    spread = (spread | spread << 4) & 0x0f0f0f0f0f0f0f0f;
    uint64_t letters = (spread + 0x0606060606060606) >> 4 & 0x0101010101010101; /* 1 for each above 9 */
    uint64_t text = htobe64(spread + 0x3030303030303030 + letters * ('a' - '0' - 10));
    memcpy(out, &text, sizeof text);
}

struct str request_new_id(struct worker *worker, struct arena *arena)
{
    uint64_t ms = worker->loop.wall_ns / NS_PER_MS, random = random_next(&worker->random);
    uint64_t high = ms << 16 | 0x7000 | (random >> 52);
    uint64_t low = 0x8000000000000000ull | random_next(&worker->random) >> 2;
    char digits[32], *id = arena_alloc(arena, 36);
    put_hex(digits, (uint32_t)(high >> 32));
    put_hex(digits + 8, (uint32_t)high);
    put_hex(digits + 16, (uint32_t)(low >> 32));
    put_hex(digits + 24, (uint32_t)low);
    memcpy(id, digits, 8);
    memcpy(id + 9, digits + 8, 4);
    memcpy(id + 14, digits + 12, 4);
    memcpy(id + 19, digits + 16, 4);
    memcpy(id + 24, digits + 20, 12);
    id[8] = id[13] = id[18] = id[23] = '-';
    return (struct str){id, 36};
}
