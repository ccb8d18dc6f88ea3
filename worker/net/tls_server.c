/* tls_server: TLS on a listener. Built by request/site.c; its sessions are tls_accept.c's. */
#include "worker/net/tls_server.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "shared/base/buf.h"
#include "shared/base/clock.h"
#include "shared/conf/wants.h"
#include "shared/shm/staples.h"
#include "worker/net/tls_choices.h"
#include "worker/net/tls_clients.h"
#include "worker/net/tls_files.h"
#include "worker/net/tls_names.h"
#include "worker/net/tls_staple.h"
#include "worker/net/tls_takeover.h"
#include "worker/net/tls_tickets.h"

/* What names with the same certificates and the same rules share. */
struct tls_context {
    SSL_CTX *ssl;
    struct tls_server *server;
    const struct tls_clients *clients;
    int identities[TLS_ALGORITHMS];
    struct tls_context *next; /* of those whose first identity is the same */
};

/* An OCSP response of the zone `staples`, as it was read last. */
struct fetched {
    const struct staple_cell *cell; /* NULL: none is fetched */
    uint64_t seen;
    struct staple staple;
};

/* What belongs to the library, or changes: not in the generation's arena, which is sealed. */
struct live {
    struct tls_identity *identities;
    unsigned identity_count;
    struct tls_clients *clients; /* the listener's rules, then those of certificates that have their own */
    const struct tls_clients **rules; /* by the identity */
    unsigned clients_count;
    struct tls_context **contexts; /* by their first identity: lists */
    struct fetched *fetched;       /* by the identity */
    struct tls_tickets tickets;
};

struct tls_server {
    const struct tls_settings *settings;
    struct live *live;
    struct tls_choices choices;
    struct tls_names names;
    struct tls_context *standard; /* for names that nobody has, and clients that name none */
    bool rules_differ;            /* from name to name */
};

/* --- giving back --- */

static void free_contexts(struct live *live)
{
    for (unsigned i = 0; live->contexts && i < live->identity_count; i++)
        for (struct tls_context *context = live->contexts[i]; context; context = context->next) {
            SSL_CTX_free(context->ssl);
            context->ssl = NULL;
        }
}

static void free_live(void *object)
{
    struct live *live = object;
    free_contexts(live);
    for (unsigned i = 0; i < live->identity_count; i++) {
        tls_identity_free(&live->identities[i]);
        for (struct tls_context *context = live->contexts ? live->contexts[i] : NULL, *next; context;
             context = next) {
            next = context->next;
            free(context);
        }
    }
    for (unsigned i = 0; i < live->clients_count; i++)
        tls_clients_free(&live->clients[i]);
    OPENSSL_cleanse(&live->tickets, sizeof live->tickets);
    free(live->identities);
    free(live->fetched);
    free(live->clients);
    free(live->rules);
    free(live->contexts);
    free(live);
}

void tls_server_wipe(struct tls_server *server)
{
    struct live *live = server->live;
    free_contexts(live);
    for (unsigned i = 0; i < live->identity_count; i++)
        tls_identity_wipe(&live->identities[i]);
    OPENSSL_cleanse(&live->tickets, sizeof live->tickets);
}

static void *zeroed(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    if (!memory)
        abort();
    return memory;
}

/* --- what is called at a handshake --- */

static struct tls_context *context_of(const SSL *ssl)
{
    return SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
}

static struct tls_context *context_for(const struct tls_server *server, struct str host)
{
    const struct tls_name *name = tls_names_find(&server->names, host);
    return name ? name->value : server->standard;
}

/* Before the session's version, its ticket and its ciphers are looked at: RFC 8446 has the ticket's rules depend on the name
 * (section 4.6.1), and the library's callback for names comes after the ticket is taken. */
static int on_hello(SSL *ssl, int *alert, void *object)
{
    const struct tls_server *server = object;
    const unsigned char *data;
    size_t length;
    (void)alert;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &data, &length) != 1)
        return SSL_CLIENT_HELLO_SUCCESS;
    const struct tls_context *context = context_for(server, tls_names_asked(data, length));
    if (context->ssl != SSL_get_SSL_CTX(ssl)) {
        SSL_set_SSL_CTX(ssl, context->ssl);
        tls_clients_switch(ssl, context->ssl);
    }
    return SSL_CLIENT_HELLO_SUCCESS;
}

/* The client is told that its name was heard. */
static int on_name(SSL *ssl, int *alert, void *object)
{
    (void)ssl, (void)alert, (void)object;
    return SSL_TLSEXT_ERR_OK;
}

/* The server's order decides (RFC 7301, section 3.2); who names none of them is served as one that names none. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *length,
                           const unsigned char *offered, unsigned offered_length, void *context)
{
    struct str protocols = context_of(ssl)->server->settings->protocols;
    unsigned char *chosen;
    (void)context;
    if (SSL_select_next_proto(&chosen, length, (const unsigned char *)protocols.data,
                              (unsigned)protocols.length, offered, offered_length) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int on_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                         EVP_MAC_CTX *mac, int seal)
{
    struct tls_tickets *tickets = &context_of(ssl)->server->live->tickets;
    int result = tls_tickets_key(tickets, name, iv, cipher, mac, seal);
    /* A client of TLS 1.3 uses a ticket once: it gets the next one (RFC 8446, appendix C.4). */
    return result == 1 && !seal && SSL_version(ssl) == TLS1_3_VERSION ? 2 : result;
}

static SSL_TICKET_RETURN on_ticket(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
                                   size_t name_length, SSL_TICKET_STATUS status, void *object)
{
    (void)name, (void)name_length, (void)object;
    if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    if (!tls_clients_still(context_of(ssl)->clients, session))
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

struct str tls_server_staple(const struct tls_server *server, unsigned index, int64_t now, int64_t *until)
{
    const struct tls_identity *identity = &server->live->identities[index];
    struct fetched *fetched = &server->live->fetched[index];
    struct str der = identity->staple;
    *until = identity->staple_until;
    if (fetched->cell) {
        if (twin_changed(&fetched->cell->twin, fetched->seen))
            staple_read(fetched->cell, &fetched->staple, &fetched->seen);
        der = (struct str){(const char *)fetched->staple.der, fetched->staple.length};
        *until = fetched->staple.until;
    }
    return *until > now ? der : STR("");
}

/* The client would like to know whether the certificate that was chosen is still good. */
static int on_status(SSL *ssl, void *object)
{
    const struct tls_context *context = context_of(ssl);
    const struct tls_server *server = context->server;
    int64_t now = (int64_t)(clock_wall_ns() / NS_PER_SECOND), until;
    (void)object;
    for (unsigned i = 0; i < TLS_ALGORITHMS; i++) {
        int index = context->identities[i];
        if (index == TLS_NAMELESS || server->live->identities[index].certificate != SSL_get_certificate(ssl))
            continue;
        struct str staple = tls_server_staple(server, (unsigned)index, now, &until);
        unsigned char *copy = staple.length ? OPENSSL_memdup(staple.data, staple.length) : NULL;
        if (copy && SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)staple.length))
            return SSL_TLSEXT_ERR_OK; /* it owns the copy */
    }
    return SSL_TLSEXT_ERR_NOACK;
}

/* --- building --- */

struct building {
    struct tls_server *server;
    struct arena *arena;
    struct errors *errors;
    int64_t now;
};

/* The listener's rules, and those of each certificate that has its own. */
static bool load_clients(struct building *building)
{
    const struct tls_settings *settings = building->server->settings;
    struct live *live = building->server->live;
    bool good = true;
    live->clients = zeroed(live->identity_count + 1, sizeof *live->clients);
    live->rules = zeroed(live->identity_count, sizeof *live->rules);
    good &= tls_clients_load(&live->clients[live->clients_count++], &settings->client_certificates,
                             building->now, building->arena, building->errors);
    for (unsigned i = 0; i < live->identity_count; i++) {
        const struct certificate_settings *certificate = settings->certificates.items[i];
        live->rules[i] = &live->clients[0];
        if (!certificate->client_certificates)
            continue;
        live->rules[i] = &live->clients[live->clients_count];
        good &= tls_clients_load(&live->clients[live->clients_count++], certificate->client_certificates,
                                 building->now, building->arena, building->errors);
        building->server->rules_differ |= !tls_clients_same(&live->clients[0], live->rules[i]);
    }
    return good;
}

static bool load_identities(struct building *building)
{
    const struct conf_list *certificates = &building->server->settings->certificates;
    struct live *live = building->server->live;
    bool good = true;
    for (unsigned i = 0; i < live->identity_count; i++)
        good &= tls_identity_load(&live->identities[i], certificates->items[i], TLS_FOR_SERVER, building->now,
                                  building->arena, building->errors) &&
                tls_staple_load(&live->identities[i], building->now, building->arena, building->errors);
    return good;
}

static bool report_refusal(struct building *building, struct setting setting, const char *what)
{
    errors_add(building->errors, setting.origin, "%s: %s can't be used: %s", setting.path, what,
               tls_files_why());
    return false;
}

static bool dress(struct building *building, struct tls_context *context)
{
    const struct tls_server *server = building->server;
    SSL_CTX *ssl = context->ssl;
    ERR_clear_error();
    SSL_CTX_set_app_data(ssl, context);
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(ssl, 0);
    SSL_CTX_set_max_early_data(ssl, 0); /* 0-RTT can be played again */
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_alpn_select_cb(ssl, choose_protocol, NULL);
    SSL_CTX_set_client_hello_cb(ssl, on_hello, building->server);
    SSL_CTX_set_tlsext_servername_callback(ssl, on_name);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ssl, on_ticket_key);
    SSL_CTX_set_tlsext_status_cb(ssl, on_status);
    SSL_CTX_set_session_ticket_cb(ssl, NULL, on_ticket, NULL);
    tls_takeover_prepare(ssl);
    tls_clients_apply(context->clients, ssl);
    if (!tls_choices_apply(&server->choices, ssl))
        return report_refusal(building, server->settings->at, "these versions, ciphers and curves");
    for (unsigned i = 0; i < TLS_ALGORITHMS; i++) {
        if (context->identities[i] == TLS_NAMELESS)
            continue;
        const struct tls_identity *identity = &server->live->identities[context->identities[i]];
        if (SSL_CTX_use_cert_and_key(ssl, identity->certificate, identity->key, identity->chain, 1) != 1)
            return report_refusal(building, identity->settings->cert_at, identity->settings->cert);
    }
    return true;
}

/* The one with these certificates; NULL: reported. `of`: an identity among them, whose rules hold. */
static struct tls_context *context_with(struct building *building, const int *identities, unsigned of)
{
    struct live *live = building->server->live;
    const struct tls_clients *clients = live->rules[of];
    for (struct tls_context *context = live->contexts[of]; context; context = context->next)
        if (memcmp(context->identities, identities, sizeof context->identities) == 0)
            return context;
    struct tls_context *context = zeroed(1, sizeof *context);
    *context = (struct tls_context){
        SSL_CTX_new(TLS_server_method()), building->server, clients, {0}, live->contexts[of]};
    memcpy(context->identities, identities, sizeof context->identities);
    live->contexts[of] = context;
    if (!context->ssl)
        abort(); /* no memory */
    return dress(building, context) ? context : NULL;
}

/* The first of a name's certificates. That the others ask the same of clients is checked. -1: reported. */
static int first_of(struct building *building, const struct tls_name *name)
{
    const struct live *live = building->server->live;
    int first = TLS_NAMELESS;
    for (unsigned i = 0; i < TLS_ALGORITHMS; i++) {
        int identity = name->identities[i];
        if (identity == TLS_NAMELESS)
            continue;
        if (first == TLS_NAMELESS)
            first = identity;
        if (tls_clients_same(live->rules[first], live->rules[identity]))
            continue;
        const struct certificate_settings *settings = live->identities[identity].settings;
        errors_add(
            building->errors, settings->origin,
            "%s: \"%.*s\" has another certificate (%s) with other client_certificates (write the same for "
            "both)",
            settings->cert_at.path, STR_ARG(name->text), live->identities[first].settings->cert);
        return -1;
    }
    return first;
}

static void collect_names(struct building *building)
{
    struct tls_server *server = building->server;
    const struct live *live = server->live;
    unsigned count = 0;
    for (unsigned i = 0; i < live->identity_count; i++)
        count += live->identities[i].name_count;
    struct tls_claim *claims = zeroed(count, sizeof *claims);
    count = 0;
    for (unsigned i = 0; i < live->identity_count; i++)
        for (unsigned n = 0; n < live->identities[i].name_count; n++)
            claims[count++] =
                (struct tls_claim){live->identities[i].names[n], i, live->identities[i].algorithm};
    server->names = tls_names_new(claims, count, building->arena);
    free(claims);
}

static bool make_contexts(struct building *building)
{
    struct tls_server *server = building->server;
    struct live *live = server->live;
    live->contexts = zeroed(live->identity_count, sizeof(struct tls_context *));
    for (unsigned i = 0; i < server->names.count; i++) {
        struct tls_name *name = &server->names.items[i];
        int first = first_of(building, name);
        name->value = first < 0 ? NULL : context_with(building, name->identities, (unsigned)first);
        if (!name->value)
            return false;
    }
    /* The first certificate, with those of other kinds that its first name has. */
    const struct tls_identity *identity = &live->identities[0];
    const struct tls_name *name =
        identity->name_count ? tls_names_find(&server->names, identity->names[0]) : NULL;
    int alone[TLS_ALGORITHMS];
    for (unsigned i = 0; i < TLS_ALGORITHMS; i++)
        alone[i] = TLS_NAMELESS;
    alone[identity->algorithm] = 0;
    server->standard = name ? name->value : context_with(building, alone, 0);
    return server->standard != NULL;
}

struct tls_server *tls_server_new(const struct tls_settings *settings, struct arena *arena,
                                  struct errors *errors)
{
    struct tls_server *server = arena_zalloc(arena, sizeof *server);
    struct live *live = zeroed(1, sizeof *live);
    struct building building = {server, arena, errors, (int64_t)(clock_wall_ns() / NS_PER_SECOND)};
    server->settings = settings;
    server->live = live;
    live->identity_count = settings->certificates.count;
    live->identities = zeroed(live->identity_count, sizeof *live->identities);
    live->fetched = zeroed(live->identity_count, sizeof *live->fetched);
    arena_on_free(arena, free_live, live);
    bool good = load_identities(&building);
    good &= load_clients(&building);
    good &= tls_choices_check(&server->choices, settings, arena, errors);
    if (!good)
        return NULL;
    collect_names(&building);
    return make_contexts(&building) ? server : NULL;
}

/* --- for who uses it --- */

void tls_server_open_tickets(struct tls_server *server, const struct tickets *tickets, int64_t lifetime_ms)
{
    struct live *live = server->live;
    if (!server->settings->tickets)
        return;
    live->tickets.zone = tickets;
    for (unsigned i = 0; i < live->identity_count; i++)
        for (struct tls_context *context = live->contexts[i]; context; context = context->next) {
            SSL_CTX_clear_options(context->ssl, SSL_OP_NO_TICKET);
            SSL_CTX_set_num_tickets(context->ssl, 1);
            SSL_CTX_set_timeout(context->ssl, (long)(lifetime_ms / 1000));
        }
}

/* "staple:" and the certificate's SHA-256: however many listeners have it, it is fetched once. */
static const char *want_name(const struct tls_identity *identity, struct arena *arena)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    char memory[2 * EVP_MAX_MD_SIZE];
    struct buf text = buf_on(memory, sizeof memory);
    if (X509_digest(identity->certificate, EVP_sha256(), digest, &length) != 1)
        abort(); /* no memory */
    for (unsigned i = 0; i < length; i++)
        buf_hex(&text, digest[i], 2);
    return arena_printf(arena, "staple:%.*s", STR_ARG(buf_str(&text)));
}

void tls_server_want_staples(struct tls_server *server, struct wants *wants, struct errors *errors)
{
    const struct setting *at = &server->settings->stapling_at;
    for (unsigned i = 0; server->settings->stapling && i < server->live->identity_count; i++) {
        struct tls_identity *identity = &server->live->identities[i];
        if (identity->settings->staple)
            continue;
        const char *lacks = !identity->responder ? "it names no OCSP responder (http)"
                            : sk_X509_num(identity->chain) == 0
                                ? "its issuer's certificate isn't in the file (add that to `cert`)"
                                : NULL;
        if (lacks)
            errors_warn(errors, at->origin, "%s: %s: nothing is fetched: %s", at->path,
                        identity->settings->cert, lacks);
        else
            identity->staple_want = (int)wants_add(wants, WANT_STAPLE, want_name(identity, wants->arena));
    }
}

void tls_server_open_staples(struct tls_server *server, struct cells *staples, const uint32_t *cells)
{
    struct live *live = server->live;
    for (unsigned i = 0; i < live->identity_count; i++)
        if (live->identities[i].staple_want >= 0)
            live->fetched[i].cell = staples_cell(staples, cells[live->identities[i].staple_want]);
}

SSL *tls_server_session(const struct tls_server *server)
{
    SSL *ssl = SSL_new(server->standard->ssl);
    if (ssl)
        SSL_set_accept_state(ssl);
    return ssl;
}

const struct tls_context *tls_server_context(const SSL *ssl)
{
    return context_of(ssl);
}

bool tls_server_may_ask(const struct tls_context *context, struct str host)
{
    const struct tls_server *server = context->server;
    return !server->rules_differ || tls_clients_same(context_for(server, host)->clients, context->clients);
}

const struct tls_identity *tls_server_identities(const struct tls_server *server, unsigned *count)
{
    *count = server->live->identity_count;
    return server->live->identities;
}
