/* tls_names: called by tls_server.c, when a generation is loaded and at each handshake. */
#include "worker/net/tls_names.h"

#include <stdlib.h>

enum { NAME_BYTES = 253 };

static int compare(struct str a, struct str b)
{
    size_t least = a.length < b.length ? a.length : b.length;
    int order = least ? memcmp(a.data, b.data, least) : 0;
    return order ? order : (a.length > b.length) - (a.length < b.length);
}

/* By name; of one name the earlier of the configuration comes first. */
static int by_claim(const void *a, const void *b)
{
    const struct tls_claim *one = a, *other = b;
    int order = compare(one->name, other->name);
    return order ? order : (one->identity > other->identity) - (one->identity < other->identity);
}

struct tls_names tls_names_new(struct tls_claim *claims, unsigned count, struct arena *arena)
{
    struct tls_names names = {arena_array(arena, count, sizeof *names.items), 0};
    qsort(claims, count, sizeof *claims, by_claim);
    for (unsigned i = 0; i < count; i++) {
        if (names.count == 0 || !str_eq(names.items[names.count - 1].text, claims[i].name)) {
            struct tls_name *name = &names.items[names.count++];
            name->text = claims[i].name;
            for (unsigned a = 0; a < TLS_ALGORITHMS; a++)
                name->identities[a] = TLS_NAMELESS;
        }
        int *identity = &names.items[names.count - 1].identities[claims[i].algorithm];
        if (*identity == TLS_NAMELESS)
            *identity = (int)claims[i].identity;
    }
    return names;
}

static int by_name(const void *key, const void *item)
{
    return compare(*(const struct str *)key, ((const struct tls_name *)item)->text);
}

static struct tls_name *find(const struct tls_names *names, struct str text)
{
    if (names->count == 0)
        return NULL;
    return bsearch(&text, names->items, names->count, sizeof *names->items, by_name);
}

struct tls_name *tls_names_find(const struct tls_names *names, struct str host)
{
    char lower[NAME_BYTES + 1];
    if (host.length && host.data[host.length - 1] == '.')
        host.length--;
    if (host.length == 0 || host.length > NAME_BYTES)
        return NULL;
    for (size_t i = 0; i < host.length; i++) {
        char c = host.data[i];
        lower[i] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
    }
    struct tls_name *exact = find(names, (struct str){lower, host.length});
    const char *dot = memchr(lower, '.', host.length);
    if (exact || !dot || dot == lower)
        return exact;
    size_t label = (size_t)(dot - lower);
    lower[label - 1] = '*';
    return find(names, (struct str){lower + label - 1, host.length - label + 1});
}

struct str tls_names_asked(const unsigned char *extension, size_t length)
{
    enum { HEADER = 5, HOST_NAME = 0 };
    if (length < HEADER || extension[2] != HOST_NAME)
        return STR("");
    size_t list = (size_t)extension[0] << 8 | extension[1], name = (size_t)extension[3] << 8 | extension[4];
    if (list != length - 2 || name > length - HEADER)
        return STR("");
    return (struct str){(const char *)extension + HEADER, name};
}
