/* tls_staple: called by tls_server.c when a generation is loaded. */
#include "worker/net/tls_staple.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <stdlib.h>

#include "worker/net/tls_files.h"

/* Clocks of responders are a little off, as ours may be. */
enum { LEEWAY = 300, DAY = 86400 };

/* The issuer's own signature, or one of whom it lets sign for it (RFC 6960, section 4.2.2.2). */
static bool is_signed(const struct tls_identity *identity, OCSP_BASICRESP *basic)
{
    X509_STORE *store = X509_STORE_new();
    bool good = store && X509_STORE_add_cert(store, sk_X509_value(identity->chain, 0)) == 1;
    if (good) {
        X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN); /* it is trusted in this, root or not */
        good = OCSP_basic_verify(basic, identity->chain, store, 0) == 1;
    }
    X509_STORE_free(store);
    return good;
}

/* What it says of this certificate; NULL: nothing. Responders choose the digest that names are made with. */
static OCSP_SINGLERESP *single_of(const struct tls_identity *identity, OCSP_BASICRESP *basic)
{
    const EVP_MD *const digests[] = {EVP_sha1(), EVP_sha256(), EVP_sha384(), EVP_sha512()};
    int at = -1;
    for (size_t i = 0; at < 0 && i < sizeof digests / sizeof digests[0]; i++) {
        OCSP_CERTID *id =
            OCSP_cert_to_id(digests[i], identity->certificate, sk_X509_value(identity->chain, 0));
        at = id ? OCSP_resp_find(basic, id, -1) : -1;
        OCSP_CERTID_free(id);
    }
    return at < 0 ? NULL : OCSP_resp_get0(basic, at);
}

static enum tls_staple_verdict judge(const struct tls_identity *identity, OCSP_BASICRESP *basic, int64_t now,
                                     int64_t *until, struct arena *arena, const char **why)
{
    ASN1_GENERALIZEDTIME *revoked, *from, *next = NULL;
    int reason;
    OCSP_SINGLERESP *single = single_of(identity, basic);
    if (!single) {
        *why = "it is about another certificate";
        return TLS_STAPLE_WRONG;
    }
    int status = OCSP_single_get0_status(single, &reason, &revoked, &from, &next);
    if (status != V_OCSP_CERTSTATUS_GOOD) {
        *why = status == V_OCSP_CERTSTATUS_REVOKED ? "the certificate is revoked (have a new one made)"
                                                   : "its authority doesn't know the certificate";
        return TLS_STAPLE_WRONG;
    }
    if (!is_signed(identity, basic)) {
        *why = arena_printf(arena, "it isn't signed by the certificate's issuer: %s", tls_files_why());
        return TLS_STAPLE_WRONG;
    }
    *until = next ? tls_identity_seconds(next) : tls_identity_seconds(from) + DAY;
    if (tls_identity_seconds(from) > now + LEEWAY || *until <= now) {
        *why = *until <= now ? "it is out of date" : "it is of the future (is the clock right?)";
        return TLS_STAPLE_OUTDATED;
    }
    return TLS_STAPLE_GOOD;
}

enum tls_staple_verdict tls_staple_check(const struct tls_identity *identity, struct str der, int64_t now,
                                         int64_t *until, struct arena *arena, const char **why)
{
    const unsigned char *data = (const unsigned char *)der.data;
    enum tls_staple_verdict verdict = TLS_STAPLE_WRONG;
    if (sk_X509_num(identity->chain) == 0) {
        *why = "without its issuer's certificate nothing can be told (add that to the file of `cert`)";
        return verdict;
    }
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &data, (long)der.length);
    OCSP_BASICRESP *basic = NULL;
    if (!response)
        *why = "it is no OCSP response (DER)";
    else if (OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
        *why = arena_printf(arena, "the responder's answer is \"%s\"",
                            OCSP_response_status_str(OCSP_response_status(response)));
    else if (!(basic = OCSP_response_get1_basic(response)))
        *why = "it is of an unknown kind";
    else
        verdict = judge(identity, basic, now, until, arena, why);
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    ERR_clear_error();
    return verdict;
}

/* Without a nonce: responders have their answers made beforehand. */
struct str tls_staple_question(const struct tls_identity *identity, struct arena *arena)
{
    OCSP_REQUEST *request = OCSP_REQUEST_new();
    OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), identity->certificate, sk_X509_value(identity->chain, 0));
    unsigned char *data = NULL;
    if (!request || !id || !OCSP_request_add0_id(request, id))
        abort(); /* no memory */
    int length = i2d_OCSP_REQUEST(request, &data);
    if (length <= 0)
        abort();
    struct str question = arena_str(arena, (struct str){(const char *)data, (size_t)length});
    OPENSSL_free(data);
    OCSP_REQUEST_free(request);
    return question;
}

bool tls_staple_load(struct tls_identity *identity, int64_t now, struct arena *arena, struct errors *errors)
{
    const struct certificate_settings *settings = identity->settings;
    const char *why;
    if (!settings->staple)
        return true;
    struct str der = tls_files_bytes(settings->staple, settings->staple_at, arena, errors);
    if (!der.data)
        return false;
    switch (tls_staple_check(identity, der, now, &identity->staple_until, errors->arena, &why)) {
    case TLS_STAPLE_GOOD:
        identity->staple = der;
        return true;
    case TLS_STAPLE_OUTDATED:
        errors_warn(errors, settings->staple_at.origin, "%s: %s: %s, and not sent", settings->staple_at.path,
                    settings->staple, why);
        return true;
    default:
        errors_add(errors, settings->staple_at.origin, "%s: %s: %s", settings->staple_at.path,
                   settings->staple, why);
        return false;
    }
}
