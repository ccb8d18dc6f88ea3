/* key_set: called when a site is compiled. */
#include "worker/request/key_set.h"

#include "worker/net/tls_client.h"

/* OpenID Connect Discovery 1.0, section 4: the path stands behind the issuer's own. */
#define DISCOVERY "/.well-known/openid-configuration"

static const char *url_of(const struct key_set_settings *settings, struct arena *arena)
{
    if (settings->url)
        return settings->url;
    struct str issuer = str_of(settings->issuer);
    return arena_printf(arena, "%.*s" DISCOVERY, (int)(issuer.length - str_ends(issuer, STR("/"))),
                        issuer.data);
}

static void compile(struct key_set *set, const struct key_set_settings *settings, struct wants *wants,
                    struct arena *arena, struct errors *errors)
{
    static const struct upstream_tls_settings standard = {
        .enabled = true, .verify = true, .min_version = TLS_VERSION_1_2, .max_version = TLS_VERSION_1_3};
    const char *url = url_of(settings, arena);
    const char *why = url_parse(&set->url, str_of(url), arena);
    set->settings = settings;
    if (!why && settings->issuer && str_index(str_of(settings->issuer), '?') >= 0)
        why = "an issuer has no query";
    if (why)
        errors_add(errors, settings->at.origin, "%s: \"%s\" can't be fetched: %s", settings->at.path, url,
                   why);
    set->tls =
        tls_client_new(settings->tls ? settings->tls : &standard, 1u << TLS_PROTOCOL_HTTP1, arena, errors);
    set->want = wants_add(wants, WANT_KEYS, arena_printf(arena, "%s %s", settings->name, url));
}

const struct key_set *key_sets_compile(const struct settings *settings, struct wants *wants,
                                       struct arena *arena, struct errors *errors)
{
    const struct conf_list *list = &settings->key_sets;
    struct key_set *sets = arena_array(arena, list->count, sizeof *sets);
    unsigned before = errors->count;
    for (unsigned i = 0; i < list->count; i++)
        compile(&sets[i], list->items[i], wants, arena, errors);
    return errors->count == before ? sets : NULL;
}
