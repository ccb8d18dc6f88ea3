/* arena: memory that is given back all at once.
 *
 * A generation, a worker, a connection and a request own an arena each; pointers run from the shorter-lived to the
 * longer-lived. Nothing in an arena is freed alone. What is not memory (a descriptor, a library's object) hangs on
 * the arena by a clean-up, run in reverse order of registration.
 *
 * Running out of memory ends the process with a message: no caller checks for NULL.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/base/str.h"

struct arena_chunk;
struct arena_cleanup;

struct arena {
    char *next; /* the first free byte of the current chunk */
    char *end;
    struct arena_chunk *chunks;     /* the newest first */
    struct arena_cleanup *cleanups; /* the newest first */
    size_t chunk_size;
    bool mapped; /* chunks are whole pages of their own, so that they can be sealed */
};

/* A new arena whose chunks have `chunk_size` bytes (more when one allocation needs more). */
struct arena *arena_new(size_t chunk_size);

/* As arena_new(), of mapped pages: arena_seal() can make it read-only. */
struct arena *arena_new_sealable(size_t chunk_size);

/* Gives everything back; clean-ups run first. The arena goes on with its first chunk, empty. */
void arena_reset(struct arena *arena);

/* Gives everything back, the arena too, and nulls the pointer. NULL inside is fine. Works on a sealed one. */
void arena_free(struct arena **arena);

/* From now on the memory can only be read; a write is a crash. `arena` must be sealable. */
void arena_seal(struct arena *arena);

/* `run(object)` is called when the arena is reset or freed. */
void arena_on_free(struct arena *arena, void (*run)(void *object), void *object);

/* The slow half of arena_alloc(): opens another chunk. */
void *arena_alloc_slow(struct arena *arena, size_t size);

/* `size` bytes, aligned for anything, not cleared. */
static inline void *arena_alloc(struct arena *arena, size_t size)
{
    size = (size + (alignof(max_align_t) - 1)) & ~(size_t)(alignof(max_align_t) - 1);
    if ((size_t)(arena->end - arena->next) < size)
        return arena_alloc_slow(arena, size);
    void *memory = arena->next;
    arena->next += size;
    return memory;
}

/* The same, cleared. */
void *arena_zalloc(struct arena *arena, size_t size);

/* `count` things of `size`, cleared; overflow ends the process. */
void *arena_array(struct arena *arena, size_t count, size_t size);

/* Copies with a NUL behind. */
char *arena_strdup(struct arena *arena, const char *text);
char *arena_strndup(struct arena *arena, const char *text, size_t length);
struct str arena_str(struct arena *arena, struct str text);
char *arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *arena, const char *format, va_list arguments);

#endif
