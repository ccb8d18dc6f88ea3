/* The name that a client asks for: whatever the bytes of its extension, the name lies inside, and is found by its own name
 * alone or by the wildcard above it.
 */
#include "tests/fuzz/fuzz.h"

#include "worker/net/tls_names.h"

static struct tls_names names_of(struct arena *arena)
{
    struct tls_claim claims[] = {
        {STR("a.example"), 0, TLS_RSA}, {STR("*.example"), 1, TLS_ECDSA}, {STR("b.a.example"), 2, TLS_RSA}};
    return tls_names_new(claims, sizeof claims / sizeof claims[0], arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char *copy = malloc(size ? size : 1); /* so that reading behind it is seen */
    struct arena *arena = arena_new(4096);
    struct tls_names names = names_of(arena);
    CHECK(copy);
    if (size)
        memcpy(copy, data, size);
    struct str host = tls_names_asked(copy, size);
    CHECK(host.length == 0 || (host.data >= (char *)copy && host.data + host.length <= (char *)copy + size));
    const struct tls_name *name = tls_names_find(&names, host);
    if (host.length && host.data[host.length - 1] == '.')
        host.length--;
    if (name && name->text.data[0] != '*')
        CHECK(str_case_eq(name->text, host));
    else if (name)
        CHECK(host.length >= name->text.length &&
              str_case_eq(str_from(host, host.length - name->text.length + 1), str_from(name->text, 1)));
    arena_free(&arena);
    free(copy);
    return 0;
}
