/* settings_upstream_tls: TLS to the endpoints of an upstream. What needs the files is checked by worker/net/tls_client.c. */
#include "shared/conf/host_name.h"
#include "shared/conf/sections.h"

/* By enum tls_version. */
static const char *const version_words[] = {"TLSv1.2", "TLSv1.3", NULL};

/* For what is found when the files are read. */
static void remember_places(struct conf_loader *loader, struct upstream_tls_settings *tls)
{
    tls->at = conf_setting(loader, NULL);
    tls->ca_at = conf_setting(loader, "ca");
    tls->own.origin = tls->origin;
    tls->own.cert_at = conf_setting(loader, "cert");
    tls->own.key_at = conf_setting(loader, "key");
    tls->ciphers_at = conf_setting(loader, "ciphers");
    tls->ciphersuites_at = conf_setting(loader, "ciphersuites");
    tls->curves_at = conf_setting(loader, "curves");
}

static void upstream_tls_check(struct conf_loader *loader, void *structure)
{
    struct upstream_tls_settings *tls = structure;
    struct address address;
    struct host_name host;
    const char *why;
    remember_places(loader, tls);
    if (tls->min_version > tls->max_version)
        conf_error(loader, tls->origin, "min_version", "is above max_version (%s)",
                   version_words[tls->max_version]);
    if (tls->own.cert && !tls->own.key)
        conf_error(loader, tls->origin, "key", "is missing: the private key of cert (a PEM file)");
    if (tls->own.key && !tls->own.cert)
        conf_error(loader, tls->origin, "cert", "is missing: the certificate of key (a PEM file)");
    if (tls->ca && !tls->verify)
        conf_error(loader, tls->origin, "ca", "has no effect with verify = false");
    if (!tls->name)
        return;
    const char *with_port =
        arena_printf(conf_arena(loader), strchr(tls->name, ':') ? "[%s]:1" : "%s:1", tls->name);
    struct str text = str_of(with_port);
    if (host_name_is_meant(text) ? !host_name_parse(text, &host, &why) : !address_parse(text, &address, &why))
        conf_error(loader, tls->origin, "name", "\"%s\" is neither a host name nor an address", tls->name);
}

#define TLS(kind_, member, ...) ROW_(kind_, struct upstream_tls_settings, member, __VA_ARGS__)

static const struct row rows[] = {
    TLS(ROW_FLAG, enabled, .fallback = "true",
        .help = "whether TLS is spoken; tls = true means all the defaults"),
    TLS(ROW_FLAG, verify, .fallback = "true",
        .help = "whether an endpoint must show a certificate that is good, and for its name; false: anybody "
                "on the way can read and change everything"),
    TLS(ROW_STRING, ca, .flags = ROW_PATH,
        .help =
            "a PEM file: the authorities that are trusted, those that aren't roots too; without it: those "
            "of the system"),
    TLS(ROW_STRING, name,
        .help = "the name that endpoints are asked for (SNI) and that their certificates must have; without "
                "it: the name, or the address, that each endpoint has in `endpoints`"),
    {.name = "cert",
     .kind = ROW_STRING,
     .offset = offsetof(struct upstream_tls_settings, own.cert),
     .flags = ROW_PATH,
     .help = "a PEM file: the certificate that is shown to endpoints that ask for one, and its chain"},
    {.name = "key",
     .kind = ROW_STRING,
     .offset = offsetof(struct upstream_tls_settings, own.key),
     .flags = ROW_PATH,
     .help = "a PEM file: its private key, which the master alone must be able to read"},
    TLS(ROW_WORD, min_version, .fallback = "TLSv1.2", .words = version_words, .help = "the oldest version"),
    TLS(ROW_WORD, max_version, .fallback = "TLSv1.3", .words = version_words, .help = "the newest version"),
    TLS(ROW_STRINGS, ciphers,
        .help = "the ciphers of TLS 1.2, the best first, by OpenSSL's names; without it: OpenSSL's choice"),
    TLS(ROW_STRINGS, ciphersuites, .help = "likewise of TLS 1.3"),
    TLS(ROW_STRINGS, curves, .help = "likewise the groups for the exchange of keys: X25519, P-256, P-384 …"),
    TLS(ROW_FLAG, resume, .fallback = "true",
        .help = "whether a new connection to an endpoint goes on with the session of an earlier one, which "
                "costs less"),
    ROW_END,
};

const struct section upstream_tls_section = {
    .name = "upstream_tls",
    .size = sizeof(struct upstream_tls_settings),
    .rows = rows,
    .shorthand = "enabled",
    .check = upstream_tls_check,
};
