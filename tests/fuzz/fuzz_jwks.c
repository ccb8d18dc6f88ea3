/* What an issuer answers: whatever the bytes, a set has keys or a reason, and metadata leads on only for its own issuer. */
#include "tests/fuzz/fuzz.h"

#include "worker/service/jwks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size ? size : 1); /* so that reading behind it is seen */
    CHECK(copy);
    memcpy(copy, data, size);
    struct str text = {copy, size};
    struct arena *arena = arena_new(1024);
    unsigned count;
    const char *uri = NULL;
    CHECK(!jwks_wrong(text, &count) == (count > 0));
    if (!jwks_discover(text, "https://a", &uri, arena))
        CHECK(uri && strncmp(uri, "https:", 6) == 0);
    else
        CHECK(!uri);
    arena_free(&arena);
    free(copy);
    return 0;
}
