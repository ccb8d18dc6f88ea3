/* tls_wiping: called by tls_files.c. OpenSSL takes functions of ours for its memory only before it has any, so they are in place
 * always; but for a key they are malloc() and free() and no more.
 */
#include "worker/net/tls_wiping.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

static bool wiping;

void tls_wiping(bool on)
{
    wiping = on;
}

static void *take(size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return size ? malloc(size) : NULL;
}

static void give(void *memory, const char *file, int line)
{
    (void)file, (void)line;
    if (memory && wiping)
        explicit_bzero(memory, malloc_usable_size(memory));
    free(memory);
}

static void *resize(void *memory, size_t size, const char *file, int line)
{
    if (!memory)
        return take(size, file, line);
    if (size == 0) {
        give(memory, file, line);
        return NULL;
    }
    if (!wiping)
        return realloc(memory, size);
    size_t held = malloc_usable_size(memory);
    void *moved = malloc(size);
    if (!moved)
        return NULL;
    memcpy(moved, memory, held < size ? held : size);
    give(memory, file, line);
    return moved;
}

__attribute__((constructor)) static void install(void)
{
    CRYPTO_set_mem_functions(take, resize, give);
}
