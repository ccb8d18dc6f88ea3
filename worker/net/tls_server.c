/* tls_server: TLS on a listener. */
#include "worker/net/tls_server.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

struct tls_server {
    SSL_CTX *context;
};

static void free_context(void *context)
{
    SSL_CTX_free(context);
}

/* What OpenSSL says of its last failure. */
static const char *reason(void)
{
    unsigned long code = ERR_peek_last_error();
    const char *text =
        ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);
    ERR_clear_error();
    return text ? text : "it can't be read";
}

static void load_certificate(SSL_CTX *context, const struct certificate_settings *settings,
                             struct errors *errors)
{
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(context, settings->cert) != 1)
        errors_add(errors, settings->origin, "tls.certificates.cert: %s: %s", settings->cert, reason());
    else if (SSL_CTX_use_PrivateKey_file(context, settings->key, SSL_FILETYPE_PEM) != 1)
        errors_add(errors, settings->origin, "tls.certificates.key: %s: %s", settings->key, reason());
}

/* The server's order decides (RFC 7301, section 3.2); who names none of them is served as one that names none. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *length,
                           const unsigned char *offered, unsigned offered_length, void *context)
{
    static const unsigned char protocols[] = "\x02h2\x08http/1.1";
    (void)ssl, (void)context;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, length, protocols, sizeof protocols - 1, offered, offered_length) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

struct tls_server *tls_server_new(const struct tls_settings *settings, struct arena *arena,
                                  struct errors *errors)
{
    unsigned before = errors->count;
    struct tls_server *server = arena_zalloc(arena, sizeof *server);
    server->context = SSL_CTX_new(TLS_server_method());
    if (!server->context) {
        errors_add(errors, settings->origin, "tls: %s", reason());
        return NULL;
    }
    arena_on_free(arena, free_context, server->context);
    SSL_CTX_set_min_proto_version(server->context, TLS1_2_VERSION);
    SSL_CTX_set_options(server->context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(server->context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(server->context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_alpn_select_cb(server->context, choose_protocol, NULL);
    for (unsigned i = 0; i < settings->certificates.count; i++)
        load_certificate(server->context, settings->certificates.items[i], errors);
    return errors->count == before ? server : NULL;
}

SSL *tls_server_session(const struct tls_server *server)
{
    SSL *ssl = SSL_new(server->context);
    if (ssl)
        SSL_set_accept_state(ssl);
    return ssl;
}
