/* hmac: the scheme of signed requests (HTTP Message Signatures, RFC 9421): whoever has a key of one of the consumers signs with it what
 * the request is, and neither the key nor anything that could be used again goes over the wire.
 *
 * A signature counts if it is of a key that is configured, made by that key's algorithm, covers at least what `components` says
 * and, of a request with a body, its Content-Digest (which is checked as the body comes), is not older than `max_age`, and, with
 * nonce = "once", was not seen before by any worker.
 */
#include <stdlib.h>

#include "shared/shm/limits.h"
#include "worker/codec/signature.h"
#include "worker/codec/signature_base.h"
#include "worker/codec/structured.h"
#include "worker/request/content_digest.h"
#include "worker/request/identity.h"
#include "worker/request/request.h"
#include "worker/upstream/forward.h"

struct hmac_key_settings {
    struct origin origin;
    const char *id, *key, *consumer;
    int algorithm, encoding;
};

struct hmac_settings {
    struct origin origin;
    struct conf_list keys; /* struct hmac_key_settings */
    struct conf_strings components;
    const char *label, *tag;
    int64_t max_age, leeway; /* ms */
    int nonce;
    bool digest;
};

enum { ENCODING_TEXT, ENCODING_BASE64 };
static const char *const encodings[] = {"text", "base64", NULL};

enum { NONCE_ANY, NONCE_REQUIRED, NONCE_ONCE };
static const char *const nonces[] = {"any", "required", "once", NULL};

enum {
    FIELD_BYTES = 8192, /* of Signature-Input, and of Signature, all lines of it */
    CANDIDATES_MAX = 4, /* signatures of one request that are looked at */
    SECRET_LEAST = 16,  /* bytes of a shared secret */
};

#define KEY(kind_, member, ...) ROW_(kind_, struct hmac_key_settings, member, __VA_ARGS__)
#define HMAC(kind_, member, ...) ROW_(kind_, struct hmac_settings, member, __VA_ARGS__)

static const struct row key_rows[] = {
    KEY(ROW_STRING, id, .flags = ROW_REQUIRED, .help = "what signatures call it (keyid)"),
    KEY(ROW_WORD, algorithm, .flags = ROW_REQUIRED, .words = signature_algorithms,
        .help = "what it signs by; a signature that says another isn't good"),
    KEY(ROW_STRING, key, .flags = ROW_REQUIRED | ROW_SECRET,
        .help = "the public key in PEM, of hmac-sha256 the secret; \"file:PATH\" or \"env:NAME\""),
    KEY(ROW_WORD, encoding, .fallback = "text", .words = encodings, .help = "how a secret is written"),
    KEY(ROW_STRING, consumer, .help = "whose it is; default: nobody is told but its id"),
    ROW_END,
};

static const struct section key_section = {
    .name = "hmac.keys", .size = sizeof(struct hmac_key_settings), .rows = key_rows};

static const struct row rows[] = {
    HMAC(ROW_LIST, keys, .flags = ROW_REQUIRED, .section = &key_section, .min = 1, .max = 100000,
         .help = "who may sign"),
    HMAC(ROW_STRINGS, components, .fallback = "@method, @authority, @path, @query",
         .help = "what a signature must cover at least; @target-uri and @request-target count for what is in "
                 "them"),
    HMAC(ROW_FLAG, digest, .fallback = "true",
         .help = "of a request with a body it must cover content-digest, and the body is checked"),
    HMAC(ROW_DURATION, max_age, .fallback = "5m", .min = 1000, .max = 86400000,
         .help = "how long ago it may have been made (created), whatever it says of its end (expires)"),
    HMAC(ROW_DURATION, leeway, .fallback = "30s", .min = 0, .max = 600000,
         .help = "how far the clocks may be apart"),
    HMAC(ROW_WORD, nonce, .fallback = "any", .words = nonces,
         .help =
             "required: it must have one; once: and each counts once, over all workers (room: state.limits)"),
    HMAC(ROW_STRING, label, .help = "only this one of a request's signatures counts; default: any"),
    HMAC(ROW_STRING, tag, .help = "only those for this purpose count (tag)"),
    ROW_END,
};

static void check(struct conf_loader *loader, void *structure)
{
    const struct hmac_settings *settings = structure;
    for (unsigned i = 0; i < settings->components.count; i++) {
        const char *name = settings->components.items[i];
        for (const char *c = name; *c; c++)
            if ((*c >= 'A' && *c <= 'Z') || *c == '"' || *c == ';' || *c <= ' ') {
                conf_error(loader, settings->origin, "components",
                           "\"%s\" is no component (a field's name in lower case, or a name like @method)",
                           name);
                break;
            }
    }
}

static const struct section declared_section = {
    .name = "hmac", .size = sizeof(struct hmac_settings), .rows = rows, .check = check};

static const struct section section = {
    .name = "hmac", .size = sizeof(struct scheme_settings), .rows = scheme_rows, .shorthand = "use"};

/* --- compiling --- */

struct hmac_key {
    struct str id;
    const struct signature_key *key;
    const char *consumer; /* NULL: none */
};

/* One that is declared. */
struct signers {
    const struct hmac_settings *settings;
    const struct hmac_key *keys; /* in the order of their ids */
    unsigned key_count;
    struct limit_terms once; /* of a nonce: one in the time in which its signature can count */
    struct str challenge;    /* the value of WWW-Authenticate */
    struct str acceptable;   /* of Accept-Signature */
};

/* Compiled for a route. */
struct hmac {
    const struct signers **signers;
    unsigned count;
    const struct consumers *consumers;
};

static int key_order(const void *one, const void *other)
{
    const struct hmac_key *a = one, *b = other;
    size_t length = a->id.length < b->id.length ? a->id.length : b->id.length;
    int order = memcmp(a->id.data, b->id.data, length);
    return order ? order : (a->id.length > b->id.length) - (a->id.length < b->id.length);
}

static const struct hmac_key *find_key(const struct signers *signers, struct str id)
{
    const struct hmac_key wanted = {.id = id};
    return id.length ? bsearch(&wanted, signers->keys, signers->key_count, sizeof wanted, key_order) : NULL;
}

/* What is written of a secret, or, in `memory`, what that stands for. */
static struct str key_text(const struct hmac_key_settings *settings, unsigned char *memory, size_t size)
{
    struct str text = str_of(settings->key);
    if (settings->encoding == ENCODING_TEXT)
        return text;
    ptrdiff_t length = structured_bytes(text, memory, size);
    return (struct str){(const char *)memory, length < 0 ? 0 : (size_t)length};
}

static void compile_key(struct compiler *compiler, const struct hmac_key_settings *settings,
                        struct hmac_key *key)
{
    unsigned char memory[FIELD_BYTES];
    const char *why = "is shorter than 16 bytes";
    struct str text = key_text(settings, memory, sizeof memory);
    *key = (struct hmac_key){str_of(settings->id), NULL, settings->consumer};
    if (settings->encoding == ENCODING_BASE64)
        why = "is not 16 bytes or more in base64";
    if (text.length >= SECRET_LEAST)
        key->key = signature_key_new(compiler->arena, settings->algorithm, text, false, &why);
    if (!key->key)
        errors_add(compiler->errors, settings->origin, "auth.hmac.keys: the key \"%s\" %s", settings->id,
                   why);
    if (settings->consumer && !consumers_know(compiler->settings->consumer_table, str_of(settings->consumer)))
        errors_add(
            compiler->errors, settings->origin,
            "auth.hmac.keys: the key \"%s\" is of a consumer \"%s\" that isn't there (add it to consumers)",
            settings->id, settings->consumer);
}

static void compile_keys(struct compiler *compiler, const struct conf_declaration *declaration,
                         const struct conf_list *list, struct signers *signers)
{
    struct hmac_key *keys = arena_array(compiler->arena, list->count, sizeof *keys);
    for (unsigned i = 0; i < list->count; i++)
        compile_key(compiler, list->items[i], &keys[i]);
    qsort(keys, list->count, sizeof *keys, key_order);
    for (unsigned i = 1; i < list->count; i++)
        if (key_order(&keys[i - 1], &keys[i]) == 0)
            errors_add(compiler->errors, declaration->origin,
                       "auth.hmac.keys: the id \"%.*s\" is there twice", STR_ARG(keys[i].id));
    signers->keys = keys;
    signers->key_count = list->count;
}

/* How a signature looks that would be accepted (section 5.1). */
static struct str acceptable(struct arena *arena, const struct hmac_settings *settings)
{
    const char *text = "", *tag = settings->tag;
    for (unsigned i = 0; i < settings->components.count; i++)
        text = arena_printf(arena, "%s%s\"%s\"", text, i ? " " : "", settings->components.items[i]);
    return str_of(arena_printf(
        arena, "%s=(%s);created;keyid%s%s%s%s", settings->label ? settings->label : "sig", text,
        settings->nonce == NONCE_ANY ? "" : ";nonce", tag ? ";tag=\"" : "", tag ? tag : "", tag ? "\"" : ""));
}

static const struct signers *compile_signers(struct compiler *compiler, struct conf_declaration *declaration)
{
    const struct hmac_settings *settings = declaration->conf;
    if (declaration->compiled)
        return declaration->compiled;
    struct signers *signers = arena_zalloc(compiler->arena, sizeof *signers);
    signers->settings = settings;
    compile_keys(compiler, declaration, &settings->keys, signers);
    signers->once =
        limit_terms_of(1, (uint64_t)(settings->max_age + 2 * settings->leeway) * NS_PER_MS, 1, false);
    signers->challenge = str_of(arena_printf(compiler->arena, "Signature realm=\"%s\"", declaration->name));
    signers->acceptable = acceptable(compiler->arena, settings);
    declaration->compiled = signers;
    return signers;
}

static const void *compile(struct compiler *compiler, const void *conf)
{
    const struct scheme_settings *settings = conf;
    struct hmac *hmac = arena_zalloc(compiler->arena, sizeof *hmac);
    hmac->signers = arena_array(compiler->arena, settings->use.count, sizeof *hmac->signers);
    hmac->consumers = compiler->settings->consumer_table;
    for (unsigned i = 0; i < settings->use.count; i++) {
        struct conf_declaration *declaration = compile_declared(compiler, "use", settings->use.items[i]);
        if (declaration)
            hmac->signers[hmac->count++] = compile_signers(compiler, declaration);
    }
    return hmac;
}

/* --- requests --- */

/* One of a request's signatures. */
struct candidate {
    struct str label;
    struct signature_input input;
    const struct hmac_key *key;
    const char *why; /* it doesn't count, in words; NULL: it does */
    enum problem problem;
};

/* Who has no key is told no more than who has a wrong one. */
static const char *const not_good = "isn't one of a key that is known here, of this request";

static void refuse(struct candidate *candidate, enum problem problem, const char *why)
{
    candidate->problem = problem;
    candidate->why = why;
}

/* All lines of a field as one, in the request's memory. Empty: there is none; NULL data: they are too long. */
static struct str join(struct request *request, struct str name)
{
    const struct fields *fields = &request->head->fields;
    struct str joined = STR("");
    for (unsigned i = 0; i < fields->count; i++) {
        const struct field *field = &fields->items[i];
        if (field->id != FIELD_OTHER || !str_case_eq(field->name, name))
            continue;
        size_t size = joined.length + field->value.length + 2;
        if (size > FIELD_BYTES)
            return (struct str){NULL, 0};
        if (!joined.length) {
            joined = field->value;
            continue;
        }
        struct buf out = buf_on(arena_alloc(request->arena, size), size);
        buf_str_add(&out, joined);
        BUF_LITERAL(&out, ", ");
        buf_str_add(&out, field->value);
        joined = buf_str(&out);
    }
    return joined;
}

static bool next_field(const void *context, struct str name, unsigned *at, struct str *value)
{
    const struct fields *fields = context;
    while (*at < fields->count) {
        const struct field *field = &fields->items[(*at)++];
        if (str_case_eq(field->name, name)) {
            *value = str_trim(field->value);
            return true;
        }
    }
    return false;
}

/* The request as its client has sent it: the path and the query before they were brought to their normal form. */
static struct signature_message message_of(struct request *request)
{
    const struct request_head *head = request->head;
    struct str query = head->target;
    str_cut(&query, '?');
    return (struct signature_message){.method = head->method_text,
                                      .scheme = forward_scheme(request),
                                      .authority = head->authority,
                                      .path = head->path,
                                      .query = query,
                                      .fields = &head->fields,
                                      .field = next_field};
}

static void check_times(struct request *request, const struct hmac_settings *settings,
                        struct candidate *candidate)
{
    const struct signature_input *input = &candidate->input;
    int64_t now = (int64_t)(request->worker->loop.wall_ns / NS_PER_SECOND), leeway = settings->leeway / 1000;
    if (input->created < 0)
        refuse(candidate, PROBLEM_CREDENTIALS_MALFORMED, "doesn't say when it was made (created)");
    else if (input->created > now + leeway)
        refuse(candidate, PROBLEM_CREDENTIALS_REFUSED, "was made in the future (created)");
    else if (now - input->created > settings->max_age / 1000 + leeway)
        refuse(candidate, PROBLEM_CREDENTIALS_EXPIRED, "is too old (created)");
    else if (input->expires >= 0 && input->expires < now - leeway)
        refuse(candidate, PROBLEM_CREDENTIALS_EXPIRED, "has expired (expires)");
}

static void check_coverage(struct request *request, const struct hmac_settings *settings,
                           struct candidate *candidate)
{
    const struct signature_input *input = &candidate->input;
    const char *missing = NULL;
    for (unsigned i = 0; i < settings->components.count && !missing; i++)
        if (!signature_covers(input, str_of(settings->components.items[i])))
            missing = settings->components.items[i];
    if (missing)
        refuse(candidate, PROBLEM_CREDENTIALS_REFUSED,
               arena_printf(request->arena, "doesn't cover %s", missing));
    else if (settings->digest && !request->exchange->body_done &&
             !signature_covers(input, STR("content-digest")))
        refuse(candidate, PROBLEM_CREDENTIALS_REFUSED,
               "doesn't cover content-digest, and the request has a body");
    else if (settings->nonce != NONCE_ANY && !input->nonce.length)
        refuse(candidate, PROBLEM_CREDENTIALS_REFUSED, "has no nonce");
}

static void check_signature(struct request *request, struct str signatures, struct candidate *candidate)
{
    char memory[SIGNATURE_BASE_MAX];
    unsigned char bytes[SIGNATURE_MAX];
    struct buf base = buf_on(memory, sizeof memory);
    struct structured item;
    struct str value = structured_find(signatures, candidate->label), component;
    struct signature_message message = message_of(request);
    if (!value.length || !structured_item(&value, &item) || item.type != STRUCTURED_BYTES) {
        refuse(candidate, PROBLEM_CREDENTIALS_MALFORMED, "is in Signature-Input, and not in Signature");
        return;
    }
    ptrdiff_t length = structured_bytes(item.text, bytes, sizeof bytes);
    const char *why = length < 0 ? "is longer than any" : NULL;
    if (!why) {
        component = (struct str){NULL, 0};
        why = signature_base(&candidate->input, &message, &base, &component);
        if (why && component.data)
            why = arena_printf(request->arena, "covers %.*s, which %s", STR_ARG(component), why);
    }
    if (why)
        refuse(candidate, PROBLEM_CREDENTIALS_MALFORMED, why);
    else if (!signature_verify(candidate->key->key, buf_str(&base), bytes, (size_t)length))
        refuse(candidate, PROBLEM_CREDENTIALS_REFUSED, not_good);
}

/* False: it is not for this scheme to look at. Else whether it counts is in candidate->why. The dearest comes last. */
static bool look_at(struct request *request, const struct signers *signers, struct str text,
                    struct str signatures, struct candidate *candidate)
{
    const struct hmac_settings *settings = signers->settings;
    const struct signature_input *input = &candidate->input;
    if (settings->label && !str_eq(candidate->label, str_of(settings->label)))
        return false;
    const char *why = signature_input_parse(text, &candidate->input);
    if (why) {
        refuse(candidate, PROBLEM_CREDENTIALS_MALFORMED, why);
        return true;
    }
    if (settings->tag && !str_eq(input->tag, str_of(settings->tag)))
        return false;
    candidate->key = find_key(signers, input->keyid);
    if (!candidate->key || (input->alg.data && !signature_key_is(candidate->key->key, input->alg)))
        refuse(candidate, PROBLEM_CREDENTIALS_REFUSED, not_good);
    if (!candidate->why)
        check_times(request, settings, candidate);
    if (!candidate->why)
        check_coverage(request, settings, candidate);
    if (!candidate->why)
        check_signature(request, signatures, candidate);
    return true;
}

/* The first that counts, or the last that doesn't. False: there is none for this scheme. */
static bool choose(struct request *request, const struct signers *signers, struct candidate *candidate)
{
    struct str inputs = join(request, STR("Signature-Input")), signatures = join(request, STR("Signature"));
    struct str text;
    bool first = true, any = false;
    *candidate = (struct candidate){.label = STR("")};
    if (inputs.data && signatures.data && (inputs.length == 0 || signatures.length == 0))
        return false;
    if (!inputs.data || !signatures.data)
        refuse(candidate, PROBLEM_CREDENTIALS_MALFORMED, "is longer than anybody's");
    else if (!structured_canonical_dictionary(inputs, NULL) ||
             !structured_canonical_dictionary(signatures, NULL))
        refuse(candidate, PROBLEM_CREDENTIALS_MALFORMED, "is in fields that aren't dictionaries");
    if (candidate->why)
        return true;
    for (unsigned looked = 0; looked < CANDIDATES_MAX && !(any && !candidate->why);) {
        struct candidate one = {.label = STR("")};
        if (structured_member(&inputs, &first, &one.label, &text) != STRUCTURED_MORE)
            break;
        if (!look_at(request, signers, text, signatures, &one))
            continue;
        *candidate = one;
        any = true;
        looked++;
    }
    return any;
}

/* --- nonces --- */

/* One that was seen before has been paid for until its signature can't count any more. */
static enum count_verdict charge_nonce(struct request *request, const struct signers *signers,
                                       const struct candidate *candidate)
{
    struct worker *worker = request->worker;
    struct pairs *limits = worker->shared->limits;
    struct str id = candidate->key->id, nonce = candidate->input.nonce;
    size_t size = id.length + nonce.length + 16;
    struct buf text = buf_on(arena_alloc(request->arena, size), size);
    BUF_LITERAL(&text, "hmac nonce\n");
    buf_str_add(&text, id);
    buf_char(&text, '\n');
    buf_str_add(&text, nonce);
    return limits_charge(limits, &worker->caller, pairs_key(limits, text.data, text.length), &signers->once,
                         1)
        .verdict;
}

static void check_nonce(struct request *request, const struct signers *signers, struct candidate *candidate)
{
    if (signers->settings->nonce != NONCE_ONCE)
        return;
    switch (charge_nonce(request, signers, candidate)) {
    case COUNT_ADMITTED:
        return;
    case COUNT_FULL:
    case COUNT_BUSY: /* nobody knows: it may be a second time */
        refuse(candidate, PROBLEM_UNCOUNTED, "has a nonce that there is no room to remember");
        return;
    default:
        refuse(candidate, PROBLEM_CREDENTIALS_REFUSED, "was used before (nonce)");
    }
}

/* --- what came of it --- */

static enum verdict accept_it(struct request *request, const struct hmac *hmac,
                              const struct candidate *candidate)
{
    const struct hmac_key *key = candidate->key;
    const struct consumer *consumer =
        key->consumer ? consumers_by_name(hmac->consumers, str_of(key->consumer)) : NULL;
    uint64_t now = request->worker->loop.wall_ns / NS_PER_SECOND;
    if (key->consumer && !consumer)
        return identity_reject(request, PROBLEM_CREDENTIALS_REFUSED,
                               "the consumer of the signature's key is switched off");
    if (consumer && consumer->expires && consumer->expires <= now)
        return identity_reject(request, PROBLEM_CREDENTIALS_EXPIRED,
                               "the consumer of the signature's key has expired");
    struct identity *identity = arena_zalloc(request->arena, sizeof *identity);
    identity->scheme = STR("hmac");
    identity->subject = key->id;
    identity->consumer = consumer;
    identity->expires = consumer ? consumer->expires : 0;
    if (signature_covers(&candidate->input, STR("content-digest"))) {
        enum verdict verdict = content_digest_check(request);
        if (verdict != VERDICT_NEXT)
            return verdict;
    }
    return identity_accept(request, identity);
}

static enum verdict on_request(struct request *request, const void *compiled)
{
    const struct hmac *hmac = compiled;
    const struct signers *signers = NULL;
    struct candidate candidate = {.label = STR("")}, one;
    if (identity_settled(request))
        return VERDICT_NEXT;
    for (unsigned i = 0; i < hmac->count && (!signers || candidate.why); i++)
        if (choose(request, hmac->signers[i], &one)) {
            candidate = one;
            signers = hmac->signers[i];
        }
    if (!signers)
        return identity_absent(request);
    if (!candidate.why)
        check_nonce(request, signers, &candidate);
    if (candidate.why)
        return identity_reject(request, candidate.problem, "the signature %.*s %s", STR_ARG(candidate.label),
                               candidate.why);
    return accept_it(request, hmac, &candidate);
}

static void challenge(struct request *request, const void *compiled)
{
    const struct hmac *hmac = compiled;
    for (unsigned i = 0; i < hmac->count; i++) {
        request_add_field(request, STR("WWW-Authenticate"), hmac->signers[i]->challenge);
        request_add_field(request, STR("Accept-Signature"), hmac->signers[i]->acceptable);
    }
}

const struct policy policy_hmac = {
    .name = "hmac",
    .help = "who calls is told by a signature of the request (RFC 9421)",
    .stage = STAGE_IDENTIFY,
    .section = &section,
    .declared = &declared_section,
    .compile = compile,
    .on_request = on_request,
    .challenge = challenge,
};
