/* tls_client: TLS to the endpoints of an upstream. */
#include "worker/net/tls_client.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

struct tls_client {
    SSL_CTX *context;
    const struct upstream_tls_settings *settings;
};

/* By enum tls_protocol (RFC 7301, section 6). */
static const char *const protocol_names[] = {
    [TLS_PROTOCOL_HTTP1] = "http/1.1",
    [TLS_PROTOCOL_HTTP2] = "h2",
};

/* By upstream_tls_settings.min_version. */
static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

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

static void report(struct errors *errors, struct origin origin, const char *setting, const char *value)
{
    unsigned long code = ERR_peek_last_error();
    const char *why = ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
    errors_add(errors, origin, "tls.%s: %s: %s", setting, value, why ? why : "it can't be used");
    ERR_clear_error();
}

static void load_trust(SSL_CTX *context, const struct upstream_tls_settings *settings, struct errors *errors)
{
    if (!settings->verify)
        return;
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (settings->ca ? SSL_CTX_load_verify_file(context, settings->ca) != 1
                     : SSL_CTX_set_default_verify_paths(context) != 1)
        report(errors, settings->origin, "ca", settings->ca ? settings->ca : "the system's");
}

static void load_certificate(SSL_CTX *context, const struct upstream_tls_settings *settings,
                             struct errors *errors)
{
    if (!settings->cert)
        return;
    if (SSL_CTX_use_certificate_chain_file(context, settings->cert) != 1)
        report(errors, settings->origin, "cert", settings->cert);
    else if (SSL_CTX_use_PrivateKey_file(context, settings->key, SSL_FILETYPE_PEM) != 1)
        report(errors, settings->origin, "key", settings->key);
}

static void set_ciphers(SSL_CTX *context, const struct upstream_tls_settings *settings, struct arena *arena,
                        struct errors *errors)
{
    const char *list = NULL;
    for (unsigned i = 0; i < settings->ciphers.count; i++)
        list = list ? arena_printf(arena, "%s:%s", list, settings->ciphers.items[i])
                    : settings->ciphers.items[i];
    if (list && SSL_CTX_set_cipher_list(context, list) != 1)
        report(errors, settings->origin, "ciphers", list);
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
    unsigned before = errors->count;
    struct tls_client *client = arena_zalloc(arena, sizeof *client);
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (!context)
        abort();
    arena_on_free(arena, free_context, context);
    client->context = context;
    client->settings = settings;
    ERR_clear_error();
    SSL_CTX_set_min_proto_version(context, versions[settings->min_version]);
    SSL_CTX_set_max_proto_version(context, versions[settings->max_version]);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, on_session);
    load_trust(context, settings, errors);
    load_certificate(context, settings, errors);
    set_ciphers(context, settings, arena, errors);
    offer_protocols(context, protocols);
    return errors->count == before ? client : NULL;
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
