/* units: durations and sizes, from text and to text. value.c reads by it, dump.c and reference.c write. */
#include <stdint.h>

#include "shared/conf/loader.h"

struct unit {
    const char *name;
    int64_t factor;
};

/* The largest first; the last one is the unit of the value itself; NULL ends. A year is one of 365 days. */
static const struct unit durations[] = {{"y", 31536000000}, {"d", 86400000}, {"h", 3600000}, {"m", 60000},
                                        {"s", 1000},        {"ms", 1},       {NULL, 0}};
static const struct unit sizes[] = {{"T", 1ll << 40}, {"G", 1ll << 30}, {"M", 1ll << 20},
                                    {"K", 1ll << 10}, {"", 1},          {NULL, 0}};

/* Digits, then a unit of the table; "0" needs none. */
static bool units_parse(const char *text, const struct unit *units, int64_t *value)
{
    struct str digits = str_of(text);
    uint64_t number;
    digits.length = strspn(text, "0123456789");
    if (!str_to_u64(digits, INT64_MAX, &number))
        return false;
    struct str suffix = str_from(str_of(text), digits.length);
    if (number == 0 && suffix.length == 0) {
        *value = 0;
        return true;
    }
    for (unsigned i = 0; units[i].name; i++) {
        if (!str_eq(suffix, str_of(units[i].name)))
            continue;
        if (number > (uint64_t)(INT64_MAX / units[i].factor))
            return false;
        *value = (int64_t)number * units[i].factor;
        return true;
    }
    return false;
}

bool conf_parse_duration(const char *text, int64_t *milliseconds)
{
    return units_parse(text, durations, milliseconds);
}

bool conf_parse_size(const char *text, int64_t *bytes)
{
    return units_parse(text, sizes, bytes);
}

/* In the largest unit that leaves no rest. */
static const char *units_text(int64_t value, const struct unit *units, struct arena *arena)
{
    if (value == 0)
        return "0";
    unsigned i = 0;
    while (value % units[i].factor != 0)
        i++;
    return arena_printf(arena, "%lld%s", (long long)(value / units[i].factor), units[i].name);
}

const char *units_duration(int64_t milliseconds, struct arena *arena)
{
    return units_text(milliseconds, durations, arena);
}

const char *units_size(int64_t bytes, struct arena *arena)
{
    return units_text(bytes, sizes, arena);
}
