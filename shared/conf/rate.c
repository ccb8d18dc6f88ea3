/* rate: reads rates. Called by the policies that limit, at load. */
#include "shared/conf/rate.h"

#include "shared/base/clock.h"

struct unit {
    const char *name;
    enum rate_unit unit;
};

static const struct unit units[] = {
    {"s", RATE_SECOND},      {"second", RATE_SECOND}, {"m", RATE_MINUTE},    {"min", RATE_MINUTE},
    {"minute", RATE_MINUTE}, {"h", RATE_HOUR},        {"hour", RATE_HOUR},   {"d", RATE_DAY},
    {"day", RATE_DAY},       {"week", RATE_WEEK},     {"month", RATE_MONTH},
};

static const uint64_t seconds[] = {[RATE_SECOND] = 1,  [RATE_MINUTE] = 60,      [RATE_HOUR] = 3600,
                                   [RATE_DAY] = 86400, [RATE_WEEK] = 7 * 86400, [RATE_MONTH] = 0};

/* Digits at the front, cut off; false: there are none, or too many. */
static bool take_number(struct str *text, uint64_t most, uint64_t *number)
{
    struct str digits = *text;
    digits.length = 0;
    while (digits.length < text->length && text->data[digits.length] >= '0' &&
           text->data[digits.length] <= '9')
        digits.length++;
    *text = str_from(*text, digits.length);
    return digits.length && str_to_u64(digits, most, number);
}

static bool parse_count(struct str text, bool bytes, uint64_t *count)
{
    static const char suffixes[] = "KMGT";
    uint64_t factor = 1;
    if (!take_number(&text, INT64_MAX, count) || text.length > 1)
        return false;
    const char *suffix = text.length ? strchr(suffixes, text.data[0]) : NULL;
    if (text.length && !suffix)
        return false;
    for (const char *c = suffixes; suffix && c <= suffix; c++)
        factor *= bytes ? 1024 : 1000;
    if (*count > INT64_MAX / factor)
        return false;
    *count *= factor;
    return true;
}

const char *rate_parse(const char *text, bool bytes, struct rate *rate, struct arena *arena)
{
    struct str per = str_of(text), count = str_cut(&per, '/');
    if (!per.data)
        return arena_printf(arena,
                            "\"%s\" says nothing of the time (write \"%s/s\", \"…/m\", \"…/h\" or \"…/day\")",
                            text, *text ? text : "100");
    if (!parse_count(count, bytes, &rate->count))
        return arena_printf(arena, "\"%.*s\" is not a count (write \"100\", \"10K\" or \"1M\" before the /)",
                            STR_ARG(count));
    if (rate->count == 0)
        return arena_printf(arena, "\"%s\" lets nothing through (write \"1/…\" or more)", text);
    rate->units = 1;
    if (per.length && per.data[0] >= '0' && per.data[0] <= '9' &&
        (!take_number(&per, 1000, &rate->units) || rate->units == 0))
        return arena_printf(arena, "\"%s\": the number behind the / is 1 to 1000 (write \"5/10s\")", text);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (str_eq(per, str_of(units[i].name))) {
            rate->unit = units[i].unit;
            rate->period_ns = seconds[rate->unit] * rate->units * NS_PER_SECOND;
            return NULL;
        }
    return arena_printf(arena, "\"%.*s\" is no unit of time (write s, m, h, day, week or month behind the /)",
                        STR_ARG(per));
}
