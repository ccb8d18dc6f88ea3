/* certificates: what the tests of TLS share: authorities and certificates, made on the spot, as PEM files in the current
 * folder (tests/unit/conf.h makes one).
 */
#ifndef TESTS_UNIT_CERTIFICATES_H
#define TESTS_UNIT_CERTIFICATES_H

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "tests/unit/unit.h"

enum { CERTIFICATE_DAY = 86400 };

struct certificate {
    X509 *x509;
    EVP_PKEY *key;
};

/* What one is to be like; the rest is usual. */
struct wanted {
    const char *common_name;
    const char *names;                /* "DNS:a.example,DNS:b.example"; NULL: none */
    const struct certificate *issuer; /* NULL: itself */
    EVP_PKEY *key;                    /* made by the caller; NULL: ECDSA P-256 */
    bool authority;
    const char *usage;  /* extendedKeyUsage; NULL: none */
    int from, to;       /* days from now; both 0: from yesterday, for 90 days */
    const EVP_MD *hash; /* NULL: SHA-256 */
};

static inline void certificate_extension(X509 *x509, const X509 *issuer, int id, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, (X509 *)issuer, x509, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, id, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(x509, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static inline struct certificate certificate_make(struct wanted wanted)
{
    static long serial = 1;
    struct certificate made = {X509_new(), wanted.key ? wanted.key : EVP_EC_gen("P-256")};
    const struct certificate *issuer = wanted.issuer ? wanted.issuer : &made;
    int from = wanted.from || wanted.to ? wanted.from : -1, to = wanted.from || wanted.to ? wanted.to : 90;
    X509_NAME *name = X509_NAME_new();
    assert_non_null(made.key);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)wanted.common_name, -1, -1,
                               0);
    X509_set_version(made.x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made.x509), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(made.x509), (long)from * CERTIFICATE_DAY);
    X509_gmtime_adj(X509_getm_notAfter(made.x509), (long)to * CERTIFICATE_DAY + 60);
    X509_set_subject_name(made.x509, name);
    X509_set_issuer_name(made.x509, wanted.issuer ? X509_get_subject_name(wanted.issuer->x509) : name);
    X509_set_pubkey(made.x509, made.key);
    X509_NAME_free(name);
    if (wanted.authority)
        certificate_extension(made.x509, issuer->x509, NID_basic_constraints, "critical,CA:TRUE");
    if (wanted.names)
        certificate_extension(made.x509, issuer->x509, NID_subject_alt_name, wanted.names);
    if (wanted.usage)
        certificate_extension(made.x509, issuer->x509, NID_ext_key_usage, wanted.usage);
    bool own_hash = EVP_PKEY_get_id(issuer->key) == EVP_PKEY_ED25519;
    const EVP_MD *hash = own_hash ? NULL : wanted.hash ? wanted.hash : EVP_sha256();
    assert_true(X509_sign(made.x509, issuer->key, hash) > 0);
    return made;
}

static inline void certificate_free(struct certificate *certificate)
{
    X509_free(certificate->x509);
    EVP_PKEY_free(certificate->key);
}

/* NAME.pem: the certificate, then up to two more (NULL: none). */
static inline void certificate_write(const char *path, const struct certificate *first,
                                     const struct certificate *second, const struct certificate *third)
{
    const struct certificate *const all[] = {first, second, third};
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (unsigned i = 0; i < 3; i++)
        if (all[i])
            assert_int_equal(PEM_write_X509(file, all[i]->x509), 1);
    assert_int_equal(fclose(file), 0);
}

static inline void certificate_write_key(const char *path, const struct certificate *certificate,
                                         const char *password)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_PKCS8PrivateKey(file, certificate->key, password ? EVP_aes_128_cbc() : NULL,
                                               password, password ? (int)strlen(password) : 0, NULL, NULL),
                     1);
    assert_int_equal(fclose(file), 0);
}

/* A list of what `issuer` has revoked (NULL: nothing), good for `days`. */
static inline void certificate_write_crl(const char *path, const struct certificate *issuer,
                                         const struct certificate *revoked, int days)
{
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *time = X509_gmtime_adj(NULL, -2 * CERTIFICATE_DAY);
    X509_CRL_set_version(crl, X509_CRL_VERSION_2);
    X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer->x509));
    X509_CRL_set1_lastUpdate(crl, time);
    if (revoked) {
        X509_REVOKED *entry = X509_REVOKED_new();
        X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(revoked->x509));
        X509_REVOKED_set_revocationDate(entry, time);
        assert_int_equal(X509_CRL_add0_revoked(crl, entry), 1);
    }
    X509_gmtime_adj(time, (long)days * CERTIFICATE_DAY);
    X509_CRL_set1_nextUpdate(crl, time);
    assert_true(X509_CRL_sign(crl, issuer->key, EVP_sha256()) > 0);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_X509_CRL(file, crl), 1);
    assert_int_equal(fclose(file), 0);
    ASN1_TIME_free(time);
    X509_CRL_free(crl);
}

#endif
