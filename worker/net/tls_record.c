/* tls_record: the record layer after the handshake. */
#include "worker/net/tls_record.h"

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

/* ContentType (RFC 8446, section 5.1) */
enum { ALERT = 21, HANDSHAKE = 22, APPLICATION_DATA = 23 };
/* AlertLevel (section 6), HandshakeType (section 4), KeyUpdateRequest (section 4.6.3) */
enum {
    WARNING = 1,
    FATAL = 2,
    CLIENT_HELLO = 1,
    KEY_UPDATE = 24,
    UPDATE_NOT_REQUESTED = 0,
    UPDATE_REQUESTED = 1
};
/* What is authenticated beside the content: its header (section 5.2), or with its number (RFC 5246, section 6.2.3.3). */
enum { AAD_MAX = 13 };

/* --- keys --- */

static bool set_key(struct tls_direction *direction, const struct tls_suite *suite, const uint8_t *key,
                    bool seals)
{
    return EVP_CipherInit_ex2(direction->cipher, suite->cipher(), key, NULL, seals, NULL) == 1;
}

/* Takes the keys of the direction's secret. */
static bool set_keys(struct tls_direction *direction, const struct tls_suite *suite, bool seals)
{
    uint8_t key[TLS_KEY_MAX];
    bool done = tls_keys_derive(suite, direction->secret, key, direction->iv) &&
                set_key(direction, suite, key, seals);
    OPENSSL_cleanse(key, sizeof key);
    return done;
}

/* Section 7.2: the next generation of the secret, and a sequence of its own. */
static bool renew_keys(struct tls_direction *direction, const struct tls_suite *suite, bool seals)
{
    direction->sequence = 0;
    return tls_keys_advance(suite, direction->secret) && set_keys(direction, suite, seals);
}

static bool start_direction(struct tls_direction *direction, const struct tls_suite *suite,
                            const uint8_t *secret, uint64_t sequence, bool seals)
{
    memcpy(direction->secret, secret, suite->secret_length);
    direction->sequence = sequence;
    direction->cipher = EVP_CIPHER_CTX_new();
    return direction->cipher && set_keys(direction, suite, seals);
}

bool tls_record_start(struct tls_record *record, const struct tls_suite *suite,
                      const struct tls_secrets *secrets, uint64_t received, uint64_t sent, uint16_t most)
{
    *record = (struct tls_record){.suite = suite, .most = most};
    assert(suite->version == TLS_SUITE_1_3);
    if (secrets->client_length == suite->secret_length && secrets->server_length == suite->secret_length &&
        start_direction(&record->receiving, suite, secrets->client, received, false) &&
        start_direction(&record->sending, suite, secrets->server, sent, true))
        return true;
    ERR_clear_error();
    tls_record_end(record);
    return false;
}

static bool start_direction_with(struct tls_direction *direction, const struct tls_suite *suite,
                                 const uint8_t *key, const uint8_t *iv, uint64_t sequence, bool seals)
{
    memcpy(direction->iv, iv, TLS_IV_LENGTH);
    direction->sequence = sequence;
    direction->cipher = EVP_CIPHER_CTX_new();
    return direction->cipher && set_key(direction, suite, key, seals);
}

bool tls_record_start_with(struct tls_record *record, const struct tls_suite *suite,
                           const struct tls_key_block *keys, uint64_t received, uint64_t sent, uint16_t most)
{
    *record = (struct tls_record){.suite = suite, .most = most};
    assert(suite->version == TLS_SUITE_1_2);
    if (start_direction_with(&record->receiving, suite, keys->client_key, keys->client_iv, received, false) &&
        start_direction_with(&record->sending, suite, keys->server_key, keys->server_iv, sent, true))
        return true;
    ERR_clear_error();
    tls_record_end(record);
    return false;
}

void tls_record_end(struct tls_record *record)
{
    EVP_CIPHER_CTX_free(record->receiving.cipher); /* wipes its key */
    EVP_CIPHER_CTX_free(record->sending.cipher);
    OPENSSL_cleanse(record, sizeof *record);
}

/* --- what both directions share --- */

static void put_number(uint8_t out[8], uint64_t number)
{
    for (unsigned i = 0; i < 8; i++)
        out[7 - i] = (uint8_t)(number >> 8 * i);
}

/* The IV, its end combined with the record's number (RFC 8446, section 5.3; RFC 7905, section 2); or the IV and what stands
 * in the record (RFC 5288, section 3). */
static void make_nonce(const struct tls_suite *suite, const struct tls_direction *direction,
                       const uint8_t *in_record, uint8_t nonce[TLS_IV_LENGTH])
{
    memcpy(nonce, direction->iv, TLS_IV_LENGTH);
    if (suite->explicit_length) {
        memcpy(nonce + TLS_IV_LENGTH - suite->explicit_length, in_record, suite->explicit_length);
        return;
    }
    for (unsigned i = 0; i < 8; i++)
        nonce[TLS_IV_LENGTH - 1 - i] ^= (uint8_t)(direction->sequence >> 8 * i);
}

/* Of a record with `length` bytes in it. Its size. */
static int make_aad(const struct tls_suite *suite, const struct tls_direction *direction,
                    const uint8_t *header, size_t length, uint8_t aad[AAD_MAX])
{
    if (suite->version == TLS_SUITE_1_3) {
        memcpy(aad, header, TLS_RECORD_HEADER);
        return TLS_RECORD_HEADER;
    }
    put_number(aad, direction->sequence);
    memcpy(aad + 8, header, 3);
    aad[11] = (uint8_t)(length >> 8);
    aad[12] = (uint8_t)length;
    return AAD_MAX;
}

/* What a record is longer by than its data. */
static size_t overhead_of(const struct tls_suite *suite)
{
    size_t type = suite->version == TLS_SUITE_1_3;
    return TLS_RECORD_HEADER + suite->explicit_length + type + TLS_TAG_LENGTH;
}

/* --- receiving --- */

static enum tls_record_result fail(struct tls_opened *opened, enum tls_alert alert)
{
    opened->alert = (uint8_t)alert;
    return TLS_RECORD_FAILED;
}

/* `length` bytes that are sealed behind the header, and their tag. False: it isn't what the peer sealed. */
static bool decrypt(struct tls_record *record, const uint8_t *header, size_t length, uint8_t *output)
{
    const struct tls_suite *suite = record->suite;
    struct tls_direction *direction = &record->receiving;
    const uint8_t *sealed = header + TLS_RECORD_HEADER + suite->explicit_length;
    uint8_t nonce[TLS_IV_LENGTH], aad[AAD_MAX];
    int written;
    const OSSL_PARAM tag[] = {OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG,
                                                                (uint8_t *)sealed + length, TLS_TAG_LENGTH),
                              OSSL_PARAM_END};
    make_nonce(suite, direction, header + TLS_RECORD_HEADER, nonce);
    int aad_length = make_aad(suite, direction, header, length, aad);
    direction->sequence++;
    return EVP_DecryptInit_ex2(direction->cipher, NULL, NULL, nonce, tag) == 1 &&
           EVP_DecryptUpdate(direction->cipher, NULL, &written, aad, aad_length) == 1 &&
           (length == 0 ||
            EVP_DecryptUpdate(direction->cipher, output, &written, sealed, (int)length) == 1) &&
           EVP_DecryptFinal_ex(direction->cipher, output + length, &written) == 1;
}

/* Section 4.6.3. The peer's next record is under its next key. */
static enum tls_record_result take_key_update(struct tls_record *record, struct tls_opened *opened)
{
    uint8_t request = record->message[4];
    record->message_length = 0;
    if (request > UPDATE_REQUESTED)
        return fail(opened, TLS_ALERT_ILLEGAL_PARAMETER);
    record->asked_for_update = false;
    if (request == UPDATE_REQUESTED)
        record->update_asked = true; /* several before we send get one answer: output stays bounded */
    if (!renew_keys(&record->receiving, record->suite, false))
        return fail(opened, TLS_ALERT_INTERNAL_ERROR);
    return TLS_RECORD_NOTHING;
}

/* A server is sent no message after the handshake but KeyUpdate. It may come in pieces, with nothing between them (section
 * 5.1), and must end with its record, for what follows has other keys. */
static enum tls_record_result take_handshake(struct tls_record *record, const uint8_t *data, size_t length,
                                             struct tls_opened *opened)
{
    static const uint8_t start[4] = {KEY_UPDATE, 0, 0, 1};
    if (length == 0)
        return fail(opened, TLS_ALERT_UNEXPECTED_MESSAGE);
    for (size_t i = 0; i < length; i++) {
        unsigned at = record->message_length;
        if (at < sizeof start && data[i] != start[at])
            return fail(opened, at == 0 ? TLS_ALERT_UNEXPECTED_MESSAGE : TLS_ALERT_DECODE_ERROR);
        record->message[record->message_length++] = data[i];
        if (record->message_length < sizeof record->message)
            continue;
        if (i + 1 < length)
            return fail(opened, TLS_ALERT_UNEXPECTED_MESSAGE);
        return take_key_update(record, opened);
    }
    return TLS_RECORD_NOTHING;
}

/* TLS 1.2: a client that asks for another handshake is told no, and may go on (RFC 5246, section 7.2.2). A message that is cut
 * into several records isn't put together for that. */
static enum tls_record_result take_hello(struct tls_record *record, const uint8_t *data, size_t length,
                                         struct tls_opened *opened)
{
    if (length == 0 || data[0] != CLIENT_HELLO)
        return fail(opened, TLS_ALERT_UNEXPECTED_MESSAGE);
    record->asked_to_renegotiate = true; /* several before we send get one answer */
    return TLS_RECORD_NOTHING;
}

/* RFC 8446, section 6: the level says nothing. It does in TLS 1.2 (RFC 5246, section 7.2). */
static enum tls_record_result take_alert(const struct tls_record *record, const uint8_t *data, size_t length,
                                         struct tls_opened *opened)
{
    if (length != 2)
        return fail(opened, TLS_ALERT_DECODE_ERROR);
    opened->alert = data[1];
    if (data[1] == TLS_ALERT_CLOSE_NOTIFY)
        return TLS_RECORD_CLOSED;
    bool warns =
        record->suite->version == TLS_SUITE_1_3 ? data[1] == TLS_ALERT_USER_CANCELED : data[0] == WARNING;
    return warns ? TLS_RECORD_NOTHING : TLS_RECORD_ALERTED;
}

/* The content of a record, of whatever version. */
static enum tls_record_result take_content(struct tls_record *record, uint8_t type, const uint8_t *content,
                                           size_t length, struct tls_opened *opened)
{
    if (record->message_length > 0 && type != HANDSHAKE)
        return fail(opened, TLS_ALERT_UNEXPECTED_MESSAGE);
    if (type == APPLICATION_DATA && length > 0) {
        record->idle = 0;
        opened->data = (struct str){(const char *)content, length};
        return TLS_RECORD_DATA;
    }
    if (++record->idle > TLS_RECORD_IDLE_MAX)
        return fail(opened, TLS_ALERT_UNEXPECTED_MESSAGE);
    if (type == APPLICATION_DATA)
        return TLS_RECORD_NOTHING;
    if (type == HANDSHAKE && record->suite->version == TLS_SUITE_1_2)
        return take_hello(record, content, length, opened);
    if (type == HANDSHAKE)
        return take_handshake(record, content, length, opened);
    return type == ALERT ? take_alert(record, content, length, opened)
                         : fail(opened, TLS_ALERT_UNEXPECTED_MESSAGE);
}

/* TLS 1.3: what was sealed is the content, its type, zeros (section 5.4). */
static enum tls_record_result take_inner(struct tls_record *record, const uint8_t *inner, size_t length,
                                         struct tls_opened *opened)
{
    if (length > TLS_RECORD_DATA_MAX + 1)
        return fail(opened, TLS_ALERT_RECORD_OVERFLOW);
    while (length > 0 && inner[length - 1] == 0)
        length--;
    if (length == 0)
        return fail(opened, TLS_ALERT_UNEXPECTED_MESSAGE);
    return take_content(record, inner[length - 1], inner, length - 1, opened);
}

/* What of a header, as far as it is here, no peer of that version sends. CLOSE_NOTIFY: nothing. */
static enum tls_alert wrong_header(const struct tls_suite *suite, const uint8_t *header, size_t length)
{
    bool sealed =
        suite->version == TLS_SUITE_1_3; /* nothing is sent in the clear any more, not even a type */
    if (length > 0 && header[0] != APPLICATION_DATA &&
        (sealed || (header[0] != ALERT && header[0] != HANDSHAKE)))
        return TLS_ALERT_UNEXPECTED_MESSAGE;
    /* In TLS 1.3 the version means nothing (section 5.1). */
    if (!sealed && ((length > 1 && header[1] != 3) || (length > 2 && header[2] != 3)))
        return TLS_ALERT_PROTOCOL_VERSION;
    return TLS_ALERT_CLOSE_NOTIFY;
}

enum tls_record_result tls_record_open(struct tls_record *record, const uint8_t *input, size_t length,
                                       uint8_t *output, struct tls_opened *opened)
{
    const struct tls_suite *suite = record->suite;
    enum tls_alert wrong = wrong_header(suite, input, length);
    *opened = (struct tls_opened){0};
    if (wrong != TLS_ALERT_CLOSE_NOTIFY)
        return fail(opened, wrong);
    if (length < TLS_RECORD_HEADER)
        return TLS_RECORD_MORE;
    size_t size = TLS_RECORD_HEADER + ((size_t)input[3] << 8 | input[4]), overhead = overhead_of(suite);
    if (size > TLS_RECORD_HEADER + TLS_RECORD_SEALED_MAX)
        return fail(opened, TLS_ALERT_RECORD_OVERFLOW);
    if (size < overhead)
        return fail(opened, TLS_ALERT_BAD_RECORD_MAC);
    if (length < size)
        return TLS_RECORD_MORE;
    opened->used = size;
    size_t sealed = size - TLS_RECORD_HEADER - suite->explicit_length - TLS_TAG_LENGTH;
    if (!decrypt(record, input, sealed, output)) {
        ERR_clear_error();
        return fail(opened, TLS_ALERT_BAD_RECORD_MAC);
    }
    if (suite->version == TLS_SUITE_1_3)
        return take_inner(record, output, sealed, opened);
    if (sealed > TLS_RECORD_DATA_MAX)
        return fail(opened, TLS_ALERT_RECORD_OVERFLOW);
    return take_content(record, input[0], output, sealed, opened);
}

/* --- sending --- */

/* The pieces of what is to be sealed, and how far that is. */
struct pieces {
    const struct str *next;
    size_t taken; /* of the next one */
};

/* Encrypts the next `length` bytes of the pieces. */
static bool encrypt(EVP_CIPHER_CTX *cipher, struct pieces *pieces, size_t length, uint8_t *out)
{
    int written;
    while (length > 0) {
        struct str piece = str_from(*pieces->next, pieces->taken);
        size_t now = piece.length < length ? piece.length : length;
        if (now > 0 && EVP_EncryptUpdate(cipher, out, &written, (const uint8_t *)piece.data, (int)now) != 1)
            return false;
        out += now;
        length -= now;
        pieces->taken += now;
        if (pieces->taken == pieces->next->length) {
            pieces->next++;
            pieces->taken = 0;
        }
    }
    return true;
}

/* One record with the next `length` bytes. Its size, or 0. */
static size_t seal(struct tls_record *record, uint8_t type, struct pieces *pieces, size_t length,
                   uint8_t *out)
{
    const struct tls_suite *suite = record->suite;
    struct tls_direction *direction = &record->sending;
    size_t inner = suite->version == TLS_SUITE_1_3; /* bytes: the type, behind the content */
    size_t size = length + overhead_of(suite), behind = size - TLS_RECORD_HEADER;
    const uint8_t header[TLS_RECORD_HEADER] = {inner ? APPLICATION_DATA : type, 3, 3, (uint8_t)(behind >> 8),
                                               (uint8_t)behind};
    uint8_t nonce[TLS_IV_LENGTH], aad[AAD_MAX], number[TLS_EXPLICIT_MAX];
    uint8_t *content = out + TLS_RECORD_HEADER + suite->explicit_length, *end = content + length + inner;
    OSSL_PARAM tag[] = {OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, end, TLS_TAG_LENGTH),
                        OSSL_PARAM_END};
    EVP_CIPHER_CTX *cipher = direction->cipher;
    int written, aad_length = make_aad(suite, direction, header, length, aad);
    put_number(number, direction->sequence); /* never twice under a key */
    make_nonce(suite, direction, number, nonce);
    direction->sequence++;
    memcpy(out, header, sizeof header);
    memcpy(out + sizeof header, number, suite->explicit_length);
    if (EVP_EncryptInit_ex2(cipher, NULL, NULL, nonce, NULL) == 1 &&
        EVP_EncryptUpdate(cipher, NULL, &written, aad, aad_length) == 1 &&
        encrypt(cipher, pieces, length, content) &&
        (!inner || EVP_EncryptUpdate(cipher, content + length, &written, &type, 1) == 1) &&
        EVP_EncryptFinal_ex(cipher, end, &written) == 1 && EVP_CIPHER_CTX_get_params(cipher, tag) == 1)
        return size;
    ERR_clear_error();
    return 0;
}

static size_t seal_message(struct tls_record *record, uint8_t type, const uint8_t *message, size_t length,
                           uint8_t *out)
{
    const struct str piece = {(const char *)message, length};
    struct pieces pieces = {.next = &piece};
    return seal(record, type, &pieces, length, out);
}

static size_t seal_alert(struct tls_record *record, uint8_t level, enum tls_alert alert, uint8_t *out)
{
    const uint8_t message[2] = {level, (uint8_t)alert};
    return seal_message(record, ALERT, message, sizeof message, out);
}

/* The peer's key has had its share of records, and the peer doesn't know yet that we want another. */
static bool must_ask_for_update(const struct tls_record *record)
{
    return record->receiving.sequence >= record->suite->records && !record->asked_for_update;
}

bool tls_record_must_send(const struct tls_record *record)
{
    return record->update_asked || record->asked_to_renegotiate || must_ask_for_update(record) ||
           record->sending.sequence >= record->suite->records;
}

/* Section 4.6.3: the last record under a key says so. */
static size_t seal_key_update(struct tls_record *record, uint8_t *out)
{
    bool ask = must_ask_for_update(record);
    const uint8_t message[5] = {KEY_UPDATE, 0, 0, 1, ask ? UPDATE_REQUESTED : UPDATE_NOT_REQUESTED};
    size_t size = seal_message(record, HANDSHAKE, message, sizeof message, out);
    if (size == 0 || !renew_keys(&record->sending, record->suite, true))
        return 0;
    record->asked_for_update |= ask;
    record->update_asked = false;
    return size;
}

static size_t refuse_to_renegotiate(struct tls_record *record, uint8_t *out)
{
    record->asked_to_renegotiate = false;
    return seal_alert(record, WARNING, TLS_ALERT_NO_RENEGOTIATION, out);
}

/* What must go before the data: its size, or 0. */
static size_t seal_first(struct tls_record *record, uint8_t *out)
{
    return record->suite->version == TLS_SUITE_1_3 ? seal_key_update(record, out)
                                                   : refuse_to_renegotiate(record, out);
}

size_t tls_record_sealed(const struct tls_record *record, size_t length)
{
    size_t records = (length + record->most - 1) / record->most;
    return length + records * overhead_of(record->suite) + TLS_RECORD_ALERT_MAX;
}

size_t tls_record_seal(struct tls_record *record, const struct str *pieces, unsigned count, uint8_t *out)
{
    struct pieces rest = {.next = pieces};
    size_t left = 0, size = 0;
    for (unsigned i = 0; i < count; i++)
        left += pieces[i].length;
    if (record->ended)
        return 0;
    if (tls_record_must_send(record) && (size = seal_first(record, out)) == 0)
        return 0;
    while (left > 0) {
        size_t length = left < record->most ? left : record->most;
        size_t sealed = seal(record, APPLICATION_DATA, &rest, length, out + size);
        if (sealed == 0)
            return 0;
        size += sealed;
        left -= length;
    }
    return size;
}

size_t tls_record_alert(struct tls_record *record, enum tls_alert alert, uint8_t out[TLS_RECORD_ALERT_MAX])
{
    if (record->ended)
        return 0;
    record->ended = true;
    return seal_alert(record, alert == TLS_ALERT_CLOSE_NOTIFY ? WARNING : FATAL, alert, out);
}
