/* arena: chunks in a chain, the newest in use. Who calls: everyone. The struct arena itself stands at the start of its
 * first chunk, so that an arena costs one allocation and is sealed with its memory. What is written after a seal
 * would be a crash; so arena_free() only reads until it gives the chunks back.
 */
#include "shared/base/arena.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shared/base/log.h"

struct arena_chunk {
    alignas(max_align_t) struct arena_chunk *next;
    size_t size; /* with this head */
};

struct arena_cleanup {
    struct arena_cleanup *next;
    void (*run)(void *object);
    void *object;
};

/* What the first chunk holds before the first allocation. */
#define FIRST_SIZE ((sizeof(struct arena) + alignof(max_align_t) - 1) & ~(size_t)(alignof(max_align_t) - 1))

static _Noreturn void out_of_memory(size_t size)
{
    log_error("out of memory: %zu bytes are not to be had", size);
    abort();
}

static struct arena_chunk *chunk_new(size_t size, bool mapped)
{
    if (size > SIZE_MAX / 2)
        out_of_memory(size);
    size += sizeof(struct arena_chunk);
    struct arena_chunk *chunk;
    if (mapped) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        size = (size + page - 1) & ~(page - 1);
        chunk = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (chunk == MAP_FAILED)
            out_of_memory(size);
    } else {
        chunk = malloc(size);
        if (!chunk)
            out_of_memory(size);
    }
    chunk->next = NULL;
    chunk->size = size;
    return chunk;
}

static void chunk_free(struct arena_chunk *chunk, bool mapped)
{
    if (!mapped) {
        free(chunk);
        return;
    }
    int result = munmap(chunk, chunk->size);
    assert(result == 0);
    (void)result;
}

static struct arena_chunk *first_chunk(struct arena *arena)
{
    return (struct arena_chunk *)(void *)arena - 1;
}

/* Makes the first chunk the current one, empty. */
static void begin(struct arena *arena)
{
    struct arena_chunk *first = first_chunk(arena);
    arena->chunks = first;
    arena->next = (char *)arena + FIRST_SIZE;
    arena->end = (char *)first + first->size;
    arena->cleanups = NULL;
}

static struct arena *create(size_t chunk_size, bool mapped)
{
    struct arena_chunk *chunk = chunk_new(FIRST_SIZE + chunk_size, mapped);
    struct arena *arena = (struct arena *)(void *)(chunk + 1);
    arena->chunk_size = chunk_size;
    arena->mapped = mapped;
    begin(arena);
    return arena;
}

struct arena *arena_new(size_t chunk_size)
{
    return create(chunk_size, false);
}

struct arena *arena_new_sealable(size_t chunk_size)
{
    return create(chunk_size, true);
}

static void run_cleanups(const struct arena *arena)
{
    for (const struct arena_cleanup *cleanup = arena->cleanups; cleanup; cleanup = cleanup->next)
        cleanup->run(cleanup->object);
}

void arena_reset(struct arena *arena)
{
    run_cleanups(arena);
    struct arena_chunk *first = first_chunk(arena);
    for (struct arena_chunk *chunk = arena->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        if (chunk != first)
            chunk_free(chunk, arena->mapped);
    }
    first->next = NULL;
    begin(arena);
}

void arena_free(struct arena **arena)
{
    if (!*arena)
        return;
    run_cleanups(*arena);
    struct arena_chunk *chunk = (*arena)->chunks;
    bool mapped = (*arena)->mapped; /* the arena goes with its first chunk */
    *arena = NULL;
    for (struct arena_chunk *next; chunk; chunk = next) {
        next = chunk->next;
        chunk_free(chunk, mapped);
    }
}

void arena_seal(struct arena *arena)
{
    assert(arena->mapped);
    for (struct arena_chunk *chunk = arena->chunks; chunk; chunk = chunk->next)
        if (mprotect(chunk, chunk->size, PROT_READ) < 0)
            out_of_memory(chunk->size); /* ENOMEM is all that is left: too many mappings */
}

void arena_on_free(struct arena *arena, void (*run)(void *object), void *object)
{
    struct arena_cleanup *cleanup = arena_alloc(arena, sizeof(*cleanup));
    *cleanup = (struct arena_cleanup){arena->cleanups, run, object};
    arena->cleanups = cleanup;
}

void *arena_alloc_slow(struct arena *arena, size_t size)
{
    /* A large thing gets a chunk of its own behind the current one, whose rest stays in use. */
    if (size > arena->chunk_size / 4) {
        struct arena_chunk *chunk = chunk_new(size, arena->mapped);
        chunk->next = arena->chunks->next;
        arena->chunks->next = chunk;
        return chunk + 1;
    }
    struct arena_chunk *chunk = chunk_new(arena->chunk_size, arena->mapped);
    chunk->next = arena->chunks;
    arena->chunks = chunk;
    arena->next = (char *)(chunk + 1) + size;
    arena->end = (char *)chunk + chunk->size;
    return chunk + 1;
}

void *arena_zalloc(struct arena *arena, size_t size)
{
    return memset(arena_alloc(arena, size), 0, size);
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        out_of_memory(SIZE_MAX);
    return arena_zalloc(arena, total);
}

char *arena_strndup(struct arena *arena, const char *text, size_t length)
{
    char *copy = arena_alloc(arena, length + 1);
    if (length)
        memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
    return arena_strndup(arena, text, strlen(text));
}

struct str arena_str(struct arena *arena, struct str text)
{
    return (struct str){arena_strndup(arena, text.data, text.length), text.length};
}

char *arena_vprintf(struct arena *arena, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    assert(length >= 0);
    char *text = arena_alloc(arena, (size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = arena_vprintf(arena, format, arguments);
    va_end(arguments);
    return text;
}
