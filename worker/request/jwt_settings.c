/* jwt_settings: the settings of an issuer of tokens, auth.jwt.NAME. */
#include <string.h>

#include "shared/base/token.h"
#include "worker/request/jwt.h"

const char *const jwt_places[] = {"authorization", "header", "cookie", "query", NULL};

#define KEY(kind_, member, ...) ROW_(kind_, struct jwt_key_settings, member, __VA_ARGS__)
#define CLAIM(kind_, member, ...) ROW_(kind_, struct jwt_claim_settings, member, __VA_ARGS__)
#define REQUIRE(kind_, member, ...) ROW_(kind_, struct jwt_require_settings, member, __VA_ARGS__)
#define JWT(kind_, member, ...) ROW_(kind_, struct jwt_settings, member, __VA_ARGS__)

static const struct row key_rows[] = {
    KEY(ROW_WORD, alg, .flags = ROW_REQUIRED, .words = jose_algorithms,
        .help = "the one algorithm that it is for, whatever a token says"),
    KEY(ROW_STRING, kid, .help = "how tokens call it; without it, it is tried for all of its algorithm"),
    KEY(ROW_STRING, secret, .flags = ROW_SECRET,
        .help = "of HS256, HS384, HS512; \"file:PATH\" or \"env:NAME\""),
    KEY(ROW_STRING, pem, .flags = ROW_SECRET,
        .help = "of the others: a public key or a certificate; \"file:PATH\" or \"env:NAME\""),
    ROW_END,
};

static void check_key(struct conf_loader *loader, void *structure)
{
    const struct jwt_key_settings *key = structure;
    bool symmetric = strncmp(jose_algorithms[key->alg], "HS", 2) == 0;
    if (symmetric ? !key->secret || key->pem : key->secret || !key->pem)
        conf_error(loader, key->origin, NULL, "%s has a %s (write it, and no %s)", jose_algorithms[key->alg],
                   symmetric ? "secret" : "public key, pem", symmetric ? "pem" : "secret");
}

static const struct section key_section = {
    .name = "jwt.keys", .size = sizeof(struct jwt_key_settings), .rows = key_rows, .check = check_key};

static const struct row claim_rows[] = {
    CLAIM(ROW_STRINGS, equals, .help = "it is, or has, one of these"),
    CLAIM(ROW_STRING, pattern, .help = "it is a text that matches (PCRE2), from its begin to its end"),
    ROW_END,
};

static void check_claim(struct conf_loader *loader, void *structure)
{
    const struct jwt_claim_settings *claim = structure;
    if (!claim->equals.count && !claim->pattern)
        conf_error(loader, claim->origin, NULL, "says nothing of the claim (write equals or pattern)");
}

static const struct section claim_section = {.name = "jwt.require.claims",
                                             .size = sizeof(struct jwt_claim_settings),
                                             .rows = claim_rows,
                                             .shorthand = "equals",
                                             .name_offset = offsetof(struct jwt_claim_settings, name),
                                             .check = check_claim};

static const struct row require_rows[] = {
    REQUIRE(ROW_STRINGS, scope, .help = "scopes that it must have, all of them (claim scope, or scp)"),
    REQUIRE(ROW_STRINGS, roles, .help = "roles of which it must have one"),
    REQUIRE(ROW_STRING, roles_claim, .fallback = "roles",
            .help = "where those are, a path such as realm_access.roles"),
    REQUIRE(ROW_MAP, claims, .section = &claim_section, .help = "claims that it must have, by name or path"),
    ROW_END,
};

static const struct section require_section = {
    .name = "jwt.require", .size = sizeof(struct jwt_require_settings), .rows = require_rows};

static const struct row forward_rows[] = {
    ROW_(ROW_STRING, struct jwt_forward_settings, header, .flags = ROW_REQUIRED,
         .help = "the header field that tells it to services; what a client sends under its name is removed"),
    ROW_END,
};

static void check_forward(struct conf_loader *loader, void *structure)
{
    const struct jwt_forward_settings *forward = structure;
    if (!is_token(str_of(forward->header)))
        conf_error(loader, forward->origin, "header", "\"%s\" is no name of a field", forward->header);
}

static const struct section forward_section = {.name = "jwt.forward",
                                               .size = sizeof(struct jwt_forward_settings),
                                               .rows = forward_rows,
                                               .shorthand = "header",
                                               .name_offset = offsetof(struct jwt_forward_settings, claim),
                                               .check = check_forward};

static const struct row declared_rows[] = {
    JWT(ROW_STRING, issuer, .help = "who makes the tokens (iss); without it, any whose keys these are"),
    JWT(ROW_STRINGS, audience, .help = "for whom they are (aud): one of these"),
    JWT(ROW_LIST, keys, .section = &key_section, .max = JOSE_KEYS_MAX, .help = "keys of the issuer's"),
    JWT(ROW_STRING, jwks, .flags = ROW_SECRET, .help = "a key set (RFC 7517): \"file:PATH\""),
    JWT(ROW_STRING, key_set, .help = "the name of one of key_sets, which the keeper fetches"),
    JWT(ROW_DURATION, leeway, .fallback = "30s", .min = 0, .max = 600000,
        .help = "how far the clocks may be apart"),
    JWT(ROW_FLAG, unlimited, .fallback = "false", .help = "tokens without an end (exp) are taken too"),
    JWT(ROW_STRINGS, typ,
        .help = "what a token's header must say that it is (typ), such as at+jwt; default: anything"),
    JWT(ROW_WORD, in, .fallback = "authorization", .words = jwt_places,
        .help = "where a request has its token; authorization: Authorization: Bearer"),
    JWT(ROW_STRING, name, .help = "the name of the header field, the cookie or the query parameter"),
    JWT(ROW_FLAG, strip, .fallback = "false",
        .help = "services don't get to see the token (of a header field; a query or a cookie goes on as it "
                "came)"),
    JWT(ROW_STRING, consumer, .help = "the claim that names the consumer; default: there is none"),
    JWT(ROW_GROUP, require, .section = &require_section, .help = "what a token must say beside"),
    JWT(ROW_MAP, forward, .section = &forward_section,
        .help = "claims, by name or path, that services are told in header fields"),
    ROW_END,
};

static void check(struct conf_loader *loader, void *structure)
{
    const struct jwt_settings *settings = structure;
    struct origin origin = settings->origin;
    if (!settings->keys.count && !settings->jwks && !settings->key_set)
        conf_error(loader, origin, NULL, "has no key (write keys, jwks or key_set)");
    if (settings->in == JWT_AUTHORIZATION && settings->name)
        conf_error(loader, origin, "name",
                   "is the name of something else (write in = \"header\", \"cookie\" or \"query\")");
    if (settings->in != JWT_AUTHORIZATION && (!settings->name || !is_token(str_of(settings->name))))
        conf_error(loader, origin, "name", "must be the name of the %s", jwt_places[settings->in]);
}

const struct section jwt_section = {
    .name = "jwt", .size = sizeof(struct jwt_settings), .rows = declared_rows, .check = check};
