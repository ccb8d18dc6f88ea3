/* version: how a request asks for a version of an API by a header field or by its media types. */
#ifndef REQUEST_VERSION_H
#define REQUEST_VERSION_H

#include "shared/conf/settings.h"
#include "worker/http/message.h"

enum { VERSION_BEST = 2001 };

/* How well a version fits a request, up to VERSION_BEST; 0: another one is asked for. `version` is told by a header field
 * or by the media type. A field that is there more than once asks for something only if it says the same each time. */
unsigned version_fits(const struct version_settings *version, const struct request_head *head);

/* The field that it is asked for by. */
struct str version_field(const struct version_settings *version);

/* For a 404: " in version \"9\" (field Api-Version)", what the request asks `version`'s API for; a text in `arena`. */
const char *version_asked(const struct version_settings *version, const struct request_head *head,
                          struct arena *arena);

#endif
