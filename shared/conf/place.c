/* place: the dotted path of a setting, for errors. The readers of the configuration call it. */
#include "shared/conf/place.h"

static const char *place_path(const struct place *place, struct arena *arena)
{
    if (!place || !place->up)
        return "";
    const char *front = place_path(place->up, arena);
    if (!place->name.data)
        return arena_printf(arena, "%s[%u]", front, place->index);
    return arena_printf(arena, "%s%s%.*s", front, *front ? "." : "", STR_ARG(place->name));
}

const char *place_text(const struct place *place, const char *setting, struct arena *arena)
{
    const char *path = place_path(place, arena);
    if (!setting || !*setting)
        return path;
    return arena_printf(arena, "%s%s%s", path, *path && *setting != '[' ? "." : "", setting);
}
