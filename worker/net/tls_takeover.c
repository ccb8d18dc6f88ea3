/* tls_takeover: from OpenSSL's session to a record layer of our own. */
#include "worker/net/tls_takeover.h"

#include <openssl/crypto.h>
#include <openssl/ssl.h>

static void on_secret(const SSL *session, const char *line)
{
    struct tls_takeover *takeover = SSL_get_app_data(session);
    if (takeover)
        tls_keys_learn(&takeover->secrets, line);
}

/* The inner type is told of every record that was sealed (RFC 8446, section 5.2). A server has keys for sending before
 * the client's last flight has come, and those for receiving behind it. */
static void on_message(int sent, int version, int type, const void *message, size_t length, SSL *session,
                       void *context)
{
    (void)version, (void)message, (void)length, (void)session;
    struct tls_takeover *takeover = context;
    if (!takeover || type != SSL3_RT_INNER_CONTENT_TYPE)
        return;
    if (sent && takeover->secrets.server_length)
        takeover->sent++;
    else if (!sent && takeover->secrets.client_length)
        takeover->received++;
}

void tls_takeover_prepare(SSL_CTX *context)
{
    SSL_CTX_set_keylog_callback(context, on_secret);
    SSL_CTX_set_msg_callback(context, on_message);
}

void tls_takeover_listen(struct tls_takeover *takeover, SSL *session)
{
    *takeover = (struct tls_takeover){0};
    SSL_set_app_data(session, takeover);
    SSL_set_msg_callback_arg(session, takeover);
}

/* RFC 6066, section 4. */
static uint16_t most_in_a_record(const SSL *session)
{
    static const uint16_t lengths[] = {TLS_RECORD_DATA_MAX, 1 << 9, 1 << 10, 1 << 11, 1 << 12};
    uint8_t code = SSL_SESSION_get_max_fragment_length(SSL_get_session(session));
    return lengths[code < sizeof lengths / sizeof *lengths ? code : 0];
}

/* TLS 1.2: one record is sealed by each side until now, its Finished (RFC 5246, section 7.4.9), in the first handshake and in one
 * that resumes: tickets go in the clear (RFC 5077, section 3.3). */
static bool take_keys(const SSL *session, const struct tls_suite *suite, struct tls_record *record)
{
    uint8_t master[TLS_MASTER_LENGTH], client[TLS_RANDOM_LENGTH], server[TLS_RANDOM_LENGTH];
    struct tls_key_block keys;
    bool done =
        SSL_SESSION_get_master_key(SSL_get_session(session), master, sizeof master) == sizeof master &&
        SSL_get_client_random(session, client, sizeof client) == sizeof client &&
        SSL_get_server_random(session, server, sizeof server) == sizeof server &&
        tls_keys_expand(suite, master, client, server, &keys) &&
        tls_record_start_with(record, suite, &keys, 1, 1, most_in_a_record(session));
    OPENSSL_cleanse(master, sizeof master);
    OPENSSL_cleanse(&keys, sizeof keys);
    return done;
}

bool tls_takeover(struct tls_takeover *takeover, SSL *session, struct tls_record *record)
{
    const struct tls_suite *suite = NULL;
    if (SSL_is_init_finished(session) && !SSL_has_pending(session))
        suite = tls_keys_suite(SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(session)));
    bool done = suite && (suite->version == TLS_SUITE_1_3
                              ? tls_record_start(record, suite, &takeover->secrets, takeover->received,
                                                 takeover->sent, most_in_a_record(session))
                              : take_keys(session, suite, record));
    SSL_set_app_data(session, NULL);
    SSL_set_msg_callback_arg(session, NULL);
    OPENSSL_cleanse(takeover, sizeof *takeover);
    return done;
}
