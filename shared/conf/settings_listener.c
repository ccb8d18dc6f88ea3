/* settings_listener: an address that is listened on. */
#include "shared/conf/sections.h"

/* "0660": three or four octal digits. */
static bool mode_parse(const char *text, unsigned *mode)
{
    size_t length = strlen(text);
    if (length < 3 || length > 4 || strspn(text, "01234567") != length)
        return false;
    *mode = 0;
    for (; *text; text++)
        *mode = *mode * 8 + (unsigned)(*text - '0');
    return *mode <= 0777;
}

static void listener_check(struct conf_loader *loader, void *structure)
{
    struct listener_settings *listener = structure;
    const char *why;
    if (!address_parse(str_of(listener->listen), &listener->address, &why)) {
        conf_error(loader, listener->origin, "listen", "\"%s\": %s", listener->listen, why);
        listener->address.length = 0;
        return;
    }
    if (!listener->name)
        listener->name = listener->listen;
    if (listener->address.any.sa_family != AF_UNIX) {
        const char *setting = listener->mode    ? "mode"
                              : listener->owner ? "owner"
                              : listener->group ? "group"
                                                : NULL;
        if (setting)
            conf_error(loader, listener->origin, setting,
                       "is for UNIX sockets only (listen = \"unix:/path\")");
        return;
    }
    if (!listener->mode)
        listener->mode = "0660";
    if (!mode_parse(listener->mode, &listener->unix_mode))
        conf_error(loader, listener->origin, "mode",
                   "\"%s\" is not a mode (write octal digits, as in \"0660\")", listener->mode);
}

/* By enum proxy_accept. */
static const char *const proxy_words[] = {"off", "on", "trusted", NULL};

#define LISTENER(kind_, member, ...) ROW_(kind_, struct listener_settings, member, __VA_ARGS__)

static const struct row rows[] = {
    LISTENER(ROW_STRING, listen, .flags = ROW_REQUIRED,
             .help = "the address: 0.0.0.0:8080, [::]:8080 or unix:/path"),
    LISTENER(ROW_STRING, name, .help = "what APIs call it in `listeners`; without it: its address"),
    LISTENER(ROW_NUMBER, backlog, .fallback = "4096", .min = 1, .max = 65535,
             .help = "connections that may wait to be accepted; the kernel's somaxconn bounds it"),
    LISTENER(
        ROW_NUMBER, max_connections, .fallback = "0", .min = 0, .max = 1 << 20,
        .help = "connections of this listener that one worker holds; more wait to be accepted; 0: as many as "
                "the worker's max_connections"),
    LISTENER(
        ROW_WORD, proxy_protocol, .fallback = "off", .words = proxy_words,
        .help =
            "whether each connection begins with a header of the PROXY protocol (version 1 or 2) that names "
            "its client; trusted: those from trusted_proxies do, others are clients themselves"),
    LISTENER(ROW_OPTIONAL, tls, .section = &tls_section,
             .help = "TLS (https) on its connections, behind a PROXY header if there is one"),
    LISTENER(
        ROW_FLAG, h2c, .fallback = "true",
        .help = "without tls: whether a connection that begins with HTTP/2's preface speaks HTTP/2; with tls "
                "tls.alpn says which protocols there are"),
    LISTENER(ROW_STRING, mode, .help = "the permissions of a UNIX socket, octal; without it: 0660"),
    LISTENER(ROW_STRING, owner, .help = "the owner of a UNIX socket; without it: who starts the program"),
    LISTENER(ROW_STRING, group,
             .help = "the group of a UNIX socket; without it: that of who starts the program"),
    ROW_END,
};

const struct section listener_section = {
    .name = "listener",
    .size = sizeof(struct listener_settings),
    .rows = rows,
    .shorthand = "listen",
    .check = listener_check,
};
