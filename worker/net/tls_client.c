/* tls_client: TLS to the endpoints of an upstream. */
#include "worker/net/tls_client.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/clock.h"
#include "worker/net/tls_choices.h"
#include "worker/net/tls_files.h"
#include "worker/net/tls_identity.h"

struct tls_client {
    SSL_CTX *context;
    const struct upstream_tls_settings *settings;
};

/* By enum tls_protocol (RFC 7301, section 6). */
static const char *const protocol_names[] = {
    [TLS_PROTOCOL_HTTP1] = "http/1.1",
    [TLS_PROTOCOL_HTTP2] = "h2",
};

/* --- sessions to go on with --- */

/* A ticket came, with TLS 1.3 at any time. True: it is ours. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    SSL_SESSION **kept = SSL_get_app_data(ssl);
    if (!kept)
        return 0;
    tls_client_forget(kept);
    *kept = session;
    return 1;
}

void tls_client_forget(SSL_SESSION **session)
{
    SSL_SESSION_free(*session);
    *session = NULL;
}

/* --- the context --- */

static void free_context(void *context)
{
    SSL_CTX_free(context);
}

static bool report(struct errors *errors, struct setting setting, const char *what)
{
    errors_add(errors, setting.origin, "%s: %s can't be used: %s", setting.path, what, tls_files_why());
    return false;
}

static bool load_trust(SSL_CTX *context, const struct upstream_tls_settings *settings, struct errors *errors)
{
    if (!settings->verify)
        return true;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (!settings->ca)
        return SSL_CTX_set_default_verify_paths(context) == 1 ||
               report(errors, settings->at, "the authorities of the system");
    /* Who is named is trusted, and needs nobody above. */
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
    STACK_OF(X509) *authorities = tls_files_certificates(settings->ca, settings->ca_at, errors);
    bool good = authorities;
    for (int i = 0; good && i < sk_X509_num(authorities); i++)
        good = X509_STORE_add_cert(SSL_CTX_get_cert_store(context), sk_X509_value(authorities, i)) == 1 ||
               report(errors, settings->ca_at, settings->ca);
    sk_X509_pop_free(authorities, X509_free);
    return good;
}

/* Who we are, if we are asked. */
static bool load_own(SSL_CTX *context, const struct upstream_tls_settings *settings, struct arena *arena,
                     struct errors *errors)
{
    struct tls_identity identity;
    if (!settings->own.cert)
        return true;
    bool good =
        tls_identity_load(&identity, &settings->own, TLS_FOR_CLIENT,
                          (int64_t)(clock_wall_ns() / NS_PER_SECOND), arena, errors) &&
        (SSL_CTX_use_cert_and_key(context, identity.certificate, identity.key, identity.chain, 1) == 1 ||
         report(errors, settings->own.cert_at, settings->own.cert));
    tls_identity_free(&identity);
    return good;
}

static bool choose(SSL_CTX *context, const struct upstream_tls_settings *settings, struct arena *arena,
                   struct errors *errors)
{
    const struct tls_settings wanted = {.min_version = settings->min_version,
                                        .max_version = settings->max_version,
                                        .ciphers = settings->ciphers,
                                        .ciphersuites = settings->ciphersuites,
                                        .curves = settings->curves,
                                        .ciphers_at = settings->ciphers_at,
                                        .ciphersuites_at = settings->ciphersuites_at,
                                        .curves_at = settings->curves_at};
    struct tls_choices choices;
    return tls_choices_check(&choices, &wanted, arena, errors) &&
           (tls_choices_apply(&choices, context) ||
            report(errors, settings->at, "these versions, ciphers and curves"));
}

static void offer_protocols(SSL_CTX *context, unsigned protocols)
{
    unsigned char list[32];
    unsigned length = 0;
    for (unsigned i = TLS_PROTOCOL_HTTP2; i > TLS_PROTOCOL_NONE; i--) {
        if (!(protocols >> i & 1))
            continue;
        size_t size = strlen(protocol_names[i]);
        list[length] = (unsigned char)size;
        memcpy(list + length + 1, protocol_names[i], size);
        length += 1 + (unsigned)size;
    }
    if (SSL_CTX_set_alpn_protos(context, list, length) != 0)
        abort(); /* no memory */
}

struct tls_client *tls_client_new(const struct upstream_tls_settings *settings, unsigned protocols,
                                  struct arena *arena, struct errors *errors)
{
    struct tls_client *client = arena_zalloc(arena, sizeof *client);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context)
        abort();
    arena_on_free(arena, free_context, context);
    client->context = context;
    client->settings = settings;
    ERR_clear_error();
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, on_session);
    offer_protocols(context, protocols);
    bool good = choose(context, settings, arena, errors);
    good &= load_trust(context, settings, errors);
    good &= load_own(context, settings, arena, errors);
    return good ? client : NULL;
}

/* --- one connection --- */

/* An address can't be asked for by SNI (RFC 6066, section 3), but a certificate can be for it. */
static void set_name(SSL *ssl, const char *name)
{
    X509_VERIFY_PARAM *rules = SSL_get0_param(ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(rules, name) == 1)
        return;
    ERR_clear_error();
    X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (SSL_set_tlsext_host_name(ssl, name) != 1 || X509_VERIFY_PARAM_set1_host(rules, name, 0) != 1)
        abort(); /* no memory: what a name may be was checked when the configuration was read */
}

struct tls *tls_client_session(const struct tls_target *target, struct net *net)
{
    const struct upstream_tls_settings *settings = target->client->settings;
    const char *name = settings->name ? settings->name : target->name;
    SSL *ssl = SSL_new(target->client->context);
    if (!ssl)
        abort();
    SSL_set_connect_state(ssl);
    if (name)
        set_name(ssl, name);
    if (settings->resume && target->session) {
        SSL_set_app_data(ssl, target->session);
        if (*target->session)
            (void)SSL_set_session(ssl, *target->session); /* where it can't be, a new one is made */
    }
    struct tls *tls = tls_new(net, ssl);
    tls_set_front(tls, target->before);
    return tls;
}
