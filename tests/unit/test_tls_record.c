/* The record layer of TLS 1.3: records of RFC 8448, records that a peer shouldn't send, and OpenSSL as the client of
 * connections that are ours after their handshake (test_tls_takeover.c). */
#include "tests/unit/unit.h"

#include <openssl/crypto.h>

#include "tests/unit/tls_sealer.h"

enum { ALERT = 21, HANDSHAKE = 22, DATA = 23 };

static const uint16_t suites[] = {0x1301, 0x1302, 0x1303};

struct pair {
    struct tls_record server, client;
};

static struct pair pair_of(uint16_t suite)
{
    struct pair pair;
    assert_true(sealer_pair(&pair.server, &pair.client, tls_keys_suite(suite)));
    return pair;
}

static void end(struct pair *pair)
{
    tls_record_end(&pair->server);
    tls_record_end(&pair->client);
}

static size_t from_hex(const char *hex, uint8_t *bytes)
{
    size_t length = 0;
    assert_int_equal(OPENSSL_hexstr2buf_ex(bytes, 256, &length, hex, ' '), 1);
    return length;
}

/* RFC 8448, section 3: the records behind the server's ticket. */
static void test_rfc8448(void **state)
{
    (void)state;
    struct tls_secrets secrets = {.client_length = 32, .server_length = 32};
    from_hex(
        "9e 40 64 6c e7 9a 7f 9d c0 5a f8 88 9b ce 65 52 87 5a fa 0b 06 df 00 87 f7 92 eb b7 c1 75 04 a5",
        secrets.client);
    from_hex(
        "a1 1a f9 f0 55 31 f8 56 ad 47 11 6b 45 a9 50 32 82 04 b4 f4 4b fb 6b 3a 4b 4f 1f 3f cb 63 16 43",
        secrets.server);
    struct tls_record record;
    assert_true(tls_record_start(&record, tls_keys_suite(0x1301), &secrets, 0, 1, TLS_RECORD_DATA_MAX));

    uint8_t payload[50], input[256], expected[256], out[256];
    for (unsigned i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)i;
    size_t length = from_hex("17 03 03 00 43 a2 3f 70 54 b6 2c 94 d0 af fa fe 82 28 ba 55 cb ef ac ea"
                             " 42 f9 14 aa 66 bc ab 3f 2b 98 19 a8 a5 b4 6b 39 5b d5 4a 9a 20 44 1e 2b"
                             " 62 97 4e 1f 5a 62 92 a2 97 70 14 bd 1e 3d ea e6 3a ee bb 21 69 49 15 e4",
                             input);
    struct tls_opened opened;
    assert_int_equal(tls_record_open(&record, input, length, out, &opened), TLS_RECORD_DATA);
    assert_int_equal(opened.used, length);
    assert_int_equal(opened.data.length, sizeof payload);
    assert_memory_equal(opened.data.data, payload, sizeof payload);

    length = from_hex("17 03 03 00 43 2e 93 7e 11 ef 4a c7 40 e5 38 ad 36 00 5f c4 a4 69 32 fc"
                      " 32 25 d0 5f 82 aa 1b 36 e3 0e fa f9 7d 90 e6 df fc 60 2d cb 50 1a 59 a8"
                      " fc c4 9c 4b f2 e5 f0 a2 1c 00 47 c2 ab f3 32 54 0d d0 32 e1 67 c2 95 5d",
                      expected);
    const struct str piece = {(const char *)payload, sizeof payload};
    assert_int_equal(tls_record_seal(&record, &piece, 1, out), length);
    assert_memory_equal(out, expected, length);

    length = from_hex("17 03 03 00 13 c9 87 27 60 65 56 66 b7 4d 7f f1 15 3e fd 6d b6 d0 b0 e3", input);
    assert_int_equal(tls_record_open(&record, input, length, out, &opened), TLS_RECORD_CLOSED);
    length = from_hex("17 03 03 00 13 b5 8f d6 71 66 eb f5 99 d2 47 20 cf be 7e fa 7a 88 64 a9", expected);
    assert_int_equal(tls_record_alert(&record, TLS_ALERT_CLOSE_NOTIFY, out), length);
    assert_memory_equal(out, expected, length);
    assert_int_equal(tls_record_alert(&record, TLS_ALERT_CLOSE_NOTIFY, out), 0); /* once */
    assert_int_equal(tls_record_seal(&record, &piece, 1, out), 0);
    tls_record_end(&record);
}

/* --- what a peer may send --- */

/* What comes of a record with this content, opened in place and elsewhere. */
static enum tls_record_result take(struct pair *pair, const void *inner, size_t length,
                                   struct tls_opened *opened)
{
    static uint8_t record[TLS_RECORD_HEADER + TLS_RECORD_SEALED_MAX + 16],
        elsewhere[TLS_RECORD_SEALED_MAX + 16];
    static bool in_place;
    size_t size = sealer_seal(&pair->client, inner, length, record);
    in_place = !in_place;
    enum tls_record_result result = tls_record_open(
        &pair->server, record, size, in_place ? record + TLS_RECORD_HEADER : elsewhere, opened);
    assert_int_equal(opened->used, size > TLS_RECORD_HEADER + TLS_RECORD_SEALED_MAX ? 0 : size);
    return result;
}

#define CONTENT(literal) (literal), sizeof(literal) - 1

static void test_padding(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++) {
        struct pair pair = pair_of(suites[i]);
        struct tls_opened opened;
        assert_int_equal(take(&pair, CONTENT("hello\x17"), &opened), TLS_RECORD_DATA);
        assert_str(opened.data, "hello");
        assert_int_equal(take(&pair, CONTENT("he\0llo\0\x17\0\0\0\0\0"), &opened), TLS_RECORD_DATA);
        assert_int_equal(opened.data.length, 7);
        assert_memory_equal(opened.data.data, "he\0llo\0", 7);
        assert_int_equal(take(&pair, CONTENT("\x17"), &opened), TLS_RECORD_NOTHING);
        assert_int_equal(take(&pair, CONTENT("\x17\0\0\0"), &opened), TLS_RECORD_NOTHING);
        assert_int_equal(take(&pair, CONTENT("\0\0\0"), &opened), TLS_RECORD_FAILED);
        assert_int_equal(opened.alert, TLS_ALERT_UNEXPECTED_MESSAGE);
        end(&pair);
    }
}

static void test_sizes(void **state)
{
    (void)state;
    static uint8_t inner[TLS_RECORD_SEALED_MAX + 16];
    struct pair pair = pair_of(0x1301);
    struct tls_opened opened;
    memset(inner, 'x', TLS_RECORD_DATA_MAX);
    inner[TLS_RECORD_DATA_MAX] = DATA;
    assert_int_equal(take(&pair, inner, TLS_RECORD_DATA_MAX + 1, &opened), TLS_RECORD_DATA);
    assert_int_equal(opened.data.length, TLS_RECORD_DATA_MAX);
    end(&pair);

    pair = pair_of(0x1301);
    assert_int_equal(take(&pair, inner, TLS_RECORD_DATA_MAX + 2, &opened),
                     TLS_RECORD_FAILED); /* padding counts */
    assert_int_equal(opened.alert, TLS_ALERT_RECORD_OVERFLOW);
    end(&pair);

    pair = pair_of(0x1301);
    assert_int_equal(take(&pair, inner, TLS_RECORD_SEALED_MAX - TLS_TAG_LENGTH, &opened), TLS_RECORD_FAILED);
    assert_int_equal(opened.alert, TLS_ALERT_RECORD_OVERFLOW);
    end(&pair);

    pair = pair_of(0x1301);
    assert_int_equal(take(&pair, inner, TLS_RECORD_SEALED_MAX - TLS_TAG_LENGTH + 1, &opened),
                     TLS_RECORD_FAILED);
    assert_int_equal(opened.alert, TLS_ALERT_RECORD_OVERFLOW);
    end(&pair);
}

/* Headers that are wrong are so before the record is whole. */
static void test_headers(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[TLS_RECORD_HEADER];
        uint8_t length;
        enum tls_record_result result;
        enum tls_alert alert;
    } cases[] = {
        {{0}, 0, TLS_RECORD_MORE, 0},
        {{23}, 1, TLS_RECORD_MORE, 0},
        {{23, 3, 3, 0}, 4, TLS_RECORD_MORE, 0},
        {{23, 3, 3, 0, 17}, 5, TLS_RECORD_MORE, 0},
        {{23, 9, 9, 0, 17}, 5, TLS_RECORD_MORE, 0},
        {{23, 3, 3, 0, 0}, 5, TLS_RECORD_FAILED, TLS_ALERT_BAD_RECORD_MAC},
        {{23, 3, 3, 0, 16}, 5, TLS_RECORD_FAILED, TLS_ALERT_BAD_RECORD_MAC},
        {{23, 3, 3, 0x41, 0}, 5, TLS_RECORD_MORE, 0},
        {{23, 3, 3, 0x41, 1}, 5, TLS_RECORD_FAILED, TLS_ALERT_RECORD_OVERFLOW},
        {{23, 3, 3, 0xff, 0xff}, 5, TLS_RECORD_FAILED, TLS_ALERT_RECORD_OVERFLOW},
        {{20, 3, 3, 0, 1},
         5,
         TLS_RECORD_FAILED,
         TLS_ALERT_UNEXPECTED_MESSAGE}, /* change_cipher_spec, too late */
        {{21, 3, 3, 0, 2},
         5,
         TLS_RECORD_FAILED,
         TLS_ALERT_UNEXPECTED_MESSAGE}, /* an alert that anybody can make */
        {{22}, 1, TLS_RECORD_FAILED, TLS_ALERT_UNEXPECTED_MESSAGE},
        {{'G', 'E', 'T', ' ', '/'}, 5, TLS_RECORD_FAILED, TLS_ALERT_UNEXPECTED_MESSAGE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pair pair = pair_of(0x1302);
        struct tls_opened opened;
        uint8_t output[TLS_RECORD_HEADER];
        assert_int_equal(tls_record_open(&pair.server, cases[i].bytes, cases[i].length, output, &opened),
                         cases[i].result);
        assert_int_equal(opened.alert, cases[i].alert);
        assert_int_equal(opened.used, 0);
        end(&pair);
    }
}

/* Each bit of a record counts. */
static void test_changed_records(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++) {
        uint8_t record[64];
        struct pair pair = pair_of(suites[i]);
        size_t size = sealer_seal(&pair.client, CONTENT("abc\x17"), record);
        for (size_t bit = 8; bit < 8 * size; bit++) {
            if (bit / 8 == 3 || bit / 8 == 4) /* the length: it isn't whole then, or too short */
                continue;
            uint8_t copy[64], output[64];
            memcpy(copy, record, size);
            copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
            pair.server.receiving.sequence = 0;
            struct tls_opened opened;
            assert_int_equal(tls_record_open(&pair.server, copy, size, output, &opened), TLS_RECORD_FAILED);
            assert_int_equal(opened.alert, TLS_ALERT_BAD_RECORD_MAC);
        }
        end(&pair);
    }
}

/* A record that comes twice, or in another order, is none. */
static void test_order(void **state)
{
    (void)state;
    uint8_t first[64], second[64], output[64];
    struct pair pair = pair_of(0x1303);
    struct tls_opened opened;
    size_t size = sealer_seal(&pair.client, CONTENT("first!\x17"), first);
    sealer_seal(&pair.client, CONTENT("second\x17"), second);
    assert_int_equal(tls_record_open(&pair.server, second, size, output, &opened), TLS_RECORD_FAILED);
    assert_int_equal(opened.alert, TLS_ALERT_BAD_RECORD_MAC);
    pair.server.receiving.sequence = 0;
    assert_int_equal(tls_record_open(&pair.server, first, size, output, &opened), TLS_RECORD_DATA);
    assert_int_equal(tls_record_open(&pair.server, first, size, output, &opened), TLS_RECORD_FAILED);
    assert_int_equal(opened.alert, TLS_ALERT_BAD_RECORD_MAC);
    end(&pair);
}

static void test_alerts(void **state)
{
    (void)state;
    static const struct {
        const char *content;
        uint8_t length;
        enum tls_record_result result;
        uint8_t alert;
    } cases[] = {
        {"\1\0\x15", 3, TLS_RECORD_CLOSED, TLS_ALERT_CLOSE_NOTIFY},
        {"\2\0\x15", 3, TLS_RECORD_CLOSED, TLS_ALERT_CLOSE_NOTIFY}, /* the level says nothing */
        {"\1\x5a\x15", 3, TLS_RECORD_NOTHING, TLS_ALERT_USER_CANCELED},
        {"\2\x14\x15", 3, TLS_RECORD_ALERTED, TLS_ALERT_BAD_RECORD_MAC},
        {"\1\x30\x15", 3, TLS_RECORD_ALERTED, 48}, /* "warnings" are errors (section 6) */
        {"\x15", 1, TLS_RECORD_FAILED, TLS_ALERT_DECODE_ERROR},
        {"\2\x15", 2, TLS_RECORD_FAILED, TLS_ALERT_DECODE_ERROR},
        {"\1\0\1\0\x15", 5, TLS_RECORD_FAILED, TLS_ALERT_DECODE_ERROR},
        {"\1\x14", 2, TLS_RECORD_FAILED, TLS_ALERT_UNEXPECTED_MESSAGE},  /* change_cipher_spec, sealed */
        {"abc\x18", 4, TLS_RECORD_FAILED, TLS_ALERT_UNEXPECTED_MESSAGE}, /* heartbeat */
        {"\xff", 1, TLS_RECORD_FAILED, TLS_ALERT_UNEXPECTED_MESSAGE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pair pair = pair_of(0x1301);
        struct tls_opened opened;
        assert_int_equal(take(&pair, cases[i].content, cases[i].length, &opened), cases[i].result);
        assert_int_equal(opened.alert, cases[i].alert);
        end(&pair);
    }
}

static void test_handshake_messages(void **state)
{
    (void)state;
    static const struct {
        const char *content;
        uint8_t length;
        enum tls_alert alert;
    } cases[] = {
        {"\x16", 1, TLS_ALERT_UNEXPECTED_MESSAGE},            /* empty */
        {"\1\0\0\1x\x16", 6, TLS_ALERT_UNEXPECTED_MESSAGE},   /* client_hello: renegotiation */
        {"\4\0\0\1x\x16", 6, TLS_ALERT_UNEXPECTED_MESSAGE},   /* new_session_ticket */
        {"\x0b\0\0\1x\x16", 6, TLS_ALERT_UNEXPECTED_MESSAGE}, /* certificate */
        {"\x18\0\0\2\0\0\x16", 7, TLS_ALERT_DECODE_ERROR},    /* its length */
        {"\x18\0\0\0\x16", 5, TLS_ALERT_DECODE_ERROR},
        {"\x18\1\0\1\0\x16", 6, TLS_ALERT_DECODE_ERROR},
        {"\x18\0\0\1\2\x16", 6, TLS_ALERT_ILLEGAL_PARAMETER},               /* its request */
        {"\x18\0\0\1\0\x18\0\0\1\0\x16", 11, TLS_ALERT_UNEXPECTED_MESSAGE}, /* two, under one key */
        {"\x18\0\0\1\0\x18\x16", 7, TLS_ALERT_UNEXPECTED_MESSAGE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pair pair = pair_of(0x1301);
        struct tls_opened opened;
        assert_int_equal(take(&pair, cases[i].content, cases[i].length, &opened), TLS_RECORD_FAILED);
        assert_int_equal(opened.alert, cases[i].alert);
        end(&pair);
    }
}

static void renew_client(struct pair *pair)
{
    struct tls_direction *sending = &pair->client.sending;
    uint8_t key[TLS_KEY_MAX];
    const struct tls_suite *suite = pair->client.suite;
    assert_true(tls_keys_advance(suite, sending->secret));
    assert_true(tls_keys_derive(suite, sending->secret, key, sending->iv));
    assert_int_equal(EVP_EncryptInit_ex2(sending->cipher, suite->cipher(), key, NULL, NULL), 1);
    sending->sequence = 0;
}

static void test_key_update_in_pieces(void **state)
{
    (void)state;
    struct pair pair = pair_of(0x1302);
    struct tls_opened opened;
    assert_int_equal(take(&pair, CONTENT("\x18\0\x16\0\0"), &opened), TLS_RECORD_NOTHING);
    assert_int_equal(take(&pair, CONTENT("\0\x16"), &opened), TLS_RECORD_NOTHING);
    assert_int_equal(take(&pair, CONTENT("\1\1\x16"), &opened), TLS_RECORD_NOTHING);
    assert_true(tls_record_must_send(&pair.server));
    renew_client(&pair);
    assert_int_equal(take(&pair, CONTENT("under the new key\x17"), &opened), TLS_RECORD_DATA);
    assert_str(opened.data, "under the new key");

    /* Nothing may stand between the pieces. */
    assert_int_equal(take(&pair, CONTENT("\x18\0\x16"), &opened), TLS_RECORD_NOTHING);
    assert_int_equal(take(&pair, CONTENT("between\x17"), &opened), TLS_RECORD_FAILED);
    assert_int_equal(opened.alert, TLS_ALERT_UNEXPECTED_MESSAGE);
    end(&pair);
}

/* What costs us work and carries nothing is bounded; data sets the count back. */
static void test_floods(void **state)
{
    (void)state;
    struct pair pair = pair_of(0x1301);
    struct tls_opened opened;
    for (unsigned turn = 0; turn < 2; turn++) {
        for (unsigned i = 0; i < TLS_RECORD_IDLE_MAX; i++) {
            assert_int_equal(take(&pair, CONTENT("\x18\0\0\1\1\x16"), &opened), TLS_RECORD_NOTHING);
            renew_client(&pair);
        }
        assert_int_equal(take(&pair, CONTENT("!\x17"), &opened), TLS_RECORD_DATA);
    }
    /* All those had one answer. */
    uint8_t out[TLS_RECORD_UPDATE_SIZE];
    assert_true(tls_record_must_send(&pair.server));
    assert_int_equal(tls_record_seal(&pair.server, NULL, 0, out), TLS_RECORD_UPDATE_SIZE);
    assert_false(tls_record_must_send(&pair.server));
    for (unsigned i = 0; i < TLS_RECORD_IDLE_MAX; i++)
        assert_int_equal(take(&pair, CONTENT("\x17"), &opened), TLS_RECORD_NOTHING);
    assert_int_equal(take(&pair, CONTENT("\x17"), &opened), TLS_RECORD_FAILED);
    assert_int_equal(opened.alert, TLS_ALERT_UNEXPECTED_MESSAGE);
    end(&pair);
}

/* --- sending --- */

static void test_pieces(void **state)
{
    (void)state;
    static char text[3 * TLS_RECORD_DATA_MAX + 5];
    static uint8_t out[sizeof text + 8 * TLS_RECORD_OVERHEAD + TLS_RECORD_UPDATE_SIZE];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7);
    for (size_t i = 0; i < sizeof suites / sizeof *suites; i++) {
        struct pair pair = pair_of(suites[i]);
        const struct str pieces[] = {{text, 10},
                                     {NULL, 0},
                                     {text + 10, TLS_RECORD_DATA_MAX - 11},
                                     {text + TLS_RECORD_DATA_MAX - 1, sizeof text - TLS_RECORD_DATA_MAX + 1},
                                     {NULL, 0}};
        size_t size = tls_record_seal(&pair.server, pieces, 5, out);
        assert_int_equal(size, sizeof text + 4 * TLS_RECORD_OVERHEAD);
        assert_true(size <= tls_record_sealed(&pair.server, sizeof text));
        size_t at = 0, got = 0;
        for (unsigned records = 0; records < 4; records++) {
            struct tls_opened opened;
            assert_int_equal(
                tls_record_open(&pair.client, out + at, size - at, out + at + TLS_RECORD_HEADER, &opened),
                TLS_RECORD_DATA);
            assert_int_equal(opened.data.length, records < 3 ? TLS_RECORD_DATA_MAX : 5);
            assert_memory_equal(opened.data.data, text + got, opened.data.length);
            got += opened.data.length;
            at += opened.used;
        }
        assert_int_equal(at, size);
        assert_int_equal(tls_record_seal(&pair.server, pieces + 4, 1, out), 0);
        end(&pair);
    }
}

static void test_small_records(void **state)
{
    (void)state;
    struct pair pair = pair_of(0x1301);
    uint8_t out[2048];
    char text[1025] = "";
    const struct str piece = {text, sizeof text};
    pair.server.most = 512; /* max_fragment_length (RFC 6066, section 4) */
    assert_int_equal(tls_record_seal(&pair.server, &piece, 1, out), sizeof text + 3 * TLS_RECORD_OVERHEAD);
    struct tls_opened opened;
    assert_int_equal(tls_record_open(&pair.client, out, sizeof out, out, &opened), TLS_RECORD_DATA);
    assert_int_equal(opened.data.length, 512);
    end(&pair);
}

/* A key that has sealed its share of records is replaced, and so is the peer's, on our demand, once. */
static void test_limits_of_keys(void **state)
{
    (void)state;
    struct tls_suite suite = *tls_keys_suite(0x1301);
    suite.records = 3;
    struct tls_record server, client;
    assert_true(sealer_pair(&server, &client, &suite));
    const struct str piece = STR("data");
    uint8_t out[256];
    struct tls_opened opened;
    for (unsigned i = 0; i < 40; i++) {
        size_t size = tls_record_seal(&server, &piece, 1, out);
        bool updated = i > 0 && i % 3 == 0;
        assert_int_equal(size, piece.length + TLS_RECORD_OVERHEAD + (updated ? TLS_RECORD_UPDATE_SIZE : 0));
        if (updated)
            assert_int_equal(tls_record_open(&client, out, size, out + TLS_RECORD_HEADER, &opened),
                             TLS_RECORD_NOTHING);
        size_t at = updated ? opened.used : 0;
        assert_int_equal(tls_record_open(&client, out + at, size - at, out + at + TLS_RECORD_HEADER, &opened),
                         TLS_RECORD_DATA);
        assert_str(opened.data, "data");
    }
    assert_false(tls_record_must_send(&client)); /* it wasn't asked for anything */
    tls_record_end(&server);
    tls_record_end(&client);

    assert_true(sealer_pair(&server, &client, &suite));
    struct tls_suite patient = suite; /* a peer that doesn't count */
    patient.records = 1000;
    client.suite = &patient;
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(tls_record_must_send(&server), i == 3);
        if (i == 3) {
            size_t size = tls_record_seal(&server, NULL, 0, out);
            assert_int_equal(tls_record_open(&client, out, size, out + TLS_RECORD_HEADER, &opened),
                             TLS_RECORD_NOTHING);
        }
        /* The last one comes behind its answer. */
        size_t size =
            i < 4 ? sealer_seal(&client, CONTENT("data\x17"), out) : tls_record_seal(&client, &piece, 1, out);
        size_t at = 0;
        while (at < size) {
            enum tls_record_result result =
                tls_record_open(&server, out + at, size - at, out + at + TLS_RECORD_HEADER, &opened);
            assert_true(result == TLS_RECORD_DATA || (i == 4 && result == TLS_RECORD_NOTHING));
            at += opened.used;
        }
    }
    assert_int_equal(server.receiving.sequence, 1);
    tls_record_end(&server);
    tls_record_end(&client);
}

static void test_secrets_are_wiped(void **state)
{
    (void)state;
    struct pair pair = pair_of(0x1302);
    struct tls_secrets secrets = {.client_length = 32, .server_length = 32};
    struct tls_record record;
    assert_false(
        tls_record_start(&record, pair.server.suite, &secrets, 0, 0, TLS_RECORD_DATA_MAX)); /* of SHA-256 */
    end(&pair);
    static const struct tls_record nothing;
    assert_memory_equal(&pair.server, &nothing, sizeof nothing);
}

/* --- TLS 1.2 --- */

static const uint16_t suites_1_2[] = {0xc02b, 0xc030, 0xccaa};

/* What the other side has sealed as a record of that type. */
static enum tls_record_result take_typed(struct pair *pair, uint8_t type, const void *content, size_t length,
                                         struct tls_opened *opened)
{
    static uint8_t record[TLS_RECORD_HEADER + TLS_EXPLICIT_MAX + TLS_RECORD_DATA_MAX + 300],
        output[sizeof record];
    size_t size = sealer_put(&pair->client, type, content, length, record);
    enum tls_record_result result = tls_record_open(&pair->server, record, size, output, opened);
    assert_int_equal(opened->used, result == TLS_RECORD_FAILED && opened->used == 0 ? 0 : size);
    return result;
}

static void test_1_2_types(void **state)
{
    (void)state;
    static const struct {
        uint8_t type, length, content[8];
        enum tls_record_result result;
        uint8_t alert;
    } cases[] = {
        {23, 2, "hi", TLS_RECORD_DATA, 0},
        {23, 0, "", TLS_RECORD_NOTHING, 0},
        {21, 2, {1, 0}, TLS_RECORD_CLOSED, 0},
        {21, 2, {2, 0}, TLS_RECORD_CLOSED, 0},
        {21, 2, {1, 100}, TLS_RECORD_NOTHING, 100}, /* a warning */
        {21, 2, {2, 20}, TLS_RECORD_ALERTED, 20},
        {21, 1, {2}, TLS_RECORD_FAILED, TLS_ALERT_DECODE_ERROR},
        {21, 4, {1, 0, 1, 0}, TLS_RECORD_FAILED, TLS_ALERT_DECODE_ERROR},
        {22, 4, {1, 0, 0, 0}, TLS_RECORD_NOTHING, 0}, /* ClientHello */
        {22, 0, "", TLS_RECORD_FAILED, TLS_ALERT_UNEXPECTED_MESSAGE},
        {22, 4, {0, 0, 0, 0}, TLS_RECORD_FAILED, TLS_ALERT_UNEXPECTED_MESSAGE},     /* HelloRequest */
        {22, 5, {24, 0, 0, 1, 0}, TLS_RECORD_FAILED, TLS_ALERT_UNEXPECTED_MESSAGE}, /* KeyUpdate */
        {22, 4, {20, 0, 0, 12}, TLS_RECORD_FAILED, TLS_ALERT_UNEXPECTED_MESSAGE},   /* Finished */
        {20, 1, {1}, TLS_RECORD_FAILED, TLS_ALERT_UNEXPECTED_MESSAGE},              /* ChangeCipherSpec */
        {24, 3, {1, 0, 0}, TLS_RECORD_FAILED, TLS_ALERT_UNEXPECTED_MESSAGE},        /* heartbeat */
        {0, 1, {0}, TLS_RECORD_FAILED, TLS_ALERT_UNEXPECTED_MESSAGE},
    };
    for (size_t suite = 0; suite < sizeof suites_1_2 / sizeof *suites_1_2; suite++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            struct pair pair;
            struct tls_opened opened;
            pair = pair_of(suites_1_2[suite]);
            assert_int_equal(take_typed(&pair, cases[i].type, cases[i].content, cases[i].length, &opened),
                             cases[i].result);
            assert_int_equal(opened.alert, cases[i].alert);
            if (cases[i].result == TLS_RECORD_DATA)
                assert_str(opened.data, "hi");
            end(&pair);
        }
}

static void test_1_2_sizes(void **state)
{
    (void)state;
    static uint8_t content[TLS_RECORD_DATA_MAX + 1];
    for (size_t i = 0; i < sizeof suites_1_2 / sizeof *suites_1_2; i++) {
        struct pair pair;
        struct tls_opened opened;
        pair = pair_of(suites_1_2[i]);
        assert_int_equal(take_typed(&pair, 23, content, TLS_RECORD_DATA_MAX, &opened), TLS_RECORD_DATA);
        assert_int_equal(opened.data.length, TLS_RECORD_DATA_MAX);
        assert_int_equal(take_typed(&pair, 23, content, TLS_RECORD_DATA_MAX + 1, &opened), TLS_RECORD_FAILED);
        assert_int_equal(opened.alert, TLS_ALERT_RECORD_OVERFLOW);
        end(&pair);

        /* One that can't have a nonce and a tag in it; and one of another version. */
        uint8_t output[64];
        pair = pair_of(suites_1_2[i]);
        uint8_t record[64] = {23, 3, 3, 0,
                              (uint8_t)(pair.server.suite->explicit_length + TLS_TAG_LENGTH - 1)};
        assert_int_equal(tls_record_open(&pair.server, record, sizeof record, output, &opened),
                         TLS_RECORD_FAILED);
        assert_int_equal(opened.alert, TLS_ALERT_BAD_RECORD_MAC);
        for (uint8_t minor = 0; minor < 5; minor++) {
            record[2] = minor;
            enum tls_record_result result = tls_record_open(&pair.server, record, 3, output, &opened);
            assert_int_equal(result, minor == 3 ? TLS_RECORD_MORE : TLS_RECORD_FAILED);
            assert_int_equal(opened.alert, minor == 3 ? 0 : TLS_ALERT_PROTOCOL_VERSION);
        }
        end(&pair);
    }
}

/* No bit of a record can be changed: header, nonce, content and tag; nor can it come twice, or out of order. */
static void test_1_2_changed_records(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof suites_1_2 / sizeof *suites_1_2; i++) {
        uint8_t record[100], copy[100], output[100];
        struct tls_opened opened;
        struct pair pair;
        pair = pair_of(suites_1_2[i]);
        size_t size = sealer_put(&pair.client, 23, "content", 7, record);
        for (size_t bit = 0; bit < 8 * size; bit++) {
            memcpy(copy, record, size);
            copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
            pair.server.receiving.sequence = 0;
            enum tls_record_result result = tls_record_open(&pair.server, copy, size, output, &opened);
            assert_true(result == TLS_RECORD_FAILED ||
                        (result == TLS_RECORD_MORE && bit / 8 < TLS_RECORD_HEADER));
        }
        pair.server.receiving.sequence = 0;
        assert_int_equal(tls_record_open(&pair.server, record, size, output, &opened), TLS_RECORD_DATA);
        assert_str(opened.data, "content");
        assert_int_equal(tls_record_open(&pair.server, record, size, output, &opened), TLS_RECORD_FAILED);
        assert_int_equal(opened.alert, TLS_ALERT_BAD_RECORD_MAC);
        end(&pair);
    }
}

/* Who asks for another handshake again and again is answered once a read, and not for ever. */
static void test_1_2_floods(void **state)
{
    (void)state;
    struct pair pair;
    struct tls_opened opened;
    uint8_t out[TLS_RECORD_ALERT_MAX];
    pair = pair_of(0xc02b);
    assert_false(tls_record_must_send(&pair.server));
    for (unsigned i = 0; i < TLS_RECORD_IDLE_MAX; i++)
        assert_int_equal(take_typed(&pair, 22, "\1\0\0\0", 4, &opened), TLS_RECORD_NOTHING);
    assert_true(tls_record_must_send(&pair.server));
    size_t size = tls_record_seal(&pair.server, NULL, 0, out);
    assert_in_range(size, 1, sizeof out);
    assert_false(tls_record_must_send(&pair.server));
    assert_int_equal(tls_record_open(&pair.client, out, size, out + TLS_RECORD_HEADER, &opened),
                     TLS_RECORD_NOTHING);
    assert_int_equal(opened.alert, TLS_ALERT_NO_RENEGOTIATION);
    assert_int_equal(take_typed(&pair, 22, "\1\0\0\0", 4, &opened), TLS_RECORD_FAILED);
    assert_int_equal(opened.alert, TLS_ALERT_UNEXPECTED_MESSAGE);
    end(&pair);
}

static void test_1_2_pieces(void **state)
{
    (void)state;
    static char text[40000];
    static uint8_t out[sizeof text + 8 * TLS_RECORD_OVERHEAD_MAX], output[sizeof out];
    const struct str pieces[] = {{text, 10}, {text + 10, 0}, {text + 10, 30000}, {text + 30010, 9990}};
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < sizeof suites_1_2 / sizeof *suites_1_2; i++) {
        struct pair pair;
        struct tls_opened opened;
        pair = pair_of(suites_1_2[i]);
        size_t size = tls_record_seal(&pair.server, pieces, 4, out), at = 0, got = 0;
        assert_true(size <= tls_record_sealed(&pair.server, sizeof text));
        for (; at < size; at += opened.used) {
            assert_int_equal(tls_record_open(&pair.client, out + at, size - at, output, &opened),
                             TLS_RECORD_DATA);
            got += opened.data.length;
        }
        assert_int_equal(got, sizeof text);
        end(&pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc8448),
        cmocka_unit_test(test_padding),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_changed_records),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_alerts),
        cmocka_unit_test(test_handshake_messages),
        cmocka_unit_test(test_key_update_in_pieces),
        cmocka_unit_test(test_floods),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_small_records),
        cmocka_unit_test(test_limits_of_keys),
        cmocka_unit_test(test_secrets_are_wiped),
        cmocka_unit_test(test_1_2_types),
        cmocka_unit_test(test_1_2_sizes),
        cmocka_unit_test(test_1_2_changed_records),
        cmocka_unit_test(test_1_2_floods),
        cmocka_unit_test(test_1_2_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
