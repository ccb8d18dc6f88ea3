/* tls_files: called by tls_identity, tls_clients and tls_staple while a generation is loaded. */
#include "worker/net/tls_files.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/net/tls_wiping.h"

enum { FILE_BYTES = 8 << 20 }; /* of a bundle of many authorities, or a long list of what was revoked */

/* What a file held, with a NUL behind. */
struct content {
    char *data;
    size_t length;
};

static void content_free(struct content *content)
{
    if (content->data)
        OPENSSL_cleanse(content->data, content->length);
    free(content->data);
    *content = (struct content){NULL, 0};
}

__attribute__((format(printf, 3, 4))) static void report(struct setting setting, struct errors *errors,
                                                         const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = arena_vprintf(errors->arena, format, arguments);
    va_end(arguments);
    errors_add(errors, setting.origin, "%s: %s", setting.path, text);
}

const char *tls_files_why(void)
{
    unsigned long last = ERR_peek_last_error();
    const char *reason = ERR_reason_error_string(last);
    ERR_clear_error();
    return reason ? reason : "it makes no sense";
}

const char *tls_files_name(const X509_NAME *name, struct arena *arena)
{
    BIO *out = BIO_new(BIO_s_mem());
    char *data = NULL;
    if (!out || X509_NAME_print_ex(out, name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) < 0)
        abort(); /* no memory */
    long length = BIO_get_mem_data(out, &data);
    const char *text = arena_strndup(arena, length ? data : "", (size_t)length);
    BIO_free(out);
    return text;
}

/* --- reading --- */

/* All of an open file. The errno of what went wrong, or 0. */
static int read_all(int fd, struct content *content)
{
    size_t room = 0;
    for (;;) {
        if (content->length + 1 >= room) {
            /* Not realloc(): what it leaves behind may be a part of a key. */
            struct content larger = {malloc(room = room ? 2 * room : 16384), content->length};
            if (!larger.data)
                return ENOMEM;
            if (content->length)
                memcpy(larger.data, content->data, content->length);
            content_free(content);
            *content = larger;
        }
        ssize_t got = read(fd, content->data + content->length, room - 1 - content->length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno;
        content->data[content->length + (size_t)got] = '\0';
        if (got == 0)
            return 0;
        content->length += (size_t)got;
        if (content->length > FILE_BYTES)
            return EFBIG;
    }
}

static bool file_read(const char *path, struct setting setting, struct errors *errors,
                      struct content *content)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* not to wait for who writes to a FIFO */
    *content = (struct content){NULL, 0};
    if (fd < 0 || fstat(fd, &status) < 0) {
        report(setting, errors, "can't open %s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return false;
    }
    bool regular = S_ISREG(status.st_mode);
    int error = regular ? read_all(fd, content) : 0;
    close(fd);
    if (!regular)
        report(setting, errors, "%s is not a regular file", path);
    else if (error == EFBIG)
        report(setting, errors, "%s is longer than %d MB", path, FILE_BYTES >> 20);
    else if (error)
        report(setting, errors, "can't read %s: %s", path, strerror(error));
    else if (content->length == 0)
        report(setting, errors, "%s is empty", path);
    else
        return true;
    content_free(content);
    return false;
}

struct str tls_files_bytes(const char *path, struct setting setting, struct arena *arena,
                           struct errors *errors)
{
    struct content content;
    if (!file_read(path, setting, errors, &content))
        return (struct str){NULL, 0};
    struct str bytes = arena_str(arena, (struct str){content.data, content.length});
    content_free(&content);
    return bytes;
}

/* --- PEM --- */

/* What the file is, when it isn't what was wanted. */
static const char *instead(const struct content *content)
{
    static const struct {
        const char *mark, *words;
    } kinds[] = {
        {"PRIVATE KEY-----", "it has a private key"},
        {"-----BEGIN CERTIFICATE REQUEST-----",
         "it has a request for a certificate: what the authority made of it is wanted"},
        {"-----BEGIN NEW CERTIFICATE REQUEST-----",
         "it has a request for a certificate: what the authority made of it is wanted"},
        {"-----BEGIN CERTIFICATE-----", "it has certificates"},
        {"-----BEGIN TRUSTED CERTIFICATE-----", "it has certificates"},
        {"-----BEGIN X509 CRL-----", "it has a revocation list"},
        {"-----BEGIN PUBLIC KEY-----", "it has a public key"},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strstr(content->data, kinds[i].mark))
            return kinds[i].words;
    if ((unsigned char)content->data[0] == 0x30) /* an ASN.1 SEQUENCE */
        return "it looks like DER: convert it (openssl x509, pkey or crl, with -inform der)";
    return "there is no PEM in it";
}

static BIO *open_memory(const struct content *content)
{
    BIO *in = BIO_new_mem_buf(content->data, (int)content->length);
    if (!in)
        abort(); /* no memory */
    ERR_clear_error();
    return in;
}

/* Whether the reader stopped because there is no more. */
static bool at_end(void)
{
    unsigned long last = ERR_peek_last_error();
    bool end = ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
    if (end)
        ERR_clear_error();
    return end;
}

STACK_OF(X509) * tls_files_certificates(const char *path, struct setting setting, struct errors *errors)
{
    struct content content;
    if (!file_read(path, setting, errors, &content))
        return NULL;
    STACK_OF(X509) *all = sk_X509_new_null();
    BIO *in = open_memory(&content);
    for (X509 *one; (one = PEM_read_bio_X509(in, NULL, NULL, NULL));)
        if (!sk_X509_push(all, one))
            abort();
    if (!at_end())
        report(setting, errors, "%s: the certificate number %d is damaged: %s", path, sk_X509_num(all) + 1,
               tls_files_why());
    else if (sk_X509_num(all) == 0)
        report(setting, errors, "%s has no certificate: %s", path, instead(&content));
    else
        goto done;
    sk_X509_pop_free(all, X509_free);
    all = NULL;
done:
    BIO_free(in);
    content_free(&content);
    return all;
}

STACK_OF(X509_CRL) * tls_files_crls(const char *path, struct setting setting, struct errors *errors)
{
    struct content content;
    if (!file_read(path, setting, errors, &content))
        return NULL;
    STACK_OF(X509_CRL) *all = sk_X509_CRL_new_null();
    BIO *in = open_memory(&content);
    for (X509_CRL *one; (one = PEM_read_bio_X509_CRL(in, NULL, NULL, NULL));)
        if (!sk_X509_CRL_push(all, one))
            abort();
    if (!at_end())
        report(setting, errors, "%s: the revocation list number %d is damaged: %s", path,
               sk_X509_CRL_num(all) + 1, tls_files_why());
    else if (sk_X509_CRL_num(all) == 0)
        report(setting, errors, "%s has no revocation list: %s", path, instead(&content));
    else
        goto done;
    sk_X509_CRL_pop_free(all, X509_CRL_free);
    all = NULL;
done:
    BIO_free(in);
    content_free(&content);
    return all;
}

/* --- keys --- */

/* Nobody is there to be asked; that it wanted to ask is told. */
static int no_passphrase(char *buffer, int size, int for_writing, void *asked)
{
    (void)buffer;
    (void)size;
    (void)for_writing;
    *(bool *)asked = true;
    return -1;
}

static bool key_text(const char *where, struct setting setting, struct errors *errors,
                     struct content *content, const char **name)
{
    *name = where;
    if (strncmp(where, "env:", 4) != 0) {
        *name = strncmp(where, "file:", 5) == 0 ? where + 5 : where;
        return file_read(*name, setting, errors, content);
    }
    const char *value = getenv(where + 4);
    if (!value || !*value) {
        report(setting, errors, "the variable %s of the environment is %s", where + 4,
               value ? "empty" : "not set");
        return false;
    }
    content->length = strlen(value);
    content->data = strdup(value);
    if (!content->data)
        abort();
    return true;
}

EVP_PKEY *tls_files_key(const char *where, struct setting setting, struct errors *errors)
{
    struct content content;
    const char *name;
    bool asked = false;
    if (!key_text(where, setting, errors, &content, &name))
        return NULL;
    BIO *in = open_memory(&content);
    tls_wiping(true);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, no_passphrase, &asked);
    tls_wiping(false);
    if (!key && asked)
        report(setting, errors,
               "the key in %s is encrypted, and nobody can be asked for its passphrase (write it without: "
               "openssl pkey -in … -out …)",
               name);
    else if (!key && !strstr(content.data, "PRIVATE KEY-----"))
        report(setting, errors, "%s has no private key: %s", name, instead(&content));
    else if (!key)
        report(setting, errors, "the key in %s is damaged: %s", name, tls_files_why());
    ERR_clear_error();
    BIO_free(in);
    content_free(&content);
    return key;
}
