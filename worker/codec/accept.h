/* accept: what an Accept field asks for (RFC 9110, section 12.5.1). Pure. */
#ifndef CODEC_ACCEPT_H
#define CODEC_ACCEPT_H

#include "shared/base/str.h"

enum { ACCEPT_WHOLE = 1000 /* a quality of 1 */ };

/* One media range. Texts point into the field. */
struct accept_range {
    struct str type; /* "application/vnd.acme.v2+json", "text" and "*" too: as written, without parameters */
    struct str version; /* that it names; NULL data: none */
    bool parameter;     /* by a parameter, not by its type */
    unsigned quality;   /* in thousandths; 0: not wanted */
};

/* Takes the next range off `rest`; false: there is none left. What is malformed is passed over.
 *
 * A range names a version by the parameter `version`, or by the end of a vendor's type: from the `v` and digit that
 * begin a part of it, as in vnd.acme.v2+json, vnd.acme.v2.1, vnd.acme.v3.raw+json ("3.raw"). */
bool accept_next(struct str *rest, struct accept_range *range);

/* Whether the range names the version `name`, in any case of letters: its version is that (in a type more parts may
 * follow that don't begin with a digit: "3.raw" is 3, "2.1" isn't 2), or a vendor's type ends with ".v" and it. */
bool accept_names(const struct accept_range *range, struct str name);

#endif
