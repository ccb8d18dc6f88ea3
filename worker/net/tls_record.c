/* tls_record: TLS 1.3's record layer after the handshake. */
#include "worker/net/tls_record.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

/* ContentType (RFC 8446, section 5.1) */
enum { ALERT = 21, HANDSHAKE = 22, APPLICATION_DATA = 23 };
/* AlertLevel (section 6), HandshakeType (section 4), KeyUpdateRequest (section 4.6.3) */
enum { WARNING = 1, FATAL = 2, KEY_UPDATE = 24, UPDATE_NOT_REQUESTED = 0, UPDATE_REQUESTED = 1 };

/* --- keys --- */

/* Takes the keys of the direction's secret. */
static bool set_keys(struct tls_direction *direction, const struct tls_suite *suite, bool seals)
{
    uint8_t key[TLS_KEY_MAX];
    bool done = tls_keys_derive(suite, direction->secret, key, direction->iv) &&
                EVP_CipherInit_ex2(direction->cipher, suite->cipher(), key, NULL, seals, NULL) == 1;
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
    if (secrets->client_length == suite->secret_length && secrets->server_length == suite->secret_length &&
        start_direction(&record->receiving, suite, secrets->client, received, false) &&
        start_direction(&record->sending, suite, secrets->server, sent, true))
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

/* Section 5.3: the IV, its end combined with the sequence number. */
static void next_nonce(struct tls_direction *direction, uint8_t nonce[TLS_IV_LENGTH])
{
    memcpy(nonce, direction->iv, TLS_IV_LENGTH);
    for (unsigned i = 0; i < 8; i++)
        nonce[TLS_IV_LENGTH - 1 - i] ^= (uint8_t)(direction->sequence >> 8 * i);
    direction->sequence++;
}

/* --- receiving --- */

static enum tls_record_result fail(struct tls_opened *opened, enum tls_alert alert)
{
    opened->alert = (uint8_t)alert;
    return TLS_RECORD_FAILED;
}

/* Section 5.2. False: it isn't what the peer sealed. */
static bool decrypt(struct tls_direction *direction, const uint8_t *header, const uint8_t *sealed,
                    size_t length, uint8_t *output)
{
    uint8_t nonce[TLS_IV_LENGTH];
    int written;
    const OSSL_PARAM tag[] = {OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG,
                                                                (uint8_t *)sealed + length, TLS_TAG_LENGTH),
                              OSSL_PARAM_END};
    next_nonce(direction, nonce);
    return EVP_DecryptInit_ex2(direction->cipher, NULL, NULL, nonce, tag) == 1 &&
           EVP_DecryptUpdate(direction->cipher, NULL, &written, header, TLS_RECORD_HEADER) == 1 &&
           EVP_DecryptUpdate(direction->cipher, output, &written, sealed, (int)length) == 1 &&
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

/* Section 6: the level says nothing. */
static enum tls_record_result take_alert(const uint8_t *data, size_t length, struct tls_opened *opened)
{
    if (length != 2)
        return fail(opened, TLS_ALERT_DECODE_ERROR);
    opened->alert = data[1];
    if (data[1] == TLS_ALERT_CLOSE_NOTIFY)
        return TLS_RECORD_CLOSED;
    return data[1] == TLS_ALERT_USER_CANCELED ? TLS_RECORD_NOTHING : TLS_RECORD_ALERTED;
}

/* What was sealed: the content, its type, zeros (section 5.4). */
static enum tls_record_result take_content(struct tls_record *record, const uint8_t *content, size_t length,
                                           struct tls_opened *opened)
{
    if (length > TLS_RECORD_DATA_MAX + 1)
        return fail(opened, TLS_ALERT_RECORD_OVERFLOW);
    while (length > 0 && content[length - 1] == 0)
        length--;
    if (length == 0)
        return fail(opened, TLS_ALERT_UNEXPECTED_MESSAGE);
    uint8_t type = content[--length];
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
    if (type == HANDSHAKE)
        return take_handshake(record, content, length, opened);
    return type == ALERT ? take_alert(content, length, opened) : fail(opened, TLS_ALERT_UNEXPECTED_MESSAGE);
}

enum tls_record_result tls_record_open(struct tls_record *record, const uint8_t *input, size_t length,
                                       uint8_t *output, struct tls_opened *opened)
{
    *opened = (struct tls_opened){0};
    if (length > 0 && input[0] != APPLICATION_DATA) /* nothing is sent in the clear any more */
        return fail(opened, TLS_ALERT_UNEXPECTED_MESSAGE);
    if (length < TLS_RECORD_HEADER)
        return TLS_RECORD_MORE;
    size_t sealed = (size_t)input[3] << 8 | input[4]; /* the version before it means nothing (section 5.1) */
    if (sealed > TLS_RECORD_SEALED_MAX)
        return fail(opened, TLS_ALERT_RECORD_OVERFLOW);
    if (sealed < 1 + TLS_TAG_LENGTH)
        return fail(opened, TLS_ALERT_BAD_RECORD_MAC);
    if (length < TLS_RECORD_HEADER + sealed)
        return TLS_RECORD_MORE;
    opened->used = TLS_RECORD_HEADER + sealed;
    sealed -= TLS_TAG_LENGTH;
    if (!decrypt(&record->receiving, input, input + TLS_RECORD_HEADER, sealed, output)) {
        ERR_clear_error();
        return fail(opened, TLS_ALERT_BAD_RECORD_MAC);
    }
    return take_content(record, output, sealed, opened);
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
static size_t seal(struct tls_direction *direction, uint8_t type, struct pieces *pieces, size_t length,
                   uint8_t *out)
{
    size_t sealed = length + 1 + TLS_TAG_LENGTH;
    const uint8_t header[TLS_RECORD_HEADER] = {APPLICATION_DATA, 3, 3, (uint8_t)(sealed >> 8),
                                               (uint8_t)sealed};
    uint8_t nonce[TLS_IV_LENGTH], *content = out + TLS_RECORD_HEADER;
    OSSL_PARAM tag[] = {
        OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, content + length + 1, TLS_TAG_LENGTH),
        OSSL_PARAM_END};
    EVP_CIPHER_CTX *cipher = direction->cipher;
    int written;
    next_nonce(direction, nonce);
    memcpy(out, header, sizeof header);
    if (EVP_EncryptInit_ex2(cipher, NULL, NULL, nonce, NULL) == 1 &&
        EVP_EncryptUpdate(cipher, NULL, &written, header, sizeof header) == 1 &&
        encrypt(cipher, pieces, length, content) &&
        EVP_EncryptUpdate(cipher, content + length, &written, &type, 1) == 1 &&
        EVP_EncryptFinal_ex(cipher, content + length + 1, &written) == 1 &&
        EVP_CIPHER_CTX_get_params(cipher, tag) == 1)
        return TLS_RECORD_HEADER + sealed;
    ERR_clear_error();
    return 0;
}

static size_t seal_message(struct tls_direction *direction, uint8_t type, const uint8_t *message,
                           size_t length, uint8_t *out)
{
    const struct str piece = {(const char *)message, length};
    struct pieces pieces = {.next = &piece};
    return seal(direction, type, &pieces, length, out);
}

/* The peer's key has had its share of records, and the peer doesn't know yet that we want another. */
static bool must_ask_for_update(const struct tls_record *record)
{
    return record->receiving.sequence >= record->suite->records && !record->asked_for_update;
}

bool tls_record_must_send(const struct tls_record *record)
{
    return record->update_asked || must_ask_for_update(record) ||
           record->sending.sequence >= record->suite->records;
}

/* Section 4.6.3: the last record under a key says so. */
static size_t seal_key_update(struct tls_record *record, uint8_t *out)
{
    bool ask = must_ask_for_update(record);
    const uint8_t message[5] = {KEY_UPDATE, 0, 0, 1, ask ? UPDATE_REQUESTED : UPDATE_NOT_REQUESTED};
    size_t size = seal_message(&record->sending, HANDSHAKE, message, sizeof message, out);
    if (size == 0 || !renew_keys(&record->sending, record->suite, true))
        return 0;
    record->asked_for_update |= ask;
    record->update_asked = false;
    return size;
}

size_t tls_record_sealed(const struct tls_record *record, size_t length)
{
    size_t records = (length + record->most - 1) / record->most;
    return length + records * TLS_RECORD_OVERHEAD + TLS_RECORD_UPDATE_SIZE;
}

size_t tls_record_seal(struct tls_record *record, const struct str *pieces, unsigned count, uint8_t *out)
{
    struct pieces rest = {.next = pieces};
    size_t left = 0, size = 0;
    for (unsigned i = 0; i < count; i++)
        left += pieces[i].length;
    if (record->ended)
        return 0;
    if (tls_record_must_send(record) && (size = seal_key_update(record, out)) == 0)
        return 0;
    while (left > 0) {
        size_t length = left < record->most ? left : record->most;
        size_t sealed = seal(&record->sending, APPLICATION_DATA, &rest, length, out + size);
        if (sealed == 0)
            return 0;
        size += sealed;
        left -= length;
    }
    return size;
}

size_t tls_record_alert(struct tls_record *record, enum tls_alert alert, uint8_t out[TLS_RECORD_ALERT_SIZE])
{
    const uint8_t message[2] = {alert == TLS_ALERT_CLOSE_NOTIFY ? WARNING : FATAL, (uint8_t)alert};
    if (record->ended)
        return 0;
    record->ended = true;
    return seal_message(&record->sending, ALERT, message, sizeof message, out);
}
