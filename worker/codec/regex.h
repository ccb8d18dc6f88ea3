/* regex: PCRE2 patterns. This and regex.c alone know PCRE2.
 *
 * A pattern matches a text as a whole: `.*` at an end says that more may stand there. Bytes, not UTF-8; a dot takes a
 * line's end too. Compiled to machine code where that is possible, before the workers are forked. What a match may cost
 * is limited; one that would cost more is told.
 */
#ifndef CODEC_REGEX_H
#define CODEC_REGEX_H

#include "shared/base/arena.h"

enum { REGEX_GROUPS = 64 /* that a pattern has at most, the whole included */ };

/* What a match needs while it goes on: memory of PCRE2's, made once and not for each match, one for all patterns of a
 * generation. After fork() every process has its own. */
struct regex_set;

/* A group with a name. */
struct regex_name {
    struct str name;
    unsigned group;
};

struct regex {
    struct regex_set *set;
    void *code; /* PCRE2's */
    const struct regex_name *names;
    unsigned name_count;
};

enum regex_result {
    REGEX_MATCH,
    REGEX_NONE,
    REGEX_EXCEEDED, /* nobody knows: it would cost too much */
};

/* Freed with the arena. */
struct regex_set *regex_set_new(struct arena *arena);

/* NULL: `*why` in words, in the arena. Freed with the arena, which may be sealed. */
const struct regex *regex_compile(struct regex_set *set, struct str pattern, struct arena *arena,
                                  const char **why);

enum regex_result regex_match(const struct regex *regex, struct str text);

/* After REGEX_MATCH, until the next match of the set: what a group matched of `text`; NULL data: it took no part. */
struct str regex_group(const struct regex *regex, struct str text, unsigned group);

#endif
