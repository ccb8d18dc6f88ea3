/* tls_choices: called by tls_server.c. */
#include "worker/net/tls_choices.h"

#include <stdlib.h>
#include <string.h>

#include "shared/conf/loader.h"

/* All that authenticate and encrypt, and need neither a password nor parameters of their own. */
#define WHOLE "ALL:COMPLEMENTOFALL:!aNULL:!eNULL:!PSK:!SRP:!kDHE"

enum { KNOWN_MAX = 256 };

/* The names of a list of choices that there are. */
struct known {
    const char *names[KNOWN_MAX];
    unsigned count;
};

/* What the library has for TLS 1.2, and for 1.3. */
static void known_ciphers(struct known *old, struct known *suites, struct arena *arena)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (!context || SSL_CTX_set_cipher_list(context, WHOLE) != 1)
        abort(); /* no memory */
    STACK_OF(SSL_CIPHER) *all = SSL_CTX_get_ciphers(context);
    for (int i = 0; i < sk_SSL_CIPHER_num(all); i++) {
        const SSL_CIPHER *cipher = sk_SSL_CIPHER_value(all, i);
        struct known *known = strcmp(SSL_CIPHER_get_version(cipher), "TLSv1.3") == 0 ? suites : old;
        if (known->count < KNOWN_MAX)
            known->names[known->count++] = arena_strdup(arena, SSL_CIPHER_get_name(cipher));
    }
    SSL_CTX_free(context);
}

static const char *cipher_named(const char *name, const void *context)
{
    const struct known *known = context;
    for (unsigned i = 0; i < known->count; i++)
        if (strcmp(known->names[i], name) == 0)
            return name;
    return NULL;
}

/* A curve has a name in every standard: ours and the library's first. */
static const char *const curves[][2] = {
    {"X25519", "X25519"},   {"P-256", "P-256"},     {"P-384", "P-384"},
    {"P-521", "P-521"},     {"X448", "X448"},       {"prime256v1", "P-256"},
    {"secp256r1", "P-256"}, {"secp384r1", "P-384"}, {"secp521r1", "P-521"},
};
enum { CURVES = sizeof curves / sizeof curves[0] };

static const char *curve_named(const char *name, const void *context)
{
    (void)context;
    for (unsigned i = 0; i < CURVES; i++)
        if (strcmp(curves[i][0], name) == 0)
            return curves[i][1];
    return NULL;
}

/* What may have been meant instead: by the name of a standard, or a slip. */
static const char *meant(const char *name, const struct known *known, const struct known *other,
                         const char *other_setting, struct arena *arena)
{
    const char *standard = OPENSSL_cipher_name(name);
    if (other && cipher_named(name, other))
        return arena_printf(arena, " (it belongs to `%s`)", other_setting);
    if (cipher_named(standard, known))
        return arena_printf(arena, " (OpenSSL calls it \"%s\")", standard);
    return suggest_text(name, known->names, known->count, arena);
}

struct checking {
    struct arena *arena;
    struct errors *errors;
    const struct known *known, *other;
    const char *what, *other_setting;
    const char *(*named)(const char *name, const void *context);
};

/* The list with colons; a text with colons is several. */
static const char *check_list(const struct checking *checking, const struct conf_strings *list,
                              struct setting setting)
{
    const char *out = "";
    for (unsigned i = 0; i < list->count; i++) {
        struct str rest = str_of(list->items[i]);
        while (rest.data) {
            struct str item = str_trim(str_cut(&rest, ':'));
            const char *name = arena_strndup(checking->arena, item.data, item.length);
            const char *known = checking->named(name, checking->known);
            if (known)
                out = arena_printf(checking->arena, "%s%s%s", out, *out ? ":" : "", known);
            else
                errors_add(checking->errors, setting.origin, "%s: there is no %s \"%s\"%s", setting.path,
                           checking->what, name,
                           meant(name, checking->known, checking->other, checking->other_setting,
                                 checking->errors->arena));
        }
    }
    return out;
}

static const int versions[] = {[TLS_VERSION_1_2] = TLS1_2_VERSION, [TLS_VERSION_1_3] = TLS1_3_VERSION};

bool tls_choices_check(struct tls_choices *choices, const struct tls_settings *settings, struct arena *arena,
                       struct errors *errors)
{
    struct known old = {.count = 0}, suites = {.count = 0}, groups = {.count = CURVES};
    unsigned before = errors->count;
    known_ciphers(&old, &suites, errors->arena);
    for (unsigned i = 0; i < CURVES; i++)
        groups.names[i] = curves[i][0];
    struct checking checking = {arena,          errors,      &old, &suites, "cipher of TLS 1.2",
                                "ciphersuites", cipher_named};
    choices->ciphers = check_list(&checking, &settings->ciphers, settings->ciphers_at);
    checking = (struct checking){arena, errors, &suites, &old, "cipher of TLS 1.3", "ciphers", cipher_named};
    choices->ciphersuites = check_list(&checking, &settings->ciphersuites, settings->ciphersuites_at);
    checking = (struct checking){arena, errors, &groups, NULL, "curve", NULL, curve_named};
    choices->curves = check_list(&checking, &settings->curves, settings->curves_at);
    choices->min_version = versions[settings->min_version];
    choices->max_version = versions[settings->max_version];
    return errors->count == before;
}

bool tls_choices_apply(const struct tls_choices *choices, SSL_CTX *context)
{
    /* The server's order, but for clients that would rather have CHACHA20: they have no AES in hardware. */
    SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    return SSL_CTX_set_min_proto_version(context, choices->min_version) == 1 &&
           SSL_CTX_set_max_proto_version(context, choices->max_version) == 1 &&
           (!*choices->ciphers || SSL_CTX_set_cipher_list(context, choices->ciphers) == 1) &&
           (!*choices->ciphersuites || SSL_CTX_set_ciphersuites(context, choices->ciphersuites) == 1) &&
           (!*choices->curves || SSL_CTX_set1_groups_list(context, choices->curves) == 1);
}
