/* clock: the two clocks. Spans are measured on the monotonic one, calendars on the wall's. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#include "shared/base/str.h"

#define NS_PER_MS 1000000ull
#define NS_PER_SECOND 1000000000ull

static inline uint64_t clock_monotonic_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_SECOND + (uint64_t)t.tv_nsec;
}

static inline uint64_t clock_wall_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * NS_PER_SECOND + (uint64_t)t.tv_nsec;
}

/* RFC 3339 in UTC with milliseconds, "2026-11-24T03:49:32.123Z": 24 bytes and a NUL. */
#define CLOCK_RFC3339_SIZE 25
void clock_rfc3339(uint64_t wall_ns, char out[CLOCK_RFC3339_SIZE]);

/* The last second that has a year of four digits: nanoseconds of the wall clock end long before, in 2554. */
#define CLOCK_LAST 253402300799

/* The first second of the month behind the one that a second of the wall clock lies in, in UTC. */
uint64_t clock_next_month(uint64_t seconds);

/* An HTTP date, "Tue, 24 Nov 2026 03:49:32 GMT" (RFC 9110, section 5.6.7): 29 bytes and a NUL. Of seconds of the wall
 * clock, up to CLOCK_LAST. */
#define CLOCK_HTTP_SIZE 30
void clock_http(uint64_t seconds, char out[CLOCK_HTTP_SIZE]);

/* The same backwards; the two forms that are obsolete are not known. */
bool clock_parse_http(struct str text, uint64_t *seconds);

/* What someone wrote: a day, "2027-01-31" (from its first second in UTC), or a time of RFC 3339, "2027-01-31T12:00:00Z",
 * "…+01:00"; a fraction is dropped. True and the seconds of the wall clock, up to CLOCK_LAST; false: it is neither, or lies
 * before 1970 or beyond that. */
bool clock_parse(struct str text, uint64_t *seconds);

#endif
