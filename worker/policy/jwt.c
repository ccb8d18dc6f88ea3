/* jwt: the scheme of signed tokens (JWT, RFC 7519; as bearer tokens, RFC 6750): an issuer says whom a request is from, and what they
 * may do. Which keys and algorithms are its own stands in the configuration, or is fetched by the keeper (key_sets); what a
 * token says of keys is not looked at (RFC 8725, section 3).
 *
 * What was found out of a good token is kept for all workers (shared/shm/tokens): one that comes again costs a digest. It is kept
 * for this route of this generation and these keys: whatever changes, it is looked at anew.
 */
#include "worker/request/jwt.h"

#include "shared/base/random.h"
#include "shared/base/token.h"
#include "worker/codec/base64.h"
#include "worker/codec/jose.h"
#include "worker/codec/sha256.h"
#include "worker/codec/uri.h"
#include "worker/net/tls.h"
#include "worker/net/tls_shown.h"
#include "worker/request/claims.h"
#include "worker/request/identity.h"
#include "worker/request/request.h"

enum {
    KEPT_MOST = 3600, /* seconds that a finding is kept at most */
    SOURCES_MAX = 32, /* issuers of a route */
};

static const struct section section = {
    .name = "jwt", .size = sizeof(struct scheme_settings), .rows = scheme_rows, .shorthand = "use"};

/* --- compiling --- */

static void compile_keys(struct compiler *compiler, const struct conf_declaration *declaration,
                         struct jwt_issuer *issuer)
{
    const struct jwt_settings *settings = issuer->settings;
    const char *why = NULL;
    for (unsigned i = 0; i < settings->keys.count; i++) {
        const struct jwt_key_settings *key = settings->keys.items[i];
        struct str kid = key->kid ? str_of(key->kid) : (struct str){NULL, 0};
        const struct jose_key *made =
            jose_key_new(compiler->arena, key->alg, kid, str_of(key->secret ? key->secret : key->pem), &why);
        if (made && issuer->keys.count < JOSE_KEYS_MAX)
            issuer->keys.keys[issuer->keys.count++] = made;
        else if (!made)
            errors_add(compiler->errors, key->origin, "auth.jwt.%s.keys[%u]: %s", declaration->name, i, why);
    }
    if (!settings->jwks)
        return;
    if (!jose_keys_add(compiler->arena, &issuer->keys, str_of(settings->jwks), true, &why))
        errors_add(compiler->errors, declaration->origin, "auth.jwt.%s.jwks: %s", declaration->name, why);
    else if (issuer->keys.count == 0)
        errors_add(compiler->errors, declaration->origin, "auth.jwt.%s.jwks: no key of it can be used: %s",
                   declaration->name, issuer->keys.left_out_as ? issuer->keys.left_out_as : "it is empty");
}

/* The set's place among those of the configuration; the name is of one, or an error. */
static void compile_key_set(struct compiler *compiler, const struct conf_declaration *declaration,
                            struct jwt_issuer *issuer)
{
    const struct conf_list *list = &compiler->settings->key_sets;
    const char *name = issuer->settings->key_set;
    if (!name)
        return;
    for (unsigned i = 0; i < list->count; i++) {
        const struct key_set_settings *settings = list->items[i];
        if (strcmp(settings->name, name) == 0 && compiler->key_sets) {
            issuer->ring = key_ring_new(&compiler->key_sets[i], compiler->arena);
            return;
        }
    }
    errors_add(compiler->errors, declaration->origin, "auth.jwt.%s.key_set: there is no \"%s\" in key_sets",
               declaration->name, name);
}

static void compile_claims(struct compiler *compiler, const struct conf_declaration *declaration,
                           struct jwt_issuer *issuer)
{
    const struct conf_list *list = &issuer->settings->require.claims;
    struct jwt_required_claim *claims = arena_array(compiler->arena, list->count, sizeof *claims);
    struct regex_set *set = NULL;
    for (unsigned i = 0; i < list->count; i++) {
        const struct jwt_claim_settings *settings = list->items[i];
        claims[i] = (struct jwt_required_claim){.settings = settings};
        if (settings->pattern)
            claims[i].pattern = compile_regex(&set, settings->origin, "auth.jwt.require.claims",
                                              settings->pattern, compiler->arena, compiler->errors);
    }
    (void)declaration;
    issuer->claims = claims;
}

static struct str join(struct arena *arena, const struct conf_strings *strings)
{
    const char *text = "";
    for (unsigned i = 0; i < strings->count; i++)
        text = arena_printf(arena, "%s%s%s", text, i ? " " : "", strings->items[i]);
    return str_of(text);
}

static const struct jwt_issuer *compile_issuer(struct compiler *compiler,
                                               struct conf_declaration *declaration)
{
    if (declaration->compiled)
        return declaration->compiled;
    struct jwt_issuer *issuer = arena_zalloc(compiler->arena, sizeof *issuer);
    issuer->settings = declaration->conf;
    issuer->realm = str_of(declaration->name);
    compile_keys(compiler, declaration, issuer);
    compile_key_set(compiler, declaration, issuer);
    compile_claims(compiler, declaration, issuer);
    issuer->scope = join(compiler->arena, &issuer->settings->require.scope);
    declaration->compiled = issuer;
    return issuer;
}

static const void *compile(struct compiler *compiler, const void *conf)
{
    const struct scheme_settings *settings = conf;
    struct jwt *jwt = arena_zalloc(compiler->arena, sizeof *jwt);
    struct random random;
    if (settings->use.count > SOURCES_MAX) {
        compile_error(compiler, "use", "has more than %d issuers", SOURCES_MAX);
        return NULL;
    }
    jwt->issuers = arena_array(compiler->arena, settings->use.count, sizeof *jwt->issuers);
    jwt->consumers = compiler->settings->consumer_table;
    jwt->sha256 = sha256_new(compiler->arena);
    random_seed(&random);
    for (unsigned i = 0; i < TOKEN_DIGEST / 8; i++)
        jwt->tag[i] = random_next(&random);
    for (unsigned i = 0; i < settings->use.count; i++) {
        struct conf_declaration *declaration = compile_declared(compiler, "use", settings->use.items[i]);
        if (declaration)
            jwt->issuers[jwt->count++] = compile_issuer(compiler, declaration);
    }
    return jwt;
}

/* --- where the token is --- */

static struct str bearer(struct str value)
{
    static const struct str scheme = {"bearer", 6};
    struct str rest = value;
    struct str word = str_cut(&rest, ' ');
    return str_case_eq(word, scheme) && rest.data ? str_trim(rest) : (struct str){NULL, 0};
}

/* A field that is there twice has no one value. */
static struct str field_value(struct request *request, struct str name, bool strip, bool *twice)
{
    struct fields *fields = &request->head->fields;
    struct str value = {NULL, 0};
    for (unsigned i = 0; i < fields->count; i++) {
        struct field *field = &fields->items[i];
        if (!str_case_eq(field->name, name))
            continue;
        *twice |= value.data != NULL;
        value = field->value;
        if (strip)
            *field = (struct field){.id = FIELD_OTHER}; /* without a name it is nowhere written */
    }
    return value;
}

static struct str token_of(struct request *request, const struct jwt_settings *settings, bool strip,
                           bool *twice)
{
    struct str name = str_of(settings->name ? settings->name : "Authorization"), value;
    switch ((enum jwt_place)settings->in) {
    case JWT_COOKIE:
        return request_cookie(request, name);
    case JWT_QUERY:
        /* Nothing that a token is made of is ever encoded. */
        return uri_query_value(request->head->query, name, &value) ? value : (struct str){NULL, 0};
    case JWT_HEADER:
        return field_value(request, name, strip, twice);
    case JWT_AUTHORIZATION:
        break;
    }
    value = field_value(request, name, false, twice);
    struct str token = value.data ? bearer(value) : value;
    if (token.data && strip)
        (void)field_value(request, name, true, twice);
    return token;
}

/* --- what holds for each request --- */

/* RFC 8705, section 3: such a token is only its owner's, who has the certificate. */
static bool is_bound_to(const struct request *request, struct str thumbprint)
{
    const struct tls_peer *tls = request->exchange->tls;
    const struct tls_shown *shown = tls ? tls->shown : NULL;
    unsigned char digest[SHA256_BYTES];
    static const char digits[] = "0123456789abcdef";
    if (!shown || shown->fingerprint.length != 2 * sizeof digest ||
        base64url_decode(thumbprint, digest, sizeof digest) != sizeof digest)
        return false;
    for (size_t i = 0; i < sizeof digest; i++)
        if (shown->fingerprint.data[2 * i] != digits[digest[i] >> 4] ||
            shown->fingerprint.data[2 * i + 1] != digits[digest[i] & 15])
            return false;
    return true;
}

/* Claims of a request whose token was known: read when the first is asked for. */
struct late_claims {
    struct str token;
    struct arena *arena;
    struct claims claims;
    bool read, good;
};

static struct str claim_of(const struct identity *identity, struct str path, struct buf *scratch)
{
    struct late_claims *late = (struct late_claims *)identity->claims; /* the request's own, made below */
    struct jose jose;
    (void)scratch;
    if (!late->read)
        late->good = jose_read(&jose, late->token, late->arena) == JOSE_GOOD &&
                     claims_read(&late->claims, jose.payload, late->arena);
    late->read = true;
    return late->good ? claims_text(&late->claims, claims_find(&late->claims, path)) : (struct str){NULL, 0};
}

/* A value that can't stand in a line is told as none. */
static bool is_line(struct str text)
{
    for (size_t i = 0; i < text.length; i++)
        if ((unsigned char)text.data[i] < ' ' || text.data[i] == 0x7f)
            return false;
    return true;
}

static void tell_services(struct request *request, const struct jwt_issuer *issuer,
                          const struct jwt_finding *finding)
{
    for (unsigned i = 0; i < issuer->settings->forward.count; i++) {
        const struct jwt_forward_settings *forward = issuer->settings->forward.items[i];
        struct str value = finding->forwarded[i];
        if (value.data && is_line(value))
            fields_add(&request->head->fields, request->arena, str_of(forward->header), value);
    }
}

static enum verdict accept_token(struct request *request, const struct jwt *jwt, struct str token,
                                 const struct jwt_finding *finding)
{
    const struct jwt_issuer *issuer = jwt->issuers[finding->issuer];
    if (finding->thumbprint.data && !is_bound_to(request, finding->thumbprint))
        return identity_reject(request, PROBLEM_CREDENTIALS_REFUSED,
                               "the token is bound to a certificate (cnf) that the connection doesn't have");
    struct late_claims *late = arena_zalloc(request->arena, sizeof *late);
    struct identity *identity = arena_zalloc(request->arena, sizeof *identity);
    late->token = token;
    late->arena = request->arena;
    identity->scheme = STR("jwt");
    identity->subject = finding->subject.data ? finding->subject : STR("");
    if (finding->consumer.data)
        identity->consumer = consumers_by_name(jwt->consumers, finding->consumer);
    identity->claim = claim_of;
    identity->claims = late;
    identity->expires = finding->expires;
    tell_services(request, issuer, finding);
    return identity_accept(request, identity);
}

/* --- requests --- */

static uint64_t now_of(const struct request *request)
{
    return request->worker->loop.wall_ns / NS_PER_SECOND;
}

/* The digest that a finding is kept by: of the token, and of where it was found. */
static bool key_of(struct request *request, const struct jwt *jwt, struct str token,
                   uint8_t key[TOKEN_DIGEST])
{
    uint64_t words[TOKEN_DIGEST / 8];
    if (!sha256_of(jwt->sha256, token, key))
        return false;
    memcpy(words, key, sizeof words);
    for (unsigned i = 0; i < TOKEN_DIGEST / 8; i++)
        words[i] ^= jwt->tag[i];
    for (unsigned i = 0; i < jwt->count; i++) {
        uint64_t serial = 0;
        if (jwt->issuers[i]->ring)
            (void)key_ring_keys(jwt->issuers[i]->ring, request->worker, &serial);
        words[1] = (words[1] << 7 | words[1] >> 57) ^ serial;
    }
    memcpy(key, words, sizeof words);
    return true;
}

static void keep(struct request *request, const struct jwt *jwt, const uint8_t key[TOKEN_DIGEST],
                 const struct jwt_finding *finding)
{
    char memory[TOKEN_TEXT];
    struct buf out = buf_on(memory, sizeof memory);
    struct worker *worker = request->worker;
    uint64_t now = now_of(request), ends = now + KEPT_MOST;
    jwt_put(&out, jwt, finding);
    if (finding->expires && finding->expires < ends)
        ends = finding->expires;
    if (!out.overflow)
        (void)tokens_keep(worker->shared->tokens, &worker->caller, key, now, ends, buf_str(&out));
}

static enum verdict look_at(struct request *request, const struct jwt *jwt, struct str token)
{
    struct jwt_finding finding;
    uint8_t key[TOKEN_DIGEST];
    size_t length;
    char *kept = arena_alloc(request->arena, TOKEN_TEXT);
    if (token.length > JOSE_TOKEN_MAX)
        return identity_reject(request, PROBLEM_CREDENTIALS_MALFORMED,
                               "the token is longer than is looked at");
    if (!key_of(request, jwt, token, key))
        return request_fail(request, PROBLEM_OUT_OF_RESOURCES, "no memory to look at the token");
    if (tokens_find(request->worker->shared->tokens, key, now_of(request), kept, &length) &&
        jwt_get((struct str){kept, length}, jwt, request->arena, &finding)) {
        stat_add(request->worker->stats, STAT_TOKENS_KNOWN, 1);
        return accept_token(request, jwt, token, &finding);
    }
    struct jwt_judgement judgement = jwt_judge(request, jwt, token, &finding);
    if (judgement.problem) {
        stat_add(request->worker->stats, STAT_TOKENS_REFUSED, 1);
        return identity_reject(request, judgement.problem,
                               judgement.problem == PROBLEM_FORBIDDEN ? "%s" : "the token: %s",
                               judgement.why);
    }
    stat_add(request->worker->stats, STAT_TOKENS_VERIFIED, 1);
    keep(request, jwt, key, &finding);
    return accept_token(request, jwt, token, &finding);
}

/* What a client says under the names that services trust. */
static void remove_forwarded(struct request *request, const struct jwt_issuer *issuer)
{
    struct fields *fields = &request->head->fields;
    for (unsigned i = 0; i < issuer->settings->forward.count; i++) {
        const struct jwt_forward_settings *forward = issuer->settings->forward.items[i];
        for (unsigned at = 0; at < fields->count; at++)
            if (str_case_eq(fields->items[at].name, str_of(forward->header)))
                fields->items[at] = (struct field){.id = FIELD_OTHER};
    }
}

static enum verdict on_request(struct request *request, const void *compiled)
{
    const struct jwt *jwt = compiled;
    struct str token = {NULL, 0};
    bool twice = false;
    for (unsigned i = 0; i < jwt->count; i++) {
        const struct jwt_settings *settings = jwt->issuers[i]->settings;
        struct str found = token_of(request, settings, settings->strip, &twice);
        remove_forwarded(request, jwt->issuers[i]);
        if (!token.data)
            token = found;
    }
    if (identity_settled(request))
        return VERDICT_NEXT;
    if (twice)
        return identity_reject(request, PROBLEM_CREDENTIALS_MALFORMED,
                               "the field of the token is there more than once");
    return token.data ? look_at(request, jwt, token) : identity_absent(request);
}

/* --- what clients are told (RFC 6750, section 3) --- */

static void challenge(struct request *request, const void *compiled)
{
    const struct jwt *jwt = compiled;
    const char *error = "";
    if (request->problem == PROBLEM_CREDENTIALS_MALFORMED ||
        request->problem == PROBLEM_CREDENTIALS_EXPIRED || request->problem == PROBLEM_CREDENTIALS_REFUSED)
        error = ", error=\"invalid_token\"";
    for (unsigned i = 0; i < jwt->count; i++)
        request_add_field(request, STR("WWW-Authenticate"),
                          str_of(arena_printf(request->arena, "Bearer realm=\"%.*s\"%s",
                                              STR_ARG(jwt->issuers[i]->realm), error)));
}

static enum verdict on_response(struct request *request, const void *compiled)
{
    const struct jwt *jwt = compiled;
    for (unsigned i = 0; request->problem == PROBLEM_FORBIDDEN && i < jwt->count; i++)
        if (jwt->issuers[i]->scope.length)
            request_add_field(
                request, STR("WWW-Authenticate"),
                str_of(arena_printf(request->arena,
                                    "Bearer realm=\"%.*s\", error=\"insufficient_scope\", scope=\"%.*s\"",
                                    STR_ARG(jwt->issuers[i]->realm), STR_ARG(jwt->issuers[i]->scope))));
    return VERDICT_NEXT;
}

const struct policy policy_jwt = {
    .name = "jwt",
    .help = "who calls is told by a token that an issuer has signed (JWT)",
    .stage = STAGE_IDENTIFY,
    .section = &section,
    .declared = &jwt_section,
    .compile = compile,
    .on_request = on_request,
    .on_response = on_response,
    .challenge = challenge,
};
