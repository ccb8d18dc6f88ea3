/* clock: dates as text, without the C library's time zones and locale. Called for log lines and response heads. */
#include "shared/base/clock.h"

#include <string.h>

struct date {
    unsigned year, month, day; /* month and day from 1 */
    unsigned weekday;          /* 0: Sunday */
    unsigned hour, minute, second, millisecond;
};

/* The civil calendar in UTC. Years begin in March while counting, so that a leap day is the last of its year; an era
 * is 400 years, 146,097 days. */
static struct date date_of(uint64_t wall_ns)
{
    uint64_t seconds = wall_ns / NS_PER_SECOND, days = seconds / 86400;
    unsigned of_day = (unsigned)(seconds % 86400);
    struct date date = {
        .weekday = (unsigned)((days + 4) % 7), /* 1970-01-01 was a Thursday */
        .hour = of_day / 3600,
        .minute = of_day / 60 % 60,
        .second = of_day % 60,
        .millisecond = (unsigned)(wall_ns % NS_PER_SECOND / NS_PER_MS),
    };
    days += 719468; /* from 0000-03-01 */
    unsigned of_era = (unsigned)(days % 146097);
    unsigned year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year + year / 4 - year / 100);
    unsigned month = (5 * of_year + 2) / 153; /* from March */
    date.day = of_year - (153 * month + 2) / 5 + 1;
    date.month = month < 10 ? month + 3 : month - 9;
    date.year = (unsigned)(days / 146097) * 400 + year + (date.month <= 2);
    return date;
}

static void put(char *at, unsigned value, unsigned digits)
{
    for (unsigned i = digits; i-- > 0; value /= 10)
        at[i] = (char)('0' + value % 10);
}

void clock_rfc3339(uint64_t wall_ns, char out[CLOCK_RFC3339_SIZE])
{
    struct date date = date_of(wall_ns);
    memcpy(out, "0000-00-00T00:00:00.000Z", CLOCK_RFC3339_SIZE);
    put(out, date.year, 4);
    put(out + 5, date.month, 2);
    put(out + 8, date.day, 2);
    put(out + 11, date.hour, 2);
    put(out + 14, date.minute, 2);
    put(out + 17, date.second, 2);
    put(out + 20, date.millisecond, 3);
}

void clock_http(uint64_t wall_ns, char out[CLOCK_HTTP_SIZE])
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct date date = date_of(wall_ns);
    memcpy(out, "Day, 00 Mon 0000 00:00:00 GMT", CLOCK_HTTP_SIZE);
    memcpy(out, days + 3 * date.weekday, 3);
    put(out + 5, date.day, 2);
    memcpy(out + 8, months + 3 * (date.month - 1), 3);
    put(out + 12, date.year, 4);
    put(out + 17, date.hour, 2);
    put(out + 20, date.minute, 2);
    put(out + 23, date.second, 2);
}
