/* tls_shown: called by tls.c at the end of a handshake. */
#include "worker/net/tls_shown.h"

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#include "shared/base/buf.h"

/* Beyond it, further names are left out: a certificate may have thousands. */
enum { TEXT_MAX = 8192 };

static struct str since(const struct buf *out, size_t from)
{
    return (struct str){out->data + from, out->length - from};
}

/* All but ASCII is escaped: it is to stand in header fields. */
static struct str add_name(struct buf *out, const X509_NAME *name)
{
    BIO *memory = BIO_new(BIO_s_mem());
    char *data = NULL;
    size_t from = out->length;
    if (!memory || X509_NAME_print_ex(memory, name, 0, XN_FLAG_RFC2253) < 0)
        abort(); /* no memory */
    long length = BIO_get_mem_data(memory, &data);
    if (length > 0)
        buf_add(out, data, (size_t)length);
    BIO_free(memory);
    return since(out, from);
}

/* Text that can't be taken for several, nor for a line of its own. */
static bool is_clean(const unsigned char *data, int length)
{
    for (int i = 0; i < length; i++)
        if (data[i] <= ' ' || data[i] >= 0x7f || data[i] == ',')
            return false;
    return length > 0;
}

static struct str add_common_name(struct buf *out, const X509_NAME *subject)
{
    int at = -1, last = -1;
    size_t from = out->length;
    while ((at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0)
        last = at;
    if (last < 0)
        return since(out, from);
    unsigned char *text = NULL;
    int length = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, last)));
    bool good = length > 0;
    for (int i = 0; i < length; i++)
        good &= text[i] >= ' ' && text[i] < 0x7f;
    if (good)
        buf_add(out, (const char *)text, (size_t)length);
    OPENSSL_free(text);
    return since(out, from);
}

static void add_one(struct buf *out, const char *kind, const char *text, size_t length, size_t from)
{
    if (out->size - out->length < length + strlen(kind) + 2)
        return;
    if (out->length > from)
        BUF_LITERAL(out, ", ");
    buf_str_add(out, str_of(kind));
    buf_add(out, text, length);
}

static void add_address(struct buf *out, const ASN1_STRING *address, size_t from)
{
    char text[INET6_ADDRSTRLEN];
    int length = ASN1_STRING_length(address);
    int family = length == 4 ? AF_INET : AF_INET6;
    if ((length == 4 || length == 16) && inet_ntop(family, ASN1_STRING_get0_data(address), text, sizeof text))
        add_one(out, "IP:", text, strlen(text), from);
}

static struct str add_names(struct buf *out, const X509 *certificate)
{
    static const char *const kinds[] = {[GEN_DNS] = "DNS:", [GEN_EMAIL] = "email:", [GEN_URI] = "URI:"};
    GENERAL_NAMES *all = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    size_t from = out->length;
    for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(all, i);
        if (name->type == GEN_IPADD) {
            add_address(out, name->d.iPAddress, from);
        } else if (name->type == GEN_DNS || name->type == GEN_EMAIL || name->type == GEN_URI) {
            const unsigned char *data = ASN1_STRING_get0_data(name->d.ia5);
            int length = ASN1_STRING_length(name->d.ia5);
            if (is_clean(data, length))
                add_one(out, kinds[name->type], (const char *)data, (size_t)length, from);
        }
    }
    GENERAL_NAMES_free(all);
    return since(out, from);
}

static struct str add_serial(struct buf *out, const X509 *certificate)
{
    size_t from = out->length;
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), NULL);
    char *text = number ? BN_bn2hex(number) : NULL;
    if (text)
        buf_str_add(out, str_of(text));
    OPENSSL_free(text);
    BN_free(number);
    return since(out, from);
}

static struct str add_fingerprint(struct buf *out, const X509 *certificate)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    size_t from = out->length;
    if (X509_digest(certificate, EVP_sha256(), digest, &length) != 1)
        abort(); /* no memory */
    for (unsigned i = 0; i < length; i++)
        buf_hex(out, digest[i], 2);
    return since(out, from);
}

/* In one piece of memory with its texts. */
static struct tls_shown *keep(const struct tls_shown *shown, const struct buf *texts)
{
    struct tls_shown *kept = malloc(sizeof *kept + texts->length);
    if (!kept)
        abort();
    char *to = (char *)(kept + 1);
    *kept = *shown;
    if (texts->length)
        memcpy(to, texts->data, texts->length);
    struct str *const moved[] = {&kept->subject, &kept->common_name, &kept->issuer,
                                 &kept->names,   &kept->serial,      &kept->fingerprint};
    for (size_t i = 0; i < sizeof moved / sizeof moved[0]; i++)
        if (moved[i]->data)
            moved[i]->data = to + (moved[i]->data - texts->data);
    return kept;
}

struct tls_shown *tls_shown_new(const SSL *ssl)
{
    char memory[TEXT_MAX];
    struct buf texts = buf_on(memory, sizeof memory);
    const X509 *certificate = SSL_get0_peer_certificate(ssl);
    struct tls_shown shown = {.verified = STR("yes")};
    if (!certificate)
        return NULL;
    long verdict = SSL_get_verify_result(ssl);
    if (verdict != X509_V_OK) {
        shown.verified = str_of(X509_verify_cert_error_string(verdict));
        return keep(&shown, &texts);
    }
    shown.fingerprint = add_fingerprint(&texts, certificate);
    shown.serial = add_serial(&texts, certificate);
    shown.subject = add_name(&texts, X509_get_subject_name(certificate));
    shown.common_name = add_common_name(&texts, X509_get_subject_name(certificate));
    shown.issuer = add_name(&texts, X509_get_issuer_name(certificate));
    shown.names = add_names(&texts, certificate);
    return keep(&shown, &texts);
}
