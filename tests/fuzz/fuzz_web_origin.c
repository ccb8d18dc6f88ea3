/* Origins: the first line is what a configuration allows, the second what a request says. What is met by a text without a star
 * is that text; what is met by a wildcard ends as it does. */
#include "tests/fuzz/fuzz.h"

#include "worker/codec/web_origin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + 1);
    CHECK(copy);
    memcpy(copy, data, size);
    copy[size] = '\0';
    char *line = memchr(copy, '\n', size);
    char *asked = malloc(size + 1); /* of its own, so that reading beside it is seen */
    CHECK(asked);
    size_t length = line ? size - (size_t)(line + 1 - copy) : 0;
    if (line) {
        memcpy(asked, line + 1, length);
        *line = '\0';
    }
    struct str allowed = str_of(copy), origin = {asked, length};
    if (!web_origin_wrong(allowed)) {
        struct arena *arena = arena_new(4096);
        const char *texts[] = {copy};
        struct web_origins origins = web_origins_of(texts, 1, NULL, 0, arena);
        bool have = web_origins_have(&origins, origin);
        bool star = str_index(allowed, '*') >= 0;
        CHECK(!have || star || str_eq(origin, allowed));
        CHECK(!have || origins.any || str_index(origin, '@') < 0);
        if (!star)
            CHECK(web_origins_have(&origins, allowed) || allowed.length > 512);
        arena_free(&arena);
    }
    web_origin_wrong(origin);
    free(asked);
    free(copy);
    return 0;
}
