/* key: `gatehouse key new`, a key for a consumer: it is printed once, and kept nowhere; what the configuration gets is its
 * digest. */
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "master/command/command.h"

/* 192 bits: so many that nobody guesses, and that a fast digest keeps them; and their text fits into one block of it. */
enum { KEY_BYTES = 24, DIGEST_BYTES = 32 };

static void hex(const unsigned char *bytes, size_t count, char *text)
{
    for (size_t i = 0; i < count; i++)
        sprintf(text + 2 * i, "%02x", bytes[i]);
}

static int key_new(void)
{
    unsigned char bytes[KEY_BYTES], digest[DIGEST_BYTES];
    char key[2 * KEY_BYTES + 1], shown[2 * DIGEST_BYTES + 1];
    if (RAND_priv_bytes(bytes, sizeof bytes) != 1) {
        fputs("gatehouse key: the system gives no random bytes\n", stderr);
        return 1;
    }
    hex(bytes, sizeof bytes, key);
    if (EVP_Digest(key, sizeof key - 1, digest, NULL, EVP_sha256(), NULL) != 1) {
        fputs("gatehouse key: no memory for a digest\n", stderr);
        return 1;
    }
    hex(digest, sizeof digest, shown);
    printf("key, for the client (it is shown this once):\n%s\n"
           "for the keys of its consumer:\n\"sha256:%s\"\n",
           key, shown);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "gatehouse key: can't write: %s\n", strerror(errno));
        return 1;
    }
    return 0;
}

int command_key(const struct options *options)
{
    if (options->argc == 2 && strcmp(options->argv[1], "new") == 0)
        return key_new();
    fputs("gatehouse key: write gatehouse key new\n", stderr);
    return 2;
}
