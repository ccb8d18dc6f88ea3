/* str: what one asks of a run of bytes. Pure; called from everywhere. */
#include "shared/base/str.h"

static inline unsigned char lower(char c)
{
    unsigned char u = (unsigned char)c;
    return u >= 'A' && u <= 'Z' ? u | 0x20 : u;
}

bool str_case_eq(struct str a, struct str b)
{
    if (a.length != b.length)
        return false;
    for (size_t i = 0; i < a.length; i++)
        if (lower(a.data[i]) != lower(b.data[i]))
            return false;
    return true;
}

bool str_starts(struct str s, struct str prefix)
{
    return s.length >= prefix.length && str_eq((struct str){s.data, prefix.length}, prefix);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.length >= suffix.length && str_eq(str_from(s, s.length - suffix.length), suffix);
}

ptrdiff_t str_index(struct str s, char c)
{
    const char *found = s.length ? memchr(s.data, c, s.length) : NULL;
    return found ? found - s.data : -1;
}

struct str str_trim(struct str s)
{
    while (s.length && (s.data[0] == ' ' || s.data[0] == '\t'))
        s = str_from(s, 1);
    while (s.length && (s.data[s.length - 1] == ' ' || s.data[s.length - 1] == '\t'))
        s.length--;
    return s;
}

struct str str_cut(struct str *rest, char separator)
{
    struct str part = *rest;
    ptrdiff_t index = str_index(part, separator);
    if (index < 0) {
        *rest = (struct str){NULL, 0};
        return part;
    }
    part.length = (size_t)index;
    *rest = str_from(*rest, (size_t)index + 1);
    return part;
}

bool str_to_u64(struct str s, uint64_t max, uint64_t *value)
{
    if (s.length == 0)
        return false;
    uint64_t result = 0;
    for (size_t i = 0; i < s.length; i++) {
        unsigned digit = (unsigned)((unsigned char)s.data[i] - '0');
        if (digit > 9 || result > max / 10 || result * 10 > max - digit || digit > max)
            return false;
        result = result * 10 + digit;
    }
    *value = result;
    return true;
}

bool str_list_has(struct str list, struct str token)
{
    while (list.length)
        if (str_case_eq(str_trim(str_cut(&list, ',')), token))
            return true;
    return false;
}

unsigned str_distance(struct str a, struct str b, unsigned limit)
{
    enum { LONGEST = 63 }; /* names are shorter; a longer one resembles nothing */
    size_t apart = a.length > b.length ? a.length - b.length : b.length - a.length;
    if (apart > limit || a.length > LONGEST || b.length > LONGEST)
        return limit + 1;

    /* One row of the matrix of Levenshtein: row[j] is the distance of a[0..i) and b[0..j). */
    unsigned row[LONGEST + 1];
    for (unsigned j = 0; j <= b.length; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a.length; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= b.length; j++) {
            unsigned best = diagonal + (a.data[i - 1] != b.data[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[b.length] <= limit ? row[b.length] : limit + 1;
}
