/* Taking over from OpenSSL: it makes both sides of a handshake, in memory; then its server goes, and its client goes on
 * with our record layer. Nothing on the client's side knows of us. */
#include "tests/unit/unit.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "worker/net/tls_takeover.h"

static SSL_CTX *server_context, *client_context;

static int set_up(void **state)
{
    (void)state;
    server_context = SSL_CTX_new(TLS_server_method());
    client_context = SSL_CTX_new(TLS_client_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    if (!X509_sign(certificate, key, EVP_sha256()) ||
        SSL_CTX_use_certificate(server_context, certificate) != 1 ||
        SSL_CTX_use_PrivateKey(server_context, key) != 1)
        return -1;
    X509_free(certificate);
    EVP_PKEY_free(key);
    tls_takeover_prepare(server_context);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    SSL_CTX_free(server_context);
    SSL_CTX_free(client_context);
    return 0;
}

/* A connection: the client, and where its bytes and ours go. */
struct talk {
    SSL *client;
    BIO *to_server, *to_client;
    struct tls_record record;
    uint8_t *input; /* what came from the client and wasn't opened yet */
    size_t length;
    char *received;
    size_t received_length;
    enum tls_record_result last;
    struct tls_opened opened;
};

/* What the test varies. */
struct options {
    const char *suite; /* as OpenSSL calls it: TLS_… is one of TLS 1.3 */
    size_t tickets;
    uint8_t fragment; /* max_fragment_length's code */
    SSL_SESSION *resumed;
};

static bool is_1_2(const struct options *options)
{
    return strncmp(options->suite, "TLS_", 4) != 0;
}

static void choose_suite(SSL *client, const struct options *options)
{
    if (!is_1_2(options)) {
        assert_int_equal(SSL_set_ciphersuites(client, options->suite), 1);
        return;
    }
    assert_int_equal(SSL_set_max_proto_version(client, TLS1_2_VERSION), 1);
    assert_int_equal(SSL_set_cipher_list(client, options->suite), 1);
}

/* `early`: what the client sends with its last flight, before the server has read that. */
static void start(struct talk *talk, const struct options *options, const char *early)
{
    *talk = (struct talk){.to_server = BIO_new(BIO_s_mem()), .to_client = BIO_new(BIO_s_mem())};
    SSL *server = SSL_new(server_context);
    SSL_set_accept_state(server);
    SSL_set_num_tickets(server, options->tickets);
    BIO_up_ref(talk->to_server);
    BIO_up_ref(talk->to_client);
    SSL_set_bio(server, talk->to_server, talk->to_client);
    talk->client = SSL_new(client_context);
    SSL_set_connect_state(talk->client);
    choose_suite(talk->client, options);
    if (options->fragment)
        SSL_set_tlsext_max_fragment_length(talk->client, options->fragment);
    if (options->resumed)
        assert_int_equal(SSL_set_session(talk->client, options->resumed), 1);
    SSL_set_bio(talk->client, talk->to_client, talk->to_server);
    struct tls_takeover takeover;
    tls_takeover_listen(&takeover, server);

    assert_int_equal(SSL_do_handshake(talk->client), -1);
    assert_int_equal(SSL_do_handshake(server), -1);
    bool server_ends = is_1_2(options) && !options->resumed; /* else the client's flight is the last */
    assert_int_equal(SSL_do_handshake(talk->client), server_ends ? -1 : 1);
    if (early)
        assert_int_equal(SSL_write(talk->client, early, (int)strlen(early)), strlen(early));
    assert_int_equal(SSL_do_handshake(server), 1);
    if (server_ends)
        assert_int_equal(SSL_do_handshake(talk->client), 1);
    ERR_clear_error();
    assert_int_equal(SSL_session_reused(server), options->resumed != NULL);
    assert_true(tls_takeover(&takeover, server, &talk->record));
    SSL_free(server);
}

static void finish(struct talk *talk)
{
    SSL_free(talk->client);
    tls_record_end(&talk->record);
    free(talk->input);
    free(talk->received);
}

/* Opens what the client has sent, read in pieces of `step` bytes; each is a new allocation, so that a look beyond it is
 * seen. */
static void receive(struct talk *talk, size_t step)
{
    for (;;) {
        uint8_t *input = malloc(talk->length + step);
        assert_non_null(input);
        if (talk->length > 0)
            memcpy(input, talk->input, talk->length);
        int n = BIO_read(talk->to_server, input + talk->length, (int)step);
        free(talk->input);
        talk->input = input;
        if (n <= 0)
            return;
        talk->length += (size_t)n;
        size_t at = 0;
        do {
            uint8_t *record = talk->input + at;
            talk->last = tls_record_open(&talk->record, record, talk->length - at, record + TLS_RECORD_HEADER,
                                         &talk->opened);
            at += talk->opened.used;
            struct str data = talk->opened.data;
            if (talk->last != TLS_RECORD_DATA)
                continue;
            talk->received = realloc(talk->received, talk->received_length + data.length);
            assert_non_null(talk->received);
            memcpy(talk->received + talk->received_length, data.data, data.length);
            talk->received_length += data.length;
        } while (talk->last == TLS_RECORD_DATA || talk->last == TLS_RECORD_NOTHING);
        talk->length -= at;
        memmove(talk->input, talk->input + at, talk->length);
    }
}

static void assert_received(struct talk *talk, const char *text)
{
    assert_str(((struct str){talk->received, talk->received_length}), text);
    talk->received_length = 0;
}

/* Sends what waits and `length` bytes. */
static void send_bytes(struct talk *talk, const char *data, size_t length)
{
    const struct str piece = {data, length};
    uint8_t *out = malloc(tls_record_sealed(&talk->record, length));
    assert_non_null(out);
    size_t size = tls_record_seal(&talk->record, &piece, 1, out);
    assert_true(size >= length);
    assert_int_equal(BIO_write(talk->to_client, out, (int)size), size);
    free(out);
}

static void assert_client_reads(struct talk *talk, const char *data, size_t length)
{
    static char buffer[65536];
    size_t got = 0;
    while (got < length) {
        int n = SSL_read(talk->client, buffer, sizeof buffer);
        if (n <= 0)
            ERR_print_errors_fp(stderr);
        assert_true(n > 0 && (size_t)n <= length - got);
        assert_memory_equal(buffer, data + got, (size_t)n);
        got += (size_t)n;
    }
    assert_int_equal(SSL_read(talk->client, buffer, sizeof buffer), -1);
    assert_int_equal(SSL_get_error(talk->client, -1), SSL_ERROR_WANT_READ);
}

static void client_writes(struct talk *talk, const char *data, size_t length)
{
    assert_int_equal(SSL_write(talk->client, data, (int)length), length);
}

/* --- tests --- */

enum { OF_1_3 = 3 }; /* the first ones, that have KeyUpdate and padding */
static const char *const suites[] = {"TLS_AES_128_GCM_SHA256",        "TLS_AES_256_GCM_SHA384",
                                     "TLS_CHACHA20_POLY1305_SHA256",  "ECDHE-ECDSA-AES128-GCM-SHA256",
                                     "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"};

static void test_both_directions(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++) {
        for (size_t tickets = 0; tickets < 3; tickets++) {
            struct talk talk;
            start(&talk, &(struct options){.suite = suites[i], .tickets = tickets}, NULL);
            assert_int_equal(talk.record.sending.sequence, i < OF_1_3 ? tickets : 1);
            client_writes(&talk, "a question", 10);
            receive(&talk, 65536);
            assert_received(&talk, "a question");
            send_bytes(&talk, "an answer", 9);
            assert_client_reads(&talk, "an answer", 9);
            finish(&talk);
        }
    }
}

/* A session that is resumed gets one ticket, whatever their number is. */
static void test_resumption(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++) {
        struct talk talk;
        start(&talk, &(struct options){.suite = suites[i], .tickets = 2}, NULL);
        send_bytes(&talk, "x", 1);
        assert_client_reads(&talk, "x", 1);
        SSL_SESSION *session = SSL_get1_session(talk.client);
        SSL_shutdown(talk.client);
        receive(&talk, 65536);
        assert_int_equal(talk.last, TLS_RECORD_CLOSED);
        finish(&talk);

        start(&talk, &(struct options){.suite = suites[i], .tickets = 2, .resumed = session}, "at once");
        assert_int_equal(talk.record.sending.sequence, 1);
        receive(&talk, 65536);
        assert_received(&talk, "at once");
        send_bytes(&talk, "resumed", 7);
        assert_client_reads(&talk, "resumed", 7);
        SSL_SESSION_free(session);
        finish(&talk);
    }
}

/* What the client sends with its Finished isn't the session's to read. */
static void test_data_behind_the_handshake(void **state)
{
    (void)state;
    struct talk talk;
    start(&talk, &(struct options){.suite = suites[0], .tickets = 2}, "GET / HTTP/1.1\r\n");
    client_writes(&talk, "\r\n", 2);
    receive(&talk, 65536);
    assert_received(&talk, "GET / HTTP/1.1\r\n\r\n");
    finish(&talk);
}

static void test_a_byte_at_a_time(void **state)
{
    (void)state;
    struct talk talk;
    start(&talk, &(struct options){.suite = suites[1]}, "early ");
    client_writes(&talk, "one ", 4);
    assert_int_equal(SSL_key_update(talk.client, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
    client_writes(&talk, "two ", 4);
    client_writes(&talk, "three", 5);
    receive(&talk, 1);
    assert_received(&talk, "early one two three");
    finish(&talk);
}

static void test_key_updates_of_the_client(void **state)
{
    (void)state;
    for (size_t i = 0; i < OF_1_3; i++) {
        struct talk talk;
        start(&talk, &(struct options){.suite = suites[i], .tickets = 1}, NULL);
        for (unsigned turn = 0; turn < 100; turn++) {
            int kind = turn % 2 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED;
            assert_int_equal(SSL_key_update(talk.client, kind), 1);
            client_writes(&talk, "under the next", 14);
            receive(&talk, 65536);
            assert_received(&talk, "under the next");
            assert_int_equal(tls_record_must_send(&talk.record), kind == SSL_KEY_UPDATE_REQUESTED);
            send_bytes(&talk, "ours too", 8);
            assert_client_reads(&talk, "ours too", 8);
        }
        finish(&talk);
    }
}

static void test_key_updates_of_ours(void **state)
{
    (void)state;
    for (size_t i = 0; i < OF_1_3; i++) {
        struct talk talk;
        start(&talk, &(struct options){.suite = suites[i], .tickets = 2}, NULL);
        struct tls_suite impatient = *talk.record.suite;
        impatient.records = 4;
        talk.record.suite = &impatient;
        for (unsigned turn = 0; turn < 100; turn++) {
            client_writes(&talk, "asked", 5); /* and what we ask for is done before */
            receive(&talk, 65536);
            assert_received(&talk, "asked");
            send_bytes(&talk, "answered", 8);
            assert_client_reads(&talk, "answered", 8);
        }
        assert_in_range(talk.record.receiving.sequence, 0, 5);
        finish(&talk);
    }
}

static void test_large_transfers(void **state)
{
    (void)state;
    static char data[3000000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * i >> 7);
    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++) {
        struct talk talk;
        start(&talk, &(struct options){.suite = suites[i], .tickets = 2}, NULL);
        for (size_t at = 0, length = 1; at < sizeof data; at += length, length = length * 3 % 50021 + 1) {
            if (length > sizeof data - at)
                length = sizeof data - at;
            client_writes(&talk, data + at, length);
            send_bytes(&talk, data + at, length);
        }
        receive(&talk, 10007);
        assert_int_equal(talk.received_length, sizeof data);
        assert_memory_equal(talk.received, data, sizeof data);
        assert_client_reads(&talk, data, sizeof data);
        finish(&talk);
    }
}

/* A client that asked for small records gets them; a larger one would be an error of ours. */
static void test_small_records(void **state)
{
    (void)state;
    static const char data[5000] = "";
    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++) {
        struct talk talk;
        start(&talk,
              &(struct options){.suite = suites[i], .tickets = 2, .fragment = TLSEXT_max_fragment_length_512},
              NULL);
        assert_int_equal(talk.record.most, 512);
        send_bytes(&talk, data, sizeof data);
        assert_client_reads(&talk, data, sizeof data);
        finish(&talk);
    }
}

static void test_padded_records(void **state)
{
    (void)state;
    struct talk talk;
    start(&talk, &(struct options){.suite = suites[2], .tickets = 2}, NULL);
    SSL_set_block_padding(talk.client, 1000);
    client_writes(&talk, "padded", 6);
    receive(&talk, 65536);
    assert_received(&talk, "padded");
    finish(&talk);
}

/* TLS 1.2: OpenSSL's client gives up when it is told no; it might go on. */
static void test_renegotiation(void **state)
{
    (void)state;
    for (size_t i = OF_1_3; i < sizeof suites / sizeof *suites; i++) {
        struct talk talk;
        char buffer[10];
        start(&talk, &(struct options){.suite = suites[i]}, NULL);
        assert_int_equal(SSL_renegotiate(talk.client), 1);
        assert_int_equal(SSL_do_handshake(talk.client), -1);
        receive(&talk, 65536);
        assert_int_equal(talk.last, TLS_RECORD_MORE);
        assert_true(tls_record_must_send(&talk.record));
        send_bytes(&talk, "no", 2);
        ERR_clear_error();
        assert_true(SSL_read(talk.client, buffer, sizeof buffer) <= 0);
        assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_NO_RENEGOTIATION);
        ERR_clear_error();
        finish(&talk);
    }
}

static void send_alert(struct talk *talk, enum tls_alert alert)
{
    uint8_t out[TLS_RECORD_ALERT_MAX];
    size_t size = tls_record_alert(&talk->record, alert, out);
    assert_in_range(size, 1, sizeof out);
    assert_int_equal(BIO_write(talk->to_client, out, (int)size), size);
}

static void closing(const char *suite)
{
    struct talk talk;
    char buffer[10];
    start(&talk, &(struct options){.suite = suite, .tickets = 2}, NULL);
    send_alert(&talk, TLS_ALERT_CLOSE_NOTIFY);
    assert_int_equal(SSL_read(talk.client, buffer, sizeof buffer), 0);
    assert_int_equal(SSL_get_error(talk.client, 0), SSL_ERROR_ZERO_RETURN);
    client_writes(&talk, "last words", 10); /* the other direction is open */
    SSL_shutdown(talk.client);
    receive(&talk, 65536);
    assert_received(&talk, "last words");
    assert_int_equal(talk.last, TLS_RECORD_CLOSED);
    finish(&talk);

    start(&talk, &(struct options){.suite = suite, .tickets = 2}, NULL);
    send_alert(&talk, TLS_ALERT_BAD_RECORD_MAC);
    ERR_clear_error();
    assert_true(SSL_read(talk.client, buffer, sizeof buffer) <= 0);
    assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_SSLV3_ALERT_BAD_RECORD_MAC);
    ERR_clear_error();
    finish(&talk);

    /* A client that doesn't like our records says so. */
    start(&talk, &(struct options){.suite = suite, .tickets = 2}, NULL);
    talk.record.sending.sequence++;
    send_bytes(&talk, "x", 1);
    assert_true(SSL_read(talk.client, buffer, sizeof buffer) <= 0);
    ERR_clear_error();
    receive(&talk, 65536);
    assert_int_equal(talk.last, TLS_RECORD_ALERTED);
    assert_int_equal(talk.opened.alert, TLS_ALERT_BAD_RECORD_MAC);
    finish(&talk);
}

static void test_closing(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++)
        closing(suites[i]);
}

static void test_not_ours(void **state)
{
    (void)state;
    SSL *server = SSL_new(server_context);
    struct tls_takeover takeover;
    struct tls_record record;
    SSL_set_accept_state(server);
    tls_takeover_listen(&takeover, server);
    assert_false(tls_takeover(&takeover, server, &record)); /* no handshake yet */
    SSL_free(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_directions),
        cmocka_unit_test(test_resumption),
        cmocka_unit_test(test_data_behind_the_handshake),
        cmocka_unit_test(test_a_byte_at_a_time),
        cmocka_unit_test(test_key_updates_of_the_client),
        cmocka_unit_test(test_key_updates_of_ours),
        cmocka_unit_test(test_large_transfers),
        cmocka_unit_test(test_small_records),
        cmocka_unit_test(test_padded_records),
        cmocka_unit_test(test_renegotiation),
        cmocka_unit_test(test_closing),
        cmocka_unit_test(test_not_ours),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
