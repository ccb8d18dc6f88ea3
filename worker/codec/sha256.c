/* sha256: see sha256.h; on EVP (the one-shot functions look the algorithm up at each call). */
#include "worker/codec/sha256.h"

#include <openssl/evp.h>
#include <stdlib.h>

/* The library's context by another name. */
static EVP_MD_CTX *context_of(struct sha256 *sha256)
{
    return (EVP_MD_CTX *)(void *)sha256;
}

static void context_free(void *object)
{
    EVP_MD_CTX_free(object);
}

struct sha256 *sha256_new(struct arena *arena)
{
    EVP_MD *algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (!algorithm || !context || EVP_DigestInit_ex2(context, algorithm, NULL) != 1)
        abort();            /* the library has no SHA-256, or no memory */
    EVP_MD_free(algorithm); /* the context holds it */
    arena_on_free(arena, context_free, context);
    return (struct sha256 *)(void *)context;
}

bool sha256_of(struct sha256 *sha256, struct str text, unsigned char digest[SHA256_BYTES])
{
    EVP_MD_CTX *context = context_of(sha256);
    return EVP_DigestInit_ex2(context, NULL, NULL) == 1 &&
           EVP_DigestUpdate(context, text.data, text.length) == 1 &&
           EVP_DigestFinal_ex(context, digest, NULL) == 1;
}
