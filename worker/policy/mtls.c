/* mtls: a consumer shows a certificate in the handshake of TLS. Which certificates are good is the listener's business
 * (tls.client_certificates); here it is told whose they are, by the certificate or by a name that an authority has put in it.
 */
#include <stdlib.h>

#include "worker/net/tls.h"
#include "worker/net/tls_shown.h"
#include "worker/request/identity.h"
#include "worker/request/request.h"

/* What of a certificate tells whose it is. */
enum part {
    PART_COMMON_NAME,
    PART_SUBJECT,
    PART_DNS,
    PART_URI,
    PART_EMAIL,
    PART_IP,
    PART_FINGERPRINT,
    PARTS
};
static const char *const parts[] = {"common_name", "subject", "dns",         "uri",
                                    "email",       "ip",      "fingerprint", NULL};

struct certificate_of {
    struct origin origin;
    const char *values[PARTS]; /* of which one is there */
    const char *consumer;
};

struct mtls_settings {
    struct origin origin;
    int by; /* enum part */
    struct conf_strings issuers;
    struct conf_list certificates; /* struct certificate_of */
    bool unknown;
};

#define CERTIFICATE(at, said, ...)                                                                   \
    {                                                                                                \
        .kind = ROW_STRING, .name = (said),                                                          \
        .offset = offsetof(struct certificate_of, values) + (at) * sizeof(const char *), __VA_ARGS__ \
    }
#define MTLS(kind_, member, ...) ROW_(kind_, struct mtls_settings, member, __VA_ARGS__)

static const struct row certificate_rows[] = {
    CERTIFICATE(PART_COMMON_NAME, "common_name", .help = "the common name of its subject"),
    CERTIFICATE(PART_SUBJECT, "subject", .help = "its subject, as in \"CN=alice,O=Example\" (RFC 2253)"),
    CERTIFICATE(PART_DNS, "dns", .help = "a DNS name of its subjectAltName"),
    CERTIFICATE(PART_URI, "uri", .help = "a URI of it, as in \"spiffe://example/a\""),
    CERTIFICATE(PART_EMAIL, "email", .help = "an email address of it"),
    CERTIFICATE(PART_IP, "ip", .help = "an IP address of it"),
    CERTIFICATE(PART_FINGERPRINT, "fingerprint",
                .help = "its SHA-256 digest, 64 hexadecimal digits in lower case"),
    ROW_(ROW_STRING, struct certificate_of, consumer, .flags = ROW_REQUIRED, .help = "whose it is"),
    ROW_END,
};

static void check_certificate(struct conf_loader *loader, void *structure)
{
    const struct certificate_of *certificate = structure;
    const char *fingerprint = certificate->values[PART_FINGERPRINT];
    unsigned count = 0;
    for (unsigned i = 0; i < PARTS; i++)
        count += certificate->values[i] != NULL;
    if (count != 1)
        conf_error(loader, certificate->origin, NULL,
                   "says %u things of a certificate (write one of common_name, subject, dns, uri, email, ip, "
                   "fingerprint)",
                   count);
    if (fingerprint && (strlen(fingerprint) != 64 || strspn(fingerprint, "0123456789abcdef") != 64))
        conf_error(
            loader, certificate->origin, "fingerprint",
            "\"%s\" is not 64 hexadecimal digits in lower case (openssl x509 -fingerprint -sha256, without "
            "its colons)",
            fingerprint);
}

static const struct section certificate_section = {.name = "mtls.certificates",
                                                   .size = sizeof(struct certificate_of),
                                                   .rows = certificate_rows,
                                                   .check = check_certificate};

static const struct row rows[] = {
    MTLS(ROW_LIST, certificates, .section = &certificate_section, .max = 100000,
         .help = "whose certificates are: by one thing that each says, and the consumer"),
    MTLS(ROW_WORD, by, .fallback = "common_name", .words = parts,
         .help = "of others: what of it is the name of the consumer"),
    MTLS(ROW_STRINGS, issuers,
         .help = "only certificates that one of these has signed itself count, as in "
                 "\"CN=people,O=Example\"; none: all "
                 "that the listener takes"),
    MTLS(ROW_FLAG, unknown, .fallback = "false",
         .help = "certificates of nobody who is a consumer are accepted too; the subject is known then, and "
                 "no more"),
    ROW_END,
};

static const struct section declared_section = {
    .name = "mtls", .size = sizeof(struct mtls_settings), .rows = rows, .shorthand = "by"};

static const struct section section = {
    .name = "mtls", .size = sizeof(struct scheme_settings), .rows = scheme_rows, .shorthand = "use"};

/* --- compiling --- */

/* One thing that a certificate may say. */
struct owned {
    enum part part;
    struct str value;
    struct str consumer;
};

/* One that is declared. */
struct holders {
    const struct mtls_settings *settings;
    const struct owned *owned; /* in order */
    unsigned owned_count;
    struct str challenge; /* the value of WWW-Authenticate */
};

/* Compiled for a route. */
struct mtls {
    const struct holders **holders;
    unsigned count;
    const struct consumers *consumers;
};

static int owned_order(const void *one, const void *other)
{
    const struct owned *a = one, *b = other;
    if (a->part != b->part)
        return a->part < b->part ? -1 : 1;
    size_t length = a->value.length < b->value.length ? a->value.length : b->value.length;
    int order = memcmp(a->value.data, b->value.data, length);
    return order ? order : (a->value.length > b->value.length) - (a->value.length < b->value.length);
}

static struct owned compile_owned(struct compiler *compiler, const struct certificate_of *certificate)
{
    struct owned owned = {.value = STR("")};
    for (unsigned i = 0; i < PARTS; i++)
        if (certificate->values[i]) {
            owned.part = i;
            owned.value = str_of(certificate->values[i]);
        }
    owned.consumer = str_of(certificate->consumer);
    if (!consumers_know(compiler->settings->consumer_table, owned.consumer))
        errors_add(compiler->errors, certificate->origin,
                   "auth.mtls.certificates: there is no consumer \"%s\" (add it to consumers)",
                   certificate->consumer);
    return owned;
}

/* No scheme is registered for it: who has shown no certificate can't do so by a field. But a 401 must say something (RFC 9110,
 * section 15.5.2). */
static const struct holders *compile_holders(struct compiler *compiler, struct conf_declaration *declaration)
{
    const struct mtls_settings *settings = declaration->conf;
    const struct conf_list *list = &settings->certificates;
    if (declaration->compiled)
        return declaration->compiled;
    struct holders *holders = arena_zalloc(compiler->arena, sizeof *holders);
    struct owned *owned = arena_array(compiler->arena, list->count, sizeof *owned);
    for (unsigned i = 0; i < list->count; i++)
        owned[i] = compile_owned(compiler, list->items[i]);
    if (list->count)
        qsort(owned, list->count, sizeof *owned, owned_order);
    for (unsigned i = 1; i < list->count; i++)
        if (owned_order(&owned[i - 1], &owned[i]) == 0)
            errors_add(compiler->errors, declaration->origin,
                       "auth.mtls.certificates: %s \"%.*s\" is there twice", parts[owned[i].part],
                       STR_ARG(owned[i].value));
    holders->settings = settings;
    holders->owned = owned;
    holders->owned_count = list->count;
    holders->challenge = str_of(arena_printf(compiler->arena, "Certificate realm=\"%s\"", declaration->name));
    declaration->compiled = holders;
    return holders;
}

static const void *compile(struct compiler *compiler, const void *conf)
{
    const struct scheme_settings *settings = conf;
    struct mtls *mtls = arena_zalloc(compiler->arena, sizeof *mtls);
    mtls->holders = arena_array(compiler->arena, settings->use.count, sizeof *mtls->holders);
    mtls->consumers = compiler->settings->consumer_table;
    for (unsigned i = 0; i < settings->use.count; i++) {
        struct conf_declaration *declaration = compile_declared(compiler, "use", settings->use.items[i]);
        if (declaration)
            mtls->holders[mtls->count++] = compile_holders(compiler, declaration);
    }
    return mtls;
}

/* --- requests --- */

/* The next thing that a certificate says of a kind; `*rest` is its list of names, or the value itself. */
static bool next_value(enum part part, struct str *rest, struct str *value)
{
    static const struct str kinds[] = {[PART_DNS] = {"DNS:", 4},
                                       [PART_URI] = {"URI:", 4},
                                       [PART_EMAIL] = {"email:", 6},
                                       [PART_IP] = {"IP:", 3}};
    bool named = part >= PART_DNS && part <= PART_IP;
    while (rest->length) {
        *value = named ? str_trim(str_cut(rest, ',')) : *rest;
        if (!named)
            *rest = STR("");
        if (!named || str_starts(*value, kinds[part])) {
            *value = str_from(*value, named ? kinds[part].length : 0);
            return true;
        }
    }
    return false;
}

static struct str said(const struct tls_shown *shown, enum part part)
{
    switch (part) {
    case PART_COMMON_NAME:
        return shown->common_name;
    case PART_SUBJECT:
        return shown->subject;
    case PART_FINGERPRINT:
        return shown->fingerprint;
    default:
        return shown->names;
    }
}

/* Whose it is by what is configured, the surest first; NULL data: nobody's. */
static struct str find_owner(const struct holders *holders, const struct tls_shown *shown)
{
    for (unsigned part = PARTS; part-- > 0 && holders->owned_count;) {
        struct owned wanted = {.part = part};
        struct str rest = said(shown, part);
        while (next_value(part, &rest, &wanted.value)) {
            const struct owned *owned =
                bsearch(&wanted, holders->owned, holders->owned_count, sizeof wanted, owned_order);
            if (owned)
                return owned->consumer;
        }
    }
    return (struct str){NULL, 0};
}

static bool is_of(const struct conf_strings *issuers, struct str issuer)
{
    for (unsigned i = 0; i < issuers->count; i++)
        if (str_eq(str_of(issuers->items[i]), issuer))
            return true;
    return issuers->count == 0;
}

/* NULL: it isn't one of these. */
static const struct identity *identify(struct request *request, const struct mtls *mtls,
                                       const struct holders *holders, const struct tls_shown *shown)
{
    enum part by = (enum part)holders->settings->by;
    struct str rest = said(shown, by), subject = STR(""), value;
    if (!is_of(&holders->settings->issuers, shown->issuer))
        return NULL;
    struct str owner = find_owner(holders, shown);
    while (next_value(by, &rest, &value)) {
        subject = subject.length ? subject : value;
        if (!owner.data && consumers_know(mtls->consumers, value))
            subject = owner = value;
    }
    const struct consumer *consumer = owner.data ? consumers_by_name(mtls->consumers, owner) : NULL;
    if (!consumer && (owner.data || !holders->settings->unknown)) /* who is switched off is not unknown */
        return NULL;
    struct identity *identity = arena_zalloc(request->arena, sizeof *identity);
    identity->scheme = STR("mtls");
    identity->subject = subject.length ? subject : shown->subject;
    identity->consumer = consumer;
    identity->expires = consumer ? consumer->expires : 0;
    return identity;
}

static enum verdict on_request(struct request *request, const void *compiled)
{
    const struct mtls *mtls = compiled;
    const struct tls_shown *shown = request->exchange->tls ? request->exchange->tls->shown : NULL;
    const struct identity *identity = NULL;
    if (identity_settled(request))
        return VERDICT_NEXT;
    if (!shown)
        return identity_absent(request);
    if (!shown->fingerprint.length)
        return identity_reject(request, PROBLEM_CREDENTIALS_REFUSED,
                               "the client's certificate is not good: %.*s", STR_ARG(shown->verified));
    for (unsigned i = 0; i < mtls->count && !identity; i++)
        identity = identify(request, mtls, mtls->holders[i], shown);
    if (!identity)
        return identity_reject(request, PROBLEM_CREDENTIALS_REFUSED,
                               "the client's certificate (%.*s) is nobody's who is known here",
                               STR_ARG(shown->subject));
    if (identity->expires && identity->expires <= request->worker->loop.wall_ns / NS_PER_SECOND)
        return identity_reject(request, PROBLEM_CREDENTIALS_EXPIRED,
                               "the consumer of the client's certificate has expired");
    return identity_accept(request, identity);
}

static void challenge(struct request *request, const void *compiled)
{
    const struct mtls *mtls = compiled;
    for (unsigned i = 0; i < mtls->count; i++)
        request_add_field(request, STR("WWW-Authenticate"), mtls->holders[i]->challenge);
}

const struct policy policy_mtls = {
    .name = "mtls",
    .help = "who calls is told by the certificate that it has shown",
    .stage = STAGE_IDENTIFY,
    .section = &section,
    .declared = &declared_section,
    .compile = compile,
    .on_request = on_request,
    .challenge = challenge,
};
