/* tls_identity: called by tls_server.c. */
#include "worker/net/tls_identity.h"

#include <ctype.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "shared/base/clock.h"
#include "worker/net/tls_files.h"

enum { DAY = 86400, NAME_BYTES = 253, RSA_BITS = 2048 };

const char *const tls_algorithm_names[TLS_ALGORITHMS] = {"RSA", "RSA-PSS", "ECDSA", "Ed25519", "Ed448"};

static const int algorithm_ids[TLS_ALGORITHMS] = {EVP_PKEY_RSA, EVP_PKEY_RSA_PSS, EVP_PKEY_EC,
                                                  EVP_PKEY_ED25519, EVP_PKEY_ED448};

/* What a loading carries along. */
struct loading {
    struct tls_identity *identity;
    enum tls_purpose purpose;
    int64_t now;
    struct arena *arena;
    struct errors *errors;
};

__attribute__((format(printf, 4, 5))) static void tell(struct loading *loading, bool warning,
                                                       struct setting setting, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = arena_vprintf(loading->errors->arena, format, arguments);
    va_end(arguments);
    (warning ? errors_warn : errors_add)(loading->errors, setting.origin, "%s: %s", setting.path, text);
}

#define FAIL(...) tell(loading, false, loading->identity->settings->cert_at, __VA_ARGS__)
#define WARN(...) tell(loading, true, loading->identity->settings->cert_at, __VA_ARGS__)

static const char *subject_of(const X509 *certificate, struct loading *loading)
{
    return tls_files_name(X509_get_subject_name(certificate), loading->arena);
}

/* --- time --- */

int64_t tls_identity_seconds(const ASN1_TIME *time)
{
    struct tm calendar = {0};
    return ASN1_TIME_to_tm(time, &calendar) == 1 ? (int64_t)timegm(&calendar) : 0;
}

int tls_identity_days(const struct tls_identity *identity, int64_t now)
{
    int64_t left = identity->ends - now;
    return (int)(left >= 0 ? left / DAY : -((-left + DAY - 1) / DAY));
}

/* "2026-11-24" */
static const char *day_text(int64_t seconds, struct arena *arena)
{
    char text[CLOCK_RFC3339_SIZE];
    clock_rfc3339((uint64_t)(seconds > 0 ? seconds : 0) * NS_PER_SECOND, text);
    return arena_strndup(arena, text, sizeof "2026-11-24" - 1);
}

static void check_time(struct loading *loading, const X509 *certificate, const char *what)
{
    const char *path = loading->identity->settings->cert;
    int64_t starts = tls_identity_seconds(X509_get0_notBefore(certificate));
    int64_t ends = tls_identity_seconds(X509_get0_notAfter(certificate));
    int64_t left = ends - loading->now;
    const char *day = day_text(ends, loading->errors->arena);
    if (starts > loading->now)
        WARN("%s: %s is not valid before %s: clients refuse it until then (is the clock right?)", path, what,
             day_text(starts, loading->errors->arena));
    else if (left < 0)
        WARN("%s: %s has expired on %s: clients refuse it (renew it, then reload)", path, what, day);
    else if (left < (int64_t)TLS_WARN_DAYS * DAY)
        WARN("%s: %s expires on %s, in %d days (renew it, then reload)", path, what, day, (int)(left / DAY));
}

/* --- key and certificate --- */

/* The algorithm of the key, if it is one that TLS can use and strong enough. */
static bool check_key(struct loading *loading)
{
    struct tls_identity *identity = loading->identity;
    const char *path = identity->settings->cert;
    unsigned algorithm = 0;
    while (algorithm < TLS_ALGORITHMS && algorithm_ids[algorithm] != EVP_PKEY_get_id(identity->key))
        algorithm++;
    if (algorithm == TLS_ALGORITHMS) {
        FAIL("%s: a key of this kind (%s) can't be used for TLS (make one of ECDSA P-256 or RSA)", path,
             EVP_PKEY_get0_type_name(identity->key));
        return false;
    }
    identity->algorithm = algorithm;
    int bits = EVP_PKEY_get_bits(identity->key);
    if ((algorithm == TLS_RSA || algorithm == TLS_RSA_PSS) && bits < RSA_BITS) {
        FAIL("%s: an RSA key of %d bits is too weak (make one of %d bits, or ECDSA P-256)", path, bits,
             RSA_BITS);
        return false;
    }
    char curve[64] = "of no name";
    if (algorithm != TLS_ECDSA)
        return true;
    EVP_PKEY_get_group_name(identity->key, curve, sizeof curve, NULL);
    int known = OBJ_sn2nid(curve);
    if (known == NID_X9_62_prime256v1 || known == NID_secp384r1 || known == NID_secp521r1)
        return true;
    FAIL("%s: the key's curve %s is not one of TLS 1.3 (make a key of P-256, P-384 or P-521)", path, curve);
    return false;
}

/* Whose certificate the key's is: it must be the first. */
static bool check_match(struct loading *loading, STACK_OF(X509) * all)
{
    const struct certificate_settings *settings = loading->identity->settings;
    int which = 0;
    while (which < sk_X509_num(all) &&
           X509_check_private_key(sk_X509_value(all, which), loading->identity->key) != 1)
        which++;
    ERR_clear_error();
    if (which == 0)
        return true;
    if (which == sk_X509_num(all))
        tell(loading, false, settings->key_at, "%s is not the key of %s (%s)",
             strncmp(settings->key, "env:", 4) == 0 ? settings->key + 4 : settings->key, settings->cert,
             subject_of(sk_X509_value(all, 0), loading));
    else
        FAIL("%s: the key's certificate (%s) is number %d in the file; it must be the first", settings->cert,
             subject_of(sk_X509_value(all, which), loading), which + 1);
    return false;
}

/* --- the chain --- */

/* Signatures that can be forged, but for a root's, which nobody checks. */
static bool check_signature(struct loading *loading, X509 *certificate)
{
    int digest = NID_undef;
    bool own = X509_check_issued(certificate, certificate) == X509_V_OK;
    if (own || X509_get_signature_info(certificate, &digest, NULL, NULL, NULL) != 1)
        return true;
    if (digest != NID_sha1 && digest != NID_md5)
        return true;
    FAIL("%s: %s is signed with %s, which clients refuse (have it made anew with SHA-256)",
         loading->identity->settings->cert, subject_of(certificate, loading), OBJ_nid2sn(digest));
    return false;
}

/* Each is followed by its issuer (RFC 5246, section 7.4.2). */
static bool check_chain(struct loading *loading, STACK_OF(X509) * all)
{
    const char *path = loading->identity->settings->cert;
    for (int i = 1; i < sk_X509_num(all); i++) {
        X509 *below = sk_X509_value(all, i - 1), *above = sk_X509_value(all, i);
        if (X509_check_issued(above, below) == X509_V_OK)
            continue;
        FAIL("%s: certificate number %d (%s) is not the issuer of the one before it, which is %s (put them "
             "in order, and leave out what isn't of the chain)",
             path, i + 1, subject_of(above, loading),
             tls_files_name(X509_get_issuer_name(below), loading->arena));
        return false;
    }
    bool good = true;
    for (int i = 0; i < sk_X509_num(all); i++) {
        X509 *one = sk_X509_value(all, i);
        check_time(loading, one, subject_of(one, loading));
        good &= check_signature(loading, one);
    }
    return good;
}

static bool check_purpose(struct loading *loading)
{
    static const struct {
        uint32_t usage;
        const char *who, *name;
    } purposes[] = {[TLS_FOR_SERVER] = {XKU_SSL_SERVER, "servers", "serverAuth"},
                    [TLS_FOR_CLIENT] = {XKU_SSL_CLIENT, "clients", "clientAuth"}};
    X509 *certificate = loading->identity->certificate;
    enum tls_purpose purpose = loading->purpose;
    if (!(X509_get_extension_flags(certificate) & EXFLAG_XKUSAGE) ||
        X509_get_extended_key_usage(certificate) & (purposes[purpose].usage | XKU_ANYEKU))
        return true;
    FAIL("%s: %s is not for %s: its extendedKeyUsage lacks %s", loading->identity->settings->cert,
         loading->identity->subject, purposes[purpose].who, purposes[purpose].name);
    return false;
}

/* --- names --- */

static struct str lower_case(struct str text, struct arena *arena)
{
    char *out = arena_strndup(arena, text.data, text.length);
    for (size_t i = 0; i < text.length; i++)
        out[i] = (char)tolower((unsigned char)out[i]);
    return (struct str){out, text.length};
}

/* A host name, or one with a `*` for its first label (RFC 9525, section 6.3). */
static bool is_name(struct str name)
{
    if (str_starts(name, STR("*.")))
        name = str_from(name, 2);
    if (name.length == 0 || name.length > NAME_BYTES || name.data[0] == '.' ||
        name.data[name.length - 1] == '.')
        return false;
    for (size_t i = 0; i < name.length; i++) {
        unsigned char c = (unsigned char)name.data[i];
        if (!isalnum(c) && c != '-' && c != '.' && c != '_')
            return false;
    }
    return true;
}

static void add_name(struct loading *loading, const unsigned char *data, int length)
{
    struct tls_identity *identity = loading->identity;
    struct str name = {(const char *)data, (size_t)length};
    if (data && length > 0 && is_name(name))
        identity->names[identity->name_count++] = lower_case(name, loading->arena);
}

/* Those in the certificate; the common name is one if there is no other. */
static void take_names(struct loading *loading)
{
    struct tls_identity *identity = loading->identity;
    GENERAL_NAMES *all = X509_get_ext_d2i(identity->certificate, NID_subject_alt_name, NULL, NULL);
    identity->names = arena_array(loading->arena, (size_t)(all ? sk_GENERAL_NAME_num(all) : 0) + 1,
                                  sizeof *identity->names);
    for (int i = 0; all && i < sk_GENERAL_NAME_num(all); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(all, i);
        if (name->type == GEN_DNS)
            add_name(loading, ASN1_STRING_get0_data(name->d.dNSName), ASN1_STRING_length(name->d.dNSName));
    }
    if (!all) {
        const X509_NAME *subject = X509_get_subject_name(identity->certificate);
        int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
        const ASN1_STRING *text = at < 0 ? NULL : X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
        if (text)
            add_name(loading, ASN1_STRING_get0_data(text), ASN1_STRING_length(text));
    }
    GENERAL_NAMES_free(all);
}

/* Of the authority information access (RFC 5280, section 4.2.2.1). */
static void take_responder(struct loading *loading)
{
    STACK_OF(OPENSSL_STRING) *all = X509_get1_ocsp(loading->identity->certificate);
    for (int i = 0; i < sk_OPENSSL_STRING_num(all) && !loading->identity->responder; i++)
        if (str_starts(str_of(sk_OPENSSL_STRING_value(all, i)), STR("http://")))
            loading->identity->responder = arena_strdup(loading->arena, sk_OPENSSL_STRING_value(all, i));
    X509_email_free(all);
}

static bool covered(const struct tls_identity *identity, struct str name)
{
    struct str behind = name;
    str_cut(&behind, '.');
    for (unsigned i = 0; i < identity->name_count; i++) {
        struct str has = identity->names[i];
        bool wildcard = str_starts(has, STR("*.")) && behind.data && str_eq(str_from(has, 2), behind);
        if (wildcard || str_eq(has, name))
            return true;
    }
    return false;
}

/* Those of the setting instead. */
static bool choose_names(struct loading *loading)
{
    struct tls_identity *identity = loading->identity;
    const struct certificate_settings *settings = identity->settings;
    const struct conf_strings *wanted = &settings->names;
    struct str *names = arena_array(loading->arena, wanted->count, sizeof *names);
    for (unsigned i = 0; i < wanted->count; i++) {
        names[i] = lower_case(str_of(wanted->items[i]), loading->arena);
        if (!is_name(names[i])) {
            tell(loading, false, settings->names_at,
                 "\"%s\" is not a name (write \"api.example.com\" or \"*.example.com\", in ASCII)",
                 wanted->items[i]);
            return false;
        }
        if (!covered(identity, names[i]))
            tell(loading, true, settings->names_at,
                 "%s is not valid for \"%s\": clients that ask for it refuse the connection", settings->cert,
                 wanted->items[i]);
    }
    if (wanted->count) {
        identity->names = names;
        identity->name_count = wanted->count;
    }
    return true;
}

/* --- the whole --- */

bool tls_identity_load(struct tls_identity *identity, const struct certificate_settings *settings,
                       enum tls_purpose purpose, int64_t now, struct arena *arena, struct errors *errors)
{
    struct loading all = {identity, purpose, now, arena, errors}, *loading = &all;
    *identity = (struct tls_identity){.settings = settings, .staple_want = -1};
    identity->chain = tls_files_certificates(settings->cert, settings->cert_at, errors);
    identity->key = tls_files_key(settings->key, settings->key_at, errors);
    if (!identity->chain || !identity->key)
        return false;
    if (!check_match(loading, identity->chain) || !check_key(loading) ||
        !check_chain(loading, identity->chain))
        return false;
    identity->certificate = sk_X509_shift(identity->chain);
    identity->subject = subject_of(identity->certificate, loading);
    identity->starts = tls_identity_seconds(X509_get0_notBefore(identity->certificate));
    identity->ends = tls_identity_seconds(X509_get0_notAfter(identity->certificate));
    take_names(loading);
    take_responder(loading);
    return check_purpose(loading) && choose_names(loading);
}

void tls_identity_wipe(struct tls_identity *identity)
{
    EVP_PKEY_free(identity->key); /* the library overwrites it */
    identity->key = NULL;
}

void tls_identity_free(struct tls_identity *identity)
{
    tls_identity_wipe(identity);
    X509_free(identity->certificate);
    sk_X509_pop_free(identity->chain, X509_free);
    identity->certificate = NULL;
    identity->chain = NULL;
}
