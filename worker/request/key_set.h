/* key_set: where the keys of an issuer are fetched, compiled: for the keeper, which fetches them, and for what verifies by them. */
#ifndef REQUEST_KEY_SET_H
#define REQUEST_KEY_SET_H

#include "shared/conf/settings.h"
#include "shared/conf/wants.h"
#include "worker/codec/url.h"

struct tls_client;

struct key_set {
    const struct key_set_settings *settings;
    struct url url;               /* of the set; with discovery: of the issuer's metadata */
    const struct tls_client *tls; /* for https */
    unsigned want;                /* of its cell */
};

/* Those of a generation, by their index in the settings; NULL, and errors, if one can't be. What is fetched belongs to the name and
 * the place: a set that moves begins anew. */
const struct key_set *key_sets_compile(const struct settings *settings, struct wants *wants,
                                       struct arena *arena, struct errors *errors);

#endif
