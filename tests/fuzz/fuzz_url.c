/* URLs that an issuer's metadata has, and its Cache-Control: whatever the bytes, what is taken is a line that can be sent, its
 * parts make the same URL again, and directives come to an end inside the field. */
#include "tests/fuzz/fuzz.h"

#include "worker/codec/cache_control.h"
#include "worker/codec/url.h"

static void check_url(struct str text)
{
    struct arena *arena = arena_new(4096);
    struct url url, again;
    if (!url_parse(&url, text, arena)) {
        CHECK(url.port && url.name.length && url.authority.length >= url.name.length);
        CHECK(url.name.data[url.name.length] == '\0' && strlen(url.name.data) == url.name.length);
        CHECK(url.target.length && url.target.data[0] == '/');
        for (size_t i = 0; i < url.target.length; i++)
            CHECK(url.target.data[i] > ' ' && url.target.data[i] < 0x7f);
        struct str same = str_of(arena_printf(arena, "http%s://%.*s%.*s", url.tls ? "s" : "",
                                              STR_ARG(url.authority), STR_ARG(url.target)));
        CHECK(!url_parse(&again, same, arena));
        CHECK(again.port == url.port && str_eq(again.name, url.name) && str_eq(again.target, url.target));
    }
    arena_free(&arena);
}

static void check_cache_control(struct str field)
{
    struct str rest = field, name, argument;
    size_t before = field.length + 1;
    while (cache_control_next(&rest, &name, &argument)) {
        CHECK(name.length && rest.length < before);
        CHECK(name.data >= field.data && name.data + name.length <= field.data + field.length);
        CHECK(!argument.length || argument.data + argument.length <= field.data + field.length);
        before = rest.length;
    }
    CHECK(cache_control_fresh(field, field) >= CACHE_CONTROL_UNSAID);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size ? size : 1); /* so that reading behind it is seen */
    CHECK(copy);
    memcpy(copy, data, size);
    check_url((struct str){copy, size});
    check_cache_control((struct str){copy, size});
    free(copy);
    return 0;
}
