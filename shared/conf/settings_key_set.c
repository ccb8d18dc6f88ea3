/* settings_key_set: the keys of issuers of tokens, which the keeper fetches. What needs a parser of URLs is checked by
 * worker/request/key_set.c. */
#include "shared/conf/sections.h"

#define SECOND 1000
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)

static void key_set_check(struct conf_loader *loader, void *structure)
{
    struct key_set_settings *set = structure;
    if (set->url && set->issuer)
        conf_error(loader, set->origin, "url",
                   "is what the issuer's metadata says (leave out `url` or `issuer`)");
    if (!set->url && !set->issuer)
        conf_error(loader, set->origin, NULL,
                   "says not where its keys are (add `url`, or `issuer` for OpenID discovery)");
    if (set->min_refresh > set->max_refresh)
        conf_error(loader, set->origin, "min_refresh", "is more than max_refresh (%lld ms)",
                   (long long)set->max_refresh);
    if (set->tls && !set->tls->enabled)
        conf_error(loader, set->tls->origin, "tls",
                   "is what https in the URL says (leave it out, or set `ca`)");
    set->at = conf_setting(loader, set->url ? "url" : "issuer");
}

#define KEY_SET(kind_, member, ...) ROW_(kind_, struct key_set_settings, member, __VA_ARGS__)

static const struct row rows[] = {
    KEY_SET(ROW_STRING, url,
            .help = "where the key set is (JWKS, RFC 7517): https://id.example.com/jwks.json"),
    KEY_SET(ROW_STRING, issuer,
            .help = "instead of url: the issuer, whose /.well-known/openid-configuration says where it is "
                    "(OpenID Connect Discovery 1.0)"),
    KEY_SET(ROW_OPTIONAL, tls, .section = &upstream_tls_section,
            .help = "for https: the authorities that are trusted, and the like"),
    KEY_SET(ROW_DURATION, timeout, .fallback = "10s", .min = 100, .max = MINUTE,
            .help = "how long the issuer may take for an answer"),
    KEY_SET(
        ROW_DURATION, refresh, .fallback = "10m", .min = SECOND, .max = 24 * HOUR,
        .help =
            "how long keys are fresh whose issuer doesn't say so by Cache-Control; they are fetched again "
            "when four fifths of that are over"),
    KEY_SET(ROW_DURATION, min_refresh, .fallback = "1m", .min = SECOND, .max = 24 * HOUR,
            .help = "the same, at least, whatever the issuer says"),
    KEY_SET(ROW_DURATION, max_refresh, .fallback = "1h", .min = SECOND, .max = 24 * HOUR,
            .help = "and at most"),
    ROW_END,
};

const struct section key_set_section = {
    .name = "key_set",
    .size = sizeof(struct key_set_settings),
    .rows = rows,
    .shorthand = "url",
    .name_offset = offsetof(struct key_set_settings, name),
    .check = key_set_check,
};
