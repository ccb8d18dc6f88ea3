/* tls_sealer: the other side of a record layer, for tests: the same layer with the secrets exchanged, that can also seal
 * what ours never would. */
#ifndef TESTS_TLS_SEALER_H
#define TESTS_TLS_SEALER_H

#include <openssl/evp.h>
#include <stdlib.h>

#include "worker/net/tls_record.h"

/* A layer of TLS 1.3 as a server has it, and its client. False: OpenSSL failed. */
static inline bool sealer_pair_1_3(struct tls_record *server, struct tls_record *client,
                                   const struct tls_suite *suite)
{
    struct tls_secrets secrets = {.client_length = suite->secret_length,
                                  .server_length = suite->secret_length};
    for (unsigned i = 0; i < suite->secret_length; i++) {
        secrets.client[i] = (uint8_t)i;
        secrets.server[i] = (uint8_t)(255 - i);
    }
    struct tls_secrets exchanged = secrets;
    memcpy(exchanged.client, secrets.server, sizeof secrets.server);
    memcpy(exchanged.server, secrets.client, sizeof secrets.client);
    return tls_record_start(server, suite, &secrets, 0, 0, TLS_RECORD_DATA_MAX) &&
           tls_record_start(client, suite, &exchanged, 0, 0, TLS_RECORD_DATA_MAX);
}

/* The same of any version. */
static inline bool sealer_pair(struct tls_record *server, struct tls_record *client,
                               const struct tls_suite *suite)
{
    struct tls_key_block keys, exchanged;
    if (suite->version == TLS_SUITE_1_3)
        return sealer_pair_1_3(server, client, suite);
    memset(&keys, 1, sizeof keys);
    memset(keys.server_key, 2, sizeof keys.server_key);
    memset(keys.server_iv, 3, sizeof keys.server_iv);
    memcpy(exchanged.client_key, keys.server_key, sizeof keys.server_key);
    memcpy(exchanged.server_key, keys.client_key, sizeof keys.client_key);
    memcpy(exchanged.client_iv, keys.server_iv, sizeof keys.server_iv);
    memcpy(exchanged.server_iv, keys.client_iv, sizeof keys.client_iv);
    return tls_record_start_with(server, suite, &keys, 0, 0, TLS_RECORD_DATA_MAX) &&
           tls_record_start_with(client, suite, &exchanged, 0, 0, TLS_RECORD_DATA_MAX);
}

/* One record as the peer of the other side would seal it, behind that header, whose length is filled in. Its size. */
static inline size_t sealer_put(struct tls_record *from, uint8_t type, const void *inner, size_t length,
                                uint8_t *out)
{
    struct tls_direction *sending = &from->sending;
    bool is_1_2 = from->suite->version == TLS_SUITE_1_2;
    size_t explicit = from->suite->explicit_length, sealed = explicit + length + TLS_TAG_LENGTH;
    const uint8_t header[TLS_RECORD_HEADER] = {type, 3, 3, (uint8_t)(sealed >> 8), (uint8_t)sealed};
    uint8_t nonce[TLS_IV_LENGTH], number[8], aad[13];
    int written;
    for (unsigned i = 0; i < 8; i++)
        number[i] = (uint8_t)(sending->sequence >> (56 - 8 * i));
    sending->sequence++;
    memcpy(nonce, sending->iv, sizeof nonce);
    for (unsigned i = 0; i < 8; i++)
        nonce[4 + i] = explicit ? number[i] : nonce[4 + i] ^ number[i];
    memcpy(aad, number, 8);
    memcpy(aad + 8, header, 3);
    aad[11] = (uint8_t)(length >> 8);
    aad[12] = (uint8_t)length;
    memcpy(out, header, sizeof header);
    out += sizeof header;
    memcpy(out, number, explicit);
    out += explicit;
    if (EVP_EncryptInit_ex(sending->cipher, NULL, NULL, NULL, nonce) != 1 ||
        EVP_EncryptUpdate(sending->cipher, NULL, &written, is_1_2 ? aad : header,
                          is_1_2 ? sizeof aad : sizeof header) != 1 ||
        EVP_EncryptUpdate(sending->cipher, out, &written, inner, (int)length) != 1 ||
        EVP_EncryptFinal_ex(sending->cipher, out + length, &written) != 1 ||
        EVP_CIPHER_CTX_ctrl(sending->cipher, EVP_CTRL_AEAD_GET_TAG, TLS_TAG_LENGTH, out + length) != 1)
        abort();
    return sizeof header + sealed;
}

/* TLS 1.3: one record with `inner` (content, type and padding). Its size. */
static inline size_t sealer_seal(struct tls_record *from, const void *inner, size_t length, uint8_t *out)
{
    return sealer_put(from, 23, inner, length, out);
}

#endif
