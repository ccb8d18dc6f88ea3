/* jwt_judge: a token that isn't known yet: its signature first, then its dates, for whom it is, and what it may do. */
#include "worker/codec/jose.h"
#include "worker/codec/regex.h"
#include "worker/request/claims.h"
#include "worker/request/jwt.h"
#include "worker/request/request.h"

enum {
    YEARS_MOST = 100, /* from now on: an end beyond is a mistake, if not worse */
    SECONDS_OF_YEAR = 365 * 24 * 60 * 60,
};

#define GOOD ((struct jwt_judgement){0, NULL})
#define MALFORMED(why_) ((struct jwt_judgement){PROBLEM_CREDENTIALS_MALFORMED, (why_)})
#define REFUSED(why_) ((struct jwt_judgement){PROBLEM_CREDENTIALS_REFUSED, (why_)})
#define FORBIDDEN(why_) ((struct jwt_judgement){PROBLEM_FORBIDDEN, (why_)})

static uint64_t now_of(const struct request *request)
{
    return request->worker->loop.wall_ns / NS_PER_SECOND;
}

/* A date of the token's; `*there`: it has one. */
static bool date_of(const struct claims *claims, const char *name, int64_t *date, bool *there)
{
    const struct json_value *value = claims_find(claims, str_of(name));
    *there = value != NULL;
    return !value || json_whole(&claims->json, value, date);
}

static struct jwt_judgement judge_dates(const struct request *request, const struct jwt_settings *settings,
                                        const struct claims *claims, uint64_t *expires)
{
    int64_t now = (int64_t)now_of(request), leeway = settings->leeway / 1000, exp = 0, nbf = 0, iat = 0;
    bool has_exp, has_nbf, has_iat;
    *expires = 0;
    if (!date_of(claims, "exp", &exp, &has_exp) || !date_of(claims, "nbf", &nbf, &has_nbf) ||
        !date_of(claims, "iat", &iat, &has_iat))
        return MALFORMED("one of exp, nbf and iat is no date (a whole number of seconds)");
    if (!has_exp && !settings->unlimited)
        return REFUSED("it has no end (exp)");
    if (has_exp && exp > now + (int64_t)YEARS_MOST * SECONDS_OF_YEAR)
        return REFUSED("it ends in more than a hundred years (exp)");
    if (has_exp && exp + leeway <= now)
        return (struct jwt_judgement){PROBLEM_CREDENTIALS_EXPIRED, "it has expired (exp)"};
    if (has_nbf && nbf > now + leeway)
        return REFUSED("it is not valid yet (nbf)");
    if (has_iat && iat > now + leeway)
        return REFUSED("it was made in the future (iat)");
    if (has_exp)
        *expires = (uint64_t)(exp + leeway);
    return GOOD;
}

static bool has_one_of(const struct claims *claims, const struct json_value *value,
                       const struct conf_strings *strings)
{
    for (unsigned i = 0; i < strings->count; i++)
        if (claims_has(claims, value, str_of(strings->items[i])))
            return true;
    return false;
}

static bool says_one_of(struct str text, const struct conf_strings *strings)
{
    for (unsigned i = 0; i < strings->count; i++)
        if (str_case_eq(text, str_of(strings->items[i])))
            return true;
    return false;
}

static bool has_scope(const struct claims *claims, const struct conf_strings *scope)
{
    const struct json_value *value = claims_find(claims, STR("scope"));
    if (!value)
        value = claims_find(claims, STR("scp"));
    for (unsigned i = 0; i < scope->count; i++)
        if (!claims_has_word(claims, value, str_of(scope->items[i])))
            return false;
    return true;
}

static bool holds(const struct claims *claims, const struct jwt_required_claim *required)
{
    const struct json_value *value = claims_find(claims, str_of(required->settings->name));
    if (required->settings->equals.count && !has_one_of(claims, value, &required->settings->equals)) {
        struct str text = claims_text(claims, value); /* numbers and truth are compared as they stand */
        bool is_text = value && (value->type == JSON_TYPE_STRING || value->type == JSON_TYPE_ARRAY);
        bool equal = false;
        for (unsigned i = 0; text.data && !is_text && i < required->settings->equals.count; i++)
            equal |= str_eq(text, str_of(required->settings->equals.items[i]));
        if (!equal)
            return false;
    }
    if (!required->pattern)
        return true;
    struct str text =
        value && value->type == JSON_TYPE_STRING ? claims_text(claims, value) : (struct str){NULL, 0};
    return text.data && regex_match(required->pattern, text) == REGEX_MATCH;
}

static struct jwt_judgement judge_rights(struct request *request, const struct jwt_issuer *issuer,
                                         const struct claims *claims)
{
    const struct jwt_require_settings *require = &issuer->settings->require;
    if (!has_scope(claims, &require->scope))
        return FORBIDDEN(
            arena_printf(request->arena, "the token must have the scopes: %.*s", STR_ARG(issuer->scope)));
    if (require->roles.count &&
        !has_one_of(claims, claims_find(claims, str_of(require->roles_claim)), &require->roles))
        return FORBIDDEN(arena_printf(
            request->arena, "the token has none of the roles that are asked for (%s)", require->roles_claim));
    for (unsigned i = 0; i < require->claims.count; i++)
        if (!holds(claims, &issuer->claims[i]))
            return FORBIDDEN(arena_printf(request->arena,
                                          "the claim %s of the token is not what is asked for",
                                          issuer->claims[i].settings->name));
    return GOOD;
}

static struct jwt_judgement judge_claims(struct request *request, const struct jwt_settings *settings,
                                         const struct jose *jose, const struct claims *claims,
                                         uint64_t *expires)
{
    struct jwt_judgement judgement = judge_dates(request, settings, claims, expires);
    if (judgement.problem)
        return judgement;
    if (settings->audience.count && !has_one_of(claims, claims_find(claims, STR("aud")), &settings->audience))
        return REFUSED("it is for somebody else (aud)");
    if (settings->typ.count && !(jose->typ.data && says_one_of(jose->typ, &settings->typ)))
        return REFUSED("it is of another kind (typ)");
    return GOOD;
}

/* The token's own issuer; -1: none of the route. Without `iss` it is one of those that don't ask for it. */
static int find_issuer(const struct jwt *jwt, const struct claims *claims)
{
    const struct json_value *iss = claims_find(claims, STR("iss"));
    int any = -1;
    for (unsigned i = 0; i < jwt->count; i++) {
        const char *issuer = jwt->issuers[i]->settings->issuer;
        if (issuer && json_says(&claims->json, iss, str_of(issuer)))
            return (int)i;
        if (!issuer && any < 0)
            any = (int)i;
    }
    return any;
}

static struct jwt_judgement judge_signature(const struct request *request, const struct jwt_issuer *issuer,
                                            const struct jose *jose)
{
    const struct jose_key *used;
    uint64_t serial;
    enum jose_result result = issuer->keys.count ? jose_verify(jose, &issuer->keys, &used) : JOSE_NO_KEY;
    if (result != JOSE_GOOD && issuer->ring) {
        const struct jose_keys *fetched = key_ring_keys(issuer->ring, request->worker, &serial);
        enum jose_result other = fetched->count ? jose_verify(jose, fetched, &used) : JOSE_NO_KEY;
        if (other == JOSE_GOOD || result == JOSE_NO_KEY)
            result = other;
    }
    switch (result) {
    case JOSE_GOOD:
        return GOOD;
    case JOSE_MALFORMED:
        return MALFORMED("it is not a signed token");
    case JOSE_CRITICAL:
        return REFUSED("it wants something to be understood that is not (crit)");
    case JOSE_ALGORITHM:
    case JOSE_NO_KEY:
    case JOSE_FORGED: /* who has made it up is told no more than who has an old one */
        break;
    }
    return REFUSED("it is not signed with a key of its issuer that is known here");
}

/* Fills the finding. */
struct jwt_judgement jwt_judge(struct request *request, const struct jwt *jwt, struct str token,
                               struct jwt_finding *finding)
{
    struct arena *arena = request->arena;
    struct jose jose;
    struct claims claims;
    enum jose_result read = jose_read(&jose, token, arena);
    if (read == JOSE_CRITICAL)
        return REFUSED("it wants something to be understood that is not (crit)");
    if (read == JOSE_ALGORITHM)
        return REFUSED("it is not signed with a key of its issuer that is known here");
    if (read != JOSE_GOOD)
        return MALFORMED("it is not a signed token");
    if (jose.cty.data || !claims_read(&claims, jose.payload, arena))
        return MALFORMED("what it says is not an object of JSON with each member once");
    int index = find_issuer(jwt, &claims);
    if (index < 0)
        return REFUSED("it is of another issuer (iss)");
    const struct jwt_issuer *issuer = jwt->issuers[index];
    const struct jwt_settings *settings = issuer->settings;
    struct jwt_judgement judgement = judge_signature(request, issuer, &jose);
    if (!judgement.problem)
        judgement = judge_claims(request, settings, &jose, &claims, &finding->expires);
    if (!judgement.problem)
        judgement = judge_rights(request, issuer, &claims);
    if (judgement.problem)
        return judgement;
    finding->issuer = (unsigned)index;
    finding->subject = claims_text(&claims, claims_find(&claims, STR("sub")));
    finding->consumer = settings->consumer
                            ? claims_text(&claims, claims_find(&claims, str_of(settings->consumer)))
                            : (struct str){NULL, 0};
    const struct json_value *bound = claims_find(&claims, STR("cnf.x5t#S256"));
    finding->thumbprint = claims_text(&claims, bound);
    if (bound && bound->type != JSON_TYPE_STRING)
        return MALFORMED("what it is bound to is no text (cnf)");
    finding->forwarded = arena_array(arena, settings->forward.count, sizeof *finding->forwarded);
    for (unsigned i = 0; i < settings->forward.count; i++) {
        const struct jwt_forward_settings *forward = settings->forward.items[i];
        finding->forwarded[i] = claims_text(&claims, claims_find(&claims, str_of(forward->claim)));
    }
    return GOOD;
}
