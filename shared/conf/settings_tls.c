/* settings_tls: TLS on a listener. What needs the files, or the library's names of ciphers and curves, is checked by
 * worker/net/tls_server.c, which compiles it.
 */
#include "shared/conf/loader.h"
#include "shared/conf/sections.h"

#define MINUTE 60000ll
#define DAY (24 * 60 * MINUTE)

/* --- client certificates --- */

/* By enum client_certificates. */
static const char *const client_words[] = {"off", "optional", "required", NULL};

static void client_check(struct conf_loader *loader, void *structure)
{
    struct client_certificate_settings *clients = structure;
    clients->ca_at = conf_setting(loader, "ca");
    clients->crl_at = conf_setting(loader, "crl");
    const char *without = clients->ca ? "ca" : clients->crl ? "crl" : NULL;
    if (clients->mode == CLIENT_CERTIFICATES_OFF && without)
        conf_error(loader, clients->origin, without,
                   "has no effect: nobody is asked for a certificate (write mode = \"required\" or "
                   "\"optional\")");
    if (clients->mode != CLIENT_CERTIFICATES_OFF && !clients->ca)
        conf_error(loader, clients->origin, "ca",
                   "is missing: the authorities that clients' certificates must come from (a PEM file)");
}

#define CLIENTS(kind_, member, ...) ROW_(kind_, struct client_certificate_settings, member, __VA_ARGS__)

static const struct row client_rows[] = {
    CLIENTS(ROW_WORD, mode, .fallback = "off", .words = client_words,
            .help =
                "off: none is asked for; required: without a good one there is no connection; optional: it "
                "is asked for, and ${tls.client.verified} says what came of it"),
    CLIENTS(ROW_STRING, ca, .flags = ROW_PATH,
            .help = "a PEM file: the authorities that are trusted to say who a client is, and those between"),
    CLIENTS(ROW_STRING, crl, .flags = ROW_PATH,
            .help = "a PEM file: the revocation lists of every authority in a client's chain; without it "
                    "nothing is known of what was revoked"),
    CLIENTS(ROW_NUMBER, depth, .fallback = "2", .min = 0, .max = 16,
            .help = "authorities that may stand between a client's certificate and one that is trusted"),
    ROW_END,
};

static const struct section client_certificates_section = {
    .name = "client_certificates",
    .size = sizeof(struct client_certificate_settings),
    .rows = client_rows,
    .check = client_check,
};

/* --- certificates --- */

static void certificate_check(struct conf_loader *loader, void *structure)
{
    struct certificate_settings *certificate = structure;
    certificate->cert_at = conf_setting(loader, "cert");
    certificate->key_at = conf_setting(loader, "key");
    certificate->names_at = conf_setting(loader, "names");
    certificate->staple_at = conf_setting(loader, "staple");
    struct str key = str_of(certificate->key);
    if (str_starts(key, STR("env:")))
        return;
    if (str_starts(key, STR("file:")))
        certificate->key += strlen("file:");
    if (*certificate->key)
        certificate->key = path_absolute(loader, certificate->key);
    if (!certificate->key || !*certificate->key)
        conf_error(loader, certificate->origin, "key", "names no file (write \"file:/path\")");
}

#define CERTIFICATE(kind_, member, ...) ROW_(kind_, struct certificate_settings, member, __VA_ARGS__)

static const struct row certificate_rows[] = {
    CERTIFICATE(ROW_STRING, cert, .flags = ROW_REQUIRED | ROW_PATH,
                .help = "a PEM file: the certificate, then those of the authorities that lead to its root"),
    CERTIFICATE(ROW_STRING, key, .flags = ROW_REQUIRED,
                .help =
                    "its private key: a PEM file (also as file:PATH), which the master alone must be able "
                    "to read; or env:NAME, a variable that holds the PEM text"),
    CERTIFICATE(ROW_STRINGS, names,
                .help =
                    "the names that clients ask for (SNI) for which it is used, *.example.com too; without "
                    "it: those in the certificate"),
    CERTIFICATE(ROW_STRING, staple, .flags = ROW_PATH,
                .help =
                    "a DER file: the OCSP response that is sent with it, as `openssl ocsp -respout` writes "
                    "it"),
    CERTIFICATE(ROW_OPTIONAL, client_certificates, .section = &client_certificates_section,
                .help =
                    "what is asked of clients that come to these names; without it: what the listener says"),
    ROW_END,
};

static const struct section certificate_section = {
    .name = "certificate",
    .size = sizeof(struct certificate_settings),
    .rows = certificate_rows,
    .check = certificate_check,
};

/* --- the listener's --- */

/* By enum tls_version. */
static const char *const version_words[] = {"TLSv1.2", "TLSv1.3", NULL};

/* As the extension has them (RFC 7301, section 3.1). */
static void check_protocols(struct conf_loader *loader, struct tls_settings *tls)
{
    static const char *const known[] = {"h2", "http/1.1"};
    enum { KNOWN = sizeof known / sizeof known[0] };
    const char *wire = "";
    for (unsigned i = 0; i < tls->alpn.count; i++) {
        const char *name = tls->alpn.items[i];
        unsigned which = 0;
        while (which < KNOWN && strcmp(known[which], name) != 0)
            which++;
        if (which == KNOWN) {
            conf_error(loader, tls->origin, "alpn", "\"%s\" is not spoken here%s", name,
                       suggest_text(name, known, KNOWN, conf_arena(loader)));
            return;
        }
        wire = arena_printf(conf_arena(loader), "%s%c%s", wire, (char)strlen(name), name);
    }
    tls->protocols = str_of(wire);
}

static void tls_check(struct conf_loader *loader, void *structure)
{
    struct tls_settings *tls = structure;
    check_protocols(loader, tls);
    tls->at = conf_setting(loader, NULL);
    tls->stapling_at = conf_setting(loader, "stapling");
    tls->ciphers_at = conf_setting(loader, "ciphers");
    tls->ciphersuites_at = conf_setting(loader, "ciphersuites");
    tls->curves_at = conf_setting(loader, "curves");
    if (tls->min_version > tls->max_version)
        conf_error(loader, tls->origin, "min_version", "is above max_version (%s)",
                   version_words[tls->max_version]);
}

#define TLS(kind_, member, ...) ROW_(kind_, struct tls_settings, member, __VA_ARGS__)

/* Ciphers with forward secrecy that authenticate what they encrypt: the intermediate profile of Mozilla's guide, version 5.7,
 * without finite-field DH. */
static const struct row rows[] = {
    TLS(ROW_LIST, certificates, .flags = ROW_REQUIRED, .section = &certificate_section, .min = 1, .max = 1024,
        .help =
            "whom the listener is to its clients: the one whose name they ask for, the first for others; an "
            "RSA and an ECDSA one can have the same name"),
    TLS(ROW_DURATION, handshake_timeout, .fallback = "10s", .min = 100, .max = 600000,
        .help = "how long a client may take from its connection to the end of the handshake"),
    TLS(ROW_WORD, min_version, .fallback = "TLSv1.2", .words = version_words, .help = "the oldest version"),
    TLS(ROW_WORD, max_version, .fallback = "TLSv1.3", .words = version_words, .help = "the newest version"),
    TLS(ROW_STRINGS, ciphers,
        .fallback = "ECDHE-ECDSA-AES128-GCM-SHA256, ECDHE-RSA-AES128-GCM-SHA256, "
                    "ECDHE-ECDSA-AES256-GCM-SHA384, ECDHE-RSA-AES256-GCM-SHA384, "
                    "ECDHE-ECDSA-CHACHA20-POLY1305, ECDHE-RSA-CHACHA20-POLY1305",
        .help = "the ciphers of TLS 1.2, the best first, by OpenSSL's names; a client without AES in its "
                "hardware gets CHACHA20"),
    TLS(ROW_STRINGS, ciphersuites,
        .fallback = "TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256",
        .help = "likewise of TLS 1.3"),
    TLS(ROW_STRINGS, curves, .fallback = "X25519, P-256, P-384",
        .help = "the groups for the exchange of keys, the best first"),
    TLS(ROW_STRINGS, alpn, .fallback = "h2, http/1.1",
        .help =
            "the protocols that are offered (ALPN), the best first; without h2 there is no HTTP/2 over TLS"),
    TLS(ROW_FLAG, tickets, .fallback = "true",
        .help = "whether a client that comes again goes on with its session, by a ticket (see tls)"),
    TLS(ROW_FLAG, stapling, .fallback = "false",
        .help = "whether OCSP responses are fetched from the responder that each certificate names, "
                "verified, and "
                "sent with it; not for those with a `staple`"),
    TLS(ROW_GROUP, client_certificates, .section = &client_certificates_section,
        .help = "whether clients are to show a certificate"),
    ROW_END,
};

const struct section tls_section = {
    .name = "tls", .size = sizeof(struct tls_settings), .rows = rows, .check = tls_check};

/* --- of all listeners --- */

static const struct row node_rows[] = {
    ROW_(ROW_DURATION, struct tls_node_settings, ticket_lifetime, .fallback = "4h", .min = MINUTE,
         .max = 7 * DAY,
         .help = "how long a session can be gone on with; its tickets are sealed with keys that are as often "
                 "replaced, and that all workers share, also across reloads and upgrades"),
    ROW_END,
};

const struct section tls_node_section = {
    .name = "tls (all listeners)", .size = sizeof(struct tls_node_settings), .rows = node_rows};
