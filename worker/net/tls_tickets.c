/* tls_tickets: called by tls_server.c, at handshakes. */
#include "worker/net/tls_tickets.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

static bool use(const struct ticket_key *key, const unsigned char *iv, EVP_CIPHER_CTX *cipher,
                EVP_MAC_CTX *mac, bool seal)
{
    char digest[] = "SHA256";
    const OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)key->digest, sizeof key->digest),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, key->cipher, iv, seal) == 1 &&
           EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

int tls_tickets_key(struct tls_tickets *tickets, unsigned char *name, unsigned char *iv,
                    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool seal)
{
    struct ticket_keys *keys = &tickets->keys;
    unsigned which = 0;
    if (tickets_changed(tickets->zone, tickets->seen))
        tickets_read(tickets->zone, keys, &tickets->seen);
    if (seal && keys->count) {
        memcpy(name, keys->key[0].name, TICKET_NAME);
        if (RAND_bytes(iv, EVP_MAX_IV_LENGTH) != 1)
            return -1;
    } else {
        while (which < keys->count && memcmp(name, keys->key[which].name, TICKET_NAME) != 0)
            which++;
    }
    if (which >= keys->count)
        return 0;
    if (!use(&keys->key[which], iv, cipher, mac, seal))
        return -1;
    return which == 0 ? 1 : 2;
}
