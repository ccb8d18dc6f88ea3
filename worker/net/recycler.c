/* recycler: small memory that comes and goes all the time. */
#include "worker/net/recycler.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    SMALLEST = 5,    /* the power of two of the first size */
    IDLE_MAX = 1024, /* of a size: what a burst needed goes back to the heap */
    LARGE = RECYCLER_SIZES,
};

#if defined(__SANITIZE_ADDRESS__)
static const bool keep_idle = false; /* so that a use after the end is seen */
#else
static const bool keep_idle = true;
#endif

/* Stands in front of each. */
struct header {
    alignas(max_align_t) size_t size; /* that may be used */
    unsigned place;                   /* in `idle`; LARGE: the heap's */
};

static unsigned place_of(size_t size)
{
    if (size <= (size_t)1 << SMALLEST)
        return 0;
    if (size > (size_t)1 << (SMALLEST + RECYCLER_SIZES - 1))
        return LARGE;
    return (unsigned)(64 - __builtin_clzl(size - 1)) - SMALLEST;
}

static struct header *header_of(void *memory)
{
    return (struct header *)memory - 1;
}

void *recycler_take(struct recycler *recycler, size_t size)
{
    unsigned place = place_of(size);
    if (place < LARGE && recycler->idle[place]) {
        void *memory = recycler->idle[place];
        memcpy(&recycler->idle[place], memory, sizeof(void *));
        recycler->count[place]--;
        return memory;
    }
    if (place < LARGE)
        size = (size_t)1 << (SMALLEST + place);
    struct header *header = malloc(sizeof *header + size);
    if (!header)
        abort();
    header->size = size;
    header->place = place;
    return header + 1;
}

void *recycler_take_cleared(struct recycler *recycler, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        abort();
    void *memory = recycler_take(recycler, total);
    memset(memory, 0, total);
    return memory;
}

void *recycler_resize(struct recycler *recycler, void *memory, size_t size)
{
    if (!memory)
        return recycler_take(recycler, size);
    size_t had = header_of(memory)->size;
    if (size <= had)
        return memory;
    void *larger = recycler_take(recycler, size);
    memcpy(larger, memory, had);
    recycler_give(recycler, memory);
    return larger;
}

void recycler_give(struct recycler *recycler, void *memory)
{
    if (!memory)
        return;
    struct header *header = header_of(memory);
    unsigned place = header->place;
    if (!keep_idle || place == LARGE || recycler->count[place] == IDLE_MAX) {
        free(header);
        return;
    }
    memcpy(memory, &recycler->idle[place], sizeof(void *));
    recycler->idle[place] = memory;
    recycler->count[place]++;
}

void recycler_empty(struct recycler *recycler)
{
    for (unsigned place = 0; place < LARGE; place++)
        while (recycler->count[place]) {
            void *memory = recycler->idle[place];
            memcpy(&recycler->idle[place], memory, sizeof(void *));
            recycler->count[place]--;
            free(header_of(memory));
        }
}
