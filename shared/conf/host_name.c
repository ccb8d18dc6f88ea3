/* host_name: called when a configuration is read. */
#include "shared/conf/host_name.h"

#include <ctype.h>

static const struct str srv_prefix = {"srv:", 4};

static bool fail(const char **why, const char *text)
{
    *why = text;
    return false;
}

bool host_name_is_meant(struct str text)
{
    if (str_starts(text, srv_prefix))
        return true;
    if (text.length == 0 || text.data[0] == '[' || str_starts(text, STR("unix:")))
        return false;
    struct str port = text, host = str_cut(&port, ':');
    if (str_index(port, ':') >= 0)
        return false; /* an IPv6 address without its brackets */
    for (size_t i = 0; i < host.length; i++)
        if (!isdigit((unsigned char)host.data[i]) && host.data[i] != '.' && host.data[i] != '*')
            return true;
    return false;
}

static bool label_is_good(struct str label)
{
    if (label.length == 0 || label.length > HOST_LABEL_MAX_LENGTH || label.data[0] == '-' ||
        label.data[label.length - 1] == '-')
        return false;
    for (size_t i = 0; i < label.length; i++)
        if (!isalnum((unsigned char)label.data[i]) && label.data[i] != '-' && label.data[i] != '_')
            return false;
    return true;
}

static bool is_number(struct str label)
{
    for (size_t i = 0; i < label.length; i++)
        if (!isdigit((unsigned char)label.data[i]))
            return false;
    return true;
}

/* A dot at the end is the root's: such a name is not completed by the search list. */
static bool check_host(struct str host, const char **why)
{
    struct str rest = host, label = {NULL, 0};
    for (size_t i = 0; i < host.length; i++)
        if ((unsigned char)host.data[i] >= 0x80)
            return fail(why, "a name has ASCII letters only (write an international one as xn--…)");
    if (rest.length && rest.data[rest.length - 1] == '.')
        rest.length--;
    if (rest.length == 0)
        return fail(why, "the name is missing: orders.internal:80");
    if (rest.length > HOST_NAME_MAX_LENGTH)
        return fail(why, "a name can have 253 bytes at most");
    while (rest.data) {
        label = str_cut(&rest, '.');
        if (!label_is_good(label))
            return fail(why,
                        "it is neither an address nor a name: a part between two dots has 1 to 63 letters, "
                        "digits, - and _, and no - at its ends");
    }
    if (is_number(label))
        return fail(why, "it is neither an IP address nor a name, which doesn't end in a number");
    return true;
}

bool host_name_parse(struct str text, struct host_name *name, const char **why)
{
    uint64_t port = 0;
    struct str rest = text;
    *name = (struct host_name){.srv = str_starts(text, srv_prefix)};
    if (name->srv) {
        name->host = str_from(text, srv_prefix.length);
        if (str_index(name->host, ':') >= 0)
            return fail(why, "SRV records have the port: srv:_http._tcp.orders.internal");
        return check_host(name->host, why);
    }
    name->host = str_cut(&rest, ':');
    if (!check_host(name->host, why))
        return false;
    if (rest.length == 0)
        return fail(why, "the port is missing: orders.internal:80");
    if (rest.length > 5 || !str_to_u64(rest, 65535, &port) || port == 0)
        return fail(why, "the port must be a number from 1 to 65535");
    name->port = (uint16_t)port;
    return true;
}
