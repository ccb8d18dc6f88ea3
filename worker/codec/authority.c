/* authority: what a host and its port may be. Called for every request, and for what names hosts in fields. */
#include "worker/codec/authority.h"

#include "shared/base/address.h"

/* unreserved and sub-delims but the comma. */
static const bool in_name[256] = {
    ['!'] = true,         ['$'] = true, ['&'] = true, ['\''] = true,        ['('] = true,
    [')'] = true,         ['*'] = true, ['+'] = true, ['-'] = true,         ['.'] = true,
    [';'] = true,         ['='] = true, ['_'] = true, ['0' ... '9'] = true, ['A' ... 'Z'] = true,
    ['a' ... 'z'] = true, ['~'] = true,
};

/* The length of "[address]" at the front, or 0: it is none. */
static size_t bracketed(struct str authority)
{
    struct address address;
    ptrdiff_t end = str_index(authority, ']');
    if (end < 1 || !address_parse_ip((struct str){authority.data + 1, (size_t)end - 1}, AF_INET6, &address))
        return 0;
    return (size_t)end + 1;
}

bool authority_is_good(struct str authority)
{
    size_t length = 0;
    if (authority.length && authority.data[0] == '[')
        length = bracketed(authority);
    else
        while (length < authority.length && in_name[(unsigned char)authority.data[length]])
            length++;
    if (length == 0 || length == authority.length)
        return length > 0;
    if (authority.data[length] != ':')
        return false;
    struct str port = str_from(authority, length + 1);
    uint64_t number;
    return port.length == 0 || str_to_u64(port, 65535, &number);
}
