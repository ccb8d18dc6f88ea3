/* suggest: what a user may have meant by a name that isn't known. load.c and value.c call it. */
#include <string.h>

#include "shared/conf/loader.h"

const char *suggest_closest(const char *word, const char *const *names, unsigned count)
{
    struct str wanted = str_of(word);
    unsigned limit = wanted.length < 4 ? 1 : wanted.length < 8 ? 2 : 3;
    unsigned best = limit + 1;
    const char *closest = NULL;
    for (unsigned i = 0; i < count; i++) {
        struct str name = str_of(names[i]);
        unsigned distance = str_case_eq(wanted, name) ? 0 : str_distance(wanted, name, limit);
        /* a word of few letters has nothing left of it after as many edits */
        if (distance < best && distance < name.length) {
            best = distance;
            closest = names[i];
        }
    }
    return closest;
}

const char *suggest_text(const char *word, const char *const *names, unsigned count, struct arena *arena)
{
    const char *closest = suggest_closest(word, names, count);
    if (closest)
        return arena_printf(arena, " (did you mean \"%s\"?)", closest);
    const char *list = "";
    for (unsigned i = 0; i < count; i++)
        list = arena_printf(arena, "%s%s%s", list, i ? ", " : "", names[i]);
    return *list ? arena_printf(arena, " (known here: %s)", list) : "";
}
