/* str: a run of bytes with its length; not terminated, not owned. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *data;
    size_t length;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
#define STR_ARG(s) (int)(s).length, (s).data /* for "%.*s" */

static inline struct str str_of(const char *text)
{
    return (struct str){text, text ? strlen(text) : 0};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static inline struct str str_from(struct str s, size_t offset)
{
    return (struct str){s.data + offset, s.length - offset};
}

/* Equal but for the case of ASCII letters. */
bool str_case_eq(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);

/* The index of the first `c`, or -1. */
ptrdiff_t str_index(struct str s, char c);

/* Without spaces and tabs at both ends (OWS of RFC 9110, section 5.6.3). */
struct str str_trim(struct str s);

/* Cuts off and returns what stands before the first `separator`; `rest` becomes what follows it, or empty with
 * NULL data when there was none left. */
struct str str_cut(struct str *rest, char separator);

/* Digits only, no sign, no space, up to `max`: true and `*value`. */
bool str_to_u64(struct str s, uint64_t max, uint64_t *value);

/* Whether comma-separated `list` names `token`, without regard to case (RFC 9110, section 5.6.1). */
bool str_list_has(struct str list, struct str token);

/* The number of single-character edits between two words, for "did you mean"; more than `limit` returns limit + 1. */
unsigned str_distance(struct str a, struct str b, unsigned limit);

#endif
