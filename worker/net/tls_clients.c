/* tls_clients: called by tls_server.c, and by the callbacks of its sessions. */
#include "worker/net/tls_clients.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/clock.h"
#include "worker/net/tls_files.h"
#include "worker/net/tls_identity.h"

struct loading {
    struct tls_clients *clients;
    int64_t now;
    struct arena *arena;
    struct errors *errors;
    EVP_MD_CTX *digest;
};

__attribute__((format(printf, 4, 5))) static void tell(const struct loading *loading, bool warning,
                                                       struct setting setting, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = arena_vprintf(loading->errors->arena, format, arguments);
    va_end(arguments);
    (warning ? errors_warn : errors_add)(loading->errors, setting.origin, "%s: %s", setting.path, text);
}

/* None of these steps fails but for want of memory, which ends the process everywhere. */
static void must(bool done)
{
    if (!done)
        abort();
}

static void digest_add(const struct loading *loading, const void *data, size_t length)
{
    must(EVP_DigestUpdate(loading->digest, data, length) == 1);
}

/* --- the files --- */

static void add_authority(const struct loading *loading, X509 *authority)
{
    const struct client_certificate_settings *settings = loading->clients->settings;
    unsigned char print[EVP_MAX_MD_SIZE];
    unsigned length;
    const char *subject = tls_files_name(X509_get_subject_name(authority), loading->errors->arena);
    if (!X509_check_ca(authority))
        tell(loading, true, settings->ca_at, "%s: %s is not an authority's: nothing is verified by it",
             settings->ca, subject);
    if (tls_identity_seconds(X509_get0_notAfter(authority)) < loading->now)
        tell(loading, true, settings->ca_at, "%s: %s has expired: no client's certificate is verified by it",
             settings->ca, subject);
    must(X509_STORE_add_cert(loading->clients->store, authority) == 1);
    must(sk_X509_NAME_push(loading->clients->names, X509_NAME_dup(X509_get_subject_name(authority))) > 0);
    must(X509_digest(authority, EVP_sha256(), print, &length) == 1);
    digest_add(loading, print, length);
}

static bool load_authorities(const struct loading *loading)
{
    const struct client_certificate_settings *settings = loading->clients->settings;
    STACK_OF(X509) *all = tls_files_certificates(settings->ca, settings->ca_at, loading->errors);
    bool root = false;
    for (int i = 0; i < sk_X509_num(all); i++) {
        add_authority(loading, sk_X509_value(all, i));
        root |= X509_self_signed(sk_X509_value(all, i), 0) == 1;
    }
    if (!root) /* then those between are meant: not all that is above them */
        X509_STORE_set_flags(loading->clients->store, X509_V_FLAG_PARTIAL_CHAIN);
    sk_X509_pop_free(all, X509_free);
    return all != NULL;
}

static void add_crl(const struct loading *loading, X509_CRL *crl)
{
    const struct client_certificate_settings *settings = loading->clients->settings;
    unsigned char print[EVP_MAX_MD_SIZE];
    unsigned length;
    const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);
    if (next && tls_identity_seconds(next) < loading->now)
        tell(loading, true, settings->crl_at,
             "%s: the list of %s is out of date: no certificate of that authority is taken until there is a "
             "newer one (then reload)",
             settings->crl, tls_files_name(X509_CRL_get_issuer(crl), loading->errors->arena));
    must(X509_STORE_add_crl(loading->clients->store, crl) == 1);
    must(X509_CRL_digest(crl, EVP_sha256(), print, &length) == 1);
    digest_add(loading, print, length);
}

static bool load_crls(const struct loading *loading)
{
    const struct client_certificate_settings *settings = loading->clients->settings;
    if (!settings->crl)
        return true;
    STACK_OF(X509_CRL) *all = tls_files_crls(settings->crl, settings->crl_at, loading->errors);
    for (int i = 0; i < sk_X509_CRL_num(all); i++)
        add_crl(loading, sk_X509_CRL_value(all, i));
    sk_X509_CRL_pop_free(all, X509_CRL_free);
    X509_STORE_set_flags(loading->clients->store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    return all != NULL;
}

bool tls_clients_load(struct tls_clients *clients, const struct client_certificate_settings *settings,
                      int64_t now, struct arena *arena, struct errors *errors)
{
    struct loading loading = {clients, now, arena, errors, EVP_MD_CTX_new()};
    unsigned length;
    bool good = true;
    *clients = (struct tls_clients){.settings = settings};
    must(loading.digest && EVP_DigestInit_ex(loading.digest, EVP_sha256(), NULL) == 1);
    digest_add(&loading, &settings->mode, sizeof settings->mode);
    if (settings->mode != CLIENT_CERTIFICATES_OFF) {
        digest_add(&loading, &settings->depth, sizeof settings->depth);
        clients->store = X509_STORE_new();
        clients->names = sk_X509_NAME_new_null();
        must(clients->store && clients->names);
        X509_STORE_set_depth(clients->store, (int)settings->depth);
        X509_STORE_set_purpose(clients->store, X509_PURPOSE_SSL_CLIENT);
        good = load_authorities(&loading) & load_crls(&loading);
    }
    must(EVP_DigestFinal_ex(loading.digest, clients->digest, &length) == 1);
    EVP_MD_CTX_free(loading.digest);
    ERR_clear_error();
    return good;
}

void tls_clients_free(struct tls_clients *clients)
{
    X509_STORE_free(clients->store);
    sk_X509_NAME_pop_free(clients->names, X509_NAME_free);
    clients->store = NULL;
    clients->names = NULL;
}

bool tls_clients_same(const struct tls_clients *a, const struct tls_clients *b)
{
    return memcmp(a->digest, b->digest, sizeof a->digest) == 0;
}

/* --- sessions --- */

/* `optional`: whatever is shown is taken, and what came of it is known (SSL_get_verify_result()). */
static int take_any(int good, X509_STORE_CTX *verification)
{
    (void)good;
    (void)verification;
    return 1;
}

void tls_clients_apply(const struct tls_clients *clients, SSL_CTX *context)
{
    const struct client_certificate_settings *settings = clients->settings;
    must(SSL_CTX_set_session_id_context(context, clients->digest, sizeof clients->digest) == 1);
    if (settings->mode == CLIENT_CERTIFICATES_OFF)
        return;
    SSL_CTX_set1_cert_store(context, clients->store);
    SSL_CTX_set0_CA_list(context, SSL_dup_CA_list(clients->names));
    SSL_CTX_set_verify_depth(context, (int)settings->depth);
    if (settings->mode == CLIENT_CERTIFICATES_REQUIRED)
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    else
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, take_any);
}

void tls_clients_switch(SSL *ssl, const SSL_CTX *context)
{
    SSL_set_verify(ssl, SSL_CTX_get_verify_mode(context), SSL_CTX_get_verify_callback(context));
    SSL_set_verify_depth(ssl, SSL_CTX_get_verify_depth(context));
}

bool tls_clients_still(const struct tls_clients *clients, SSL_SESSION *session)
{
    X509 *certificate = SSL_SESSION_get0_peer(session);
    if (clients->settings->mode == CLIENT_CERTIFICATES_OFF || !certificate)
        return true; /* one without a certificate is not gone on with where one is required: by the digest */
    X509_STORE_CTX *verification = X509_STORE_CTX_new();
    /* A ticket keeps no chain: whose issuer isn't in `ca` shows it again, in a handshake of its own. */
    bool good = verification && X509_STORE_CTX_init(verification, clients->store, certificate, NULL) == 1 &&
                X509_verify_cert(verification) == 1;
    X509_STORE_CTX_free(verification);
    ERR_clear_error();
    return good;
}
