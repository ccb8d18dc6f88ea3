/* condition: what a route demands of header fields and query parameters. */
#ifndef REQUEST_CONDITION_H
#define REQUEST_CONDITION_H

#include "shared/conf/settings.h"
#include "worker/codec/regex.h"
#include "worker/http/message.h"

/* In the order of their cost. */
enum condition_test { CONDITION_THERE, CONDITION_EQUALS, CONDITION_PREFIX, CONDITION_REGEX };

struct condition {
    enum condition_test test;
    bool negated;
    enum field_id id; /* of a header field */
    struct str name;
    struct str text; /* of EQUALS, PREFIX and REGEX */
    const struct regex *regex;
};

/* Those of a route, of either kind in an order of their own: equal sets are equal lists. */
struct conditions {
    const struct condition *headers, *query;
    unsigned header_count, query_count;
};

enum condition_result {
    CONDITIONS_FAIL,
    CONDITIONS_HOLD,
    CONDITIONS_UNKNOWN,  /* a value can't be decoded: like FAIL */
    CONDITIONS_EXCEEDED, /* a pattern would cost too much: like FAIL, and worth a warning */
};

/* Compiles them. Errors go to `errors`. `regexes` is where patterns belong, made if it is NULL. */
struct conditions conditions_compile(const struct match_settings *match, struct regex_set **regexes,
                                     struct arena *arena, struct errors *errors);

/* The same of fields alone, for a policy. `setting` is what it calls the list. */
struct conditions conditions_of_fields(const struct conf_list *list, const char *setting,
                                       struct regex_set **regexes, struct arena *arena,
                                       struct errors *errors);

/* Whether they are the same, but for the order in which they were written. */
bool conditions_equal(const struct conditions *a, const struct conditions *b);

/* A condition looks at each field and each parameter of its name; it holds if one is so, with `not` if none is. The query
 * is in normal form; values are decoded in `arena`. */
enum condition_result conditions_hold(const struct conditions *conditions, const struct request_head *head,
                                      struct arena *arena);

/* Whether they may hold for a request that a preflight comes before: `names` is a list of its fields' names, their values and
 * those that a browser adds by itself aren't known yet. The query is the head's. */
bool conditions_may_hold(const struct conditions *conditions, const struct request_head *head,
                         struct str names, struct arena *arena);

/* The pattern `text`, the setting `setting` at `origin`. NULL: it is bad, and reported. */
const struct regex *compile_regex(struct regex_set **regexes, struct origin origin, const char *setting,
                                  const char *text, struct arena *arena, struct errors *errors);

#endif
