/* tls: a TLS session on a connection, on the buffers of `net`: by OpenSSL, or, when it has made a server's handshake, by
 * tls_record.
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

#include "worker/net/tls_server.h"
#include "worker/net/tls_shown.h"
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
    if (SSL_is_server(ssl)) {
        tls->takeover = calloc(1, sizeof *tls->takeover);
        if (!tls->takeover)
            abort();
        tls_takeover_listen(tls->takeover, ssl);
    }
    return tls;
}

static void free_takeover(struct tls *tls)
{
    if (tls->takeover)
        OPENSSL_cleanse(tls->takeover, sizeof *tls->takeover);
    free(tls->takeover);
    tls->takeover = NULL;
}

void tls_free(struct tls **tls)
{
    struct tls *gone = *tls;
    if (!gone)
        return;
    *tls = NULL;
    if (gone->ssl)
        SSL_free(gone->ssl);
    else
        tls_record_end(&gone->record);
    free_takeover(gone);
    free(gone->partial);
    free(gone->front);
    free(gone->ahead);
    free((char *)gone->peer.server_name);
    free((struct tls_shown *)gone->peer.shown);
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

/* Behind the handshake of a server: OpenSSL's session goes, if it can. */
static void take_over(struct tls *tls)
{
    if (tls->takeover && tls_takeover(tls->takeover, tls->ssl, &tls->record)) {
        SSL_free(tls->ssl);
        tls->ssl = NULL;
    }
    free_takeover(tls);
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
    if (SSL_is_server(tls->ssl)) {
        tls->peer.shown = tls_shown_new(tls->ssl);
        tls->peer.context = tls_server_context(tls->ssl);
    }
    if (net->unread.length) {
        tls->ahead = copy_bytes(net->unread);
        tls->ahead_length = net->unread.length;
    }
    take_over(tls);
    return TLS_DONE;
}

/* --- data, by OpenSSL --- */

/* Until nothing of net->unread is left. */
static enum tls_result read_session(struct tls *tls, char *plain, size_t *opened)
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

static bool write_session(struct tls *tls, struct str piece)
{
    size_t written;
    if (piece.length == 0)
        return true;
    tls->net->unread = (struct str){NULL, 0};
    ERR_clear_error();
    int returned = SSL_write_ex(tls->ssl, piece.data, piece.length, &written);
    if (returned != 1) {
        judge(tls, returned);
        return false;
    }
    assert(written == piece.length); /* the BIO takes everything */
    return true;
}

/* --- data, by the record layer --- */

static uint8_t *sealed_end(const struct net *net)
{
    return (uint8_t *)net->sealed + net->sealed_length;
}

/* The last record. */
static void seal_alert(struct tls *tls, enum tls_alert alert)
{
    tls->ended = true;
    assert(NET_SEALED - tls->net->sealed_length >= TLS_RECORD_ALERT_MAX);
    tls->net->sealed_length += tls_record_alert(&tls->record, alert, sealed_end(tls->net));
}

static bool seal_records(struct tls *tls, const struct str *pieces, unsigned count)
{
    struct net *net = tls->net;
    size_t length = 0;
    for (unsigned i = 0; i < count; i++)
        length += pieces[i].length;
    assert(NET_SEALED - net->sealed_length >= tls_record_sealed(&tls->record, length));
    size_t sealed = tls_record_seal(&tls->record, pieces, count, sealed_end(net));
    net->sealed_length += sealed;
    if (sealed == 0)
        tls->why = "it can't be sent more";
    return sealed > 0;
}

/* The result of a record that ends the session, or that isn't whole. */
static enum tls_result stop_at(struct tls *tls, enum tls_record_result result, enum tls_alert alert)
{
    if (result == TLS_RECORD_MORE)
        return TLS_GOES_ON;
    if (result == TLS_RECORD_CLOSED)
        return TLS_DONE;
    if (result == TLS_RECORD_FAILED)
        seal_alert(tls, alert);
    tls->why = result == TLS_RECORD_FAILED ? tls_words_for_alert(alert) : tls_words_of_alert(alert);
    return TLS_FAILED;
}

/* The whole records of net->unread; the begin of another is kept. */
static enum tls_result open_records(struct tls *tls, char *plain, size_t *opened)
{
    struct net *net = tls->net;
    struct tls_opened record;
    enum tls_record_result result;
    do {
        result = tls_record_open(&tls->record, (const uint8_t *)net->unread.data, net->unread.length,
                                 (uint8_t *)plain + *opened, &record);
        net->unread = str_from(net->unread, record.used);
        *opened += record.data.length;
    } while (result == TLS_RECORD_DATA || result == TLS_RECORD_NOTHING);
    if (result == TLS_RECORD_MORE && net->unread.length) {
        tls->partial = copy_bytes(net->unread);
        tls->partial_length = net->unread.length;
    }
    /* The answer to a KeyUpdate goes with the next data (RFC 8446, section 4.6.3): who asks again and again without taking
     * anything makes us send nothing. */
    if (result == TLS_RECORD_MORE && !tls->record.update_asked && tls_record_must_send(&tls->record) &&
        !seal_records(tls, NULL, 0))
        return TLS_FAILED;
    return stop_at(tls, result, record.alert);
}

/* What came to net->wire, behind the begin of a record that came before. */
static void read_wire(struct tls *tls, size_t length)
{
    struct net *net = tls->net;
    net->unread = (struct str){net->wire - tls->partial_length, tls->partial_length + length};
    if (!tls->partial)
        return;
    assert(tls->partial_length <= NET_RECORD);
    memcpy(net->wire - tls->partial_length, tls->partial, tls->partial_length);
    free(tls->partial);
    tls->partial = NULL;
    tls->partial_length = 0;
}

/* --- data --- */

static enum tls_result open_unread(struct tls *tls, char *plain, size_t *opened)
{
    return tls->ssl ? read_session(tls, plain, opened) : open_records(tls, plain, opened);
}

enum tls_result tls_open(struct tls *tls, size_t length, char *plain, size_t *opened)
{
    struct net *net = tls->net;
    size_t before = net->sealed_length;
    enum tls_result result = TLS_GOES_ON;
    *opened = 0;
    if (tls->ahead) {
        net->unread = (struct str){tls->ahead, tls->ahead_length};
        result = open_unread(tls, plain, opened);
        free(tls->ahead);
        tls->ahead = NULL;
    }
    if (result == TLS_GOES_ON && length) {
        read_wire(tls, length);
        result = open_unread(tls, plain, opened);
    }
    tls->overhead += net->sealed_length - before;
    tls->replies += (uint32_t)(net->sealed_length - before);
    return result;
}

bool tls_seal(struct tls *tls, const struct str *pieces, unsigned count)
{
    size_t before = tls->net->sealed_length, length = 0;
    bool sealed = true;
    for (unsigned i = 0; i < count; i++) {
        length += pieces[i].length;
        sealed = sealed && (!tls->ssl || write_session(tls, pieces[i]));
    }
    if (length == 0)
        return true;
    if (!tls->ssl)
        sealed = seal_records(tls, pieces, count);
    if (sealed)
        tls->overhead += tls->net->sealed_length - before - length;
    return sealed;
}

void tls_end(struct tls *tls)
{
    struct net *net = tls->net;
    size_t before = net->sealed_length;
    if (tls->ended)
        return;
    if (!tls->ssl) {
        seal_alert(tls, TLS_ALERT_CLOSE_NOTIFY);
    } else if (SSL_is_init_finished(tls->ssl)) {
        tls->ended = true;
        net->unread = (struct str){NULL, 0}; /* the peer's own isn't waited for */
        ERR_clear_error();
        (void)SSL_shutdown(tls->ssl);
        ERR_clear_error();
    }
    tls->overhead += net->sealed_length - before;
}
