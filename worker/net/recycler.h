/* recycler: small memory that comes and goes all the time, of sizes that repeat: what is given back is kept for the next who
 * asks for that size. For libraries that allocate on the hot path (nghttp2); one a process.
 */
#ifndef NET_RECYCLER_H
#define NET_RECYCLER_H

#include <stddef.h>
#include <stdint.h>

enum { RECYCLER_SIZES = 6 }; /* 32 bytes to 1 KiB, by powers of two */

struct recycler {
    void *idle[RECYCLER_SIZES]; /* chains through the first word of each */
    uint32_t count[RECYCLER_SIZES];
};

/* As malloc(), calloc(), realloc() and free(), but running out of memory ends the process. Memory of one must go back to one
 * of these. */
void *recycler_take(struct recycler *recycler, size_t size);
void *recycler_take_cleared(struct recycler *recycler, size_t count, size_t size);
void *recycler_resize(struct recycler *recycler, void *memory, size_t size);
void recycler_give(struct recycler *recycler, void *memory);

/* Frees what is idle. */
void recycler_empty(struct recycler *recycler);

#endif
