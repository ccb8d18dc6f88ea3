/* place: where in a configuration the reading stands, as a chain on the stack, made into text only for an error. */
#ifndef CONF_PLACE_H
#define CONF_PLACE_H

#include "shared/base/arena.h"
#include "shared/base/error.h"

struct node; /* tree.h */

struct place {
    const struct place *up; /* NULL: the whole file */
    struct str name;        /* of a setting; without data: the element `index` of a list */
    unsigned index;
    const struct node *node; /* what was written there, or NULL: nothing was */
    struct origin origin;    /* of the node, or of the section around it */
};

/* "apis[0].routes[2].match.path", with `setting` (or NULL) behind it; "" for the whole file. */
const char *place_text(const struct place *place, const char *setting, struct arena *arena);

#endif
