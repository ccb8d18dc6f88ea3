/* url: called when a configuration is loaded, and for URLs that an issuer's metadata has. */
#include "worker/codec/url.h"

#include "worker/codec/authority.h"

enum { HTTP_PORT = 80, HTTPS_PORT = 443 };

/* The host of a good authority, and the port if one is there. */
static void split(struct url *url, struct str authority, struct arena *arena)
{
    struct str port = authority, name;
    uint64_t number;
    if (authority.data[0] == '[') {
        name = str_from(str_cut(&port, ']'), 1);
        (void)str_cut(&port, ':');
    } else {
        name = str_cut(&port, ':');
    }
    if (port.length && str_to_u64(port, UINT16_MAX, &number))
        url->port = (uint16_t)number;
    url->name = arena_str(arena, name);
}

const char *url_parse(struct url *url, struct str text, struct arena *arena)
{
    struct str rest;
    url->tls = str_starts(text, STR("https://"));
    if (!url->tls && !str_starts(text, STR("http://")))
        return "it doesn't begin with https:// or http://";
    for (size_t i = 0; i < text.length; i++)
        if ((unsigned char)text.data[i] <= ' ' || (unsigned char)text.data[i] >= 0x7f)
            return "it has a space, a control character or a letter that isn't ASCII (write it "
                   "percent-encoded)";
    if (str_index(text, '#') >= 0)
        return "it has a fragment (leave out what begins with #)";
    rest = str_from(text, url->tls ? strlen("https://") : strlen("http://"));
    size_t length = 0;
    while (length < rest.length && rest.data[length] != '/' && rest.data[length] != '?')
        length++;
    struct str authority = {rest.data, length}, target = str_from(rest, length);
    if (str_index(authority, '@') >= 0)
        return "it has a user's name (leave out what stands before @)";
    if (!authority_is_good(authority))
        return "it has no host that can be asked";
    url->port = url->tls ? HTTPS_PORT : HTTP_PORT;
    url->authority = arena_str(arena, authority);
    split(url, authority, arena);
    url->target =
        str_of(arena_printf(arena, "%s%.*s", str_starts(target, STR("/")) ? "" : "/", STR_ARG(target)));
    return url->port ? NULL : "its port is 0";
}
