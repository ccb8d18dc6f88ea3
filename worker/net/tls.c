/* tls: a TLS session on a connection, by OpenSSL, on the buffers of `net`.
 *
 * OpenSSL reads and writes by a BIO of ours. It reads from net->unread and, without read-ahead, never more than the
 * record that it is at, so that nothing of what follows a handshake is lost in it. Its queue of errors is emptied before
 * each operation: an entry that another session left would be taken for this one's.
 */
#include "worker/net/tls.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "worker/net/tls_words.h"

/* --- OpenSSL's view of the net --- */

static int bio_read(BIO *bio, char *into, size_t size, size_t *taken)
{
    struct net *net = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (net->unread.length == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    *taken = size < net->unread.length ? size : net->unread.length;
    memcpy(into, net->unread.data, *taken);
    net->unread = str_from(net->unread, *taken);
    return 1;
}

static int bio_write(BIO *bio, const char *data, size_t length, size_t *written)
{
    struct net *net = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (length > NET_SEALED - net->sealed_length)
        return 0; /* who calls us sees to it that there is room */
    memcpy(net->sealed + net->sealed_length, data, length);
    net->sealed_length += length;
    *written = length;
    return 1;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *bio_method(void)
{
    static BIO_METHOD *method; /* a constant, but that OpenSSL wants it made */
    if (method)
        return method;
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "net");
    if (!method)
        abort();
    BIO_meth_set_read_ex(method, bio_read);
    BIO_meth_set_write_ex(method, bio_write);
    BIO_meth_set_ctrl(method, bio_control);
    return method;
}

/* --- life --- */

struct tls *tls_new(struct net *net, SSL *ssl)
{
    struct tls *tls = calloc(1, sizeof *tls);
    BIO *bio = BIO_new(bio_method());
    if (!tls || !bio)
        abort();
    BIO_set_data(bio, net);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    tls->net = net;
    tls->ssl = ssl;
    return tls;
}

void tls_free(struct tls **tls)
{
    struct tls *gone = *tls;
    if (!gone)
        return;
    *tls = NULL;
    SSL_free(gone->ssl);
    free(gone->front);
    free(gone->ahead);
    free((char *)gone->peer.server_name);
    free(gone);
}

/* --- failures --- */

const char *tls_why(const struct tls *tls)
{
    return tls->why ? tls->why : "it was closed within the handshake";
}

/* What an operation of OpenSSL that didn't succeed means. */
static enum tls_result judge(struct tls *tls, int returned)
{
    switch (SSL_get_error(tls->ssl, returned)) {
    case SSL_ERROR_WANT_READ:
        return TLS_GOES_ON;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_DONE;
    default:
        if (!tls->why)
            tls->why = tls_words(tls->ssl);
        ERR_clear_error();
        return TLS_FAILED;
    }
}

/* --- the handshake --- */

static enum tls_protocol chosen_protocol(const SSL *ssl)
{
    const unsigned char *name;
    unsigned length;
    SSL_get0_alpn_selected(ssl, &name, &length);
    struct str protocol = {(const char *)name, length};
    if (str_eq(protocol, STR("h2")))
        return TLS_PROTOCOL_HTTP2;
    return str_eq(protocol, STR("http/1.1")) ? TLS_PROTOCOL_HTTP1 : TLS_PROTOCOL_NONE;
}

static char *copy_text(const char *text)
{
    char *copy = strdup(text);
    if (!copy)
        abort();
    return copy;
}

static char *copy_bytes(struct str bytes)
{
    char *copy = malloc(bytes.length);
    if (!copy)
        abort();
    memcpy(copy, bytes.data, bytes.length);
    return copy;
}

void tls_set_front(struct tls *tls, struct str bytes)
{
    if (!bytes.length)
        return;
    tls->front = copy_bytes(bytes);
    tls->front_length = bytes.length;
}

void tls_gather_front(struct tls *tls)
{
    struct net *net = tls->net;
    if (!tls->front)
        return;
    memcpy(net->sealed + net->sealed_length, tls->front, tls->front_length);
    net->sealed_length += tls->front_length;
    tls->overhead += tls->front_length;
    free(tls->front);
    tls->front = NULL;
    tls->front_length = 0;
}

enum tls_result tls_handshake(struct tls *tls, const char *data, size_t length)
{
    struct net *net = tls->net;
    size_t before = net->sealed_length;
    net->unread = (struct str){data, length};
    ERR_clear_error();
    int returned = SSL_do_handshake(tls->ssl);
    tls->overhead += net->sealed_length - before;
    if (returned != 1)
        return judge(tls, returned) == TLS_GOES_ON ? TLS_GOES_ON : TLS_FAILED;
    const char *name = SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name);
    tls->peer = (struct tls_peer){.version = SSL_get_version(tls->ssl),
                                  .cipher = SSL_get_cipher_name(tls->ssl),
                                  .server_name = name ? copy_text(name) : NULL,
                                  .protocol = chosen_protocol(tls->ssl)};
    if (net->unread.length) {
        tls->ahead = copy_bytes(net->unread);
        tls->ahead_length = net->unread.length;
    }
    return TLS_DONE;
}

/* --- data --- */

/* Until nothing of net->unread is left. */
static enum tls_result open_all(struct tls *tls, char *plain, size_t *opened)
{
    for (;;) {
        size_t got;
        ERR_clear_error();
        int returned = SSL_read_ex(tls->ssl, plain + *opened, NET_OPENED - *opened, &got);
        if (returned != 1)
            return judge(tls, returned);
        *opened += got;
        assert(*opened < NET_OPENED);
    }
}

enum tls_result tls_open(struct tls *tls, const char *data, size_t length, char *plain, size_t *opened)
{
    struct net *net = tls->net;
    size_t before = net->sealed_length;
    enum tls_result result = TLS_GOES_ON;
    *opened = 0;
    if (tls->ahead) {
        net->unread = (struct str){tls->ahead, tls->ahead_length};
        result = open_all(tls, plain, opened);
        free(tls->ahead);
        tls->ahead = NULL;
    }
    if (result == TLS_GOES_ON && length) {
        net->unread = (struct str){data, length};
        result = open_all(tls, plain, opened);
    }
    tls->overhead += net->sealed_length - before;
    tls->replies += (uint32_t)(net->sealed_length - before);
    return result;
}

bool tls_seal(struct tls *tls, const char *data, size_t length)
{
    struct net *net = tls->net;
    size_t before = net->sealed_length, written;
    if (length == 0)
        return true;
    net->unread = (struct str){NULL, 0};
    ERR_clear_error();
    int returned = SSL_write_ex(tls->ssl, data, length, &written);
    if (returned != 1) {
        judge(tls, returned);
        return false;
    }
    assert(written == length); /* the BIO takes everything */
    tls->overhead += net->sealed_length - before - length;
    return true;
}

void tls_end(struct tls *tls)
{
    struct net *net = tls->net;
    size_t before = net->sealed_length;
    net->unread = (struct str){NULL, 0}; /* the peer's own isn't waited for */
    ERR_clear_error();
    if (SSL_is_init_finished(tls->ssl))
        (void)SSL_shutdown(tls->ssl);
    ERR_clear_error();
    tls->overhead += net->sealed_length - before;
}
