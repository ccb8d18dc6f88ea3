/* clock: dates as text, without the C library's time zones and locale. Called for log lines and response heads, and for
 * dates in the configuration. */
#include "shared/base/clock.h"

#include <string.h>

#include "shared/base/digits.h"

struct date {
    unsigned year, month, day; /* month and day from 1 */
    unsigned weekday;          /* 0: Sunday */
    unsigned hour, minute, second;
};

/* The civil calendar in UTC. Years begin in March while counting, so that a leap day is the last of its year; an era
 * is 400 years, 146,097 days. */
static struct date date_of(uint64_t seconds)
{
    uint64_t days = seconds / 86400;
    unsigned of_day = (unsigned)(seconds % 86400);
    struct date date = {
        .weekday = (unsigned)((days + 4) % 7), /* 1970-01-01 was a Thursday */
        .hour = of_day / 3600,
        .minute = of_day / 60 % 60,
        .second = of_day % 60,
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

void clock_rfc3339(uint64_t wall_ns, char out[CLOCK_RFC3339_SIZE])
{
    struct date date = date_of(wall_ns / NS_PER_SECOND);
    memcpy(out, "0000-00-00T00:00:00.000Z", CLOCK_RFC3339_SIZE);
    digits_put(out, date.year, 4);
    digits_put(out + 5, date.month, 2);
    digits_put(out + 8, date.day, 2);
    digits_put(out + 11, date.hour, 2);
    digits_put(out + 14, date.minute, 2);
    digits_put(out + 17, date.second, 2);
    digits_put(out + 20, (unsigned)(wall_ns % NS_PER_SECOND / NS_PER_MS), 3);
}

void clock_http(uint64_t seconds, char out[CLOCK_HTTP_SIZE])
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct date date = date_of(seconds);
    memcpy(out, "Day, 00 Mon 0000 00:00:00 GMT", CLOCK_HTTP_SIZE);
    memcpy(out, days + 3 * date.weekday, 3);
    digits_put(out + 5, date.day, 2);
    memcpy(out + 8, months + 3 * (date.month - 1), 3);
    digits_put(out + 12, date.year, 4);
    digits_put(out + 17, date.hour, 2);
    digits_put(out + 20, date.minute, 2);
    digits_put(out + 23, date.second, 2);
}

/* Days from 1970-01-01 to a date of the years from 1970: date_of(), backwards. */
static uint64_t days_of(unsigned year, unsigned month, unsigned day)
{
    year -= month <= 2;
    unsigned of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return (uint64_t)year * 365 + year / 4 - year / 100 + year / 400 + of_year - 719468;
}

uint64_t clock_next_month(uint64_t seconds)
{
    struct date date = date_of(seconds);
    bool last = date.month == 12;
    return days_of(date.year + last, last ? 1 : date.month + 1, 1) * 86400;
}

static bool take(struct str *text, unsigned digits, unsigned least, unsigned most, unsigned *number)
{
    uint64_t value;
    if (text->length < digits || !str_to_u64((struct str){text->data, digits}, most, &value) || value < least)
        return false;
    *number = (unsigned)value;
    *text = str_from(*text, digits);
    return true;
}

static bool skip(struct str *text, const char *any)
{
    if (!text->length || !text->data[0] || !strchr(any, text->data[0]))
        return false;
    *text = str_from(*text, 1);
    return true;
}

/* Behind the date: seconds of the day, the offset taken off. */
static bool parse_time(struct str text, int64_t *seconds)
{
    unsigned hour, minute, second, ignored, off_hour = 0, off_minute = 0;
    if (!skip(&text, "Tt") || !take(&text, 2, 0, 23, &hour) || !skip(&text, ":") ||
        !take(&text, 2, 0, 59, &minute) || !skip(&text, ":") || !take(&text, 2, 0, 60, &second))
        return false;
    if (skip(&text, ".")) {
        if (!take(&text, 1, 0, 9, &ignored))
            return false;
        while (take(&text, 1, 0, 9, &ignored))
            continue;
    }
    bool east = text.length && text.data[0] == '+';
    if (!skip(&text, "Zz") && (!skip(&text, "+-") || !take(&text, 2, 0, 23, &off_hour) || !skip(&text, ":") ||
                               !take(&text, 2, 0, 59, &off_minute)))
        return false;
    int64_t offset = (off_hour * 60 + off_minute) * 60;
    *seconds = (hour * 60 + minute) * 60 + second + (east ? -offset : offset);
    return text.length == 0;
}

bool clock_parse(struct str text, uint64_t *seconds)
{
    static const uint8_t lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned year, month, day;
    int64_t of_day = 0;
    if (!take(&text, 4, 1970, 9999, &year) || !skip(&text, "-") || !take(&text, 2, 1, 12, &month) ||
        !skip(&text, "-") || !take(&text, 2, 1, lengths[month - 1], &day))
        return false;
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (month == 2 && day == 29 && !leap)
        return false;
    if (text.length && !parse_time(text, &of_day))
        return false;
    int64_t all = (int64_t)days_of(year, month, day) * 86400 + of_day;
    *seconds = (uint64_t)all;
    return all >= 0 && all <= CLOCK_LAST;
}

bool clock_parse_http(struct str text, uint64_t *seconds)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char written[] = "0000-00-00T00:00:00Z";
    if (text.length != CLOCK_HTTP_SIZE - 1 || memcmp(text.data + 3, ", ", 2) != 0 ||
        memcmp(text.data + 25, " GMT", 4) != 0)
        return false;
    unsigned month = 0;
    while (month < 12 && memcmp(months + 3 * month, text.data + 8, 3) != 0)
        month++;
    memcpy(written, text.data + 12, 4);
    digits_put(written + 5, month + 1, 2);
    memcpy(written + 8, text.data + 5, 2);
    memcpy(written + 11, text.data + 17, 8);
    return month < 12 && clock_parse(str_of(written), seconds);
}
