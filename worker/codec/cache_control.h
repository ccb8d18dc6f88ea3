/* cache_control: how long an answer is fresh, by its Cache-Control and Age (RFC 9111, sections 4.2 and 5.2). Pure. */
#ifndef CODEC_CACHE_CONTROL_H
#define CODEC_CACHE_CONTROL_H

#include "shared/base/str.h"

/* Takes the next directive off `rest`: its name, and its argument without quotes (NULL data: none). False: there is none left.
 * What is malformed is passed over. */
bool cache_control_next(struct str *rest, struct str *name, struct str *argument);

enum { CACHE_CONTROL_UNSAID = -1 };

/* Seconds that an answer stays fresh from now on: max-age less the Age, 0 with no-store and no-cache, or with a max-age that is no
 * number; CACHE_CONTROL_UNSAID when the field says nothing of it. */
int64_t cache_control_fresh(struct str field, struct str age);

#endif
