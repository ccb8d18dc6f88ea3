/* scan: eight bytes in one step, for the loops that look at every byte of a message. */
#ifndef BASE_SCAN_H
#define BASE_SCAN_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define SCAN_EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Eight bytes, the first one lowest. */
static inline uint64_t scan_load(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return le64toh(word);
}

/* Marks: the high bit of each byte that is meant. Above the lowest such byte others may be marked too: only whether there is a
 * mark, and where the lowest is, can be relied on. */
static inline uint64_t scan_below(uint64_t word,
                                  unsigned char limit) /* of 128 at most; bytes from 128 on aren't */
{
    return (word - SCAN_EACH(limit)) & ~word & SCAN_EACH(0x80);
}

static inline uint64_t scan_equal(uint64_t word, unsigned char byte)
{
    return scan_below(word ^ SCAN_EACH(byte), 1);
}

static inline uint64_t scan_high(uint64_t word) /* 128 and above */
{
    return word & SCAN_EACH(0x80);
}

/* The index of the lowest mark; there must be one. */
static inline size_t scan_lowest(uint64_t marks)
{
    return (size_t)__builtin_ctzll(marks) / 8;
}

#endif
