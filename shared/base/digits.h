/* digits: decimal numbers of a fixed width, two digits in a step: log lines and dates are full of them. */
#ifndef BASE_DIGITS_H
#define BASE_DIGITS_H

#include <string.h>

extern const char digits_pairs[201]; /* "000102…99" */

/* Writes the last `count` digits of `value`, with zeros in front. */
static inline void digits_put(char *at, unsigned value, unsigned count)
{
    for (; count >= 2; count -= 2, value /= 100)
        memcpy(at + count - 2, digits_pairs + 2 * (value % 100), 2);
    if (count)
        *at = (char)('0' + value % 10);
}

#endif
