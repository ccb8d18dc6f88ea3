/* authority: host [":" port] as it stands in Host, in an absolute target, and in what proxies say of them (RFC 3986, section
 * 3.2). Pure. */
#ifndef CODEC_AUTHORITY_H
#define CODEC_AUTHORITY_H

#include "shared/base/str.h"

/* Whether all who read it read the same host: a name, an IPv4 address or a true IPv6 one in brackets, and a port up to 65535
 * or none behind the colon. Stricter than the grammar: no `%`, which some decode, no comma, which some take for a list, no
 * empty host. */
bool authority_is_good(struct str authority);

#endif
