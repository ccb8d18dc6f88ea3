/* tls_sealer: the other side of a record layer, for tests: the same layer with the secrets exchanged, that can also seal
 * what ours never would. */
#ifndef TESTS_TLS_SEALER_H
#define TESTS_TLS_SEALER_H

#include <openssl/evp.h>
#include <stdlib.h>

#include "worker/net/tls_record.h"

/* A layer under `secrets` as a server has it, and its client. False: OpenSSL failed. */
static inline bool sealer_pair(struct tls_record *server, struct tls_record *client,
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

/* One record with `inner` (content, type and padding) as the peer of the other side would seal it. Its size. */
static inline size_t sealer_seal(struct tls_record *from, const void *inner, size_t length, uint8_t *out)
{
    struct tls_direction *sending = &from->sending;
    size_t sealed = length + TLS_TAG_LENGTH;
    const uint8_t header[TLS_RECORD_HEADER] = {23, 3, 3, (uint8_t)(sealed >> 8), (uint8_t)sealed};
    uint8_t nonce[TLS_IV_LENGTH];
    int written;
    memcpy(nonce, sending->iv, sizeof nonce);
    for (unsigned i = 0; i < 8; i++)
        nonce[4 + i] ^= (uint8_t)(sending->sequence >> (56 - 8 * i));
    sending->sequence++;
    memcpy(out, header, sizeof header);
    out += sizeof header;
    if (EVP_EncryptInit_ex(sending->cipher, NULL, NULL, NULL, nonce) != 1 ||
        EVP_EncryptUpdate(sending->cipher, NULL, &written, header, sizeof header) != 1 ||
        EVP_EncryptUpdate(sending->cipher, out, &written, inner, (int)length) != 1 ||
        EVP_EncryptFinal_ex(sending->cipher, out + length, &written) != 1 ||
        EVP_CIPHER_CTX_ctrl(sending->cipher, EVP_CTRL_AEAD_GET_TAG, TLS_TAG_LENGTH, out + length) != 1)
        abort();
    return sizeof header + sealed;
}

#endif
