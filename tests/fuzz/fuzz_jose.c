/* Tokens and sets of keys: whatever the bytes, they are read inside them, and no token that isn't signed is good. */
#include "tests/fuzz/fuzz.h"

#include "worker/codec/jose.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct arena *arena;
    struct jose_keys own = {.count = 1}, set = {.count = 0};
    const struct jose_key *used = NULL;
    const char *why = NULL;
    struct jose jose;
    if (!arena)
        arena = arena_new(1 << 16);
    arena_reset(arena);
    own.keys[0] = jose_key_new(arena, jose_algorithm(STR("HS256")), (struct str){NULL, 0},
                               STR("a secret of 32 bytes, or of more"), &why);
    char *copy = malloc(size ? size : 1); /* so that reading behind it is seen */
    CHECK(copy && own.keys[0]);
    memcpy(copy, data, size);
    if (jose_read(&jose, (struct str){copy, size}, arena) == JOSE_GOOD)
        CHECK(jose_verify(&jose, &own, &used) != JOSE_GOOD);
    if (!jose_keys_add(arena, &set, (struct str){copy, size}, true, &why))
        CHECK(why);
    CHECK(set.count + set.left_out <= size);
    free(copy);
    return 0;
}
