/* wants: the list. Called by what compiles configurations. */
#include "shared/conf/wants.h"

#include <string.h>

unsigned wants_add(struct wants *wants, enum want_kind kind, const char *name)
{
    if (wants->count == wants->room) {
        unsigned room = wants->room ? 2 * wants->room : 16;
        struct want *items = arena_array(wants->arena, room, sizeof *items);
        if (wants->count)
            memcpy(items, wants->items, wants->count * sizeof *items);
        wants->items = items;
        wants->room = room;
    }
    wants->items[wants->count] = (struct want){kind, arena_strdup(wants->arena, name)};
    wants->of_kind[kind]++;
    return wants->count++;
}
